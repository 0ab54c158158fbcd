/**
 * Hostile input: random and truncated frames, impossible and oversized lengths, messages in wrong states, before
 * and after authentication, in both modes. The gateway answers each with a proper error or closes the connection;
 * it does not crash, hang or leak, and goes on serving others.
 *
 * HOSTILE_COUNT says how many inputs (1,000; a full run takes 100,000), CLARUS_SEED which.
 */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { decodeBackend } from '../src/wire/decode-backend.js';
import { writeFrontend, writeStartup } from '../src/wire/encode-frontend.js';
import { FrameReader } from '../src/wire/frame-reader.js';
import { MessageWriter } from '../src/wire/message-writer.js';
import type { FrontendMessage } from '../src/wire/messages.js';
import { backendLimits, messageBytesMax } from '../src/wire/protocol.js';
import { count } from './heavy/support/scale.js';
import { startGateway } from './support/gateway.js';
import { memoryInUse } from './support/memory.js';
import { startProxy, type Target, type TestProxy } from './support/proxy.js';
import { Random } from './support/random.js';
import { RawClient, say, told } from './support/raw-client.js';
import { startServer, type TestServer } from './support/server.js';

const seed = Number(process.env.CLARUS_SEED ?? Date.now() % 1_000_000_007);
const inputs = process.env.HOSTILE_COUNT
  ? Number(process.env.HOSTILE_COUNT)
  : count('hostile inputs', 100_000, 1_000);

/** Longest time an input may keep a connection before it counts as a hang. */
const patience_ms = 10_000;
/** connections at a time */
const parallel = 8;

/** What is attacked: a bare gateway that passes everything through, and Clarus before a protected table. */
interface Victim {
  readonly client: Target;
  sessions(): number;
}

let server: TestServer;
let proxy: TestProxy;
let stopGateway: () => Promise<void>;
const victims: Victim[] = [];
const defects: string[] = [];

before(async () => {
  server = await startServer();
  const log = (_level: string, message: string, fields?: object): void => {
    if (message.includes('defect')) defects.push(`${message} ${JSON.stringify(fields)}`);
  };
  const limits = { message_bytes_max: 256 * 1024, authentication_timeout_ms: 3_000, connections_max: 50 };
  const { client, gateway, stop } = await startGateway(server, { log, limits, tls: 'self-made' });
  stopGateway = stop;
  victims.push({ client, sessions: () => gateway.sessions });
  proxy = await startProxy({
    policy: `unlisted: pass
limits: { message_bytes_max: 262144, authentication_timeout_ms: 3000, connections_max: 50 }
tables:
  public.secret:
    columns:
      id: { protect: none }
      value: { protect: encrypt, queries: [equality] }`,
  });
  victims.push({ client: proxy, sessions: () => proxy.sessions() });
  for (const victim of victims) {
    const admin = await RawClient.connect(victim.client);
    await admin.query('CREATE TABLE item (id int, label text)');
    await admin.query('CREATE TABLE secret (id int, value text)');
    await admin.query("INSERT INTO secret VALUES (1, 'x'), (2, NULL)");
    await admin.close();
  }
});
after(async () => {
  await stopGateway?.();
  await proxy?.stop();
  await server?.stop();
});

/** The same inputs for the same seed: integers from 0 to below a bound. */
function generator(from: number): (below: number) => number {
  const random = new Random(from);
  return below => random.integer(0, below - 1);
}

type Below = ReturnType<typeof generator>;

const pick = <Item>(random: Below, items: readonly Item[]): Item => items[random(items.length)]!;
const randomBytes = (random: Below, size: number): Buffer =>
  Buffer.from(Array.from({ length: size }, () => random(256)));

const names = ['', 's', 'p', 'nosuch', '\u00e9\u00e8', 'x'.repeat(100)];
const texts = [
  'SELECT 1',
  'SELECT $1::int',
  'SELECT id, value FROM secret',
  'INSERT INTO item VALUES (1, $1)',
  'SELECT id FROM secret WHERE value = $1',
  "SELECT value FROM secret WHERE value IN ('x', $1)",
  'INSERT INTO secret VALUES (1, $1) RETURNING value',
  'UPDATE secret SET value = $1 WHERE id = 7',
  'COPY secret TO STDOUT',
  'COPY secret FROM STDIN (FORMAT binary)',
  "SELECT set_config('app.x', $1, false)",
  'COPY item FROM STDIN',
  'COPY secret FROM STDIN',
  'COPY item TO STDOUT',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT s',
  'ROLLBACK TO s',
  'SELECT 1/0',
  'SELEC',
  '',
  ';;',
  'SELECT 1; SELECT 2',
  'PREPARE s AS SELECT 1',
  'EXECUTE s',
  'DEALLOCATE ALL',
  'DISCARD ALL',
  'SET search_path = public',
  'SECURITY LABEL FOR clarus ON TABLE item IS NULL',
  'FETCH 1 FROM nosuch',
];

/** A message that is well formed, though perhaps out of place. */
function message(random: Below): FrontendMessage {
  const name = (): string => pick(random, names);
  switch (random(13)) {
    case 0:
      return { kind: 'Query', sql: pick(random, texts) };
    case 1:
      return say.parse(pick(random, texts), name(), random(3) === 0 ? [random(100_000)] : []);
    case 2:
      return say.bind(name(), name(), random(2) === 0 ? [] : [pick(random, ['1', 'x', null])]);
    case 3:
      return say.execute(name(), random(4));
    case 4:
      return say.describe(pick(random, ['statement', 'portal'] as const), name());
    case 5:
      return say.close(pick(random, ['statement', 'portal'] as const), name());
    case 6:
      return { kind: pick(random, ['Flush', 'CopyDone'] as const) };
    case 7:
      return say.copyData(pick(random, ['1\tx\n', 'garbage', '']));
    case 8:
      return { kind: 'CopyFail', message: 'no' };
    case 9:
      return {
        kind: 'FunctionCall',
        functionOid: random(3000),
        argumentFormats: [],
        arguments: [],
        resultFormat: 0,
      };
    case 10:
      return { kind: 'Password', data: randomBytes(random, random(20)) };
    default:
      return say.sync;
  }
}

