/** A trusted database of the owner's that is older than the one Clarus brings: Debian's PostgreSQL 15, as the cloud is. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type pg from 'pg';
import { type RecordedProxy, startRecordedProxy } from '../../support/recorded-proxy.js';
import { closeAll, closeLater } from '../support/closing.js';
import { debianPrograms, startCluster } from '../support/cluster.js';

let recorded: RecordedProxy;

before(async () => {
  const trusted = closeLater(await startCluster({ superuser: 'keeper' }), it => it.stop());
  const server = { binaries: debianPrograms };
  recorded = closeLater(await startRecordedProxy('unlisted: encrypt\ntables: {}', { server, trusted }), it =>
    it.stop(),
  );
  for (const client of [recorded.plain, recorded.ours]) {
    await client.query('CREATE TABLE moment (id int, at timestamptz, what text)');
    await client.query(
      "INSERT INTO moment VALUES (1, '2020-01-01 12:00Z', 'a'), (2, '1943-06-01 12:00Z', 'b'), (3, '1700-01-01 12:00Z', 'c')",
    );
    for (const id of [1, 2, 3]) {
      await client.query(`CREATE TABLE moment_${id} (id int, at timestamptz, what text)`);
      await client.query(`INSERT INTO moment_${id} SELECT * FROM moment WHERE id + 0 = ${id}`);
    }
  }
});
after(closeAll);

const answer = async (side: 'plain' | 'ours', sql: string): Promise<unknown> =>
  recorded[side].query({ text: sql, rowMode: 'array' }).then(
    ({ rows }) => rows,
    ({ code }: pg.DatabaseError) => code,
  );

test('a trusted PostgreSQL 15 finishes statements that no encoding answers', async () => {
  for (const sql of [
    "SELECT what FROM moment WHERE at < '2000-01-01' ORDER BY id DESC",
    'SELECT max(at), count(*) FROM moment GROUP BY what > $$a$$ ORDER BY 2',
    'SELECT a.id, b.what FROM moment a JOIN moment b ON a.id = b.id + 1 ORDER BY 1',
  ])
    assert.deepEqual(await answer('ours', sql), await answer('plain', sql), sql);
});

test('a trusted PostgreSQL 15 never reads the abbreviation of a zone as another time than was printed', async () => {
  for (const client of [recorded.plain, recorded.ours])
    await client.query("SET TimeZone = 'America/Los_Angeles'; SET DateStyle = 'Postgres, MDY'");
  // every row of a table is fetched
  const at = (id: number): string => `SELECT extract(epoch FROM at)::text || what FROM moment_${id}`;
  assert.deepEqual(await answer('ours', at(1)), await answer('plain', at(1)));
  // PWT, the time of 1943, is Palau's in timezone_abbreviations
  assert.deepEqual(await answer('plain', at(2)), [['-838987200.000000b']]);
  assert.deepEqual(await answer('ours', at(2)), await answer('plain', at(2)));
  const overCarriers =
    'SELECT extract(epoch FROM at)::text FROM moment_2 WHERE id IN (SELECT id FROM moment_2)';
  assert.equal(await answer('ours', overCarriers), '0A000');
  for (const client of [recorded.plain, recorded.ours]) await client.query("SET DateStyle = 'ISO'");
  for (const id of [1, 2, 3]) assert.deepEqual(await answer('ours', at(id)), await answer('plain', at(id)));
});

test('a trusted PostgreSQL 15, which does not print what an EXPLAIN holds, lets none of it go to the cloud', async () => {
  for (const sql of [
    "EXPLAIN SELECT * FROM moment WHERE what = 'sentinel-of-explain'",
    "EXPLAIN (ANALYZE) INSERT INTO moment VALUES (4, now(), 'sentinel-of-explain')",
    "EXPLAIN CREATE TABLE copied AS SELECT * FROM moment WHERE what = 'sentinel-of-explain'",
  ])
    assert.ok(Array.isArray(await answer('ours', sql)), sql);
  assert.ok(recorded.sent().includes('clarus_row'));
  assert.ok(!recorded.sent().includes('sentinel-of-explain'));
});
