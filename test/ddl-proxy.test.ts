/** DDL through a running proxy: transactions, savepoints, sessions side by side, and what the cloud holds after it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startProxy, type Target, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;
before(async () => {
  proxy = await startProxy({
    policy: `unlisted: encrypt
tables:
  public.person:
    columns:
      ssn: { protect: encrypt, queries: [equality], domain: person }
      day: { protect: none }
  public.visit:
    columns:
      ssn: { protect: encrypt, queries: [equality], domain: person }
  public.open:
    columns:
      a: { protect: none }
      b: { protect: none }
`,
  });
});
after(() => proxy.stop());

async function connected<T>(target: Target, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...target });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
const columnsBehind = (table: string): Promise<string[]> =>
  connected(proxy.behind, async client => {
    const { rows } = await client.query(
      'SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum',
      [table],
    );
    return rows.map(({ attname }) => String(attname).replace(/\d+$/, ''));
  });

test('tables, keys and rows of an application work, and the cloud holds encodings', () =>
  connected(proxy, async client => {
    await client.query(
      'CREATE TABLE person (ssn text PRIMARY KEY, name text NOT NULL, day date DEFAULT current_date)',
    );
    await client.query('CREATE TABLE visit (ssn text NOT NULL REFERENCES person, note text)');
    await client.query("INSERT INTO person (ssn, name) VALUES ('1', 'Ada'), ('2', 'Bob')");
    await client.query("INSERT INTO visit VALUES ('1', 'x')");
    await assert.rejects(client.query("INSERT INTO visit VALUES ('3', 'x')"), { code: '23503' });
    await assert.rejects(client.query("INSERT INTO person (ssn, name) VALUES ('1', 'again')"), {
      code: '23505',
    });
    await assert.rejects(client.query("DELETE FROM person WHERE ssn = '1'"), { code: '23503' });
    await client.query('ALTER TABLE person ADD COLUMN age int, ALTER name DROP NOT NULL');
    await client.query("UPDATE person SET age = 7, name = NULL WHERE ssn = '2'");
    await client.query('ALTER TABLE person RENAME COLUMN age TO years; ALTER TABLE person RENAME TO people');
    const { rows } = await client.query("SELECT name, years FROM people WHERE ssn = '2'");
    assert.deepEqual(rows, [{ name: null, years: 7 }]);
    const { rows: joined } = await client.query('SELECT p.name FROM people p JOIN visit v ON v.ssn = p.ssn');
    assert.deepEqual(joined, [{ name: 'Ada' }]);
    assert.deepEqual(await columnsBehind('people'), [
      'clarus_row',
      'ssn_sealed',
      'ssn_equality',
      'name_sealed',
      'day',
      'age_sealed',
    ]);
    await client.query('DROP TABLE visit, people');
    assert.deepEqual(await columnsBehind('people'), []);
  }));

test('a protected column comes to a type that holds all of its values, an open one by casts of itself', () =>
  connected(proxy, async client => {
    await client.query(
      'CREATE TABLE person (ssn varchar(4) PRIMARY KEY, cost numeric(6, 2), day date DEFAULT current_date, age varchar(3))',
    );
    await client.query("INSERT INTO person VALUES ('1234', 1234.50, '2026-01-02', '7')");
    await client.query(
      'ALTER TABLE person ALTER ssn TYPE varchar(8) USING ssn::varchar(8), ALTER cost TYPE numeric(9, 2)',
    );
    await client.query('ALTER TABLE person ALTER ssn TYPE text, ALTER cost TYPE numeric');
    await client.query("INSERT INTO person VALUES ('a longer one', 123456789.125)");
    await assert.rejects(client.query("INSERT INTO person VALUES ('1234', 0)"), { code: '23505' });
    await client.query('ALTER TABLE person ALTER day TYPE text USING day::text::varchar::text');
    const { rows } = await client.query('SELECT ssn, cost, day FROM person WHERE ssn = $1', ['1234']);
    assert.deepEqual(rows, [{ ssn: '1234', cost: '1234.50', day: '2026-01-02' }]);
    for (const refused of [
      "ALTER TABLE person ALTER day TYPE text USING 'x'",
      'ALTER TABLE person ALTER day TYPE date USING ssn::date',
    ])
      await assert.rejects(client.query(refused), { code: '0A000' }, refused);
    await client.query('DROP TABLE person');
  }));

test('identity columns may be protected: their sequences count on the trusted side', () =>
  connected(proxy, async client => {
    const plain = await connected(proxy.plain, numbered);
    assert.deepEqual(await numbered(client), plain);
    assert.equal(plain.length, 9);
    await connected(proxy.behind, async behind => {
      const { rows } = await behind.query(
        "SELECT relname FROM pg_class WHERE relkind = 'S' AND relname ~ 'numbered'",
      );
      assert.deepEqual(rows, []);
    });
    await client.query('DROP TABLE numbered');
  }));

/** What an application gets that numbers its rows by identity columns, errors by their SQLSTATE. */
async function numbered(client: pg.Client): Promise<unknown[]> {
  await client.query(
    'CREATE TABLE numbered (a int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b bigint GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 10), c text)',
  );
  const seen: unknown[] = [];
  for (const [text, values] of [
    ["INSERT INTO numbered (c) VALUES ('x'), ('y') RETURNING a, b"],
    ['INSERT INTO numbered (b, c) VALUES ($1, $2) RETURNING a, b', [7, 'z']],
    ['INSERT INTO numbered VALUES (DEFAULT, DEFAULT, $1) RETURNING a, b', ['d']],
    ['INSERT INTO numbered (a) VALUES (1)'],
    ['INSERT INTO numbered (a, b) OVERRIDING SYSTEM VALUE VALUES (50, 51) RETURNING a, b'],
    ['INSERT INTO numbered (a, b) OVERRIDING USER VALUE VALUES (60, 61) RETURNING a, b'],
    ['UPDATE numbered SET a = 5'],
    ['ALTER TABLE numbered ALTER b DROP IDENTITY, ALTER a SET GENERATED BY DEFAULT'],
    ['INSERT INTO numbered (a) VALUES (70) RETURNING a, b'],
  ] as const)
    seen.push(
      await client.query(text, values && [...values]).then(
        ({ rows }) => rows,
        (error: pg.DatabaseError) => error.code,
      ),
    );
  return seen;
}

