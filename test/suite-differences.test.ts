/** Answers that PostgreSQL's regression suite (test/heavy/conformance) found to differ from PostgreSQL's without an error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideEncrypted } from './support/beside-encrypted.js';

const sides = besideEncrypted(({ code, message, detail, hint, where }) => ({
  code,
  message,
  detail,
  hint,
  where,
}));
const { answer, same } = sides;

test('rows that stand get the default that a column is added with, whatever the same statement says of it later', () =>
  same(
    'CREATE TABLE grown (a int)',
    'INSERT INTO grown VALUES (1), (2)',
    'ALTER TABLE grown ADD b int DEFAULT 3, ALTER b SET DEFAULT 4',
    'ALTER TABLE grown ADD c int NOT NULL DEFAULT 5, ALTER c DROP DEFAULT',
    'ALTER TABLE grown ADD d int, ALTER d SET DEFAULT 6',
    'ALTER TABLE grown ADD e int NOT NULL, ALTER e ADD GENERATED ALWAYS AS IDENTITY',
    'ALTER TABLE grown ADD e int NOT NULL GENERATED ALWAYS AS IDENTITY, ALTER e DROP IDENTITY',
    'INSERT INTO grown (a, c, e) VALUES (3, 7, 8)',
    'SELECT * FROM grown ORDER BY a',
  ));

test('an index of a partitioned table is not made and not dropped CONCURRENTLY', () =>
  same(
    'CREATE TABLE parted (a int, b int) PARTITION BY RANGE (a)',
    'CREATE INDEX CONCURRENTLY ON parted (b)',
    'CREATE INDEX parted_b ON parted (b)',
    'DROP INDEX CONCURRENTLY parted_b',
    'DROP INDEX parted_b',
  ));

test('what depends on what is dropped is told without carriers', () =>
  same(
    'CREATE TYPE pair AS (x int, y int)',
    'CREATE DOMAIN small AS int CHECK (VALUE < 10)',
    'CREATE FUNCTION half(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$SELECT $1 / 2$$',
    'CREATE SEQUENCE counted',
    'CREATE TABLE of_pair OF pair',
    'CREATE TABLE dependent (a small, b int DEFAULT nextval($$counted$$), c int CHECK (half(c) > 1))',
    'SELECT count(*) FROM of_pair p JOIN dependent d ON p.x < d.a',
    'DROP TYPE pair',
    'DROP DOMAIN small',
    'DROP SEQUENCE counted',
    'DROP FUNCTION half(int)',
    'SELECT count(*) FROM of_pair p JOIN dependent d ON p.x < d.a',
    'DROP TYPE pair CASCADE',
    'DROP DOMAIN small CASCADE',
    'DROP SEQUENCE counted CASCADE',
    'DROP FUNCTION half(int) CASCADE',
    'DROP TABLE dependent',
  ));

test('DROP ROLE tells what stands in the way by the search path, and no function of Clarus', async () => {
  for (const sql of [
    'CREATE ROLE differing_role',
    'CREATE TABLE granted (a int)',
    'GRANT SELECT ON granted TO differing_role',
    'SET client_min_messages = warning',
  ])
    await sides.ours.query(sql);
  assert.deepEqual(await answer(sides.ours, 'DROP ROLE IF EXISTS nobody_of_this_name'), {
    outcome: { command: 'DROP', rows: [] },
    notices: [],
  });
  await sides.ours.query('RESET client_min_messages');
  assert.deepEqual(await answer(sides.ours, 'DROP ROLE differing_role'), {
    outcome: {
      code: '2BP01',
      message: 'role "differing_role" cannot be dropped because some objects depend on it',
      detail: 'privileges for table granted',
      hint: undefined,
      where: undefined,
    },
    notices: [],
  });
  await sides.ours.query('DROP TABLE granted');
  assert.deepEqual(await answer(sides.ours, 'DROP ROLE IF EXISTS differing_role, nobody_of_this_name'), {
    outcome: { command: 'DROP', rows: [] },
    notices: ['role "nobody_of_this_name" does not exist, skipping '],
  });
});

/** Refused with a message, on our side alone. */
async function refused(message: RegExp, ...statements: string[]): Promise<void> {
  for (const sql of statements) {
    const { outcome } = (await answer(sides.ours, sql)) as { outcome: { code?: string; message?: string } };
    assert.equal(outcome.code, '0A000', sql);
    assert.match(outcome.message ?? '', message, sql);
  }
}

