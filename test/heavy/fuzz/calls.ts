/** Calls of aggregates and of window functions, in forms whose result no order of rows changes. */
import { condition } from './conditions.js';
import { columnOf, expression, loosen } from './expressions.js';
import type { Kind } from './schema.js';
import type { Making, Scope } from './scope.js';

/** A call and what it gives. */
export interface Call {
  readonly sql: string;
  readonly kind: Kind;
}

/** An aggregate. */
export function aggregate(making: Making, scope: Scope, depth: number): Call {
  const { choices } = making;
  const of = (kind: Kind): string =>
    choices.chance(70)
      ? (columnOf(making, scope, kind)?.sql ?? expression(making, scope, kind, 0))
      : expression(making, scope, kind, 1);
  const call = choices.way<Call>(
    [4, () => ({ sql: 'count(*)', kind: 'int' })],
    [4, () => counted(making, scope)],
    [
      3,
      () =>
        has(making, 'count(DISTINCT)', {
          sql: `count(DISTINCT ${of(choices.pick(['text', 'int', 'date', 'bool'] as const))})`,
          kind: 'int',
        }),
    ],
    [2, () => ({ sql: `sum(${of('int')})`, kind: 'int' })],
    [2, () => ({ sql: `sum(${of('numeric')})`, kind: 'numeric' })],
    [1, () => ({ sql: `avg(${of('int')})`, kind: 'numeric' })],
    [3, () => extreme(making, of)],
    [1, () => ({ sql: `${choices.pick(['bool_and', 'bool_or', 'every'])}(${of('bool')})`, kind: 'bool' })],
    [
      2,
      () =>
        has(making, 'ordered aggregate', ordered(`string_agg(@, ',' ORDER BY @ DESC)`, of('text'), 'text')),
    ],
    [
      1,
      () =>
        has(making, 'ordered aggregate', ordered('array_agg(@ ORDER BY @ NULLS FIRST)', of('int'), 'ints')),
    ],
    [1, () => has(making, 'ordered aggregate', ordered('jsonb_agg(@ ORDER BY @)', of('text'), 'jsonb'))],
    [
      1,
      () =>
        has(making, 'aggregate DISTINCT', { sql: `string_agg(DISTINCT ${of('text')}, ';')`, kind: 'text' }),
    ],
    [
      1,
      () =>
        has(making, 'ordered-set aggregate', {
          sql: `percentile_cont(0.5) WITHIN GROUP (ORDER BY ${of('int')})`,
          kind: 'float',
        }),
    ],
    [
      1,
      () =>
        has(making, 'ordered-set aggregate', {
          sql: `percentile_disc(0.5) WITHIN GROUP (ORDER BY ${of('text')})`,
          kind: 'text',
        }),
    ],
    [
      1,
      () =>
        has(making, 'ordered-set aggregate', {
          sql: `mode() WITHIN GROUP (ORDER BY ${of('text')})`,
          kind: 'text',
        }),
    ],
    [
      1,
      () =>
        has(making, 'ordered-set aggregate', {
          sql: `rank(2) WITHIN GROUP (ORDER BY ${of('int')})`,
          kind: 'int',
        }),
    ],
    [1, () => ({ sql: `stddev(${of('int')})`, kind: 'numeric' })],
    [
      1,
      () =>
        has(
          making,
          'user-defined aggregate',
          ordered(`${making.schema.functions.aggregate}(@ ORDER BY @)`, of('text'), 'text'),
        ),
    ],
    [1, () => ({ sql: `bit_or(${of('int')})`, kind: 'int' })],
  );
  if (depth < 0 || !choices.chance(20)) return call;
  making.has('FILTER');
  return { ...call, sql: `${call.sql} FILTER (WHERE ${condition(making, scope, 0)})` };
}

/** count of a column, whatever it holds. */
function counted(making: Making, scope: Scope): Call {
  const { choices } = making;
  const tagged = scope.columns.filter(({ column }) => column?.label?.includes('equality'));
  const from = tagged.length > 0 && choices.chance(60) ? tagged : scope.columns;
  if (from.length === 0) return { sql: 'count(*)', kind: 'int' };
  making.has('count of a column');
  return { sql: `count(${choices.pick(from).sql})`, kind: 'int' };
}

function has(making: Making, construct: string, call: Call): Call {
  making.has(construct);
  return call;
}

/** The same expression as argument and as order; a parameter stands once only, so it is named twice. */
const ordered = (pattern: string, argument: string, kind: Kind): Call => ({
  sql: pattern.replaceAll('@', () => argument),
  kind,
});

function extreme(making: Making, of: (kind: Kind) => string): Call {
  const kind = making.choices.pick(['int', 'text', 'date', 'numeric', 'timestamp'] as const);
  loosen(making, kind);
  return { sql: `${making.choices.pick(['min', 'max'])}(${of(kind)})`, kind };
}

/** A window function over a total order, or one that peers do not change. */
export function windowCall(making: Making, scope: Scope): Call {
  const { choices } = making;
  making.has('window');
  const of = (kind: Kind): string => columnOf(making, scope, kind)?.sql ?? expression(making, scope, kind, 0);
  const partition = choices.chance(50)
    ? `PARTITION BY ${of(choices.pick(['text', 'int', 'bool'] as const))} `
    : '';
  const by = of(choices.pick(['int', 'date', 'text'] as const));
  const direction = choices.pick(['', ' DESC', ' NULLS FIRST']);
  const peers: Call[] = [
    { sql: `rank() OVER (${partition}ORDER BY ${by}${direction})`, kind: 'int' },
    { sql: `dense_rank() OVER (${partition}ORDER BY ${by}${direction})`, kind: 'int' },
    { sql: `count(*) OVER (${partition}ORDER BY ${by}${direction})`, kind: 'int' },
    { sql: `sum(${of('int')}) OVER (${partition}ORDER BY ${by})`, kind: 'int' },
    { sql: `max(${of('text')}) OVER (${partition.trim()})`, kind: 'text' },
    {
      sql: `sum(${of('int')}) OVER (ORDER BY ${by} GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW)`,
      kind: 'int',
    },
  ];
  if (scope.keys === undefined) return choices.pick(peers);
  const total = `${partition}ORDER BY ${scope.keys.join(', ')}`;
  const whole: Call[] = [
    { sql: `row_number() OVER (${total})`, kind: 'int' },
    { sql: `lag(${of('text')}) OVER (${total})`, kind: 'text' },
    { sql: `lead(${of('int')}, 2) OVER (${total})`, kind: 'int' },
    { sql: `first_value(${of('date')}) OVER (${total})`, kind: 'date' },
    { sql: `ntile(3) OVER (${total})`, kind: 'int' },
    { sql: `sum(${of('int')}) OVER (${total} ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)`, kind: 'int' },
    {
      sql: `nth_value(${of('text')}, 2) OVER (${total} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)`,
      kind: 'text',
    },
  ];
  return choices.pick([...peers, ...whole]);
}
