/** Which triggers Clarus fires. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { acts } from '../../catalog/foreign-keys.js';
import { heirsOf, treeOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { FIRST_USER_OID } from '../functions.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import { routinesCalled } from '../routines.js';
import { triggersOf } from '../triggers/catalogue.js';
import type { Trigger, TriggerEvent } from '../triggers/trigger.js';
import type { ChangedTable } from './changed-table.js';

/** @throws ClarusError 0A000 for a trigger that Clarus would not fire as PostgreSQL does */
export async function mustBeFireable(
  trigger: Trigger,
  table: LogicalTable,
  session: SessionPort,
): Promise<void> {
  const why = (await notFired(trigger, table, session)) ?? actedOn(table, trigger);
  if (why !== undefined)
    throw new ClarusError(
      '0A000',
      `trigger "${trigger.name}" of the protected table "${table.name}" is not supported`,
      {
        detail: why,
        schema: table.schema,
        table: table.name,
      },
    );
}

/** Why a trigger is not fired, in words. */
async function notFired(
  trigger: Trigger,
  table: LogicalTable,
  session: SessionPort,
): Promise<string | undefined> {
  if (!session.residual) return 'The trusted database finishes no statements.';
  if (await hasVirtualColumns(table, session)) return 'The table has virtual generated columns.';
  // PostgreSQL asks when a row is written, between others
  if (await readsTables(trigger.whenCalls, session))
    return 'Its condition calls a function that reads tables.';
  if (trigger.isDeferrable) return 'Constraint triggers that can be deferred are not fired.';
  return undefined;
}

/** They have no values in what triggers see. */
async function hasVirtualColumns({ oid }: LogicalTable, session: SessionPort): Promise<boolean> {
  const rows = await readerOn(session.trusted)(
    "SELECT FROM pg_catalog.pg_attribute WHERE attrelid = $1::pg_catalog.oid AND attgenerated = 'v'",
    [String(oid)],
  );
  return rows.length > 0;
}

async function readsTables(functions: ReadonlySet<number>, session: SessionPort): Promise<boolean> {
  const own = new Set([...functions].filter(oid => oid >= FIRST_USER_OID));
  if (own.size === 0) return false;
  const { tables, writes, doubt } = await routinesCalled(own, session);
  return tables.size > 0 || writes || doubt !== undefined;
}

/** What an action of a foreign key does to the rows that refer. */
const eventOf = (action: string): TriggerEvent => (action === 'c' ? 'DELETE' : 'UPDATE');

/** Why a foreign key of the table may change rows without firing a trigger, in words. */
function actedOn({ keys }: LogicalTable, trigger: Trigger): string | undefined {
  for (const { name, actions } of keys) {
    if (!actions) continue;
    const { onDelete, onUpdate } = actions;
    const events = new Set([
      ...(acts(onDelete) ? [eventOf(onDelete)] : []),
      ...(acts(onUpdate) ? ['UPDATE' as const] : []),
    ]);
    if (trigger.events.some(event => events.has(event)))
      return `What the foreign key "${name}" does to rows would not fire it.`;
  }
  return undefined;
}

/**
 * To be asked when tables have changed: triggers that were fired before may not be any more.
 * @throws ClarusError 0A000 for one that Clarus would not fire as PostgreSQL does, and for those of a table that becomes
 *   protected or open: they stand on one side, and another one would fire them
 */
export async function mustStayFireable(
  changed: readonly ChangedTable[],
  session: SessionPort,
): Promise<void> {
  for (const { before, after } of changed)
    if (before && after && before.table.state !== after.table.state) await mustHaveNone(after.table, session);
  const made = changed.flatMap(({ after }) => (after ? [after.table] : []));
  const tables = new Map([...session.catalog().tables, ...made.map(table => [table.oid, table] as const)]);
  for (const table of made) {
    if (table.state !== 'protected') continue;
    for (const one of treeOf({ tables }, table)) await allMustBeFireable(one, session);
  }
}

/**
 * @param table that is written, or whose partitions and heirs are
 * @throws ClarusError 0A000 where that fires a trigger that Clarus would not fire as PostgreSQL does
 */
export async function writesMustBeFireable(table: LogicalTable, session: SessionPort): Promise<void> {
  if (table.state !== 'protected') return;
  for (const one of [table, ...heirsOf(session.catalog(), table)]) await allMustBeFireable(one, session);
}

async function mustHaveNone({ oid, schema, name, state }: LogicalTable, session: SessionPort): Promise<void> {
  if ((await triggersOf(oid, session)).length === 0) return;
  throw new ClarusError('0A000', `the table "${name}" cannot become ${state}, because it has triggers`, {
    detail: 'Clarus fires those of protected tables, and the cloud those of others.',
    hint: 'Drop the triggers, and make them again afterwards.',
    schema,
    table: name,
  });
}

async function allMustBeFireable(table: LogicalTable, session: SessionPort): Promise<void> {
  for (const trigger of await triggersOf(table.oid, session)) await mustBeFireable(trigger, table, session);
}
