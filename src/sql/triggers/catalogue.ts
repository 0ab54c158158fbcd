/** Triggers as the shadow's catalogue tells them. */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { readNodes } from '../analysed/node.js';
import { functionsIn } from '../analysed/query.js';
import { allGeneratedOf } from '../checks/generated.js';
import { exclusionsFor } from '../exclusions/concerned.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { child, list, stringOf } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { readingOf } from '../settings.js';
import type { FiredTriggers, Trigger, TriggerEvent } from './trigger.js';

/** Bits of pg_trigger.tgtype (pg_trigger.h). */
const bits = { row: 1, before: 2, insert: 4, delete: 8, update: 16, truncate: 32, instead: 64 };

/** Triggers fire in the order of their names, byte by byte. */
const triggersQuery = `SELECT t.tgname::text, t.tgtype::text, t.tgenabled::text, t.tgfoid::text, t.tgdeferrable::text,
    (t.tgparentid <> 0)::text, t.tgoldtable::text, t.tgnewtable::text, t.tgqual::text, pg_catalog.pg_get_triggerdef(t.oid),
    (SELECT pg_catalog.json_agg(a.attname) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::pg_catalog.int2[]))::text
  FROM pg_catalog.pg_trigger t WHERE t.tgrelid = $1::pg_catalog.oid AND NOT t.tgisinternal ORDER BY t.tgname`;

const known = new WeakMap<Catalog, Map<string, Promise<readonly Trigger[]>>>();

/**
 * The triggers of users on a relation, in the order in which they fire.
 * @param oid of a table or a view in the shadow
 */
export function triggersOf(oid: number, session: SessionPort): Promise<readonly Trigger[]> {
  const catalog = session.catalog();
  const found = known.get(catalog) ?? new Map<string, Promise<readonly Trigger[]>>();
  known.set(catalog, found);
  // conditions are written by the names and settings of the session
  const key = [oid, session.settings.searchPath, readingOf(session.settings)].join('\0');
  const triggers = found.get(key) ?? read(oid, session);
  found.set(key, triggers);
  triggers.catch(() => found.delete(key));
  return triggers;
}

async function read(oid: number, session: SessionPort): Promise<readonly Trigger[]> {
  const rows = await readerOn(session.trusted)(triggersQuery, [String(oid)]);
  return rows.map(
    ([
      name,
      type,
      enabled,
      routine,
      deferrable,
      cloned,
      oldTable,
      newTable,
      condition,
      definition,
      columns,
    ]) => {
      const has = (bit: number): boolean => (Number(type) & bit) !== 0;
      const fields = parseOne(definition!).CreateTrigStmt!;
      const when = child(fields, 'whenClause');
      const events: readonly (readonly [TriggerEvent, number])[] = [
        ['INSERT', bits.insert],
        ['UPDATE', bits.update],
        ['DELETE', bits.delete],
        ['TRUNCATE', bits.truncate],
      ];
      return {
        name: name!,
        routine: Number(routine),
        timing: has(bits.instead) ? 'INSTEAD OF' : has(bits.before) ? 'BEFORE' : 'AFTER',
        level: has(bits.row) ? 'ROW' : 'STATEMENT',
        events: events.flatMap(([event, bit]) => (has(bit) ? [event] : [])),
        columns: JSON.parse(columns ?? '[]') as string[],
        when: when && deparseExpression(when),
        whenCalls: functionsIn(condition ? readNodes(condition) : []),
        args: list(fields, 'args').map(stringOf),
        enabled: enabled === 'O' || enabled === 'A',
        isDeferrable: deferrable === 'true',
        isClone: cloned === 'true',
        oldTable: oldTable ?? undefined,
        newTable: newTable ?? undefined,
      };
    },
  );
}

/**
 * What a statement fires.
 * @param columns UPDATE: names of those that it gives values to
 * @returns undefined: nothing, and no EXCLUDE constraint is looked at here
 */
export async function firedBy<Event extends TriggerEvent>(
  table: LogicalTable,
  event: Event,
  columns: readonly string[],
  session: SessionPort,
): Promise<FiredTriggers<Event> | undefined> {
  const all = await triggersOf(table.oid, session);
  const isOfColumns = event === 'UPDATE' && all.some(t => t.columns.length > 0);
  const updated = isOfColumns ? [...columns, ...(await computedWith(table, columns, all, session))] : columns;
  const triggers = all.filter(
    t =>
      t.enabled &&
      t.events.includes(event) &&
      (event !== 'UPDATE' || t.columns.length === 0 || t.columns.some(name => updated.includes(name))),
  );
  const isLooked =
    event !== 'DELETE' && event !== 'TRUNCATE' && exclusionsFor(table, event, columns).length > 0;
  return triggers.length > 0 || isLooked ? { table, event, triggers } : undefined;
}

/** Generated columns that an UPDATE computes anew: all where a trigger may change more (ExecInitGenerated of nodeModifyTable.c). */
async function computedWith(
  table: LogicalTable,
  columns: readonly string[],
  triggers: readonly Trigger[],
  session: SessionPort,
): Promise<readonly string[]> {
  const changes = triggers.some(
    ({ timing, level, events }) => timing === 'BEFORE' && level === 'ROW' && events.includes('UPDATE'),
  );
  const { expressions } = await allGeneratedOf(table, session);
  const computed = expressions.filter(
    ({ columns: read }) => changes || read.some(({ name }) => columns.includes(name)),
  );
  return computed.map(({ column }) => column.name);
}

/**
 * What a statement that means the rows of partitions and heirs fires on one of them: triggers of rows. Those of the statement
 * are of the table that is named.
 */
export async function firedByRows(
  table: LogicalTable,
  event: FiredTriggers['event'],
  columns: readonly string[],
  session: SessionPort,
): Promise<FiredTriggers | undefined> {
  const fired = await firedBy(table, event, columns, session);
  const triggers = fired?.triggers.filter(({ level }) => level === 'ROW') ?? [];
  return triggers.length > 0 ? { table, event, triggers } : undefined;
}
