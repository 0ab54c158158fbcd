/**
 * The rows that an INSERT gives, whole: what its source gives, and for the columns that it does not name what they have
 * by default. They are computed first, so that their number and the values of their keys are known.
 */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { quoteName } from '../../../catalog/quote.js';
import { typeOids } from '../../../wire/types.js';
import { type Node, nodesIn } from '../../analysed/node.js';
import { generatedOf } from '../../checks/generated.js';
import { physical } from '../../compilation.js';
import {
  counterOf,
  type DefaultExpression,
  type Defaults,
  defaultsOf,
  generatedColumns,
} from '../../defaults.js';
import type { GivenRows } from '../../execute/bodies.js';
import { collect } from '../../execute/collect.js';
import { assignment } from '../../execute/convert.js';
import { deparse, deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, list, type RawFields, type RawNode, renumberAll } from '../../raw/node.js';
import { parseExpression, parseOne } from '../../raw/parse.js';
import { broken } from '../../row-security/policies.js';
import { touchOf } from '../../touch.js';
import { printingExactly } from '../exact.js';
import { type SplitPlanning, splitBody } from '../plan.js';
import { castNames, castOf, targetColumns, typedLiterals } from '../typed-source.js';

const checksQuery = physical(
  `SELECT c.conname, pg_catalog.pg_get_expr(c.conbin, c.conrelid), pg_catalog.array_to_string(c.conkey, ' ')
     FROM pg_catalog.pg_constraint c
    WHERE c.conrelid = $1 AND c.contype = 'c'
      AND coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::pg_catalog.bool, true) ORDER BY c.conname`,
  [26],
);

/** The CHECK constraints of a table: PostgreSQL asks them of each row that is given, before it looks for conflicts. */
async function checksOf(
  table: LogicalTable,
  { trusted }: SplitPlanning['session'],
): Promise<readonly { readonly name: string; readonly sql: string; readonly attnums: readonly number[] }[]> {
  const oid = Buffer.alloc(4);
  oid.writeUInt32BE(table.oid);
  const rows = await collect(trusted, checksQuery, [oid], [1], [0]);
  return rows
    .map(row => row.map(field => Buffer.from(field ?? []).toString()))
    .map(([name, sql, attnums]) => ({ name: name!, sql: sql!, attnums: attnums!.split(' ').map(Number) }));
}

/** What a column gets. */
export type Filling =
  | { readonly kind: 'given' }
  | { readonly kind: 'expression'; readonly sql: string }
  | { readonly kind: 'counter'; readonly sequence: string };

/** What the views say through which rows are given. */
export interface InsertedThrough {
  /** defaults of columns of the view, by attnum of the table */
  readonly defaults: Defaults;
  /** conditions that a row must meet, as expressions over columns of the table that are known */
  readonly checks: (
    columns: readonly LogicalColumn[],
  ) => readonly { readonly name: string; readonly sql: string }[];
}

/**
 * @param raw an InsertStmt
 * @param query its analysed Query
 * @param checked constraints are looked at now; else when the rows are written: triggers may change them before
 * @throws cause for a default that takes values from sequences in another way than by nextval alone, and where some rows
 *   take the next value of a sequence and others do not
 */
