/** Closes what a test opened, last first, also when opening or closing something else failed. */

const opened: (() => Promise<void>)[] = [];

/** Remembers how to close something, and gives it back. */
export function closeLater<T>(resource: T, close: (resource: T) => Promise<void>): T {
  opened.push(() => close(resource));
  return resource;
}

/**
 * Closes all that is remembered.
 *
 * @throws the first failure, after everything was tried
 */
export async function closeAll(): Promise<void> {
  const failures: unknown[] = [];
  for (let close = opened.pop(); close !== undefined; close = opened.pop())
    await close().catch(failure => failures.push(failure));
  if (failures.length > 0) throw failures[0];
}
