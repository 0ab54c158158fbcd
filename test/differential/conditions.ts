/** Conditions over protected columns, generated, and the pieces that statements are made of. */
import fc from 'fast-check';
import { type ColumnShape, columns, tagged } from './schema.js';

export interface Value {
  readonly value: string | null;
  /** type to say by a cast where the place does not say it */
  readonly cast?: string;
}

export type Part = string | Value;
export type Parts = readonly Part[];

/** A value for a column: mostly one of few, sometimes any, rarely a wrong one. */
export const valueFor = (column: ColumnShape, wrong = 1): fc.Arbitrary<Value> =>
  fc
    .oneof(
      { weight: 60, arbitrary: fc.constantFrom(...column.pool) },
      { weight: 20, arbitrary: column.other },
      { weight: 12, arbitrary: fc.constant(null) },
      ...(column.bad.length ? [{ weight: wrong, arbitrary: fc.constantFrom(...column.bad) }] : []),
    )
    .map(value => ({ value }));

export const join = (items: readonly Parts[], between: string): Parts =>
  items.flatMap((item, i) => (i === 0 ? item : [between, ...item]));

export const list = (values: readonly Part[]): Parts =>
  join(
    values.map(value => [value]),
    ', ',
  );

/**
 * A condition on one protected column.
 * @param q qualifies it (`sample.` or nothing)
 * @param wrong weight of a wrong value, beside 92 of right ones
 */
export const atom = (q: string, wrong = 1): fc.Arbitrary<Parts> => {
  const one = (column: ColumnShape): fc.Arbitrary<Parts> => {
    const name = `${q}${column.name}`;
    const value = valueFor(column, wrong);
    return fc.oneof(
      { weight: 3, arbitrary: value.map((v): Parts => [`${name} = `, v]) },
      { weight: 1, arbitrary: value.map((v): Parts => [v, ` = ${name}`]) },
      { weight: 3, arbitrary: value.map((v): Parts => [`${name} <> `, v]) },
      {
        weight: 3,
        arbitrary: fc
          .tuple(fc.constantFrom('IN', 'NOT IN'), fc.array(value, { minLength: 1, maxLength: 4 }))
          .map(([word, values]): Parts => [`${name} ${word} (`, ...list(values), ')']),
      },
      {
        weight: 2,
        arbitrary: fc.array(valueFor(column, 0), { maxLength: 3 }).map((values): Parts => {
          const items = values.map(({ value }) =>
            value === null ? 'NULL' : `"${value.replace(/["\\]/g, '\\$&')}"`,
          );
          return [`${name} = ANY (`, { value: `{${items.join(',')}}`, cast: `${column.base}[]` }, ')'];
        }),
      },
      {
        weight: 3,
        arbitrary: fc
          .tuple(fc.constantFrom('IS DISTINCT FROM', 'IS NOT DISTINCT FROM'), value)
          .map(([word, v]): Parts => [`${name} ${word} `, v]),
      },
    );
  };
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...tagged).chain(one) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...columns), fc.constantFrom('IS NULL', 'IS NOT NULL'))
        .map(([c, word]): Parts => [`${q}${c.name} ${word}`]),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom('<', '>=', '='), fc.integer({ min: 0, max: 40 }))
        .map(([op, n]): Parts => [`${q}id ${op} `, { value: String(n) }]),
    },
    { weight: 1, arbitrary: fc.constant<Parts>([`${q}note LIKE 'n%'`]) },
  );
};

export const condition = (q: string, wrong = 1): fc.Arbitrary<Parts> =>
  fc.oneof(
    { weight: 4, arbitrary: atom(q, wrong) },
    { weight: 2, arbitrary: atom(q, wrong).map((a): Parts => ['NOT (', ...a, ')']) },
    {
      weight: 4,
      arbitrary: fc
        .tuple(
          fc.constantFrom(' AND ', ' OR ', ' OR '),
          fc.array(atom(q, wrong), { minLength: 2, maxLength: 3 }),
        )
        .map(([word, atoms]): Parts => join(atoms, word)),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(atom(q, wrong), atom(q, wrong), atom(q, wrong))
        .map(([a, b, c]): Parts => ['(', ...a, ' OR NOT (', ...b, ')) AND ', ...c]),
    },
  );

export const where = (q: string): fc.Arbitrary<Parts> =>
  fc.option(condition(q), { freq: 6, nil: undefined }).map(c => (c ? [' WHERE ', ...c] : []));
