/** TABLESAMPLE over protected tables: samples are taken in the cloud, and the rest is done as in one PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { townsPolicy, townsRows } from './support/people.js';
import type { TextStep } from './support/steps.js';

const many = 4_000;

const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2))',
  'CREATE TABLE kept (id int PRIMARY KEY, name text, amount numeric)',
  'CREATE TABLE many (id int PRIMARY KEY, name text, share real)',
  'CREATE TABLE visit (id int, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20)',
  ...townsRows,
  "INSERT INTO kept VALUES (1, 'Zaphod', 1), (2, 'Arthur', 2)",
  `INSERT INTO many SELECT i, 'Zaphod ' || i, 50 FROM generate_series(1, ${many}) AS i`,
  "INSERT INTO visit VALUES (1, 'Zaphod'), (12, 'Marvin'), (13, NULL)",
  'CREATE VIEW rich AS SELECT id, name FROM person TABLESAMPLE SYSTEM (100) WHERE amount > 0',
  'CREATE VIEW nobody AS SELECT person.id, kept.name FROM person TABLESAMPLE BERNOULLI (0) REPEATABLE (3) JOIN kept USING (id)',
];

const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Arthur'];

const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  'whole samples': [
    'SELECT * FROM person TABLESAMPLE BERNOULLI (100) ORDER BY id',
    'SELECT * FROM person TABLESAMPLE SYSTEM (100) REPEATABLE (7) ORDER BY id',
    'SELECT count(*) FROM person TABLESAMPLE SYSTEM (100)',
    "SELECT id, amount FROM person TABLESAMPLE BERNOULLI (100) WHERE name = 'Trillian'",
    ['SELECT id, amount FROM person TABLESAMPLE BERNOULLI ($1) WHERE name = $2', '100', 'Trillian'],
    'SELECT name FROM person TABLESAMPLE BERNOULLI (100) ORDER BY name',
    "SELECT count(*), max(amount) FROM person AS p (a, b) TABLESAMPLE SYSTEM (100) WHERE name LIKE '%a%'",
    ['SELECT max(name) FROM person TABLESAMPLE SYSTEM ($1) REPEATABLE ($2)', '100', '1.5'],
    "SELECT upper(p.name), k.amount FROM person p TABLESAMPLE BERNOULLI (50 + 50) JOIN kept k TABLESAMPLE SYSTEM ('1e2') ON k.name = p.name ORDER BY 1",
    'SELECT p.name, k.id FROM person p LEFT JOIN kept k TABLESAMPLE BERNOULLI (0) USING (id) ORDER BY lower(p.name)',
    'SELECT p.id, q.id FROM person p TABLESAMPLE BERNOULLI (100) FULL JOIN person q TABLESAMPLE BERNOULLI (0) REPEATABLE (1) ON p.amount = q.amount ORDER BY 1',
    'SELECT p.id, q.id FROM person p JOIN person q TABLESAMPLE SYSTEM (100) ON p.amount < q.amount ORDER BY 1, 2',
    'SELECT id FROM kept WHERE name IN (SELECT lower(name) || $$x$$ FROM person TABLESAMPLE SYSTEM (100)) OR EXISTS (SELECT FROM person p TABLESAMPLE SYSTEM (100) WHERE p.amount > kept.amount) ORDER BY id',
    'SELECT id, (SELECT string_agg(k.name, $$,$$ ORDER BY k.id) FROM kept k TABLESAMPLE BERNOULLI (100) WHERE k.amount < p.amount) FROM person p ORDER BY id',
    'WITH s AS (SELECT * FROM person TABLESAMPLE SYSTEM (100)) SELECT town, sum(amount) FROM s GROUP BY town ORDER BY town',
    'SELECT name FROM person TABLESAMPLE SYSTEM (100) EXCEPT SELECT name FROM kept ORDER BY 1',
    'SELECT row_to_json(p) FROM person p TABLESAMPLE SYSTEM (100) ORDER BY amount',
    'SELECT o.town, p.name FROM place o TABLESAMPLE SYSTEM (100) JOIN person p ON o.id = p.amount - 18 ORDER BY 1',
    'SELECT count(*), max(name) FROM visit TABLESAMPLE SYSTEM (100)',
    'SELECT name FROM visit_2 TABLESAMPLE BERNOULLI (100) ORDER BY name',
    'SELECT * FROM rich ORDER BY name',
    'SELECT n.id, s.name FROM rich s LEFT JOIN nobody n USING (id) ORDER BY 2',
    'COPY (SELECT lower(name) FROM person TABLESAMPLE SYSTEM (100) ORDER BY 1) TO STDOUT',
    'COPY (SELECT name, id FROM person TABLESAMPLE SYSTEM (100) WHERE id = 2) TO STDOUT',
    'BEGIN',
    'DECLARE c CURSOR FOR SELECT id, lower(name) FROM person TABLESAMPLE BERNOULLI (100) ORDER BY 2',
    'FETCH 2 FROM c',
    'FETCH ALL FROM c',
    'SELECT id, name FROM person TABLESAMPLE SYSTEM (100) WHERE id < 3 ORDER BY 1 FOR UPDATE',
    'COMMIT',
    'CREATE TEMP TABLE t (id int, name text)',
    "INSERT INTO t VALUES (1, 'Zaphod'), (9, NULL)",
    'SELECT t.id, p.amount FROM t JOIN person p TABLESAMPLE SYSTEM (100) ON lower(p.name) = lower(t.name)',
    'INSERT INTO t SELECT id, lower(name) FROM person TABLESAMPLE BERNOULLI (100) WHERE amount > 0 ORDER BY id RETURNING *',
    'DO $$ DECLARE n int; pct int := 100; BEGIN SELECT count(lower(name)) INTO n FROM person TABLESAMPLE SYSTEM (pct); IF n <> 3 THEN RAISE $x$% rows$x$, n; END IF; END $$',
    'PREPARE p (real) AS SELECT count(*), max(lower(name)) FROM person TABLESAMPLE BERNOULLI ($1)',
    'EXECUTE p (100)',
    'EXECUTE p (0)',
    'SELECT person.name FROM public.person TABLESAMPLE SYSTEM (100) ORDER BY 1 LIMIT 2',
  ],
  'no rows': [
    'SELECT * FROM person TABLESAMPLE BERNOULLI (0)',
    'SELECT count(*) FROM person TABLESAMPLE BERNOULLI (0)',
    'SELECT max(lower(name)), count(*) FROM person TABLESAMPLE SYSTEM (0)',
    "SELECT id FROM person TABLESAMPLE SYSTEM (0) WHERE name LIKE 'Z%'",
    'SELECT count(*), max(name) FROM visit TABLESAMPLE BERNOULLI (0)',
    'SELECT * FROM nobody',
  ],
  errors: [
    'SELECT * FROM person TABLESAMPLE BERNOULLI (101)',
    'SELECT max(name) FROM person TABLESAMPLE BERNOULLI (101)',
    'SELECT max(name) FROM person TABLESAMPLE SYSTEM (-1)',
    'SELECT max(name) FROM person TABLESAMPLE SYSTEM (NULL)',
    'SELECT max(name) FROM person TABLESAMPLE SYSTEM (50) REPEATABLE (NULL)',
    'SELECT * FROM person TABLESAMPLE SYSTEM (50) REPEATABLE (NULL)',
    "SELECT max(name) FROM person TABLESAMPLE SYSTEM ('NaN')",
    ['SELECT max(name) FROM person TABLESAMPLE BERNOULLI ($1)', '200'],
    ['SELECT id FROM person TABLESAMPLE BERNOULLI ($1)', '200'],
    'SELECT * FROM person TABLESAMPLE half (50)',
    'SELECT * FROM person TABLESAMPLE BERNOULLI (50, 1)',
    'SELECT * FROM person TABLESAMPLE BERNOULLI ($$x$$)',
    'SELECT * FROM rich TABLESAMPLE BERNOULLI (50)',
    'SELECT nothing FROM person TABLESAMPLE BERNOULLI (50)',
  ],
  writes: [
    'BEGIN',
    'INSERT INTO kept SELECT id + 10, lower(name), amount FROM person TABLESAMPLE SYSTEM (100)',
    'INSERT INTO kept SELECT id + 20, name FROM person TABLESAMPLE BERNOULLI (100) WHERE amount > 0 RETURNING *',
    'UPDATE kept SET name = p.name || $$!$$ FROM person p TABLESAMPLE SYSTEM (100) WHERE p.id + 10 = kept.id',
    'UPDATE kept SET amount = 0 WHERE amount < (SELECT max(amount) FROM person TABLESAMPLE BERNOULLI (0))',
    'DELETE FROM kept USING person p TABLESAMPLE SYSTEM (100) WHERE p.id + 20 = kept.id AND p.amount > 15',
    'MERGE INTO kept USING person TABLESAMPLE SYSTEM (100) AS p ON p.id = kept.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (p.id, p.name)',
    'MERGE INTO kept USING (SELECT * FROM person TABLESAMPLE SYSTEM (100)) AS p ON p.id = kept.id WHEN MATCHED THEN UPDATE SET name = p.name || p.id WHEN NOT MATCHED THEN INSERT VALUES (p.id, p.name)',
    'WITH w AS (INSERT INTO kept SELECT id + 40, name FROM person TABLESAMPLE SYSTEM (100) RETURNING *) SELECT count(*), max(name) FROM w',
    'CREATE TABLE copied AS SELECT id, upper(name) AS name FROM person TABLESAMPLE SYSTEM (100)',
    'SELECT * FROM kept ORDER BY id',
    'ROLLBACK',
    'SELECT * FROM kept ORDER BY id',
  ],
};

suite('TABLESAMPLE', { timeout: 300_000 }, () => {
  const sides = beside(townsPolicy, tables);

  for (const extended of [false, true])
    for (const [name, steps] of Object.entries(scripts))
      test(`answers as PostgreSQL does: ${name}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  const idsOf = async (sql: string, values?: unknown[]): Promise<readonly number[]> =>
    (await sides.ours.query(sql, values)).rows.map(({ id }) => Number(id));

  /** One that the cloud answers, and one that is split. */
  const sampling = (clause: string): readonly string[] => [
    `SELECT id FROM many TABLESAMPLE ${clause}`,
    `SELECT id FROM many TABLESAMPLE ${clause} WHERE name LIKE 'Z%'`,
  ];

  test('about the share of rows that is asked for, another one each time', async () => {
    for (const sql of sampling('BERNOULLI (50)')) {
      const samples = [await idsOf(sql), await idsOf(sql)];
      // six times the standard deviation of that many coins
      for (const ids of samples) assert.ok(Math.abs(ids.length - many / 2) < 6 * Math.sqrt(many / 4), sql);
      assert.notDeepEqual(samples[0], samples[1], sql);
    }
  });

  test('REPEATABLE gives the same rows, in both protocols, wherever it is read', async () => {
    const [pushed, split] = sampling('BERNOULLI (50) REPEATABLE (42)');
    const wanted = (await idsOf(pushed!)).toSorted((a, b) => a - b);
    assert.deepEqual(
      (await idsOf(split!)).toSorted((a, b) => a - b),
      wanted,
    );
    for (const sql of sampling('BERNOULLI ($1) REPEATABLE ($2)'))
      assert.deepEqual(
        (await idsOf(sql, [50, 42])).toSorted((a, b) => a - b),
        wanted,
      );
    const other = await idsOf(sampling('BERNOULLI (50) REPEATABLE (43)')[1]!);
    const joined = await idsOf(
      'SELECT a.id FROM many a TABLESAMPLE BERNOULLI (50) REPEATABLE (42) JOIN many b TABLESAMPLE BERNOULLI (50) REPEATABLE (43) ON lower(a.name) = lower(b.name) ORDER BY 1',
    );
    assert.deepEqual(
      joined,
      wanted.filter(id => other.includes(id)),
    );
    const beside = await idsOf(
      'SELECT a.id FROM many a TABLESAMPLE BERNOULLI (50) REPEATABLE (42) JOIN many b ON lower(a.name) = lower(b.name) ORDER BY 1',
    );
    assert.deepEqual(beside, wanted);
  });

  test('a sample that is read again and again stays the same', async () => {
    const { rows } = await sides.ours.query(
      `SELECT count(DISTINCT n) AS sizes FROM (SELECT (SELECT count(*) FROM many TABLESAMPLE BERNOULLI (50)
         WHERE upper(name) > 'A' || repeat('', p.id)) AS n FROM person p) AS s`,
    );
    assert.deepEqual(rows, [{ sizes: '1' }]);
  });

  test('the cloud takes the sample, and hears no value that it is not told', async () => {
    const sent = await sides.recorded.sentWhile(async () => {
      await sides.ours.query("SELECT id FROM many TABLESAMPLE BERNOULLI (12.5) WHERE name LIKE 'Zaphod 1%'");
    });
    assert.match(sent, /TABLESAMPLE bernoulli/i);
    await assert.rejects(sides.ours.query('SELECT max(name) FROM person TABLESAMPLE SYSTEM (1 / 0)'), {
      code: '22012',
    });
    for (const sql of [
      'SELECT id FROM many m TABLESAMPLE BERNOULLI ($1) WHERE share = $1::real',
      'SELECT x.pct, (SELECT count(*) FROM many TABLESAMPLE BERNOULLI (x.pct)) FROM (VALUES (0), (100)) AS x (pct), person',
      'SELECT lower(name) FROM many TABLESAMPLE BERNOULLI (random() * 100)',
      'SELECT p FROM person p TABLESAMPLE BERNOULLI (50) ORDER BY amount',
      'SELECT lower(name) FROM person TABLESAMPLE SYSTEM (100) FOR UPDATE',
      'SELECT ctid, lower(name) FROM person TABLESAMPLE BERNOULLI (50)',
    ])
      await assert.rejects(sides.ours.query(sql, /\$1/.test(sql) ? ['77'] : []), { code: '0A000' }, sql);
    for (const sentinel of sentinels) assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
    assert.ok(!sides.recorded.sent().includes('num_nulls'));
  });

  test('EXPLAIN says that a table is sampled', async () => {
    const lines = async (sql: string): Promise<string> =>
      (await sides.ours.query(sql)).rows.map(row => row['QUERY PLAN']).join('\n');
    const split = "SELECT lower(name) FROM person TABLESAMPLE SYSTEM (20) WHERE name LIKE 'Z%'";
    assert.match(await lines(`EXPLAIN (CLARUS) ${split}`), /Samples: public\.person, in the cloud/);
    assert.match(
      await lines(`EXPLAIN (CLARUS) SELECT id FROM person TABLESAMPLE SYSTEM (20)`),
      /TABLESAMPLE system/i,
    );
    const told = await lines(`EXPLAIN (VERBOSE) ${split}`);
    assert.match(told, /Carrier SQL: SELECT .*name.* FROM .*person.* TABLESAMPLE/i);
    assert.match(told, /Cloud SQL: SELECT .* TABLESAMPLE system/i);
    assert.match(told, /Filter: .*\(TABLESAMPLE system \('20'::real\)\)/);
    assert.doesNotMatch(told, /num_nulls/);
    const write = await lines(
      'EXPLAIN (VERBOSE) DELETE FROM kept USING person p TABLESAMPLE SYSTEM (20) REPEATABLE (7) WHERE lower(p.name) = kept.name',
    );
    assert.match(write, /Cloud SQL: SELECT .* TABLESAMPLE system \(.*20.*\) REPEATABLE \(.*7/i);
    assert.doesNotMatch(write, /num_nulls/);
  });
});
