/** Statements and COPY data with several things wrong, over a table whose protected and open columns take turns. */
import fc from 'fast-check';
import type { Parts, Value } from './conditions.js';
import { join, list } from './conditions.js';
import type { Protocol, Statement } from './statements.js';

/** Values are refused by a type, its modifier, NOT NULL, a CHECK, a key or a foreign key. */
export const wrongTablesSql = `
CREATE TABLE parent (code varchar(6) PRIMARY KEY);
CREATE TABLE mixed (
  id int PRIMARY KEY,
  label varchar(4) NOT NULL,
  secret varchar(4) NOT NULL,
  open numeric(4,2) CHECK (open < 50),
  amount numeric(4,2) NOT NULL,
  word text UNIQUE,
  day date,
  seen date,
  flag bool NOT NULL DEFAULT true,
  code varchar(6) REFERENCES parent
);`;

export const wrongPolicy = `unlisted: refuse
tables:
  public.parent:
    columns:
      code: { class: identifier, protect: encrypt, queries: [equality], domain: code }
  public.mixed:
    columns:
      id: { protect: none }
      label: { protect: none }
      secret: { class: identifier, protect: encrypt, queries: [equality] }
      open: { protect: none }
      amount: { class: confidential, protect: encrypt }
      word: { class: identifier, protect: encrypt, queries: [equality] }
      day: { class: confidential, protect: encrypt, queries: [equality] }
      seen: { protect: none }
      flag: { class: confidential, protect: encrypt }
      code: { class: identifier, protect: encrypt, queries: [equality], domain: code }`;

interface Shape {
  readonly name: string;
  readonly good: fc.Arbitrary<string | null>;
  /** null: NULL, which is refused */
  readonly bad: readonly (string | null)[];
}

const small = fc.integer({ min: 0, max: 9 }).map(String);
const day = fc.constantFrom('2024-02-29', 'infinity', '1999-12-31', null);

/** Columns in another order than the table's. */
export const mixed: readonly Shape[] = [
  { name: 'id', good: fc.integer({ min: 0, max: 100_000 }).map(String), bad: ['x', '3000000000', '1', null] },
  { name: 'secret', good: small, bad: ['too long', null] },
  { name: 'open', good: fc.constantFrom('1.5', '49', null), bad: ['x', '100', '75', '1,5'] },
  { name: 'label', good: small, bad: ['too long', null] },
  { name: 'word', good: fc.uuid(), bad: ['a'] },
  { name: 'amount', good: small, bad: ['1000', 'x', null] },
  { name: 'seen', good: day, bad: ['2024-02-30', 'never'] },
  { name: 'day', good: day, bad: ['2024-02-30', 'never'] },
  { name: 'flag', good: fc.constantFrom('t', 'false'), bad: ['maybe', null] },
  { name: 'code', good: fc.constantFrom('a', 'b', null), bad: ['far too long', 'none'] },
];

/** A value that is wrong once in `right` times. */
const fieldOf = ({ good, bad }: Shape, right: number): fc.Arbitrary<string | null> =>
  fc.oneof({ weight: right, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom(...bad) });

/** Columns that must be there, and some others, in the order of `mixed`. */
const someColumns: fc.Arbitrary<readonly Shape[]> = fc
  .subarray([...mixed], { minLength: 7 })
  .chain(chosen => fc.constantFrom(chosen, [...mixed], [...mixed], [...mixed]));

const sources = (shape: Shape, right: number): fc.Arbitrary<Value> =>
  fieldOf(shape, right).map(value => ({ value }));

const insert: fc.Arbitrary<Parts> = fc.tuple(someColumns, fc.constantFrom(8, 50)).chain(([chosen, right]) =>
  fc
    .tuple(
      fc.array(fc.tuple(...chosen.map(shape => sources(shape, right))), { minLength: 1, maxLength: 4 }),
      fc.constantFrom('', '', '', ' ON CONFLICT DO NOTHING', ' RETURNING word, id'),
    )
    .map(
      ([rows, end]): Parts => [
        `INSERT INTO mixed (${chosen.map(c => c.name).join(', ')}) VALUES `,
        ...join(
          rows.map((row): Parts => ['(', ...list(row), ')']),
          ', ',
        ),
        end,
      ],
    ),
);

const conditions: fc.Arbitrary<Parts> = fc.oneof(
  ...mixed
    .filter(({ name }) => ['id', 'secret', 'day', 'seen', 'open'].includes(name))
    .map(shape => sources(shape, 3).map((value): Parts => [`${shape.name} = `, value])),
);

const where = fc
  .tuple(conditions, conditions, fc.constantFrom(' OR ', ' OR ', ' AND '))
  .map(([a, b, word]): Parts => [' WHERE ', ...a, word, ...b]);

const update: fc.Arbitrary<Parts> = fc
  .subarray(
    mixed.filter(({ name }) => name !== 'id'),
    { minLength: 1, maxLength: 5 },
  )
  .chain(chosen =>
    fc.tuple(...chosen.map(shape => sources(shape, 3).map((v): Parts => [`${shape.name} = `, v]))),
  )
  .chain(sets => where.map((w): Parts => ['UPDATE mixed SET ', ...join(sets, ', '), ...w]));

const read: fc.Arbitrary<Parts> = where.map((w): Parts => ['SELECT count(*) FROM mixed', ...w]);
const remove: fc.Arbitrary<Parts> = where.map((w): Parts => ['DELETE FROM mixed', ...w]);

/** How a statement stands: alone, in a block, or in one that the trusted side takes part in. */
export type Standing = 'alone' | 'block' | 'savepoint' | 'joined';

export const wrongStatement: fc.Arbitrary<Statement & { readonly standing: Standing }> = fc
  .record({
    parts: fc.oneof(
      { weight: 5, arbitrary: insert },
      { weight: 3, arbitrary: update },
      { weight: 1, arbitrary: read },
      { weight: 1, arbitrary: remove },
    ),
    protocol: fc.constantFrom<Protocol>('simple', 'text', 'binary', 'named'),
    standing: fc.constantFrom<Standing>('alone', 'alone', 'block', 'savepoint', 'joined'),
  })
  .map(made => ({ ...made, ordered: false }));

/** Data of a COPY: fields by row, and rows that have too many or too few. */
export interface WrongCopy {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | null)[])[];
}

/** Columns whose values are texts, behind an integer. */
const binaryColumns = mixed.filter(({ name }) => ['id', 'secret', 'label', 'word', 'code'].includes(name));

export const wrongCopy = (binary: boolean): fc.Arbitrary<WrongCopy> =>
  fc
    .tuple(binary ? fc.constant(binaryColumns) : someColumns, fc.constantFrom(8, 40, 400))
    .chain(([chosen, right]) =>
      fc
        .array(
          fc.tuple(
            fc.tuple(...chosen.map(shape => fieldOf(shape, right))),
            fc.oneof(
              { weight: right, arbitrary: fc.constant('whole' as const) },
              { weight: 1, arbitrary: fc.constantFrom('short' as const, 'long' as const) },
            ),
            fc.nat(chosen.length - 1),
          ),
          { minLength: 1, maxLength: 12 },
        )
        .map(rows => ({
          columns: chosen.map(c => c.name),
          rows: rows.map(([fields, form, cut]) =>
            form === 'whole'
              ? fields
              : form === 'short'
                ? fields.slice(0, Math.max(1, cut))
                : [...fields, 'more'],
          ),
        })),
    );
