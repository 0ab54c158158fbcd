/** Temporary tables: they are PostgreSQL's, stand on the trusted side alone, and are gone when their session is. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { RawClient, say, told } from './support/raw-client.js';
import type { TextStep } from './support/steps.js';
import { policy, sentinels, tables } from './temporary/tables.js';

const functions = [
  "CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(t) || '!' $$",
  'CREATE FUNCTION kept_of(i int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT name FROM kept WHERE id = i $$',
];

/** Each is run by a session of its own, beside one of PostgreSQL. */
const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  'rows of one table': [
    'CREATE TEMP TABLE t (id serial PRIMARY KEY, name text NOT NULL, n numeric(6,2) DEFAULT 7 CHECK (n > 0), UNIQUE (name))',
    "INSERT INTO t (name) VALUES ('Zaphod'), ('Slartibartfast') RETURNING id, name, n",
    ['INSERT INTO t (name, n) VALUES ($1, $2) RETURNING *', 'Fenchurch', '1.5'],
    "INSERT INTO t (name) VALUES ('Zaphod')",
    "INSERT INTO t (name, n) VALUES ('x', -1)",
    'INSERT INTO t (name) VALUES (NULL)',
    "INSERT INTO t (name) VALUES ('Zaphod') ON CONFLICT (name) DO UPDATE SET n = t.n + 1 RETURNING *",
    'SELECT * FROM t ORDER BY id',
    ['SELECT n FROM t WHERE name = $1', 'Fenchurch'],
    'UPDATE t SET name = shout(name) WHERE n > 2 RETURNING name',
    "WITH d AS (DELETE FROM t WHERE name = 'Fenchurch' RETURNING *) SELECT count(*), max(name) FROM d",
    'SELECT count(*), sum(n), string_agg(name, $$,$$ ORDER BY id) FROM t',
    "MERGE INTO t USING (VALUES ('Marvin', 3)) v (name, n) ON t.name = v.name WHEN NOT MATCHED THEN INSERT (name, n) VALUES (v.name, v.n)",
    'SELECT name, ctid FROM t ORDER BY name FOR UPDATE',
    'SELECT nothing FROM t',
    'SELECT 1 / (n - n) FROM t',
    'TABLE t ORDER BY id',
    'TRUNCATE t RESTART IDENTITY',
    "INSERT INTO t (name) VALUES ('Marvin') RETURNING id",
    "SELECT currval('t_id_seq'), nextval('t_id_seq')",
    'DROP TABLE t',
    'SELECT * FROM t',
  ],
  definitions: [
    'CREATE TEMP TABLE t AS SELECT 1 AS id, $$Zaphod$$::text AS name',
    'CREATE TEMP TABLE t (id int)',
    'CREATE TEMP TABLE IF NOT EXISTS t (id int)',
    'CREATE TEMP TABLE IF NOT EXISTS t AS SELECT 2',
    'ALTER TABLE t ADD COLUMN n int DEFAULT 5',
    'ALTER TABLE t ALTER COLUMN n TYPE numeric USING n / 2.0',
    'ALTER TABLE t RENAME COLUMN name TO called',
    'ALTER TABLE t RENAME TO u',
    'CREATE UNIQUE INDEX u_called ON u (lower(called))',
    "INSERT INTO u VALUES (2, 'ZAPHOD', 1)",
    'ALTER INDEX u_called RENAME TO v_called',
    'DROP INDEX v_called',
    "INSERT INTO u VALUES (2, 'ZAPHOD', 1)",
    'ALTER TABLE u ADD CONSTRAINT some CHECK (id < 10)',
    'INSERT INTO u VALUES (10)',
    "COMMENT ON COLUMN u.called IS 'Zaphod and others'",
    'CREATE TEMP SEQUENCE s START 5',
    "SELECT nextval('s'), nextval('s'), currval('s')",
    'ALTER SEQUENCE s RESTART',
    "INSERT INTO u (id) SELECT nextval('s') FROM generate_series(1, 3)",
    'CREATE TEMP VIEW v AS SELECT id, called FROM u WHERE id < 7',
    'SELECT * FROM v ORDER BY id, called',
    'INSERT INTO v VALUES (3, $$Arthur$$) RETURNING *',
    'DROP TABLE u',
    'DROP TABLE u CASCADE',
    'SELECT * FROM v',
    'CREATE TEMP TABLE w (LIKE kept INCLUDING ALL)',
    "INSERT INTO w VALUES (1, 'Arthur', 2), (1, 'Arthur', 3)",
    "INSERT INTO pg_temp.w VALUES (1, 'Arthur', 2)",
    'SELECT * FROM pg_temp.w',
    'CREATE TABLE pg_temp.x (i int)',
    'INSERT INTO x VALUES (1), (2)',
    'ANALYZE x',
    'BEGIN',
    'LOCK TABLE x',
    'COMMIT',
    'TRUNCATE x, w',
    'TABLE x',
    'CREATE TEMP TABLE y (i int REFERENCES kept)',
    'CREATE TABLE z (i int REFERENCES x)',
    'DROP TABLE x, w',
    'CREATE TEMP TABLE y (i int GENERATED ALWAYS AS IDENTITY, j int GENERATED ALWAYS AS (2 * k) STORED, k int)',
    'INSERT INTO y (k) VALUES (1), (2) RETURNING *',
    'SELECT count(*) FROM pg_class WHERE relname IN ($$y$$, $$w$$)',
    'SELECT $$y$$::regclass',
  ],
  transactions: [
    'CREATE TEMP TABLE t (id int)',
    'BEGIN',
    'INSERT INTO t VALUES (1)',
    'SAVEPOINT a',
    'INSERT INTO t VALUES (2)',
    "INSERT INTO kept VALUES (90, 'Marvin', 1)",
    'SAVEPOINT b',
    'INSERT INTO t VALUES (3)',
    'DROP TABLE t',
    'SELECT * FROM t',
    'ROLLBACK TO b',
    'SELECT * FROM t ORDER BY id',
    'SELECT 1 / (id - id) FROM t',
    'SELECT * FROM t',
    'ROLLBACK TO a',
    'SELECT * FROM t ORDER BY id',
    'SELECT count(*) FROM kept',
    "INSERT INTO kept VALUES (1, 'Zaphod', 1)",
    'ROLLBACK TO a',
    'RELEASE a',
    'COMMIT',
    'SELECT * FROM t ORDER BY id',
    'BEGIN',
    'CREATE TEMP TABLE u (id int)',
    'INSERT INTO u VALUES (1)',
    'ROLLBACK',
    'SELECT * FROM u',
    "INSERT INTO t VALUES (7); INSERT INTO kept VALUES (1, 'again', 1); INSERT INTO t VALUES (8)",
    'SELECT * FROM t ORDER BY id',
    'INSERT INTO t VALUES (9); SELECT 1 / (id - id) FROM t',
    "INSERT INTO t VALUES (10); INSERT INTO kept VALUES (91, 'Marvin', 1)",
    'SELECT * FROM t ORDER BY id',
    'SELECT * FROM kept ORDER BY id',
    'DELETE FROM kept WHERE id > 2',
    'BEGIN READ ONLY',
    'INSERT INTO t VALUES (11)',
    "INSERT INTO kept VALUES (92, 'Marvin', 1)",
    'ROLLBACK',
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
    'INSERT INTO t VALUES (12)',
    'SELECT count(*) FROM kept',
    'COMMIT AND CHAIN',
    'INSERT INTO t VALUES (13)',
    'ROLLBACK',
    'SELECT * FROM t ORDER BY id',
  ],
  'constraints that wait': [
    'CREATE TEMP TABLE t (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)',
    'BEGIN',
    "INSERT INTO kept VALUES (80, 'Marvin', 1)",
    'INSERT INTO t VALUES (1), (1)',
    'COMMIT',
    'SELECT count(*) FROM kept',
    'SELECT * FROM t',
    'INSERT INTO t VALUES (1)',
    'SELECT * FROM t',
  ],
  'ON COMMIT': [
    'CREATE TEMP TABLE gone (id int) ON COMMIT DROP',
    'SELECT * FROM gone',
    'CREATE TEMP TABLE emptied (id int) ON COMMIT DELETE ROWS',
    'INSERT INTO emptied VALUES (1)',
    'SELECT * FROM emptied',
    'BEGIN',
    'INSERT INTO emptied VALUES (2)',
    'CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT 1 AS id',
    'SELECT * FROM emptied, gone',
    'COMMIT',
    'SELECT * FROM emptied',
    'SELECT * FROM gone',
    'CREATE TEMP TABLE stays (id int) ON COMMIT PRESERVE ROWS',
    'BEGIN; INSERT INTO stays VALUES (1); COMMIT',
    'SELECT * FROM stays',
    'INSERT INTO emptied VALUES (1); SELECT * FROM emptied',
    'SELECT * FROM emptied',
  ],
  shadowing: [
    'SELECT name FROM kept ORDER BY id',
    'PREPARE p AS SELECT count(*) FROM kept',
    'EXECUTE p',
    'BEGIN',
    'CREATE TEMP TABLE kept (id int, name text)',
    'SELECT name FROM kept ORDER BY id',
    "INSERT INTO kept VALUES (5, 'Slartibartfast'), (6, NULL), (7, 'x')",
    'SELECT name FROM kept ORDER BY id',
    'EXECUTE p',
    'SELECT name FROM public.kept ORDER BY id',
    'ROLLBACK',
    'EXECUTE p',
    'SELECT name FROM kept ORDER BY id',
    'CREATE TEMP TABLE person AS SELECT * FROM person WHERE amount > 0',
    'SELECT * FROM person ORDER BY id',
    'UPDATE person SET name = $$Marvin$$',
    'SELECT name FROM public.person ORDER BY id',
    'SELECT name FROM person ORDER BY id',
    'DISCARD TEMP',
    'SELECT name FROM person ORDER BY id',
    'SELECT id, name INTO TEMP kept FROM kept WHERE id = 1',
    'SELECT * FROM kept',
    'DROP TABLE kept',
    'SELECT * FROM kept ORDER BY id',
    'CREATE TEMP TABLE place (id int)',
    'SELECT * FROM place',
    'DISCARD ALL',
    'SELECT * FROM place ORDER BY id',
    'SET search_path = pg_temp, public',
    'CREATE TABLE kept (a int)',
    'SELECT * FROM kept',
    'RESET search_path',
    'DROP TABLE kept',
    'SELECT count(*) FROM kept',
  ],
  'rows of protected tables': [
    'CREATE TEMP TABLE t AS SELECT p.id, shout(name) AS loud, amount * 2 AS twice, k.amount FROM person p LEFT JOIN kept k USING (name)',
    'SELECT * FROM t ORDER BY id',
    'CREATE TEMP TABLE u (i, n) AS SELECT id, name FROM person WHERE name IN ($$Zaphod$$, $$Marvin$$) WITH NO DATA',
    'SELECT * FROM u',
    'CREATE TABLE copied AS SELECT loud, twice FROM t WHERE twice > 0',
    'SELECT * FROM copied ORDER BY twice',
    'DROP TABLE copied',
    'CREATE TEMP VIEW w AS SELECT id, twice FROM t WHERE loud LIKE $$%!$$',
    'SELECT count(*) FROM w',
  ],
};

