import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startServer, type TestServer } from '../../test/support/server.js';
import { valueAt } from '../crypto/column.js';
import { PostgresError } from '../wire/diagnostic.js';
import { BackendClient, type ClientEvents, type QueryResult } from './backend-client.js';

let server: TestServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

const connect = (events: ClientEvents = {}): Promise<BackendClient> =>
  BackendClient.connect(
    {
      label: 'the server',
      address: { kind: 'tcp', host: server.host, port: server.port },
      user: server.user,
      database: server.database,
      password: server.password,
      tls: 'off',
    },
    events,
  );

const texts = (result: QueryResult): (string | null)[][] =>
  Array.from({ length: result.rows }, (_, row) =>
    result.columns.map(column => {
      const value = valueAt(column, row);
      return value === null ? null : Buffer.from(value).toString();
    }),
  );

test('parameters go out as text or bytes, and results come back in the format asked for', async () => {
  const client = await connect();
  const binary = await client.query('SELECT $1::int4 + 1, $2::bytea, $3::text', [
    '41',
    Buffer.from([0, 255]),
    null,
  ]);
  assert.deepEqual(valueAt(binary.columns[0]!, 0), Uint8Array.from([0, 0, 0, 42]));
  assert.deepEqual(valueAt(binary.columns[1]!, 0), Uint8Array.from([0, 255]));
  assert.equal(valueAt(binary.columns[2]!, 0), null);
  assert.deepEqual(
    binary.fields.map(field => [field.typeOid, field.format]),
    [
      [23, 1],
      [17, 1],
      [25, 1],
    ],
  );
  assert.equal(binary.tag, 'SELECT 1');
  const text = await client.query('SELECT $1::int4', ['7'], { resultFormat: 0 });
  assert.deepEqual(texts(text), [['7']]);
  assert.deepEqual(texts(await client.query('')), []);
  await client.close();
});

test('several statements of the simple protocol give several results', async () => {
  const client = await connect();
  const results = await client.simple(
    'SELECT 1; CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2); TABLE t',
  );
  assert.deepEqual(
    results.map(result => result.tag),
    ['SELECT 1', 'CREATE TABLE', 'INSERT 0 2', 'SELECT 2'],
  );
  assert.deepEqual(texts(results[3]!), [['1'], ['2']]);
  await client.close();
});

test('requests issued without waiting are answered in order, errors among them', async () => {
  const client = await connect();
  const answers = await Promise.allSettled([
    client.query('SELECT 1', [], { resultFormat: 0 }),
    client.query('SELECT 1 / 0'),
    client.query('SELECT 2', [], { resultFormat: 0 }),
    client.simple('syntax error here'),
    client.query('SELECT 3', [], { resultFormat: 0 }),
  ]);
  assert.deepEqual(
    answers.map(answer =>
      answer.status === 'rejected'
        ? (answer.reason as PostgresError).code
        : texts(answer.value as QueryResult)[0]![0],
    ),
    ['1', '22012', '2', '42601', '3'],
  );
  await client.close();
});

test('with flush a transaction stays open, and after an error everything waits for sync', async () => {
  const client = await connect();
  await client.simple('CREATE TEMP TABLE t (a int PRIMARY KEY)');
  const flush = { end: 'flush' } as const;
  await client.query('INSERT INTO t VALUES (1)', [], flush);
  const [first, duplicate, skipped, alsoSkipped] = await Promise.allSettled([
    client.query('INSERT INTO t VALUES (2)', [], flush),
    client.query('INSERT INTO t VALUES (1)', [], flush),
    client.query('INSERT INTO t VALUES (3)', [], flush),
    client.query('INSERT INTO t VALUES (4)'),
  ]);
  assert.equal(first.status, 'fulfilled');
  for (const answer of [duplicate, skipped, alsoSkipped]) {
    assert.ok(answer.status === 'rejected' && answer.reason instanceof PostgresError);
    assert.equal(answer.reason.code, '23505');
    assert.equal(answer.reason.diagnostic.constraint, 't_pkey');
  }
  // the request with its own Sync ended the implicit transaction, and took all of it back
  assert.equal((await client.query('SELECT * FROM t')).rows, 0);
  await assert.rejects(client.query('SELECT 1 / 0', [], flush), { code: '22012' });
  await assert.rejects(client.query('SELECT 1', [], flush), { code: '22012' });
  assert.equal(await client.sync(), 'I');
  assert.equal((await client.query('SELECT 1')).rows, 1);
  await client.simple('BEGIN');
  assert.equal(client.transactionStatus, 'T');
  await assert.rejects(client.simple('nonsense'));
  assert.equal(client.transactionStatus, 'E');
  await client.close();
});

