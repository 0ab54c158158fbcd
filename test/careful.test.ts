/**
 * A session whose statements are planned behaves like a plain PostgreSQL: the same messages in the same order.
 * The planner is a stand-in; the servers are real.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redo } from '../src/catalog/catalog.js';
import type { FrontendMessage } from '../src/wire/messages.js';
import { emptyCatalog, startGateway, type TestGateway } from './support/gateway.js';
import { RawClient, say, told } from './support/raw-client.js';
import { startServer, type TestServer } from './support/server.js';
import { standInPlanner } from './support/stand-in-planner.js';

let server: TestServer;
let gateway: TestGateway;
const journal: string[] = [];
let redo: Redo | undefined;

before(async () => {
  server = await startServer();
  const admin = await RawClient.connect(server);
  await admin.query('CREATE DATABASE plain');
  const schema = `
    CREATE TABLE item (id int PRIMARY KEY, label text);
    CREATE TABLE secret (id int PRIMARY KEY, value text);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO secret SELECT i, 'value ' || i FROM generate_series(1, 5000) i`;
  await admin.query(schema);
  await admin.close();
  const plain = await RawClient.connect({ ...server, database: 'plain' });
  await plain.query(schema);
  await plain.close();
  gateway = await startGateway(server, {
    catalog: () => ({ ...emptyCatalog, passThrough: false }),
    planner: standInPlanner({ protect: /\bsecret\b|create table made/i, fail: /spoiled/ }),
    commits: {
      prepare(entry, cloudXid, shadowXid) {
        redo = entry;
        journal.push(`prepare ${/^\d+$/.test(cloudXid)} ${/^\d+$/.test(shadowXid ?? '')}`);
        return Promise.resolve(7);
      },
      finish: async entry => {
        journal.push(`finish ${entry}`);
      },
      abandon: async entry => {
        journal.push(`abandon ${entry}`);
      },
      leave: entry => {
        journal.push(`leave ${entry}`);
      },
    },
  });
});
after(async () => {
  await gateway?.stop();
  await server?.stop();
});

/** Plays a script on a plain server and through the gateway and expects the same answers. */
async function same(
  ...batches: { send: FrontendMessage[]; until?: 'ReadyForQuery' | 'CopyInResponse'; times?: number }[]
) {
  const answers: string[][] = [];
  for (const target of [{ ...server, database: 'plain' }, gateway.client]) {
    const client = await RawClient.connect(target);
    const lines: string[] = [];
    await client.query('TRUNCATE item, child, parent');
    for (const { send, until = 'ReadyForQuery', times = 1 } of batches) {
      client.send(...send);
      lines.push(...told(await client.until(until, times)));
    }
    await client.close();
    answers.push(lines);
  }
  assert.deepEqual(answers[1], answers[0]);
  return answers[1]!;
}

