/** `clarus audit`: prints the audit journal, one JSON object a line. It may run beside `clarus run`. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { auditKinds } from '../audit/events.js';
import { readJournals } from '../audit/read.js';
import { type Invocation, UsageError } from './invocation.js';
import { loadConfig } from './load.js';

/**
 * Prints the events of every journal of this proxy in the order of time, narrowed by the options.
 * @returns exit code: 1 when a line of the journal is damaged, which standard error tells; the others are printed
 * @throws UsageError for a time that cannot be read, or a kind that no event has
 */
export async function main({ config: path, values }: Invocation): Promise<number> {
  const since = timeOf(values.since, '--since');
  const until = timeOf(values.until, '--until');
  const { kind } = values;
  if (typeof kind === 'string' && !auditKinds.some(known => known === kind))
    throw new UsageError(`--kind ${JSON.stringify(kind)} is none; there are ${auditKinds.join(', ')}`);
  const directory = join(loadConfig(path).trusted.directory, 'audit');
  if (!existsSync(directory)) return 0; // nothing was recorded yet
  // Whoever reads may have seen enough (`| head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  let damaged = false;
  for await (const line of readJournals(directory)) {
    if (line.kind === 'damaged') {
      damaged = true;
      process.stderr.write(
        `clarus audit: a damaged line at byte ${line.offset_bytes} of ${line.file} is left out\n`,
      );
      continue;
    }
    const { crc: _, ...event } = line.event;
    if (since !== undefined && event.time < since) continue;
    if (until !== undefined && event.time >= until) continue;
    if (values.user !== undefined && event.user !== values.user) continue;
    if (kind !== undefined && event.kind !== kind) continue;
    if (!process.stdout.write(`${JSON.stringify({ origin: line.origin, ...event })}\n`))
      await once(process.stdout, 'drain');
  }
  return damaged ? 1 : 0;
}

/** As the journal writes times: ISO 8601, UTC, milliseconds; such texts compare like the times. */
function timeOf(text: string | boolean | undefined, option: string): string | undefined {
  if (typeof text !== 'string') return undefined;
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new UsageError(
      `${option} ${JSON.stringify(text)} is no time: write a day like 2026-01-31 (from its beginning, UTC), or a time like 2026-01-31T12:00:00Z`,
    );
  return time.toISOString();
}
