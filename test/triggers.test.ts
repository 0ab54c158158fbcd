/** Triggers of protected tables do what they do in PostgreSQL, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { beside } from './support/beside.js';
import { Clients } from './support/clients.js';
import type { Step } from './support/outcome.js';
import { functions, scripts } from './triggers/scripts.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { protect: none }
      open: { protect: none }
      touched: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.secret:
    columns:
      id: { protect: none }
      doubled: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.log:
    columns:
      n: { protect: none }
      op: { protect: none }
      person: { protect: none }
      was: { class: identifier, protect: encrypt }
      becomes: { class: identifier, protect: encrypt }
  public.ward:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.room:
    columns:
      id: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.bed:
    columns:
      id: { protect: none }
      room: { protect: none }
      word: { class: confidential, protect: encrypt }
  public.tally:
    columns:
      id: { protect: none }
      n: { protect: none }
      sum: { class: confidential, protect: encrypt }`;

const tables = [
  "CREATE TABLE person (id int PRIMARY KEY, open text DEFAULT 'd', name text, amount numeric(10, 2), touched timestamptz)",
  'CREATE TABLE secret (id int PRIMARY KEY, word text)',
  'CREATE TABLE log (n serial PRIMARY KEY, op text, person int, was text, becomes text)',
  'CREATE TABLE tally (id int PRIMARY KEY, n int, sum numeric)',
];
const rows = [
  "INSERT INTO person VALUES (1, 'a', 'Zaphod', 10.5), (2, 'b', 'Trillian', 20), (3, 'a', NULL, NULL), (4, NULL, 'Marvin', -3)",
  "INSERT INTO secret VALUES (1, 'Slartibartfast'), (2, 'Zaphod')",
  'INSERT INTO tally VALUES (1, 4, 27.5)',
];
/** Stand in protected columns only. */
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Slartibartfast', 'Agrajag', 'Fenchurch'];

