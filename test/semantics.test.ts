/**
 * Where PostgreSQL's answer depends on the moment, on settings or on the session, protected tables answer alike.
 * Scripts are played on a plain database of the same server and through Clarus; the server's settings are not those
 * that PostgreSQL, and so the trusted side, begins with.
 */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import type { FrontendMessage } from '../src/wire/messages.js';
import { startProxy, type Target, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const columns = 's text, d date, ts timestamp, tz timestamptz, tm time, iv interval, f float8, a text[]';
const policy = `unlisted: pass
tables:
  public.item:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }
      d: { protect: encrypt, queries: [equality] }
      tz: { protect: encrypt, queries: [equality] }
  public.dated:
    columns:
      id: { protect: none }
      open: { protect: none }
  public.ruled:
    columns:
      id: { protect: none }
  public.made:
    columns:
      id: { protect: none }
  public.numbered:
    columns:
      id: { protect: encrypt, queries: [equality] }
      n: { protect: none }`;

suite('semantics', { timeout: 240_000 }, () => {
  let proxy: TestProxy;
  before(async () => {
    proxy = await startProxy({
      policy,
      server: {
        settings: { timezone: 'America/New_York', datestyle: 'SQL, DMY', intervalstyle: 'sql_standard' },
      },
    });
    for (const target of [proxy.plain, proxy]) {
      const client = await RawClient.connect(target);
      for (const sql of [
        `CREATE TABLE item (id int, ${columns})`,
        'CREATE TABLE open (id int, tz timestamptz, d date)',
        'INSERT INTO open VALUES (1)',
      ])
        await client.query(sql);
      await client.close();
    }
  });
  after(() => proxy?.stop());

  /** Plays messages, a Query for a text, on both databases and expects the same. @returns what was answered */
  async function same(...script: (string | FrontendMessage[])[]): Promise<string[]> {
    const play = async (target: Target): Promise<string[]> => {
      const client = await RawClient.connect(target);
      const lines: string[] = [];
      for (const step of ['TRUNCATE item', ...script]) {
        client.send(...(typeof step === 'string' ? [say.query(step)] : step));
        lines.push(...told(await client.until()));
      }
      await client.close();
      return lines;
    };
    const [plain, ours] = [await play(proxy.plain), await play(proxy)];
    assert.deepEqual(ours, plain);
    return ours;
  }

  /** Statements that are refused, each by itself. */
  async function refused(...statements: string[]): Promise<void> {
    const client = new pg.Client(proxy);
    await client.connect();
    for (const statement of statements)
      await assert.rejects(client.query(statement), { code: '0A000' }, statement);
    await client.end();
  }

  test('values are read and printed by the settings of the cloud, its server’s own included', async () => {
    const insert =
      "INSERT INTO item (id, tz, d, iv) VALUES (1, '2024-07-01 12:00', '03/02/2024', '-1 1:00:00')";
    await same(
      insert,
      'SELECT * FROM item',
      "SELECT id FROM item WHERE tz = '2024-07-01 12:00-04'",
      "SELECT '2024-07-01 12:00'::timestamptz",
      "SET TimeZone = 'Asia/Tokyo'",
      insert,
      'RESET TimeZone',
      'SELECT * FROM item',
      'DISCARD ALL',
      insert,
      'SELECT tz, d, iv FROM item',
    );
  });

  test('a literal means what it means under the settings of its statement', async () => {
    const insert = "INSERT INTO item (id, iv, d) VALUES (1, '-1 1:00:00', '03/02/2024') RETURNING iv, d";
    await same(
      insert,
      'SET intervalstyle = postgres',
      'SET datestyle = ISO, MDY',
      insert,
      'RESET ALL',
      insert,
    );
    await same(
      ...['on', 'off', 'on'].flatMap(value => [
        `SET array_nulls = ${value}`,
        "INSERT INTO item (id, a) VALUES (1, '{x,NULL}') RETURNING a",
        [
          say.parse('INSERT INTO item (a) VALUES ($1) RETURNING a'),
          say.bind('', '', ['{y,null}']),
          say.execute(),
          say.sync,
        ],
      ]),
    );
    const nothing = [
      'SELECT id FROM item WHERE s = NULL',
      'SELECT id FROM item WHERE (NULL = s) IS NOT TRUE',
      'SELECT i.id FROM item i JOIN open ON i.s = NULL AND open.id > 0',
      "UPDATE item SET s = coalesce(s, 'was null') || '!' WHERE s = NULL",
      "WITH x AS (SELECT s FROM item WHERE s = NULL) SELECT count(*) FROM x, item WHERE item.s || 'y' <> 'z'",
    ];
    const rows = ["INSERT INTO item (id, s) VALUES (1, 'a'), (2, NULL)", 'INSERT INTO open (id) VALUES (1)'];
    await same(...rows, ...nothing, 'SET transform_null_equals = on', ...nothing, ...nothing);
  });

  test('a prepared statement prints by the settings in force, and is resolved by the search path in force', async () => {
    const run = [say.bind('p'), say.execute(), say.sync];
    await same(
      "INSERT INTO item (id, f, tz) VALUES (1, 0.1234567890123456, '2024-07-01 12:00')",
      [say.parse('SELECT f, tz FROM item', 'p'), ...run],
      'SET extra_float_digits = -5',
      run,
      "SET TimeZone = 'UTC'",
      run,
    );
    await same(
      'CREATE SCHEMA other',
      'CREATE TABLE other.open (id int)',
      'PREPARE q AS SELECT id FROM open',
      'EXECUTE q',
      'SET search_path = other',
      'EXECUTE q',
      'DROP SCHEMA other CASCADE',
    );
  });

  test('literals of a prepared statement that were read under other settings are not read again', async () => {
    const client = new pg.Client(proxy);
    await client.connect();
    await client.query("PREPARE p AS INSERT INTO item (id, iv) VALUES (1, '-1 1:00:00')");
    await client.query('EXECUTE p');
    await client.query('SET intervalstyle = postgres');
    await assert.rejects(client.query('EXECUTE p'), { code: '0A000' });
    await client.query('RESET intervalstyle');
    await client.query('EXECUTE p');
    await client.end();
  });

  test('defaults and values have the time of the transaction', async () => {
    const client = new pg.Client(proxy);
    await client.connect();
    await client.query(`CREATE TABLE dated (id int, open timestamptz DEFAULT now(), a timestamptz DEFAULT now(),
      b timestamptz(0) DEFAULT CURRENT_TIMESTAMP(0), c date DEFAULT CURRENT_DATE, e timetz DEFAULT CURRENT_TIME(3),
      f timestamp DEFAULT LOCALTIMESTAMP, g time DEFAULT LOCALTIME, h text DEFAULT 'on ' || transaction_timestamp())`);
    const expected = `SELECT now(), CURRENT_TIMESTAMP(0), CURRENT_DATE, CURRENT_TIME(3), LOCALTIMESTAMP, LOCALTIME,
      'on ' || transaction_timestamp()`;
    const rows = async (sql: string): Promise<unknown[][]> =>
      (await client.query({ text: sql, rowMode: 'array' })).rows.map(row => row.map(String));
    await client.query('BEGIN');
    const [now] = await rows(expected);
    await new Promise(done => setTimeout(done, 20));
    await client.query('INSERT INTO dated (id) VALUES (1)');
    await client.query("INSERT INTO dated (id, a, f) VALUES (2, now(), 'now')");
    await client.query({ text: 'INSERT INTO dated (id, a) VALUES ($1, CURRENT_TIMESTAMP)', values: [3] });
    await client.query('UPDATE dated SET b = now() WHERE id = 3');
    const found = await rows('SELECT a, b, c, e, f, g, h FROM dated ORDER BY id');
    for (const row of found) assert.deepEqual(row, now);
    assert.deepEqual(await rows('SELECT DISTINCT open = now() FROM dated'), [['true']]);
    await client.query('COMMIT');
    // an implicit transaction has one time too
    await client.query('INSERT INTO dated (id) VALUES (4)');
    const [[open, a]] = (await rows('SELECT open, a FROM dated WHERE id = 4')) as [[string, string]];
    assert.equal(a, open);
    await client.query('DROP TABLE dated');
    await client.end();
  });

  test('a literal of the present moment is read when its statement is', async () => {
    const client = new pg.Client(proxy);
    await client.connect();
    const one = async (query: string | pg.QueryConfig): Promise<unknown[]> =>
      (await client.query({ ...(typeof query === 'string' ? { text: query } : query), rowMode: 'array' }))
        .rows[0] ?? [];
    for (const sql of [
      "SELECT 'now'::timestamptz - now() = '0'::interval, 'today'::date = CURRENT_DATE, timestamp 'tomorrow' = CURRENT_DATE + 1",
      "INSERT INTO item (id, tz, d) VALUES (7, 'now', 'today') RETURNING id",
    ])
      for (const values of [undefined, []])
        for (let times = 0; times < 2; times++) {
          await client.query('BEGIN');
          await one('SELECT now()');
          await new Promise(done => setTimeout(done, 5));
          const answer = await one({ text: sql, ...(values ? { values } : {}) });
          assert.deepEqual(answer, sql.startsWith('SELECT') ? [true, true, true] : [7], sql);
          const written = await one('SELECT count(*) FROM item WHERE tz = now() AND d = CURRENT_DATE');
          if (!sql.startsWith('SELECT')) assert.deepEqual(written, ['1']);
          await client.query('ROLLBACK');
        }
    // by PREPARE it is read once
    for (const table of ['item', 'open']) {
      await client.query('BEGIN');
      const now = await one('SELECT now()');
      await client.query(`PREPARE p AS INSERT INTO ${table} (id, tz) VALUES (8, 'now') RETURNING tz`);
      await client.query('COMMIT');
      assert.deepEqual(await one('EXECUTE p'), now);
      assert.deepEqual(await one('EXECUTE p'), now);
      await client.query('DEALLOCATE p');
    }
    await client.end();
    await refused(
      "SELECT id FROM item WHERE d = ANY ('{today}')",
      "INSERT INTO item (d) VALUES (('today'::text)::date)",
    );
    const raw = await RawClient.connect(proxy);
    raw.send(...say.run('INSERT INTO item (tz) VALUES ($1)', 'now'), say.sync);
    raw.send(say.query('COPY item (d) FROM STDIN'), say.copyData('today\n'), say.copyDone);
    assert.equal(
      told(await raw.until('ReadyForQuery', 2))
        .join()
        .match(/ErrorResponse ERROR 0A000/g)?.length,
      2,
    );
    await raw.close();
    await same(
      [...say.run('INSERT INTO item (id, s) VALUES (1, $1)', 'now'), say.sync],
      "INSERT INTO item (id, s) VALUES (1, 'now') RETURNING s",
      "SELECT id FROM item WHERE s = 'now'",
    );
  });

  test('a domain’s own default and NOT NULL hold', async () => {
    await same(
      'CREATE DOMAIN positive AS int DEFAULT 7 NOT NULL CHECK (VALUE > 0)',
      'CREATE DOMAIN needed AS text NOT NULL',
      'CREATE TABLE ruled (id int, p positive, own positive DEFAULT 3)',
      'INSERT INTO ruled (id) VALUES (1)',
      'INSERT INTO ruled (id, p) VALUES (2, DEFAULT), (3, 5)',
      'INSERT INTO ruled (id, p) VALUES (4, NULL)',
      'UPDATE ruled SET p = DEFAULT, own = 9 WHERE id = 3',
      'SELECT * FROM ruled ORDER BY id',
      'DROP TABLE ruled',
      'CREATE TABLE ruled (id int, n needed)',
      'INSERT INTO ruled (id) VALUES (1)',
      'INSERT INTO ruled (id, n) VALUES (2, DEFAULT)',
      "INSERT INTO ruled (id, n) VALUES (2, 'n')",
      'UPDATE ruled SET n = DEFAULT',
      'SELECT * FROM ruled',
      'DROP TABLE ruled',
      'DROP DOMAIN positive, needed',
    );
  });

  test('EXECUTE takes what PostgreSQL takes', async () => {
    await same(
      "INSERT INTO item (id, s) VALUES (1, 'a')",
      'PREPARE p (text) AS SELECT * FROM item WHERE s = $1',
      "EXECUTE p ('a')",
      "EXECUTE p ((SELECT 'a'))",
      'ALTER TABLE item ADD COLUMN extra text',
      "EXECUTE p ('a')",
      'ALTER TABLE item DROP COLUMN extra',
      'PREPARE o (timestamptz) AS SELECT $1 = now()',
      'EXECUTE o (now())',
    );
    await refused('PREPARE p (text) AS SELECT id FROM item WHERE s = $1; EXECUTE p (pg_backend_pid()::text)');
  });

  test('the modes of a transaction are set before its first query, wherever that runs', async () => {
    await same('SELECT 1; BEGIN ISOLATION LEVEL SERIALIZABLE', 'ROLLBACK');
    await same('BEGIN', 'SELECT 1', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'ROLLBACK');
    await same('SELECT 1; BEGIN; SELECT 2; COMMIT', 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT');
    for (const target of [proxy.plain, proxy]) {
      const [reader, writer] = [await RawClient.connect(target), await RawClient.connect(target)];
      await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await reader.query('SELECT 1');
      await writer.query('INSERT INTO open VALUES (99)');
      const seen = told(await reader.query('SELECT count(*) FROM open WHERE id = 99'));
      assert.ok(seen.includes('DataRow 0'), seen.join('\n'));
      await writer.query('DELETE FROM open WHERE id = 99');
      await reader.close();
      await writer.close();
    }
  });

  test('a portal is executed again as PostgreSQL does, and is no cursor of SQL', async () => {
    const again = (sql: string, name: string): FrontendMessage[] => [
      say.parse(sql),
      say.bind('', name),
      say.execute(name),
      say.execute(name),
      say.sync,
    ];
    for (const name of ['', 'p'])
      await same(
        again("INSERT INTO item (id, s) VALUES (1, 'a')", name),
        again("INSERT INTO item (id, s) VALUES (2, 'b') RETURNING s", name),
        again('SELECT s FROM item', name),
        again("UPDATE item SET s = 'c'", name),
        again("UPDATE item SET s = 'd' RETURNING s", name),
        again('DELETE FROM item WHERE id = 1', name),
        'SELECT id, s FROM item',
      );
    const client = await RawClient.connect(proxy);
    await client.query("INSERT INTO item (id, s) VALUES (1, 'a')");
    await client.query('BEGIN');
    client.send(say.parse('SELECT s FROM item'), say.bind('', 'c'), say.execute('c', 1), say.sync);
    await client.until();
    assert.match(told(await client.query('FETCH 1 FROM c')).join(), /ErrorResponse ERROR 0A000/);
    await client.close();
  });

  test('COPY ... (FREEZE) freezes, or is refused, as the cloud says', async () => {
    const data = [say.copyData('1\tx\n'), say.copyDone];
    const script = (columns: string): (string | FrontendMessage[])[] => [
      'BEGIN',
      'CREATE TABLE made (id int, s text)',
      [say.query(`COPY made ${columns} FROM STDIN (FREEZE)`), ...data],
      'COMMIT',
      'SELECT * FROM made',
      'COPY made TO STDOUT (FREEZE)',
      'DROP TABLE made',
    ];
    await same(...script(''), ...script('(id, s)'));
    const client = await RawClient.connect(proxy);
    client.send(say.query('COPY item (id, s) FROM STDIN (FREEZE)'), ...data);
    assert.match(told(await client.until()).join(), /ErrorResponse ERROR 55000 cannot perform COPY FREEZE/);
    await client.close();
  });

  test('a sequence that feeds a protected column counts as in PostgreSQL, whoever asks it', async () => {
    await same(
      'CREATE TABLE numbered (id serial PRIMARY KEY, n int)',
      'INSERT INTO numbered (n) VALUES (1), (2) RETURNING id',
      "SELECT currval('numbered_id_seq')",
      "SELECT nextval('numbered_id_seq'), currval('numbered_id_seq'::regclass)",
      [...say.run("SELECT nextval('numbered_id_seq')"), say.sync],
      "SELECT currval(pg_get_serial_sequence('numbered', 'id'))",
      'INSERT INTO numbered (n) VALUES (3) RETURNING id',
      "SELECT setval('numbered_id_seq', 100)",
      "INSERT INTO numbered (id, n) VALUES (DEFAULT, 4), (7, 5), (nextval('numbered_id_seq'), 6) RETURNING id",
      "SELECT n FROM numbered WHERE id = currval('numbered_id_seq')",
      'SELECT last_value, is_called FROM numbered_id_seq',
      'BEGIN',
      'INSERT INTO numbered (n) VALUES (7) RETURNING id',
      'ROLLBACK',
      [say.query('COPY numbered (n) FROM STDIN'), say.copyData('8\n9\n'), say.copyDone],
      'SELECT * FROM numbered ORDER BY n',
      'BEGIN READ ONLY',
      "SELECT nextval('numbered_id_seq')",
      'ROLLBACK',
      'ALTER SEQUENCE numbered_id_seq RESTART WITH 500',
      "COPY (SELECT nextval('numbered_id_seq')) TO STDOUT",
      'TRUNCATE numbered RESTART IDENTITY',
      'INSERT INTO numbered (n) VALUES (10) RETURNING id',
      'DISCARD SEQUENCES',
      "SELECT currval('numbered_id_seq')",
      'ALTER SEQUENCE numbered_id_seq RENAME TO count',
      'INSERT INTO numbered (n) VALUES (11) RETURNING id',
      "SELECT nextval('count')",
      'DROP SEQUENCE count CASCADE',
      'CREATE SEQUENCE count',
      "SELECT nextval('count')",
      'DROP SEQUENCE count',
      'DROP TABLE numbered',
    );
  });

  test('a sequence takes its count along when its column is protected, and stays with it', async () => {
    await same(
      'CREATE SEQUENCE count START 10 INCREMENT 5',
      "SELECT nextval('count'), nextval('count')",
      'SELECT last_value, is_called FROM count',
      "COPY (SELECT nextval('count')) TO STDOUT",
      'BEGIN',
      "CREATE TABLE numbered (id int DEFAULT nextval('count'), n int)",
      'INSERT INTO numbered (n) VALUES (1) RETURNING id',
      'COMMIT',
      "SELECT nextval('count')",
      'ALTER TABLE numbered ALTER id DROP DEFAULT',
      "SELECT nextval('count')",
      'DROP TABLE numbered',
      "SELECT nextval('count')",
      'DROP SEQUENCE count',
      // as pg_dump writes it
      'CREATE TABLE numbered (id int NOT NULL, n int)',
      'CREATE SEQUENCE numbered_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1',
      'ALTER SEQUENCE numbered_id_seq OWNED BY numbered.id',
      "ALTER TABLE ONLY numbered ALTER COLUMN id SET DEFAULT nextval('numbered_id_seq'::regclass)",
      "SELECT pg_catalog.setval('public.numbered_id_seq', 17, true)",
      'INSERT INTO numbered (n) VALUES (1) RETURNING id',
      'DROP TABLE numbered',
      "SELECT nextval('numbered_id_seq')",
    );
  });

  test('what would mix sequences of both sides is refused', async () => {
    const client = new pg.Client(proxy);
    await client.connect();
    await client.query('CREATE TABLE numbered (id serial, n int)');
    await client.query('CREATE SEQUENCE shared');
    await client.query("CREATE TABLE counted (id int DEFAULT nextval('shared'))");
    await refused(
      'SELECT lastval()',
      "INSERT INTO open (id) VALUES (nextval('numbered_id_seq'))",
      "UPDATE open SET id = nextval('numbered_id_seq')",
      "INSERT INTO numbered (n) VALUES (nextval('numbered_id_seq'))",
      "SELECT nextval('numbered_id_seq'), nextval('shared')",
      "SELECT nextval('numbered_id_seq'), now()",
      "INSERT INTO numbered (id) VALUES (nextval('shared'))",
      "CREATE TABLE other (id int DEFAULT nextval('numbered_id_seq'))",
      "ALTER TABLE numbered ALTER id SET DEFAULT nextval('shared')",
      'SELECT last_value FROM pg_sequences',
    );
    await assert.rejects(client.query({ text: 'SELECT nextval($1)', values: ['shared'] }), { code: '0A000' });
    assert.equal((await client.query("SELECT nextval('shared')")).rows[0].nextval, '1');
    // every session counts on, and each value is given once
    const others = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const other = new pg.Client(proxy);
        await other.connect();
        return other;
      }),
    );
    const ids = await Promise.all(
      others.flatMap(other =>
        Array.from({ length: 10 }, async (_, i) =>
          i % 2 === 0
            ? Number((await other.query("SELECT nextval('numbered_id_seq')")).rows[0].nextval)
            : ((await other.query('INSERT INTO numbered (n) VALUES (1) RETURNING id')).rows[0].id as number),
        ),
      ),
    );
    assert.deepEqual(
      ids.sort((a, b) => a - b),
      Array.from({ length: 40 }, (_, i) => i + 1),
    );
    await Promise.all(others.map(other => other.end()));
    await client.query('DROP TABLE numbered, counted; DROP SEQUENCE shared');
    await client.end();
  });

  test('what cannot be parsed is refused in PostgreSQL’s words', async () => {
    for (const sql of [
      "SELECT s FROM item WHERE s = E'\\xff'",
      "SELECT 'é', U&'\\zzzz'",
      "SELECT 'é' FROMM item",
      "SELECT 1; SELECT 'x",
    ])
      await same(sql, [say.parse(sql), say.sync], 'BEGIN', sql, 'SELECT 1', 'ROLLBACK', 'SELECT 1');
  });

  test('names of ours, schemas before columns and aliases of joins', async () => {
    await same(
      "INSERT INTO item (id, s) VALUES (1, 'a')",
      "UPDATE item AS clarus_new SET s = 'b', id = clarus_new.id + 1 WHERE clarus_new.id = 1 RETURNING clarus_new.s, clarus_new.id",
      'SELECT public.item.id, public.item.s FROM item WHERE public.item.id = 2',
      "UPDATE public.item SET s = 'c' WHERE public.item.id = 2 RETURNING public.item.id",
      'DELETE FROM public.item WHERE public.item.id = 2 RETURNING public.item.s',
    );
    for (const target of [proxy, proxy.plain]) {
      const client = new pg.Client(target);
      await client.connect();
      await client.query('DELETE FROM open; INSERT INTO open (id) VALUES (4)');
      await client.end();
    }
    await same(
      "INSERT INTO item (id, s) VALUES (1, 'a')",
      'SELECT j.s FROM (item JOIN open ON true) AS j',
      'SELECT j.* FROM (open JOIN item ON true) AS j',
    );
  });
});
