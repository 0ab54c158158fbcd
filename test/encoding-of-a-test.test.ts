/**
 * An encoding that stands in this file only: it has a side table, state and an aggregate, and is handed to the
 * registry like any other. What it takes part in must answer as a plain PostgreSQL does.
 */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { columnOf, type PlainColumn, plain, valueAt } from '../src/crypto/column.js';
import type { EncodedColumn, Encoding, EncodingContext } from '../src/encodings/encoding.js';
import { arrayElements } from '../src/wire/arrays.js';
import { typeOids } from '../src/wire/types.js';
import { Side } from './differential/sides.js';
import type { Statement } from './differential/statements.js';
import { count, seed } from './heavy/support/scale.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, told } from './support/raw-client.js';

/** Bytes of an integer in binary form, by type. */
const integerBytes = new Map<number, number>([
  [typeOids.int2, 2],
  [typeOids.int4, 4],
]);

/**
 * Sums of small integers: each value stands in a side table plus a mask, modulo 2^64. The cloud adds up what it
 * holds; the masks of the rows it added are subtracted here. A mask is an HMAC of a counter value, under the salt of
 * the counter's lease, which the state keeps.
 */
const tally: Encoding = {
  kind: 'tally',
  queries: ['sum'],

  changesState: true,
  rejects: type => (integerBytes.has(type.oid) ? undefined : 'only integer and smallint are added up'),

  relations: () => [
    {
      kind: 'table',
      role: 'masked',
      columns: [
        { name: 'masked', type: 'bigint' },
        { name: 'lease', type: 'text' },
        { name: 'counter', type: 'bigint' },
      ],
    },
  ],

  async protect(column, { rows, values }, context) {
    const { first, salt } = await context.keys.counters(column, 'mask', rows.length);
    const lease = createHash('sha256').update(salt).digest('hex').slice(0, 16);
    if (!(await context.state.get(column, `lease/${lease}`)))
      await context.state.put(column, `lease/${lease}`, salt);
    const present = Array.from(rows.keys()).filter(i => valueAt(values, i) !== null);
    if (present.length > 0) await context.state.put(column, `noted/${rows[present[0]!]}`, Uint8Array.of(1));
    return {
      columns: {},
      tables: {
        masked: {
          rows: Float64Array.from(present, i => rows[i]!),
          columns: [
            columnOf(
              present.map(i =>
                int64(integerAt(values, i) + mask(column, context, { salt, counter: BigInt(first + i) })),
              ),
            ),
            columnOf(present.map(() => Buffer.from(lease))),
            columnOf(present.map(i => int64(BigInt(first + i)))),
          ],
        },
      },
    };
  },

  answers(column, question) {
    if (question.kind !== 'aggregate' || question.name !== 'sum' || question.distinct) return undefined;
    const of = (value: string): string =>
      `(SELECT ${value} FROM {table:masked} side WHERE side.clarus_row = {row})`;
    return {
      exactness: 'exact',
      sql: `array_prepend(sum(${of('side.masked')})::text, array_agg(${of("side.lease || ' ' || side.counter")}))`,
      operandTypes: [],
      operands: async () => [],
      finish: async (answers, context) => {
        const sums: (Uint8Array | null)[] = [];
        for (let i = 0; i < answers.length; i++)
          sums.push(await unmasked(column, arrayElements(valueAt(answers, i)!), context));
        return plain(columnOf(sums));
      },
    };
  },

  leaks: () => ({
    atRest: 'which values are NULL',
    fromQueries: 'which rows are added up',
    facts: { length: false, nulls: true, equality: false, frequency: false, order: false },
  }),
};

function integerAt(values: PlainColumn, i: number): bigint {
  const bytes = Buffer.from(valueAt(values, i)!);
  return BigInt(bytes.readIntBE(0, bytes.length));
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt.asIntN(64, value));
  return bytes;
}

function mask(
  column: EncodedColumn,
  { keys }: EncodingContext,
  { salt, counter }: { salt: Uint8Array; counter: bigint },
): bigint {
  const key = keys.domainKey(column.domain, 'tally');
  return createHmac('sha256', key).update(salt).update(int64(counter)).digest().readBigInt64BE();
}

/** The salt of a lease, as the state keeps it and as the counter's lease does. */
async function saltOf(
  column: EncodedColumn,
  lease: string,
  counter: number,
  { keys, state }: EncodingContext,
): Promise<Uint8Array> {
  const salt = await state.get(column, `lease/${lease}`);
  assert.ok(salt, 'the lease of a mask is known');
  assert.deepEqual(await keys.counterSalt(column, 'mask', counter), Uint8Array.from(salt));
  return salt;
}

