/**
 * The order of columns of a table that comes to stand open: statements reach its cloud as they are written, and `SELECT *` and
 * INSERT without names go by the order in which the columns stand there.
 */
import type { PhysicalChange } from '../../catalog/physical-changes.js';
import type { PhysicalTable } from '../../catalog/physical-parts.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { ChangedTable } from './changed-table.js';
import { mayHoldRows } from './refill/index.js';

/**
 * Lets a table be made anew that would stand in another order than its columns have.
 * @param changes one for each of `changed`
 * @throws ClarusError 0A000 where that is not possible: it holds rows, or a sequence belongs to it
 */
export async function inOrderOfColumns(
  session: SessionPort,
  changed: readonly ChangedTable[],
  changes: readonly PhysicalChange[],
): Promise<readonly PhysicalChange[]> {
  const all: PhysicalChange[] = [];
  for (const [i, change] of changes.entries()) {
    const { before, after } = changed[i]!;
    const opens = before?.table.state === 'protected' && after?.table.state === 'open';
    if (!opens || (await willStandInOrder(session, change.before!, change.after!))) {
      all.push(change);
      continue;
    }
    const { name } = after.table;
    const sequence = after.described.columns.find(column => column.sequence !== null);
    if (sequence || (await mayHoldRows(session, before.table)))
      throw new ClarusError('0A000', `table "${name}" cannot come to stand in the clear so`, {
        detail: `Its columns stand in the cloud in another order, and ${sequence ? `"${sequence.name}" has a sequence` : 'it holds rows'}.`,
        hint: 'Make a new table, and copy the rows into it.',
        table: name,
      });
    all.push({ before: change.before, after: undefined }, { before: undefined, after: change.after });
  }
  return all;
}

/** Columns that stay keep their places, and others follow. */
async function willStandInOrder(
  session: SessionPort,
  before: PhysicalTable,
  after: PhysicalTable,
): Promise<boolean> {
  const names = await readerOn(session.cloud)(
    `SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [before.schema, before.name],
  );
  const keys = new Map(before.columns.map(({ name, key }) => [name, key]));
  const wanted = after.columns.map(({ key }) => key);
  const stay = names.flatMap(([name]) => keys.get(name ?? '') ?? []).filter(key => wanted.includes(key));
  const stand = [...stay, ...wanted.filter(key => !stay.includes(key))];
  return stand.every((key, i) => key === wanted[i]);
}
