/**
 * INSERT that no encoding answers alone: with ON CONFLICT, RETURNING or a query as its source. Its rows are computed
 * first; then one query pairs them with the rows that they conflict with, and says what is done to each.
 */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { quoteName } from '../../../catalog/quote.js';
import { hasHeirs } from '../../../catalog/trees.js';
import type { ClarusError } from '../../../errors.js';
import { arrayOids } from '../../../wire/types.js';
import { type Node, nodesIn } from '../../analysed/node.js';
import { allGeneratedOf, areAlikeBelow } from '../../checks/generated.js';
import type { GeneratedExpression } from '../../checks/table-checks.js';
import type { ComputedAction } from '../../execute/bodies.js';
import type { ProtectedPlan } from '../../plan.js';
import { deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode, stringOf, visit } from '../../raw/node.js';
import { returningExpressions } from '../../write/returning.js';
import { columnTypes } from '../delivery.js';
import type { SplitPlanning } from '../plan.js';
import { arrayTypesOf } from '../typed-source.js';
import {
  again,
  computedPlan,
  deparseWith,
  keptOut,
  nameOf,
  prefix,
  tableOf,
  untouched,
} from './computed-plan.js';
import { columnsOf, conflictOf, equals, isIn, keysOf, type UniqueIndex } from './conflict.js';
import { aliasOfTarget, planGivenRows, writesInWith } from './given-rows.js';
import { returnedRows, rowsReturned, withXmax } from './returned-rows.js';
import type { ViewTarget } from './view-target.js';
import { callsVolatile } from './volatile.js';

/** Name of the alias of the rows that are computed, and of what they say. */
const rows = 'clarus_rows';

/**
 * @param raw an InsertStmt
 * @param query its analysed Query
 * @param view the one that the statement names in place of the table
 * @param noted all columns where the rows that stand are noted before they are updated
 * @throws cause for what is inferred by an index that is no constraint, whole rows, and OLD and NEW of a view
 */
