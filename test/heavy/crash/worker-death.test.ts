/** A worker that dies in the middle of a commit leaves nothing that holds the others up. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ProcessIds } from '../../../src/postgres/process-ids.js';
import { type Running, secrets, Workplace } from '../../support/command-line.js';
import { freePort, startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let place: Workplace;
let port: number;
let running: Running;

before(async () => {
  server = await startServer();
  port = await freePort();
  place = new Workplace();
  // The embedded server runs as a user of its own.
  chmodSync(place.directory, 0o711);
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${secrets.CLOUD_PASSWORD}'`);
  await admin.query('CREATE DATABASE hospital OWNER app');
  await admin.end();
  place.write('root.key', `${'5'.repeat(64)}\n`);
  place.write(
    'clarus.yaml',
    `clarus: 1
trusted:
  database: embedded
  directory: ./data
  key: { file: ./root.key }
clouds:
  main: { postgres: "postgres://app@127.0.0.1:${server.port}/hospital", password: "env:CLOUD_PASSWORD" }
listen: { postgres: "127.0.0.1:${port}" }
tls: off
workers: 2
limits: { connections_max: 8 }
users:
  app: { password: "env:APP_PASSWORD" }
unlisted: pass
tables:
  public.patient:
    columns: { id: { protect: none }, name: { queries: [equality] } }
  public.made_while_dying:
    columns: { id: { protect: none }, name: { queries: [equality] } }
  public.apart:
    columns: { id: { protect: none }, name: {} }
  public.not_made:
    columns: { id: { protect: none }, name: { queries: [equality] } }
`,
  );
  running = place.start(['run']);
  await running.until('ready ');
});

after(async () => {
  running?.child.kill('SIGTERM');
  await running?.ended;
  await server?.stop();
  place?.remove();
});

async function connect(target: { readonly port: number; readonly password: string }): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', user: 'app', database: 'hospital', ...target });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
const throughClarus = () => connect({ port, password: secrets.APP_PASSWORD });
const inCloud = () => connect({ port: server.port, password: secrets.CLOUD_PASSWORD });

/** The worker processes of `clarus run`. */
const workers = (): number[] =>
  readFileSync(`/proc/${running.child.pid}/task/${running.child.pid}/children`, 'utf8')
    .split(' ')
    .filter(pid => pid !== '')
    .map(Number)
    .filter(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('main.ts'));

/**
 * Begins a commit with DDL that the cloud takes its time for, and kills the workers while it does.
 * @param outcome what the cloud makes of it
 */
async function dieInCommit(table: string, outcome: 'commits' | 'rolls back'): Promise<void> {
  const cloud = await inCloud();
  const client = await throughClarus();
  await client.query('BEGIN');
  await client.query(
    `CREATE TABLE ${table} (id int PRIMARY KEY, name text, EXCLUDE USING btree (upper(name) WITH =))`,
  );
  await client.query('INSERT INTO slow VALUES (1)');
  const { rows } = await cloud.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND state = 'idle in transaction'",
  );
  assert.equal(rows.length, 1);
  const cut = client.query('COMMIT').then(
    () => false,
    () => true,
  );
  for (let i = 0; ; i++) {
    const waiting = await cloud.query(
      "SELECT FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND wait_event = 'PgSleep'",
      [rows[0]!.pid],
    );
    if (waiting.rowCount === 1) break;
    assert.ok(i < 500, 'the cloud is in the middle of COMMIT');
    await sleep(10);
  }
  for (const pid of workers()) process.kill(pid, 'SIGKILL');
  if (outcome === 'rolls back') await cloud.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
  assert.ok(await cut, 'the client is not told that it committed');
  await client.end().catch(() => undefined);
  await cloud.end();
}

/** A session through the workers that took their place. */
async function connectAgain(): Promise<pg.Client> {
  for (let i = 0; ; i++) {
    try {
      return await throughClarus();
    } catch (error) {
      assert.ok(i < 100, (error as Error).message);
      await sleep(100);
    }
  }
}

