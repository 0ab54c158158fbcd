/** `clarus key rotate`, cut short at any point too, and `clarus audit`. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { secrets, Workplace } from '../../support/command-line.js';
import { freePort, startServer, type TestServer } from '../../support/server.js';

let server: TestServer;
let place: Workplace;
const firstKey = `${'ab'.repeat(32)}\n`;

const configuration = (port: number): string => `clarus: 1
trusted: { database: embedded, directory: ./data, key: { file: ./root.key } }
clouds:
  main: { postgres: "postgres://app@127.0.0.1:${server.port}/hospital", password: "env:CLOUD_PASSWORD" }
listen: { postgres: "127.0.0.1:${port}" }
tls: off
workers: 1
users: { app: { password: "env:APP_PASSWORD" } }
tables:
  public.person: { columns: { id: { protect: none }, name: { queries: [equality] } } }
`;

before(async () => {
  server = await startServer();
  place = new Workplace();
  chmodSync(place.directory, 0o755);
  place.write('root.key', firstKey);
  const port = await freePort();
  place.write('clarus.yaml', configuration(port));
  const admin = new pg.Client({ ...server });
  await admin.connect();
  await admin.query(`CREATE ROLE app LOGIN PASSWORD '${secrets.CLOUD_PASSWORD}'`);
  await admin.query('CREATE DATABASE hospital OWNER app');
  await admin.end();
  await place.serving(async () => {
    for (const statement of [
      'CREATE TABLE person (id int, name text)',
      "INSERT INTO person VALUES (1, 'tyrion')",
    ]) {
      const { code, errors } = await place.run(['sql', '-c', statement]);
      assert.equal(code, 0, errors);
    }
  });
});

after(async () => {
  place?.remove();
  await server?.stop();
});

const opens = (): Promise<void> =>
  place.serving(async () => {
    const { output, errors } = await place.run([
      'sql',
      '-c',
      "SELECT id, name FROM person WHERE name = 'tyrion'",
    ]);
    assert.match(output, /1 +\| tyrion/, errors);
  });
const key = (): string => readFileSync(place.path('root.key'), 'utf8');

test('the root key is rotated, and the data open by the new one', async () => {
  const { code, output, errors } = await place.run(['key', 'rotate', '--json']);
  assert.equal(code, 0, errors);
  const { before, after, kept } = JSON.parse(output) as { before: string; after: string; kept: string };
  assert.notEqual(before, after);
  assert.equal(readFileSync(kept, 'utf8'), firstKey);
  assert.notEqual(key(), firstKey);
  assert.equal(statSync(place.path('root.key')).mode & 0o777, 0o600);
  await opens();
});

test('a rotation that was cut short is ended by the next call, whatever it had done', async () => {
  // before the trusted database changed: the new key is on disk
  const next = `${'cd'.repeat(32)}\n`;
  place.write('root.key.new', next);
  assert.equal((await place.run(['key', 'rotate'])).code, 0);
  assert.equal(key(), next);
  // after it: the old key is still in place
  const last = `${'ef'.repeat(32)}\n`;
  place.write('root.key.new', last);
  assert.equal((await place.run(['key', 'rotate'])).code, 0);
  writeFileSync(place.path('root.key'), next);
  writeFileSync(place.path('root.key.new'), last, { mode: 0o600 });
  const wrong = await place.run(['run']);
  assert.equal(wrong.code, 1);
  assert.match(wrong.errors, /is not the one of this trusted database/);
  const { code, errors } = await place.run(['key', 'rotate']);
  assert.equal(code, 0, errors);
  assert.equal(key(), last);
  assert.ok(!existsSync(place.path('root.key.new')));
  await opens();
});

test('neither a running Clarus nor a wrong key lets the root key be rotated', async () => {
  await place.serving(async () => {
    const { code, errors } = await place.run(['key', 'rotate']);
    assert.equal(code, 1);
    assert.match(errors, /stop that first/);
  });
  copyFileSync(place.path('root.key'), place.path('right.key'));
  place.write('root.key', `${'12'.repeat(32)}\n`);
  const { code, errors } = await place.run(['key', 'rotate']);
  assert.equal(code, 1);
  assert.match(errors, /is not the one of this trusted database/);
  copyFileSync(place.path('right.key'), place.path('root.key'));
  assert.equal((await place.run(['key', 'roll'])).code, 2);
});

test('a policy that comes by the file is in the journal', async () => {
  const text = readFileSync(place.path('clarus.yaml'), 'utf8');
  place.write('clarus.yaml', `${text}  public.coming: { columns: { secret: {} } }\n`);
  await opens();
  await opens();
  const { code, output, errors } = await place.run(['audit', '--kind', 'policy-changed']);
  assert.equal(code, 0, errors);
  const seen = output
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
    .map(({ origin, from, to, changes }) => ({ origin, from, to, changes: changes.join('; ') }));
  assert.deepEqual(
    seen.map(({ origin, from, to }) => [origin, from, to]),
    [
      ['start', 0, 1],
      ['start', 1, 2],
    ],
  );
  assert.match(seen[0]!.changes, /public\.person/);
  assert.doesNotMatch(seen[1]!.changes, /public\.person/);
  assert.match(seen[1]!.changes, /public\.coming/);
});

test('audit prints what the journals hold, narrowed by time, user and kind', async () => {
  const events = async (...args: string[]): Promise<Record<string, unknown>[]> => {
    const { code, output, errors } = await place.run(['audit', ...args]);
    assert.equal(code, 0, errors);
    return output
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line));
  };
  const all = await events();
  const times = all.map(({ time }) => String(time));
  assert.deepEqual(times, times.toSorted());
  assert.ok(all.every(event => !('crc' in event) && typeof event.origin === 'string'));
  const keys = (await events('--kind', 'key-changed')).map(({ action, subject }) => `${action} ${subject}`);
  assert.equal(keys[0], 'created public.person');
  assert.ok(keys.slice(1).every(words => /^re-wrapped root key [0-9a-f-]+ -> [0-9a-f-]+$/.test(words)));
  assert.ok(keys.length >= 3);
  const statements = await events('--kind', 'statement', '--user', 'app');
  assert.ok(statements.some(({ command }) => command === 'INSERT'));
  assert.deepEqual(await events('--user', 'nobody'), []);
  assert.deepEqual(await events('--until', '2001-01-01'), []);
  const since = times[Math.floor(times.length / 2)]!;
  assert.deepEqual(
    await events('--since', since),
    all.filter(({ time }) => String(time) >= since),
  );
  for (const [option, value, expected] of [
    ['--since', 'yesterday', /write a day like 2026-01-31 [^\n]*, or a time like 2026-01-31T12:00:00Z/],
    [
      '--kind',
      'foo',
      /--kind "foo" is none; there are started, [^\n]*login-refused[^\n]*statement-end, rows/,
    ],
  ] as const) {
    const wrong = await place.run(['audit', option, value]);
    assert.equal(wrong.code, 2);
    assert.match(wrong.errors, expected);
  }
  appendFileSync(place.path('data/audit/journal-worker-0.jsonl'), '{"sequence":1,"time":"forged"}\n');
  const damaged = await place.run(['audit']);
  assert.equal(damaged.code, 1);
  assert.match(
    damaged.errors,
    /^clarus audit: a damaged line at byte \d+ of .*journal-worker-0\.jsonl is left out\n$/,
  );
});
