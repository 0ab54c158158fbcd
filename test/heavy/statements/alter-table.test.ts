/** ALTER TABLE over rows: they become what PostgreSQL makes of them, and nothing of them leaves in the clear. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type pg from 'pg';
import { type RecordedProxy, startRecordedProxy } from '../../support/recorded-proxy.js';

/** Statements on tables `t` and `u`, made anew for each theme. */
const themes: Readonly<Record<string, readonly string[]>> = {
  'types without USING': [
    `CREATE TABLE t (id int PRIMARY KEY, i int, n numeric(8,2), s text, v varchar(20), c char(6), d date, a int[], b bytea, j json)`,
    `INSERT INTO t VALUES (1, 7, 12.50, 'x', '34', 'ab', '2026-01-02', '{1,NULL,3}', '\\x00ff', '{"a": 1}'),
       (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, -5, -0.01, 'SENTINEL-long', '5', 'c', 'infinity', '{}', '', 'null')`,
    'ALTER TABLE t ALTER i TYPE bigint',
    'ALTER TABLE t ALTER i TYPE text',
    'ALTER TABLE t ALTER i TYPE int',
    'ALTER TABLE t ALTER i TYPE int USING i::int',
    'ALTER TABLE t ALTER n TYPE numeric(4,1), ALTER v TYPE char(30), ALTER c TYPE text, ALTER d TYPE timestamp',
    'ALTER TABLE t ALTER n TYPE int, ALTER d TYPE text',
    'ALTER TABLE t ALTER a TYPE bigint[], ALTER b TYPE text, ALTER j TYPE jsonb USING j::jsonb',
    'ALTER TABLE t ALTER a TYPE text',
    'ALTER TABLE t ALTER s TYPE varchar(3)',
    'ALTER TABLE t ALTER s TYPE varchar(3) USING s::varchar(3)',
    'ALTER TABLE t ALTER id TYPE bigint',
    "INSERT INTO t VALUES (3000000000, 1, 2, 'y', 'z')",
    'UPDATE t SET i = 9 WHERE id = 1',
  ],
  'types with USING': [
    'CREATE TABLE t (id int, a text, b int, c text)',
    `INSERT INTO t VALUES (1, '12', 3, 'SENTINEL-c'), (2, NULL, 5, 'x'), (3, '7', NULL, NULL)`,
    'ALTER TABLE t ALTER a TYPE int USING a::int + coalesce(b, 0)',
    `ALTER TABLE t ALTER a TYPE text USING 'SENTINEL-' || a || t.c, ALTER b TYPE text USING CASE WHEN b > 3 THEN 'SENTINEL-big' ELSE c END`,
    'ALTER TABLE t ALTER a TYPE int USING length(a)',
    'ALTER TABLE t ALTER a TYPE int USING a / 0',
    'ALTER TABLE t ALTER a TYPE int USING nowhere',
    'ALTER TABLE t ALTER a TYPE text[] USING ARRAY[a::text, b, c]',
    "ALTER TABLE t ALTER c TYPE timestamptz USING date_trunc('year', now()) - interval '1 day' * a[1]::int",
    'ALTER TABLE t ALTER c TYPE boolean USING c < now()',
    'ALTER TABLE t ALTER c TYPE xyz',
  ],
  'keys, indexes and foreign keys': [
    'CREATE TABLE u (k int PRIMARY KEY, w text)',
    'CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL REFERENCES u, s text UNIQUE)',
    'CREATE INDEX ON t (k)',
    "INSERT INTO u VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "INSERT INTO t VALUES (1, 1, '1'), (2, 2, '01'), (3, 2, '3')",
    'ALTER TABLE t ALTER k TYPE bigint',
    'ALTER TABLE u ALTER k TYPE bigint',
    'INSERT INTO t VALUES (4, 9, NULL)',
    'DELETE FROM u WHERE k = 2',
    'ALTER TABLE t ALTER s TYPE int USING s::int',
    'ALTER TABLE t ALTER s TYPE int USING nullif(s::int + id, 2)',
    'INSERT INTO t VALUES (5, 1, 6)',
    'ALTER TABLE t ALTER k TYPE text',
    'ALTER TABLE t ADD UNIQUE (k)',
    'ALTER TABLE u ADD UNIQUE (w)',
    "INSERT INTO u VALUES (4, 'a')",
    'ALTER TABLE t ADD CONSTRAINT w UNIQUE (id, k)',
    'CREATE UNIQUE INDEX ON u (w, k)',
  ],
  'new columns with defaults': [
    'CREATE TABLE t (id int, a text)',
    "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
    "ALTER TABLE t ADD b text DEFAULT 'SENTINEL-b', ADD c int NOT NULL DEFAULT 3, ADD d int",
    'ALTER TABLE t ADD e serial',
    'ALTER TABLE t ADD f bigint GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5)',
    'INSERT INTO t (id) VALUES (4)',
    "ALTER TABLE t ADD g timestamptz DEFAULT date_trunc('year', now())",
    "ALTER TABLE t ALTER g TYPE boolean USING g = date_trunc('year', now())",
    'ALTER TABLE t ADD h int NOT NULL',
    'ALTER TABLE t ADD h varchar(3) DEFAULT 4711',
    'ALTER TABLE t ADD h int DEFAULT 1 UNIQUE',
    'ALTER TABLE t ADD h int PRIMARY KEY DEFAULT 1',
    "ALTER TABLE t ADD h text DEFAULT 'x', DROP COLUMN b",
    "ALTER TABLE t ALTER h SET DEFAULT 'y', ALTER c DROP DEFAULT",
    'INSERT INTO t (id, c) VALUES (5, 1)',
    'ALTER TABLE t DROP h, ADD h int DEFAULT 9',
    'ALTER TABLE t ADD COLUMN IF NOT EXISTS h int DEFAULT 8',
    'ALTER TABLE t ALTER c TYPE text, ALTER c SET DEFAULT 5',
    'INSERT INTO t (id) VALUES (6)',
  ],
  'checks over the new values': [
    'CREATE TABLE t (id int, a text CHECK (length(a) < 5), b int CHECK (b > 0), CHECK (b < id * 10))',
    "INSERT INTO t VALUES (1, 'abc', 5), (2, '12', 7)",
    'ALTER TABLE t ALTER b TYPE bigint USING b - 5',
    'ALTER TABLE t ALTER b TYPE bigint USING b + 1',
    'INSERT INTO t VALUES (3, NULL, 30)',
    'ALTER TABLE t ADD c int DEFAULT 3 CHECK (c > 3)',
    'ALTER TABLE t ADD c int DEFAULT 4 CHECK (c > 3)',
    "ALTER TABLE t ALTER a TYPE varchar(9) USING a || 'long'",
    'ALTER TABLE t ALTER a TYPE int USING b',
  ],
  'domains and types of users': [
    "CREATE DOMAIN few AS int CHECK (VALUE < 10); CREATE TYPE mood AS ENUM ('sad', 'ok')",
    'CREATE DOMAIN always AS text NOT NULL',
    'CREATE TABLE t (id int, a int, m text)',
    "INSERT INTO t VALUES (1, 3, 'sad'), (2, NULL, 'ok')",
    'ALTER TABLE t ALTER a TYPE few',
    'ALTER TABLE t ALTER m TYPE mood USING m::mood',
    'INSERT INTO t VALUES (3, 11)',
    'ALTER TABLE t ALTER a TYPE int',
    "INSERT INTO t VALUES (3, 11, 'ok')",
    'ALTER TABLE t ALTER a TYPE few',
    'ALTER TABLE t ADD n always',
    "ALTER TABLE t ADD n always DEFAULT 'x', ADD l mood DEFAULT 'sad'",
    'ALTER TABLE t ALTER m TYPE text, ALTER l TYPE text USING m::text || l',
  ],
  'within a transaction': [
    'CREATE TABLE t (id int PRIMARY KEY, a text)',
    "INSERT INTO t VALUES (1, '1'), (2, '2')",
    'ALTER TABLE t ALTER a TYPE int USING a::int',
    'UPDATE t SET a = 5 WHERE id = 1',
    'INSERT INTO t VALUES (3, 3)',
    'ALTER TABLE t ALTER a TYPE text',
    'ALTER TABLE t ADD b int DEFAULT 4',
    'ALTER TABLE t RENAME a TO z',
    'ALTER TABLE t ALTER z TYPE numeric USING z::numeric / b',
    'ALTER TABLE t RENAME TO tt',
    'ALTER TABLE tt ALTER z TYPE text',
    'ALTER TABLE tt RENAME TO t',
    'ALTER TABLE t SET SCHEMA s',
    'ALTER TABLE s.t ALTER z TYPE varchar(4) USING left(z, 4)',
    'ALTER TABLE s.t SET SCHEMA public',
  ],
};

