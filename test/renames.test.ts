/** Renames: what is renamed keeps its protection, and what is made under the old name is protected as the policy says. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import pg from 'pg';
import { bringUp } from '../src/catalog/bring-up.js';
import type { Redo } from '../src/catalog/catalog.js';
import type { CatalogNumbers } from '../src/catalog/derive-input.js';
import { writtenOut } from '../src/catalog/protection.js';
import { loadCatalog } from '../src/catalog/store.js';
import { encodingRegistry } from '../src/encodings/registry.js';
import { parseConfig } from '../src/policy/parse.js';
import type { Policy } from '../src/policy/policy.js';
import { spellingOf } from '../src/sql/opaque/index.js';
import { openJournal } from '../src/trusted/journal.js';
import { startProxy, type TestProxy } from './support/proxy.js';

const policyText = `unlisted: pass
tables:
  public.third:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }
      u: { protect: encrypt, queries: [equality] }
      note: { protect: none }
  public.other:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }
      u: { protect: encrypt, queries: [equality] }
      note: { protect: none }
  public.bare:
    columns: { id: { protect: none } }`;
const columns = '(id int, s text, u text, note text)';

suite('renames', { timeout: 240_000 }, () => {
  let proxy: TestProxy;
  let client: pg.Client;
  let behind: pg.Client;
  before(async () => {
    proxy = await startProxy({ policy: policyText });
    client = new pg.Client(proxy);
    behind = new pg.Client(proxy.behind);
    await client.connect();
    await behind.connect();
  });
  after(async () => {
    await client?.end();
    await behind?.end();
    await proxy?.stop();
  });
  beforeEach(async () => {
    await client.query('DROP TABLE IF EXISTS third, third_old, third_older, other, bare, moved, kept.third');
    await client.query('DROP SCHEMA IF EXISTS kept');
    await client.query(`CREATE TABLE third ${columns}; CREATE TABLE other ${columns}`);
    await client.query("INSERT INTO third VALUES (1, 'a', 'b', 'n')");
  });

  /** The protected columns of a table, as the cloud holds it. */
  async function sealed(table: string): Promise<string[]> {
    const { rows } = await behind.query(
      "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attname LIKE '%\\_sealed%' ORDER BY attname",
      [table],
    );
    return rows.map(({ attname }) => String(attname).replace(/_sealed\d*$/, ''));
  }

  const filePolicy = (): Policy =>
    parseConfig(
      `clarus: 1
trusted: { database: embedded, directory: ./t, key: { env: K } }
clouds: { main: { postgres: "postgres://app@127.0.0.1:1/hospital" } }
listen: { postgres: "127.0.0.1:0" }
tls: off
users: { app: { password: "env:P" } }
${policyText}`,
      '/tmp/clarus.yaml',
    ).policy;

  /** What a start with the unchanged file does. */
  async function restarted(policy: Policy = filePolicy()): Promise<string[]> {
    let last = 5_000;
    const next = async (): Promise<number> => ++last;
    const numbers: CatalogNumbers = { table: next, generation: next, domain: next };
    const { state } = proxy.trusted;
    const cloudPool = new pg.Pool({ ...proxy.behind, max: 2 });
    try {
      const { refused, blocked } = await bringUp({
        state,
        journal: openJournal<Redo>(state),
        keys: { destroyTableKey: async () => undefined, forgetTable: () => undefined },
        cloud: 'main',
        proxy: 'start',
        cloudPool,
        shadow: proxy.trusted.shadowAdmin(proxy.database),
        owner: 'app',
        registry: encodingRegistry(),
        numbers,
        policy,
        origin: 'file',
        spellingOf,
      });
      return [...refused.map(({ table }) => table), ...blocked].map(({ name }) => name);
    } finally {
      await cloudPool.end();
    }
  }

  test('a table made under the name of a renamed one is protected as the policy says', async () => {
    await client.query('ALTER TABLE third RENAME TO third_old');
    await client.query(`CREATE TABLE third ${columns}`);
    await client.query("INSERT INTO third VALUES (2, 'sentinel', 'b', 'n')");
    assert.deepEqual(await sealed('third'), ['s', 'u']);
    assert.deepEqual(await sealed('third_old'), ['s', 'u']);
    const { rows } = await behind.query('SELECT third::text AS row FROM third');
    assert.doesNotMatch(rows[0].row, /sentinel/);
    assert.deepEqual((await client.query("SELECT id FROM third_old WHERE s = 'a'")).rows, [{ id: 1 }]);
    await client.query('ALTER TABLE third_old ADD COLUMN more text');
    assert.deepEqual(await sealed('third_old'), ['more', 's', 'u']);
    assert.deepEqual(await restarted(), []);
    await client.query('ALTER TABLE third_old RENAME TO third_older; DROP TABLE third');
    assert.deepEqual(await restarted(), []);
    const { policy, tables } = await loadCatalog(proxy.trusted.state, 'main');
    const exported = writtenOut(policy, tables.values());
    const listed = exported.tables.find(({ name }) => name === 'third_older');
    assert.deepEqual(
      listed?.columns.map(({ name, protect }) => `${name} ${protect}`),
      ['id none', 's encrypt', 'u encrypt', 'note none', 'more encrypt'],
    );
    assert.ok(exported.tables.some(({ name }) => name === 'third'));
    assert.deepEqual(await restarted(exported), []);
    assert.deepEqual(await restarted(), []);
  });

  test('a table that goes to another schema leaves the protection of its name behind', async () => {
    await client.query('CREATE SCHEMA kept; ALTER TABLE third SET SCHEMA kept');
    await client.query(`CREATE TABLE third ${columns}`);
    assert.deepEqual(await sealed('third'), ['s', 'u']);
    assert.deepEqual(await sealed('kept.third'), ['s', 'u']);
    assert.deepEqual(await restarted(), []);
    await assert.rejects(client.query('ALTER SCHEMA kept RENAME TO left_behind'), { code: '0A000' });
  });

  test('a column made under the name of a renamed one is protected as the policy says', async () => {
    await client.query('ALTER TABLE third RENAME s TO s_old; ALTER TABLE third ADD COLUMN s text');
    await client.query("INSERT INTO third VALUES (2, 'x', 'y', 'n', 'sentinel')");
    assert.deepEqual(await sealed('third'), ['s', 's', 'u']);
    const { rows } = await behind.query('SELECT third::text AS row FROM third WHERE id = 2');
    assert.doesNotMatch(rows[0].row, /sentinel/);
    assert.deepEqual((await client.query("SELECT s FROM third WHERE s_old = 'x' AND s = 'sentinel'")).rows, [
      { s: 'sentinel' },
    ]);
    assert.deepEqual(await restarted(), []);
    await client.query('ALTER TABLE third DROP COLUMN s_old; ALTER TABLE third RENAME s TO s_old');
    await client.query('ALTER TABLE third RENAME s_old TO s');
    assert.deepEqual(await restarted(), []);
  });

  test('a column made under a new name that the policy never named is encrypted', async () => {
    await client.query('ALTER TABLE third RENAME note TO remark');
    assert.deepEqual(await restarted(), []);
    assert.deepEqual((await client.query("SELECT id FROM third WHERE remark LIKE 'n%'")).rows, [{ id: 1 }]);
    await client.query('ALTER TABLE third DROP COLUMN remark, ADD COLUMN remark text');
    assert.deepEqual(await sealed('third'), ['remark', 's', 'u']);
    assert.deepEqual(await restarted(), []);
  });

  test('a rename that is taken back leaves nothing, and one in a transaction holds within it', async () => {
    await client.query(`BEGIN; ALTER TABLE third RENAME TO third_old; CREATE TABLE third ${columns}`);
    await client.query("INSERT INTO third VALUES (2, 'x', 'y', 'n')");
    await client.query('SAVEPOINT a; ALTER TABLE third_old RENAME s TO t; ROLLBACK TO a');
    assert.deepEqual((await client.query("SELECT id FROM third_old WHERE s = 'a'")).rows, [{ id: 1 }]);
    await client.query('ROLLBACK');
    assert.deepEqual((await client.query("SELECT id FROM third WHERE s = 'a'")).rows, [{ id: 1 }]);
    assert.deepEqual(await restarted(), []);
  });

  test('tables and columns that are protected alike change names; others are refused', async () => {
    const swapped = (a: string, b: string): string =>
      `BEGIN; ALTER TABLE third RENAME ${a} TO aside; ALTER TABLE third RENAME ${b} TO ${a}; ALTER TABLE third RENAME aside TO ${b}; COMMIT`;
    await client.query(swapped('s', 'u'));
    assert.deepEqual((await client.query("SELECT s, u FROM third WHERE s = 'b' AND u = 'a'")).rows, [
      { s: 'b', u: 'a' },
    ]);
    await client.query(swapped('id', 'note'));
    assert.deepEqual((await client.query('SELECT id, note FROM third')).rows, [{ id: 'n', note: 1 }]);
    for (const [a, b] of [
      ['s', 'note'],
      ['note', 's'],
    ] as const) {
      await assert.rejects(client.query(swapped(a, b)), { code: '0A000' });
      await client.query('ROLLBACK');
    }
    await client.query(
      'BEGIN; ALTER TABLE third RENAME TO moved; ALTER TABLE other RENAME TO third; ALTER TABLE moved RENAME TO other; COMMIT',
    );
    assert.deepEqual((await client.query("SELECT u FROM other WHERE s = 'b'")).rows, [{ u: 'a' }]);
    assert.deepEqual(await restarted(), []);
    await client.query('CREATE TABLE bare (id int, s text); CREATE TABLE moved (id int, s text)');
    for (const statement of [
      'DROP TABLE third; ALTER TABLE bare RENAME TO third',
      'DROP TABLE third; ALTER TABLE moved RENAME TO third',
      'DROP TABLE bare; ALTER TABLE moved RENAME TO bare',
    ])
      await assert.rejects(
        client.query(`BEGIN; ${statement}`).finally(() => client.query('ROLLBACK')),
        {
          code: '0A000',
        },
      );
    assert.deepEqual(await restarted(), []);
  });
});
