/** MERGE: one query joins its source with the table, and says for each row which of the actions is taken. */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { quoteName } from '../../../catalog/quote.js';
import { hasHeirs } from '../../../catalog/trees.js';
import type { Node } from '../../analysed/node.js';
import { allGeneratedOf, areAlikeBelow } from '../../checks/generated.js';
import type { ComputedAction } from '../../execute/bodies.js';
import { assignment } from '../../execute/convert.js';
import type { ProtectedPlan } from '../../plan.js';
import { deparseExpression } from '../../raw/deparse.js';
import {
  child,
  columnRef,
  fieldsOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  text,
} from '../../raw/node.js';
import { parseExpression } from '../../raw/parse.js';
import { returningExpressions } from '../../write/returning.js';
import { columnTypes } from '../delivery.js';
import type { SplitPlanning } from '../plan.js';
import { castNames } from '../typed-source.js';
import {
  assignments,
  computedPlan,
  deparseWith,
  fromItem,
  nameOf,
  prefix,
  tableOf,
} from './computed-plan.js';
import { aliasOfTarget, type Filling, fillingsOf, writesInWith } from './given-rows.js';
import { returnedRows } from './returned-rows.js';

/** Which rows a WHEN clause is about: those of both sides, or of one that has no partner in the other. */
type MatchKind = 'MATCHED' | 'BY_SOURCE' | 'BY_TARGET';

const kinds: Readonly<Record<string, MatchKind>> = {
  MERGE_WHEN_MATCHED: 'MATCHED',
  MERGE_WHEN_NOT_MATCHED_BY_SOURCE: 'BY_SOURCE',
  MERGE_WHEN_NOT_MATCHED_BY_TARGET: 'BY_TARGET',
};

/** What one WHEN clause does, and the values that it does it with. */
interface Clause {
  readonly kind: MatchKind;
  readonly condition: string | undefined;
  /** undefined: DO NOTHING */
  readonly action: Omit<ComputedAction, 'from'> | undefined;
  readonly values: readonly string[];
}

/**
 * @param raw a MergeStmt
 * @param query its analysed Query
 * @param noted all columns where the rows that stand are noted before they are changed
 * @throws cause for OVERRIDING, and for RETURNING of what is known only when the rows are written
 */
export async function planComputedMerge(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  planning: SplitPlanning,
  noted: readonly LogicalColumn[] = [],
): Promise<ProtectedPlan> {
  const { analysis, cause, session } = planning;
  const fields = raw.MergeStmt!;
  if (writesInWith(query)) throw cause;
  const clauses: Clause[] = [];
  for (const clause of list(fields, 'mergeWhenClauses'))
    clauses.push(await clauseOf(qualified(fieldsOf(clause), fields, table), table, planning));
  const target = quoteName(aliasOfTarget(fields, table));
  const isReturning = returningExpressions(fields).length > 0;
  if (isReturning && !mayReturn(clauses, noted)) throw cause;

  const actions: ComputedAction[] = [];
  const values: string[] = [];
  const numbers = clauses.map(({ action, values: own }) => {
    if (!action) return 'NULL::pg_catalog.int4';
    const number = actions.length;
    actions.push({ ...action, from: prefix + values.length });
    values.push(...own.map(sql => `CASE WHEN clarus_rows.clarus_action = ${number} THEN ${sql} END`));
    return String(number);
  });
  const chosen = (kind: MatchKind): string => {
    const found = clauses.flatMap((clause, i) =>
      clause.kind === kind ? [` WHEN ${clause.condition ?? 'true'} THEN ${numbers[i]}`] : [],
    );
    return found.length > 0 ? `CASE${found.join('')} END` : 'NULL';
  };
  const old = prefix + values.length;
  const olds = noted.map(({ name }) => `${target}.${quoteName(name)}`);
  const on = deparseExpression(child(fields, 'joinCondition')!);
  const own = deparseWith(fields, []);
  const bySource = isBySource(clauses)
    ? `WHEN clarus_source.clarus_present IS NULL THEN ${chosen('BY_SOURCE')}`
    : '';
  const decided = `CASE WHEN ${target}.ctid IS NULL THEN ${chosen('BY_TARGET')} ${bySource} ELSE ${chosen('MATCHED')} END`;
  const from = `${joined(fields, clauses)} ${nameOf(table)} AS ${target} ON ${on}
         CROSS JOIN LATERAL (SELECT (${decided})::pg_catalog.int4 AS clarus_action OFFSET 0) AS clarus_rows`;
  const answer = isReturning
    ? await returned(fields, query, table, { actions, values }, planning)
    : { from: '', values, columns: [] };
  const outputs = [
    'clarus_rows.clarus_action',
    `${target}.ctid`,
    'NULL::pg_catalog.int8',
    tableOf(target, session.catalog(), table),
    ...answer.values,
    ...olds,
    ...answer.columns,
  ];
  return computedPlan(
    `${own}SELECT ${outputs.join(', ')} FROM ${from}${answer.from}`,
    analysis.shape.parameterTypes,
    {
      command: 'MERGE',
      planning,
      writes: {
        names: [`${table.schema}.${table.name}`],
        // a row that goes to another partition is written there whole
        returns: hasHeirs(session.catalog(), table) || table.bounds !== undefined,
        arbiters: [],
        locks: [],
        first: [],
        computed: {
          table,
          given: undefined,
          keys: [],
          actions: noted.length > 0 ? actions.map(action => ({ ...action, old })) : actions,
          width: prefix + values.length + olds.length,
          once: 'MERGE',
        },
      },
    },
  );
}

