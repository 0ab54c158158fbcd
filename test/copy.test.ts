/** The readers of COPY data against PostgreSQL itself: the same rows, or the same refusal. */
import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { BackendClient } from '../src/clouds/backend-client.js';
import { type ByteColumn, valueAt } from '../src/crypto/column.js';
import { ClarusError } from '../src/errors.js';
import { type CopyReaderOptions, copyReader } from '../src/wire/copy-reader.js';
import { PostgresError } from '../src/wire/diagnostic.js';
import { count, seed } from './heavy/support/scale.js';
import { startServer, type TestServer } from './support/server.js';

let server: TestServer;
let client: BackendClient;

before(async () => {
  server = await startServer();
  client = await BackendClient.connect({
    label: 'the reference',
    address: { kind: 'tcp', host: server.host, port: server.port },
    user: server.user,
    database: server.database,
    password: server.password,
    tls: 'off',
  });
  await client.simple('CREATE TEMP TABLE t (a text, b text, c text)');
});

after(async () => {
  await client.close();
  await server.stop();
});

type Outcome = { rows: (string | null)[][] } | { code: string; message: string; line: string };
type Set = Omit<CopyReaderOptions, 'table' | 'columns'>;

const rowsOf = (columns: readonly ByteColumn[], rows: number): (string | null)[][] =>
  Array.from({ length: rows }, (_, row) =>
    columns.map(column => {
      const value = valueAt(column, row);
      return value === null ? null : Buffer.from(value).toString('latin1');
    }),
  );

const lineOf = (where: string | undefined): string => /line \d+/.exec(where ?? '')?.[0] ?? '';
/** What a message says, without the data that PostgreSQL quotes and we do not. */
const words = (message: string): string =>
  message.replace(/: 0x.*$/, '').replace(/ got "[\s\S]*", expected/, ' expected');

function read(set: Set, columns: readonly string[], chunks: readonly Buffer[]): Outcome {
  const reader = copyReader({ ...set, table: 't', columns });
  try {
    for (const chunk of chunks) reader.push(chunk);
    reader.end();
  } catch (error) {
    if (!(error instanceof ClarusError)) throw error;
    return { code: error.code, message: words(error.message), line: lineOf(error.fields.where) };
  }
  const { rows } = reader;
  return { rows: rows === 0 ? [] : rowsOf(reader.take(rows).columns, rows) };
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function clauses(set: Set): string {
  const parts = [`FORMAT ${set.format}`];
  if (set.format !== 'binary') {
    parts.push(`DELIMITER ${literal(set.delimiter)}`, `NULL ${literal(set.nullString)}`);
    if (set.header !== false) parts.push(`HEADER ${set.header}`);
  }
  if (set.format === 'csv') {
    parts.push(`QUOTE ${literal(set.quote)}`, `ESCAPE ${literal(set.escape)}`);
    if (set.forceNotNull !== 'all' && set.forceNotNull.length > 0) {
      parts.push(`FORCE_NOT_NULL (${set.forceNotNull.join(', ')})`);
    }
    if (set.forceNull !== 'all' && set.forceNull.length > 0)
      parts.push(`FORCE_NULL (${set.forceNull.join(', ')})`);
  }
  return parts.join(', ');
}

async function reference(set: Set, columns: readonly string[], chunks: readonly Buffer[]): Promise<Outcome> {
  await client.simple('TRUNCATE t');
  try {
    await client.copyIn(`COPY t (${columns.join(', ')}) FROM STDIN (${clauses(set)})`, chunks);
  } catch (error) {
    if (!(error instanceof PostgresError)) throw error;
    return { code: error.code, message: words(error.message), line: lineOf(error.diagnostic.where) };
  }
  const result = await client.query(`SELECT ${columns.join(', ')} FROM t`);
  return { rows: rowsOf(result.columns, result.rows) };
}

const plainSet: Set = {
  format: 'text',
  delimiter: '\t',
  nullString: '\\N',
  header: false,
  quote: '"',
  escape: '"',
  forceNotNull: [],
  forceNull: [],
};

const someHeader = fc.constantFrom(false, false, false, true, 'match' as const);
const someNames = fc.subarray(['a', 'b', 'c']);
const someSet: fc.Arbitrary<Set> = fc.oneof(
  fc.record({
    ...Object.fromEntries(Object.entries(plainSet).map(([name, value]) => [name, fc.constant(value)])),
    delimiter: fc.constantFrom('\t', '|', ','),
    nullString: fc.constantFrom('\\N', '', 'x', 'NULL'),
    header: someHeader,
  }) as unknown as fc.Arbitrary<Set>,
  fc
    .record({
      delimiter: fc.constantFrom(',', ';'),
      nullString: fc.constantFrom('', 'x', '\\N'),
      header: someHeader,
      quoting: fc.constantFrom(['"', '"'], ['"', '\\'], ["'", '"'], ["'", "'"]),
      forceNotNull: someNames,
      forceNull: someNames,
    })
    .map(
      ({ quoting, ...rest }): Set => ({
        ...plainSet,
        ...rest,
        format: 'csv',
        quote: quoting[0]!,
        escape: quoting[1]!,
      }),
    ),
);

/** Bytes in which everything that has a meaning is frequent. */
const someData = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('\n', '\t', ',', '"', '\\', 'x', '|', ';') },
      {
        weight: 2,
        arbitrary: fc.constantFrom(
          'a',
          '\r\n',
          '\r',
          '""',
          "'",
          '\\N',
          'NULL',
          '\\.',
          '\\.\n',
          '\n\\.\n',
          'ä',
          ' ',
        ),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom('a\tb\tc\n', 'a,b\n', 'a|b|c\n', '"a",b,c\n', '1\t2\t3\n', '1,2\n'),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '\\x41',
          '\\x4',
          '\\101',
          '\\7',
          '\\xc3\\xa4',
          '\\xff',
          '\\0',
          '\\n',
          '\\\n',
          '\xff',
          '\0',
        ),
      },
    ),
    { maxLength: 30 },
  )
  .map(parts => Buffer.concat(parts.map(part => (part === '\xff' ? Buffer.from([255]) : Buffer.from(part)))));

