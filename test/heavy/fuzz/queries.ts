/** Queries of every shape. Each gives the same rows on every server: where it cuts rows off, its order is total. */

import { aggregate, windowCall } from './calls.js';
import { condition } from './conditions.js';
import { columnOf, expression, loosen, someKind, sortable } from './expressions.js';
import { from, type Source } from './from.js';
import type { Kind, Table } from './schema.js';
import type { Making, Reach, Scope } from './scope.js';

/** A column of a query's result. */
export interface Output {
  readonly name: string;
  readonly kind: Kind;
}

/** A query. */
export interface Query {
  readonly sql: string;
  readonly outputs: readonly Output[];
  /** its order is total */
  readonly ordered: boolean;
  /** it may stand as a part of UNION and its kin */
  readonly bare: boolean;
}

const nothing: Scope = { columns: [], keys: undefined };

/** Any query. @param outer columns that it may read beside its own */
export function query(making: Making, outer: Scope, depth: number): Query {
  const { choices } = making;
  return choices.way(
    [12, () => select(making, outer, depth)],
    [depth > 0 ? 3 : 0, () => setOperation(making, outer, depth)],
    [depth > 0 ? 3 : 0, () => withQuery(making, outer, depth)],
    [4, () => grouped(making, outer, depth)],
    [1, () => values(making, outer)],
  );
}

/** A column that a query is to give. */
export interface Wanted {
  readonly kind: Kind;
  /** of values that may stand in the clear */
  readonly open?: boolean;
  /** texts without the blanks of char(n): of equal ones a set operation gives any */
  readonly trimmed?: boolean;
}

/** A query whose columns are of given kinds. */
export function queryOf(making: Making, outer: Scope, wanted: readonly Wanted[], depth: number): Query {
  const source = from(making, outer, depth);
  const scope = joined(source, outer);
  const targets = wanted.map(({ kind, open, trimmed }, i) => {
    const own = open ? openPart(source.scope) : source.scope;
    const column = making.choices.chance(70) ? columnOf(making, own, kind) : undefined;
    const sql = column?.sql ?? expression(making, open ? openPart(scope) : scope, kind, Math.min(depth, 1));
    return `${trimmed && kind === 'text' ? `${sql}::text` : sql} AS c${i}`;
  });
  return {
    sql: `SELECT ${targets.join(', ')} FROM ${source.sql}${where(making, scope, depth)}`,
    outputs: wanted.map(({ kind }, i) => ({ name: `c${i}`, kind })),
    ordered: false,
    bare: true,
  };
}

/** The columns in reach whose values stand in the clear. */
export const openPart = ({ columns, keys }: Scope): Scope => ({
  columns: columns.filter(({ column }) => column !== undefined && column.label === undefined),
  keys,
});

const joined = ({ scope }: Source, outer: Scope): Scope => ({
  columns:
    outer.columns.length === 0 ? scope.columns : [...scope.columns, ...scope.columns, ...outer.columns],
  keys: scope.keys,
});

const where = (making: Making, scope: Scope, depth: number): string =>
  making.choices.chance(75) ? ` WHERE ${condition(making, scope, depth)}` : '';

function select(making: Making, outer: Scope, depth: number): Query {
  const { choices } = making;
  const source = from(making, outer, depth);
  const scope = joined(source, outer);
  const windows = choices.chance(15);
  const twice = depth > 0 && choices.chance(4);
  const targets: { sql: string; kind: Kind }[] = choices.some(1, 4, () => {
    if (twice && choices.chance(60)) return { sql: correlatedExtreme(making, source.scope), kind: 'int' };
    const kind = someKind(making, source.scope);
    const own = columnOf(making, source.scope, kind);
    if (windows && choices.chance(50)) return windowCall(making, scope);
    if (own !== undefined && choices.chance(55)) return { sql: own.sql, kind };
    if (depth > 0 && choices.chance(6)) {
      making.has('projected predicate');
      return { sql: `(${condition(making, scope, depth - 1)})`, kind: 'bool' };
    }
    return { sql: expression(making, scope, kind, Math.min(depth, 2)), kind };
  });
  const series = !windows && choices.chance(5);
  if (series) targets.push(setReturning(making, scope));
  const outputs = targets.map(({ kind }, i) => ({ name: `c${i}`, kind }));
  const list = targets.map(({ sql }, i) => `${sql} AS c${i}`).join(', ');
  const tail = where(making, scope, depth);
  const comparable = targets.every(({ kind }) => sortable.has(kind));
  const distinct = comparable && choices.chance(15);
  const text = targets.some(({ kind }) => kind === 'numeric');
  if (distinct) {
    making.has('DISTINCT');
    if (text) making.loose = true;
    if (choices.chance(30)) return distinctOn(making, list, source, tail, outputs);
  }
  const sql = `SELECT ${distinct ? 'DISTINCT ' : ''}${list} FROM ${source.sql}${tail}`;
  return comparable && choices.chance(40)
    ? inOrder(making, sql, outputs)
    : { sql, outputs, ordered: false, bare: true };
}