suite('temporary tables', { timeout: 300_000 }, () => {
  const sides = beside(policy, [...tables, ...functions]);

  for (const extended of [false, true])
    for (const [name, steps] of Object.entries(scripts))
      test(`are PostgreSQL's: ${name}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  test('take and give COPY data', async () => {
    const copies = async (target: RawClient): Promise<string[]> => {
      await target.query(
        'CREATE TEMP TABLE t (id serial, name text, n int CHECK (n < 100), g int GENERATED ALWAYS AS (n + 1) STORED)',
      );
      const answers: string[] = [];
      const into = async (sql: string, ...data: string[]): Promise<void> => {
        target.send(say.query(sql), ...data.map(text => say.copyData(text)), say.copyDone);
        answers.push(told(await target.until()).join('\n'));
      };
      await into('COPY t FROM STDIN', '1\tZaphod\t5\n2\t', '\\N\t\\N\n');
      await into("COPY t (name, n) FROM STDIN (FORMAT csv, NULL 'x')", 'Arthur,x\n', 'Marvin,7\n');
      await into('COPY t (name, n) FROM STDIN', 'Marvin\t100\n');
      await into('COPY t (name, n) FROM STDIN', 'Marvin\tnone\n');
      await into('COPY t (nothing) FROM STDIN');
      for (const sql of [
        'COPY t TO STDOUT',
        'COPY (SELECT name, n FROM t WHERE n > 5) TO STDOUT (FORMAT csv, HEADER)',
        'SELECT * FROM t ORDER BY id, name',
      ])
        answers.push(
          told(await target.query(sql))
            .join('\n')
            .replace(/:\d{5,}:/g, ':own:'),
        );
      return answers;
    };
    const { clarus, plain } = await sides.sessions();
    assert.deepEqual(await copies(clarus), await copies(plain));
  });

  test('are refused what would tie them to what stands elsewhere, and what only the cloud answers', async () => {
    const client = await RawClient.connect(sides.recorded.proxy);
    await client.query('CREATE TEMP TABLE t (id int, name text, at timestamptz DEFAULT now())');
    await client.query('CREATE TEMP TABLE kept (id int, name text)');
    for (const sql of [
      "CREATE TEMP TABLE u (id int DEFAULT nextval('counted'))",
      'CREATE TEMP TABLE u (name text CHECK (kept_of(1) <> name))',
      'CREATE TEMP TABLE u (name text DEFAULT kept_of(1))',
      'CREATE TEMP TABLE u () INHERITS (public.kept)',
      'DROP TABLE t, public.kept',
      'TRUNCATE t, public.kept',
      'SELECT kept_of(1)',
      'INSERT INTO place SELECT id, name FROM t',
      "COPY t FROM '/etc/passwd'",
      "COPY t TO '/tmp/leaked'",
      'SELECT * FROM t, pg_class',
    ]) {
      const text = told(await client.query(sql)).join('\n');
      assert.match(text, /ErrorResponse ERROR (0A000|42P07)/, sql);
    }
    await client.close();
  });

  test('are of their session only, and gone with it', async () => {
    const one = await RawClient.connect(sides.recorded.proxy);
    const two = await RawClient.connect(sides.recorded.proxy);
    await one.query("CREATE TEMP TABLE mine AS SELECT 'Fenchurch'::text AS name, 1 AS id");
    assert.match(told(await two.query('SELECT * FROM mine')).join(), /42P01/);
    assert.match(told(await one.query("SELECT 'mine'::regclass")).join(), /DataRow mine/);
    assert.match(told(await two.query("SELECT to_regclass('mine')")).join(), /DataRow NULL/);
    const shadow = sides.recorded.proxy.trusted.shadowAdmin(sides.recorded.proxy.database);
    const held = async (): Promise<number> => {
      const { rows } = await shadow.query<{ count: number }>(
        "SELECT count(*)::int FROM pg_class WHERE relname = 'mine'",
      );
      return rows[0]!.count;
    };
    assert.equal(await held(), 1);
    await one.close();
    for (let tries = 0; (await held()) > 0 && tries < 200; tries++)
      await new Promise(resolve => setTimeout(resolve, 25));
    assert.equal(await held(), 0);
    await two.close();
  });

  test('show the cloud nothing', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
    assert.ok(!/CREATE (LOCAL )?TEMP/i.test(sent));
  });
});