describe('a planned session answers as PostgreSQL does', () => {
  test('one statement by each protocol', async () => {
    await same(
      { send: [say.query('SELECT 1 AS one, NULL AS nothing')] },
      { send: [...say.run('SELECT $1::int + 1', '41'), say.sync] },
      { send: [say.query('SELECT id, value FROM secret WHERE id < 4')] },
      { send: [...say.run('SELECT value FROM secret WHERE id = $1', '3'), say.sync] },
      { send: [say.query('')] },
      { send: [say.query(' ; ; ')] },
      { send: [...say.run(''), say.sync] },
      { send: [say.sync], times: 1 },
    );
  });

  test('Describe, Close, names that are taken or missing', async () => {
    await same(
      {
        send: [
          say.parse('SELECT id, label FROM item WHERE id = $1', 's'),
          say.describe('statement', 's'),
          say.sync,
        ],
      },
      { send: [say.parse('SELECT 1', 's'), say.sync] },
      { send: [say.bind('s', 'p', ['1']), say.describe('portal', 'p'), say.bind('s', 'p', ['1']), say.sync] },
      { send: [say.describe('portal', 'p'), say.sync] },
      { send: [say.close('statement', 's'), say.close('statement', 'nosuch'), say.sync] },
      { send: [say.bind('s'), say.sync] },
      { send: [say.describe('statement', 'nosuch'), say.sync] },
      { send: [say.execute('nosuch'), say.sync] },
      { send: [say.parse('BEGIN', 'b'), say.describe('statement', 'b'), say.sync] },
      { send: [say.parse('SELECT 1; SELECT 2'), say.sync] },
      { send: [say.parse('SELEC'), say.sync] },
      { send: [say.parse('SELECT value FROM secret', 'q'), say.describe('statement', 'q'), say.sync] },
    );
  });

  test('portals with a row limit, on both kinds of plan', async () => {
    for (const sql of ['SELECT generate_series(1, 5)', 'SELECT id FROM secret WHERE id <= 5 ORDER BY id']) {
      await same(
        {
          send: [say.parse(sql, 's'), say.bind('s', 'p'), say.execute('p', 2), say.execute('p', 2), say.sync],
        },
        { send: [say.execute('p', 2), say.sync] },
        { send: [say.query('BEGIN')] },
        { send: [say.bind('s', 'p'), say.execute('p', 2), say.sync] },
        { send: [...say.run('SELECT 99'), say.execute('p', 2), say.sync] },
        { send: [say.execute('p', 2), say.close('portal', 'p'), say.sync] },
        { send: [say.bind('s'), say.execute('', 3), say.execute('', 3), say.sync] },
        { send: [say.query('COMMIT')] },
      );
    }
  });

  test('an error skips to Sync and takes the batch back', async () => {
    await same(
      {
        send: [
          ...say.run("INSERT INTO item VALUES (1, 'a')"),
          ...say.run('SELECT 1/0'),
          ...say.run("INSERT INTO item VALUES (2, 'b')"),
          say.sync,
          say.query('SELECT * FROM item'),
        ],
        times: 2,
      },
      {
        send: [
          ...say.run("INSERT INTO item VALUES (1, 'a')"),
          say.parse('SELEC nonsense'),
          say.bind(),
          say.sync,
        ],
      },
      { send: [say.query('SELECT count(*) FROM item')] },
      { send: [say.query("INSERT INTO item VALUES (1, 'a'); SELECT 1/0; INSERT INTO item VALUES (2, 'b')")] },
      { send: [say.query('SELECT count(*) FROM item')] },
      { send: [say.query("INSERT INTO item VALUES (1, 'a'); SELECT nosuch FROM item")] },
      { send: [say.query('SELECT count(*) FROM item')] },
    );
  });

  test('several statements in one message', async () => {
    await same(
      {
        send: [
          say.query(
            "INSERT INTO item VALUES (1, 'a'); SELECT * FROM item; SELECT value FROM secret WHERE id = 1; DELETE FROM item",
          ),
        ],
      },
      { send: [say.query("BEGIN; INSERT INTO item VALUES (1, 'a'); COMMIT; SELECT label FROM item")] },
      { send: [say.query("INSERT INTO item VALUES (2, 'b'); BEGIN; SAVEPOINT s; SELECT 1")] },
      { send: [say.query('ROLLBACK; SELECT count(*) FROM item')] },
      { send: [say.query('BEGIN; SELECT 1/0; COMMIT')] },
      { send: [say.query('SELECT 1')] },
      { send: [say.query('ROLLBACK')] },
    );
  });

  test('transactions, savepoints and failure', async () => {
    await same(
      { send: [say.query('BEGIN')] },
      { send: [say.query("INSERT INTO item VALUES (1, 'a')")] },
      { send: [say.query('SAVEPOINT s')] },
      { send: [say.query("INSERT INTO item VALUES (1, 'again')")] },
      { send: [say.query('SELECT 1')] },
      { send: [...say.run('SELECT 1'), say.sync] },
      { send: [say.query('SELECT value FROM secret WHERE id = 1')] },
      { send: [say.query('ROLLBACK TO s')] },
      { send: [say.query('SELECT label FROM item')] },
      { send: [say.query('SELECT nosuch FROM item')] },
      { send: [say.query('COMMIT')] },
      { send: [say.query('COMMIT')] },
      { send: [say.query('SELECT count(*) FROM item')] },
      {
        send: [
          say.query('BEGIN'),
          say.query('SELECT 1'),
          say.query('SELECT value FROM secret WHERE id = 2'),
          say.query('COMMIT'),
        ],
        times: 4,
      },
      { send: [say.query('BEGIN; INSERT INTO child VALUES (1)')] },
      { send: [say.query('COMMIT')] },
      { send: [...say.run('INSERT INTO child VALUES (1)'), say.sync] },
      { send: [say.query('SELECT count(*) FROM child')] },
    );
  });

  test('PREPARE, EXECUTE and DEALLOCATE share the names of the protocol', async () => {
    await same(
      { send: [say.query('PREPARE p (int, text) AS INSERT INTO item VALUES ($1, $2) RETURNING label')] },
      { send: [say.query("EXECUTE p (3 + 4, upper('x'))")] },
      { send: [say.bind('p', '', ['8', 'y']), say.describe('portal'), say.execute(), say.sync] },
      { send: [say.query('PREPARE p AS SELECT 1')] },
      { send: [say.query('EXECUTE p (1)')] },
      { send: [say.query('DEALLOCATE p')] },
      { send: [say.query('EXECUTE p (1)')] },
      { send: [say.parse('SELECT value FROM secret WHERE id = $1', 'q'), say.sync] },
      { send: [say.query('EXECUTE q (2)')] },
      { send: [say.query('DEALLOCATE ALL')] },
      { send: [say.bind('q', '', ['8']), say.sync] },
    );
  });

  test('cursors of SQL', async () => {
    await same(
      { send: [say.query('BEGIN')] },
      { send: [say.query('DECLARE c CURSOR FOR SELECT generate_series(1, 4)')] },
      { send: [say.query('FETCH 2 FROM c')] },
      { send: [say.execute('c', 1), say.sync] },
      { send: [...say.run('FETCH ALL FROM c'), say.sync] },
      { send: [say.query('CLOSE c; COMMIT')] },
    );
  });

  for (const [name, table] of [
    ['that passes', 'item'],
    ['that is protected', 'secret'],
  ] as const) {
    test(`COPY of a table ${name}`, async () => {
      const start = { send: [say.query(`COPY ${table} FROM STDIN`)], until: 'CopyInResponse' as const };
      const extended = {
        send: [...say.run(`COPY ${table} FROM STDIN`), say.sync],
        until: 'CopyInResponse' as const,
      };
      const rows = (first: number) => say.copyData(`${first}\tone\n${first + 1}\ttwo\n`);
      const answers = async (...batches: Parameters<typeof same>) => {
        const lines = await same(...batches);
        return lines;
      };
      await answers(
        { send: [say.query('BEGIN')] },
        ...(table === 'secret' ? [] : [{ ...start }, { send: [rows(9001), say.copyDone] }]),
        { send: [say.query('SAVEPOINT s')] },
        { ...start, send: [...start.send] },
        { send: [rows(9101), say.flush, say.sync, say.copyDone] },
        { ...extended },
        { send: [rows(9201), say.copyDone, say.sync] },
        { ...extended },
        { send: [rows(9301), { kind: 'CopyFail', message: 'enough' }, say.copyDone, say.sync] },
        { send: [say.query('ROLLBACK TO s')] },
        { send: [say.query(`COPY (SELECT id, 'x' FROM ${table} WHERE id = 1) TO STDOUT`)] },
        { send: [say.query('ROLLBACK')] },
      );
    });
  }

  test('a COPY that the server refuses ends, and late data are ignored', async () => {
    await same(
      { send: [say.query('COPY item FROM STDIN')], until: 'CopyInResponse' },
      { send: [say.copyData('not a number\tx\n'), say.copyDone] },
      { send: [say.copyData('late'), say.copyDone, say.query('SELECT 1')] },
      { send: [...say.run('COPY item FROM STDIN'), say.sync], until: 'CopyInResponse' },
      { send: [say.copyData('not a number\tx\n'), say.copyDone, say.sync] },
      { send: [say.query('SELECT count(*) FROM item')] },
    );
  });

  test('settings reach both sides and roll back on both', async () => {
    const lines = await same(
      { send: [say.query('SET DateStyle = German')] },
      { send: [say.query("SELECT date '2020-02-03'")] },
      { send: [say.query('BEGIN; SET LOCAL DateStyle = SQL')] },
      { send: [say.query("SELECT date '2020-02-03'")] },
      { send: [say.query('ROLLBACK')] },
      { send: [say.query("SELECT date '2020-02-03'")] },
      { send: [say.query('SET search_path = pg_catalog')] },
      { send: [say.query('SELECT * FROM item')] },
    );
    assert.ok(lines.includes('DataRow 03.02.2020'));
    await same(
      { send: [say.query('BEGIN')] },
      { send: [say.query('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE')] },
      { send: [say.query('SET LOCAL DateStyle = German')] },
      { send: [say.query('SAVEPOINT s')] },
      { send: [say.query('SET DateStyle = SQL')] },
      { send: [say.query('SET nosuch = 1')] },
      { send: [say.query('ROLLBACK TO s')] },
      { send: [say.query("SELECT date '2020-02-03', pg_catalog.current_setting('transaction_isolation')")] },
      { send: [say.query('COMMIT AND CHAIN')] },
      { send: [say.query("SELECT date '2020-02-03'")] },
      { send: [say.query('ROLLBACK')] },
      { send: [say.query("SELECT pg_catalog.current_setting('transaction_isolation')")] },
    );
  });
});

