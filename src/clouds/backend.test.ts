import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { generate } from 'selfsigned';
import { startServer, type TestServer } from '../../test/support/server.js';
import { valueAt } from '../crypto/column.js';
import { ClarusError } from '../errors.js';
import { Backend, connectWithBackoff } from './backend.js';
import { BackendClient } from './backend-client.js';
import { ConnectError, type ConnectionOptions } from './options.js';

let server: TestServer;
let folder: string;
/** PEM of the authority that signed the server's certificate */
let authority: string;

/** A certificate for 127.0.0.1 and localhost. */
async function certificate(notAfterDate: Date): Promise<{ cert: string; key: string }> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    algorithm: 'sha384',
    notBeforeDate: new Date(Date.now() - 10 * 86_400_000),
    notAfterDate,
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { cert: made.cert, key: made.private };
}

function install({ cert, key }: { cert: string; key: string }): void {
  const owner = server === undefined ? undefined : statSync(server.directory);
  for (const [name, text] of Object.entries({ cert, key })) {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
  }
}

const options = (more: Partial<ConnectionOptions> = {}): ConnectionOptions => ({
  label: 'cloud "main"',
  address: { kind: 'tcp', host: server.host, port: server.port },
  user: server.user,
  database: server.database,
  password: server.password,
  tls: 'off',
  ...more,
});

/** Runs statements as the superuser. */
async function administer(...statements: string[]): Promise<void> {
  const client = await BackendClient.connect(options());
  for (const statement of statements) await client.simple(statement);
  await client.close();
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'clarus-certificates-'));
  chmodSync(folder, 0o777);
  server = await startServer({ settings: { unix_socket_directories: folder } });
  const good = await certificate(new Date(Date.now() + 86_400_000));
  authority = good.cert;
  install(good);
  await administer(
    `ALTER SYSTEM SET ssl_cert_file = '${folder}/cert'`,
    `ALTER SYSTEM SET ssl_key_file = '${folder}/key'`,
    'ALTER SYSTEM SET ssl = on',
    'SELECT pg_reload_conf()',
  );
  await new Promise(resolve => setTimeout(resolve, 300));
});

after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Asserts that connecting fails with a code and one line that matches. */
async function fails(more: Partial<ConnectionOptions>, code: string, message: RegExp): Promise<ConnectError> {
  const failure = await Backend.connect(options(more)).then(
    backend => {
      backend.destroy();
      return undefined;
    },
    (error: unknown) => error,
  );
  assert.ok(failure instanceof ConnectError, String(failure));
  assert.equal(failure.code, code);
  assert.match(failure.message, message);
  assert.doesNotMatch(failure.message, /\n/);
  assert.ok(!failure.message.includes(server.password));
  return failure;
}

/** A server that says what it is told to, whatever it is asked. */
async function impostor(...answers: readonly string[]): Promise<{ port: number; server: Server }> {
  const left = [...answers];
  const fake = createServer(socket => {
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.write(Buffer.from(left.shift() ?? '', 'latin1')));
  });
  await new Promise<void>(resolve => fake.listen(0, '127.0.0.1', resolve));
  const address = fake.address();
  assert.ok(address !== null && typeof address === 'object');
  return { port: address.port, server: fake };
}

const tlsOf = async (client: BackendClient): Promise<string> => {
  const { columns } = await client.query(
    'SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    [],
    { resultFormat: 0 },
  );
  return Buffer.from(valueAt(columns[0]!, 0)!).toString();
};

test('a plain, a TLS and a Unix connection authenticate, by SCRAM with channel binding where it can', async () => {
  for (const [more, ssl] of [
    [{}, 'false'],
    [{ tls: 'verify', ca: authority }, 'true'],
    [
      { tls: 'verify', ca: authority, address: { kind: 'tcp', host: 'localhost', port: server.port } },
      'true',
    ],
    [{ tls: 'verify', address: { kind: 'unix', path: `${folder}/.s.PGSQL.${server.port}` } }, 'false'],
  ] as const) {
    const client = await BackendClient.connect(options(more));
    assert.equal(await tlsOf(client), ssl);
    assert.equal(client.backend.parameters.get('server_encoding'), 'UTF8');
    assert.ok(client.backend.processId > 0);
    await client.close();
    assert.ok(!client.backend.open);
  }
});

