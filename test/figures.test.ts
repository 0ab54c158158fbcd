/** Sizes and statistics of relations in queries of the catalogue: the cloud's figures, of the application's relations alone. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.boss:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.open:
    columns:
      id: { protect: none }
      note: { protect: none }`;

const tables = [
  'CREATE TABLE boss (id int PRIMARY KEY, name text)',
  'CREATE TABLE worker (id serial PRIMARY KEY, boss int, mail text UNIQUE, story text)',
  'CREATE INDEX worker_mail ON worker (mail, boss)',
  'CREATE TABLE "open" (id int, note text)',
  'CREATE TABLE part (at int, what text) PARTITION BY RANGE (at)',
  'CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100)',
  'CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM worker',
  "INSERT INTO boss SELECT i, 'boss ' || i FROM generate_series(1, 2000) i",
  "INSERT INTO worker (boss, mail, story) SELECT i % 7, 'mail ' || i, 'story' FROM generate_series(1, 500) i",
  'INSERT INTO "open" SELECT i, \'note\' FROM generate_series(1, 30000) i',
  'DELETE FROM boss WHERE id > 1990',
  'UPDATE "open" SET note = \'changed\' WHERE id <= 5',
  // what is counted is told at the end of this one
  'SELECT pg_stat_force_next_flush()',
  'ANALYZE',
  'SELECT pg_stat_force_next_flush()',
];

const ofUsers = "schemaname !~ '^pg_' AND schemaname <> 'information_schema'";

/** Which relations there are, and what both servers know of them alike. */
const alike: readonly Step[] = [
  'SELECT schemaname, relname, n_tup_ins, n_tup_del, n_live_tup, analyze_count, last_analyze IS NULL, last_vacuum IS NULL FROM pg_stat_user_tables',
  `SELECT schemaname, relname, n_tup_ins, n_tup_del, n_live_tup, idx_scan IS NULL FROM pg_stat_all_tables WHERE ${ofUsers}`,
  'SELECT relname, n_tup_ins FROM pg_stat_xact_user_tables',
  'SELECT schemaname, relname, indexrelname FROM pg_stat_user_indexes',
  `SELECT relname, indexrelname, idx_scan >= 0 FROM pg_stat_all_indexes WHERE ${ofUsers}`,
  'SELECT relname, heap_blks_hit > 0, idx_blks_hit IS NULL, toast_blks_hit IS NULL FROM pg_statio_user_tables',
  'SELECT relname, indexrelname FROM pg_statio_user_indexes',
  'SELECT relname FROM pg_statio_user_sequences',
  "SELECT count(*) FROM pg_stat_all_tables WHERE relname ~ 'clarus|lease'",
  "SELECT count(*) FROM pg_stat_all_indexes WHERE indexrelname ~ 'clarus|equality'",
  "SELECT count(*) FROM pg_statio_all_tables WHERE schemaname = 'clarus'",
  'SELECT s.relname, c.relkind FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid',
  "SELECT n_live_tup FROM pg_stat_user_tables WHERE relid = 'boss'::regclass",
  "SELECT relname, reltuples FROM pg_class WHERE relname IN ('boss', 'worker', 'open', 'part_1', 'sums', 'boss_pkey')",
  "SELECT c.relname, pg_stat_get_live_tuples(c.oid), pg_catalog.pg_stat_get_tuples_inserted(oid) FROM pg_class c WHERE relname IN ('boss', 'open')",
  "SELECT relname, pg_total_relation_size(oid) > pg_relation_size(oid), pg_table_size(oid) >= pg_relation_size(oid, 'main') + pg_relation_size(oid, 'fsm') FROM pg_class WHERE relname IN ('boss', 'worker')",
  "SELECT relname, pg_table_size(oid), pg_indexes_size(oid), relkind = 'p' OR relpages > 10 FROM pg_class WHERE relname IN ('open', 'part')",
  ['SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relname = $1', 'open'],
  "SELECT relname, pg_size_pretty(pg_relation_size(c.oid)) FROM pg_class AS c WHERE c.relname = 'open' AND c.relpages > 10",
  "SELECT pg_relation_size(oid, 'nothing') FROM pg_class WHERE relname = 'open'",
  'SELECT pg_table_size(0) FROM pg_class LIMIT 1',
  'WITH s AS (SELECT relname, n_live_tup AS n FROM pg_stat_user_tables) SELECT relname FROM s WHERE n > 1000',
  "SELECT (c).reltuples, c.relname FROM pg_class c WHERE relname = 'open'",
  "SELECT to_jsonb(c) -> 'reltuples' FROM pg_class c WHERE relname = 'open'",
  'CREATE TABLE told AS SELECT relname, n_live_tup FROM pg_stat_user_tables',
  'SELECT * FROM told',
  'DROP TABLE told',
  "DO $$BEGIN IF (SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'open') < 30000 THEN RAISE EXCEPTION 'too few'; END IF; END$$",
];

