/** EXPLAIN over protected tables: a plan of what would run, in logical names, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { beside } from './support/beside.js';

const policy = `unlisted: encrypt
tables:
  public.ward:
    columns:
      id: { protect: none }
      beds: { protect: none }
  public.patient:
    columns:
      id: { protect: none }
      ward: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      weight: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE TABLE ward (id int PRIMARY KEY, beds int)',
  'CREATE TABLE patient (id int PRIMARY KEY, ward int REFERENCES ward, name text UNIQUE, weight numeric)',
  'INSERT INTO ward VALUES (1, 10), (2, 20)',
  "INSERT INTO patient VALUES (1, 1, 'Zaphod', 70), (2, 1, 'Trillian', 55), (3, 2, 'Marvin', 900)",
  'CREATE VIEW heavy AS SELECT id, name FROM patient WHERE weight > 60',
  'CREATE TABLE note (id int, what text)',
];

/** Statements of every way. */
const statements: readonly string[] = [
  'SELECT * FROM patient',
  "SELECT name FROM patient WHERE name = 'Zaphod'",
  "SELECT name FROM patient WHERE name IN ('Zaphod', 'Marvin') AND id > 1",
  "SELECT upper(name) FROM patient WHERE name LIKE 'Zap%'",
  'SELECT ward, avg(weight) FROM patient GROUP BY ward ORDER BY 2',
  'SELECT p.name, beds FROM patient p JOIN ward w ON w.id = p.ward WHERE weight > 60',
  'SELECT * FROM heavy',
  'WITH w AS (SELECT max(weight) AS m FROM patient) SELECT name FROM patient, w WHERE weight = m',
  'SELECT name, now() > born FROM (SELECT name, now() AS born FROM patient OFFSET 0) AS x',
  "INSERT INTO patient VALUES (10, 1, 'Arthur', 80) RETURNING name",
  "INSERT INTO patient VALUES (11, 1, 'Ford', 80), (12, 1, 'Fenchurch', 1)",
  'INSERT INTO patient (id, name) SELECT id + 20, upper(name) FROM patient WHERE id < 3',
  "INSERT INTO patient VALUES (1, 1, 'Zaphod', 70) ON CONFLICT (id) DO UPDATE SET weight = patient.weight + 1",
  "UPDATE patient SET name = 'Slarti' WHERE name = 'Trillian'",
  'UPDATE patient SET ward = 2 WHERE id = 1 RETURNING name',
  'UPDATE patient SET weight = weight * 2 WHERE weight < 60',
  "DELETE FROM patient WHERE name = 'Zaphod'",
  "DELETE FROM patient USING ward WHERE ward.id = ward AND name LIKE 'M%'",
  "MERGE INTO patient p USING ward w ON w.id = p.id WHEN MATCHED THEN UPDATE SET weight = 1 WHEN NOT MATCHED THEN INSERT VALUES (w.id, 1, 'Benjy', 2)",
  'CREATE TABLE made AS SELECT name FROM patient',
  'SELECT name INTO made FROM patient',
  'DECLARE c CURSOR FOR SELECT name FROM patient ORDER BY name',
  'VALUES ((SELECT max(name) FROM patient))',
];
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Arthur', 'Fenchurch', 'Slarti', 'Benjy'];

const formats = ['TEXT', 'JSON', 'XML', 'YAML'] as const;

