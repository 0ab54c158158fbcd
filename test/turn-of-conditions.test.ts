/** The order in which conditions are evaluated over carriers: one may keep rows from another that would fail for them. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';

const policy = `unlisted: encrypt
tables:
  public.dose:
    columns:
      id: { protect: none }
      per_day: { protect: none }
      drug: { class: confidential, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE TABLE dose (id int PRIMARY KEY, per_day int, drug text, amount text)',
  `INSERT INTO dose SELECT i, nullif(i % 4, 3), 'drug ' || i % 3, CASE WHEN i % 5 = 0 THEN 'some' ELSE i::text END
     FROM generate_series(1, 40) AS i`,
  `CREATE FUNCTION doses_after(i int) RETURNS int LANGUAGE sql STABLE AS $$ SELECT count(drug)::int FROM dose WHERE id > i $$`,
  'CREATE VIEW taken AS SELECT * FROM dose WHERE coalesce(per_day, 0) <> 0',
];

/** Conditions of which a later one fails for rows that an earlier one takes away. */
const guarded = [
  '(d.per_day <> 0 AND d.id IS NOT NULL) IS TRUE AND 12 / d.per_day > 1',
  'coalesce(d.per_day, 0) <> 0 AND 12 / d.per_day > 1',
  'greatest(d.per_day, 0) > 0 AND 12 / d.per_day = 6',
  "d.amount ~ '^[0-9]+$' AND d.amount::int > 7",
  "CASE d.amount WHEN 'some' THEN false ELSE true END AND d.amount::int % 2 = 1",
  "d.amount NOT LIKE 's%' AND d.drug = 'drug 1' AND d.amount::numeric / 3 > 4",
  "nullif(d.amount, 'some') IS NOT NULL AND d.amount::int < 20 AND d.amount::date IS NULL",
];

suite('the turn of conditions', () => {
  const copies = beside(policy, tables);

  for (const condition of guarded)
    test(condition, async () => {
      for (const step of [
        `SELECT d.id FROM dose AS d WHERE ${condition} AND doses_after(d.id) > 3 ORDER BY d.id`,
        `SELECT d.id FROM dose AS d WHERE ${condition} AND EXISTS (SELECT 1 FROM dose AS o WHERE o.id > d.id) ORDER BY d.id`,
        `SELECT o.id, d.id FROM dose AS o LEFT JOIN dose AS d ON d.id = o.id + 1 AND ${condition} ORDER BY o.id`,
        `SELECT d.id FROM dose AS d TABLESAMPLE SYSTEM (100) WHERE ${condition} AND d.id < ALL (SELECT 40 + length(drug) FROM dose) ORDER BY d.id`,
        `SELECT count(*), (SELECT max(amount) FROM dose) FROM dose AS d WHERE ${condition}`,
      ])
        assert.deepEqual(await copies.differences([step], (c, s) => copies.outcome(c, s, true)), []);
      await copies.both('BEGIN');
      await copies.alike(
        `UPDATE dose AS d SET amount = '0' FROM dose AS o WHERE o.id = d.id AND ${condition} AND doses_after(d.id) >= 0`,
      );
      await copies.alike('SELECT * FROM dose ORDER BY id');
      await copies.both('ROLLBACK');
    });

  test('a condition of a view keeps rows from one of the statement', async () => {
    const steps = [
      'SELECT id FROM taken WHERE 12 / per_day > 5 AND id IN (SELECT id FROM dose) ORDER BY id',
      'SELECT id FROM taken WHERE 12 / per_day > 5 AND doses_after(id) > 2 ORDER BY id',
    ];
    assert.deepEqual(await copies.differences(steps), []);
  });

  test('EXPLAIN shows the conditions as the client has said them', async () => {
    const { rows } = await copies.ours.query(
      `EXPLAIN (COSTS OFF) SELECT id FROM dose WHERE coalesce(drug, ')''') <> '(' AND 12 / per_day > 1 AND doses_after(id) > 3`,
    );
    const plan = rows.map(row => row['QUERY PLAN']).join('\n');
    assert.match(
      plan,
      /Filter: \(\(COALESCE\(drug, '\)'''::text\) <> '\('::text\) AND \(\(12 \/ per_day\) > 1\) AND \(doses_after\(id\) > 3\)\)/,
    );
    assert.doesNotMatch(plan, /in_turn/);
  });
});