export async function planGivenRows(
  raw: RawNode,
  query: Node,
  table: LogicalTable,
  planning: SplitPlanning,
  through?: InsertedThrough,
  checked = true,
): Promise<GivenRows> {
  const { session, cause, analysis, homes } = planning;
  const fields = raw.InsertStmt!;
  if (fields.override === 'OVERRIDING_USER_VALUE') throw cause;
  const source = child(fields, 'selectStmt')?.SelectStmt;
  const rows = list(source ?? {}, 'valuesLists').map(row => list(row.List ?? {}, 'items'));
  const named = source
    ? rows.length > 0 && list(fields, 'cols').length === 0
      ? table.columns.slice(0, rows[0]!.length)
      : targetColumns(list(fields, 'cols'), query, table, cause)
    : [];
  const isDefault = (place: number): boolean =>
    rows.length > 0 && rows.every(row => row[place]?.SetToDefault !== undefined);
  const given = named.filter((_, place) => !isDefault(place));
  const fillings = await fillingsOf(table, column => given.includes(column), planning, through?.defaults);
  const computed = [...fillings].filter(([, filling]) => filling.kind !== 'counter');
  const columns = computed.map(([column]) => column);
  const casts = await castNames(columns, session);
  const isMixed = rows.some(row =>
    row.some((item, place) => item.SetToDefault !== undefined && !isDefault(place)),
  );
  const defaults = isMixed ? await fillingsOf(table, () => false, planning, through?.defaults) : undefined;
  const values = rows.map(row =>
    row.map((item, place) => {
      if (item.SetToDefault === undefined || isDefault(place)) return item;
      const filling = defaults!.get(named[place]!);
      if (filling?.kind !== 'expression') throw cause;
      return parseExpression(filling.sql);
    }),
  );
  const typed = (column: LogicalColumn, sql: string): string =>
    assignment(`(${sql})::${casts[columns.indexOf(column)]}`, column.type);
  const targets = computed.map(([column, filling]) =>
    typed(column, filling.kind === 'expression' ? filling.sql : `s.c${given.indexOf(column)}`),
  );
  const from = source
    ? ` FROM (${sourceSql(fields, source, values, given, named, casts, columns, cause)}) AS s (${given.map((_, i) => `c${i}`).join(', ')})`
    : '';
  const whole = `SELECT ${targets.map((sql, i) => `${sql} AS ${quoteName(columns[i]!.name)}`).join(', ')}${given.length > 0 ? from : rows.length > 1 ? ` FROM pg_catalog.generate_series(1, ${rows.length})` : ''}`;
  const checks = checked ? await checksOf(table, session) : [];
  const policies = planning.policies;
  const rules = [
    ...(policies?.checks ?? []).map(check => ({
      kind: 'policy' as const,
      name: check.name,
      breaks: broken(check, table, 'SELECT g.*'),
    })),
    ...checks.map(({ name, sql }) => ({ kind: 'check' as const, name, breaks: `NOT (${sql})` })),
    ...(through?.checks(columns) ?? []).map(({ name, sql }) => ({
      kind: 'view' as const,
      name,
      breaks: `(${sql}) IS NOT TRUE`,
    })),
  ];
  const cases = rules.map(({ breaks }, i) => `WHEN ${breaks} THEN ${i}`);
  // a check of a column that is counted could not be asked
  const counted = [...fillings].some(
    ([column, { kind }]) =>
      kind === 'counter' &&
      (checks.some(({ attnums }) => attnums.includes(column.attnum)) ||
        policies?.columns.includes(column) === true),
  );
  if (counted) throw cause;
  // a check may read what is computed of the row
  const isRead = ({ attnum }: LogicalColumn): boolean =>
    checks.some(({ attnums }) => attnums.includes(attnum));
  const read = ((await generatedOf(table, session))?.expressions ?? []).filter(({ column }) =>
    isRead(column),
  );
  if (read.some(({ columns: from }) => from.some(column => !columns.includes(column)))) throw cause;
  const generated = read.map(({ column, sql }) => `, ${sql} AS ${quoteName(column.name)}`).join('');
  const all = generated === '' ? whole : `SELECT g.*${generated} FROM (${whole}) AS g`;
  const shown = generated === '' ? 'g.*' : columns.map(({ name }) => `g.${quoteName(name)}`).join(', ');
  const sql = `SELECT ${shown}, ${rules.length > 0 ? `CASE ${cases.join(' ')} END` : 'NULL'} FROM (${all}) AS g`;
  const inner = await session.analyse(sql, analysis.shape.parameterTypes).catch(error => {
    // a view may check what is not known yet: the next value of a sequence, a generated column
    throw rules.some(({ kind }) => kind === 'view') ? cause : error;
  });
  const touch = await touchOf(inner, session, homes);
  const body = await splitBody(parseOne(sql), sql, { ...planning, analysis: inner, touch }, undefined);
  const types = [...columns.map(c => c.type.oid), rules.length > 0 ? typeOids.int4 : typeOids.text];
  return {
    table,
    rules: rules.map(({ breaks: _, ...rule }) => rule),
    body: { ...body, statement: printingExactly(body.statement, types, session.settings) },
    columns,
    checked,
    types: columns.map((_, i) => casts[i]!),
    counters: [...fillings].flatMap(([column, filling]) =>
      filling.kind === 'counter' ? [{ column, sequence: filling.sequence }] : [],
    ),
  };
}