function distinctOn(
  making: Making,
  list: string,
  { sql }: Source,
  tail: string,
  outputs: readonly Output[],
): Query {
  making.has('DISTINCT ON');
  return {
    sql: `SELECT DISTINCT ON (1) ${list} FROM ${sql}${tail} ORDER BY ${outputs.map((_, i) => i + 1).join(', ')}`,
    outputs,
    ordered: true,
    bare: false,
  };
}

/** Puts a total order behind a query, and perhaps takes a part of its rows. */
function inOrder(making: Making, sql: string, outputs: readonly Output[]): Query {
  const { choices } = making;
  making.has('ORDER BY');
  const collated = choices.chance(15) && outputs.some(({ kind }) => kind === 'text');
  if (collated) making.has('ORDER BY COLLATE');
  const order = outputs.map(({ kind, name }, i) => {
    const nulls = choices.chance(25);
    if (nulls) making.has('NULLS FIRST/LAST');
    const entry = collated
      ? `${name}${kind === 'text' ? ' COLLATE "C"' : ''}`
      : choices.pick([String(i + 1), name]);
    return `${entry}${choices.pick(['', ' DESC', ' ASC'])}${nulls ? choices.pick([' NULLS FIRST', ' NULLS LAST']) : ''}`;
  });
  const part = choices.way(
    [4, () => ''],
    [2, () => named(making, 'LIMIT', () => ` LIMIT ${choices.integer(0, 5)}`)],
    [
      1,
      () => named(making, 'OFFSET', () => ` LIMIT ${choices.integer(1, 4)} OFFSET ${choices.integer(1, 3)}`),
    ],
    [1, () => named(making, 'OFFSET', () => ` OFFSET ${choices.integer(1, 3)}`)],
    [2, () => named(making, 'FETCH WITH TIES', () => ` FETCH FIRST ${choices.integer(1, 4)} ROWS WITH TIES`)],
    [1, () => named(making, 'LIMIT', () => ' FETCH NEXT 3 ROWS ONLY')],
  );
  if (outputs.some(({ kind }) => kind === 'numeric')) making.loose = true;
  const whole = collated ? `SELECT * FROM (${sql}) AS ${making.alias()}` : sql;
  return { sql: `${whole} ORDER BY ${order.join(', ')}${part}`, outputs, ordered: true, bare: false };
}

function named(making: Making, construct: string, make: () => string): string {
  making.has(construct);
  return make();
}

function setReturning(making: Making, scope: Scope): { sql: string; kind: Kind } {
  making.has('set-returning function');
  const of = (kind: Kind): string => expression(making, scope, kind, 0);
  return making.choices.pick<() => { sql: string; kind: Kind }>([
    () => ({ sql: 'generate_series(1, 2)', kind: 'int' }),
    () => ({ sql: `unnest(${of('ints')})`, kind: 'int' }),
    () => ({ sql: `unnest(${of('texts')})`, kind: 'text' }),
    () => ({ sql: `regexp_split_to_table(${of('text')}, '-')`, kind: 'text' }),
    () => ({ sql: `generate_series(1, abs(${of('int')}) % 3)`, kind: 'int' }),
  ])();
}