describe('work of ours keeps its place', () => {
  test('answers come in the order of the messages, however slow a row is opened', async () => {
    const slow = await startGateway(server, {
      catalog: () => ({ ...emptyCatalog, passThrough: false }),
      planner: standInPlanner({ protect: /\bsecret\b/, delay_ms: 30 }),
    });
    const client = await RawClient.connect(slow.client);
    client.send(
      ...say.run('SELECT value FROM secret WHERE id = 1'),
      ...say.run('SELECT 2'),
      ...say.run('SELECT value FROM secret WHERE id = 3'),
      ...say.run('SELECT value FROM secret WHERE id = 4'),
      say.sync,
      say.query('SELECT 5'),
    );
    const rows = told(await client.until('ReadyForQuery', 2)).filter(line => line.startsWith('DataRow'));
    assert.deepEqual(rows, [
      'DataRow value 1',
      'DataRow 2',
      'DataRow value 3',
      'DataRow value 4',
      'DataRow 5',
    ]);
    await client.close();
    await slow.stop();
  });

  test('a value that does not open fails its transaction', async () => {
    const client = await RawClient.connect(gateway.client);
    await client.query('TRUNCATE item');
    await client.query('BEGIN');
    await client.query("INSERT INTO item VALUES (1, 'lost')");
    const answer = told(await client.query('SELECT value AS spoiled FROM secret WHERE id = 1'));
    assert.match(answer.at(-2)!, /^ErrorResponse ERROR XX000/);
    assert.equal(answer.at(-1), 'ReadyForQuery E');
    assert.match(told(await client.query('SELECT 1'))[0]!, /25P02/);
    assert.deepEqual(told(await client.query('COMMIT')), ['CommandComplete ROLLBACK', 'ReadyForQuery I']);
    // in an implicit transaction it takes back what was written before it
    client.send(
      ...say.run("INSERT INTO item VALUES (2, 'lost')"),
      ...say.run('SELECT value AS spoiled FROM secret WHERE id = 1'),
      ...say.run("INSERT INTO item VALUES (3, 'never')"),
      say.sync,
    );
    const lines = told(await client.until());
    assert.equal(lines.filter(line => line.startsWith('ErrorResponse')).length, 1);
    assert.equal(lines.at(-1), 'ReadyForQuery I');
    assert.equal(told(await client.query('SELECT count(*) FROM item'))[1], 'DataRow 0');
    await client.close();
  });
});

