/** What a session is told beside answers is what a plain PostgreSQL tells: notices of DDL, notifications. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;

before(async () => {
  proxy = await startProxy({
    policy: `unlisted: pass
tables:
  public.person:
    columns: { id: { protect: none }, name: { queries: [equality] } }
  public.slip: { columns: { id: { protect: none }, naem: { queries: [equality] } } }
`,
  });
});
after(() => proxy?.stop());

const statements = [
  'CREATE TABLE person (id int, name text)',
  'CREATE TABLE IF NOT EXISTS person (id int, name text)',
  'CREATE TABLE clear (id int)',
  'CREATE TABLE IF NOT EXISTS clear (id int)',
  'CREATE INDEX person_name ON person (name)',
  'CREATE INDEX IF NOT EXISTS person_name ON person (name)',
  'CREATE VIEW ids AS SELECT id FROM clear',
  'CREATE SCHEMA IF NOT EXISTS public',
  'CREATE SEQUENCE counter',
  'CREATE SEQUENCE IF NOT EXISTS counter',
  'ALTER TABLE IF EXISTS nothing ADD COLUMN a int',
  'ALTER TABLE person ADD COLUMN IF NOT EXISTS id int',
  'ALTER TABLE person DROP COLUMN IF EXISTS nothing',
  'DROP TABLE IF EXISTS nothing',
  'DROP VIEW IF EXISTS nothing',
  'DROP TABLE IF EXISTS nothing, nothing_else',
  'SET client_min_messages = warning',
  'DROP TABLE IF EXISTS nothing',
  'RESET client_min_messages',
  'DROP TABLE clear CASCADE',
  'DROP TABLE person CASCADE',
  'DROP TABLE IF EXISTS person',
];

test('notices of DDL reach the client as a plain PostgreSQL words them', async () => {
  const told: unknown[][] = [];
  for (const target of [proxy.plain, proxy]) {
    const client = new pg.Client(target);
    const heard: unknown[] = [];
    client.on('notice', ({ severity, code, message, detail, hint }) =>
      heard.push({ severity, code, message, detail, hint }),
    );
    await client.connect();
    for (const sql of statements) {
      heard.push(sql);
      await client.query(sql);
    }
    await client.end();
    told.push(heard);
  }
  assert.deepEqual(told[1], told[0]);
  assert.ok(told[0]!.length >= statements.length + 11, 'notices were raised');
});

test('a column that only the policy names is told when its table is made, as client_min_messages says', async () => {
  const client = new pg.Client(proxy);
  const heard: unknown[] = [];
  client.on('notice', ({ severity, message, hint }) => heard.push({ severity, message, hint }));
  await client.connect();
  await client.query('CREATE TABLE slip (id int, name text)');
  await client.query('DROP TABLE slip');
  await client.query('SET client_min_messages = error');
  await client.query('CREATE TABLE slip (id int, name text)');
  await client.query('DROP TABLE slip');
  await client.end();
  assert.deepEqual(heard, [
    {
      severity: 'WARNING',
      message: 'the policy names a column that is not there: public.slip has no column "naem"',
      hint: 'In the policy: did you mean "name"?',
    },
  ]);
});

test('a notification of the own session carries the process id that the client was told', async () => {
  const clients = [new pg.Client(proxy), new pg.Client(proxy)] as const;
  const heard: { processId: number; channel: string; payload?: string | undefined }[][] = [[], []];
  for (const [i, client] of clients.entries()) {
    client.on('notification', ({ processId, channel, payload }) =>
      heard[i]!.push({ processId, channel, payload }),
    );
    await client.connect();
    await client.query('LISTEN told');
  }
  const idOf = (client: pg.Client): number => (client as unknown as { processID: number }).processID;
  await clients[0].query('NOTIFY told');
  for (let i = 0; i < 100 && heard[1]!.length === 0; i++)
    await clients[1].query('SELECT 1 FROM pg_sleep(0.01)');
  assert.deepEqual(heard[0], [{ processId: idOf(clients[0]), channel: 'told', payload: '' }]);
  assert.equal(heard[1]!.length, 1);
  assert.notEqual(heard[1]![0]!.processId, idOf(clients[1]), 'that of another session is not ours');
  for (const client of clients) await client.end();
});
