/** What is measured: Clarus as `clarus run`, PgBouncer, and connections to them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { BackendClient } from '../src/clouds/backend-client.js';
import type { TestServer } from '../test/support/server.js';

/** Where a client connects. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Something between clients and the cloud. */
export interface Running {
  readonly target: Target;
  readonly pid: number;
  stop(): Promise<void>;
}

export const connect = (target: Target): Promise<BackendClient> =>
  BackendClient.connect({
    label: 'server',
    address: { kind: 'tcp', host: target.host, port: target.port },
    user: target.user,
    password: target.password,
    database: target.database,
    tls: 'off',
  });

/** Starts Clarus with an installation in `directory`, made at the first start. */
export async function startClarus(
  directory: string,
  cloud: TestServer,
  database: string,
  workers: number,
  policy: string,
): Promise<Running> {
  const file = (name: string, text: string): void =>
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  file('root.key', `${'5a'.repeat(32)}\n`);
  file('cloud', cloud.password);
  file('app', 'application');
  const config = join(directory, 'clarus.yaml');
  writeFileSync(
    config,
    `clarus: 1
trusted: { database: embedded, directory: ./trusted, key: { file: ./root.key } }
clouds:
  main: { postgres: "postgres://${cloud.user}@127.0.0.1:${cloud.port}/${database}", password: "file:./cloud" }
listen: { postgres: "127.0.0.1:0" }
tls: off
workers: ${workers}
audit: statements
users:
  app: { password: "file:./app" }
${policy}`,
  );
  const program = new URL('../dist/cli/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, 'run', '--config', config], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const found = /ready postgres:\/\/127\.0\.0\.1:(\d+)/.exec(text);
      if (found) resolve(Number(found[1]));
    });
    child.once('exit', code => reject(new Error(`clarus run ended with ${code}`)));
  });
  return {
    target: { host: '127.0.0.1', port, user: 'app', password: 'application', database },
    pid: child.pid!,
    stop: () => ended(child),
  };
}

/** Starts a bare pipe of bytes before a database. */
export async function startPipe(cloud: TestServer, database: string): Promise<Running> {
  const program = new URL('pipe.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--import', 'tsx', program, String(cloud.port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: new URL('..', import.meta.url).pathname,
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => resolve(Number(text.split(' ')[1])));
    child.once('exit', code => reject(new Error(`the pipe ended with ${code}`)));
  });
  return { target: { ...cloud, port, database }, pid: child.pid!, stop: () => ended(child) };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise(done => {
    child.once('exit', () => done());
    child.kill('SIGTERM');
  });
}

/** Starts PgBouncer (session pooling, prepared statements) before a database; undefined where it is not installed. */
export async function startPgBouncer(
  directory: string,
  cloud: TestServer,
  database: string,
): Promise<Running | undefined> {
  const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(path => existsSync(path));
  if (program === undefined) return undefined;
  const own = join(directory, 'pgbouncer');
  mkdirSync(own);
  const port = await freePort();
  const config = join(own, 'pgbouncer.ini');
  writeFileSync(
    config,
    `[databases]
${database} = host=127.0.0.1 port=${cloud.port} dbname=${database} user=${cloud.user} password=${cloud.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = session
default_pool_size = 20
max_client_conn = 100
log_connections = 0
log_disconnections = 0
`,
  );
  const root = process.getuid?.() === 0;
  if (root) {
    chmodSync(own, 0o755);
    chmodSync(config, 0o644);
  }
  const [command, ...argv] = root ? ['runuser', '-u', 'postgres', '--', program, config] : [program, config];
  const child = spawn(command!, argv, { stdio: 'ignore', cwd: '/tmp' });
  const target = { ...cloud, host: '127.0.0.1', port, database };
  for (let tries = 0; ; tries++) {
    try {
      await (await connect(target)).close();
      break;
    } catch (error) {
      if (tries > 50 || child.exitCode !== null) throw error;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
  return {
    target,
    pid: child.pid!,
    stop: () => ended(child),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject()));
    });
  });
}

const pgbenchProgram = (): string =>
  ['/usr/lib/postgresql/15/bin/pgbench', '/usr/bin/pgbench'].find(path => existsSync(path)) ?? 'pgbench';

/** Makes pgbench's tables. */
export function pgbenchInit(target: Target): void {
  const { host, port, user, password, database } = target;
  execFileSync(
    pgbenchProgram(),
    ['-h', host, '-p', String(port), '-U', user, '-i', '-q', '-s', '5', database],
    { env: { ...process.env, PGPASSWORD: password }, stdio: 'ignore' },
  );
}

/** Runs pgbench with prepared statements. @returns transactions a second */
export async function pgbench(
  target: Target,
  clients: number,
  seconds: number,
  args: readonly string[],
): Promise<number> {
  const { host, port, user, password, database } = target;
  const fixed = ['-h', host, '-p', String(port), '-U', user, '-n', '-M', 'prepared'];
  const child = spawn(
    pgbenchProgram(),
    [...fixed, '-c', String(clients), '-T', String(seconds), ...args, database],
    { env: { ...process.env, PGPASSWORD: password }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const out: Buffer[] = [];
  const wrong: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => wrong.push(chunk));
  await new Promise(resolve => child.once('close', resolve));
  const found = /tps = ([\d.]+)/.exec(Buffer.concat(out).toString());
  const trouble = Buffer.concat(wrong).toString();
  if (!found || /failed|error/i.test(trouble)) throw new Error(`pgbench: ${trouble}`);
  return Number(found[1]);
}

/** Resident memory of a process. @param field VmRSS: now; VmHWM: the most there was since it was reset */
export const memory_MiB = (pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) /
  1024;
