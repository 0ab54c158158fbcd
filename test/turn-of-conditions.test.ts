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
  'CREATE VIEW often (dose, share) AS SELECT id, 12 / per_day FROM dose WHERE coalesce(per_day, 0) <> 0 AND 12 / per_day > 5',
  "CREATE VIEW numeric_amounts WITH (security_barrier) AS SELECT id, amount FROM dose WHERE nullif(amount, 'some') IS NOT NULL",
  'CREATE VIEW often_taken AS SELECT dose, amount FROM often, taken WHERE id = dose AND greatest(per_day, 0) > 0 AND share / per_day >= 3',
  'CREATE TABLE noted (id int PRIMARY KEY, share int)',
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

  test('a condition of a view keeps rows from another one of it', async () => {
    const queries = [
      'SELECT * FROM often ORDER BY dose',
      'SELECT often.share, count(*) FROM often GROUP BY often.share ORDER BY 1',
      'SELECT d.id, o.share FROM dose AS d LEFT JOIN often AS o ON o.dose = d.id AND 12 / o.share < 3 ORDER BY 1',
      'SELECT often.dose FROM public.often ORDER BY 1',
      'SELECT to_json(o) FROM often AS o ORDER BY o.dose',
      'SELECT * FROM often_taken ORDER BY dose',
      'WITH often AS (SELECT 1 AS dose) SELECT * FROM often, taken WHERE 12 / per_day > 5 ORDER BY id',
      'SELECT id FROM numeric_amounts WHERE amount::int > 20 AND id IN (SELECT dose FROM often) ORDER BY id',
      ['SELECT dose FROM often WHERE share / $1 > $2 ORDER BY 1', 2, 3],
      'SELECT dose, now() IS NOT NULL FROM often ORDER BY dose',
    ] as const;
    const writes = [
      'INSERT INTO noted SELECT * FROM often',
      'INSERT INTO noted SELECT dose + 100, share FROM often RETURNING id',
      'UPDATE noted SET share = noted.share + o.share FROM often AS o WHERE o.dose = id AND 12 / o.share > 1',
      'DELETE FROM noted USING often AS o WHERE id = o.dose + 100 AND o.share <> ALL (SELECT t.dose + 10 FROM often_taken AS t)',
      'UPDATE taken SET amount = (12 / per_day)::text WHERE id IN (SELECT dose FROM often)',
      'CREATE TABLE copied AS SELECT * FROM often',
      'DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM often LOOP RAISE NOTICE $n$%$n$, r.share; END LOOP; END $$',
    ];
    for (const extended of [false, true])
      assert.deepEqual(await copies.unorderedDifferences(queries, extended), []);
    await copies.both('BEGIN');
    for (const step of [...queries, ...writes])
      assert.equal('code' in (await copies.alike(step)), false, String(step));
    for (const table of ['noted', 'dose', 'copied']) await copies.alike(`SELECT * FROM ${table}`);
    await copies.both('ROLLBACK');
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
