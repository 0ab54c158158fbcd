/** Triggers on TRUNCATE of protected tables do what they do in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.secret:
    columns:
      id: { protect: none }
      person: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      was: { class: identifier, protect: encrypt }`;

const ddl = [
  'CREATE TABLE person (id int PRIMARY KEY, name text, amount numeric)',
  'CREATE TABLE secret (id int PRIMARY KEY, person int, word text)',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, was text)',
  'CREATE TABLE plain (id serial, note text)',
  'CREATE TABLE plain_log (note text)',
  `CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE NOTICE '% % % % % % % %', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP, TG_TABLE_NAME, TG_ARGV[0], OLD IS NULL, NEW IS NULL;
     RETURN NULL; END $$`,
  `CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO log (op, was) SELECT TG_WHEN, name FROM person ORDER BY id;
     RAISE NOTICE '% %', (SELECT count(*) FROM person), (SELECT sum(amount) FROM person);
     RETURN NULL; END $$`,
  `CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO log (op, was) VALUES (TG_OP, 'Marvin');
     UPDATE log SET was = was || '!' WHERE op = TG_OP;
     RAISE NOTICE '% %', TG_WHEN, (SELECT count(*) FROM person p LEFT JOIN secret s ON s.word > p.name);
     RETURN NULL; END $$`,
  `CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     RAISE EXCEPTION '% is not emptied, it holds %', TG_TABLE_NAME, (SELECT max(name) FROM person); END $$`,
  `CREATE FUNCTION notes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
     INSERT INTO plain_log VALUES (TG_WHEN || ' ' || TG_OP); RAISE NOTICE 'noted'; RETURN NULL; END $$`,
];

const fresh = [
  'DELETE FROM person',
  'DELETE FROM secret',
  'DELETE FROM log',
  'ALTER SEQUENCE log_n_seq RESTART',
  "INSERT INTO person VALUES (1, 'Zaphod', 10.5), (2, 'Trillian', 20), (3, NULL, NULL)",
  "INSERT INTO secret VALUES (1, 1, 'Slartibartfast'), (2, 2, 'Zaphod')",
];
const contents = ['person', 'secret', 'log'].map(table => `SELECT * FROM ${table} ORDER BY 1`);
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Slartibartfast'];

const on = (name: string, timing: string, call: string, table = 'person'): string =>
  `CREATE TRIGGER ${name} ${timing} TRUNCATE ON ${table} EXECUTE FUNCTION ${call}`;

const scripts: Readonly<Record<string, readonly Step[]>> = {
  'their order': [
    on('b', 'BEFORE', "tells('x')"),
    on('a', 'BEFORE', 'tells()'),
    on('z', 'AFTER', 'tells()'),
    on('s', 'BEFORE', 'tells()', 'secret'),
    on('t', 'AFTER', 'tells()', 'secret'),
    'TRUNCATE person',
    'TRUNCATE secret, person, secret',
    'TRUNCATE TABLE ONLY person CONTINUE IDENTITY RESTRICT',
    'DELETE FROM person',
    'ALTER TABLE person DISABLE TRIGGER a',
    'TRUNCATE person',
    'ALTER TABLE person ENABLE ALWAYS TRIGGER a',
    'TRUNCATE person',
    "SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal ORDER BY 1",
    'CREATE TRIGGER x BEFORE TRUNCATE ON person FOR EACH ROW EXECUTE FUNCTION tells()',
  ],
  'what they read and write': [
    on('b', 'BEFORE', 'keeps()'),
    on('a', 'AFTER', 'keeps()'),
    'TRUNCATE person',
    "INSERT INTO person VALUES (4, 'Ford', 2)",
    'BEGIN',
    'SAVEPOINT s',
    'TRUNCATE person',
    'ROLLBACK TO s',
    'SELECT count(*) FROM person',
    'TRUNCATE person',
    'SELECT count(*) FROM person',
    'COMMIT',
  ],
  'functions over several tables': [
    on('b', 'BEFORE', 'counts()'),
    on('a', 'AFTER', 'counts()'),
    'TRUNCATE person',
  ],
  'one that refuses': [
    on('r', 'BEFORE', 'refuses()'),
    'TRUNCATE person',
    'TRUNCATE secret, person',
    "DO $$ BEGIN TRUNCATE person; EXCEPTION WHEN raise_exception THEN RAISE NOTICE '%', SQLERRM; END $$",
    'DROP TRIGGER r ON person',
    on('r', 'AFTER', 'refuses()'),
    'TRUNCATE person',
  ],
  'foreign keys': [
    'ALTER TABLE secret ADD CONSTRAINT k FOREIGN KEY (person) REFERENCES person',
    on('b', 'BEFORE', 'tells()'),
    'TRUNCATE person',
    'TRUNCATE person CASCADE',
    'ALTER TABLE secret DROP CONSTRAINT k',
  ],
  'an open table': [
    on('n', 'AFTER', 'notes()', 'plain'),
    "INSERT INTO plain (note) VALUES ('a')",
    'TRUNCATE plain',
    'SELECT * FROM plain_log',
    'SELECT count(*) FROM plain',
  ],
  'what follows in the transaction': [
    'BEGIN',
    'TRUNCATE person',
    "INSERT INTO person VALUES (7, 'Eddie', 2)",
    "UPDATE person SET amount = amount + 1 WHERE name LIKE 'E%' RETURNING *",
    'SELECT count(*) FROM person p JOIN secret s ON s.word > p.name',
    'COMMIT',
  ],
};

suite('triggers on TRUNCATE', { timeout: 200_000 }, () => {
  const sides = beside(policy, ddl);
  const outcome = async (client: pg.Client, step: Step, extended: boolean): Promise<unknown> => {
    const { detail: _detail, hint: _hint, ...told } = await sides.outcome(client, step, extended);
    return told;
  };
  const clear = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows } = await client.query(
        "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) AS sql FROM pg_trigger WHERE tgrelid IN ('person'::regclass, 'secret'::regclass) AND NOT tgisinternal",
      );
      for (const { sql } of rows) await client.query(sql);
    }
    await sides.both(...fresh);
  };

  for (const [theme, steps] of Object.entries(scripts))
    test(`triggers on TRUNCATE do what they do in PostgreSQL: ${theme}`, async () => {
      await clear();
      const extended = Object.keys(scripts).indexOf(theme) % 2 === 0;
      const found = await sides.differences([...steps, ...contents], (client, step) =>
        outcome(client, step, extended),
      );
      assert.deepEqual(found, []);
    });

  test('what is not fired is refused', async () => {
    const { ours } = sides;
    await clear();
    await ours.query(on('a', 'AFTER', 'tells()', 'secret'));
    await ours.query('ALTER TABLE secret ADD CONSTRAINT k FOREIGN KEY (person) REFERENCES person');
    await assert.rejects(ours.query('TRUNCATE person CASCADE'), { code: '0A000' });
    await assert.rejects(ours.query('TRUNCATE secret RESTART IDENTITY'), { code: '0A000' });
    await ours.query('TRUNCATE person, secret');
  });

  test('nothing of what triggers on TRUNCATE see leaves in the clear', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('TRUNCATE'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
