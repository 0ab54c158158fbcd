/** UPDATE, DELETE and the like that no encoding answers: they write what PostgreSQL would write, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type pg from 'pg';
import { policy, sentinels, tables } from './split/reads.js';
import { type Step, writes } from './split/writes.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

suite('split writes', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let ours: pg.Client;
  let plain: pg.Client;

  before(async () => {
    recorded = await startRecordedProxy(`${policy}
  public.counted:
    columns:
      id: { protect: none }
      second: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.checked:
    columns:
      id: { protect: none }
      w: { protect: none }
      name: { class: identifier, protect: encrypt }
  public.coded:
    columns:
      id: { protect: none }
      code: { protect: none }
      bits: { protect: none }
      name: { class: identifier, protect: encrypt }`);
    ({ ours, plain } = recorded);
    for (const client of [ours, plain]) {
      for (const sql of tables) await client.query(sql);
      await client.query(
        'CREATE TABLE checked (id int PRIMARY KEY, name text NOT NULL, w int CHECK (w < 1000), short varchar(3)[], padded char(4)[], bits bit(3)[], CHECK (id > 0 OR w > 5))',
      );
      await client.query(
        "CREATE TABLE coded (id int PRIMARY KEY, code varchar(5), bits bit(3), name text); INSERT INTO coded VALUES (1, 'abc', B'101', 'n1'), (2, 'ab', B'111', 'n2')",
      );
      await client.query('CREATE VIEW named AS SELECT name AS label, id AS key, born FROM patient');
      await client.query(
        'CREATE TABLE counted (id serial, second bigint GENERATED ALWAYS AS IDENTITY, name text UNIQUE, amount numeric(8,2) DEFAULT 7)',
      );
    }
  });
  after(() => recorded?.stop());

  const outcome = async (client: pg.Client, step: Step): Promise<unknown> => {
    const [text, ...values] = typeof step === 'string' ? [step] : step;
    try {
      const { command, rowCount, rows, fields } = await client.query({ text, values, rowMode: 'array' });
      const named = fields.map(({ name, dataTypeID }) => `${name} ${dataTypeID}`);
      const lines = rows.map(row => JSON.stringify(row));
      return { command, rowCount, named, lines: /ORDER BY/.test(text) ? lines : lines.sort() };
    } catch (error) {
      const { code, column, constraint, table, message } = error as pg.DatabaseError;
      return { code, column, constraint, table, message };
    }
  };
  const contents = async (client: pg.Client): Promise<unknown> => {
    const all: unknown[] = [];
    for (const table of ['patient', 'visit', 'ward', 'counted', 'checked', 'coded'])
      all.push((await client.query({ text: `SELECT * FROM ${table} ORDER BY 1`, rowMode: 'array' })).rows);
    return all;
  };

  for (const [theme, steps] of Object.entries(writes))
    test(`write what PostgreSQL writes: ${theme}`, async () => {
      for (const client of [ours, plain]) await client.query('ROLLBACK; BEGIN');
      for (const step of steps) {
        for (const client of [ours, plain]) await client.query('SAVEPOINT s');
        const [got, wanted] = [await outcome(ours, step), await outcome(plain, step)];
        assert.deepEqual(got, wanted, String(step));
        for (const client of [ours, plain])
          if ('code' in (wanted as object)) await client.query('ROLLBACK TO s');
        assert.deepEqual(await contents(ours), await contents(plain), String(step));
      }
      for (const client of [ours, plain]) await client.query('ROLLBACK');
      assert.deepEqual(await contents(ours), await contents(plain));
    });

  test('ask for the rows of one table in one query', async () => {
    await ours.query('BEGIN');
    const sent = await recorded.sentWhile(() =>
      ours.query('UPDATE patient SET weight = weight + 1 WHERE id = $1', [1]),
    );
    await ours.query('ROLLBACK');
    assert.doesNotMatch(sent, /LOCK TABLE|snapshot/);
    assert.match(sent, /id = \$1/);
  });

  test('let no protected value flow into an unprotected column', async () => {
    await ours.query('CREATE VIEW notes AS SELECT id, note FROM visit');
    for (const sql of [
      'UPDATE ward SET (beds, code) = (SELECT id, note FROM visit WHERE id = 1)',
      'UPDATE ward SET (beds, code) = (SELECT id, note FROM notes WHERE id = 1)',
      'UPDATE patient SET (weight, ward) = (SELECT 5, v.note FROM visit v WHERE v.who = patient.name)',
      'UPDATE ward SET code = note FROM notes WHERE notes.id = ward.beds',
      'INSERT INTO ward (code, beds) SELECT note, rank() OVER (ORDER BY id) FROM visit',
      "INSERT INTO ward (code, beds) VALUES ('x', 1) ON CONFLICT (code) DO UPDATE SET code = (SELECT max(note) FROM visit)",
      'MERGE INTO ward w USING visit v ON v.patient = w.beds WHEN MATCHED THEN UPDATE SET code = v.note',
      'WITH d AS (DELETE FROM visit RETURNING note) INSERT INTO ward (code) SELECT note FROM d',
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
  });

  test('take a volatile condition of ON CONFLICT once a row', async () => {
    await ours.query("INSERT INTO checked (id, name, w) SELECT n, 'n' || n, 1 FROM generate_series(1, 60) n");
    await ours.query(
      "INSERT INTO checked (id, name) SELECT id, 'new' FROM checked ON CONFLICT (id) DO UPDATE SET name = excluded.name || checked.name, w = 5 WHERE gen_random_uuid()::text < '8'",
    );
    const { rows } = await ours.query(
      "SELECT count(*)::int AS all, count(*) FILTER (WHERE (name LIKE 'newn%' AND w = 5) OR (name LIKE 'n%' AND name NOT LIKE 'new%' AND w = 1))::int AS whole FROM checked",
    );
    assert.deepEqual(rows, [{ all: 60, whole: 60 }]);
  });

  test('refuse what parts of a statement would see or do twice', async () => {
    await ours.query('CREATE TABLE named_as_with (id int)');
    for (const sql of [
      "WITH i AS (INSERT INTO patient (id, name) VALUES (900, 'zz') ON CONFLICT DO NOTHING RETURNING id) UPDATE patient SET weight = 1 FROM i WHERE patient.id = i.id",
      'WITH r AS (SELECT gen_random_uuid()::text u), i AS (INSERT INTO patient (id, name) SELECT 901, u FROM r RETURNING name) SELECT i.name = r.u FROM i, r',
      'WITH named_as_with AS (SELECT 1 AS id), l AS (SELECT p.id FROM patient p WHERE p.id IN (SELECT id FROM named_as_with) AND name LIKE $$%$$ FOR UPDATE) UPDATE patient SET weight = 99 FROM l WHERE l.id = patient.id',
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
  });

  test('are refused in a transaction that only reads', async () => {
    for (const sql of [
      'UPDATE patient SET weight = weight + 1 WHERE weight < 0',
      'DELETE FROM patient WHERE weight < 0',
      'SELECT upper(name) FROM patient WHERE weight < 0 FOR UPDATE',
    ]) {
      await ours.query('BEGIN READ ONLY');
      await assert.rejects(ours.query(sql), { code: '25006' }, sql);
      await ours.query('ROLLBACK');
    }
  });

  test('show the cloud no protected value', () => {
    const sent = recorded.sent();
    for (const word of sentinels) assert.ok(!sent.includes(word), word);
  });
});