test('a prepared statement goes on after the table has changed', () =>
  connected(proxy, async client => {
    await client.query('CREATE TABLE prepared (a int, b text)');
    const insert = { name: 'i', text: 'INSERT INTO prepared (a, b) VALUES ($1, $2)' };
    await client.query(insert, [1, 'x']);
    await connected(proxy, other => other.query('ALTER TABLE prepared ADD COLUMN c text'));
    await client.query(insert, [2, 'y']);
    await connected(proxy, other => other.query('TRUNCATE prepared; ALTER TABLE prepared ADD UNIQUE (a)'));
    await client.query(insert, [3, 'z']);
    await assert.rejects(client.query(insert, [3, 'z']), { code: '23505' });
    await client.query('DROP TABLE prepared');
    await assert.rejects(client.query(insert, [4, 'z']), { code: '42P01' });
  }));

test('what names its schema is made where no schema is searched', () =>
  connected(proxy, async client => {
    await client.query("SELECT set_config('search_path', '', false)");
    await client.query('CREATE TABLE public.named (a text); CREATE SEQUENCE public.steps');
    await client.query('CREATE VIEW public.names AS SELECT a FROM public.named');
    await client.query('CREATE TABLE public.copied AS SELECT a FROM public.named');
    await assert.rejects(client.query('CREATE TABLE nowhere (a text)'), { code: '3F000' });
    await client.query('DROP TABLE public.copied; DROP VIEW public.names; DROP TABLE public.named');
    await client.query('DROP SEQUENCE public.steps');
  }));