suite('ALTER TABLE over rows', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let ours: pg.Client;
  let plain: pg.Client;
  before(async () => {
    recorded = await startRecordedProxy('unlisted: encrypt\nlimits: { split_rows_max: 4000 }');
    ({ ours, plain } = recorded);
    for (const client of [ours, plain]) await client.query('CREATE SCHEMA s');
  });
  after(() => recorded?.stop());

  const outcome = async (client: pg.Client, text: string): Promise<unknown> => {
    try {
      const { command } = await client.query(text);
      return { command };
    } catch (error) {
      const { code, column, constraint, table } = error as pg.DatabaseError;
      return { code, column, constraint, table };
    }
  };
  const contents = async (client: pg.Client): Promise<unknown> => {
    const all: unknown[] = [];
    const { rows: tables } = await client.query(
      "SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('public', 's') ORDER BY 1",
    );
    for (const { name } of tables) {
      const { rows, fields } = await client.query({ text: `SELECT * FROM ${name}`, rowMode: 'array' });
      all.push(
        name,
        fields.map(f => `${f.name} ${f.dataTypeModifier}`),
        rows.map(row => JSON.stringify(row)).sort(),
      );
    }
    return all;
  };

  for (const [theme, statements] of Object.entries(themes))
    for (const block of [false, true])
      test(`rows are converted as PostgreSQL converts them: ${theme}${block ? ', in a transaction block' : ''}`, async () => {
        if (block) for (const client of [ours, plain]) await client.query('BEGIN');
        try {
          for (const statement of statements) {
            // a type of its own: Clarus knows types by name as long as a session lasts
            const sql = block ? statement.replace(/\b(few|mood|always)\b/g, '$1s') : statement;
            if (block) for (const client of [ours, plain]) await client.query('SAVEPOINT s');
            const [got, wanted] = [await outcome(ours, sql), await outcome(plain, sql)];
            assert.deepEqual(got, wanted, sql);
            if (block && 'code' in (wanted as object))
              for (const client of [ours, plain]) await client.query('ROLLBACK TO s');
            assert.deepEqual(await contents(ours), await contents(plain), sql);
          }
        } finally {
          for (const client of [ours, plain]) {
            if (block) await client.query('ROLLBACK');
            await client.query('DROP TABLE IF EXISTS t, u; DROP TABLE IF EXISTS s.t, tt');
            await client.query(
              'DROP TYPE IF EXISTS few; DROP TYPE IF EXISTS mood; DROP TYPE IF EXISTS always',
            );
          }
        }
      });

  test('many and long rows are converted a batch at a time, and limits of one statement hold', async () => {
    for (const client of [ours, plain]) {
      await client.query('CREATE TABLE t (id int PRIMARY KEY, a text)');
      await client.query(
        "INSERT INTO t SELECT i, i || repeat('x', CASE WHEN i % 500 = 0 THEN 300000 ELSE 10 END) FROM generate_series(1, 3000) i",
      );
      await client.query('ALTER TABLE t ALTER a TYPE int USING length(a) + id');
    }
    assert.deepEqual(await contents(ours), await contents(plain));
    await ours.query('INSERT INTO t SELECT i, i FROM generate_series(3001, 4001) i');
    await assert.rejects(ours.query('ALTER TABLE t ALTER a TYPE bigint'), { code: '54000' });
    await ours.query('DELETE FROM t WHERE id = 7');
    await ours.query('ALTER TABLE t ALTER a TYPE bigint; DROP TABLE t');
    await plain.query('DROP TABLE t');
  });

  test('a column with rows gets equality tags by a label, a key or an index, and keeps its values', async () => {
    await ours.query('CREATE TABLE t (id int, a text, b int)');
    await ours.query("INSERT INTO t SELECT i, 'v' || i, i / 2 FROM generate_series(1, 100) i");
    await ours.query("SECURITY LABEL FOR clarus ON COLUMN t.a IS 'encrypt queries equality'");
    await ours.query('ALTER TABLE t ADD PRIMARY KEY (id)');
    await assert.rejects(ours.query('CREATE UNIQUE INDEX ON t (b)'), { code: '23505' });
    await assert.rejects(ours.query("INSERT INTO t VALUES (100, 'x', 7)"), { code: '23505' });
    const sent = await recorded.sentWhile(async () => {
      const { rows } = await ours.query("SELECT id, a, b FROM t WHERE a = 'v77'");
      assert.deepEqual(rows, [{ id: 77, a: 'v77', b: 38 }]);
    });
    assert.match(sent, /a_equality/);
    await ours.query("SECURITY LABEL FOR clarus ON COLUMN t.a IS 'encrypt'");
    const { rows } = await ours.query("SELECT count(*)::int AS n FROM t WHERE a LIKE 'v%'");
    assert.deepEqual(rows, [{ n: 100 }]);
    await assert.rejects(ours.query("SECURITY LABEL FOR clarus ON COLUMN t.a IS 'none'"), { code: '55000' });
    await ours.query('DROP TABLE t');
  });

  test('rows that a transaction does not see are not lost by it', async () => {
    const other = await recorded.reconnect();
    await ours.query("CREATE TABLE t (id int, a text); INSERT INTO t VALUES (1, '1')");
    await ours.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await ours.query('SELECT count(*) FROM t');
    await other.query("INSERT INTO t VALUES (2, '2')");
    await assert.rejects(ours.query('ALTER TABLE t ALTER a TYPE int USING a::int'), { code: '40001' });
    await ours.query('ROLLBACK');
    await ours.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
    await ours.query('ALTER TABLE t ALTER a TYPE int USING a::int');
    await ours.query('COMMIT');
    const { rows } = await other.query('SELECT id, a FROM t ORDER BY id');
    assert.deepEqual(rows, [
      { id: 1, a: 1 },
      { id: 2, a: 2 },
    ]);
    await other.query('DROP TABLE t');
  });

  test('a transaction that began before an ALTER never reads rows without the values that it gave them', async () => {
    for (const client of [ours, plain])
      for (const sql of [
        'DROP TABLE IF EXISTS t, u CASCADE',
        'CREATE TABLE t (id int, n int)',
        'CREATE TABLE u (id int)',
        'INSERT INTO t VALUES (1, 5), (2, NULL)',
      ])
        await client.query(sql);
    const other = await recorded.reconnect();
    const read = async (client: pg.Client, sql: string): Promise<unknown> =>
      client.query({ text: sql, rowMode: 'array' }).then(
        ({ rows }) => rows,
        ({ code }) => code,
      );
    for (const [ddl, query] of [
      ['ALTER TABLE t ADD COLUMN z int DEFAULT 7', 'SELECT count(z)::int FROM t'],
      ['ALTER TABLE t ALTER n TYPE bigint', 'SELECT count(*)::int FROM t WHERE n IS NULL'],
      ['ALTER TABLE t ALTER n TYPE text', 'SELECT id, n FROM t'],
      ['ALTER TABLE t ALTER n TYPE int USING n::int', 'SELECT max(abs(n)) FROM t'],
      ['ALTER TABLE t ALTER n TYPE numeric', 'COPY t (n) TO STDOUT'],
    ] as const) {
      for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
        await ours.query(`BEGIN ISOLATION LEVEL ${level}`);
        await ours.query('SELECT 1 FROM u');
        if (level === 'SERIALIZABLE') await ours.query('SELECT id FROM t');
        else await other.query(ddl);
        assert.deepEqual(
          await read(ours, query),
          level === 'SERIALIZABLE' ? await read(other, query) : '40001',
          ddl,
        );
        await ours.query('ROLLBACK');
      }
      // nothing keeps a snapshot here, and the next transaction has a new one
      for (const begin of ['BEGIN', 'BEGIN ISOLATION LEVEL REPEATABLE READ']) {
        await ours.query(begin);
        assert.deepEqual(await read(ours, query), await read(other, query), ddl);
        await ours.query('COMMIT');
      }
    }
    await ours.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await ours.query('ALTER TABLE t ALTER n TYPE int');
    assert.deepEqual(await read(ours, 'SELECT n FROM t ORDER BY id'), [[5], [null]]);
    await ours.query('COMMIT');
    await other.end();
    for (const client of [ours, plain]) await client.query('DROP TABLE t, u');
  });

  test('a statement that waited for an ALTER does nothing, and tells no name of the cloud', async () => {
    for (const sql of [
      'DROP TABLE IF EXISTS t',
      'CREATE TABLE t (id int, n int)',
      'INSERT INTO t VALUES (1, 5)',
    ])
      await ours.query(sql);
    const other = await recorded.reconnect();
    let stored = 1;
    for (const [ddl, write] of [
      ['ALTER TABLE t ALTER n TYPE bigint', 'INSERT INTO t VALUES (2, 6)'],
      ['ALTER TABLE t ALTER n TYPE text', 'SELECT n FROM t'],
      ['ALTER TABLE t ADD UNIQUE (n)', "INSERT INTO t VALUES (3, '7')"],
    ] as const) {
      await ours.query('BEGIN');
      await ours.query(ddl);
      const waiting = other.query(write).then(
        () => 'done',
        ({ code, message, hint }) => ({ code, message, hint }),
      );
      await new Promise(resolve => setTimeout(resolve, 100));
      await ours.query('COMMIT');
      const outcome = await waiting;
      if (outcome === 'done') stored += write.startsWith('INSERT') ? 1 : 0;
      else
        assert.deepEqual(outcome, {
          code: '40001',
          message: 'could not serialize access due to concurrent update',
          hint: 'Another session has changed the table: try again.',
        });
    }
    assert.equal((await other.query('DELETE FROM t')).rowCount, stored);
    await other.end();
    await ours.query('DROP TABLE t');
  });

  test('expressions that mean something else on the trusted side are refused', async () => {
    await ours.query("CREATE TABLE t (id int, a text, b text); INSERT INTO t VALUES (1, '1', 'x')");
    await ours.query(
      "CREATE FUNCTION counted(text) RETURNS int LANGUAGE sql STABLE AS 'SELECT count(*)::int FROM t'; CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'",
    );
    for (const using of [
      'counted(a)',
      'pg_backend_pid()',
      "('now'::text)::date - current_date",
      'length(t::text)',
    ])
      await assert.rejects(
        ours.query(`ALTER TABLE t ALTER a TYPE int USING ${using}`),
        { code: '0A000' },
        using,
      );
    await assert.rejects(ours.query("ALTER TABLE t ADD c int DEFAULT counted('x')"), { code: '0A000' });
    await ours.query('ALTER TABLE t ALTER a TYPE int USING twice(a::int)');
    assert.deepEqual((await ours.query('SELECT a FROM t')).rows, [{ a: 2 }]);
    await ours.query('DROP TABLE t; DROP FUNCTION counted; DROP FUNCTION twice');
  });

  test('nothing of the rows that were converted reached the cloud in the clear', () => {
    assert.doesNotMatch(recorded.sent(), /SENTINEL/);
  });
});
