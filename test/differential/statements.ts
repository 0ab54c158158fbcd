/** Statements of every shape that is answered on protected tables, generated. */
import fc from 'fast-check';
import {
  atom,
  condition,
  join,
  list,
  type Part,
  type Parts,
  type Value,
  valueFor,
  where,
} from './conditions.js';
import { quoted } from './rows.js';
import { type ColumnShape, columns, tagged } from './schema.js';

/** How a statement is sent. */
export type Protocol = 'simple' | 'text' | 'binary' | 'named';

/** A statement with values in place of `?`. */
export interface Statement {
  /** pieces of SQL and values between them */
  readonly parts: readonly (string | Value)[];
  readonly protocol: Protocol;
  /** the order of the rows is defined */
  readonly ordered: boolean;
}

const someColumns = (from: readonly ColumnShape[], max = 4): fc.Arbitrary<readonly ColumnShape[]> =>
  fc.uniqueArray(fc.constantFrom(...from), { minLength: 1, maxLength: max });

const projection: fc.Arbitrary<string> = fc.oneof(
  fc.constant('*'),
  fc.constant(''),
  fc.constant('sample.*, id + 1 AS next'),
  someColumns(columns).map(chosen => chosen.map(c => c.name).join(', ')),
  someColumns(columns).map(
    chosen => `upper(note), ${chosen.map(c => `sample.${c.name} AS "${c.name} x"`).join(', ')}, id`,
  ),
);

const limit = fc.constantFrom('', '', ' LIMIT 5', ' LIMIT 3 OFFSET 2', ' LIMIT 0');

const shape = (
  parts: fc.Arbitrary<Parts>,
  ordered = false,
): fc.Arbitrary<{ readonly parts: Parts; readonly ordered: boolean }> =>
  parts.map(p => ({ parts: p, ordered }));

const select = fc.oneof(
  {
    weight: 6,
    arbitrary: shape(
      fc.tuple(projection, where('')).map(([p, w]): Parts => [`SELECT ${p} FROM sample`, ...w]),
    ),
  },
  {
    weight: 4,
    arbitrary: shape(
      fc
        .tuple(projection, where('sample.'), fc.constantFrom('id', 'note DESC, id', 'id DESC'), limit)
        .map(([p, w, order, l]): Parts => [`SELECT ${p} FROM sample`, ...w, ` ORDER BY ${order}${l}`]),
      true,
    ),
  },
  {
    weight: 2,
    arbitrary: shape(
      fc
        .tuple(fc.constantFrom(...columns), where(''))
        .map(([c, w]): Parts => [`SELECT count(*), count(${c.name}), max(id) FROM sample`, ...w]),
    ),
  },
  {
    weight: 1,
    arbitrary: shape(
      fc
        .tuple(fc.constantFrom(...columns), where(''))
        .map(
          ([c, w]): Parts => [
            `SELECT note, count(${c.name}) FROM sample`,
            ...w,
            ' GROUP BY note ORDER BY note',
          ],
        ),
      true,
    ),
  },
);

/** Weight of a wrong value beside 92 of right ones, where several shall meet. */
const WRONG = 60;

const wrongSelect = shape(
  fc
    .tuple(condition('', WRONG), fc.constantFrom('', '1', 'x'))
    .map(
      ([c, id]): Parts => ['SELECT id FROM sample WHERE ', ...c, ...(id ? [' OR id = ', { value: id }] : [])],
    ),
);

/** Pairs of columns that one tag compares. */
const joined = tagged.flatMap(left =>
  tagged
    .filter(right => left.name === right.name || (left.domain !== undefined && left.domain === right.domain))
    .filter(right => (left.name === right.name ? left.domain !== undefined : true))
    .map(right => [left, right] as const),
);

