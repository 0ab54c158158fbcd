/** Types of users in a cloud: labels, checks and defaults stand there only while something there needs the type. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { describeDatabase } from '../src/catalog/describe.js';
import { readerOf } from '../src/catalog/reader.js';
import { loadCatalog } from '../src/catalog/store.js';
import { typesInTheClear } from '../src/cli/check/types.js';
import { type Beside, beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      illness: { class: confidential, protect: encrypt, queries: [equality] }
      illnesses: { class: confidential, protect: encrypt }
      score: { class: confidential, protect: encrypt }
      finding: { class: confidential, protect: encrypt }
      span: { class: confidential, protect: encrypt }`;

/** What stands in the types of protected columns only. */
const secret = /.{0,60}(zoster|rabies|anthrax|pestis|471100471|481200481)/;

const tables = [
  "CREATE TYPE illness AS ENUM ('zoster', 'rabies', 'anthrax')",
  'CREATE DOMAIN score AS int DEFAULT 471100471 CONSTRAINT score_fits CHECK (VALUE <> 481200481)',
  "CREATE DOMAIN bad AS illness CHECK (VALUE <> 'zoster')",
  'CREATE TYPE finding AS (what illness, how score, worst bad)',
  'CREATE TYPE span AS RANGE (SUBTYPE = illness)',
  "COMMENT ON TYPE illness IS 'rabies among them'",
  `CREATE TABLE patient (id int PRIMARY KEY, illness illness DEFAULT 'zoster' CHECK (illness <> 'anthrax'), illnesses illness[],
     score score, finding finding, span span)`,
  "CREATE TYPE colour AS ENUM ('teal', 'crimson')",
  'CREATE TABLE plain (id int PRIMARY KEY, word text, level int)',
  "INSERT INTO plain VALUES (1, 'teal', 1), (2, 'crimson', 2), (3, NULL, 3)",
];

/** Asks the cloud past Clarus. */
async function behind<T>(sides: Beside, sql: string, values: readonly unknown[] = []): Promise<T[]> {
  const cloud = new pg.Client({ ...sides.recorded.proxy.behind });
  await cloud.connect();
  try {
    return (await cloud.query({ text: sql, values: [...values] })).rows as T[];
  } finally {
    await cloud.end();
  }
}

/** All that the cloud's catalogue tells of what users made. */
async function catalogue(sides: Beside): Promise<string> {
  const stored = 'enum constraint attrdef type description proc class rewrite range trigger'.split(' ');
  const queries = [
    ...stored.map(name => `SELECT x::text FROM pg_catalog.pg_${name} x`),
    'SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef',
    'SELECT pg_get_constraintdef(oid) FROM pg_constraint',
  ];
  return (await behind<{ x: string }>(sides, queries.join(' UNION ALL '))).map(({ x }) => x).join('\n');
}

/** Those of the types that stand in the cloud. */
async function standing(sides: Beside, ...names: readonly string[]): Promise<readonly string[]> {
  const sql = 'SELECT typname::text AS x FROM pg_type WHERE typname = ANY ($1) ORDER BY 1';
  return (await behind<{ x: string }>(sides, sql, [names])).map(({ x }) => x);
}

/** What `clarus check` says of types. */
async function saidByCheck(sides: Beside): Promise<readonly string[]> {
  const { trusted, behind: cloud, database } = sides.recorded.proxy;
  const catalog = await loadCatalog(trusted.state, 'main');
  const clients = [await trusted.shadowAdmin(database).connect(), new pg.Client({ ...cloud })] as const;
  const [readShadow, readCloud] = [readerOf(clients[0]), readerOf(clients[1])];
  try {
    await clients[1].connect();
    for (const client of clients) await client.query('BEGIN');
    const [described, shadow] = [await describeDatabase(readCloud), await describeDatabase(readShadow)];
    return await typesInTheClear({ catalog, cloud: described, shadow, readCloud, readShadow });
  } finally {
    clients[0].release(true);
    await clients[1].end();
  }
}

