/** What is worked out here is compared with what PostgreSQL works out, over the edges of every type. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { decodeText, defaultSettings } from '../../wire/codecs/codecs.js';
import { startServers, type TestServer } from '../../wire/codecs/test-server.test.js';
import { typeOids } from '../../wire/types.js';
import { readNodes } from '../analysed/node.js';
import { type Evaluated, evaluatedHere, selectList } from './evaluated.js';
import { textOf } from './exact-arithmetic.js';

const columns = {
  s: { sql: 'smallint', oid: typeOids.int2 },
  i: { sql: 'integer', oid: typeOids.int4 },
  b: { sql: 'bigint', oid: typeOids.int8 },
  n: { sql: 'numeric', oid: typeOids.numeric },
  m: { sql: 'numeric(12,3)', oid: typeOids.numeric },
  t: { sql: 'text', oid: typeOids.text },
  v: { sql: 'varchar(20)', oid: typeOids.varchar },
} as const;
const names = Object.keys(columns) as (keyof typeof columns)[];
const parameters = [columns.s, columns.i, columns.b, columns.n, columns.t];

const numbers = (bits: number): fc.Arbitrary<string> => {
  const most = 2n ** BigInt(bits - 1);
  const edges = [-most, 1n - most, -1n, 0n, 1n, most - 1n].map(String);
  return fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: -most, max: most - 1n }).map(String));
};
const decimals = fc.oneof(
  fc.constantFrom('0', '0.000', '-0.5', '0.5', '2.5', '-1.005', '123456789.9995', '999999999.9995', 'NaN'),
  fc.constantFrom(
    '32767.5',
    '-32768.5',
    '2147483647.4999',
    '2147483647.5',
    '9223372036854775807.49',
    '1e400',
  ),
  fc
    .tuple(fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }), fc.nat(8))
    .map(([digits, scale]) => `${digits}e-${scale}`),
);
const texts = fc
  .oneof(fc.constantFrom('', ' ', 'ü€', `it's "a" \\`), fc.string({ maxLength: 12 }))
  .map(text => text.replaceAll('\0', ''));
const orNull = (arbitrary: fc.Arbitrary<string>): fc.Arbitrary<string | null> =>
  fc.option(arbitrary, { freq: 8 });
const valuesFor = {
  s: orNull(numbers(16)),
  i: orNull(numbers(32)),
  b: orNull(numbers(64)),
  n: orNull(decimals),
  m: orNull(decimals.filter(text => !/e400|^[^.]{10,}/.test(text))),
  t: orNull(texts),
  v: orNull(texts),
};

const number = fc.letrec<{ readonly any: string }>(tie => ({
  any: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('s', 'i', 'b', 'n', 'm', '$1', '$2', '$3', '$4'),
    fc.constantFrom('1', '-1', '0', '32767', '2147483647', '9223372036854775807', 'NULL::int', '7::smallint'),
    fc
      .tuple(tie('any'), fc.constantFrom('+', '-', '*'), tie('any'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
    fc
      .tuple(tie('any'), fc.constantFrom('smallint', 'integer', 'bigint', 'numeric', 'numeric(12,3)'))
      .map(([a, type]) => `(${a})::${type}`),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `coalesce(${a}, ${b})`),
  ),
})).any;
const text = fc.letrec<{ readonly any: string }>(tie => ({
  any: fc.oneof(
    { maxDepth: 2, depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('t', 'v', '$5', "'x'::text", 'NULL::text'),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `(${a} || ${b})`),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => `coalesce(${a}, ${b})`),
  ),
})).any;

interface Case {
  readonly expression: string;
  readonly row: Readonly<Record<keyof typeof columns, string | null>>;
  readonly given: readonly (string | null)[];
}
const cases: fc.Arbitrary<Case> = fc.record({
  expression: fc.oneof({ arbitrary: number, weight: 3 }, text),
  row: fc.record(valuesFor),
  given: fc.tuple(valuesFor.s, valuesFor.i, valuesFor.b, valuesFor.n, valuesFor.t),
});

const binaryOf = (text: string | null, oid: number): Uint8Array | null =>
  text === null ? null : decodeText(oid, -1, Buffer.from(text), defaultSettings)!;

const strings = { getTypeParser: () => String };

suite('expressions that are worked out here', { timeout: 120_000 }, () => {
  let servers: readonly TestServer[] = [];
  before(async () => {
    servers = await startServers();
    for (const { client } of servers)
      await client.query(`CREATE TEMP TABLE v (${names.map(name => `${name} ${columns[name].sql}`).join(', ')});
        SET debug_print_parse = on; SET debug_pretty_print = off; SET client_min_messages = log;
        SET plan_cache_mode = force_custom_plan`);
  });
  after(() => Promise.all(servers.map(server => server.stop())));

  /** Prepares it as `p`. @returns the analysed select list; undefined: PostgreSQL refuses it */
  async function prepared(client: pg.Client, expression: string): Promise<Evaluated | undefined | 'wrong'> {
    const trees: string[] = [];
    const listen = ({
      message,
      detail,
    }: {
      message: string | undefined;
      detail: string | undefined;
    }): void => {
      if (message === 'parse tree:') trees.push(detail ?? '');
    };
    client.on('notice', listen);
    try {
      await client.query('DEALLOCATE ALL');
      const types = parameters.map(({ sql }) => sql).join(', ');
      await client.query(`PREPARE p (${types}) AS SELECT ${expression} FROM v`);
    } catch {
      return 'wrong';
    } finally {
      client.off('notice', listen);
    }
    const [query] = readNodes(trees.at(-1)!);
    return evaluatedHere(selectList(query!)[0], parameters.length);
  }

  const run = async (client: pg.Client, given: Case['given']): Promise<string | null | Error | undefined> => {
    const values = given.map(value => (value === null ? 'NULL' : client.escapeLiteral(value))).join(', ');
    try {
      const { rows } = await client.query({
        text: `EXECUTE p (${values})`,
        rowMode: 'array',
        types: strings,
      });
      return rows[0]?.[0];
    } catch (error) {
      return error as Error;
    }
  };

  test('are what PostgreSQL makes of them, or are left to it', async () => {
    for (const { client, name } of servers) {
      const seen = { known: 0, left: 0, never: 0 };
      await fc.assert(
        fc.asyncProperty(cases, async ({ expression, row, given }) => {
          const found = await prepared(client, expression);
          if (found === 'wrong') return;
          if (!found) {
            seen.never++;
            return;
          }
          await client.query('TRUNCATE v');
          // what fails without any row would have to be told
          assert.equal(await run(client, given), undefined, expression);
          const inserted = await client
            .query(`INSERT INTO v VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`, [
              ...names.map(column => row[column]),
            ])
            .catch(() => undefined);
          if (!inserted) return;
          const [stored] = (await client.query({ text: 'SELECT * FROM v', types: strings })).rows;
          const value = found.evaluate({
            column: place => binaryOf(stored[names[place]!], columns[names[place]!].oid),
            parameter: place => binaryOf(given[place]!, parameters[place]!.oid),
          });
          const wanted = await run(client, given);
          if (value === undefined) {
            seen.left++;
            return;
          }
          seen.known++;
          assert.equal(value === null ? null : textOf(value).toString(), wanted, `${expression} on ${name}`);
        }),
        { numRuns: Math.max(250, Math.ceil(20_000 * Number(process.env.CLARUS_FRACTION ?? 0.01))) },
      );
      assert.ok(seen.known > seen.left + seen.never, `${name}: ${JSON.stringify(seen)}`);
    }
  });

  test('are those of functions that PostgreSQL calls so in every version', async () => {
    const known: readonly (readonly [sql: string, isHere: boolean])[] = [
      ['i + $2', true],
      ['s + $1', true],
      ['b - $3', true],
      ['(i + $3)::integer', true],
      ['(n * $4)::numeric(12,3)', true],
      ["t || 'x'", true],
      ['v || $5', true],
      ['coalesce(i, 0) + 1', true],
      // what PostgreSQL works out when it plans may fail without any row
      ['i + ($2 + 1)', false],
      ['coalesce($2, i) + 1', false],
      ['coalesce(i + $2, $4)::smallint', false],
      ['i + 1 / 0', false],
      ['i / 2', false],
      ['i::real', false],
      ['t || i', false],
      ['upper(t)', false],
      ['CASE WHEN i > 0 THEN i ELSE 0 END', false],
      ['sum(i)', false],
      ['i + (SELECT 1)', false],
    ];
    for (const { client } of servers)
      for (const [sql, isHere] of known) {
        const found = await prepared(client, sql);
        assert.equal(found !== undefined && found !== 'wrong', isHere, sql);
      }
  });
});
