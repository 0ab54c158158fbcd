import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { rootKeyFingerprint } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';
import { schemaVersion } from './migrations.js';
import type { Trusted } from './open.js';
import { openIn, remove, temporaryDirectory } from './test-support.test.js';

let directory: string;
let trusted: Trusted;

before(async () => {
  directory = await temporaryDirectory();
  trusted = await openIn(directory);
});
after(async () => {
  await trusted.close();
  await remove(directory);
});

const session = async (database: string, user: string): Promise<pg.Client> => {
  const { host, port, password, ...target } = trusted.sessionTarget(database, user);
  const client = new pg.Client({ host, port, password, user: target.user, database: target.database });
  await client.connect();
  return client;
};

const codeOf = (code: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, code, String(error));
  return true;
};

test('the state database has the tables of every migration', async () => {
  const { rows } = await trusted.state.query('SELECT max(number) AS number FROM clarus.migrations');
  assert.equal(rows[0].number, schemaVersion);
  assert.equal(trusted.major, 18);
  assert.deepEqual(trusted.warnings, []);
});

test('a worker joins the server that the primary process started', async () => {
  const worker = await openIn(directory, { server: trusted.server });
  assert.equal((await worker.state.query('SELECT 1 AS one')).rows[0].one, 1);
  await worker.close();
  await trusted.state.query('SELECT 1');
});

test('workers that open at once agree on one installation', async () => {
  const workers = await Promise.all([1, 2, 3].map(() => openIn(directory, { server: trusted.server })));
  assert.equal((await trusted.state.query('SELECT FROM clarus.installation')).rowCount, 1);
  await Promise.all(workers.map(worker => worker.close()));
});

test('a wrong root key is told before anything is served', async () => {
  await assert.rejects(
    openIn(directory, { server: trusted.server, rootKey: new Uint8Array(32).fill(8) }),
    (error: unknown) => {
      assert.ok(error instanceof ClarusError);
      assert.equal(error.code, '28000');
      assert.ok(error.message.includes(rootKeyFingerprint(new Uint8Array(32).fill(7))));
      return true;
    },
  );
});

test('a state database of a newer Clarus is refused', async () => {
  await trusted.state.query('INSERT INTO clarus.migrations (number) VALUES (10000)');
  await assert.rejects(openIn(directory, { server: trusted.server }), codeOf('55000'));
  await trusted.state.query('DELETE FROM clarus.migrations WHERE number = 10000');
});

test('roles that stood in an embedded server before roles were marked are marked as the application’s, once', async () => {
  const { state } = trusted;
  const marked = async (): Promise<string[]> =>
    (
      await state.query<{ name: string }>(
        "SELECT setrole::regrole::text AS name FROM pg_db_role_setting WHERE setconfig = '{clarus.attributes=}' ORDER BY 1",
      )
    ).rows.map(({ name }) => name);
  await state.query(
    'CREATE ROLE former; CREATE ROLE login LOGIN; CREATE ROLE owning; ALTER ROLE login SET role = owning; CREATE ROLE powerful CREATEROLE',
  );
  await state.query('DELETE FROM clarus.migrations WHERE number = 3');
  await (await openIn(directory, { server: trusted.server })).close();
  assert.deepEqual(await marked(), ['former']);
  await state.query('CREATE ROLE later');
  await (await openIn(directory, { server: trusted.server })).close();
  assert.deepEqual(await marked(), ['former']);
  await state.query('DROP ROLE former, login, owning, powerful, later');
});

test('a session of a local user makes what an application makes in the shadow, and reaches nothing else', async () => {
  assert.deepEqual(await trusted.ensureShadow('hospital'), []);
  assert.deepEqual(await trusted.ensureShadow('hospital'), []);
  await trusted.ensureUser('hospital', 'app');
  await trusted.ensureUser('hospital', 'app');
  const client = await session('hospital', 'app');
  await client.query('CREATE TABLE patient (id int PRIMARY KEY)');
  await client.query('CREATE SCHEMA ward');
  await client.query('SET debug_print_parse = on');
  await assert.rejects(client.query("COPY patient TO PROGRAM 'true'"), codeOf('42501'));
  await assert.rejects(client.query("SET log_min_messages = 'log'"), codeOf('42501'));
  await assert.rejects(client.query('CREATE ROLE other'), codeOf('42501'));
  await assert.rejects(client.query('CREATE DATABASE other'), codeOf('42501'));
  await client.end();
  for (const database of ['clarus', 'postgres', 'template1'])
    await assert.rejects(session(database, 'app'), codeOf('42501'), database);
});

test('users who share a cloud user share what they make', async () => {
  await trusted.ensureShadow('shared');
  await trusted.ensureUser('shared', 'ann', 'clinic');
  await trusted.ensureUser('shared', 'bob', 'clinic');
  const ann = await session('shared', 'ann');
  await ann.query('CREATE TABLE visit (id int)');
  const bob = await session('shared', 'bob');
  await bob.query('ALTER TABLE visit ADD COLUMN note text');
  assert.deepEqual((await bob.query('SELECT current_user AS now, session_user AS login')).rows, [
    { now: 'clinic', login: 'bob' },
  ]);
  await ann.end();
  await bob.end();
  await assert.rejects(session('hospital', 'ann'), codeOf('42501'));
});

test('a role never takes over one with rights', async () => {
  await trusted.ensureShadow('hospital');
  await assert.rejects(trusted.ensureUser('hospital', trusted.server.user), codeOf('42939'));
  await assert.rejects(trusted.ensureUser('hospital', 'pg_monitor'), codeOf('42939'));
  await trusted.state.query('CREATE ROLE mighty CREATEDB');
  await assert.rejects(trusted.ensureUser('hospital', 'mighty'), codeOf('42501'));
});

test('a shadow takes the locale of its cloud, and says when it cannot', async () => {
  const libc = { encoding: 'UTF8', provider: 'libc', collate: 'C', ctype: 'C.UTF-8' } as const;
  assert.deepEqual(await trusted.ensureShadow('plain', libc), []);
  const warnings = await trusted.ensureShadow('strange', {
    ...libc,
    collate: 'xx_YY.utf8',
    ctype: 'xx_YY.utf8',
  });
  assert.match(warnings[0] ?? '', /xx_YY\.utf8/);
  const { rows } = await trusted.state.query(
    "SELECT datname, datctype FROM pg_database WHERE datname IN ('plain', 'strange') ORDER BY 1",
  );
  assert.deepEqual(
    rows.map(row => row.datname),
    ['plain', 'strange'],
  );
});

test('a cloud database called postgres has a shadow; one called as the state database is refused', async () => {
  await trusted.ensureShadow('postgres');
  await trusted.ensureUser('postgres', 'app');
  const client = await session('postgres', 'app');
  await client.query('CREATE TABLE t (a int)');
  await client.end();
  await assert.rejects(trusted.ensureShadow('clarus'), codeOf('42P04'));
});

test('a second start finds everything again, and a wrong key then too', async () => {
  await trusted.close();
  await assert.rejects(openIn(directory, { rootKey: new Uint8Array(32).fill(9) }), codeOf('28000'));
  trusted = await openIn(directory);
  const client = await session('hospital', 'app');
  assert.equal((await client.query('SELECT FROM patient')).rowCount, 0);
  await client.end();
});