export async function planComputedInsert(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  planning: SplitPlanning,
  view?: Pick<ViewTarget, 'through' | 'returned'>,
  noted: readonly LogicalColumn[] = [],
): Promise<ProtectedPlan> {
  const { analysis, cause, session } = planning;
  const fields = raw.InsertStmt!;
  const names = view?.returned.names ?? table.columns.map(({ name }) => name);
  if (writesInWith(query)) throw cause;
  // WITH stands in two queries
  for (const cte of nodesIn(query, 'cteList'))
    if (await callsVolatile(cte.fields.ctequery as Node, session)) throw cause;
  const which = rowsReturned(query, cause);
  if (which.size > (view ? 0 : which.has('xmax') ? 1 : 2)) throw cause;
  refuseExcludedRow(fields, cause);
  const isReturning = nodesIn(query, 'returningList').length > 0;
  const generated = isReturning ? (await allGeneratedOf(table, session)).expressions : [];
  if (generated.length > 0 && !(await areAlikeBelow(table, session))) throw cause;
  // without conflicts, partitions look at their rows when these are written
  const isChecked = !table.partitioned || fields.onConflictClause !== undefined || view !== undefined;
  if (isChecked && table.partitioned && !(await areAlikeBelow(table, session))) throw cause;
  const given = await planGivenRows(raw, query, table, planning, view?.through, isChecked);
  const conflict = await conflictOf(fields, table, planning);
  const types = await columnTypes(table, session);
  const alias = aliasOfTarget(fields, table);
  const { parameterTypes } = analysis.shape;
  const all = [...given.columns, ...given.counters.map(({ column }) => column)];
  if (all.length === 0) throw cause;

  const arrays = all.map((_, i) => `pg_catalog.unnest($${parameterTypes.length + i + 1}::pg_catalog.text[])`);
  const typed = all.map((column, i) => `u.c${i}::${types.get(column.name)} AS ${quoteName(column.name)}`);
  const read = conflict.keys.flatMap(key => columnsOf(key, table));
  // what is computed of a row is known when it is written
  if (read.some(column => !all.includes(column))) throw cause;
  // the rows that are there are looked for by these
  const keyColumns = [...new Set(conflict.keys.flatMap(key => (key.computed ? [] : columnsOf(key, table))))];
  const keyTypes = await arrayTypes(keyColumns, planning);
  // which of the given rows with the same key it is
  const nth = conflict.keys.map((key, i) => {
    const is = isIn(key, table, 'x');
    const names = [...keysOf(key, table, 'x'), ...(is ? [is] : [])];
    return `, pg_catalog.row_number() OVER (PARTITION BY ${names.join(', ')} ORDER BY x.clarus_given) AS clarus_nth${i}`;
  });
  const excluded = `excluded AS MATERIALIZED (SELECT x.*${nth.join('')} FROM (SELECT ${typed.join(', ')}, u.clarus_given FROM ROWS FROM (${arrays.join(', ')}) WITH ORDINALITY AS u (${all.map((_, i) => `c${i}`).join(', ')}, clarus_given)) AS x)`;
  const common = deparseWith(fields, [excluded]);
  const keyParameter = (column: LogicalColumn): string =>
    `$${parameterTypes.length + all.length + keyColumns.indexOf(column) + 1}`;
  const matches = (key: UniqueIndex, of: string): string => {
    if (key.computed) {
      const given = keysOf(key, table, 'excluded');
      const are = [of, 'excluded'].flatMap(row => isIn(key, table, row) ?? []);
      const equal = keysOf(key, table, of).map((sql, i) => `${sql} OPERATOR(pg_catalog.=) ${given[i]!}`);
      return [...are, ...equal].join(' AND ');
    }
    return columnsOf(key, table)
      .flatMap(column => [
        `${of}.${quoteName(column.name)} ${equals(column)} excluded.${quoteName(column.name)}`,
        `${of}.${quoteName(column.name)} ${equals(column)} ANY (${keyParameter(column)})`,
      ])
      .join(' AND ');
  };
  const isNew = (key: UniqueIndex): string => {
    const names = keysOf(key, table, 'excluded');
    const is = isIn(key, table, 'excluded');
    return `(${names.map(name => `${name} IS NULL`).join(' OR ')}${is ? ` OR ${is} IS NOT TRUE` : ''} OR excluded.clarus_nth${conflict.keys.indexOf(key)} = 1)`;
  };

  const returning = returningExpressions(fields);
  const places = new Map(conflict.set.map(({ column }, i) => [column, `s${i}`]));
  /** the row of the table that has the given row's value of a key */
  const other = (key: number): string => (conflict.kind === 'update' ? target : `clarus_other${key}`);
  const ofOthers = (column: (alias: string) => string): string =>
    `COALESCE(${conflict.keys.map((_, i) => column(other(i))).join(', ')})`;
  const target = quoteName(alias);
  const isAmong = conflict.kind !== 'error' && conflict.keys.length > 0;
  const found = isAmong ? ofOthers(name => `${name}.ctid`) : 'NULL::pg_catalog.tid';
  let action = '0';
  let from = 'excluded';
  const catalog = session.catalog();
  // a key is of the table's own rows, or of those of its partitions
  const relation = `${hasHeirs(catalog, table) && !table.partitioned ? 'ONLY ' : ''}${nameOf(table)}`;
  if (conflict.kind === 'update') {
    const [key] = conflict.keys;
    from = `excluded LEFT JOIN ${relation} AS ${target} ON ${matches(key!, target)}`;
    const then =
      conflict.where === undefined ? 'ELSE 1' : `WHEN (${conflict.where}) THEN 1 ELSE ${untouched}`;
    action = `CASE WHEN ${target}.ctid IS NULL THEN CASE WHEN ${isNew(key!)} THEN 0 ELSE ${again} END ${then} END`;
  } else if (conflict.kind === 'nothing') {
    // where rows are left out later, those with the same key are told apart later too
    const isFirst = (key: UniqueIndex): string => (conflict.exclusions.length > 0 ? 'true' : isNew(key));
    const free = conflict.keys.map((key, i) => `${isFirst(key)} AND ${other(i)}.ctid IS NULL`);
    from = `excluded${conflict.keys.map((key, i) => ` LEFT JOIN ${relation} AS ${other(i)} ON ${matches(key, other(i))}`).join('')}`;
    action = `CASE WHEN ${free.length > 0 ? free.join(' AND ') : 'true'} THEN 0 WHEN ${found} IS NOT NULL THEN ${keptOut} END`;
  }
  const isUpdate = conflict.kind === 'update';
  const olds = isUpdate ? noted : [];
  // decided once: a condition may be another one each time that it is asked
  const decided = `(SELECT (${action})::pg_catalog.int4 AS clarus_action OFFSET 0) AS clarus_decided`;
  const columns = [
    'clarus_decided.clarus_action',
    `${found} AS clarus_ctid`,
    'excluded.clarus_given',
    `${isAmong ? ofOthers(name => tableOf(name, catalog, table)) : 'NULL::pg_catalog.oid'} AS clarus_table`,
    ...conflict.set.map(
      ({ sql }, i) => `CASE WHEN clarus_decided.clarus_action = 1 THEN ${sql} END AS s${i}`,
    ),
    ...olds.map(({ name }, i) => `${target}.${quoteName(name)} AS o${i}`),
    ...(returning.length === 0
      ? []
      : table.columns.flatMap((column, i) => [
          `${all.includes(column) ? `excluded.${quoteName(column.name)}` : 'NULL'} AS e${i}`,
          ...(isUpdate ? [`${target}.${quoteName(column.name)} AS t${i}`] : []),
        ])),
  ];
  const final = table.columns.flatMap((column, i) => {
    if (generated.some(one => one.column === column)) return [];
    const kept = `${rows}.${places.get(column) ?? `t${i}`}`;
    const value = isUpdate
      ? `CASE WHEN ${rows}.clarus_action = 0 THEN ${rows}.e${i} ELSE ${kept} END`
      : `${rows}.e${i}`;
    return [`${value} AS ${quoteName(column.name)}`];
  });
  const written = `SELECT ${final.join(', ')}`;
  const whole = generated.length === 0 ? written : withGenerated(written, table, generated);
  const stored = which.has('xmax') ? withXmax(whole, `${rows}.clarus_action = 1`) : whole;
  const before = table.columns.map(
    ({ name }, i) =>
      `${isUpdate ? `CASE WHEN ${rows}.clarus_action = 1 THEN ${rows}.t${i} END` : `NULL::${types.get(name)}`} AS ${quoteName(name)}`,
  );
  const beside =
    which.has('old') || which.has('new')
      ? returnedRows(
          fields,
          query,
          returning,
          { alias, current: stored, old: `SELECT ${before.join(', ')}`, new: stored },
          `${target}.*`,
          analysis.shape.columns?.length ?? 0,
          cause,
        )
      : undefined;
  const answer = beside?.columns ?? returning.flatMap(value => returned(value, alias, names));
  const sql = `${common}SELECT ${[
    ...[
      'clarus_action',
      'clarus_ctid',
      'clarus_given',
      'clarus_table',
      ...conflict.set.map((_, i) => `s${i}`),
      ...olds.map((_, i) => `o${i}`),
    ].map(name => `${rows}.${name}`),
    ...answer,
  ].join(', ')} FROM (SELECT ${columns.join(', ')} FROM ${from} CROSS JOIN LATERAL ${decided}) AS ${rows}${
    beside?.from ?? (returning.length > 0 ? ` CROSS JOIN LATERAL ${shownAs(stored, target, view)}` : '')
  } ORDER BY ${rows}.clarus_given`;

  const actions: ComputedAction[] = [
    { kind: 'insert', columns: all.map(c => c.name), from: undefined, counters: [] },
    ...(isUpdate
      ? [
          {
            kind: 'update' as const,
            columns: conflict.set.map(({ column }) => column.name),
            from: prefix,
            counters: [],
            ...(olds.length > 0 ? { old: prefix + conflict.set.length } : {}),
          },
        ]
      : []),
  ];
  return computedPlan(sql, [...parameterTypes, ...all.map(() => arrayOids.text), ...keyTypes], {
    command: 'INSERT',
    planning,
    writes: {
      names: [`${table.schema}.${table.name}`],
      // PostgreSQL looks where an updated row would go
      returns: isUpdate && (table.partitioned === true || table.bounds !== undefined),
      arbiters: conflict.keys.flatMap(({ name, below }) => [name, ...below]),
      locks: [],
      first: [],
      computed: {
        table,
        given,
        keys: keyColumns.map(column => all.indexOf(column)),
        actions,
        width: prefix + conflict.set.length + olds.length,
        once: 'ON CONFLICT DO UPDATE',
      },
    },
  });
}

