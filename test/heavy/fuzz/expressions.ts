/** Expressions of every kind over the columns in reach; none fails by the values that it meets. */
import { condition } from './conditions.js';
import { scalarSubquery } from './queries.js';
import type { Kind } from './schema.js';
import { type Making, type Reach, type Scope, typeOf } from './scope.js';

/** Values of each kind that stand in the clear wherever they stand. */
const constants: Readonly<Record<Kind, readonly string[]>> = {
  int: ['1', '0', '2', '7', '-3'],
  numeric: ['1', '0.5', '2.25', '-10'],
  text: ['a', '', 'x_', '-', 'ann', '%b%'],
  bool: ['t', 'f'],
  date: ['2020-01-01', '2021-06-15'],
  timestamp: ['2020-01-01 10:00'],
  timestamptz: ['2020-01-01 10:00+00'],
  interval: ['1 day', '2 hours'],
  float: ['0', '1.5'],
  uuid: ['00000000-0000-0000-0000-000000000001'],
  jsonb: ['{"k": 2}', '[1]'],
  ints: ['{1,2}', '{}'],
  texts: ['{a,b}', '{}'],
  bytea: ['\\x01'],
};

/** A literal of a kind. */
export const constant = (making: Making, kind: Kind): string =>
  making.literal(making.choices.pick(constants[kind]), typeOf[kind]);

/** A column of a kind, or NULL where none is in reach. */
export function columnOf(making: Making, scope: Scope, kind: Kind): Reach | undefined {
  const found = scope.columns.filter(column => column.kind === kind);
  return found.length === 0 ? undefined : making.choices.pick(found);
}

/** Kinds of the columns in reach, and those that expressions make of nothing. */
export function someKind(making: Making, scope: Scope): Kind {
  const kinds = [...new Set(scope.columns.map(column => column.kind))];
  return making.choices.chance(75) && kinds.length > 0
    ? making.choices.pick(kinds)
    : making.choices.pick(['int', 'text', 'bool', 'numeric', 'date'] as const);
}

/**
 * An expression.
 * @param depth how many operators may stand in each other
 */
export function expression(making: Making, scope: Scope, kind: Kind, depth: number): string {
  const { choices } = making;
  const column = (): string => columnOf(making, scope, kind)?.sql ?? constant(making, kind);
  if (depth <= 0 || choices.chance(30)) return choices.chance(15) ? constant(making, kind) : column();
  const of = (k: Kind): string => expression(making, scope, k, depth - 1);
  const operators = byKind[kind];
  return choices.way(
    [2, column],
    [
      8,
      () => {
        making.has(`expression of ${kind}`);
        return `(${choices.pick(operators)(of, making)})`;
      },
    ],
    [
      1,
      () => {
        making.has('CASE');
        const test = condition(making, scope, depth - 1);
        loosen(making, kind);
        return `CASE WHEN ${test} THEN ${of(kind)}${choices.chance(70) ? ` ELSE ${of(kind)}` : ''} END`;
      },
    ],
    [
      1,
      () => {
        making.has('COALESCE');
        loosen(making, kind);
        return `coalesce(${of(kind)}, ${of(kind)})`;
      },
    ],
    [1, () => `nullif(${of(kind)}, ${of(kind)})`],
    [
      1,
      () => {
        if (!sortable.has(kind)) return of(kind);
        loosen(making, kind);
        return `${choices.pick(['greatest', 'least'])}(${of(kind)}, ${of(kind)})`;
      },
    ],
    [1, () => (depth < 2 ? column() : scalarSubquery(making, scope, kind, depth - 1))],
  );
}

/** Kinds that can be put in an order, and whose equal values look alike (but numeric, where `loose` says so). */
export const sortable: ReadonlySet<Kind> = new Set<Kind>([
  'int',
  'numeric',
  'text',
  'bool',
  'date',
  'timestamp',
  'timestamptz',
  'uuid',
  'bytea',
]);

/** Numbers of different scales may meet here. */
export function loosen(making: Making, kind: Kind): void {
  if (kind === 'numeric') making.loose = true;
}

type Make = (of: (kind: Kind) => string, making: Making) => string;