const joins = shape(
  fc
    .tuple(
      fc.constantFrom(...joined),
      fc.constantFrom('JOIN', 'LEFT JOIN', 'FULL JOIN', 'RIGHT JOIN', ','),
      fc.constantFrom('=', '=', '=', 'IS NOT DISTINCT FROM', '<>'),
      fc.option(atom('s.')),
      fc.constantFrom(...columns),
    )
    .map(([[left, right], word, operator, more, shown]): Parts => {
      // A FULL JOIN needs a merge or hash join: only `=` alone.
      const op = word === 'FULL JOIN' ? '=' : operator;
      const on = `s.${left.name} ${op} o.${right.name}`;
      const shownColumns = `s.id, o.id, s.${left.name}, o.${right.name}, o.${shown.name}`;
      const rest: Parts = more && word !== 'FULL JOIN' ? [' AND ', ...more] : [];
      return word === ','
        ? [`SELECT ${shownColumns} FROM sample s, other o WHERE ${on}`, ...rest]
        : [`SELECT ${shownColumns} FROM sample AS s ${word} other o ON ${on}`, ...rest];
    }),
);

/** The same, its condition said by USING: the common column has no table's name. */
const joinsUsing = shape(
  fc
    .tuple(
      fc.constantFrom(...joined.filter(([left, right]) => left.name === right.name).map(([left]) => left)),
      fc.constantFrom('JOIN', 'LEFT JOIN', 'RIGHT JOIN'),
      fc.option(atom('s.')),
      fc.constantFrom(...columns),
    )
    .map(
      ([common, word, more, shown]): Parts => [
        `SELECT ${common.name}, s.id, o.id, o.${shown.name} FROM sample s ${word} other o USING (${common.name})`,
        ...(more ? [' WHERE ', ...more] : []),
      ],
    ),
);

const returning = fc.constantFrom(
  '',
  ' RETURNING *',
  ' RETURNING id',
  ' RETURNING c_text, id + 1, c_numeric AS n, c_jsonb',
);

/** Row ids of inserts: mostly new ones. */
const newId = fc.integer({ min: 20, max: 100_000 });

const insert = (wrong: number): ReturnType<typeof shape> =>
  shape(
    someColumns(columns, 5).chain(chosen =>
      fc
        .tuple(
          fc.array(
            fc.tuple(
              newId,
              ...chosen.map(c =>
                fc.oneof({ weight: 9, arbitrary: valueFor(c, wrong) }, fc.constant('DEFAULT')),
              ),
            ),
            {
              minLength: 1,
              maxLength: 4,
            },
          ),
          fc.constantFrom('', '', ' ON CONFLICT DO NOTHING', ' ON CONFLICT (id) DO NOTHING'),
          returning,
          fc.constantFrom('sample', 'other'),
        )
        .map(
          ([rows, conflict, end, table]): Parts => [
            `INSERT INTO ${table} (id, ${chosen.map(c => c.name).join(', ')}) VALUES `,
            ...join(
              rows.map(([id, ...values]): Parts => [`(${id}, `, ...list(values as Part[]), ')']),
              ', ',
            ),
            `${conflict}${end}`,
          ],
        ),
    ),
  );

const update = (wrong: number): ReturnType<typeof shape> =>
  shape(
    fc
      .tuple(
        someColumns(columns, 3).chain(chosen =>
          fc.tuple(
            ...chosen.map(c =>
              fc
                .oneof({ weight: 9, arbitrary: valueFor(c, wrong) }, fc.constant('DEFAULT'))
                .map((v): Parts => [`${c.name} = `, v]),
            ),
          ),
        ),
        fc.constantFrom('', '', `, note = 'new'`),
        condition('', wrong),
        returning,
      )
      .map(
        ([sets, note, w, end]): Parts => [
          'UPDATE sample SET ',
          ...join(sets, ', '),
          `${note} WHERE `,
          ...w,
          end,
        ],
      ),
  );

const remove = shape(
  fc
    .tuple(atom(''), fc.integer({ min: 0, max: 40 }), returning)
    .map(([w, id, end]): Parts => [`DELETE FROM sample WHERE id > ${id} AND `, ...w, end]),
);