/**
 * What each column of a table gets that is not computed from others.
 * @param isGiven does the statement give it a value?
 * @param own defaults that come before those of the table, by its attnum
 */
export async function fillingsOf(
  table: LogicalTable,
  isGiven: (column: LogicalColumn) => boolean,
  planning: SplitPlanning,
  own: Defaults = new Map(),
): Promise<ReadonlyMap<LogicalColumn, Filling>> {
  const { session } = planning;
  const [defaults, generated] = await Promise.all([
    defaultsOf(table, session),
    generatedColumns(table, session),
  ]);
  const fillings = new Map<LogicalColumn, Filling>();
  for (const column of table.columns) {
    if (generated.has(column.name)) continue;
    const found = own.get(column.attnum) ?? defaults.get(column.attnum);
    const sequence = counterOf(found);
    if (isGiven(column)) fillings.set(column, { kind: 'given' });
    else if (sequence !== undefined) fillings.set(column, { kind: 'counter', sequence });
    else fillings.set(column, { kind: 'expression', sql: expressionOf(found, planning) });
  }
  return fillings;
}

/** The source as a query whose columns are those that it gives. */
function sourceSql(
  fields: RawFields,
  source: RawFields,
  rows: readonly (readonly RawNode[])[],
  given: readonly LogicalColumn[],
  named: readonly LogicalColumn[],
  casts: readonly string[],
  columns: readonly LogicalColumn[],
  cause: Error,
): string {
  const { withClause } = fields;
  if (withClause && source.withClause) throw cause;
  const castFor = (column: LogicalColumn): string => casts[columns.indexOf(column)]!;
  const select: RawFields = withClause ? { ...source, withClause } : source;
  if (rows.length === 0) return deparse({ SelectStmt: typedLiterals(select, given.map(castFor)) });
  const places = given.map(column => named.indexOf(column));
  const valuesLists = rows.map(row => ({
    List: { items: places.map((place, i) => castOf(row[place]!, castFor(given[i]!))) },
  }));
  return deparse({ SelectStmt: { ...select, valuesLists } });
}

/** A default as an expression of a statement. */
export function expressionOf(found: DefaultExpression | undefined, { cause }: SplitPlanning): string {
  if (!found) return 'NULL';
  if (found.sequences.length > 0) throw cause;
  if (!found.time) return found.sql;
  const now = parseExpression('pg_catalog.now()');
  return deparseExpression(renumberAll(parseExpression(found.sql), () => now));
}

/** Does a statement write within WITH? */
export const writesInWith = (query: Node): boolean =>
  nodesIn(query, 'cteList').some(cte => {
    const inner = cte.fields.ctequery as Node;
    return String(inner.fields.commandType) !== '1';
  });

/** The conflict-free name of a target of INSERT, as its own expressions call it. */
export const aliasOfTarget = (fields: RawFields, table: LogicalTable): string =>
  (fieldsOf({ RangeVar: fields.relation as RawFields }).alias as { aliasname?: string } | undefined)
    ?.aliasname ?? table.name;