describe('a commit that carries changes of the trusted side', () => {
  const run = async (...sql: string[]): Promise<string[]> => {
    journal.length = 0;
    redo = undefined;
    const client = await RawClient.connect(gateway.client);
    const lines: string[] = [];
    for (const text of sql) lines.push(...told(await client.query(text)));
    await client.query('ROLLBACK');
    await client.query('DROP TABLE IF EXISTS made');
    await client.close();
    return lines;
  };

  test('is journalled before the cloud commits, in a transaction block', async () => {
    const lines = await run('BEGIN', 'CREATE TABLE made (a int)', 'COMMIT');
    assert.deepEqual(lines.at(-2), 'CommandComplete COMMIT');
    assert.deepEqual(journal, ['prepare true true', 'finish 7']);
    assert.equal(redo?.ddl[0]?.sql, 'CREATE TABLE made (a int)');
  });

  test('and by itself, hidden from the client', async () => {
    const lines = await run('CREATE TABLE made (a int)');
    assert.deepEqual(lines, ['CommandComplete CREATE TABLE', 'ReadyForQuery I']);
    assert.deepEqual(journal, ['prepare true true', 'finish 7']);
  });

  test('is forgotten by a rollback, to a savepoint too', async () => {
    await run('BEGIN', 'CREATE TABLE made (a int)', 'ROLLBACK');
    assert.deepEqual(journal, []);
    await run('BEGIN', 'SAVEPOINT s', 'CREATE TABLE made (a int)', 'ROLLBACK TO s', 'COMMIT');
    assert.deepEqual(journal, []);
    await run('CREATE TABLE made (a int); SELECT 1/0');
    assert.deepEqual(journal, []);
  });

  test('is abandoned when the cloud refuses to commit', async () => {
    const lines = await run(
      'BEGIN',
      'CREATE TABLE made (a int)',
      'INSERT INTO child VALUES (77)',
      'COMMIT',
      'SELECT 1',
    );
    assert.ok(lines.some(line => line.startsWith('ErrorResponse ERROR 23503')));
    assert.deepEqual(journal, ['prepare true true', 'abandon 7']);
    assert.equal(lines.at(-1), 'ReadyForQuery I');
  });

  test('goes on with the block that BEGIN opens behind it', async () => {
    const lines = await run('CREATE TABLE made (a int); BEGIN; SELECT 1', 'COMMIT');
    assert.ok(lines.includes('ReadyForQuery T'));
    assert.deepEqual(journal, ['prepare true true', 'finish 7']);
  });
});

test('a cancel request ends what is running and never the next statement', async () => {
  const client = await RawClient.connect(gateway.client);
  client.send(say.query('SELECT pg_sleep(20)'));
  await sleep(200);
  await client.backend.cancel();
  assert.match(told(await client.until())[1] ?? '', /57014/);
  for (let i = 0; i < 20; i++) {
    client.send(say.query('SELECT 1'));
    const cancelled = client.backend.cancel();
    const first = told(await client.until());
    const second = told(await client.query('SELECT 2'));
    assert.ok(second.includes('DataRow 2'), `${first.join()} then ${second.join()}`);
    await cancelled;
  }
  await client.close();
});

test('a client that reads nothing does not fill memory', async () => {
  const client = await RawClient.connect(gateway.client);
  client.backend.pause();
  client.send(say.query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"));
  await sleep(1_000);
  const before = process.memoryUsage();
  assert.ok(before.external + before.heapUsed < 400 * 1024 * 1024);
  client.backend.resume();
  client.backend.destroy();
});