function grouped(making: Making, outer: Scope, depth: number): Query {
  const { choices } = making;
  const source = from(making, outer, depth);
  const scope = joined(source, outer);
  making.has('GROUP BY');
  const keys = choices
    .some(0, 2, () => groupKey(making, source.scope))
    .filter((key): key is Reach => key !== undefined);
  // few at a time are more often such that the cloud answers them all
  const aggregates = choices.some(1, choices.pick([1, 3]), () => aggregate(making, scope, depth));
  const tail = where(making, scope, depth);
  const sets =
    keys.length === 0
      ? ''
      : choices.way(
          [6, () => ` GROUP BY ${keys.map(k => k.sql).join(', ')}`],
          [
            1,
            () =>
              named(
                making,
                'GROUPING SETS',
                () => ` GROUP BY GROUPING SETS ((${keys.map(k => k.sql).join(', ')}), (${keys[0]!.sql}), ())`,
              ),
          ],
          [
            1,
            () =>
              named(making, 'GROUPING SETS', () => ` GROUP BY ROLLUP (${keys.map(k => k.sql).join(', ')})`),
          ],
          [
            1,
            () => named(making, 'GROUPING SETS', () => ` GROUP BY CUBE (${keys.map(k => k.sql).join(', ')})`),
          ],
        );
  const having = choices.chance(30)
    ? named(making, 'HAVING', () => {
        const { sql, kind } = aggregate(making, scope, 0);
        return ` HAVING ${kind === 'int' ? `${sql} > 1` : choices.pick(['count(*) > 1', `${sql} IS NOT NULL`])}`;
      })
    : '';
  const targets = [...keys.map(({ sql, kind }) => ({ sql, kind })), ...aggregates];
  const outputs = targets.map(({ kind }, i) => ({ name: `c${i}`, kind }));
  const sql = `SELECT ${targets.map(({ sql: target }, i) => `${target} AS c${i}`).join(', ')} FROM ${source.sql}${tail}${sets}${having}`;
  const comparable = outputs.every(({ kind }) => sortable.has(kind));
  return comparable && choices.chance(30)
    ? inOrder(making, sql, outputs)
    : { sql, outputs, ordered: false, bare: true };
}

function groupKey(making: Making, scope: Scope): Reach | undefined {
  const kind = making.choices.pick(['text', 'int', 'bool', 'date', 'numeric', 'timestamp'] as const);
  const column = columnOf(making, scope, kind);
  if (column === undefined) return undefined;
  if (column.column === undefined) loosen(making, kind);
  if (making.choices.chance(80)) return column;
  making.has('GROUP BY expression');
  return {
    sql: kind === 'text' ? `upper(${column.sql})` : kind === 'int' ? `${column.sql} % 3` : column.sql,
    kind,
    column: undefined,
  };
}