const code = fc.constantFrom('a', 'b', 'c', 'dd', 'é', 'zz').map((value): Value => ({ value }));
const small = fc.constantFrom('1', '2', '7').map((value): Value => ({ value }));
const word = fc.constantFrom('one', 'two', 'three', 'four', null, null).map((value): Value => ({ value }));

/** Statements about constraints: duplicates, NULLs, references that are missing. */
const keyed = fc.oneof(
  shape(
    fc
      .tuple(
        code,
        fc.oneof(
          { weight: 6, arbitrary: small },
          { weight: 1, arbitrary: fc.constant<Value>({ value: null }) },
        ),
        word,
        fc.constantFrom(
          '',
          '',
          ' ON CONFLICT DO NOTHING',
          ' ON CONFLICT (code) DO NOTHING',
          ' ON CONFLICT (word) DO NOTHING',
        ),
      )
      .map(
        ([c, n, w, conflict]): Parts => [
          'INSERT INTO keyed (code, n, word) VALUES (',
          c,
          ', ',
          n,
          ', ',
          w,
          `)${conflict} RETURNING *`,
        ],
      ),
  ),
  shape(
    code.map(
      (c): Parts => ['INSERT INTO keyed (code) VALUES (', c, ') ON CONFLICT DO NOTHING RETURNING n, open'],
    ),
  ),
  shape(
    fc
      .tuple(code, fc.constantFrom('1', '500', null), newId)
      .map(
        ([c, open, id]): Parts => [
          `INSERT INTO child (id, code, open) VALUES (${id}, `,
          c,
          ', ',
          { value: open },
          ') RETURNING *',
        ],
      ),
  ),
  shape(
    fc
      .tuple(fc.oneof(small, fc.constant<Value>({ value: null })), code)
      .map(([n, c]): Parts => ['UPDATE keyed SET n = ', n, ' WHERE code = ', c, ' RETURNING code, n']),
  ),
  shape(
    fc
      .tuple(code, code)
      .map(([c, d]): Parts => ['UPDATE keyed SET code = ', c, ' WHERE code = ', d, ' RETURNING code']),
  ),
  shape(fc.tuple(word, code).map(([w, c]): Parts => ['UPDATE keyed SET word = ', w, ' WHERE code <> ', c])),
  shape(code.map((c): Parts => ['DELETE FROM keyed WHERE code = ', c, ' RETURNING code'])),
  shape(
    fc.constant<Parts>(['SELECT k.code, c.code, k.word FROM keyed k LEFT JOIN child c ON k.code = c.code']),
  ),
  shape(
    small.map(
      (n): Parts => ['SELECT s.id, k.code FROM sample s JOIN keyed k ON s.c_int8 = k.n WHERE k.n = ', n],
    ),
  ),
);

/** Any supported statement. */
export const statement: fc.Arbitrary<Statement> = fc
  .tuple(
    fc.oneof(
      { weight: 24, arbitrary: select },
      { weight: 1, arbitrary: wrongSelect },
      { weight: 10, arbitrary: joins },
      { weight: 3, arbitrary: joinsUsing },
      { weight: 12, arbitrary: insert(1) },
      { weight: 1, arbitrary: insert(WRONG) },
      { weight: 6, arbitrary: update(1) },
      { weight: 1, arbitrary: update(WRONG) },
      { weight: 4, arbitrary: remove },
      { weight: 6, arbitrary: keyed },
    ),
    fc.constantFrom<Protocol>('simple', 'text', 'binary', 'named'),
  )
  .map(([s, protocol]) => ({ ...s, protocol }));

/** The statement as text with literals, or with `$n` and values. */
export function written({ parts, protocol }: Statement): { sql: string; values: (string | null)[] } {
  const values: (string | null)[] = [];
  const sql = parts
    .map(part => {
      if (typeof part === 'string') return part;
      const cast = part.cast === undefined ? '' : `::${part.cast}`;
      if (protocol === 'simple') return (part.value === null ? 'NULL' : quoted(part.value)) + cast;
      return `$${values.push(part.value)}${cast}`;
    })
    .join('');
  return { sql, values };
}