/** The source and how it is joined with the table: rows that no clause is about are left out (transform_MERGE_to_join). */
function joined(fields: RawFields, clauses: readonly Clause[]): string {
  const source = fromItem(child(fields, 'sourceRelation')!);
  const byTarget = clauses.some(({ kind, action }) => kind === 'BY_TARGET' && action);
  if (!isBySource(clauses)) return `${source} LEFT JOIN`;
  return `(${source} CROSS JOIN (SELECT true AS clarus_present) AS clarus_source) ${byTarget ? 'FULL' : 'RIGHT'} JOIN`;
}

/** Is something done to rows of the table that have no partner in the source? */
const isBySource = (clauses: readonly Clause[]): boolean =>
  clauses.some(({ kind, action }) => kind === 'BY_SOURCE' && action);

/** Are rows known as they will be, before they are written and without triggers? */
const mayReturn = (clauses: readonly Clause[], noted: readonly LogicalColumn[]): boolean =>
  noted.length === 0 && clauses.every(({ action }) => (action?.counters.length ?? 0) === 0);

/** RETURNING: the values of the actions, each computed once, and the rows that are made of them. */
async function returned(
  fields: RawFields,
  query: Node,
  table: LogicalTable,
  { actions, values }: { readonly actions: readonly ComputedAction[]; readonly values: readonly string[] },
  { analysis, cause, session }: SplitPlanning,
): Promise<{
  readonly from: string;
  readonly values: readonly string[];
  readonly columns: readonly string[];
}> {
  const alias = aliasOfTarget(fields, table);
  const types = await columnTypes(table, session);
  const computed = values.map((sql, i) => `${sql} AS v${i}`);
  const columnOf = (name: string): string => `${quoteName(alias)}.${quoteName(name)}`;
  const current = (name: string): string => {
    const whens = actions.flatMap(({ kind, columns, from }, i) => {
      if (kind === 'delete' || (kind === 'update' && !columns.includes(name))) return [];
      const place = columns.indexOf(name);
      return [` WHEN ${i} THEN ${place < 0 ? 'NULL' : `clarus_values.v${from! - prefix + place}`}`];
    });
    if (whens.length === 0) return columnOf(name);
    return `(CASE clarus_rows.clarus_action${whens.join('')} ELSE ${columnOf(name)} END)::${types.get(name)}`;
  };
  const deletes = actions.flatMap(({ kind }, i) => (kind === 'delete' ? [i] : []));
  const fresh = (name: string): string =>
    deletes.length === 0
      ? current(name)
      : `CASE WHEN clarus_rows.clarus_action NOT IN (${deletes.join(', ')}) THEN ${current(name)} END`;
  const rowOf = (value: (name: string) => string): string =>
    `SELECT ${table.columns.map(({ name }) => `${value(name)} AS ${quoteName(name)}`).join(', ')}`;
  const { expressions } = await allGeneratedOf(table, session);
  if (expressions.length > 0 && !(await areAlikeBelow(table, session))) throw cause;
  /** the row as it is written, with what is computed of it; rows that are deleted are as they were */
  const written = (value: (name: string) => string): string => {
    if (expressions.length === 0) return rowOf(value);
    const isWritten =
      deletes.length === 0 ? 'true' : `clarus_rows.clarus_action NOT IN (${deletes.join(', ')})`;
    const values = table.columns.map(({ name }) => {
      const found = expressions.find(({ column }) => column.name === name);
      const shown = found
        ? `CASE WHEN ${isWritten} THEN ${found.sql} ELSE ${quoteName(name)} END`
        : quoteName(name);
      return `${shown} AS ${quoteName(name)}`;
    });
    return `SELECT ${values.join(', ')} FROM (${rowOf(value)}) AS ${quoteName(table.name)}`;
  };
  const words = actions.map(({ kind }, i) => ` WHEN ${i} THEN '${kind.toUpperCase()}'`);
  const action = parseExpression(
    words.length > 0
      ? `(CASE clarus_rows.clarus_action${words.join('')} END)::pg_catalog.text`
      : 'NULL::pg_catalog.text',
  );
  const targets = returningExpressions(fields).map(target =>
    rewrite(target, kind => (kind === 'MergeSupportFunc' ? action : undefined)),
  );
  const source = itemName(child(fields, 'sourceRelation')!);
  if (source === undefined) throw cause;
  const row = {
    alias,
    current: written(current),
    old: rowOf(columnOf),
    new: written(fresh),
  };
  const width = analysis.shape.columns?.length ?? 0;
  const all = `${quoteName(source)}.*, ${quoteName(alias)}.*`;
  const { from, columns } = returnedRows(fields, query, targets, row, all, width, cause);
  const once =
    values.length > 0 ? ` CROSS JOIN LATERAL (SELECT ${computed.join(', ')} OFFSET 0) AS clarus_values` : '';
  return {
    from: `${once}${from} WHERE clarus_rows.clarus_action IS NOT NULL`,
    values: values.map((_, i) => `clarus_values.v${i}`),
    columns,
  };
}

