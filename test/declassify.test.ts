/** Targets that the policy declassifies take protected values in the clear; nothing else does. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { beside } from './support/beside.js';

const policy = `unlisted: pass
declassify: [public.released, public.summary.oldest]
tables:
  public.patient:
    columns:
      id: { protect: none }
      ward: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      born: { class: quasi-identifier, protect: encrypt }`;

const schema = [
  'CREATE TABLE patient (id int PRIMARY KEY, ward text, name text, born date)',
  'CREATE TABLE released (id int PRIMARY KEY, name text, born date)',
  'CREATE TABLE summary (ward text PRIMARY KEY, oldest date, youngest date)',
  'CREATE TABLE plain (id int, name text)',
  "INSERT INTO patient VALUES (1, 'a', 'Ann', '1970-01-01'), (2, 'a', 'Bob', '1980-02-03'), (3, 'b', 'Cyd', '1990-03-04')",
];

suite('declassify', { timeout: 120_000 }, () => {
  const sides = beside(policy, schema);
  before(async () => {
    await sides.ours.query(
      'CREATE FUNCTION youngest() RETURNS date LANGUAGE sql STABLE AS $$SELECT max(born) FROM patient$$',
    );
  });

  test('lets protected values reach the targets that it names', async () => {
    for (const sql of [
      'INSERT INTO released SELECT id, name, born FROM patient WHERE id < 3',
      "INSERT INTO released (id, name) SELECT id, upper(name) FROM patient ON CONFLICT (id) DO UPDATE SET name = excluded.name || '!'",
      "UPDATE released SET name = p.name, born = p.born + 1 FROM patient p WHERE p.id = released.id AND p.name LIKE '%n%'",
      'WITH gone AS (DELETE FROM patient WHERE id = 3 RETURNING id, name) INSERT INTO released SELECT id + 10, name FROM gone',
      'INSERT INTO summary (ward, oldest) SELECT ward, min(born) FROM patient GROUP BY ward',
      'UPDATE summary SET oldest = (SELECT max(born) FROM patient p WHERE p.ward = summary.ward)',
    ])
      await sides.both(sql);
    for (const table of ['patient', 'released', 'summary']) {
      const sql = `SELECT * FROM ${table} ORDER BY 1`;
      assert.deepEqual((await sides.ours.query(sql)).rows, (await sides.plain.query(sql)).rows, table);
    }
    assert.match(sides.recorded.sent(), /Cyd/);
  });

  test('lets them reach nothing else', async () => {
    for (const sql of [
      'INSERT INTO plain SELECT id, name FROM patient',
      'INSERT INTO summary (ward, youngest) SELECT ward, max(born) FROM patient GROUP BY ward ON CONFLICT DO NOTHING',
      'UPDATE summary SET youngest = (SELECT max(born) FROM patient)',
      'UPDATE summary SET oldest = (SELECT max(born) FROM patient), youngest = youngest()',
      'UPDATE patient SET ward = name',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000', hint: /declassify/ }, sql);
    await sides.ours.query('ALTER TABLE summary RENAME oldest TO eldest');
    await assert.rejects(sides.ours.query('UPDATE summary SET eldest = (SELECT max(born) FROM patient)'), {
      code: '0A000',
    });
    await sides.ours.query('ALTER TABLE summary RENAME eldest TO oldest');
  });

  test('is told by EXPLAIN', async () => {
    const { rows } = await sides.ours.query(
      'EXPLAIN (CLARUS) INSERT INTO released SELECT id + 100, name FROM patient',
    );
    const lines = rows.map(row => String(Object.values(row as object)[0])).join('\n');
    assert.match(lines, /Declassifies: protected values come to public\.released\.name in the clear/);
    assert.doesNotMatch(lines, /released\.id/);
  });
});