/** @param answer the sum of the masked values, then lease and counter value of each */
async function unmasked(
  column: EncodedColumn,
  answer: PlainColumn,
  context: EncodingContext,
): Promise<Uint8Array | null> {
  const masked = valueAt(answer, 0);
  if (masked === null) return null;
  let sum = BigInt(Buffer.from(masked).toString());
  const salts = new Map<string, Uint8Array>();
  for (let i = 1; i < answer.length; i++) {
    const place = valueAt(answer, i);
    if (place === null) continue;
    const [lease, counter] = Buffer.from(place).toString().split(' ') as [string, string];
    const salt = salts.get(lease) ?? (await saltOf(column, lease, Number(counter), context));
    salts.set(lease, salt);
    sum -= mask(column, context, { salt, counter: BigInt(counter) });
  }
  return int64(sum);
}

const policy = `unlisted: refuse
tables:
  public.visit: &visit
    columns:
      id: { protect: none }
      ward: { protect: none }
      fee: { class: confidential, protect: encrypt, queries: [sum, equality] }
      days: { class: confidential, protect: encrypt, queries: [sum] }
      remark: { class: confidential, protect: encrypt }
  public.visit_state: *visit`;
const tableSql =
  'CREATE TABLE visit (id int PRIMARY KEY, ward text, fee int DEFAULT 5, days smallint, remark text)';

let proxy: TestProxy;
let plainSide: Side;
let clarus: Side;

before(async () => {
  proxy = await startProxy({ policy, encodings: [tally] });
  plainSide = await Side.connect(proxy.plain);
  clarus = await Side.connect(proxy);
  for (const side of [plainSide, clarus]) await side.client.query(tableSql);
});

after(async () => {
  await plainSide?.close();
  await clarus?.close();
  await proxy?.stop();
});

/** Compares a statement's answers. */
async function same(
  sql: string,
  protocol: Statement['protocol'] = 'simple',
  values: (string | null)[] = [],
): Promise<void> {
  const pieces = sql.split('?');
  const parts = pieces.flatMap((piece, i) => (i < values.length ? [piece, { value: values[i]! }] : [piece]));
  const statement: Statement = { parts, protocol, ordered: false };
  assert.deepEqual(await clarus.run(statement), await plainSide.run(statement), sql);
}

const sums = [
  'SELECT sum(fee), sum(days) FROM visit',
  'SELECT ward, sum(fee) AS fees, count(*), sum(days) FROM visit GROUP BY ward',
  'SELECT sum(fee) FROM visit WHERE fee <> 5 AND id < 60',
  'SELECT id, fee, days, remark FROM visit',
];
const sameSums = async (): Promise<void> => {
  for (const sql of sums) for (const protocol of ['simple', 'binary'] as const) await same(sql, protocol);
};

const fee = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.constantFrom(5, 7)).map(String);
const days = fc.option(fc.integer({ min: -32768, max: 32767 }).map(String));
const id = fc.integer({ min: 0, max: 80 }).map(String);
const ward = fc.constantFrom('a', 'b', null);
type Change = readonly [sql: string, values: (string | null)[]];
const change = (sql: string, ...values: fc.Arbitrary<string | null>[]): fc.Arbitrary<Change> =>
  fc.tuple(...values).map(drawn => [sql, drawn]);
const insert = 'INSERT INTO visit (id, ward, fee, days) VALUES (?, ?, ?, ?)';
const changes = fc.oneof(
  change(insert, id, ward, fc.option(fee), days),
  change(`${insert} ON CONFLICT DO NOTHING`, id, ward, fee, days),
  change(
    `${insert}, (?, 'a', DEFAULT, ?) ON CONFLICT (id) DO NOTHING RETURNING id, fee`,
    id,
    ward,
    fee,
    days,
    id,
    days,
  ),
  change('UPDATE visit SET fee = ? WHERE id > ?', fc.option(fee), id),
  change("UPDATE visit SET days = ?, ward = 'b' WHERE id < ? RETURNING id, days", days, id),
  change('UPDATE visit SET fee = DEFAULT, remark = ? WHERE fee = ?', ward, fee),
  change('UPDATE visit SET remark = ? WHERE id = ?', ward, id),
  change('DELETE FROM visit WHERE fee = ?', fee),
  change('DELETE FROM visit WHERE id = ? RETURNING fee, id', id),
);

test('sums over its side table are those of a plain PostgreSQL, after any writes', async t => {
  const runs = count('statements over the encoding of a test', 6_000, 120);
  let done = 0;
  const run = async ([sql, values]: Change, protocol: Statement['protocol']): Promise<void> => {
    await same(sql, protocol, values);
    if (++done % 5 === 0) await sameSums();
  };
  const protocols = fc.constantFrom<Statement['protocol']>('simple', 'text', 'binary', 'named');
  await fc.assert(fc.asyncProperty(changes, protocols, run), { numRuns: runs, seed, endOnFailure: true });
  await sameSums();
  t.diagnostic(`seed ${seed}: ${done} statements`);
});

test('what a transaction or a savepoint takes back is not in the sums', async () => {
  for (const sql of [
    'BEGIN',
    "INSERT INTO visit VALUES (1000, 'a', 11, 12, 'x')",
    'SAVEPOINT s',
    'UPDATE visit SET fee = 100',
    'DELETE FROM visit WHERE id < 40',
    'SELECT sum(fee), sum(days) FROM visit',
    'ROLLBACK TO s',
    'SELECT sum(fee), sum(days) FROM visit',
    'ROLLBACK',
  ])
    await same(sql);
  await sameSums();
});