/** What an item of FROM is called; undefined: it has no name of its own. */
function itemName(item: RawNode): string | undefined {
  const { alias, relname } = fieldsOf(item);
  const name = (alias as RawFields | undefined)?.aliasname ?? relname;
  return typeof name === 'string' ? name : undefined;
}

/**
 * A WHEN clause about rows of one side sees its columns only: one that is not qualified is qualified with the side, because
 * here both are seen. Within subqueries it may mean something else.
 */
function qualified(clause: RawFields, fields: RawFields, table: LogicalTable): RawFields {
  const kind = kinds[String(clause.matchKind)];
  const side =
    kind === 'BY_SOURCE'
      ? aliasOfTarget(fields, table)
      : kind === 'BY_TARGET' && itemName(child(fields, 'sourceRelation')!);
  if (!side) return clause;
  const see = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(see);
    if (value === null || typeof value !== 'object') return value;
    const { ColumnRef: reference, SubLink: query } = value as RawNode;
    if (query) return { SubLink: { ...query, testexpr: see(query.testexpr) } };
    const [name, ...more] = reference ? list(reference, 'fields') : [];
    const isColumn = name?.String && table.columns.some(column => column.name === stringOf(name));
    if (isColumn && more.length === 0) return columnRef(side, stringOf(name));
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, see(field)]));
  };
  return see(clause) as RawFields;
}

async function clauseOf(clause: RawFields, table: LogicalTable, planning: SplitPlanning): Promise<Clause> {
  const { cause } = planning;
  const condition = child(clause, 'condition');
  const kind = kinds[String(clause.matchKind)];
  if (!kind) throw cause;
  if (clause.override !== undefined && clause.override !== 'OVERRIDING_NOT_SET') throw cause;
  const common = {
    kind,
    condition: condition && deparseExpression(condition),
  };
  switch (clause.commandType) {
    case 'CMD_NOTHING':
      return { ...common, action: undefined, values: [] };
    case 'CMD_DELETE':
      return { ...common, action: { kind: 'delete', columns: [], counters: [] }, values: [] };
    case 'CMD_UPDATE': {
      const set = await assignments(list(clause, 'targetList'), table, planning);
      const columns = set.map(({ column }) => column.name);
      return {
        ...common,
        action: { kind: 'update', columns, counters: [] },
        values: set.map(({ sql }) => sql),
      };
    }
    case 'CMD_INSERT':
      return { ...common, ...(await inserted(clause, table, planning)) };
  }
  throw cause;
}

async function inserted(
  clause: RawFields,
  table: LogicalTable,
  planning: SplitPlanning,
): Promise<Pick<Clause, 'action' | 'values'>> {
  const { cause, session } = planning;
  const values = list(clause, 'values');
  const targets = list(clause, 'targetList').map(fieldsOf);
  if (targets.some(target => list(target, 'indirection').length > 0)) throw cause;
  const names =
    targets.length > 0
      ? targets.map(target => text(target, 'name'))
      : table.columns.slice(0, values.length).map(c => c.name);
  const isGiven = (column: LogicalColumn): boolean =>
    names.includes(column.name) && values[names.indexOf(column.name)]?.SetToDefault === undefined;
  const fillings = [...(await fillingsOf(table, isGiven, planning))];
  const counters = fillings.flatMap(([column, filling]) =>
    filling.kind === 'counter' ? [{ column, sequence: filling.sequence }] : [],
  );
  const others = fillings.filter(([, { kind }]) => kind !== 'counter');
  const casts = await castNames(
    others.map(([column]) => column),
    session,
  );
  const sqlOf = (column: LogicalColumn, filling: Filling): string =>
    filling.kind === 'expression' ? filling.sql : deparseExpression(values[names.indexOf(column.name)]!);
  return {
    action: {
      kind: 'insert',
      columns: [...others.map(([{ name }]) => name), ...counters.map(({ column }) => column.name)],
      counters,
    },
    values: others.map(([column, filling], i) =>
      assignment(`(${sqlOf(column, filling)})::${casts[i]}`, column.type),
    ),
  };
}
