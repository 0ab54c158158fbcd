/** What a session remembers stays in step on both sides, and is what PostgreSQL would remember. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type { FrontendMessage } from '../src/wire/messages.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { protect: none }
      birth: { protect: encrypt, queries: [equality] }
  s2.vis:
    columns:
      id: { protect: none }
      name: { protect: encrypt, queries: [equality] }
`;

suite('sessions', { timeout: 300_000 }, () => {
  let proxy: TestProxy;
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    proxy = await startProxy({ policy });
    clarus = await RawClient.connect(proxy);
    plain = await RawClient.connect(proxy.plain);
    for (const sql of [
      'CREATE TABLE patient (id int PRIMARY KEY, birth date)',
      'CREATE TABLE open (id int, d date)',
      'CREATE TABLE deferred (id int, CONSTRAINT one UNIQUE (id) DEFERRABLE INITIALLY DEFERRED)',
      'INSERT INTO open VALUES (1)',
    ])
      await same(sql);
  });
  after(async () => {
    await clarus?.close();
    await plain?.close();
    await proxy?.stop();
  });

  /** Sends the same to both. @returns what both answered */
  async function both(messages: FrontendMessage[], to = { clarus, plain }): Promise<string[]> {
    to.clarus.send(...messages);
    to.plain.send(...messages);
    const [ours, theirs] = await Promise.all([to.clarus.until(), to.plain.until()]);
    assert.deepEqual(told(ours), told(theirs), JSON.stringify(messages));
    return told(ours);
  }

  const same = (sql: string, to = { clarus, plain }): Promise<string[]> => both([say.query(sql)], to);

  const day = async (id: number): Promise<string | undefined> =>
    (await same(`SELECT birth FROM patient WHERE id = ${id}`)).find(line => line.startsWith('DataRow'));

  const sequence: FrontendMessage[] = [
    say.query("SET datestyle = 'ISO, DMY'; SELECT id / 0 FROM open"),
    say.query("SELECT set_config('datestyle', 'ISO, DMY', false); SELECT id / 0 FROM open"),
  ];

  test('a setting that its message took back is taken back on both sides', async () => {
    let id = 100;
    const unchanged = async (): Promise<void> => {
      id++;
      await same(`INSERT INTO patient VALUES (${id}, '01/02/2020')`);
      assert.equal(await day(id), 'DataRow 2020-01-02');
      await same("SELECT '01/02/2020'::date");
      await same('SHOW datestyle');
    };
    await same("SELECT '03/04/2020'::date");
    for (const message of sequence) {
      clarus.send(message);
      plain.send(message);
      assert.equal(told(await clarus.until()).at(-1), told(await plain.until()).at(-1));
      await unchanged();
    }
    for (const set of ["SET datestyle = 'ISO, DMY'", "SELECT set_config('datestyle', 'ISO, DMY', false)"]) {
      await both([...say.run(set), ...say.run('SELECT id / 0 FROM open'), say.sync]);
      await unchanged();
      await both([...say.run(set), ...say.run('INSERT INTO deferred VALUES (1), (1)'), say.sync]);
      await unchanged();
      const message = say.query(`${set}; INSERT INTO deferred VALUES (1), (1)`);
      clarus.send(message);
      plain.send(message);
      assert.match(told(await clarus.until()).join('\n'), /23505/);
      await plain.until();
      await unchanged();
      await same('BEGIN');
      await same(set);
      await same('INSERT INTO deferred VALUES (1), (1)');
      await same('COMMIT');
      await unchanged();
    }
  });

  test('a setting that its message keeps is kept on both sides', async () => {
    let id = 200;
    for (const set of ["SET datestyle = 'ISO, DMY'", "SELECT set_config('datestyle', 'ISO, DMY', false)"]) {
      for (const messages of [
        [say.query(set)],
        [say.query(`${set}; INSERT INTO open VALUES (2)`)],
        [...say.run(set), say.sync],
        [...say.run(set), ...say.run('INSERT INTO open VALUES (2)'), say.sync],
        [...say.run('INSERT INTO open VALUES (2)'), ...say.run(set), say.sync],
      ]) {
        id++;
        await both(messages);
        await same(`INSERT INTO patient VALUES (${id}, '01/02/2020')`);
        assert.equal(await day(id), 'DataRow 2020-02-01');
        await same('RESET datestyle');
      }
    }
    // a literal of the same message is read as the setting says, and no other session's plan with it
    const insert = "INSERT INTO patient VALUES (299, '01/02/2020')";
    await same(`SET datestyle = 'ISO, DMY'; ${insert}`);
    assert.equal(await day(299), 'DataRow 2020-02-01');
    const other = { clarus: await RawClient.connect(proxy), plain: await RawClient.connect(proxy.plain) };
    await same('DELETE FROM patient WHERE id = 299');
    await same(insert, other);
    await same('RESET datestyle');
    assert.equal(await day(299), 'DataRow 2020-01-02');
    await other.clarus.close();
    await other.plain.close();
  });

  test('a local setting lasts as long as its message', async () => {
    await same("SET LOCAL datestyle = 'ISO, DMY'");
    await same("SET LOCAL datestyle = 'ISO, DMY'; SELECT '01/02/2020'::date");
    await same("SELECT '01/02/2020'::date");
    await both([...say.run("SET LOCAL datestyle = 'ISO, DMY'"), say.sync]);
    await same("SELECT '01/02/2020'::date");
  });

  test('a search_path that its message took back leads to no other table', async () => {
    await same('CREATE SCHEMA s2');
    await same('CREATE TABLE vis (id int, name text)');
    await same('CREATE TABLE s2.vis (id int, name text)');
    await same('SET search_path = s2');
    await same("INSERT INTO vis VALUES (1, 'first')");
    const message = say.query('SET search_path = public; SELECT id / 0 FROM public.open');
    clarus.send(message);
    plain.send(message);
    await clarus.until();
    await plain.until();
    await same('SHOW search_path');
    await same("INSERT INTO vis VALUES (2, 'second')");
    await same('SELECT id, name FROM s2.vis ORDER BY id');
    await same('SELECT id, name FROM public.vis');
    await same('RESET search_path');
    // neither does one that ended with its transaction
    await same('BEGIN');
    await same('SET LOCAL search_path = s2');
    await same('SELECT name FROM vis WHERE id = 1');
    await same('COMMIT');
    await same('SELECT name FROM vis WHERE id = 1');
  });

  test('several statements in one message are one implicit block', async () => {
    for (const sql of [
      'VACUUM open; SELECT 1',
      'SELECT 1; VACUUM open',
      'CREATE TABLE made (id int); SAVEPOINT s; SELECT 1',
      'SELECT 1; RELEASE SAVEPOINT s',
      'SELECT 1; ROLLBACK TO SAVEPOINT s',
      'SELECT 1; COMMIT AND CHAIN',
      'SELECT 1; ROLLBACK AND CHAIN',
      'CREATE TABLE made (id int); INSERT INTO made VALUES (1); ROLLBACK',
      'CREATE TABLE made (id int); COMMIT; VACUUM made',
      'DROP TABLE made; ROLLBACK',
      'SELECT 1; COMMIT',
      'INSERT INTO open VALUES (7); ROLLBACK; INSERT INTO open VALUES (8)',
      'SELECT id FROM open ORDER BY id',
      'LOCK TABLE open; SELECT 1',
      'DECLARE c CURSOR FOR SELECT 1; FETCH c',
      'BEGIN; SELECT 1; COMMIT; SELECT 2',
      'INSERT INTO open VALUES (9); BEGIN ISOLATION LEVEL SERIALIZABLE',
      'ROLLBACK',
      'SELECT count(*) FROM patient; START TRANSACTION READ ONLY',
      'INSERT INTO patient VALUES (400, NULL)',
      'ROLLBACK',
      'SHOW datestyle; BEGIN READ ONLY; COMMIT',
      'DISCARD ALL; SELECT 1',
    ])
      await same(sql);
  });
});