const someCuts = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 4 });

function cut(data: Buffer, cuts: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < data.length; i++) {
    const size = cuts.length === 0 ? data.length : cuts[i % cuts.length]!;
    chunks.push(data.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('whatever the bytes, text and csv are read or refused as PostgreSQL does', async () => {
  let succeeded = 0;
  let withRows = 0;
  let all = 0;
  await fc.assert(
    fc.asyncProperty(
      someSet,
      fc.integer({ min: 1, max: 3 }),
      someData,
      someCuts,
      async (set, width, data, cuts) => {
        const columns = ['a', 'b', 'c'].slice(0, width);
        const named = {
          ...set,
          forceNotNull: columns.filter(name => set.forceNotNull.includes(name)),
          forceNull: columns.filter(name => set.forceNull.includes(name)),
        };
        const chunks = cut(data, cuts);
        const expected = await reference(named, columns, chunks);
        const found = read(named, columns, chunks);
        all++;
        if ('rows' in expected) {
          succeeded++;
          if (expected.rows.length > 0) withRows++;
          assert.deepEqual(found, expected);
        } else {
          assert.ok('code' in found, `expected ${expected.code} ${expected.message}`);
          // where bytes are not text and the format is wrong, too, either may be told first
          const either = data.includes(0) || !isUtf8(data) || data.includes('\\');
          const accepted = either ? ['22P04', '22021'] : [expected.code];
          assert.ok(accepted.includes(found.code), `expected ${expected.code}, found ${found.code}`);
        }
      },
    ),
    { numRuns: count('COPY streams', 100_000, 1_000), seed },
  );
  assert.ok(
    succeeded > all / 10 && withRows > all / 20,
    `${succeeded} of ${all} succeeded, ${withRows} with rows`,
  );
});

test('what PostgreSQL writes in any format is read back', async () => {
  const value = fc.option(
    fc
      .string({ unit: 'binary', maxLength: 20 })
      .filter(text => !text.includes('\0') && !/\p{Surrogate}/u.test(text)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(value, value, value), { maxLength: 8 }),
      fc.oneof(someSet, fc.constant({ ...plainSet, format: 'binary' as const })),
      someCuts,
      async (rows, set, cuts) => {
        await client.simple('TRUNCATE t');
        for (const row of rows) {
          await client.query('INSERT INTO t VALUES ($1, $2, $3)', row, { parameterTypes: [25, 25, 25] });
        }
        const written: Buffer[] = [];
        const header = set.header === 'match' ? true : set.header;
        const out = { ...set, header, forceNotNull: [], forceNull: [] };
        await client.copyOut(`COPY t TO STDOUT (${clauses(out)})`, data => {
          written.push(Buffer.from(data));
        });
        const found = read(
          { ...out, header: set.header },
          ['a', 'b', 'c'],
          cut(Buffer.concat(written), cuts),
        );
        // what PostgreSQL reads itself: with some options an empty value and NULL are written alike
        assert.deepEqual(found, await reference({ ...out, header: set.header }, ['a', 'b', 'c'], written));
      },
    ),
    { numRuns: count('COPY round trips', 5_000, 150), seed },
  );
});

test('damaged binary data are refused as PostgreSQL refuses them', async () => {
  const header = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
  const row = Buffer.from('\0\x02\0\0\0\x01x\xff\xff\xff\xff', 'latin1');
  const end = Buffer.from([255, 255]);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(row, row, end), { maxLength: 3 }),
      fc.option(fc.tuple(fc.nat(60), fc.constantFrom(0, 1, 2, 127, 128, 254, 255))),
      fc.option(fc.nat(50)),
      someCuts,
      async (parts, damage, length, cuts) => {
        const data = Buffer.concat([header, ...parts]);
        if (damage !== null && damage[0] < data.length) data[damage[0]] = damage[1];
        const chunks = cut(data.subarray(0, length ?? data.length), cuts);
        const set = { ...plainSet, format: 'binary' as const };
        const expected = await reference(set, ['a', 'b'], chunks);
        const found = read(set, ['a', 'b'], chunks);
        if ('rows' in expected) assert.deepEqual(found, expected);
        // the text of a field is not looked at here: that is the codec's
        else if (expected.code === '22021') assert.ok('rows' in found || found.code === '22P04');
        else assert.equal('code' in found && found.code, expected.code, JSON.stringify(expected));
      },
    ),
    { numRuns: count('damaged binary COPY streams', 20_000, 400), seed },
  );
});