/** Both answer all steps alike, by both protocols. */
async function alike(sides: Beside, steps: readonly Step[], extended = false): Promise<void> {
  assert.deepEqual(await sides.unorderedDifferences(steps, extended), []);
}

suite('types of protected columns', () => {
  const sides = beside(policy, tables);

  test('values are written and read as in PostgreSQL', async () => {
    const whole = '(zoster,5,rabies)';
    await alike(sides, [
      'INSERT INTO patient (id) VALUES (1)',
      `INSERT INTO patient VALUES (2, 'rabies', '{zoster,rabies}', 7, '${whole}', '[zoster,rabies)')`,
      'INSERT INTO patient (id, score) VALUES (3, 481200481)',
      "INSERT INTO patient (id, illness) VALUES (3, 'anthrax')",
      "INSERT INTO patient (id, illness) VALUES (3, 'mumps')",
      "INSERT INTO patient (id, finding) VALUES (3, '(zoster,5,zoster)')",
      ['INSERT INTO patient (id, illness, score) VALUES ($1, $2, $3)', ['4', 'rabies', '8']],
    ]);
    for (const extended of [false, true])
      await alike(
        sides,
        [
          'SELECT * FROM patient ORDER BY id',
          "SELECT id FROM patient WHERE illness = 'rabies' ORDER BY id",
          "SELECT id, (finding).worst, upper(span) FROM patient WHERE 'zoster' = ANY (illnesses)",
          "UPDATE patient SET illness = 'zoster' WHERE id = (7::score)::int - 5 RETURNING illness",
          "SELECT p.id FROM patient p JOIN patient q USING (illness) WHERE q.illness > 'zoster' ORDER BY id",
        ],
        extended,
      );
  });

  test('statements that name the types are answered without them in the cloud', async () => {
    for (const extended of [false, true])
      await alike(
        sides,
        [
          "SELECT 'zoster'::illness",
          'SELECT unnest(enum_range(NULL::illness))',
          "SELECT 'zoster'::illness, now() IS NULL",
          'SELECT id, word::colour FROM plain ORDER BY id',
          "SELECT id, to_regtype('illness'), to_regtype(word)::text, 'score'::regtype FROM plain ORDER BY id",
          ['SELECT id, $1::regtype::text FROM plain ORDER BY id', ['finding[]']],
          "UPDATE plain SET word = to_regtype('colour')::text WHERE id = 3 RETURNING *",
          'UPDATE plain SET word = NULL WHERE id = 3',
          "SELECT id FROM plain WHERE word::colour > 'teal'",
          'SELECT id, word::colour::text, now() IS NULL FROM plain ORDER BY id',
          'SELECT id FROM plain WHERE level = 481200481::score',
          'SELECT id FROM plain WHERE level = (2::score)::int',
          "SELECT p.id, q.id FROM plain p JOIN patient q ON q.score = p.level WHERE p.word::colour = 'teal'",
          "UPDATE plain SET level = level + 1 WHERE word::colour = 'crimson'",
          'UPDATE plain SET level = (5::score)::int WHERE id = 3 RETURNING *',
          "INSERT INTO plain SELECT 4, 'crimson'::colour::text, 4 RETURNING *",
          "INSERT INTO plain VALUES (5, ('teal'::colour)::text, 5)",
          "DELETE FROM plain WHERE word::colour = 'teal' AND id > 4",
          "DELETE FROM plain WHERE id = 4 AND word::colour = 'crimson'",
          'SELECT * FROM plain ORDER BY id',
          ['SELECT $1::colour, id FROM plain WHERE word::colour = $1 ORDER BY 2', ['crimson']],
          ['SELECT id FROM plain WHERE word = $1::colour::text ORDER BY 1', ['teal']],
          "EXPLAIN (COSTS OFF) SELECT 'zoster'::illness",
        ],
        extended,
      );
    await alike(sides, [
      'COPY (SELECT word::colour FROM plain ORDER BY id) TO STDOUT',
      "COPY (SELECT 'zoster'::illness) TO STDOUT",
      'BEGIN; DECLARE c CURSOR FOR SELECT word::colour FROM plain ORDER BY id; FETCH 2 FROM c; COMMIT',
      "PREPARE p (illness) AS SELECT $1, 'rabies'::illness > $1",
      "EXECUTE p ('zoster')",
      "CREATE TEMP TABLE here AS SELECT 'zoster'::illness AS i",
      "SELECT * FROM here WHERE i < 'rabies'",
      'DROP TABLE here',
      "DO $$ DECLARE x colour := 'teal'; n int; BEGIN SELECT count(*) INTO n FROM plain WHERE word::colour = x; RAISE NOTICE '%', n; END $$",
    ]);
  });

  test('functions, views and tables made of queries that need them stand on the trusted side', async () => {
    const one =
      "CREATE FUNCTION worse(a illness, b illness) RETURNS illness LANGUAGE sql AS 'SELECT greatest(a, b)'";
    const two = `CREATE FUNCTION named(a text) RETURNS text LANGUAGE plpgsql AS
      $$ DECLARE x colour; BEGIN x := a; IF x = 'teal' AND 'zoster'::illness < 'rabies' THEN RETURN 'green'; END IF; RETURN x; END $$`;
    await alike(sides, [
      one,
      two,
      "SELECT worse('zoster', 'rabies')",
      "SELECT id, worse(illness, 'rabies') FROM patient ORDER BY id",
      "SELECT named('teal')",
      'SELECT id, named(word) FROM plain WHERE word IS NOT NULL ORDER BY id',
      "CREATE FUNCTION through(a text) RETURNS text LANGUAGE sql AS 'SELECT named(a)'",
      'SELECT through(word) FROM plain WHERE id = 1',
      'CREATE VIEW seen AS SELECT id, word::colour AS what FROM plain',
      'SELECT * FROM seen ORDER BY id',
      "SELECT count(*) FROM seen WHERE what > 'teal'",
      'SELECT s.id, p.word FROM seen s JOIN plain p USING (id) ORDER BY 1',
      'CREATE VIEW all_of AS SELECT unnest(enum_range(NULL::illness)) AS one',
      'SELECT * FROM all_of',
      'CREATE TABLE made AS SELECT id, (word::colour)::text AS w FROM plain',
      'SELECT * FROM made ORDER BY id',
      'CREATE VIEW shown AS SELECT id, word FROM plain',
      'SELECT * FROM shown ORDER BY id',
      "CREATE OR REPLACE VIEW shown AS SELECT id, word::colour::text AS word FROM plain WHERE word::colour = 'teal'",
      'SELECT * FROM shown ORDER BY id',
      'CREATE OR REPLACE VIEW shown AS SELECT id, word FROM plain WHERE id = 2',
      'SELECT * FROM shown ORDER BY id',
      'GRANT EXECUTE ON FUNCTION worse(illness, illness) TO PUBLIC',
      'DROP VIEW seen, all_of, shown',
      'DROP FUNCTION through(text), named(text)',
    ]);
  });

  test('the types change and go on the trusted side', async () => {
    await alike(sides, [
      'GRANT USAGE ON TYPE illness TO PUBLIC',
      'REVOKE USAGE ON DOMAIN score FROM PUBLIC',
      "ALTER TYPE illness ADD VALUE 'pestis' AFTER 'zoster'",
      "INSERT INTO patient (id, illness) VALUES (5, 'pestis')",
      'SELECT id, illness FROM patient ORDER BY illness, id',
      "BEGIN; ALTER TYPE illness ADD VALUE 'zoster two'; ROLLBACK",
      'SELECT enum_range(NULL::illness)',
      'ALTER DOMAIN score SET DEFAULT 12',
      'ALTER DOMAIN score DROP CONSTRAINT score_fits',
      'INSERT INTO patient (id, score) VALUES (6, 481200481), (7, DEFAULT)',
      'ALTER TYPE span RENAME TO stretch',
      'SELECT id, score, span FROM patient ORDER BY id',
      'DROP TYPE illness',
      'ALTER TABLE patient DROP COLUMN finding',
      'DROP TYPE finding, bad',
      'DROP TYPE illness CASCADE',
      'SELECT * FROM patient ORDER BY id',
    ]);
  });

  test('the cloud was told nothing of them', async () => {
    assert.deepEqual(
      await standing(sides, 'illness', 'score', 'bad', 'finding', 'span', 'stretch', 'colour'),
      [],
    );
    assert.deepEqual((await catalogue(sides)).match(secret), null);
    assert.deepEqual(sides.recorded.sent().match(secret), null);
  });
});

