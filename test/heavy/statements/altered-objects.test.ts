/** ALTER of functions, types and their kin over protected tables, as PostgreSQL does it. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from '../../support/beside.js';
import type { Step } from '../../support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.clear:
    columns:
      id: { protect: none }
      note: { protect: none }
      place: { protect: none }
  public.person: { columns: { name: { queries: [equality] } } }`;

const tables = [
  'CREATE SCHEMA other',
  'CREATE TABLE person (id int, name text)',
  "INSERT INTO person VALUES (1, 'Zaphod'), (2, 'Trillian')",
  'CREATE TYPE place AS (town text, street text)',
  'CREATE TABLE clear (id int, note text, place place)',
  "INSERT INTO clear VALUES (1, 'a', ROW('Ulm', 'x'))",
  'CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql AS $$ SELECT $1 * 2 $$',
  'CREATE FUNCTION doubled(text) RETURNS text LANGUAGE sql AS $$ SELECT $1 || $1 $$',
  'CREATE FUNCTION named(int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT name FROM person WHERE id = $1 $$',
  'CREATE FUNCTION isnull(int) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN $1 IS NULL THEN $$$$ || 1 ELSE $1::text END $$'.replace(
    '$$$$ || 1',
    "'none'",
  ),
  'CREATE PROCEDURE stored(int) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO person VALUES ($1, $1::text); END $$',
];

const told = `SELECT n.nspname::text, p.proname::text, p.provolatile::text, p.proisstrict, p.procost, p.proparallel::text, p.proconfig::text
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'other') ORDER BY 1, 2, p.oid`;

const steps: Readonly<Record<string, readonly Step[]>> = {
  functions: [
    'ALTER FUNCTION doubled(int) RENAME TO twice',
    'SELECT twice(id) FROM clear',
    'SELECT twice(id) FROM person ORDER BY 1',
    'SELECT doubled(id) FROM clear',
    'ALTER FUNCTION doubled RENAME TO repeated',
    'ALTER FUNCTION doubled(text) RENAME TO repeated',
    'ALTER FUNCTION twice(int) RENAME TO twice',
    'ALTER FUNCTION nothing(int) RENAME TO twice',
    'ALTER FUNCTION twice(int) SET SCHEMA other',
    'SELECT other.twice(id), repeated(note) FROM clear',
    'SELECT twice(id) FROM clear',
    'SELECT other.twice(id) FROM person ORDER BY 1',
    'ALTER FUNCTION other.twice(int) SET SCHEMA nothing',
    'ALTER FUNCTION named(int) RENAME TO called',
    'SELECT called(2)',
    'ALTER FUNCTION called(int) SET SCHEMA other',
    'SELECT id, other.called(id) FROM person ORDER BY id',
    'ALTER FUNCTION isnull(int) STRICT',
    'SELECT isnull(NULL), isnull(id) FROM clear',
    'ALTER FUNCTION isnull(int) CALLED ON NULL INPUT IMMUTABLE COST 7 PARALLEL SAFE',
    'SELECT isnull(NULL), isnull(id) FROM clear',
    'SELECT isnull(nullif(id, 1)) FROM person ORDER BY 1',
    'ALTER FUNCTION isnull(int) SET search_path = other',
    'ALTER FUNCTION isnull(int) RESET ALL',
    'ALTER FUNCTION isnull(int) COST -1',
    'ALTER FUNCTION isnull(int) STABLE VOLATILE',
    'ALTER FUNCTION isnull(text) STABLE',
    told,
    'ALTER PROCEDURE stored(int) RENAME TO kept',
    'CALL kept(3)',
    'ALTER PROCEDURE kept(int) SET SCHEMA other',
    'CALL other.kept(4)',
    'ALTER FUNCTION other.kept(int) RENAME TO x',
    'ALTER ROUTINE other.kept(int) RENAME TO stored',
    'CALL other.stored(5)',
    'SELECT id, name FROM person ORDER BY id',
    told,
    'BEGIN',
    'ALTER FUNCTION other.twice(int) RENAME TO thrice',
    'SELECT other.thrice(id) FROM clear',
    'ROLLBACK',
    'SELECT other.twice(id) FROM clear',
    'DROP FUNCTION other.twice(int)',
    'DROP ROUTINE other.stored(int)',
  ],
  'types and domains': [
    'CREATE DOMAIN weight AS int CONSTRAINT heavy CHECK (VALUE > 0)',
    'CREATE TABLE scale (id int, w weight)',
    'INSERT INTO scale VALUES (1, 5)',
    'ALTER DOMAIN weight RENAME CONSTRAINT heavy TO positive',
    'INSERT INTO scale VALUES (2, -5)',
    'ALTER DOMAIN weight RENAME CONSTRAINT heavy TO other',
    'ALTER DOMAIN weight SET SCHEMA other',
    'INSERT INTO scale VALUES (2, -5)',
    'SELECT id, w::other.weight FROM scale',
    'SELECT 1::weight',
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    'CREATE TABLE moods (id int, m mood)',
    "INSERT INTO moods VALUES (1, 'sad')",
    'ALTER TYPE mood SET SCHEMA other',
    'ALTER TYPE other.mood SET SCHEMA other',
    'SELECT m, m::text, pg_typeof(m)::text FROM moods',
    "INSERT INTO moods VALUES (1, 'merry')",
    'ALTER TYPE place SET SCHEMA other',
    "INSERT INTO clear VALUES (2, 'b', ROW('Bonn', 'y')::other.place)",
    'SELECT id, (place).town, place FROM clear ORDER BY id',
    'ALTER TYPE other.place SET SCHEMA public',
  ],
  'views, as tables': [
    'CREATE VIEW people AS SELECT id, name FROM person',
    'CREATE VIEW notes AS SELECT id, note FROM clear',
    ...['people', 'notes'].flatMap(view => [
      `ALTER TABLE ${view} ADD COLUMN more int`,
      `ALTER TABLE ${view} ALTER COLUMN id SET NOT NULL`,
      `ALTER TABLE ${view} ADD CONSTRAINT positive CHECK (id > 0)`,
      `ALTER TABLE ${view} ALTER COLUMN id SET DEFAULT 7`,
      `ALTER TABLE ${view} RENAME COLUMN id TO key`,
      `ALTER TABLE ${view} RENAME COLUMN nothing TO key`,
      `SELECT key FROM ${view} ORDER BY key`,
      `ALTER TABLE ${view} RENAME TO renamed`,
      'SELECT key FROM renamed ORDER BY key',
      'ALTER TABLE renamed SET SCHEMA other',
      'SELECT key FROM other.renamed ORDER BY key',
      'DROP VIEW other.renamed',
    ]),
    'ALTER VIEW nothing SET SCHEMA other',
    'ALTER VIEW nothing RENAME COLUMN a TO b',
    'ALTER TABLE nothing RENAME COLUMN a TO b',
  ],
  attributes: [
    'ALTER TYPE nothing ADD ATTRIBUTE b text',
    'ALTER TYPE place ADD ATTRIBUTE zip int',
    'ALTER TYPE place ADD ATTRIBUTE zip int',
    'SELECT id, place, (place).zip FROM clear ORDER BY id',
    'ALTER TYPE place RENAME ATTRIBUTE zip TO code',
    'SELECT id, (place).code FROM clear ORDER BY id',
    'ALTER TYPE place ALTER ATTRIBUTE code TYPE bigint',
    'ALTER TYPE place DROP ATTRIBUTE code',
    'ALTER TYPE place DROP ATTRIBUTE code',
    'ALTER TYPE place DROP ATTRIBUTE IF EXISTS code',
    'SELECT id, place FROM clear ORDER BY id',
    'CREATE TYPE pair AS (a int, b text)',
    'CREATE TABLE pairs OF pair',
    "INSERT INTO pairs VALUES (1, 'Zaphod')",
    'ALTER TYPE pair ADD ATTRIBUTE c text',
    'ALTER TYPE pair ADD ATTRIBUTE c text CASCADE',
    "INSERT INTO pairs VALUES (2, 'Trillian', 'Ford')",
    'SELECT * FROM pairs ORDER BY a',
    'ALTER TYPE pair ALTER ATTRIBUTE c TYPE varchar CASCADE',
    'ALTER TYPE pair RENAME ATTRIBUTE b TO bb',
    'ALTER TYPE pair RENAME ATTRIBUTE b TO bb CASCADE',
    'SELECT a, bb, c FROM pairs WHERE bb = $$Zaphod$$',
    'ALTER TYPE pair DROP ATTRIBUTE bb CASCADE',
    'SELECT * FROM pairs ORDER BY a',
    'CREATE TABLE holders (id int, p pair)',
    'ALTER TYPE pair ADD ATTRIBUTE d int CASCADE',
    "INSERT INTO holders VALUES (1, ROW(1, 'Marvin', 5))",
    'ALTER TYPE pair RENAME ATTRIBUTE d TO dd CASCADE',
    'SELECT id, (p).dd, p FROM holders',
    'DROP TYPE pair CASCADE',
  ],
};

suite('altered objects', { timeout: 200_000 }, () => {
  const tested = beside(policy, tables);

  for (const [name, of] of Object.entries(steps))
    test(`ALTER of ${name} is PostgreSQL's`, async () => {
      assert.deepEqual(await tested.unorderedDifferences(of), []);
    });

  test('a function is altered in the cloud where it stands there', async () => {
    const { proxy, ours } = tested.recorded;
    const cloud = new pg.Client(proxy.behind);
    await cloud.connect();
    try {
      await ours.query('CREATE FUNCTION plainly(int) RETURNS int LANGUAGE sql AS $$ SELECT $1 + 1 $$');
      await ours.query('ALTER FUNCTION plainly(int) IMMUTABLE STRICT COST 9');
      await ours.query('ALTER FUNCTION plainly(int) RENAME TO openly');
      await ours.query('ALTER FUNCTION openly(int) SET SCHEMA other');
      const { rows } = await cloud.query(
        `SELECT n.nspname::text, p.proname::text, provolatile::text, proisstrict, procost
           FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE proname IN ('plainly', 'openly', 'named', 'called')`,
      );
      assert.deepEqual(rows, [
        { nspname: 'other', proname: 'openly', provolatile: 'i', proisstrict: true, procost: 9 },
      ]);
    } finally {
      await cloud.end();
    }
  });

  test('attributes of what rows hold in protected columns do not change', async () => {
    for (const sql of [
      'CREATE TYPE seat AS (row int, name text)',
      'CREATE TABLE plane (id int, s seat)',
      "INSERT INTO plane VALUES (1, ROW(1, 'Zaphod'))",
    ])
      await tested.ours.query(sql);
    await assert.rejects(tested.ours.query('ALTER TYPE seat ADD ATTRIBUTE more int'), {
      code: '0A000',
      message: /the attributes of type .* cannot change/,
    });
  });

  test('the cloud has heard of no value', () => {
    assert.doesNotMatch(tested.recorded.sent(), /Zaphod|Trillian|Marvin/);
  });
});
