import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { type EmbeddedServer, startEmbedded } from './embedded.js';
import { openTrusted, type Trusted } from './open.js';
import { remove, rootKey, temporaryDirectory } from './test-support.test.js';

let directory: string;
let server: EmbeddedServer;

before(async () => {
  directory = await temporaryDirectory();
  server = await startEmbedded({
    directory,
    name: 'server of the owner',
    superuser: 'postgres',
    password: 'theirs',
    durable: false,
    settings: { log_statement: 'all' },
  });
  await query('postgres', 'CREATE ROLE keeper LOGIN CREATEDB CREATEROLE PASSWORD $$kept$$');
});
after(async () => {
  await server.stop();
  await remove(directory);
});

async function query(database: string, sql: string, target = server.target(database)): Promise<unknown[]> {
  const client = new pg.Client(target);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const open = (password = 'kept', root = rootKey): Promise<Trusted> =>
  openTrusted({
    trusted: {
      database: {
        url: 'postgres://keeper@localhost/postgres',
        host: server.socketDirectory,
        port: server.port,
        user: 'keeper',
        database: 'postgres',
        password: { kind: 'env', name: 'PASSWORD' },
        tls: 'off',
        ca: undefined,
      },
      directory,
      key: { kind: 'env', name: 'KEY' },
    },
    rootKey: root,
    resolveSecret: () => password,
  });

test('an administrator who is no superuser can keep the trusted database on a server of the owner', async () => {
  const trusted = await open();
  assert.ok(trusted.warnings.some(warning => warning.includes('log_statement = all')));
  await trusted.ensureShadow('hospital');
  await trusted.ensureUser('hospital', 'ann', 'clinic');
  await trusted.ensureUser('hospital', 'bob', 'clinic');
  const login = (user: string, sql: string): Promise<unknown[]> => {
    const { tls: _, ca: __, ...target } = trusted.sessionTarget('hospital', user);
    return query('hospital', sql, target);
  };
  await login('ann', 'CREATE TABLE visit (id int)');
  await login('bob', 'ALTER TABLE visit ADD COLUMN note text; CREATE SCHEMA ward');
  await trusted.shadowAdmin('hospital').query('ALTER TABLE public.visit ADD COLUMN more int');
  await assert.rejects(
    query('clarus', 'SELECT 1', {
      ...server.target('clarus'),
      ...{ user: 'ann', password: trusted.sessionTarget('clarus', 'ann').password },
    }),
    { code: '42501' },
  );
  await trusted.close();
  const again = await open();
  await again.ensureUser('hospital', 'ann', 'clinic');
  await again.close();
});

test('a database of the owner is left alone', async () => {
  await query('postgres', 'CREATE DATABASE theirs');
  const trusted = await open();
  await assert.rejects(trusted.ensureShadow('theirs'), { code: '42P04' });
  await assert.rejects(trusted.ensureShadow('postgres'), { code: '42P04' });
  await trusted.close();
  const [row] = await query('postgres', "SELECT has_database_privilege('ann', 'theirs', 'CONNECT') AS may");
  assert.deepEqual(row, { may: true });
});

test('a wrong password, a wrong key and a missing right are told in one line', async () => {
  await assert.rejects(open('wrong'), (error: Error) => {
    assert.match(error.message, /^the trusted database \(keeper@.*\): password authentication failed/);
    return true;
  });
  await assert.rejects(open('kept', new Uint8Array(32)), { code: '28000' });
});
