/**
 * Starts and stops a real PostgreSQL from the npm package of its binaries: the trusted database by default, and
 * the demo's cloud. One directory holds everything of a server; one Clarus at a time owns it.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClarusError } from '../errors.js';
import { type Binaries, embeddedBinaries } from './embedded-binaries.js';
import { claimDirectory, stopLeftOver } from './embedded-owner.js';
import { type Account, unprivilegedAccount } from './embedded-account.js';
import { startProblem } from './embedded-problems.js';

export interface EmbeddedOptions {
  /** holds the data directory, the socket and the superuser's password; made when missing */
  readonly directory: string;
  /** TCP port on 127.0.0.1, 0 for a free one; undefined: Unix socket only */
  readonly port?: number;
  readonly superuser?: string;
  /** settings of postgresql.conf beside the defaults */
  readonly settings?: Readonly<Record<string, string>>;
  /** false: statements and errors are never logged (the trusted database); true: PostgreSQL's own defaults */
  readonly logs?: boolean;
  /** npm package of the binaries; default: the one of this platform that Clarus brings */
  readonly package?: string;
  /** gets the server's own log lines */
  readonly onLog?: (line: string) => void;
}

export interface EmbeddedServer {
  /** socket directory, or 127.0.0.1 where a port was asked for */
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  readonly password: string;
  /** PostgreSQL's major version */
  readonly major: number;
  /** the data directory itself */
  readonly data: string;
  /** the server process */
  readonly processId: number;
  /** resolves when the server ended, whether asked to or not */
  readonly ended: Promise<void>;
  /** fast shutdown; resolves when the server is down */
  stop(): Promise<void>;
}

const socketPathBytesMax = 100;
/** Below this a parallel plan of ordinary size cannot have its shared memory. */
const sharedMemoryBytesMin = 64 * 1024 * 1024;

/**
 * @throws ClarusError in one line with cause and remedy: unsupported platform, port in use, disk full, a
 *   directory of another major version, a directory in use by another Clarus
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const directory = resolve(options.directory);
  const superuser = options.superuser ?? 'clarus';
  const account = unprivilegedAccount();
  const binaries = embeddedBinaries(options.package, account);
  mkdirSync(directory, { recursive: true });
  account?.mustReach(directory);
  const release = claimDirectory(directory);
  try {
    const data = join(directory, 'postgres');
    await stopLeftOver(data);
    const password = initialise(directory, data, superuser, binaries, account);
    const socket = socketDirectory(directory, account);
    const server = await launch(options, data, socket, binaries, account);
    const host = options.port === undefined ? socket : '127.0.0.1';
    return {
      host,
      port: server.port,
      superuser,
      password,
      major: binaries.major,
      data,
      processId: server.child.pid!,
      ended: server.ended,
      async stop() {
        await server.stop();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Makes the cluster when it is not there; returns the superuser's password. */
function initialise(directory: string, data: string, superuser: string, binaries: Binaries, account: Account | undefined): string {
  const passwordFile = join(directory, 'postgres.password');
  const version = join(data, 'PG_VERSION');
  if (existsSync(version) && existsSync(passwordFile)) {
    const found = Number(readFileSync(version, 'utf8'));
    if (found !== binaries.major)
      throw new ClarusError('58P01', `${data} was made by PostgreSQL ${found}, but the binaries are of PostgreSQL ${binaries.major}`, {
        hint: `Install the binaries of version ${found}, or name another directory.`,
      });
    return readFileSync(passwordFile, 'utf8').trim();
  }
  // A first start that was cut off leaves a cluster without a password file: nothing was stored in it yet.
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { mode: 0o700 });
  if (account) chownSync(data, account.uid, account.gid);
  const password = randomBytes(24).toString('base64url');
  const locale = binaries.major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C.UTF-8'] : ['--locale=C.UTF-8'];
  const handed = mkdtempSync(join(tmpdir(), 'clarus-init-'));
  const handedFile = join(handed, 'password');
  try {
    writeFileSync(handedFile, password, { mode: 0o600 });
    if (account) for (const path of [handed, handedFile]) chownSync(path, account.uid, account.gid);
    const done = spawnSync(
      binaries.initdb,
      ['-D', data, '-U', superuser, '--auth=scram-sha-256', `--pwfile=${handedFile}`, '--encoding=UTF8', ...locale, '--no-instructions'],
      { cwd: data, env: environment(data), encoding: 'utf8', ...(account ? { uid: account.uid, gid: account.gid } : {}) },
    );
    if (done.status !== 0) throw startProblem(`${done.stderr ?? ''}${done.error?.message ?? ''}`, data);
  } finally {
    rmSync(handed, { recursive: true, force: true });
  }
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  return password;
}