const byKind: Readonly<Record<Kind, readonly Make[]>> = {
  int: [
    of => `${of('int')} + ${of('int')}`,
    of => `${of('int')} - 1`,
    of => `length(${of('text')})`,
    of => `(${of('int')} % 100) * 3`,
    of => `abs(${of('int')})`,
    of => `extract(year FROM ${of('date')})::int`,
    of => `strpos(${of('text')}, 'n')`,
    of => `${of('date')} - ${of('date')}`,
    of => `cardinality(${of('ints')})`,
    of => `${of('int')} / nullif(${of('int')}, 0)`,
    of => `(${of('ints')})[1]`,
    of => `sign(${of('numeric')})::int`,
    of => `ascii(${of('text')})`,
    of => `${of('bool')}::int`,
    of => `- ${of('int')}`,
    of => `(${of('int')} & 7) | 1`,
    of => `num_nulls(${of('text')}, ${of('int')})`,
    (of, making) => {
      making.has('PL/pgSQL function');
      return `${making.schema.functions.procedural}(${of('text')})`;
    },
  ],
  numeric: [
    of => `${of('numeric')} + ${of('numeric')}`,
    of => `${of('numeric')} * 2`,
    of => `round(${of('numeric')}, 1)`,
    of => `${of('numeric')} / nullif(${of('numeric')}, 0)`,
    of => `${of('int')}::numeric`,
    of => `abs(${of('numeric')})`,
    of => `trunc(${of('numeric')})`,
    of => `extract(epoch FROM ${of('timestamp')})`,
    of => `${of('numeric')} - ${of('int')}`,
    of => `mod(${of('numeric')}, 7)`,
    of => `${of('int')} * 1.50`,
  ],
  text: [
    of => `upper(${of('text')})`,
    of => `lower(${of('text')})`,
    (of, making) => {
      making.has('||');
      return `${of('text')} || ${of('text')}`;
    },
    of => `substr(${of('text')}, 2, 3)`,
    of => `left(${of('text')}, 3)`,
    of => `replace(${of('text')}, 'a', '#')`,
    of => `${of('int')}::text`,
    of => `to_char(${of('date')}, 'YYYY-MM')`,
    of => `concat(${of('text')}, '/', ${of('int')})`,
    of => `concat_ws('-', ${of('text')}, ${of('date')})`,
    of => `md5(${of('text')})`,
    of => `reverse(${of('text')})`,
    of => `initcap(${of('text')})`,
    of => `lpad(${of('text')}, 6, '*')`,
    of => `split_part(${of('text')}, '-', 1)`,
    of => `format('%s|%s', ${of('text')}, ${of('bool')})`,
    of => `regexp_replace(${of('text')}, '[aeiou]', '_', 'g')`,
    of => `${of('jsonb')} ->> 'k'`,
    of => `array_to_string(${of('ints')}, ',', 'nil')`,
    of => `${of('numeric')}::text`,
    of => `trim(${of('text')})`,
    of => `translate(${of('text')}, 'an', 'NA')`,
    of => `${of('text')}::varchar(4)`,
    of => `overlay(${of('text')} PLACING 'XX' FROM 2 FOR 1)`,
    of => `quote_literal(${of('text')})`,
    of => `encode(${of('bytea')}, 'hex')`,
    of => `${of('timestamp')}::text`,
    of => `to_char(${of('numeric')}, 'FM999990.00')`,
    of => `jsonb_typeof(${of('jsonb')})`,
    of => `substring(${of('text')} FROM 'z(.)')`,
    (of, making) => {
      making.has('SQL function');
      return `${making.schema.functions.ofSql}(${of('text')})`;
    },
  ],
  bool: [
    of => `${of('bool')} AND ${of('bool')}`,
    of => `${of('int')} > ${of('int')}`,
    of => `${of('text')} LIKE '%a%'`,
    of => `${of('text')} IS NULL`,
    of => `NOT ${of('bool')}`,
    of => `${of('numeric')} < ${of('numeric')}`,
    of => `${of('text')} = ${of('text')}`,
    of => `${of('bool')} IS TRUE`,
    of => `${of('date')} >= ${of('date')}`,
    (of, making) => {
      making.has('SQL function');
      return `${making.schema.functions.ofSql}(${of('text')}) LIKE '%N_'`;
    },
  ],
  date: [
    of => `${of('date')} + 3`,
    of => `(${of('date')} + interval '1 month')::date`,
    of => `date_trunc('month', ${of('date')}::timestamp)::date`,
    of => `${of('timestamp')}::date`,
    of => `${of('date')} - (${of('int')} % 10)::int`,
  ],
  timestamp: [
    of => `${of('timestamp')} + ${of('interval')}`,
    of => `date_trunc('hour', ${of('timestamp')})`,
    of => `${of('date')}::timestamp`,
    of => `${of('timestamptz')} AT TIME ZONE 'UTC'`,
    of => `${of('date')} + time '10:30'`,
  ],
  timestamptz: [
    of => `${of('timestamptz')} + interval '1 hour'`,
    of => `${of('timestamp')} AT TIME ZONE 'Europe/Berlin'`,
    of => `date_trunc('day', ${of('timestamptz')})`,
  ],
  interval: [
    of => `${of('interval')} * 2`,
    of => `${of('timestamp')} - ${of('timestamp')}`,
    of => `make_interval(days => (${of('int')} % 50)::int)`,
    of => `age(${of('timestamp')}, '2000-01-01')`,
  ],
  float: [
    of => `${of('float')} * 2`,
    of => `sqrt(abs(${of('float')}))`,
    of => `(${of('int')} % 100)::float8 / 4`,
    of => `${of('float')} + 1`,
  ],
  uuid: [of => of('uuid')],
  jsonb: [
    of => `to_jsonb(${of('text')})`,
    of => `jsonb_build_object('k', ${of('int')}, 't', ${of('text')})`,
    of => `${of('jsonb')} -> 'k'`,
    of => `jsonb_build_array(${of('int')}, ${of('bool')})`,
    of => `jsonb_strip_nulls(${of('jsonb')})`,
    of => `to_jsonb(${of('numeric')})`,
    of => `${of('jsonb')} #> '{k,l}'`,
    of => `to_jsonb(${of('ints')})`,
  ],
  ints: [
    of => `ARRAY[${of('int')}, ${of('int')}]`,
    of => `array_append(${of('ints')}, ${of('int')})`,
    of => `array_remove(${of('ints')}, 2)`,
    of => `(${of('ints')})[1:2]`,
    of => `${of('ints')} || ${of('ints')}`,
  ],
  texts: [
    of => `ARRAY[${of('text')}]::text[]`,
    of => `string_to_array(${of('text')}, '-')`,
    of => `array_cat(${of('texts')}, ${of('texts')})`,
    of => `regexp_split_to_array(${of('text')}, 'n')`,
  ],
  bytea: [
    of => `convert_to(${of('text')}, 'UTF8')`,
    of => `sha256(${of('bytea')})`,
    of => `${of('bytea')} || '\\x00'::bytea`,
  ],
};