const rowsOf = async (
  client: pg.Client,
  [sql, values]: readonly [string, readonly unknown[]],
): Promise<unknown> =>
  client.query({ text: sql, values: [...values], rowMode: 'array' }).then(
    ({ rows }) => rows.map(row => JSON.stringify(row)).sort(),
    (error: pg.DatabaseError) => [error.code, error.message],
  );

for (const names of ['shown', 'hidden'])
  suite(`figures of relations, names ${names}`, { timeout: 200_000 }, () => {
    const pair = beside(`names: ${names}\n${policy}`, tables);

    for (const extended of [false, true])
      test(`are those of PostgreSQL, in the ${extended ? 'extended' : 'simple'} protocol`, async () => {
        for (const step of alike) {
          const [sql, ...values] = typeof step === 'string' ? [step] : (step as [string, ...unknown[]]);
          const asked = [sql, extended || values.length > 0 ? values : []] as const;
          const [ours, theirs] = [await rowsOf(pair.ours, asked), await rowsOf(pair.plain, asked)];
          assert.deepEqual(ours, theirs, sql);
        }
      });

    test('are told by cursors, COPY and prepared statements too', async () => {
      const sql =
        "SELECT relname, n_live_tup FROM pg_stat_user_tables WHERE relname IN ('boss', 'open') ORDER BY 1";
      for (const hold of ['', ' WITH HOLD']) {
        const fetched: unknown[] = [];
        for (const client of pair.clients) {
          await client.query('BEGIN');
          await client.query(`DECLARE c CURSOR${hold} FOR ${sql}`);
          fetched.push((await client.query('FETCH ALL FROM c')).rows);
          await client.query('COMMIT');
          if (hold) await client.query('CLOSE c');
        }
        assert.equal((fetched[0] as unknown[]).length, 2);
        assert.deepEqual(fetched[0], fetched[1]);
      }
      await pair.both(`PREPARE told (text) AS SELECT reltuples FROM pg_class WHERE relname = $1`);
      await pair.alike("EXECUTE told ('open')");
      await pair.both('DEALLOCATE told');
      await pair.play([`COPY (${sql}) TO STDOUT`, `COPY (${sql}) TO STDOUT (FORMAT csv, HEADER)`], false);
    });

    test('are those of a transaction within it', async () => {
      for (const client of pair.clients) {
        await client.query('BEGIN');
        await client.query("INSERT INTO boss VALUES (5000, 'x'), (5001, 'y')");
      }
      await pair.alike("SELECT n_tup_ins FROM pg_stat_xact_user_tables WHERE relname = 'boss'");
      await pair.both('ROLLBACK', 'BEGIN READ ONLY');
      await pair.alike("SELECT reltuples FROM pg_class WHERE relname = 'open'");
      await pair.both('COMMIT');
    });

    test('wait for no table that the statement does not ask for', async () => {
      const other = await pair.recorded.reconnect();
      await other.query('BEGIN');
      await other.query('LOCK TABLE boss IN ACCESS EXCLUSIVE MODE');
      const { rows } = await pair.ours.query(
        "SELECT relname, pg_total_relation_size(oid) > 0 AS told FROM pg_class WHERE relname IN ('boss', 'open') ORDER BY 1",
      );
      assert.deepEqual(rows, [
        { relname: 'boss', told: null },
        { relname: 'open', told: true },
      ]);
      await other.query('ROLLBACK');
    });

    test('are, of the database, those of the cloud', async () => {
      const sql = 'SELECT pg_database_size(datname) AS n FROM pg_database WHERE datname = current_database()';
      const { rows } = await pair.ours.query(sql);
      const direct = new pg.Client({ ...pair.recorded.proxy.behind });
      await direct.connect();
      const there = await direct.query(sql);
      await direct.end();
      assert.ok(
        Math.abs(Number(rows[0].n) - Number(there.rows[0].n)) < 1e6,
        `${rows[0].n} ${there.rows[0].n}`,
      );
    });
  });