test('the application name is ours, whatever the parameters say', async () => {
  const client = await BackendClient.connect(
    options({
      parameters: [
        ['application_name', 'secret of an application'],
        ['DateStyle', 'German'],
      ],
    }),
  );
  const { columns } = await client.query(
    "SELECT current_setting('application_name'), current_setting('DateStyle')",
    [],
    { resultFormat: 0 },
  );
  assert.deepEqual(
    columns.map(column => Buffer.from(valueAt(column, 0)!).toString()),
    ['clarus', 'German, DMY'],
  );
  await client.close();
});

test('what is wrong with a connection is told in one line, with a remedy', async () => {
  await fails(
    { password: 'wrong' },
    '28P01',
    /password authentication failed for user "postgres"; check user/,
  );
  await fails({ password: undefined }, '28P01', /none is configured/);
  await fails({ user: 'nobody-knows' }, '28P01', /password authentication failed/);
  await fails({ database: 'nowhere' }, '3D000', /database "nowhere" does not exist; create it/);
  const refused = await fails(
    { address: { kind: 'tcp', host: '127.0.0.1', port: 1 } },
    '08001',
    /at 127\.0\.0\.1:1: connection refused; is the server running/,
  );
  assert.ok(refused.transient);
  const unknown = await fails(
    { address: { kind: 'tcp', host: 'no-such-host.invalid', port: 5432 } },
    '08001',
    /unknown host|name service/,
  );
  assert.match(unknown.message, /no-such-host\.invalid:5432/);
  await fails({ address: { kind: 'unix', path: `${folder}/none` } }, '08001', /no such socket/);
  await fails({ tls: 'verify' }, '08001', /authority that is not trusted; name the authority under "ca"/);
});

test('a certificate for another host or an expired one is refused', async () => {
  await fails(
    { tls: 'verify', ca: authority, address: { kind: 'tcp', host: '127.0.0.2', port: await forwarded() } },
    '08001',
    /for another host name/,
  );
  const expired = await certificate(new Date(Date.now() - 86_400_000));
  const good = {
    cert: readFileSync(join(folder, 'cert'), 'utf8'),
    key: readFileSync(join(folder, 'key'), 'utf8'),
  };
  install(expired);
  await administer('SELECT pg_reload_conf()');
  await new Promise(resolve => setTimeout(resolve, 300));
  await fails({ tls: 'verify', ca: expired.cert }, '08001', /certificate of the server has expired; renew/);
  install(good);
  await administer('SELECT pg_reload_conf()');
  await new Promise(resolve => setTimeout(resolve, 300));
});

