/** Temporary tables beside others in one statement: it answers, and writes, as in one PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { RawClient, told } from './support/raw-client.js';
import type { TextStep } from './support/steps.js';
import { policy, sentinels, tables } from './temporary/tables.js';

const view = 'CREATE VIEW rich AS SELECT id, name FROM person WHERE amount > 5';

const begin = [
  'CREATE TEMP TABLE t (id int, name text COLLATE "C", n numeric(6,2))',
  "INSERT INTO t VALUES (1, 'Zaphod', 4711), (2, 'Marvin', 2), (9, NULL, NULL), (4, 'Fenchurch', 1)",
];

/** Each is run by a session of its own, beside one of PostgreSQL. */
const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  reads: [
    ...begin,
    'SELECT p.id, t.n, p.amount FROM person p JOIN t ON t.name = p.name ORDER BY 1',
    'SELECT p.town, t.id FROM person p LEFT JOIN t USING (name) ORDER BY 1 NULLS LAST, 2',
    'SELECT * FROM t NATURAL JOIN kept',
    'SELECT t.*, k.* FROM t FULL JOIN kept k ON k.id = t.id ORDER BY t.id, k.id',
    'SELECT id FROM t WHERE name IN (SELECT name FROM person) ORDER BY id',
    'SELECT id FROM person p WHERE EXISTS (SELECT FROM t WHERE t.name = p.name AND t.n > 3)',
    ['SELECT p.id FROM person p, t WHERE p.name = t.name AND t.n > $1 AND p.id < $2::int', '3', '7'],
    'SELECT (SELECT max(amount) FROM person), count(*) FROM t',
    'SELECT name FROM t UNION ALL SELECT name FROM kept ORDER BY 1',
    'SELECT name FROM t EXCEPT SELECT name FROM person ORDER BY name',
    'WITH w AS (SELECT name, n FROM t WHERE n > 1) SELECT w.name, place.id FROM w, place ORDER BY 2, 1',
    'WITH RECURSIVE r AS (SELECT id FROM t WHERE id = 1 UNION ALL SELECT r.id + 1 FROM r JOIN person p ON p.id = r.id) SELECT * FROM r ORDER BY id',
    'SELECT p.town, sum(t.n), count(*) OVER () FROM t JOIN person p ON p.id = t.id GROUP BY p.town ORDER BY 1',
    'SELECT t, row_to_json(t) FROM t JOIN kept k ON k.id = t.id ORDER BY k.id',
    'SELECT a.id, b.id FROM t a, t b, place WHERE a.id = b.id + 1 AND place.id = a.id',
    'SELECT rich.name, t.n FROM rich JOIN t ON t.id = rich.id',
    'SELECT x.i FROM t AS x (i, m) JOIN kept ON kept.id = x.i ORDER BY 1',
    'SELECT pg_temp.t.id FROM pg_temp.t, place WHERE place.id = t.id ORDER BY 1',
    'SELECT t.nothing FROM t, place',
    'SELECT 1 / (t.id - t.id) FROM t, person',
    'SELECT count(*) FROM t, place WHERE place.id > 1',
    'SELECT t.name, p.name FROM t CROSS JOIN LATERAL (SELECT name FROM person WHERE person.id <= t.id ORDER BY id DESC LIMIT 1) p ORDER BY t.id',
    'SELECT max(t.name), min(t.name COLLATE "C") FROM t, place WHERE place.id = 1',
    'TABLE t ORDER BY id',
  ],
  'rows of others in temporary tables': [
    ...begin,
    "INSERT INTO t SELECT id, name, amount FROM person WHERE name = 'Trillian'",
    'INSERT INTO t (name, id) SELECT upper(name), id + 10 FROM person WHERE amount > 0 ORDER BY id RETURNING id, name',
    ['INSERT INTO t (id, name) SELECT id, $1 FROM kept WHERE id = $2 RETURNING *', 'Slartibartfast', '1'],
    "INSERT INTO t VALUES ((SELECT max(id) FROM kept), (SELECT name FROM person WHERE id = 4), DEFAULT), (50, 'x', DEFAULT)",
    'INSERT INTO t SELECT p.id + 20, t.name, p.amount FROM t JOIN person p ON p.id = t.id',
    'WITH w AS (SELECT * FROM person) INSERT INTO t SELECT id + 30, town, amount FROM w WHERE id < 3 RETURNING *',
    'SELECT * FROM t ORDER BY id, name, n',
    'UPDATE t SET n = p.amount, name = lower(p.name) FROM person p WHERE p.id = t.id RETURNING t.id, p.town',
    'UPDATE t SET n = (SELECT sum(amount) FROM kept) WHERE id IN (SELECT id FROM kept)',
    [
      'UPDATE t AS u SET name = $1 FROM place, kept WHERE place.id = u.id AND kept.id = place.id RETURNING u.*',
      'Marvin',
    ],
    'DELETE FROM t USING kept k WHERE k.id = t.id AND k.name = $$Arthur$$',
    'WITH d AS (DELETE FROM t WHERE NOT EXISTS (SELECT FROM person p WHERE p.id = t.id) RETURNING id) SELECT * FROM d ORDER BY 1',
    'MERGE INTO t USING kept k ON k.id = t.id WHEN MATCHED THEN UPDATE SET n = k.amount WHEN NOT MATCHED THEN INSERT (id, name) VALUES (k.id, k.name)',
    'WITH gone AS (DELETE FROM t WHERE id < 3 RETURNING *) SELECT gone.id, p.name FROM gone JOIN person p USING (id) ORDER BY 1',
    "INSERT INTO t SELECT 1, 'x', amount * 100000 FROM person",
    'INSERT INTO t SELECT id, name FROM nothing',
    'SELECT * FROM t ORDER BY id, name, n',
    'CREATE TEMP TABLE u (id serial PRIMARY KEY, name text UNIQUE, n int DEFAULT 5)',
    'INSERT INTO u (name) SELECT name FROM person WHERE name IS NOT NULL ORDER BY id RETURNING *',
    'INSERT INTO u (name, n) SELECT name, 1 FROM kept ORDER BY id ON CONFLICT (name) DO UPDATE SET n = u.n + excluded.n RETURNING *',
    'INSERT INTO u (id, name) SELECT id, town FROM place WHERE town IS NOT NULL',
    'SELECT * FROM u ORDER BY id',
    'INSERT INTO u SELECT p.id + 100 FROM person p',
    'SELECT count(*) FROM u',
  ],
  'rows of temporary tables in others': [
    ...begin,
    'INSERT INTO kept SELECT id + 100, name, n FROM t WHERE name IS NOT NULL',
    'INSERT INTO kept (id, name) SELECT id, name FROM t',
    'INSERT INTO kept (id, name) SELECT id + 500, name FROM t RETURNING id, name',
    'INSERT INTO kept SELECT id, name, n FROM t ON CONFLICT (id) DO UPDATE SET name = excluded.name || kept.id RETURNING *',
    'SELECT * FROM kept ORDER BY id',
    'UPDATE kept SET amount = t.n FROM t WHERE kept.name = t.name',
    'UPDATE person SET amount = (SELECT sum(n) FROM t) WHERE id IN (SELECT id FROM t) RETURNING id, amount',
    'DELETE FROM kept USING t WHERE t.id + 100 = kept.id RETURNING kept.id, t.name',
    'MERGE INTO kept USING t ON t.id = kept.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (t.id, t.name, t.n)',
    'SELECT * FROM kept ORDER BY id',
    'WITH n AS (INSERT INTO kept SELECT id + 200, name FROM t WHERE n > 1 RETURNING *) SELECT count(*), max(name) FROM n',
    'CREATE TABLE copied AS SELECT p.id, t.name, t.n FROM t JOIN person p ON p.id = t.id',
    'SELECT * FROM copied ORDER BY id',
    'DROP TABLE copied',
    'DELETE FROM kept',
    "INSERT INTO kept VALUES (1, 'Zaphod', 1), (2, 'Arthur', 2)",
    'UPDATE person SET amount = id + 1',
  ],
  transactions: [
    'BEGIN',
    ...begin,
    'INSERT INTO t SELECT id, name FROM person WHERE id = 2',
    'INSERT INTO kept SELECT id + 300, name, n FROM t',
    'SELECT count(*), max(k.name) FROM t JOIN kept k ON k.id = t.id + 300',
    'SAVEPOINT a',
    'UPDATE t SET name = k.name FROM kept k WHERE k.id = 2',
    'SELECT t.name, k.name FROM t JOIN kept k ON k.id = t.id + 300 ORDER BY k.id',
    'ROLLBACK TO a',
    'SELECT t.name, k.name FROM t JOIN kept k ON k.id = t.id + 300 ORDER BY k.id',
    'ROLLBACK',
    'SELECT * FROM kept ORDER BY id',
    'SELECT * FROM t',
    ...begin,
    'BEGIN ISOLATION LEVEL REPEATABLE READ',
    'INSERT INTO t SELECT id, name FROM kept RETURNING *',
    'COMMIT',
    'BEGIN READ ONLY',
    'INSERT INTO t SELECT id + 5, name FROM kept',
    'ROLLBACK',
    'SELECT count(*) FROM t, place',
  ],
  views: [
    ...begin,
    'CREATE TEMP VIEW v AS SELECT p.id, p.name, place.town FROM person p LEFT JOIN place USING (town) WHERE p.amount > 0',
    'SELECT * FROM v ORDER BY id',
    'SELECT v.id, t.n FROM v JOIN t USING (id) ORDER BY 1',
    'CREATE TEMP VIEW w AS SELECT v.*, t.n FROM v JOIN t ON t.name = v.name',
    'SELECT count(*), max(name) FROM w',
    'INSERT INTO t SELECT id + 7, name, n FROM w RETURNING *',
    'WITH v AS (SELECT 1 AS id) SELECT * FROM v, place ORDER BY 2',
    'SELECT * FROM w AS x (a, b) ORDER BY a',
  ],
  time: [
    'BEGIN',
    'CREATE TEMP TABLE t (id serial, at timestamptz DEFAULT now(), day date DEFAULT CURRENT_DATE, name text)',
    "INSERT INTO t (name) VALUES ('Zaphod'), ('Marvin')",
    'INSERT INTO t (name) SELECT name FROM person ORDER BY id RETURNING id, at = now(), name',
    'INSERT INTO t DEFAULT VALUES RETURNING id, day = CURRENT_DATE, name',
    'SELECT count(*) FROM t WHERE at = now() AND day = current_date',
    "UPDATE t SET at = now() - interval '1 day' WHERE id = 1 RETURNING at < now()",
    'DELETE FROM t WHERE at < now() RETURNING id',
    ['INSERT INTO t (at, name) VALUES (DEFAULT, $1) RETURNING at = transaction_timestamp(), name', 'Arthur'],
    'SELECT t.at = now(), p.id FROM t JOIN person p USING (name) ORDER BY 2',
    'COMMIT',
  ],
};

