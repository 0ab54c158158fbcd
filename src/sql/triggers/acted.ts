/**
 * Triggers that see what foreign keys do. PostgreSQL runs the action of a key for one row after the other, when all rows of
 * the statement have been written and before the AFTER triggers of each; here they run with the rows.
 */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import { routinesCalled } from '../routines.js';
import type { FiredTriggers } from './trigger.js';

/** Tables whose rows are changed, also by actions of actions, where rows of a table get another key or go. */
const actedQuery = `WITH RECURSIVE acting AS (
    SELECT conrelid, confrelid, confdeltype IN ('c', 'n', 'd') AS deletes, confupdtype IN ('c', 'n', 'd') AS updates
      FROM pg_catalog.pg_constraint WHERE contype = 'f'),
  acted AS (
    SELECT conrelid FROM acting JOIN pg_catalog.pg_partition_ancestors($1::pg_catalog.oid::pg_catalog.regclass) s ON s.relid = confrelid
      WHERE deletes AND $2::boolean OR updates AND $3::boolean
    UNION SELECT conrelid FROM acting WHERE confrelid = $1::pg_catalog.oid AND (deletes AND $2::boolean OR updates AND $3::boolean)
    UNION SELECT x.conrelid FROM acted, LATERAL (
      SELECT a.conrelid FROM acting a WHERE a.confrelid = acted.conrelid AND (a.deletes OR a.updates)
      UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = acted.conrelid) x (conrelid))
  SELECT conrelid::text FROM acted`;

/**
 * Could functions that are fired for rows tell that the actions of several rows have been run at once?
 * @param all what one statement fires
 */
export async function seesActions(all: readonly FiredTriggers[], session: SessionPort): Promise<boolean> {
  const oids = all.flatMap(({ triggers }) => triggers.filter(t => t.level === 'ROW').map(t => t.routine));
  if (oids.length === 0) return false;
  const acted: string[] = [];
  for (const table of new Set(all.map(fired => fired.table))) {
    const does = (event: FiredTriggers['event']): string =>
      String(all.some(fired => fired.table === table && fired.event === event));
    const parameters = [String(table.oid), does('DELETE'), does('UPDATE')];
    for (const [oid] of await readerOn(session.trusted)(actedQuery, parameters)) acted.push(oid!);
  }
  if (acted.length === 0) return false;
  const { tables, doubt } = await routinesCalled(new Set(oids), session);
  return doubt !== undefined || acted.some(oid => tables.has(Number(oid)));
}

/** @throws ClarusError 0A000 for several rows of such a table */
export function mustBeOneRow(table: FiredTriggers['table'], rows: number): void {
  if (rows < 2) return;
  throw new ClarusError(
    '0A000',
    `several rows of the table "${table.name}", whose triggers see what foreign keys do, cannot be written at once`,
    {
      detail: 'A trigger of rows reads a table in which an action of a foreign key changes rows.',
      hint: 'Write one row with each statement.',
      schema: table.schema,
      table: table.name,
    },
  );
}