/** Number of committed entries of the encodings' state that note a row of a table. */
const notesOf = async (table: number): Promise<number> => {
  const { rows } = await proxy.trusted.state.query<{ count: number }>(
    "SELECT count(*)::int FROM clarus.encoding_state WHERE table_number = $1 AND starts_with(key, 'noted/')",
    [table],
  );
  return rows[0]!.count;
};

test('state commits and rolls back with the transaction, also to a savepoint, and only its own session sees it before', async () => {
  const sql =
    'CREATE TABLE visit_state (id int PRIMARY KEY, ward text, fee int DEFAULT 5, days smallint, remark text)';
  for (const side of [plainSide, clarus]) await side.client.query(sql);
  const table = await proxy.trusted.state.query<{ number: number }>(
    "SELECT number FROM clarus.tables WHERE definition ->> 'name' = 'visit_state'",
  );
  const entries = () => notesOf(table.rows[0]!.number);
  const other = await Side.connect(proxy);
  try {
    const write = (id: number, fee: number) =>
      `INSERT INTO visit_state VALUES (${id}, 'a', ${fee}, NULL, 'r')`;
    const run = (statement: string) => same(statement);
    const sum = 'SELECT sum(fee) FROM visit_state';
    for (const statement of ['BEGIN', write(1, 10), sum, 'ROLLBACK', sum]) await run(statement);
    assert.equal(await entries(), 0, 'nothing of a transaction that rolled back');
    for (const statement of ['BEGIN', write(1, 10), 'SAVEPOINT s', write(2, 20), sum, 'ROLLBACK TO s', sum])
      await run(statement);
    assert.equal(await entries(), 0, 'nothing before COMMIT');
    for (const statement of ['COMMIT', sum]) await run(statement);
    assert.equal(await entries(), 1, 'what was put behind the savepoint is not there');
    for (const statement of [write(3, 30), sum]) await run(statement);
    assert.equal(await entries(), 2, 'a statement alone commits its state');
    for (const statement of [write(3, 31), sum]) await run(statement);
    assert.equal(await entries(), 2, 'a statement that fails leaves none');
    for (const statement of ['BEGIN', write(4, 40), write(3, 31), 'COMMIT', sum]) await run(statement);
    assert.equal(await entries(), 2, 'nor does a transaction that failed');
    const { rows } = await other.client.query<{ sum: string }>(sum);
    assert.equal(rows[0]!.sum, '40', 'another session reads it');
    const journal = await proxy.trusted.state.query('SELECT FROM clarus.journal');
    assert.equal(journal.rowCount, 0);
    for (const side of [plainSide, clarus]) await side.client.query('DROP TABLE visit_state');
    assert.equal(await entries(), 0, 'state goes with its table');
  } finally {
    await other.close();
  }
});

test('rows of COPY are added up', async () => {
  const lines = Array.from(
    { length: 24_000 }, // more than wait for the end of the cloud's COPY
    (_, i) => `${2000 + i},a,${i % 7 === 0 ? '' : (i * 1_000_003) % 2_000_000_000},${i % 100},x`,
  );
  const answers: string[][] = [];
  for (const target of [proxy.plain, proxy]) {
    const client = await RawClient.connect(target);
    client.send(
      { kind: 'Query', sql: 'COPY visit FROM STDIN (FORMAT csv)' },
      { kind: 'CopyData', data: Buffer.from(`${lines.join('\n')}\n`) },
      { kind: 'CopyDone' },
    );
    answers.push(told(await client.until()));
    await client.close();
  }
  assert.deepEqual(answers[1], answers[0]);
  await sameSums();
  await same('DELETE FROM visit WHERE id >= 2000');
  await sameSums();
});

test('its side table goes with the rows and with the column', async () => {
  const client = await Side.connect(proxy.behind);
  try {
    const { rows } = await client.client.query<{ name: string }>(
      "SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'clarus'::regnamespace AND relkind = 'r'",
    );
    assert.ok(rows.length >= 2, 'a side table for each summed column');
    const ofTally = rows.map(row => row.name).filter(name => name.includes('tally'));
    assert.equal(ofTally.length, 2);
    for (const name of ofTally) {
      const orphans = await client.client.query(
        `SELECT FROM ${name} s WHERE NOT EXISTS (SELECT FROM public.visit v WHERE v.clarus_row = s.clarus_row)`,
      );
      assert.equal(orphans.rowCount, 0);
      const clear = await client.client.query(
        `SELECT FROM ${name} WHERE abs(masked::numeric) < 2::numeric ^ 40`,
      );
      assert.equal(clear.rowCount, 0, 'no value stands there without its mask');
    }
    await same('TRUNCATE visit');
    await sameSums();
    await same('DROP TABLE visit');
    const left = await client.client.query(
      "SELECT FROM pg_class WHERE relname LIKE '%tally%' AND relkind = 'r'",
    );
    assert.equal(left.rowCount, 0);
  } finally {
    await client.close();
  }
});