suite('triggers', { timeout: 400_000 }, () => {
  const sides = beside(policy, [...tables, ...functions]);
  const outcome = async (client: pg.Client, step: Step, extended: boolean): Promise<unknown> => {
    const { rows, detail, ...told } = await sides.outcome(client, step, extended);
    const [sql] = typeof step === 'string' ? [step] : step;
    const sorted = /ORDER BY/.test(sql) ? rows : rows?.map(row => JSON.stringify(row)).sort();
    // the details of keys and rows are not told
    const isOfRow =
      /^(23505|42804|42601)$/.test(told.code ?? '') || String(detail).startsWith('Failing row contains');
    return { ...told, rows: sorted, detail: isOfRow ? undefined : detail };
  };
  const contents = ['person', 'secret', 'log', 'tally'].map(
    table => `SELECT ${table === 'person' ? 'id, open, name, amount' : '*'} FROM ${table} ORDER BY 1`,
  );
  const fresh = async (): Promise<void> => {
    for (const client of sides.clients) {
      const { rows: found } = await client.query(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'person'::regclass AND NOT tgisinternal",
      );
      for (const { tgname } of found) await client.query(`DROP TRIGGER ${tgname} ON person`);
      // rows then stand in the order in which they are inserted: what was deleted would leave room between them
      await client.query('TRUNCATE person, secret, log, tally');
      await client.query('ALTER SEQUENCE log_n_seq RESTART');
      for (const sql of rows) await client.query(sql);
    }
  };
  const differences = (steps: readonly Step[], extended = false): Promise<unknown[]> =>
    sides.differences(steps, (client, step) => outcome(client, step, extended));

  for (const [theme, steps] of Object.entries(scripts))
    test(`triggers do what they do in PostgreSQL: ${theme}`, async () => {
      await fresh();
      const extended = Object.keys(scripts).indexOf(theme) % 2 === 1;
      assert.deepEqual(await differences([...steps, ...contents], extended), []);
    });

  test('what a trigger would bring to an open column is refused, and what is not fired says so', async () => {
    const on = 'ON person FOR EACH ROW EXECUTE FUNCTION';
    const refused: readonly (readonly [string, string])[] = [
      [`CREATE TRIGGER t BEFORE INSERT OR UPDATE ${on} opens()`, 'UPDATE person SET amount = 1 WHERE id = 1'],
      [
        `CREATE TRIGGER t BEFORE INSERT OR UPDATE ${on} opens()`,
        "INSERT INTO person (id, name) VALUES (9, 'Agrajag')",
      ],
      [`CREATE TRIGGER t AFTER DELETE ${on} gives()`, 'DELETE FROM person WHERE id = 1'],
      [
        `CREATE TRIGGER t BEFORE INSERT ${on} unique_names()`,
        "INSERT INTO person (id) VALUES (1), (80) ON CONFLICT (id) DO UPDATE SET name = 'x'",
      ],
      [
        `CREATE TRIGGER t BEFORE UPDATE ${on} tell()`,
        'WITH w AS (UPDATE person SET amount = 2 RETURNING id) SELECT * FROM w',
      ],
      [
        'SELECT 1',
        `CREATE CONSTRAINT TRIGGER t AFTER INSERT ON person DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tell()`,
      ],
      [
        'ALTER TABLE secret ADD FOREIGN KEY (id) REFERENCES person ON DELETE CASCADE',
        'CREATE TRIGGER t AFTER DELETE ON secret FOR EACH ROW EXECUTE FUNCTION tell()',
      ],
      [
        `CREATE TRIGGER t AFTER DELETE ON secret FOR EACH ROW EXECUTE FUNCTION tell()`,
        'ALTER TABLE secret ADD FOREIGN KEY (id) REFERENCES person ON DELETE CASCADE',
      ],
      ['SELECT 1', `CREATE TRIGGER t BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION audit()`],
      ['SELECT 1', `CREATE TRIGGER t BEFORE INSERT ${on} defines()`],
      ['SELECT 1', 'SET session_replication_role = replica'],
      [
        'SELECT 1',
        'CREATE TRIGGER t AFTER INSERT ON person FOR EACH ROW WHEN (logged() > NEW.id) EXECUTE FUNCTION tell()',
      ],
      [
        'CREATE TRIGGER t BEFORE INSERT ON secret FOR EACH ROW EXECUTE FUNCTION tell()',
        'ALTER TABLE secret ADD COLUMN doubled int GENERATED ALWAYS AS (id * 2) VIRTUAL',
      ],
      [
        'CREATE TRIGGER t BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION tell()',
        "SECURITY LABEL FOR clarus ON COLUMN noted.note IS 'encrypt'",
      ],
      [
        'CREATE TRIGGER t BEFORE INSERT ON ward FOR EACH ROW EXECUTE FUNCTION tell()',
        "SECURITY LABEL FOR clarus ON COLUMN ward.word IS 'none'",
      ],
    ];
    const { ours } = sides;
    await fresh();
    for (const sql of [
      "CREATE FUNCTION opens() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.open := NEW.name; RETURN NEW; END'",
      "CREATE FUNCTION gives() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted (note) VALUES (OLD.name); RETURN NULL; END'",
      'CREATE FUNCTION defines() RETURNS trigger LANGUAGE plpgsql SET DateStyle = German AS $$ BEGIN RETURN NEW; END $$',
      "CREATE FUNCTION logged() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM log'",
      'CREATE TABLE noted (note text)',
      'CREATE TABLE ward (id int, word text)',
    ])
      await ours.query(sql);
    for (const [first, then] of refused) {
      await ours.query('BEGIN');
      await ours.query(first);
      const { code } = await sides.outcome(ours, then);
      await ours.query('ROLLBACK');
      assert.equal(code, '0A000', `${first}; ${then}`);
    }
  });

  test('a trigger of an open table is fired by the cloud, with its function there', async () => {
    const steps = [
      'CREATE TABLE open_log (n int, note text)',
      'CREATE TABLE plain (n int, note text)',
      "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); INSERT INTO open_log VALUES (NEW.n, NEW.note); RETURN NEW; END'",
      'CREATE TRIGGER notes BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION noted()',
      "INSERT INTO plain VALUES (1, 'a'), (2, 'b') RETURNING note",
      'ALTER TRIGGER notes ON plain RENAME TO noting',
      "UPDATE plain SET note = 'c'",
      "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := NEW.note || 1; RETURN NEW; END'",
      'INSERT INTO plain VALUES (3, $$d$$)',
      'ALTER TABLE plain DISABLE TRIGGER noting',
      'INSERT INTO plain VALUES (4, $$e$$)',
      'DROP TRIGGER noting ON plain',
      'INSERT INTO plain VALUES (5, $$f$$)',
      'SELECT * FROM plain ORDER BY n',
      'SELECT * FROM open_log ORDER BY n, note',
      'DROP FUNCTION noted()',
    ];
    assert.deepEqual(await differences(steps), []);
  });

  test('what triggers see of the actions of foreign keys is what PostgreSQL shows them, or refused', async () => {
    await sides.both(
      'CREATE TABLE room (id int PRIMARY KEY, word text)',
      'CREATE TABLE bed (id int PRIMARY KEY, room int REFERENCES room ON DELETE CASCADE, word text)',
      "INSERT INTO room VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')",
      "INSERT INTO bed SELECT i, 1 + i % 4, 'x' FROM generate_series(1, 12) i",
      `CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         RAISE NOTICE '% % %', TG_WHEN, OLD.id, (SELECT count(*) FROM bed); RETURN COALESCE(NEW, OLD); END $$`,
      'CREATE TRIGGER b BEFORE DELETE OR UPDATE ON room FOR EACH ROW EXECUTE FUNCTION counts()',
    );
    const steps = [
      'DELETE FROM room WHERE id = 1',
      "UPDATE room SET word = word || 'x' WHERE id > 2",
      'DROP TRIGGER b ON room',
      'CREATE TRIGGER a AFTER DELETE ON room FOR EACH ROW EXECUTE FUNCTION counts()',
      'DELETE FROM room WHERE id = 2',
      'SELECT * FROM bed ORDER BY id',
    ];
    assert.deepEqual(await differences(steps), []);
    for (const timing of ['AFTER', 'BEFORE']) {
      await sides.ours.query(
        `CREATE OR REPLACE TRIGGER a ${timing} DELETE ON room FOR EACH ROW EXECUTE FUNCTION counts()`,
      );
      await assert.rejects(sides.ours.query('DELETE FROM room'), { code: '0A000' });
    }
    await sides.both('DROP TABLE bed, room');
  });

  test('a statement sees nothing of what its triggers write', async () => {
    await fresh();
    await sides.both(
      `CREATE FUNCTION before_all() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         INSERT INTO secret VALUES (50 + (SELECT count(*) FROM secret), 'more'); RETURN NULL; END $$`,
      'CREATE TRIGGER b BEFORE INSERT OR UPDATE ON person FOR EACH STATEMENT EXECUTE FUNCTION before_all()',
      'CREATE TRIGGER a AFTER INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION audit()',
    );
    const steps = [
      "INSERT INTO person (id, name) VALUES (20, 'Ford') RETURNING id, upper(name), now() IS NOT NULL",
      'UPDATE person SET amount = 5 WHERE id = 1 RETURNING amount',
      'SELECT * FROM secret ORDER BY id',
    ];
    assert.deepEqual(await differences(steps), []);
    for (const sql of [
      'INSERT INTO person (id, name) SELECT id, word FROM secret WHERE id > 50',
      'UPDATE person SET amount = (SELECT count(*) FROM secret)',
      'UPDATE person SET amount = 1 RETURNING (SELECT count(*) FROM log)',
      'INSERT INTO person (id) VALUES (21) RETURNING (SELECT max(amount) FROM person)',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000' }, sql);
    assert.deepEqual(await differences(contents), []);
  });

  test('upserts of two sessions beside a BEFORE INSERT trigger lose nothing', async () => {
    await fresh();
    await sides.both(
      'CREATE TRIGGER louder BEFORE INSERT ON person FOR EACH ROW EXECUTE FUNCTION louder()',
      'CREATE TRIGGER counts AFTER INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION count_up()',
    );
    const { proxy } = sides.recorded;
    const clients = new Clients();
    const sessions = [await clients.join({ ...proxy }), await clients.join({ ...proxy })];
    const upsert = `INSERT INTO person (id, name, amount) VALUES ($1, 'x', 1)
      ON CONFLICT (id) DO UPDATE SET amount = person.amount + EXCLUDED.amount, name = person.name || EXCLUDED.name`;
    const rounds = 20;
    await Promise.all(
      sessions.map(async client => {
        for (let i = 0; i < rounds; i++) await client.query(upsert, [90 + (i % 4)]);
      }),
    );
    await clients.end();
    const { rows: found } = await sides.ours.query(
      'SELECT id, amount::int, name FROM person WHERE id >= 90 ORDER BY id',
    );
    assert.deepEqual(
      found,
      [90, 91, 92, 93].map(id => ({ id, amount: rounds / 2, name: 'X'.repeat(rounds / 2) })),
    );
    const { rows: counted } = await sides.ours.query('SELECT n FROM tally');
    assert.deepEqual(counted, [{ n: 4 + 4 }]);
  });

  test('nothing of what triggers see leaves in the clear', async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    const sent = sides.recorded.sent();
    assert.ok(sent.includes('INSERT'));
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
