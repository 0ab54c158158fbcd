/** A database without protected tables: clients work through the gateway as they do without it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import pg from 'pg';
import postgres from 'postgres';
import type { Catalog } from '../src/catalog/catalog.js';
import { emptyCatalog, startGateway, type TestGateway } from './support/gateway.js';
import { RawClient, say, told } from './support/raw-client.js';
import { startServer, type TestServer } from './support/server.js';
import { standInPlanner } from './support/stand-in-planner.js';

let server: TestServer;
let gateway: TestGateway;

before(async () => {
  server = await startServer();
  gateway = await startGateway(server, { tls: 'self-made' });
});
after(async () => {
  await gateway?.stop();
  await server?.stop();
});

describe('real clients', () => {
  test('pg: queries, parameters, errors, transactions, inside TLS', async () => {
    const client = new pg.Client({ ...gateway.client, ssl: { rejectUnauthorized: false } });
    await client.connect();
    await client.query('CREATE TABLE IF NOT EXISTS by_pg (id int, label text)');
    await client.query('BEGIN');
    await client.query('INSERT INTO by_pg VALUES ($1, $2)', [1, 'one']);
    await client.query('COMMIT');
    const { rows } = await client.query({
      name: 'q',
      text: 'SELECT * FROM by_pg WHERE id = $1',
      values: [1],
    });
    assert.deepEqual(rows, [{ id: 1, label: 'one' }]);
    await assert.rejects(client.query('SELECT nosuch'), { code: '42703' });
    assert.equal(
      ((await client.query('SELECT 1 AS a; SELECT 2 AS a')) as unknown as pg.QueryResult[]).length,
      2,
    );
    await client.end();
  });

  test('postgres.js: pipelines, cursors, COPY', async () => {
    const sql = postgres({ ...gateway.client, max: 3, ssl: false, onnotice: () => undefined });
    await sql`CREATE TABLE IF NOT EXISTS by_postgres (id int, label text)`;
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => sql`SELECT ${i}::int AS i`));
    assert.deepEqual(
      answers.map(rows => rows[0]!.i),
      Array.from({ length: 50 }, (_, i) => i),
    );
    const copy = await sql`COPY by_postgres FROM STDIN`.writable();
    copy.write('1\tone\n2\ttwo\n');
    await new Promise(resolve => copy.end(resolve));
    const seen: number[] = [];
    await sql`SELECT id FROM by_postgres ORDER BY id`.cursor(1, ([row]) => {
      seen.push(row!.id);
    });
    assert.deepEqual(seen, [1, 2]);
    await sql.end();
  });

  const psql = '/usr/bin/psql';
  test('psql and pgbench', {
    skip: existsSync(psql) ? false : "Debian's clients are not installed",
  }, async () => {
    const env = { ...process.env, PGSSLMODE: 'require' };
    const run = async (command: string, ...parameters: string[]): Promise<string> => {
      const { stdout, stderr } = await promisify(execFile)(command, parameters, { env, timeout: 60_000 });
      return stdout + stderr;
    };
    assert.match(await run(psql, '-X', gateway.url, '-c', '\\conninfo'), /SSL connection/);
    assert.match(await run(psql, '-X', gateway.url, '-c', '\\d by_pg'), /label/);
    await run('/usr/bin/pgbench', '-i', '-q', '-s', '1', gateway.url);
    for (const mode of ['simple', 'extended', 'prepared']) {
      const report = await run('/usr/bin/pgbench', '-n', '-M', mode, '-c', '4', '-t', '50', gateway.url);
      assert.match(report, /number of failed transactions: 0/);
    }
  });
});

describe('who may enter', () => {
  const attempt = async (changes: Partial<TestGateway['client']>): Promise<string> => {
    const client = new pg.Client({ ...gateway.client, ...changes });
    client.on('error', () => undefined);
    return client.connect().then(
      async () => {
        await client.end();
        return 'welcome';
      },
      (error: { code?: string; message: string }) => error.code ?? error.message,
    );
  };

  test('needs the right password, a known name, and the database that is served', async () => {
    assert.equal(await attempt({}), 'welcome');
    assert.equal(await attempt({ password: 'wrong' }), '28P01');
    assert.equal(await attempt({ user: 'nobody' }), '28P01');
    assert.equal(await attempt({ database: 'other' }), '3D000');
  });

  test('is turned away when there are too many, or too slow', async () => {
    const small = await startGateway(server, {
      limits: { connections_max: 1, authentication_timeout_ms: 200 },
    });
    const first = await RawClient.connect(small.client);
    await assert.rejects(RawClient.connect(small.client), { code: '53300' });
    const silent = connect(small.port, small.host);
    await new Promise(resolve => silent.once('close', resolve));
    await first.close();
    await small.stop();
  });

  test('hears why in one line when the cloud cannot be reached', async () => {
    const lonely = await startGateway({ ...server, port: 1 });
    await assert.rejects(RawClient.connect(lonely.client), { code: '08001' });
    await lonely.stop();
  });

  test('may begin with the TLS handshake itself', async () => {
    const socket = connectTls({
      host: gateway.host,
      port: gateway.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['postgresql'],
    });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    assert.equal(socket.alpnProtocol, 'postgresql');
    socket.destroy();
  });
});

test('a session that idles too long is ended', async () => {
  const hasty = await startGateway(server, { limits: { idle_timeout_ms: 300 } });
  const client = await RawClient.connect(hasty.client);
  client.send(say.query('SELECT pg_sleep(1.5)'));
  assert.match(told(await client.until()).at(-1)!, /ReadyForQuery I/);
  assert.match(told(await client.until())[0]!, /FATAL 57P05/);
  await hasty.stop();
});

test('a message above the limit ends the session with 54000', async () => {
  const small = await startGateway(server, { limits: { message_bytes_max: 100_000 } });
  const client = await RawClient.connect(small.client);
  client.send(say.query(`SELECT '${'x'.repeat(200_000)}'`));
  assert.match(told(await client.until())[0]!, /FATAL 54000/);
  await small.stop();
});

test('stopping lets transactions end and tells the others', async () => {
  const stopping = await startGateway(server);
  const idle = await RawClient.connect(stopping.client);
  const busy = await RawClient.connect(stopping.client);
  await busy.query('BEGIN');
  const stopped = stopping.gateway.drain(5_000);
  assert.match(told(await idle.until())[0]!, /FATAL 57P01/);
  assert.deepEqual(told(await busy.query('SELECT 1')).at(-1), 'ReadyForQuery T');
  const last = told(await busy.query('COMMIT'));
  assert.ok(last.includes('CommandComplete COMMIT'));
  assert.match(told(await busy.until())[0]!, /FATAL 57P01/);
  await stopped;
});

test('what a client sent before Terminate still happens', async () => {
  const admin = await RawClient.connect(server);
  await admin.query('CREATE TABLE farewell (a int)');
  const client = await RawClient.connect(gateway.client);
  client.send(...say.run('INSERT INTO farewell VALUES (1)'), say.sync, { kind: 'Terminate' });
  await client.until('CopyDone');
  for (let tries = 0; tries < 50; tries++) {
    if (told(await admin.query('SELECT count(*) FROM farewell')).includes('DataRow 1')) break;
    await sleep(20);
  }
  assert.ok(told(await admin.query('SELECT count(*) FROM farewell')).includes('DataRow 1'));
  await admin.close();
});

test('a server that ends the connection is heard once', async () => {
  const client = await RawClient.connect(gateway.client);
  const lines = told(await client.query('SELECT pg_terminate_backend(pg_backend_pid())'));
  assert.equal(lines.filter(line => /FATAL 57P01/.test(line)).length, 1);
  assert.ok(!lines.some(line => /08006/.test(line)));
});

test('a cancel request reaches the running statement', async () => {
  const client = await RawClient.connect(gateway.client);
  client.send(say.query('SELECT pg_sleep(20)'));
  await sleep(200);
  await client.backend.cancel();
  assert.ok(told(await client.until()).some(line => /57014/.test(line)));
  await client.close();
});

test('the first protected table ends pass-through for all sessions, with their prepared statements', async () => {
  let catalog: Catalog = emptyCatalog;
  let changed: () => void = () => undefined;
  const turning = await startGateway(server, {
    catalog: () => catalog,
    onCatalogChanged: listener => {
      changed = listener;
      return () => undefined;
    },
    planner: standInPlanner(),
  });
  const idle = await RawClient.connect(turning.client);
  const open = await RawClient.connect(turning.client);
  idle.send(say.parse('SELECT $1::int + 1 AS sum', 'sum'), say.sync);
  await idle.until();
  await idle.query('PREPARE double (int) AS SELECT $1 * 2 AS double');
  await idle.query("SET DateStyle = 'German'");
  const strings = await RawClient.connect(turning.client);
  await strings.query('SET standard_conforming_strings = off');
  await strings.query("PREPARE slash AS SELECT 'a\\\\b' AS word");
  await strings.query('PREPARE plain AS SELECT 1 AS one');
  await strings.query('RESET standard_conforming_strings');
  await open.query('BEGIN');
  catalog = { ...emptyCatalog, version: 2, passThrough: false };
  changed();
  idle.send(say.bind('sum', '', ['41']), say.execute(), say.sync);
  assert.ok(told(await idle.until()).includes('DataRow 42'));
  assert.ok(told(await idle.query('EXECUTE double (4)')).includes('DataRow 8'));
  assert.ok(told(await idle.query("SELECT date '2020-02-03'")).includes('DataRow 03.02.2020'));
  // how the literal was read is not known any more
  await strings.query('SELECT 1');
  assert.ok(told(await strings.query('EXECUTE plain')).includes('DataRow 1'));
  assert.ok(told(await strings.query('EXECUTE slash')).some(line => /26000/.test(line)));
  await strings.close();
  // what a transaction that began before would send could be meant for a table that is protected now
  open.send(say.query('SELECT 1'));
  assert.match(told(await open.until())[0]!, /FATAL 57P01/);
  await idle.close();
  await turning.stop();
});
