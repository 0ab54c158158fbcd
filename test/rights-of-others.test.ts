/** What a role of the application, or any session, must not get at by what others compute for it; and what must not be told of the cloud. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';

const policy = `unlisted: pass
tables:
  public.given: { columns: { id: { protect: none }, name: { protect: encrypt } } }
  public.patient: { columns: { id: { protect: encrypt, queries: [equality] }, note: { protect: none } } }
  public.copied: { columns: { id: { protect: encrypt }, name: { protect: encrypt } } }`;

const prepared = [
  'CREATE TABLE vault (id int, note text)',
  "INSERT INTO vault VALUES (1, 'topsecret')",
  'CREATE TABLE given (id int PRIMARY KEY, name text)',
  "INSERT INTO given VALUES (1, 'Gil'), (2, 'Gus')",
  'CREATE TABLE patient (id int, note text UNIQUE)',
  "INSERT INTO patient VALUES (1, 'n')",
  'CREATE TABLE copied (id serial, name text)',
];

suite('rights of others', { timeout: 300_000 }, () => {
  const sides = beside(policy, prepared);

  test('what a role puts where the cloud computes is not run with the rights of the cloud’s user', async () => {
    const { ours } = sides;
    await ours.query('CREATE ROLE maker');
    await ours.query('GRANT maker TO CURRENT_USER');
    await ours.query('GRANT CREATE, USAGE ON SCHEMA public TO maker');
    await ours.query('GRANT ALL ON patient TO maker');
    await ours.query('SET ROLE maker');
    for (const sql of [
      'CREATE FUNCTION grab(int) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT note FROM public.vault WHERE id = $1$$',
      "CREATE FUNCTION burn(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM note FROM public.vault WHERE note LIKE 't%'; RETURN FOUND; END$$",
      "CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE vault SET note = 'owned'; RETURN OLD; END$$",
      'CREATE TABLE gen (id int, s text GENERATED ALWAYS AS (grab(id)) STORED)',
      "CREATE TABLE chk (id int CHECK (grab(id) LIKE 'a%'))",
      'CREATE DOMAIN dom AS int CHECK (burn(VALUE))',
      'CREATE TABLE dommed (id dom)',
      'CREATE TABLE routed (id int) PARTITION BY LIST (grab(id))',
      'CREATE TABLE routed_1 PARTITION OF routed DEFAULT',
      'CREATE TABLE mine (id int)',
      'INSERT INTO mine VALUES (1)',
      'CREATE TABLE par (id int PRIMARY KEY)',
      'CREATE TABLE chi (id int REFERENCES par ON DELETE CASCADE)',
      'INSERT INTO par VALUES (1)',
      'INSERT INTO chi VALUES (1)',
      'CREATE TRIGGER t BEFORE DELETE ON chi FOR EACH ROW EXECUTE FUNCTION taken()',
    ])
      await ours.query(sql);
    for (const sql of [
      'INSERT INTO gen VALUES (1)',
      'INSERT INTO chk VALUES (1)',
      'INSERT INTO dommed VALUES (1)',
      'INSERT INTO routed VALUES (1)',
      'ALTER TABLE mine ALTER COLUMN id TYPE text USING grab(id)',
      'ALTER TABLE mine ALTER COLUMN id TYPE dom',
      'CREATE INDEX ON mine (grab(id))',
      'CREATE STATISTICS s ON (grab(id)), id FROM mine',
      'DELETE FROM par WHERE id = 1',
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
    await assert.rejects(ours.query('SELECT id::dom FROM mine'), { code: '42501' });
    // the same by a parent whose actions Clarus runs
    await ours.query('RESET ROLE');
    await ours.query('CREATE TABLE chil (note text REFERENCES patient (note) ON DELETE CASCADE)');
    await ours.query("INSERT INTO chil VALUES ('n')");
    await ours.query('CREATE TRIGGER t BEFORE DELETE ON chil FOR EACH ROW EXECUTE FUNCTION taken()');
    await ours.query('SET ROLE maker');
    await assert.rejects(ours.query('DELETE FROM patient WHERE id = 1'), { code: '0A000' });
    await ours.query('RESET ROLE');
    assert.deepEqual((await ours.query('SELECT note FROM vault')).rows, [{ note: 'topsecret' }]);
  });

  test('no session sets what Clarus keeps', async () => {
    const { ours } = sides;
    for (const sql of [
      "SET clarus.session_authorization = 'boss'",
      'RESET clarus.session_authorization',
      "SELECT set_config('clarus.session_authorization', 'boss', false)",
      "SET LOCAL Clarus.anything = 'x'",
    ])
      await assert.rejects(ours.query(sql), { code: '42501' }, sql);
    const { rows } = await ours.query('SELECT session_user AS name');
    assert.deepEqual(rows, [{ name: ours.user }]);
  });

  test('a table is made of the catalogue that the application sees', async () => {
    const steps = [
      "CREATE TABLE att AS SELECT attname::text FROM pg_attribute WHERE attrelid = 'given'::regclass AND attnum > 0",
      'SELECT * FROM att ORDER BY 1',
      'DROP TABLE att',
    ];
    assert.deepEqual(await sides.unorderedDifferences(steps), []);
    await sides.ours.query("CREATE TABLE who AS SELECT rolname::text FROM pg_roles WHERE rolname = 'maker'");
    assert.deepEqual((await sides.ours.query('SELECT * FROM who')).rows, [{ rolname: 'maker' }]);
    await assert.rejects(sides.ours.query('CREATE MATERIALIZED VIEW m AS SELECT attname FROM pg_attribute'), {
      code: '0A000',
    });
  });

  test('a sequence of the trusted side is not set where nothing may be written, and lastval tells of no other one', async () => {
    const { ours } = sides;
    await ours.query("INSERT INTO copied (name) VALUES ('a'), ('b')");
    await ours.query('BEGIN READ ONLY');
    await assert.rejects(ours.query("SELECT setval('copied_id_seq', max(id)) FROM copied"), {
      code: '25006',
      message: 'cannot execute setval() in a read-only transaction',
    });
    await ours.query('ROLLBACK');
    await ours.query(
      'CREATE FUNCTION lv() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN lastval(); END$$',
    );
    await assert.rejects(ours.query('SELECT lv()'), { code: '0A000' });
  });

  test('ON CONFLICT DO UPDATE that gives a row the key of another says so', async () => {
    assert.deepEqual(
      await sides.unorderedDifferences([
        "INSERT INTO given VALUES (2, 'Z') ON CONFLICT (id) DO UPDATE SET id = 1",
        "INSERT INTO given VALUES (2, 'Z') ON CONFLICT (id) DO UPDATE SET id = 3, name = upper(given.name)",
        'SELECT * FROM given ORDER BY id',
      ]),
      [],
    );
  });
});
