/** Conditions of every shape: comparisons that a tag answers, and those that none does. */
import { columnOf, constant, expression, someKind, sortable } from './expressions.js';
import { existsSubquery, inSubquery, quantifiedSubquery, scalarSubquery } from './queries.js';
import type { Kind } from './schema.js';
import { type Making, type Reach, type Scope, typeOf } from './scope.js';

/** A condition. @param depth how deep it may nest */
export function condition(making: Making, scope: Scope, depth: number): string {
  const { choices } = making;
  if (scope.columns.length === 0) return constant(making, 'bool');
  const sub = (): string => condition(making, scope, depth - 1);
  return choices.way(
    [10, () => atom(making, scope, depth)],
    [3, () => (depth <= 0 ? atom(making, scope, 0) : `(${sub()} AND ${sub()})`)],
    [3, () => (depth <= 0 ? atom(making, scope, 0) : `(${sub()} OR ${sub()})`)],
    [1, () => (depth <= 0 ? atom(making, scope, 0) : `NOT (${sub()})`)],
    [
      1,
      () =>
        depth <= 0
          ? atom(making, scope, 0)
          : `(${sub()}) IS ${choices.pick(['TRUE', 'NOT TRUE', 'UNKNOWN', 'NOT FALSE'])}`,
    ],
  );
}

/** A value to compare a column with: one that it may hold. */
function valueFor(making: Making, { kind, column }: Reach): string {
  if (column === undefined) return constant(making, kind);
  const value = making.choices.chance(8) ? null : making.valueOf(column);
  return making.literal(value, value === null || making.choices.chance(40) ? typeOf[kind] : undefined);
}

/** A column to ask about: rather often one that has a tag. */
function asked({ choices }: Making, { columns }: Scope): Reach {
  const tagged = columns.filter(({ column }) => column?.label?.includes('equality'));
  return choices.pick(tagged.length > 0 && choices.chance(35) ? tagged : columns);
}

function atom(making: Making, scope: Scope, depth: number): string {
  const { choices } = making;
  const column = asked(making, scope);
  const { kind, sql } = column;
  const value = (): string => valueFor(making, column);
  const other = (): string => (columnOf(making, scope, kind) ?? column).sql;
  const compare = (operators: readonly string[]): string => `${sql} ${choices.pick(operators)} ${value()}`;
  const text = columnOf(making, scope, 'text');
  return choices.way(
    [8, () => named(making, '= constant', () => `${sql} = ${value()}`)],
    [2, () => named(making, 'constant = column', () => `${value()} = ${sql}`)],
    [2, () => compare(['<>'])],
    [
      5,
      () =>
        sortable.has(kind) || kind === 'interval' || kind === 'float'
          ? named(making, 'range', () => compare(['<', '<=', '>', '>=']))
          : compare(['=', '<>']),
    ],
    [2, () => `${sql} ${choices.pick(['=', '<>', '<', '>='])} ${other()}`],
    [3, () => `${sql} IS ${choices.pick(['NULL', 'NOT NULL'])}`],
    [
      6,
      () =>
        named(
          making,
          'IS DISTINCT FROM',
          () =>
            `${sql} IS ${choices.pick(['', 'NOT '])}DISTINCT FROM ${choices.chance(70) ? value() : other()}`,
        ),
    ],
    [
      2,
      () =>
        named(
          making,
          'BETWEEN',
          () =>
            `${sql} ${choices.pick(['', 'NOT '])}BETWEEN ${choices.pick(['', 'SYMMETRIC '])}${value()} AND ${value()}`,
        ),
    ],
    [
      3,
      () =>
        named(
          making,
          'IN list',
          () =>
            `${sql} ${choices.pick(['', 'NOT '])}IN (${[value(), ...choices.some(0, 2, value)].join(', ')})`,
        ),
    ],
    [3, () => named(making, '= ANY', () => anyOf(making, column))],
    [6, () => (text ? pattern(making, text) : compare(['=']))],
    [3, () => named(making, 'row comparison', () => rows(making, scope))],
    [3, () => (depth <= 0 ? compare(['=']) : existsSubquery(making, scope, depth - 1))],
    [3, () => (depth <= 0 ? compare(['=']) : inSubquery(making, scope, column, depth - 1))],
    [2, () => (depth <= 0 ? compare(['=']) : quantifiedSubquery(making, scope, column, depth - 1))],
    [2, () => (depth <= 0 ? compare(['=']) : `${sql} = ${scalarSubquery(making, scope, kind, depth - 1)}`)],
    [4, () => container(making, scope)],
    [2, () => (text ? fullText(making, text) : compare(['=']))],
    [
      4,
      () => {
        const of = someKind(making, scope);
        const left = expression(making, scope, of, depth);
        return named(
          making,
          'compared expression',
          () =>
            `${left} ${sortable.has(of) ? choices.pick(['=', '<', '>=', '<>']) : '='} ${expression(making, scope, of, depth)}`,
        );
      },
    ],
    [
      2,
      () => {
        const b = columnOf(making, scope, 'bool');
        return b ? `${b.sql}${choices.pick(['', ' IS NOT TRUE', ' IS FALSE'])}` : compare(['=']);
      },
    ],
    [1, () => overlaps(making, scope)],
    [
      1,
      () =>
        named(
          making,
          'function that reads a table',
          () =>
            `${making.schema.functions.reading}(${expression(making, scope, 'int', 0)}) > ${choices.integer(1, 6)}`,
        ),
    ],
  );
}

