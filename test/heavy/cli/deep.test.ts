/** Statements that are nested deeply, in the workers of `clarus run`: as deep as PostgreSQL takes them, and no deeper. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { secrets, Workplace } from '../../support/command-line.js';
import { freePort, startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let place: Workplace;
let port: number;

before(async () => {
  server = await startServer();
  port = await freePort();
  place = new Workplace();
  chmodSync(place.directory, 0o755);
  place.write('root.key', `${'ab'.repeat(32)}\n`);
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
users:
  app: { password: "env:APP_PASSWORD" }
unlisted: encrypt
tables:
  public.reading: { columns: { id: { protect: none } } }`,
  );
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${secrets.CLOUD_PASSWORD}'`);
  await admin.query('CREATE DATABASE hospital OWNER app');
  await admin.query('CREATE DATABASE plain OWNER app');
  await admin.end();
});

after(async () => {
  place?.remove();
  await server?.stop();
});

async function connected<T>(
  target: { port: number; password: string; database: string },
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ host: '127.0.0.1', user: 'app', ...target });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const sum = (terms: number): string => Array(terms).fill('n').join(' + ');
const nested = (depth: number): string => `${'abs('.repeat(depth)}n${')'.repeat(depth)}`;

const statements: readonly string[] = [
  'CREATE TABLE reading (id int PRIMARY KEY, n int)',
  'INSERT INTO reading VALUES (1, 7)',
  `SELECT ${sum(3_000)} AS n FROM reading`,
  `SELECT ${nested(1_200)} AS n FROM reading`,
  `UPDATE reading SET n = (${sum(3_000)}) / 3000`,
  `CREATE VIEW deep AS SELECT ${nested(1_200)} AS n FROM reading`,
  'SELECT n FROM deep',
  `ALTER TABLE reading ADD CHECK (${nested(1_200)} < 5000)`,
  `SELECT ${sum(20_000)} FROM reading`,
  'SELECT id, n FROM reading',
];

/** What a client is told. */
const answers = async (client: pg.Client): Promise<unknown[]> => {
  const told: unknown[] = [];
  for (const sql of statements)
    told.push(
      await client.query(sql).then(
        ({ command, rows }) => [command, rows],
        (error: pg.DatabaseError) => [error.code, error.message],
      ),
    );
  return told;
};

test('statements are answered as deep as PostgreSQL takes them; what is deeper is 54001, and no worker dies', async () => {
  const running = place.start(['run']);
  await running.until('ready ');
  try {
    const plain = await connected(
      { port: server.port, password: secrets.CLOUD_PASSWORD, database: 'plain' },
      answers,
    );
    assert.deepEqual(plain[2], ['SELECT', [{ n: 21_000 }]]);
    assert.deepEqual(plain[8], ['54001', 'stack depth limit exceeded']);
    const clarus = { port, password: secrets.APP_PASSWORD, database: 'hospital' };
    assert.deepEqual(await connected(clarus, answers), plain);
    // both workers, again and again
    const deep = `SELECT ${sum(60_000)} FROM reading`;
    for (let i = 0; i < 10; i++)
      for (const code of await Promise.all(
        [1, 2].map(() =>
          connected(clarus, client =>
            client.query(deep).then(
              () => 'answered',
              (error: pg.DatabaseError) => error.code,
            ),
          ),
        ),
      ))
        assert.equal(code, '54001');
    assert.deepEqual(
      await connected(clarus, async client => (await client.query('SELECT n FROM reading')).rows),
      [{ n: 7 }],
    );
  } finally {
    running.child.kill('SIGTERM');
  }
  const { output, errors } = await running.ended;
  assert.doesNotMatch(output + errors, /a worker died/);
});
