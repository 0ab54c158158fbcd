/** What PostgreSQL's regression suite, run with every table encrypted (test/heavy/conformance), found to be answered otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { besideEncrypted } from './support/beside-encrypted.js';

const sides = besideEncrypted(({ code, message, where, position }) => ({ code, message, where, position }));
const { answer, same } = sides;

test('COPY of a write without RETURNING is an error, and writes nothing', async () => {
  await same(
    'CREATE TABLE copied (a int)',
    'INSERT INTO copied VALUES (1)',
    'COPY (DELETE FROM copied) TO STDOUT',
    'COPY (INSERT INTO copied VALUES (2)) TO STDOUT',
    'SELECT * FROM copied',
  );
});

test('PREPARE refuses a parameter with a name behind it', () =>
  same('PREPARE p1 AS SELECT $1a', "PREPARE p2 AS SELECT '$1a', $$ $1a $$", 'EXECUTE p2'));

test('an error of INSERT ... SELECT names no line of a COPY', () =>
  same(
    'CREATE TABLE filled (a int PRIMARY KEY)',
    'INSERT INTO filled SELECT x % 3 FROM generate_series(1, 9) x',
  ));

test('notices before the error of a DDL statement are told', () =>
  same('DROP TABLE IF EXISTS not_there, not_there_either; DROP TABLE not_there'));

test('DROP SCHEMA ... CASCADE tells nothing of carriers', () =>
  same(
    'CREATE SCHEMA dropped',
    'CREATE TABLE dropped.a (x int)',
    'CREATE TABLE dropped.b (x int)',
    'SELECT count(*) FROM dropped.a JOIN dropped.b ON a.x < b.x',
    'DROP SCHEMA dropped CASCADE',
  ));

test('methods of the planner that a session has switched off stay off over DDL', () =>
  same(
    'SET enable_seqscan = off',
    'CREATE TABLE indexed (a int)',
    'CREATE INDEX ON indexed (a)',
    'SHOW enable_seqscan',
    'SELECT current_setting($$enable_seqscan$$)',
    'RESET enable_seqscan',
  ));

test('what would tell of the cloud or change the trusted side’s own catalogue is refused', async () => {
  await same('PREPARE cursors AS SELECT name FROM pg_cursors');
  for (const sql of [
    'EXECUTE cursors',
    'SELECT count(*) FROM pg_prepared_statements',
    'GRANT SELECT ON pg_proc TO CURRENT_USER',
  ]) {
    const { outcome } = (await answer(sides.ours, sql)) as { outcome: { code: string } };
    assert.equal(outcome.code, '0A000', sql);
  }
});

test('objects that need no row stand on the trusted side, and options of storage on both', () =>
  same(
    'CREATE AGGREGATE summed (int) (sfunc = int4pl, stype = int, initcond = $$0$$)',
    'COMMENT ON AGGREGATE summed (int) IS $$a sum$$',
    'CREATE COLLATION german FROM "C"',
    'CREATE TABLE stored (a int, b int, c text COLLATE german)',
    'CREATE STATISTICS both_of_them ON a, b FROM stored',
    'ALTER STATISTICS both_of_them RENAME TO of_both',
    'CREATE TEXT SEARCH CONFIGURATION plain_words (COPY = simple)',
    'SELECT to_tsvector($$plain_words$$, $$a b$$)',
    'ALTER TABLE stored SET (fillfactor = 50), ALTER a SET STATISTICS 10, ALTER c SET STORAGE EXTERNAL',
    'ALTER TABLE stored SET (fillfactor = 5)',
    'ALTER TABLE stored RESET (fillfactor), SET UNLOGGED',
    "INSERT INTO stored VALUES (1, 2, 'b'), (2, 3, 'a')",
    'SELECT a + b, c FROM stored ORDER BY c',
    'DROP STATISTICS of_both',
    'DROP AGGREGATE summed (int)',
    'DROP TABLE stored',
    'DROP COLLATION german',
  ));

test('values that break a check of their domain that came later are read as they are', async () => {
  await same(
    'CREATE DOMAIN short AS text',
    'CREATE TABLE shortened (a short, b int)',
    "INSERT INTO shortened VALUES ('Zaphod', 2)",
    'ALTER DOMAIN short ADD CONSTRAINT c CHECK (length(VALUE) < 3) NOT VALID',
    'SELECT a, b FROM shortened',
    "INSERT INTO shortened VALUES ('Marvin', 3)",
    'SELECT b FROM shortened',
  );
});

test('a statement whose rows cannot be given leaves nothing to the next one', async () => {
  await same(
    'CREATE DOMAIN tiny AS text',
    'CREATE TABLE holding (a tiny[], b int)',
    "INSERT INTO holding VALUES ('{Zaphod}', 2)",
    'ALTER DOMAIN tiny ADD CONSTRAINT c CHECK (length(VALUE) < 3) NOT VALID',
  );
  // elements of an array are checked when they are read: a known difference
  await assert.rejects(sides.ours.query('SELECT a, b FROM holding'), { code: '23514' });
  await same('SELECT max(b) FROM holding', 'SELECT b FROM holding');
});

test('the place of an error in the query of a view is that of the statement', () =>
  same('CREATE TABLE viewed (a int)', 'CREATE VIEW of_viewed AS\n SELECT a,\n   b\n FROM viewed'));

test('EXCLUDED as a whole row holds nothing but its columns, or is refused', async () => {
  await same(
    'CREATE TABLE conflicting (a int PRIMARY KEY, b text)',
    "INSERT INTO conflicting VALUES (1, 'x')",
  );
  for (const row of ['excluded.*::text', 'excluded::text', 'row(excluded.*)::text']) {
    const { outcome } = (await answer(
      sides.ours,
      `INSERT INTO conflicting VALUES (1, 'y') ON CONFLICT (a) DO UPDATE SET b = ${row}`,
    )) as { outcome: { code?: string } };
    assert.equal(outcome.code, '0A000', row);
  }
  await same('SELECT * FROM conflicting');
});

test('a schema is made with what is in it, in the order of kinds', async () => {
  await same(
    `CREATE SCHEMA clinic
       CREATE INDEX visit_who ON visit (who)
       CREATE VIEW seen AS SELECT v.id, upper(v.who) AS who, p.code FROM visit v JOIN place p USING (code)
       CREATE TABLE place (code text PRIMARY KEY, "Beds" int DEFAULT 3)
       CREATE TABLE visit (id int DEFAULT nextval('numbers'), who text, code text REFERENCES place)
       CREATE SEQUENCE numbers START 7`,
    "INSERT INTO clinic.place VALUES ('a')",
    "INSERT INTO clinic.visit (who, code) VALUES ('Ann', 'a'), ('Bob', 'a') RETURNING id",
    'SELECT * FROM clinic.seen ORDER BY id',
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'clinic'::regnamespace ORDER BY relname",
    "SELECT pg_get_viewdef('clinic.seen'::regclass)",
    'SHOW search_path',
    'SELECT * FROM place',
    'CREATE SCHEMA clinic CREATE TABLE other (a int)',
    'CREATE SCHEMA other CREATE TABLE clinic.second (a int)',
    "SELECT count(*) FROM pg_namespace WHERE nspname = 'other'",
    'BEGIN',
    'CREATE SCHEMA other CREATE TABLE second (a int) CREATE VIEW good AS SELECT a FROM second',
    'INSERT INTO other.second VALUES (1)',
    'SELECT a FROM other.second',
    'ROLLBACK',
    "SELECT count(*) FROM pg_namespace WHERE nspname = 'other'",
    'DROP SCHEMA clinic CASCADE',
  );
  // a place in the element is none in the statement
  await assert.rejects(
    sides.ours.query(
      'CREATE SCHEMA other CREATE TABLE second (a int) CREATE VIEW bad AS SELECT nothing FROM second',
    ),
    { code: '42703', position: undefined },
  );
  await same("SELECT count(*) FROM pg_namespace WHERE nspname = 'other'");
  // the plain server's user may not make roles
  await sides.ours.query('CREATE ROLE of_the_clinic');
  await sides.ours.query(
    'CREATE SCHEMA clinic GRANT SELECT ON visit TO of_the_clinic CREATE TABLE visit (id int)',
  );
  const right = "SELECT has_table_privilege('of_the_clinic', 'clinic.visit', 'SELECT') AS may";
  assert.deepEqual((await sides.ours.query(right)).rows, [{ may: true }]);
  await sides.ours.query('DROP SCHEMA clinic CASCADE');
  await sides.ours.query('DROP ROLE of_the_clinic');
});