test('a prepared statement runs again without being described', async () => {
  const client = await connect();
  await client.prepare('add', 'SELECT $1::int4 + $2::int4 AS sum');
  for (let i = 0; i < 3; i++) {
    const result = await client.execute('add', [String(i), '1'], { resultFormat: 0 });
    assert.deepEqual(texts(result), [[String(i + 1)]]);
    assert.equal(result.fields[0]!.name, 'sum');
  }
  await client.deallocate('add');
  await assert.rejects(client.execute('add', ['1', '1']), { code: '26000' });
  await client.close();
});

test('rows come in batches, and a slow handler holds the server up', async () => {
  const client = await connect();
  let rows = 0;
  let atOnce = 0;
  const result = await client.query('SELECT generate_series(1, 10500)', [], {
    async onRows(columns, count) {
      assert.equal(++atOnce, 1);
      await new Promise(resolve => setTimeout(resolve, 1));
      assert.equal(columns[0]!.length, count);
      rows += count;
      atOnce--;
    },
  });
  assert.deepEqual([rows, result.rows, result.columns.length], [10500, 10500, 0]);
  await client.close();
});

test('an error of a handler is thrown once the answer is over, and the connection goes on', async () => {
  const client = await connect();
  for (const end of ['sync', 'flush'] as const) {
    for (const onRows of [
      (): void => {
        throw new Error('enough');
      },
      async (): Promise<void> => {
        throw new Error('enough');
      },
    ]) {
      await assert.rejects(client.query('SELECT generate_series(1, 2500)', [], { end, onRows }), /enough/);
      assert.equal((await client.query('SELECT 1')).rows, 1);
    }
  }
  await client.close();
});

test('copies go in and out, and a failing source leaves nothing behind', async () => {
  const client = await connect();
  await client.simple('CREATE TEMP TABLE t (a int, b text)');
  function* rows(count: number): Generator<Buffer> {
    for (let i = 0; i < count; i++) yield Buffer.from(`${i}\t${'x'.repeat(1000)}\n`);
  }
  assert.equal(await client.copyIn('COPY t FROM STDIN', rows(20_000)), 'COPY 20000');
  let bytes = 0;
  const tag = await client.copyOut('COPY t TO STDOUT', async data => {
    bytes += data.length;
  });
  assert.equal(tag, 'COPY 20000');
  assert.ok(bytes > 20_000_000);
  await client.simple('TRUNCATE t');
  async function* broken(): AsyncGenerator<Buffer> {
    yield Buffer.from('1\tx\n');
    throw new Error('the disk is gone');
  }
  await assert.rejects(client.copyIn('COPY t FROM STDIN', broken()), /the disk is gone/);
  await assert.rejects(client.copyIn('COPY t FROM STDIN', [Buffer.from('nonsense\n')]), { code: '22P02' });
  await assert.rejects(client.copyIn('COPY nowhere FROM STDIN', rows(1)), { code: '42P01' });
  const copying = client.copyIn('COPY t FROM STDIN', [Buffer.from('1\ty\n')]);
  await assert.rejects(client.query('SELECT 1'), /a copy is under way/);
  await copying;
  assert.equal((await client.query('SELECT * FROM t')).rows, 1);
  await client.close();
});

test('notices and notifications arrive beside the answers', async () => {
  const told: string[] = [];
  const client = await connect({
    notice: diagnostic => told.push(`${diagnostic.severity} ${diagnostic.message}`),
    notification: (channel, payload) => told.push(`${channel} ${payload}`),
  });
  await client.simple("DO $$ BEGIN RAISE NOTICE 'hello'; END $$; LISTEN c; NOTIFY c, 'p'");
  await client.simple('SELECT 1');
  assert.deepEqual(told, ['NOTICE hello', 'c p']);
  await client.close();
});

test('a text with a zero character is refused before anything is sent', async () => {
  const client = await connect();
  await assert.rejects(client.query("SELECT 'a\0b'"), RangeError);
  assert.equal((await client.query('SELECT 1')).rows, 1);
  await client.close();
});