test('how a protected value is stored is refused, and of other values told', async () => {
  await same(
    'CREATE TABLE compressed (a text)',
    "INSERT INTO compressed VALUES (repeat('x', 5000))",
    "SELECT pg_column_size('abc'::text), pg_column_compression('abc'::text)",
    'CREATE TEMP TABLE compressed_here AS SELECT repeat($$y$$, 5000) AS a',
    'SELECT pg_column_compression(a) FROM compressed_here',
  );
  await refused(
    /^how values of a protected table are stored is not told$/,
    'SELECT pg_column_compression(a) FROM compressed',
    'SELECT count(*) FROM compressed WHERE pg_column_size(a) > 2000',
    'UPDATE compressed SET a = pg_column_size(a)::text RETURNING a',
  );
});

test('an identifier of the trusted side is given to nothing that the cloud answers', async () => {
  await same('CREATE TABLE figured (a int)', 'INSERT INTO figured VALUES (1)');
  const { rows } = await sides.ours.query(
    "SELECT c.oid AS of_table, d.oid AS of_database FROM pg_class c, pg_database d WHERE c.relname = 'figured' AND d.datname = current_database()",
  );
  const [{ of_table, of_database }] = rows;
  await refused(
    /^an object identifier is given to what the cloud answers$/,
    `SELECT pg_stat_get_live_tuples(${of_table})`,
    `SELECT pg_stat_get_live_tuples('${of_table}')`,
    `SELECT pg_stat_get_live_tuples(${of_table}::bigint::oid)`,
    `SELECT count(*) FROM pg_locks WHERE database = ${of_database}`,
    `SELECT pg_relation_size(${of_table})`,
    `SELECT pg_relation_size('${of_table}')`,
    `SELECT pg_relation_size(${of_table}::oid)`,
    'PREPARE locks (oid) AS SELECT count(*) FROM pg_locks WHERE database = $1',
  );
  await same(
    'BEGIN',
    'SELECT pg_advisory_xact_lock(1)',
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory' AND a.pid = pg_backend_pid()",
    'COMMIT',
    "SELECT relname FROM pg_stat_user_tables WHERE relid = 'figured'::regclass AND n_live_tup < 100000",
  );
});

test('what a statement notices on the trusted side is told, as far as the client wants to hear it', () =>
  same(
    'CREATE FUNCTION told_of(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE $m$told of %$m$, $1; RETURN $1; END$$',
    'CREATE TABLE noticed (b int CHECK (b = told_of(b)))',
    'INSERT INTO noticed VALUES (18)',
    'ALTER TABLE noticed ADD CONSTRAINT again CHECK (told_of(b + 1) = b + 1)',
    "SELECT ts_headline('english', 'foo bar', to_tsquery('english', ''))",
    "SELECT b, ts_headline('english', 'foo bar', to_tsquery('english', '')) FROM noticed ORDER BY b + 1",
    'SET client_min_messages = warning',
    'INSERT INTO noticed VALUES (19)',
    "SELECT ts_headline('english', 'foo bar', to_tsquery('english', ''))",
    'RESET client_min_messages',
  ));

test('errors and notices of bodies tell where in them they arose', () =>
  same(
    'CREATE TABLE reached (a int)',
    `CREATE FUNCTION deep(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO reached VALUES (i);
  IF i > 3 THEN
    RAISE EXCEPTION 'too deep: %', i USING DETAIL = 'd';
  END IF;
  PERFORM deep(i + 1);
  RETURN i;
END $$`,
    'SELECT deep(2)',
    `DO $$
DECLARE
  k int;
BEGIN
  BEGIN
    k := deep(3);
  EXCEPTION WHEN raise_exception THEN
    RAISE NOTICE 'caught';
  END;
  FOR k IN 1..2 LOOP
    IF k = 2 THEN
      INSERT INTO reached VALUES (1 / (k - 2));
    END IF;
  END LOOP;
END $$`,
    `DO $$
DECLARE
  d int NOT NULL := NULL;
BEGIN
END $$`,
    "DO $$ BEGIN EXECUTE 'SELECT 1 / 0 FROM reached'; END $$",
    'DO $$ BEGIN ASSERT false; END $$',
    `CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN

  RAISE EXCEPTION 'no row';
END $$`,
    'CREATE TRIGGER refuses BEFORE INSERT ON reached FOR EACH ROW EXECUTE FUNCTION refusing()',
    'INSERT INTO reached VALUES (1)',
    'SELECT deep(1)',
  ));