function setOperation(making: Making, outer: Scope, depth: number): Query {
  const { choices } = making;
  making.has('set operation');
  const kinds = choices.some(1, 2, () => choices.pick(['text', 'int', 'date', 'bool'] as const));
  const wanted = kinds.map(kind => ({ kind, trimmed: true }));
  const part = (): string => queryOf(making, outer, wanted, depth - 1).sql;
  const word = (): string =>
    choices.pick(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL', 'INTERSECT ALL']);
  const sql = choices.chance(20)
    ? `(${part()}) ${word()} ((${part()}) ${word()} (${part()}))`
    : `${part()} ${word()} ${part()}`;
  const outputs = kinds.map((kind, i) => ({ name: `c${i}`, kind }));
  return choices.chance(40) ? inOrder(making, sql, outputs) : { sql, outputs, ordered: false, bare: false };
}

function withQuery(making: Making, outer: Scope, depth: number): Query {
  const { choices } = making;
  const before = making.ctes;
  const name = making.alias();
  if (choices.chance(25)) {
    making.has('recursive CTE');
    const table = choices.pick(making.schema.tables.filter(t => t.key !== undefined));
    const text = table.columns.find(c => c.kind === 'text')?.name ?? `${table.key}::text`;
    making.ctes = [
      ...before,
      cte(name, [
        { name: 'c0', kind: 'int' },
        { name: 'c1', kind: 'text' },
      ]),
    ];
    const main = query(making, outer, depth - 1);
    making.ctes = before;
    return {
      ...main,
      sql: `WITH RECURSIVE ${name}(c0, c1) AS (SELECT ${table.key}, ${text}::text FROM ${table.name} WHERE ${table.key} < 3 UNION ALL SELECT r.c0 + 2, t.${text.includes('::') ? text : `${text}::text`} FROM ${name} r JOIN ${table.name} t ON t.${table.key} = r.c0 + 2) ${main.sql}`,
      bare: false,
    };
  }
  making.has('CTE');
  const inner = query(making, nothing, depth - 1);
  const how = choices.pick(['', '', 'MATERIALIZED ', 'NOT MATERIALIZED ']);
  if (how !== '') making.has('CTE MATERIALIZED');
  making.ctes = [...before, cte(name, inner.outputs)];
  const main = query(making, outer, depth - 1);
  making.ctes = before;
  return { ...main, sql: `WITH ${name} AS ${how}(${inner.sql}) ${main.sql}`, bare: false };
}

/** What a query gives, as a table that FROM may name. */
export const cte = (name: string, outputs: readonly Output[]): Table => ({
  name,
  columns: outputs.map(output => ({ ...output, type: '', label: undefined, pool: [], unique: false })),
  key: undefined,
  writable: false,
});

function values(making: Making, outer: Scope): Query {
  making.has('VALUES');
  const rows = making.choices.some(
    1,
    3,
    () => `(${expression(making, outer, 'int', 1)}, ${expression(making, outer, 'text', 1)})`,
  );
  const outputs: Output[] = [
    { name: 'column1', kind: 'int' },
    { name: 'column2', kind: 'text' },
  ];
  return { sql: `VALUES ${rows.join(', ')}`, outputs, ordered: false, bare: false };
}

/** A subquery of one value; the aggregate makes sure of that. */
export function scalarSubquery(making: Making, scope: Scope, kind: Kind, depth: number): string {
  making.has('scalar subquery');
  const source = from(making, nothing, 0);
  const inner = joined(source, scope);
  const column = columnOf(making, source.scope, kind);
  const tail = where(making, inner, depth);
  if (scope.columns.length > 0 && making.choices.chance(50)) making.has('correlated subquery');
  if (!sortable.has(kind) || kind === 'uuid' || kind === 'bytea' || column === undefined)
    return `(SELECT ${expression(making, inner, kind, 0)} FROM (SELECT 1) AS ${making.alias()} WHERE ${condition(making, scope, 0)})`;
  if (column.column === undefined) loosen(making, kind);
  const call =
    kind === 'bool' ? `bool_or(${column.sql})` : `${making.choices.pick(['max', 'min'])}(${column.sql})`;
  return `(SELECT ${call} FROM ${source.sql}${tail})`;
}

/** Of one table whatever stands around it: so that several of a query read the same one. */
function correlatedExtreme(making: Making, outer: Scope): string {
  const { choices, schema } = making;
  const outside = columnOf(making, outer, 'int');
  const alias = making.alias();
  const own = schema.tables[1]!.columns.filter(c => c.kind === 'int');
  making.has('scalar subquery');
  making.has('correlated subquery');
  return `(SELECT ${choices.pick(['max', 'min', 'sum'])}(${alias}.${choices.pick(own).name})::int FROM ${schema.tables[1]!.name} AS ${alias} WHERE ${alias}.${choices.pick(own).name} ${choices.pick(['<', '>=', '<>'])} ${outside?.sql ?? '3'})`;
}

/** EXISTS or NOT EXISTS. */
export function existsSubquery(making: Making, scope: Scope, depth: number): string {
  making.has('EXISTS');
  const source = from(making, nothing, 0);
  const link = correlation(making, scope, source.scope);
  return `${making.choices.pick(['', 'NOT '])}EXISTS (SELECT ${making.choices.pick(['1', '*', ''])} FROM ${source.sql} WHERE ${link ?? condition(making, joined(source, scope), depth)})`;
}

/** A condition that reads both a column of the outer query and one of the inner. */
function correlation(making: Making, outer: Scope, inner: Scope): string | undefined {
  const { choices } = making;
  if (outer.columns.length === 0 || choices.chance(30)) return undefined;
  const column = choices.pick(outer.columns);
  const own = columnOf(making, inner, column.kind);
  if (own === undefined) return undefined;
  making.has('correlated subquery');
  return `${own.sql} = ${column.sql}${choices.chance(40) ? ` AND ${condition(making, inner, 0)}` : ''}`;
}

/** column [NOT] IN (SELECT ...). */
export function inSubquery(making: Making, scope: Scope, column: Reach, depth: number): string {
  making.has('IN subquery');
  const { sql } = queryOf(
    making,
    making.choices.chance(30) ? scope : nothing,
    [{ kind: column.kind }],
    depth,
  );
  return `${column.sql} ${making.choices.pick(['', 'NOT '])}IN (${sql})`;
}

/** column op ANY/ALL (SELECT ...). */
export function quantifiedSubquery(making: Making, scope: Scope, column: Reach, depth: number): string {
  making.has('ANY/ALL subquery');
  const { sql } = queryOf(
    making,
    making.choices.chance(30) ? scope : nothing,
    [{ kind: column.kind }],
    depth,
  );
  const operator = sortable.has(column.kind) ? making.choices.pick(['=', '<', '>=', '<>']) : '=';
  return `${column.sql} ${operator} ${making.choices.pick(['ANY', 'ALL'])} (${sql})`;
}
