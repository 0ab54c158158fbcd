/** What a statement must not see: in PostgreSQL its snapshot is older than all that its triggers write. */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { routinesCalled } from '../routines.js';
import type { Touch } from '../touch.js';
import { type FiredTriggers, triggersAt } from './trigger.js';

/**
 * Here rows are computed when the BEFORE triggers of the statement have been fired.
 * @param all what the statement fires
 * @param touch of the statement
 * @throws ClarusError 0A000 where one of these may write what the statement reads
 */
export async function refuseSightOfTriggers(
  all: readonly FiredTriggers[],
  touch: Touch,
  session: SessionPort,
): Promise<void> {
  const oids = all.flatMap(fired => triggersAt(fired, 'BEFORE', 'STATEMENT')).map(({ routine }) => routine);
  if (oids.length === 0) return;
  const { tables, writes, doubt } = await routinesCalled(new Set(oids), session);
  const read = [...touch.tables.map(({ oid }) => oid), ...(touch.routines?.tables ?? [])];
  if (doubt === undefined && !(writes && read.some(oid => tables.has(oid)))) return;
  const [{ table }] = all as [FiredTriggers];
  throw new ClarusError(
    '0A000',
    `a write to the table "${table.name}", whose triggers may write what it reads, is refused`,
    {
      detail: 'A BEFORE trigger of the statement writes, and the rows are computed afterwards.',
      hint: 'Let an AFTER trigger, or one of rows, do it.',
      schema: table.schema,
      table: table.name,
    },
  );
}