/** Bytes of a few messages, mostly spoiled in one way or another. */
function stream(random: Below): Buffer {
  const writer = new MessageWriter();
  for (let left = 1 + random(8); left > 0; left--) writeFrontend(writer, message(random));
  let bytes = Buffer.from(writer.take());
  switch (random(6)) {
    case 0:
      return bytes.subarray(0, random(bytes.length + 1));
    case 1:
      for (let left = 1 + random(4); left > 0; left--) bytes[random(bytes.length)] = random(256);
      return bytes;
    case 2:
      bytes.writeUInt32BE(pick(random, [0, 3, 4, 5, 0x7fffffff, 0xffffffff, 300_000, random(2 ** 31)]), 1);
      return bytes;
    case 3:
      bytes = Buffer.concat([bytes, randomBytes(random, random(200))]);
      return bytes;
    case 4:
      return randomBytes(random, 1 + random(300));
    default:
      return bytes;
  }
}

/** What opens a connection, spoiled likewise. */
function opening(random: Below): Buffer {
  const writer = new MessageWriter();
  switch (random(7)) {
    case 0:
      writeStartup(writer, { kind: 'SSLRequest' });
      break;
    case 1:
      writeStartup(writer, { kind: 'GSSENCRequest' });
      break;
    case 2:
      writeStartup(writer, {
        kind: 'CancelRequest',
        processId: random(100),
        secretKey: randomBytes(random, 1 + random(40)),
      });
      break;
    case 3:
      return randomBytes(random, 1 + random(100));
    default:
      writeStartup(writer, {
        kind: 'StartupMessage',
        version: pick(random, [0x30000, 0x30002, 0x30063, 0x20000, 0x40000, random(2 ** 31)]),
        parameters: new Map([
          ['user', pick(random, ['app', 'nobody', 'x'.repeat(3000)])],
          ['database', pick(random, ['postgres', 'other'])],
          ...(random(4) === 0 ? ([['replication', 'database']] as [string, string][]) : []),
          ...(random(4) === 0 ? ([['_pq_.x', '1']] as [string, string][]) : []),
        ]),
      });
  }
  const bytes = Buffer.concat([writer.take(), random(2) === 0 ? stream(random) : Buffer.alloc(0)]);
  if (random(3) === 0) bytes[random(bytes.length)] = random(256);
  return bytes;
}

/** Sends bytes to a fresh connection and waits until it is closed, by us after a little quiet. */
async function throwAt(socket: Socket, bytes: Buffer, quiet_ms: number, what: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const hang = setTimeout(() => reject(new Error(`hangs: ${what}`)), patience_ms);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(hang);
      resolve();
    });
    socket.resume();
    socket.write(bytes);
    setTimeout(() => socket.end(), quiet_ms);
  });
}

/** Checks that what a session was told keeps to the protocol. */
class Listener {
  readonly #reader = new FrameReader({ tagged: true, limits: backendLimits(messageBytesMax) });
  read(chunk: Buffer): void {
    this.#reader.push(chunk);
    while (this.#reader.next()) {
      const { type, buffer, body, end } = this.#reader;
      const message = decodeBackend(type, buffer, body, end);
      if (message.kind === 'ErrorResponse') assert.match(message.diagnostic.code, /^[0-9A-Z]{5}$/);
    }
  }
}

async function attack(random: Below, what: string): Promise<void> {
  const victim = pick(random, victims);
  const quiet_ms = pick(random, [0, 5, 30]);
  if (random(3) === 0) {
    await throwAt(connect(victim.client.port, victim.client.host), opening(random), quiet_ms, what);
    return;
  }
  const client = await RawClient.connect(victim.client);
  const listener = new Listener();
  const { socket } = client.backend;
  client.backend.listen({ chunk: chunk => listener.read(chunk), close: () => undefined });
  await throwAt(socket, stream(random), quiet_ms, what);
}

test('hostile inputs neither crash, hang nor leak', {
  timeout: 3_600_000,
}, async t => {
  t.diagnostic(`${inputs} inputs, seed ${seed}`);
  const batch = 500;
  let settled_bytes = 0;
  for (let done = 0; done < inputs; done += batch) {
    let next = done;
    const last = Math.min(done + batch, inputs);
    const work = async (): Promise<void> => {
      while (next < last) {
        const number = next++;
        await attack(generator(seed + number), `input ${number} of seed ${seed}`);
      }
    };
    await Promise.all(Array.from({ length: parallel }, work));
    for (const victim of victims) {
      const client = await RawClient.connect(victim.client);
      assert.ok(told(await client.query('SELECT 1')).includes('DataRow 1'));
      await client.close();
    }
    const used_bytes = memoryInUse();
    if (done <= 2 * batch) settled_bytes = Math.max(settled_bytes, used_bytes);
    else assert.ok(used_bytes < settled_bytes + 200 * 1024 * 1024, `memory grew to ${used_bytes} bytes`);
  }
  defects.push(...proxy.log.filter(line => line.includes('defect')));
  assert.deepEqual(defects, []);
  const left = (): number => victims.reduce((sum, victim) => sum + victim.sessions(), 0);
  for (let tries = 0; left() > 0 && tries < 100; tries++) {
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  assert.equal(left(), 0, 'a session is left over');
});