/** A row with the columns that are computed of it, in the order of the table. */
export function withGenerated(
  row: string,
  { columns, name }: LogicalTable,
  generated: readonly GeneratedExpression[],
): string {
  const values = columns.map(column => {
    const found = generated.find(one => one.column === column);
    return found ? `${found.sql} AS ${quoteName(column.name)}` : quoteName(column.name);
  });
  return `SELECT ${values.join(', ')} FROM (${row}) AS ${quoteName(name)}`;
}

/** The row that is excluded as a whole: ours has a column more, and others in another order. */
function refuseExcludedRow({ onConflictClause }: RawFields, cause: ClarusError): void {
  visit(onConflictClause, (kind, reference) => {
    if (kind !== 'ColumnRef') return;
    const [first, second] = list(reference, 'fields');
    if (stringOf(first) === 'excluded' && second?.String === undefined) throw cause;
  });
}

async function arrayTypes(
  columns: readonly LogicalColumn[],
  { cause, session }: SplitPlanning,
): Promise<readonly number[]> {
  if (columns.length === 0) return [];
  const found = await arrayTypesOf(
    columns.map(column => column.type.oid),
    session,
  );
  if (found.some(oid => oid === 0)) throw cause;
  return found;
}

/** A row of the table under the name of the target; of a view what it shows. */
const shownAs = (row: string, target: string, view: Pick<ViewTarget, 'returned'> | undefined): string =>
  view
    ? `(SELECT clarus_shown.* FROM (${row}) AS clarus_stored CROSS JOIN LATERAL (${view.returned.sql('clarus_stored')}) AS clarus_shown) AS ${target}`
    : `(${row}) AS ${target}`;

function returned(target: RawNode, alias: string, names: readonly string[]): string[] {
  const value = child(fieldsOf(target), 'val')!;
  const parts = value.ColumnRef ? list(value.ColumnRef, 'fields') : [];
  if (parts.at(-1)?.A_Star === undefined) return [deparseExpression(value)];
  return names.map(name => `${quoteName(alias)}.${quoteName(name)}`);
}