suite('types of unprotected columns', () => {
  const sides = beside(policy, tables);

  test('they are made in the cloud with what they are made of, and change there too', async () => {
    await alike(sides, [
      "CREATE TYPE mood AS ENUM ('sad', 'ok')",
      'CREATE DOMAIN weight AS int CHECK (VALUE > 0) DEFAULT 3',
      'CREATE TYPE pair AS (m mood, w weight)',
      'CREATE TYPE moods AS RANGE (SUBTYPE = mood, MULTIRANGE_TYPE_NAME = many_moods)',
    ]);
    assert.deepEqual(await standing(sides, 'mood', 'weight', 'pair', 'moods', 'many_moods'), []);
    await alike(sides, [
      'CREATE TABLE free (id int, m mood, ms mood[], p pair, w weight, t text, r many_moods)',
      "INSERT INTO free VALUES (1, 'sad', '{sad,ok}', '(ok,3)', 4, 'ok', '{[sad,ok]}')",
      'INSERT INTO free (id, w) VALUES (2, 0)',
      "ALTER TYPE mood ADD VALUE 'happy' BEFORE 'ok'",
      "INSERT INTO free (id, m) VALUES (2, 'happy')",
      'SELECT * FROM free ORDER BY m, id',
      "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
      'SELECT * FROM free ORDER BY m, id',
      "BEGIN; ALTER TYPE mood ADD VALUE 'wild'; ROLLBACK",
      'SELECT enum_range(NULL::mood)',
      "BEGIN; ALTER TYPE mood ADD VALUE 'wild'; INSERT INTO free (id, m) VALUES (3, 'wild'); COMMIT",
      'ROLLBACK',
      "BEGIN; ALTER TYPE mood ADD VALUE 'wild'; COMMIT",
      "INSERT INTO free (id, m) VALUES (3, 'wild')",
      "ALTER TABLE free ALTER COLUMN t TYPE mood USING CASE WHEN t = 'ok' THEN 'fine'::mood END",
      'SELECT * FROM free ORDER BY id',
      'ALTER DOMAIN weight DROP CONSTRAINT weight_check',
      'INSERT INTO free (id, w) VALUES (9, -1)',
      'ALTER DOMAIN weight ADD CHECK (VALUE > 0)',
      'ALTER DOMAIN weight ADD CONSTRAINT weight_fits CHECK (VALUE > -5)',
      'ALTER DOMAIN weight SET NOT NULL',
      'INSERT INTO free (id, w) VALUES (9, -7)',
    ]);
    assert.deepEqual(await standing(sides, 'mood', 'weight', 'pair', 'moods', 'many_moods'), [
      'many_moods',
      'mood',
      'moods',
      'pair',
      'weight',
    ]);
  });

  test('a transaction takes them back', async () => {
    await alike(sides, [
      "BEGIN; SAVEPOINT a; CREATE TYPE lost AS ENUM ('x'); CREATE TABLE lost_one (l lost); ROLLBACK TO a; COMMIT",
      'CREATE TABLE lost_one (l lost)',
      "BEGIN; CREATE TYPE found AS ENUM ('x'); SAVEPOINT a; CREATE TABLE found_one (l found); ROLLBACK TO a; SELECT 'x'::found, now() IS NULL; COMMIT",
    ]);
    assert.deepEqual(await standing(sides, 'lost', 'found'), []);
    await alike(sides, [
      "BEGIN; SELECT 'x'::found, now() IS NULL; CREATE TABLE found_one (a int, l found); INSERT INTO found_one VALUES (1, 'x'); SELECT l, 'x'::found FROM found_one; ROLLBACK",
      'CREATE TABLE found_one (a int, l found)',
      "INSERT INTO found_one VALUES (1, 'x')",
      "SELECT *, 'x'::found FROM found_one",
      'DROP TABLE found_one',
      "SELECT 'x'::found, now() IS NULL",
      'CREATE TABLE found_one (l found)',
      'DROP TYPE found CASCADE',
      'SELECT * FROM found_one',
    ]);
    assert.deepEqual(await standing(sides, 'lost', 'found'), []);
  });

  test('what protected columns use comes to the cloud with the first unprotected column, and goes with the last', async () => {
    const both = async (): Promise<readonly string[]> => standing(sides, 'illness', 'colour');
    await alike(sides, [
      "INSERT INTO patient (id, illness) VALUES (1, 'rabies')",
      'ALTER TABLE plain ALTER COLUMN word TYPE colour USING word::colour',
    ]);
    assert.deepEqual(await both(), ['colour']);
    await alike(sides, [
      'SELECT id, word FROM plain ORDER BY word, id',
      "ALTER TABLE plain ADD COLUMN was illness DEFAULT 'rabies'",
      'SELECT p.id, q.id FROM plain p JOIN patient q ON q.illness = p.was ORDER BY 1',
      "ALTER TYPE illness ADD VALUE 'measles'",
    ]);
    assert.deepEqual(await both(), ['colour', 'illness']);
    assert.deepEqual(await saidByCheck(sides), [
      'the labels of public.illness, which the protected public.patient.illness uses, stand in the cloud because public.plain.was is in the clear',
    ]);
    await alike(sides, [
      'ALTER TABLE plain ALTER COLUMN word TYPE text',
      'ALTER TABLE plain DROP COLUMN was',
      "ALTER TYPE illness ADD VALUE 'pestis'",
    ]);
    assert.deepEqual(await both(), []);
    assert.deepEqual((await catalogue(sides)).match(/pestis|measles/), null);
  });

  test('expressions of unprotected tables bring them too', async () => {
    await alike(sides, [
      "CREATE TABLE odd (x text DEFAULT 'teal'::colour::text CHECK (x::colour < 'crimson'))",
      'INSERT INTO odd DEFAULT VALUES',
      "INSERT INTO odd VALUES ('crimson')",
      'SELECT x, x::colour FROM odd',
      'CREATE INDEX ON plain (id) WHERE level > 5::score',
      'DROP TABLE odd',
    ]);
    assert.deepEqual(await standing(sides, 'colour', 'score'), ['colour', 'score']);
    // a type that nothing needs there any more is not told what becomes of it
    await alike(sides, ["ALTER TYPE colour ADD VALUE 'beige'", 'SELECT enum_last(NULL::colour)']);
    assert.deepEqual(await standing(sides, 'colour', 'score'), ['score']);
  });

  test('functions follow their types', async () => {
    const of =
      "CREATE FUNCTION paler(c colour) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT c < 'crimson' $$";
    const inCloud = async (): Promise<number> =>
      (await behind(sides, "SELECT FROM pg_proc WHERE proname IN ('paler', 'palest')")).length;
    await alike(sides, [
      of,
      'CREATE FUNCTION palest(c text) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$ SELECT paler(c::colour) $$',
      'SELECT id, palest(word) FROM plain ORDER BY id',
    ]);
    assert.equal(await inCloud(), 0);
    await alike(sides, [
      'CREATE TABLE painted (c colour CHECK (paler(c)))',
      "INSERT INTO painted VALUES ('teal')",
      "INSERT INTO painted VALUES ('crimson')",
      'SELECT c, paler(c), palest(c::text) FROM painted',
    ]);
    assert.equal(await inCloud(), 2);
    await alike(sides, [
      'DROP TABLE painted',
      "ALTER TYPE colour ADD VALUE 'azure'",
      'SELECT id, palest(word) FROM plain ORDER BY id',
    ]);
  });

  test('a type that only a body may mean is not told what it is changed to', async () => {
    await alike(sides, [
      "CREATE TYPE grade AS ENUM ('low')",
      'CREATE DOMAIN whole AS int',
      'CREATE TABLE graded (g grade, w whole)',
      "CREATE FUNCTION said() RETURNS text LANGUAGE sql AS $$ SELECT 'grade and whole'::text $$",
      'CREATE TABLE kept (g grade, w whole)',
      'DROP TABLE graded',
    ]);
    await sides.ours.query("SECURITY LABEL FOR clarus ON COLUMN kept.g IS 'encrypt'");
    await sides.ours.query("SECURITY LABEL FOR clarus ON COLUMN kept.w IS 'encrypt'");
    assert.deepEqual(await standing(sides, 'grade', 'whole'), ['grade', 'whole']);
    for (const sql of [
      "ALTER TYPE grade ADD VALUE 'plague high'",
      'ALTER DOMAIN whole ADD CHECK (VALUE <> 491200491)',
      'ALTER DOMAIN whole SET DEFAULT 471100471',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000' }, sql);
    await alike(sides, [
      'DROP FUNCTION said()',
      "ALTER TYPE grade ADD VALUE 'plague high'",
      'ALTER DOMAIN whole ADD CHECK (VALUE <> 491200491)',
      "INSERT INTO kept VALUES ('plague high', 1)",
      'SELECT * FROM kept',
    ]);
    assert.doesNotMatch(await catalogue(sides), /.{0,60}(plague high|491200491)/);
    await alike(sides, ['DROP TABLE kept', 'DROP TYPE grade', 'DROP DOMAIN whole']);
  });

  test('a domain whose check is not validated comes to the cloud', () =>
    alike(sides, [
      'CREATE DOMAIN above AS int',
      'ALTER DOMAIN above ADD CONSTRAINT zero CHECK (VALUE > 0) NOT VALID',
      'CREATE TABLE counted (a above)',
      'INSERT INTO counted VALUES (1)',
      'INSERT INTO counted VALUES (0)',
      'SELECT * FROM counted',
      'DROP TABLE counted',
      'DROP DOMAIN above',
    ]));

  test('a table that becomes protected takes its types out of the cloud', async () => {
    await alike(sides, ["CREATE TYPE ward AS ENUM ('closed ward')", 'CREATE TABLE bed (w ward)']);
    assert.deepEqual(await standing(sides, 'ward'), ['ward']);
    await sides.ours.query("SECURITY LABEL FOR clarus ON COLUMN bed.w IS 'encrypt'");
    assert.deepEqual(await standing(sides, 'ward'), []);
    await alike(sides, [
      "INSERT INTO bed VALUES ('closed ward')",
      'SELECT * FROM bed',
      'DROP TABLE bed',
      'DROP TYPE ward',
    ]);
  });

  test('triggers of unprotected tables bring what their functions name', async () => {
    await alike(sides, [
      'CREATE FUNCTION tinted() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c colour; BEGIN c := NEW.word; NEW.word := c; RETURN NEW; END $$',
      'CREATE TRIGGER tinted BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION tinted()',
      "INSERT INTO plain VALUES (7, 'teal', 1)",
      "INSERT INTO plain VALUES (8, 'none', 1)",
      "ALTER TYPE colour ADD VALUE 'ochre'",
      "INSERT INTO plain VALUES (8, 'ochre', 1)",
      'SELECT * FROM plain ORDER BY id',
    ]);
  });
});