test('workers that die while they write leave no rows that an EXCLUDE constraint keeps apart, and a restart keeps it', async () => {
  const client = await throughClarus();
  await client.query(
    'CREATE TABLE apart (id int PRIMARY KEY, name text, EXCLUDE USING btree (lower(name) WITH =))',
  );
  await client.end();
  let dead = false;
  let written = 0;
  const writing = Array.from({ length: 4 }, async (_, writer) => {
    const own = await throughClarus();
    for (let i = 0; !dead; i++)
      await own
        .query(`INSERT INTO apart VALUES (${10_000 * writer + i}, '${i % 2 ? 'n' : 'N'}${i % 90}')`)
        .then(() => void written++)
        .catch((error: pg.DatabaseError) => {
          if (error.code !== '23P01') dead = true;
        });
    await own.end().catch(() => undefined);
  });
  while (written < 20) await sleep(10);
  for (const pid of workers()) process.kill(pid, 'SIGKILL');
  await Promise.all(writing);
  running.child.kill('SIGTERM');
  await running.ended;
  running = place.start(['run']);
  await running.until('ready ');
  const again = await throughClarus();
  const { rows } = await again.query(
    'SELECT count(*)::int AS rows, count(DISTINCT lower(name))::int AS names FROM apart',
  );
  assert.equal(rows[0].rows, rows[0].names);
  assert.ok(rows[0].rows >= 20);
  await again.query("INSERT INTO apart VALUES (-1, 'restarted')");
  await assert.rejects(again.query("INSERT INTO apart VALUES (-2, 'Restarted')"), { code: '23P01' });
  await again.end();
});

test('a worker that dies in the middle of a commit does not hold up DDL, and what the cloud committed is there', async () => {
  const first = await throughClarus();
  await first.query('CREATE TABLE patient (id int PRIMARY KEY, name text)');
  await first.query('CREATE TABLE slow (id int)');
  await first.end();
  const cloud = await inCloud();
  await cloud.query(
    `CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$`,
  );
  await cloud.query(
    'CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sleep()',
  );
  await cloud.end();
  for (const [table, outcome] of [
    ['made_while_dying', 'commits'],
    ['not_made', 'rolls back'],
  ] as const) {
    await dieInCommit(table, outcome);
    const client = await connectAgain();
    const began_ms = performance.now();
    await client.query(`CREATE TABLE after_${table} (id int)`);
    assert.ok(performance.now() - began_ms < 8_000, 'nobody waits for a worker that is known to be dead');
    await client.query(`INSERT INTO patient VALUES (${table.length}, 'x')`);
    if (outcome === 'commits') {
      await client.query(`INSERT INTO ${table} VALUES (1, 'a')`);
      const { rows } = await client.query(`SELECT id FROM ${table} WHERE name = 'a'`);
      assert.deepEqual(rows, [{ id: 1 }]);
      await assert.rejects(client.query(`INSERT INTO ${table} VALUES (2, 'A')`), { code: '23P01' });
    } else {
      await assert.rejects(client.query(`SELECT FROM ${table}`), { code: '42P01' });
      await client.query(`CREATE TABLE ${table} (id int PRIMARY KEY, name text)`);
    }
    await client.end();
  }
});

/** Opens sessions at a time; a refused one is its SQLSTATE. */
const openMany = (count: number): Promise<(pg.Client | string)[]> =>
  Promise.all(
    Array.from({ length: count }, () =>
      throughClarus().catch((error: NodeJS.ErrnoException) => error.code ?? error.message),
    ),
  );

test('connections are shared out evenly, and their limit holds over all workers', async () => {
  const ids = new ProcessIds(0);
  const clients = (await openMany(8)) as pg.Client[];
  const served = clients.map(client =>
    ids.workerOf((client as unknown as { readonly processID: number }).processID),
  );
  assert.deepEqual(
    [0, 1].map(worker => served.filter(w => w === worker).length),
    [4, 4],
  );
  assert.deepEqual(await openMany(1), ['53300']);
  await Promise.all(clients.map(client => client.end()));
});

test('no client waits for a worker that died before it took the connection', async () => {
  for (let round = 0; round < 3; round++) {
    const opening = openMany(6);
    for (const pid of workers()) process.kill(pid, 'SIGKILL');
    const meanwhile = openMany(2);
    for (const client of await Promise.all([opening, meanwhile]))
      for (const one of client) if (one instanceof pg.Client) await one.end();
    const client = await connectAgain();
    assert.equal((await client.query('SELECT 1 AS one')).rows[0].one, 1);
    await client.end();
  }
});
