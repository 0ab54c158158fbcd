/** Values that are mostly at hand, and sometimes have to be waited for. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Goes on with a value: at once where it is at hand, so that what waits for nothing costs no turn of the event loop.
 * An error that `next` throws is thrown, or rejects the promise.
 *
 * @example
 * return whenKnown(convert(value), converted => send(converted));
 */
export const whenKnown = <T, R>(value: Awaitable<T>, next: (value: T) => Awaitable<R>): Awaitable<R> =>
  value instanceof Promise ? value.then(next) : next(value);

/** What `each` makes of items, one after the other; at once where none has to be waited for. */
export function inOrder<T, R>(
  items: readonly T[],
  each: (item: T, place: number) => Awaitable<R>,
): Awaitable<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i++) {
    const result = each(items[i]!, i);
    if (result instanceof Promise) return restInOrder(items, each, results, result);
    results.push(result);
  }
  return results;
}

async function restInOrder<T, R>(
  items: readonly T[],
  each: (item: T, place: number) => Awaitable<R>,
  results: R[],
  waiting: Promise<R>,
): Promise<R[]> {
  results.push(await waiting);
  while (results.length < items.length) results.push(await each(items[results.length]!, results.length));
  return results;
}
