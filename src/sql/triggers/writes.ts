/** INSERT, UPDATE and DELETE as rows of which triggers make what is written. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import type { ComputedAction, GivenRows, SplitBody, SplitWrites, TriggeredWrite } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import { deparseExpression } from '../raw/deparse.js';
import { child, list, type RawFields } from '../raw/node.js';
import type { SplitPlanning } from '../split/plan.js';
import {
  assignments,
  computedPlan,
  deparseWith,
  fromItem,
  nameOf,
  prefix,
  tableOf,
} from '../split/write/computed-plan.js';
import { aliasOfTarget } from '../split/write/given-rows.js';

/** The rows that an INSERT gives are written as triggers make them. */
export function planInsert(
  given: GivenRows,
  triggered: TriggeredWrite,
  { analysis }: SplitPlanning,
): ProtectedPlan {
  const { table } = triggered;
  const insert: ComputedAction = {
    kind: 'insert',
    columns: [...given.columns, ...given.counters.map(({ column }) => column)].map(({ name }) => name),
    from: undefined,
    counters: [],
  };
  const computed = { table, given, keys: [], actions: [insert], width: prefix, once: undefined };
  const body: SplitBody = { ...given.body, writes: { ...writesNothingElse(table), computed, triggered } };
  return {
    kind: 'protected',
    command: 'INSERT',
    shape: analysis.shape,
    split: true,
    writes: true,
    body,
  };
}

/** UPDATE and DELETE become a query of the rows that they write, with the values that these have so far. */
export async function planModify(
  fields: RawFields,
  event: 'UPDATE' | 'DELETE',
  triggered: TriggeredWrite,
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const { table } = triggered;
  const { analysis, cause, session } = planning;
  const set = await assignments(list(fields, 'targetList'), table, planning);
  const where = child(fields, 'whereClause');
  if (where?.CurrentOfExpr) throw cause;
  const alias = quoteName(aliasOfTarget(fields, table));
  const sources = [...list(fields, 'fromClause'), ...list(fields, 'usingClause')].map(fromItem);
  const values = [
    ...set.map(({ sql }) => sql),
    ...table.columns.map(({ name }) => `${alias}.${quoteName(name)}`),
  ];
  // rows of a view stand nowhere: they are told by their order, and one that is found twice is two
  const place = triggered.insteadOf ? '(pg_catalog.row_number() OVER ())::pg_catalog.text' : `${alias}.ctid`;
  const holder = triggered.insteadOf ? 'NULL::pg_catalog.oid' : tableOf(alias, session.catalog(), table);
  const sql = `${deparseWith(fields, [])}SELECT 0, ${place}, NULL::pg_catalog.int8, ${holder}, ${values.join(', ')}
      FROM ${[`${nameOf(table)} AS ${alias}`, ...sources].join(', ')}${where ? ` WHERE ${deparseExpression(where)}` : ''}`;
  const action: ComputedAction = {
    kind: event === 'DELETE' ? 'delete' : 'update',
    columns: set.map(({ column }) => column.name),
    from: prefix,
    counters: [],
    old: prefix + set.length,
  };
  const width = prefix + values.length;
  const computed = { table, given: undefined, keys: [], actions: [action], width, once: undefined };
  const shape = { ...analysis.shape, columns: undefined };
  return computedPlan(sql, shape.parameterTypes, {
    command: event,
    planning: { ...planning, analysis: { ...analysis, shape } },
    writes: { ...writesNothingElse(table), computed, triggered },
  });
}

const writesNothingElse = (table: LogicalTable): Omit<SplitWrites, 'computed'> => ({
  names: [`${table.schema}.${table.name}`],
  returns: false,
  arbiters: [],
  locks: [],
  first: [],
});

/** The refusal of a write to a table or view where the trusted side would have to fire triggers, or to look for conflicts. */
export const refused = (
  { schema, name, exclusions }: Pick<LogicalTable, 'schema' | 'name' | 'exclusions'>,
  detail: string,
): ClarusError =>
  new ClarusError(
    '0A000',
    `a write of this kind to the table "${name}", which has ${exclusions ? 'EXCLUDE constraints or ' : ''}triggers, is refused`,
    {
      detail: `It is finished on the trusted side; ${detail}.`,
      hint: 'Write the rows with an INSERT, UPDATE or DELETE of the table by itself.',
      schema,
      table: name,
    },
  );