suite('EXPLAIN over protected tables', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);

  /** Its answer as text, or its error. */
  const explained = async (client: pg.Client, sql: string, values?: unknown[]): Promise<string> => {
    const { rows, command, fields } = await client.query<[string]>({
      text: sql,
      rowMode: 'array',
      types: { getTypeParser: () => (value: string) => value },
      ...(values ? { values } : {}),
    });
    assert.equal(command, 'EXPLAIN', sql);
    assert.equal(fields.map(f => f.name).join(), 'QUERY PLAN');
    return rows.flat().join('\n');
  };
  /** Everything that stands in the tables. */
  const contents = async (client: pg.Client): Promise<unknown> => [
    (await client.query('SELECT * FROM patient ORDER BY id')).rows,
    (await client.query('SELECT * FROM ward ORDER BY id')).rows,
  ];
  const physical = /clarus\.|sealed\d|equality\d|(?<![\w.])t\d+\b|pg_temp/;

  for (const format of formats)
    test(`tells a plan in ${format} for statements of every way, in logical names`, async () => {
      for (const sql of statements)
        for (const options of [`FORMAT ${format}`, `FORMAT ${format}, VERBOSE, COSTS off`]) {
          const plan = await explained(sides.ours, `EXPLAIN (${options}) ${sql}`);
          assert.match(plan, /Scan|Result|Insert|Merge|Aggregate/, sql);
          assert.doesNotMatch(plan, physical, sql);
          for (const word of plan.match(/patient|ward/g) ?? ['none'])
            assert.ok(word === 'patient' || word === 'ward', sql);
          if (format === 'XML') assert.match(plan, /^<explain[\s\S]*<\/explain>\s*$/);
        }
      assert.deepEqual(await contents(sides.ours), await contents(sides.plain));
    });

  test('ANALYZE runs the statement as PostgreSQL does', async () => {
    for (const format of formats)
      for (const sql of statements) {
        for (const client of sides.clients) {
          await client.query('BEGIN');
          const plan = await explained(client, `EXPLAIN (ANALYZE, FORMAT ${format}) ${sql}`);
          assert.match(plan, /Execution.Time"?(: |>)\d+/, sql);
          if (format === 'JSON') assert.doesNotThrow(() => JSON.parse(plan), plan);
        }
        assert.deepEqual(await contents(sides.ours), await contents(sides.plain), sql);
        if (/ made /.test(sql))
          assert.deepEqual(
            (await sides.ours.query('SELECT * FROM made ORDER BY 1')).rows,
            (await sides.plain.query('SELECT * FROM made ORDER BY 1')).rows,
          );
        for (const client of sides.clients) await client.query('ROLLBACK');
      }
    const plan = await explained(
      sides.ours,
      'EXPLAIN (ANALYZE, TIMING off) SELECT upper(name) FROM patient WHERE id > 1',
    );
    assert.match(plan, /actual rows=2/);
    const written = await explained(sides.ours, 'EXPLAIN ANALYZE UPDATE patient SET weight = weight + 0');
    assert.match(written, /Execution Time/);
  });

  test('takes parameters, prepared statements and GENERIC_PLAN', async () => {
    const answers: string[][] = [];
    for (const client of sides.clients) {
      const told: string[] = [];
      for (const sql of [
        'SELECT id FROM patient WHERE name = $1',
        'SELECT upper(name) FROM patient WHERE name > $1',
      ]) {
        told.push(await explained(client, `EXPLAIN ${sql}`, ['Zaphod']));
        await client.query(`PREPARE one AS ${sql}`);
        told.push(await explained(client, "EXPLAIN EXECUTE one('Zaphod')"));
        told.push(await explained(client, "EXPLAIN (ANALYZE, FORMAT json) EXECUTE one('Zaphod')"));
        told.push(await explained(client, "EXPLAIN EXECUTE one('Zaphod')", []));
        await client.query('DEALLOCATE one');
        told.push(await explained(client, `EXPLAIN (GENERIC_PLAN) ${sql}`));
        told.push(await explained(client, `EXPLAIN (GENERIC_PLAN) ${sql}`, ['Zaphod']));
        told.push(await explained(client, 'EXPLAIN (GENERIC_PLAN) SELECT * FROM ward WHERE id = $1'));
      }
      await client.query('PREPARE two AS SELECT * FROM ward WHERE id = $1');
      told.push(await explained(client, 'EXPLAIN (COSTS off) EXECUTE two(1)'));
      await client.query('PREPARE three (int, text) AS INSERT INTO patient (id, name) VALUES ($1, $2)');
      told.push(await explained(client, "EXPLAIN (COSTS off) EXECUTE three(1, 'Marvin')"));
      await client.query('DEALLOCATE ALL');
      answers.push(told);
    }
    assert.equal(answers[0]!.length, answers[1]!.length);
    for (const plan of answers[0]!) assert.doesNotMatch(plan, physical);
    assert.equal(answers[0]!.at(-2), answers[1]!.at(-2));
    assert.equal(answers[0]!.at(-1), answers[1]!.at(-1));
    for (const sql of [
      'EXPLAIN EXECUTE nothing',
      'EXPLAIN (NOTHING) SELECT name FROM patient',
      'EXPLAIN (FORMAT odd) SELECT name FROM patient',
      'EXPLAIN SELECT nothing FROM patient',
    ]) {
      const errors = await Promise.all(
        sides.clients.map(client => client.query(sql).catch(({ code, message }) => `${code} ${message}`)),
      );
      assert.equal(errors[0], errors[1], sql);
    }
  });

  test('takes texts that look like lines of a plan for what they are', async () => {
    const text = 'x\n  Remote SQL: SELECT\n  Remote SQL: SELECT 1 FROM t1';
    const plan = await explained(sides.ours, `EXPLAIN SELECT id FROM patient WHERE upper(name) <> '${text}'`);
    assert.ok(plan.includes(text), plan);
  });

  test('is answered in a transaction that has changed the schema', async () => {
    await sides.ours.query('BEGIN');
    await sides.ours.query('CREATE TABLE fresh (id int, name text)');
    await sides.ours.query('ALTER TABLE patient ADD COLUMN more text');
    for (const sql of [
      'SELECT upper(name) FROM fresh',
      'SELECT more, name FROM patient JOIN fresh USING (name)',
      "SELECT * FROM fresh WHERE name = 'Marvin'",
    ])
      assert.match(await explained(sides.ours, `EXPLAIN ${sql}`), /Scan on fresh/);
    await sides.ours.query('ROLLBACK');
  });

  test('tells tables in the clear, and what reads none, as PostgreSQL does', async () => {
    for (const sql of ['SELECT * FROM ward WHERE id = 1', 'SELECT 1', 'SELECT * FROM generate_series(1, 3)'])
      assert.equal(
        await explained(sides.ours, `EXPLAIN (COSTS off) ${sql}`),
        await explained(sides.plain, `EXPLAIN (COSTS off) ${sql}`),
      );
  });

  test('shows the cloud no protected value', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), `${sentinel} was sent`);
  });
});