/** A port of 127.0.0.2 that leads to the server. */
async function forwarded(): Promise<number> {
  const { connect } = await import('node:net');
  const relay = createServer(socket => {
    const onward = connect(server.port, server.host);
    socket.pipe(onward).pipe(socket);
    socket.on('error', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.2', resolve));
  relay.unref();
  const address = relay.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

test('a server that does not keep to the protocol, or wants a password in the clear, is refused', async () => {
  const authenticationOk = 'R\0\0\0\x08\0\0\0\0';
  const cases: readonly (readonly [readonly string[], Partial<ConnectionOptions>, RegExp])[] = [
    [['N'], { tls: 'verify' }, /does not offer TLS; turn on ssl there/],
    [['Sextra'], { tls: 'verify' }, /in a way that is not the protocol/],
    [['E'], { tls: 'verify' }, /in a way that is not the protocol/],
    [['HTTP/1.1 400 Bad Request'], {}, /broke the protocol|message/],
    [['Z\0\0\0\x05I'], {}, /ready before it authenticated/],
    [['R\0\0\0\x08\0\0\0\x09'], {}, /authentication method 9/],
    [['R\0\0\0\x0c\0\0\0\x0cv=AA'], {}, /ended SCRAM before it began/],
    [
      ['R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0', `${authenticationOk}Z\0\0\0\x05I`],
      {},
      /before it proved that it knows the password/,
    ],
    [[''], { connectTimeout_ms: 200 }, /no answer within 200 ms; check host/],
  ];
  for (const [answers, more, message] of cases) {
    const { port, server: fake } = await impostor(...answers);
    const failure = await Backend.connect(
      options({ connectTimeout_ms: 2000, ...more, address: { kind: 'tcp', host: '127.0.0.1', port } }),
    ).then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(failure instanceof ClarusError, `${answers[0]}: ${failure}`);
    assert.match(failure.message, message);
    fake.close();
  }
});

test('old authentication methods work where nobody can read along', async () => {
  const hba = join(server.directory, 'pg_hba.conf');
  const before = readFileSync(hba, 'utf8');
  for (const method of ['md5', 'password', 'trust']) {
    await administer(
      "SET password_encryption = 'md5'",
      `DROP ROLE IF EXISTS old`,
      `SET password_encryption = 'md5'; CREATE ROLE old LOGIN PASSWORD 'p'`,
    );
    writeFileSync(hba, `host all old 127.0.0.1/32 ${method}\n${before}`);
    await administer('SELECT pg_reload_conf()');
    await new Promise(resolve => setTimeout(resolve, 200));
    const backend = await Backend.connect(options({ user: 'old', password: 'p' }));
    await backend.close();
    if (method !== 'trust') await fails({ user: 'old', password: 'q' }, '28P01', /password authentication/);
  }
  writeFileSync(hba, before);
  await administer('SELECT pg_reload_conf()', 'DROP ROLE old');
});

test('every byte sent is recorded, over TLS too', async () => {
  for (const tls of ['off', 'verify'] as const) {
    const sent: Buffer[] = [];
    const client = await BackendClient.connect(
      options({ tls, ca: authority, record: bytes => sent.push(Buffer.from(bytes)) }),
    );
    await client.query("SELECT 'seen by the recorder'");
    client.backend.socket.cork();
    await Promise.all([
      client.query("SELECT 'corked one'"),
      client.query("SELECT 'corked two'"),
      Promise.resolve(client.backend.socket.uncork()),
    ]);
    await client.close();
    const all = Buffer.concat(sent).toString('latin1');
    for (const text of [
      'application_name',
      'SCRAM-SHA-256',
      'seen by the recorder',
      'corked one',
      'corked two',
    ]) {
      assert.ok(all.includes(text), text);
    }
    assert.equal(all.includes('SCRAM-SHA-256-PLUS'), tls === 'verify');
    assert.ok(all.endsWith('X\0\0\0\x04'));
  }
});

test('cancel ends what runs, over TLS too', async () => {
  for (const tls of ['off', 'verify'] as const) {
    const client = await BackendClient.connect(options({ tls, ca: authority }));
    const sleeping = client.query('SELECT pg_sleep(30)');
    setTimeout(() => void client.cancel(), 100);
    await assert.rejects(sleeping, { code: '57014' });
    await client.close();
  }
});

test('a lost connection is told once, to the request under way and to the listener', async () => {
  for (const tls of ['off', 'verify'] as const) {
    const told: (ClarusError | undefined)[] = [];
    const client = await BackendClient.connect(options({ tls, ca: authority }), {
      close: error => told.push(error),
    });
    const victim = assert.rejects(client.query('SELECT pg_sleep(30)'), { code: '57P01' });
    await administer(`SELECT pg_terminate_backend(${client.backend.processId})`);
    await victim;
    await new Promise(resolve => setTimeout(resolve, 50));
    assert.equal(told.length, 1);
    assert.equal(told[0]?.code, '08006');
    await assert.rejects(client.query('SELECT 1'), /connection to cloud "main" was lost/);
    await client.close();
  }
});

test('raw chunks pass in both directions, and a paused backend holds the server up', async () => {
  const backend = await Backend.connect(options());
  let received = 0;
  let last = Buffer.alloc(0);
  const finished = new Promise<void>(resolve => {
    backend.listen({
      chunk(chunk) {
        received += chunk.length;
        last = Buffer.concat([last, chunk]).subarray(-6);
        if (last.equals(Buffer.from('Z\0\0\0\x05I'))) resolve();
      },
      close() {
        resolve();
      },
    });
  });
  backend.pause();
  const sql = "SELECT repeat('x', 1000) FROM generate_series(1, 30000)";
  const query = Buffer.alloc(sql.length + 6);
  query.write('Q');
  query.writeInt32BE(sql.length + 5, 1);
  query.write(sql, 5);
  assert.ok(backend.write(query));
  await new Promise(resolve => setTimeout(resolve, 200));
  assert.equal(received, 0);
  backend.resume();
  await finished;
  assert.ok(received > 30_000_000);
  await backend.close();
});

test('a server that is not there yet is tried again, a wrong password is not', async () => {
  const started = Date.now();
  await assert.rejects(
    connectWithBackoff(options({ address: { kind: 'tcp', host: '127.0.0.1', port: 1 } }), {
      attempts: 3,
      firstWait_ms: 40,
    }),
    { code: '08001' },
  );
  assert.ok(Date.now() - started >= 90);
  const once = Date.now();
  await assert.rejects(connectWithBackoff(options({ password: 'no' }), { attempts: 5, firstWait_ms: 2000 }), {
    code: '28P01',
  });
  assert.ok(Date.now() - once < 1500);
});