test('DDL takes part in transactions and savepoints', () =>
  connected(proxy, async client => {
    await client.query('BEGIN; CREATE TABLE t (a text)');
    await client.query("INSERT INTO t VALUES ('in')");
    await client.query('SAVEPOINT s');
    await client.query('ALTER TABLE t ADD COLUMN b int; CREATE TABLE u (a int)');
    await client.query('ROLLBACK TO s');
    await client.query('ALTER TABLE t ADD COLUMN c int');
    assert.deepEqual((await client.query('SELECT * FROM t')).rows, [{ a: 'in', c: null }]);
    await client.query('COMMIT');
    assert.deepEqual(await columnsBehind('t'), ['clarus_row', 'a_sealed', 'c_sealed']);
    assert.deepEqual(await columnsBehind('u'), []);
    await client.query('BEGIN; DROP TABLE t; CREATE TABLE t (z int)');
    await client.query('ROLLBACK');
    assert.deepEqual((await client.query('SELECT a FROM t')).rows, [{ a: 'in' }]);
    await client.query('BEGIN');
    await assert.rejects(client.query('ALTER TABLE t SET TABLESPACE pg_default'), { code: '0A000' });
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
    await client.query('ROLLBACK');
    // One implicit transaction: the failing statement takes the first one with it.
    await assert.rejects(client.query('CREATE TABLE v (a int); DROP TABLE nothing'), { code: '42P01' });
    assert.deepEqual(await columnsBehind('v'), []);
    await client.query('CREATE TABLE v (a int)');
    await client.query('DROP TABLE t, v');
  }));

test('a table that comes to stand open has its columns in their order', () =>
  connected(proxy, async client => {
    await client.query('CREATE TABLE opened (a text, b text, c text, d text)');
    for (const column of ['c', 'b', 'a', 'd'])
      await client.query(`SECURITY LABEL FOR clarus ON COLUMN opened.${column} IS 'none'`);
    assert.deepEqual(await columnsBehind('opened'), ['a', 'b', 'c', 'd']);
    await client.query("INSERT INTO opened VALUES ('a', 'b', 'c', 'd')");
    assert.deepEqual((await client.query('SELECT c, b, a FROM opened')).rows, [{ c: 'c', b: 'b', a: 'a' }]);
    await client.query('CREATE TABLE disordered (a text, b text, c text)');
    for (const column of ['c', 'b'])
      await client.query(`SECURITY LABEL FOR clarus ON COLUMN disordered.${column} IS 'none'`);
    await client.query("INSERT INTO disordered VALUES ('a', 'b', 'c')");
    await assert.rejects(client.query('ALTER TABLE disordered DROP COLUMN a'), { code: '0A000' });
    await client.query('DELETE FROM disordered');
    await client.query('ALTER TABLE disordered DROP COLUMN a');
    assert.deepEqual(await columnsBehind('disordered'), ['b', 'c']);
    await client.query('DROP TABLE opened, disordered');
  }));

test('sessions that change the same table at once all have their effect', async () => {
  await connected(proxy, client => client.query('CREATE TABLE busy (a int)'));
  await Promise.all(
    Array.from({ length: 4 }, (_, i) =>
      connected(proxy, async client => {
        for (let j = 0; j < 3; j++) {
          await client.query(`ALTER TABLE busy ADD COLUMN c${i}${j} text`);
          await client.query(`INSERT INTO busy (c${i}${j}) VALUES ('${i}${j}')`);
        }
      }),
    ),
  );
  await connected(proxy, async client => {
    const { rows, fields } = await client.query('SELECT * FROM busy');
    assert.equal(fields.length, 13);
    const values = rows.flatMap(row => Object.entries(row).filter(([, value]) => value !== null));
    assert.equal(values.length, 12);
    for (const [name, value] of values) assert.equal(name, `c${value}`);
    await client.query('DROP TABLE busy');
  });
});

test('an open table and its objects are the cloud’s own', () =>
  connected(proxy, async client => {
    await client.query('CREATE TABLE open (a serial PRIMARY KEY, b text CHECK (b <> $$no$$))');
    await client.query('CREATE VIEW seen AS SELECT b FROM open; CREATE INDEX ON open (lower(b))');
    await client.query("INSERT INTO open (b) VALUES ('x'), ('y')");
    assert.deepEqual((await client.query('SELECT * FROM seen ORDER BY b')).rows, [{ b: 'x' }, { b: 'y' }]);
    await assert.rejects(client.query("INSERT INTO open (b) VALUES ('no')"), { code: '23514' });
    await assert.rejects(client.query('DROP TABLE open'), { code: '2BP01' });
    await client.query('TRUNCATE open RESTART IDENTITY');
    assert.deepEqual((await client.query("INSERT INTO open (b) VALUES ('z') RETURNING a")).rows, [{ a: 1 }]);
    await client.query('DROP TABLE open CASCADE');
    await assert.rejects(client.query('SELECT * FROM seen'), { code: '42P01' });
  }));