function named(making: Making, construct: string, make: () => string): string {
  making.has(construct);
  return make();
}

const item = (value: string): string => `"${value.replace(/["\\]/g, '\\$&')}"`;

function anyOf(making: Making, { sql, kind, column }: Reach): string {
  const { choices } = making;
  if (kind === 'ints' || kind === 'texts')
    return `${choices.pick(['1', '2'])} = ANY (${kind === 'ints' ? sql : `'{1,2}'::int[]`})`;
  const values = choices
    .some(0, 3, () => (column ? item(making.valueOf(column)) : undefined))
    .filter(v => v !== undefined);
  const array = making.literal(
    `{${[...values, ...(choices.chance(15) ? ['NULL'] : [])].join(',')}}`,
    `${typeOf[kind]}[]`,
  );
  const operator = choices.pick(['= ANY', '= ANY', '<> ALL', '= ALL']);
  return `${sql} ${operator} (${array})`;
}

function pattern(making: Making, { sql, column }: Reach): string {
  const { choices } = making;
  const word = column === undefined ? 'a' : making.valueOf(column).replace(/[%_\\]/g, '\\$&');
  const part = choices.pick([
    word,
    `${word}%`,
    `%${word.slice(-2)}`,
    `%${word.slice(0, 2)}%`,
    `${word.slice(0, 2)}_%`,
    '%',
  ]);
  return choices.way(
    [
      4,
      () =>
        named(making, 'LIKE', () => `${sql} ${choices.pick(['LIKE', 'NOT LIKE'])} ${making.literal(part)}`),
    ],
    [
      2,
      () =>
        named(
          making,
          'ILIKE',
          () => `${sql} ${choices.pick(['ILIKE', 'NOT ILIKE'])} ${making.literal(part)}`,
        ),
    ],
    [2, () => named(making, 'SIMILAR TO', () => `${sql} SIMILAR TO '(a|z|x)%'`)],
    [
      2,
      () =>
        named(
          making,
          'regular expression',
          () =>
            `${sql} ${choices.pick(['~', '~*', '!~', '!~*'])} ${making.literal(choices.pick(['^z', 'n$', '[0-9]', 'a.*n', '']))}`,
        ),
    ],
    [1, () => named(making, 'LIKE ESCAPE', () => `${sql} LIKE '%#_%' ESCAPE '#'`)],
    [1, () => named(making, 'starts with', () => `${sql} ^@ 'z'`)],
  );
}

function rows(making: Making, scope: Scope): string {
  const { choices } = making;
  const [a, b] = [choices.pick(scope.columns), choices.pick(scope.columns)];
  const ordered = [a, b].every(({ kind }) => sortable.has(kind));
  const operator = ordered ? choices.pick(['=', '<>', '<', '>=']) : '=';
  const right = (): string => `(${valueFor(making, a)}, ${valueFor(making, b)})`;
  if (choices.chance(30)) return `(${a.sql}, ${b.sql}) IN (${right()}, ${right()})`;
  if (choices.chance(15)) return `ROW(${a.sql}, ${b.sql}) IS ${choices.pick(['NOT NULL', 'NULL'])}`;
  return `(${a.sql}, ${b.sql}) ${operator} ${right()}`;
}

function container(making: Making, scope: Scope): string {
  const { choices } = making;
  const of = (kind: Kind): string => expression(making, scope, kind, 1);
  return choices.way(
    [
      2,
      () =>
        named(
          making,
          'jsonb operator',
          () =>
            `${of('jsonb')} ${choices.pick([`@> '{"k": 1}'`, `? 'k'`, `?| '{k,w}'`, `@? '$.k'`, `= '[]'`])}`,
        ),
    ],
    [
      2,
      () =>
        named(
          making,
          'array operator',
          () => `${of('ints')} ${choices.pick([`@> '{1}'`, `&& '{1,2}'`, `<@ '{1,2,3}'`, `= '{1,2}'`])}`,
        ),
    ],
    [
      1,
      () =>
        named(making, 'array operator', () => `${of('texts')} ${choices.pick([`@> '{a}'`, `&& '{b,a}'`])}`),
    ],
    [
      2,
      () =>
        named(making, 'range operator', () => {
          const [a, b] = [of('int'), of('int')];
          return `int8range(least(${a}, ${b}), greatest(${a}, ${b})) ${choices.pick([`@> 3::int8`, `&& int8range(1, 4)`, `<< int8range(5, 9)`])}`;
        }),
    ],
    [1, () => named(making, 'range operator', () => `daterange(${of('date')}, NULL) @> DATE '2020-06-01'`)],
  );
}

function fullText(making: Making, { sql }: Reach): string {
  making.has('full text');
  return `to_tsvector('simple', ${sql}) @@ ${making.choices.pick([`to_tsquery('simple', 'ann | b')`, `plainto_tsquery('simple', 'x')`, `to_tsquery('simple', 'a:*')`])}`;
}

function overlaps(making: Making, scope: Scope): string {
  const date = (): string => expression(making, scope, 'date', 0);
  making.has('OVERLAPS');
  return `(${date()}, ${date()}) OVERLAPS (DATE '2019-01-01', DATE '2021-01-01')`;
}