suite('temporary tables beside others', { timeout: 300_000 }, () => {
  const sides = beside(policy, [...tables, view]);

  for (const extended of [false, true])
    for (const [name, steps] of Object.entries(scripts))
      test(`answer as PostgreSQL does: ${name}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  test('give nothing to columns in the clear, and nothing of their rows to the cloud', async () => {
    const client = await RawClient.connect(sides.recorded.proxy);
    for (const sql of begin) await client.query(sql);
    for (const sql of [
      'INSERT INTO place SELECT id + 50, name FROM t',
      'UPDATE place SET town = t.name FROM t WHERE t.id = place.id',
      'UPDATE person SET town = (SELECT max(name) FROM t)',
      'MERGE INTO place USING t ON t.id = place.id WHEN MATCHED THEN UPDATE SET town = t.name',
      'WITH w AS (INSERT INTO place SELECT id + 50, name FROM t RETURNING id) SELECT * FROM w',
    ])
      assert.match(told(await client.query(sql)).join('\n'), /ErrorResponse ERROR 0A000/, sql);
    // what is compared with a temporary column is not carried to one that the cloud has in the clear
    const sent = await sides.recorded.sentWhile(async () => {
      await client.query(
        "SELECT count(*) FROM t JOIN place ON place.town = t.name WHERE t.name = 'Fenchurch'",
      );
      await client.query('DELETE FROM place WHERE town IN (SELECT name FROM t)');
    });
    assert.ok(!sent.includes('Fenchurch'));
    await client.close();
  });

  test('show the cloud nothing that is protected', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
