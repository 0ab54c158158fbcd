/** Statements with literals of a megabyte, and deep ones: answered as by PostgreSQL, while others go on. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

let recorded: RecordedProxy;
before(async () => {
  recorded = await startRecordedProxy(`unlisted: pass
tables:
  public.large:
    columns: { id: { protect: none }, a: { protect: encrypt, queries: [equality] }, n: { protect: encrypt } }
`);
  for (const client of [recorded.ours, recorded.plain]) {
    await client.query('CREATE TABLE large (id int PRIMARY KEY, a text, n int)');
    await client.query("INSERT INTO large VALUES (1, 'one', 1)");
  }
});
after(() => recorded.stop());

/** Longest time, ms, for which nothing else of the process ran. */
async function blocked(work: () => Promise<unknown>): Promise<number> {
  let longest_ms = 0;
  let last = performance.now();
  const look = (): void => {
    const now = performance.now();
    longest_ms = Math.max(longest_ms, now - last);
    last = now;
  };
  const timer = setInterval(look, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
    look();
  }
  return longest_ms;
}

const literal = 'm'.repeat(1_000_000);

for (const [what, sql] of [
  ['a comparison', `SELECT id, '${literal}' = a AS same FROM large WHERE id = 1`],
  ['a concatenation', `UPDATE large SET a = a || '${literal}' WHERE id = 1`],
  ['a row', `INSERT INTO large VALUES (2, '${literal}', 1)`],
] as const)
  test(`a literal of a megabyte in ${what} holds nobody up`, async () => {
    let outcome: pg.QueryResult | undefined;
    const longest_ms = await blocked(async () => {
      outcome = await recorded.ours.query(sql);
    });
    const expected = await recorded.plain.query(sql);
    assert.deepEqual(
      [outcome?.command, outcome?.rowCount, outcome?.rows],
      [expected.command, expected.rowCount, expected.rows],
    );
    assert.ok(longest_ms < 1_000, `${longest_ms} ms`);
  });

test('what large literals have written is what PostgreSQL has', async () => {
  const sql = 'SELECT id, md5(a) AS a, n FROM large ORDER BY id';
  assert.deepEqual((await recorded.ours.query(sql)).rows, (await recorded.plain.query(sql)).rows);
  assert.ok(!recorded.sent().includes('mmmmmmmm'), 'the cloud has got the literal');
});

const sum = (terms: number): string => Array(terms).fill('n').join(' + ');
const nested = (depth: number): string => `${'abs('.repeat(depth)}n${')'.repeat(depth)}`;

for (const [what, sql] of [
  ['DO', `DO $$ BEGIN PERFORM ${sum(3_000)} FROM large WHERE id = 1; END $$`],
  ['CREATE VIEW', `CREATE VIEW deep AS SELECT ${nested(1_200)} AS n FROM large`],
  ['ADD CHECK', `ALTER TABLE large ADD CHECK (${nested(1_200)} < 5000)`],
  ['CREATE TABLE AS', `CREATE TABLE deep_copy AS SELECT ${nested(1_200)} AS n FROM large`],
  ['SELECT', `SELECT ${sum(3_000)} FROM large WHERE id = 1`],
  ['a text too deep for the grammar', `SELECT ${sum(20_000)} FROM large WHERE id = 1`],
] as const)
  test(`what is too deep is 54001: ${what}`, async () => {
    const code = await recorded.ours.query(sql).then(
      () => 'answered',
      (error: pg.DatabaseError) => error.code,
    );
    assert.equal(code, '54001');
    assert.deepEqual((await recorded.ours.query('SELECT id FROM large WHERE id = 1')).rows, [{ id: 1 }]);
  });
