/** Settings are kept in step on both sides, and what may not leave stays on the trusted one. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';

suite('settings', { timeout: 120_000 }, () => {
  let proxy: TestProxy;
  let client: pg.Client;
  before(async () => {
    proxy = await startProxy({
      policy:
        'unlisted: pass\ntables:\n  public.vault:\n    columns:\n      id: { protect: none }\n      name: { protect: encrypt, queries: [equality] }\n',
    });
    client = new pg.Client(proxy);
    await client.connect();
    await client.query('CREATE TABLE vault (id int, name text)');
    await client.query('CREATE TABLE open (id int)');
    await client.query('INSERT INTO open VALUES (1)');
  });
  after(async () => {
    await client?.end();
    await proxy?.stop();
  });

  /** what the cloud, and what the trusted side, hold of a setting */
  async function both(name: string): Promise<[string, string]> {
    const cloud = await client.query(`SELECT current_setting('${name}', true) AS v FROM open`);
    const trusted = await client.query(`SELECT current_setting('${name}', true) AS v`);
    return [cloud.rows[0].v, trusted.rows[0].v];
  }

  test('set_config sets both sides, by constants and by parameters, and answers', async () => {
    const answer = await client.query("SELECT set_config('app.user', 'ann', false) AS who");
    assert.deepEqual(answer.rows, [{ who: 'ann' }]);
    assert.deepEqual(await both('app.user'), ['ann', 'ann']);
    const given = await client.query({
      text: 'SELECT set_config($1, $2, $3), set_config($4::text, $2, false)',
      values: ['app.user', "o'hara\\", 'false', 'app.other'],
    });
    assert.equal(given.rows[0].set_config, "o'hara\\");
    assert.deepEqual(await both('app.user'), ["o'hara\\", "o'hara\\"]);
    assert.deepEqual(await both('app.other'), ["o'hara\\", "o'hara\\"]);
  });

  test('a local setting ends with its transaction, and a rolled-back one leaves nothing', async () => {
    await client.query("SELECT set_config('app.user', 'before', false)");
    await client.query('BEGIN');
    await client.query("SELECT set_config('app.user', 'local', true)");
    assert.deepEqual(await both('app.user'), ['local', 'local']);
    await client.query('COMMIT');
    assert.deepEqual(await both('app.user'), ['before', 'before']);
    await client.query('BEGIN');
    await client.query("SELECT set_config('app.user', 'undone', false)");
    await client.query('ROLLBACK');
    assert.deepEqual(await both('app.user'), ['before', 'before']);
  });

  test('application_name stays on the trusted side, whichever way it is set', async () => {
    for (const set of [
      "SET application_name = 'private one'",
      "SELECT set_config('application_name', 'private one', false)",
    ]) {
      await client.query('RESET application_name');
      await client.query(set);
      const [cloud, trusted] = await both('application_name');
      assert.equal(trusted, 'private one');
      assert.doesNotMatch(cloud, /private/);
    }
    await client.query('SELECT set_config($1, $2, false)', ['application_name', 'private two']);
    assert.equal((await both('application_name'))[1], 'private two');
    assert.doesNotMatch((await both('application_name'))[0], /private/);
    assert.equal((await client.query('SHOW application_name')).rows[0].application_name, 'private two');
  });

  test('a setting that the trusted side may not take is the cloud’s, in a transaction too', async () => {
    const admin = new pg.Client({ ...proxy.cloud });
    await admin.connect();
    await admin.query(`GRANT SET ON PARAMETER deadlock_timeout TO ${proxy.behind.user}`);
    await admin.end();
    const fresh = new pg.Client(proxy);
    await fresh.connect();
    await fresh.query("BEGIN; SET deadlock_timeout = '321ms'");
    await fresh.query("INSERT INTO vault VALUES (1, upper('a'))");
    const { rows } = await fresh.query("SELECT current_setting('deadlock_timeout') AS v FROM open");
    assert.deepEqual(rows, [{ v: '321ms' }]);
    await fresh.query('CREATE TABLE made (a int)');
    await fresh.query('ROLLBACK');
    await fresh.end();
  });

  test('settings under which statements would mean something else are refused, by function too', async () => {
    for (const [name, value] of [
      ['role', 'postgres'],
      ['session_authorization', 'postgres'],
      ['client_encoding', 'LATIN1'],
    ]) {
      await assert.rejects(client.query(`SELECT set_config('${name}', '${value}', false)`), {
        code: '0A000',
      });
      await assert.rejects(client.query('SELECT set_config($1, $2, false)', [name, value]), {
        code: '0A000',
      });
    }
  });

  test('a value that is not known before anything is sent is refused', async () => {
    for (const text of [
      "SELECT set_config('app.user', random()::text, false)",
      "SELECT set_config('app.user', id::text, false) FROM open",
      "SELECT set_config('app.user', name, false) FROM vault",
      "SELECT 1, set_config('app.user', 'x', false)",
      "SELECT set_config('app.user', 'abcdef'::varchar(3), false)",
      "SELECT set_config('app.user', '1'::bool::text, false)",
      "SELECT set_config('app.user', '{a}'::text[]::text, false)",
    ])
      await assert.rejects(client.query(text), { code: '0A000' }, text);
  });

  test('a transaction takes its snapshot with its first query, whatever it has set before', async () => {
    const other = new pg.Client(proxy);
    await other.connect();
    try {
      for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
        const before = (await other.query('SELECT count(*)::int AS n FROM vault WHERE name > $1', ['']))
          .rows[0].n;
        await client.query(`BEGIN ISOLATION LEVEL ${level}`);
        await client.query('SET LOCAL enable_seqscan = off');
        await client.query("SET LOCAL DateStyle = 'German'");
        await client.query('SET LOCAL extra_float_digits = 3');
        await other.query("INSERT INTO vault VALUES (1, 'x')");
        const { rows } = await client.query('SELECT count(*)::int AS n FROM vault WHERE name > $1', ['']);
        assert.deepEqual(rows, [{ n: before + 1 }], level);
        assert.equal((await client.query("SELECT '2020-12-24'::date::text AS d")).rows[0].d, '24.12.2020');
        await client.query('COMMIT');
      }
    } finally {
      await other.end();
    }
  });
});