function socketDirectory(directory: string, account: Account | undefined): string {
  const inside = join(directory, 'run');
  const place = Buffer.byteLength(join(inside, '.s.PGSQL.5432')) <= socketPathBytesMax ? inside : mkdtempSync(join(tmpdir(), 'clarus-'));
  mkdirSync(place, { recursive: true });
  if (account) chownSync(place, account.uid, account.gid);
  chmodSync(place, 0o700);
  return place;
}

const environment = (home: string): NodeJS.ProcessEnv => ({ PATH: process.env.PATH ?? '', HOME: home, LC_ALL: 'C.UTF-8', TZ: process.env.TZ });

/** Nothing of a statement or its errors is logged: the statements of the trusted database hold values. */
const silence: Readonly<Record<string, string>> = {
  log_min_messages: 'panic',
  log_min_error_statement: 'panic',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_temp_files: '-1',
  log_lock_waits: 'off',
  log_autovacuum_min_duration: '-1',
};

interface Launched {
  readonly child: ChildProcess;
  readonly port: number;
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

async function launch(options: EmbeddedOptions, data: string, socket: string, binaries: Binaries, account: Account | undefined): Promise<Launched> {
  const port = options.port === 0 ? await freePort() : (options.port ?? 5432);
  if (options.port) await mustBeFree(options.port);
  const settings: Record<string, string> = {
    port: String(port),
    listen_addresses: options.port === undefined ? '' : '127.0.0.1',
    unix_socket_directories: socket,
    unix_socket_permissions: '0700',
    shared_buffers: '64MB',
    max_connections: '200',
    dynamic_shared_memory_type: sharedMemoryIsSmall() ? 'mmap' : 'posix',
    password_encryption: 'scram-sha-256',
    ...(options.logs ? {} : silence),
    ...options.settings,
  };
  const child = spawn(binaries.postgres, ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])], {
    cwd: data,
    env: environment(data),
    stdio: ['ignore', 'ignore', 'pipe'],
    // A terminal's Ctrl-C goes to us alone: we drain first, then stop it.
    detached: true,
    ...(account ? { uid: account.uid, gid: account.gid } : {}),
  });
  let said = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-20_000);
    options.onLog?.(text.trimEnd());
  });
  const ended = new Promise<void>(done => {
    child.once('exit', () => done());
    child.once('error', error => {
      said += error.message;
      done();
    });
  });
  const atExit = (): void => {
    // SIGINT is PostgreSQL's fast shutdown; nobody waits any more.
    child.kill('SIGINT');
  };
  process.once('exit', atExit);
  void ended.then(() => process.off('exit', atExit));
  await accepting(data, child, ended, () => startProblem(said, data, options.port));
  return {
    child,
    port,
    ended,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGINT');
      await ended;
      if (socket !== join(data, '..', 'run')) rmSync(socket, { recursive: true, force: true });
    },
  };
}

/** Waits until postmaster.pid says `ready` (its eighth line, as pg_ctl reads it). */
async function accepting(data: string, child: ChildProcess, ended: Promise<void>, problem: () => ClarusError): Promise<void> {
  let down = false;
  void ended.then(() => {
    down = true;
  });
  const pidFile = join(data, 'postmaster.pid');
  for (;;) {
    if (down) throw problem();
    const lines = existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n') : [];
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return;
    await sleep(10);
  }
}

function sharedMemoryIsSmall(): boolean {
  if (!existsSync('/dev/shm')) return true;
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize < sharedMemoryBytesMin;
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise(done => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

async function mustBeFree(port: number): Promise<void> {
  const taken = await new Promise<boolean>(done => {
    const probe = createConnection({ host: '127.0.0.1', port }, () => done(true)).once('error', () => done(false));
    probe.unref();
  });
  if (taken) throw new ClarusError('55006', `port ${port} is in use`, { hint: 'Stop what listens there, or name another port.' });
}