test('what a table is made of calls no function of which it is not known what it does', async () => {
  await same(
    'CREATE TABLE counted_rows (a int)',
    'INSERT INTO counted_rows VALUES (1)',
    `CREATE FUNCTION counting() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM counted_rows' INTO n; RETURN n; END $$`,
    'CREATE FUNCTION declaring() RETURNS bool LANGUAGE sql AS $$DECLARE c CURSOR WITH HOLD FOR SELECT 1; SELECT true$$',
    'CREATE MATERIALIZED VIEW declared AS SELECT declaring() WITH NO DATA',
  );
  await refused(
    /^the statement calls a user-defined function of which it is not known what it does$/,
    'CREATE TABLE made_of AS SELECT counting() AS n',
    'CREATE MATERIALIZED VIEW made_of AS SELECT declaring()',
    'REFRESH MATERIALIZED VIEW declared',
  );
});

test('defaults are computed row by row, wherever the rows come from', () =>
  same(
    'CREATE SEQUENCE counts',
    'CREATE TABLE counted_twice (x int DEFAULT nextval($$counts$$), y text, z int DEFAULT -1 * currval($$counts$$))',
    "INSERT INTO counted_twice (y) VALUES ('a'), ('b')",
    'CREATE TABLE letters (y text)',
    "INSERT INTO letters VALUES ('c'), ('d'), ('e')",
    'INSERT INTO counted_twice (y) SELECT y FROM letters',
    'CREATE TEMP TABLE letters_here AS SELECT y FROM letters',
    'INSERT INTO counted_twice (y) SELECT y FROM letters_here',
    'SELECT x, z FROM counted_twice ORDER BY x',
  ));

test('a restriction that statements would not heed is refused', async () => {
  await refused(
    /^"restrict_nonsystem_relation_kind" cannot be set in a database with protected tables$/,
    "SET restrict_nonsystem_relation_kind = 'view'",
  );
  await same('SET restrict_nonsystem_relation_kind = $$$$', 'RESET restrict_nonsystem_relation_kind');
});

test('a key that mixes NULL and values under MATCH FULL is told as such', () =>
  same(
    'CREATE TABLE full_key (a int, b int, PRIMARY KEY (a, b))',
    'CREATE TABLE full_reference (a int, b int, FOREIGN KEY (a, b) REFERENCES full_key MATCH FULL)',
    'INSERT INTO full_reference VALUES (1, NULL)',
    'CREATE TABLE full_later (a int, b int)',
    'INSERT INTO full_later VALUES (1, NULL)',
    'ALTER TABLE full_later ADD CONSTRAINT later FOREIGN KEY (a, b) REFERENCES full_key MATCH FULL',
  ));

test('a trigger does not alter the table that it is fired for', () =>
  same(
    'CREATE TABLE altered_by_trigger (a int, b int)',
    `CREATE FUNCTION altering() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  ALTER TABLE altered_by_trigger ADD c int;
  RETURN NEW;
END $$`,
    'CREATE TRIGGER alters BEFORE INSERT ON altered_by_trigger FOR EACH ROW EXECUTE FUNCTION altering()',
    'INSERT INTO altered_by_trigger VALUES (1, 2)',
    `CREATE OR REPLACE FUNCTION altering() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  CREATE INDEX ON altered_by_trigger (b);
  RETURN NEW;
END $$`,
    'INSERT INTO altered_by_trigger VALUES (1, 2)',
    'SELECT * FROM altered_by_trigger',
  ));
