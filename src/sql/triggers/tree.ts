/** What a statement fires on partitions and heirs of the table that it names. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { heirsOf } from '../../catalog/trees.js';
import type { SessionPort } from '../ports.js';
import { firedByRows } from './catalogue.js';
import { decidePartition } from './placing.js';
import { type FiredTriggers, triggersAt } from './trigger.js';
import { refused } from './writes.js';

/** What a statement does to rows. */
export interface Done {
  readonly event: FiredTriggers['event'];
  /** names of the columns that it gives values to */
  readonly columns: readonly string[];
}

/**
 * The triggers of rows of partitions and heirs: PostgreSQL fires those of the table that holds a row, and those of the statement
 * of the table that is named. An UPDATE that brings a row to another partition fires what a DELETE and an INSERT fire.
 * @throws ClarusError 0A000 for triggers of an heir that has columns of its own: the statement does not read them
 */
export async function firedBelow(
  table: LogicalTable,
  done: readonly Done[],
  session: SessionPort,
): Promise<readonly FiredTriggers[]> {
  const heirs = heirsOf(session.catalog(), table).filter(({ partitioned }) => !partitioned);
  const found: FiredTriggers[] = [];
  const add = async ({ event, columns }: Done): Promise<void> => {
    for (const heir of heirs) {
      if (found.some(fired => fired.event === event && fired.table === heir)) continue;
      const fired = await firedByRows(heir, event, columns, session);
      if (fired) found.push(fired);
    }
  };
  // rows are inserted into partitions, and not into heirs
  for (const one of done) if (one.event !== 'INSERT' || table.partitioned) await add(one);
  const update = done.find(({ event }) => event === 'UPDATE');
  const mayChange = found.some(
    fired => fired.event === 'UPDATE' && triggersAt(fired, 'BEFORE', 'ROW').length > 0,
  );
  if (update && table.partitioned && (mayChange || (await decidePartition(table, update.columns, session))))
    for (const event of ['DELETE', 'INSERT'] as const) await add({ event, columns: [] });
  const names = new Set(table.columns.map(({ name }) => name));
  for (const { table: heir } of found)
    if (heir.columns.some(({ name }) => !names.has(name)))
      throw refused(heir, `it has columns that "${table.name}" has not, and triggers of rows`);
  return found;
}
