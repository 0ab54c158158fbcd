/**
 * A PostgreSQL server of our own: real binaries from npm, started and stopped with Clarus. The trusted database
 * is one; the demonstration's cloud is another.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chown, mkdir, mkdtemp, readFile, rm, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClarusError } from '../errors.js';
import { type Binaries, findBinaries, installLine } from './binaries.js';
import * as cluster from './cluster.js';
import { clearLeftover, clearSocketLocks, ownerSetting, signalProcess } from './leftover.js';
import { startFailure } from './start-failure.js';
import { type SystemUser, unprivilegedUser } from './unprivileged.js';

export type { Locale } from './cluster.js';

/** How to log in to a PostgreSQL database. */
export interface ConnectionTarget {
  /** a host name or address, or the absolute path of the directory of a Unix socket */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** How an embedded server is started. */
export interface EmbeddedOptions {
  /** holds the data and the socket; made when missing; all of it belongs to this server */
  readonly directory: string;
  /** what the server is, for messages: `trusted database` */
  readonly name: string;
  /** TCP port on `host`, 0 for a free one; undefined: only a Unix socket */
  readonly port?: number;
  /** address to listen on when `port` is given; 127.0.0.1 when undefined */
  readonly host?: string;
  /** PostgreSQL settings that come after (and win over) our own */
  readonly settings?: Readonly<Record<string, string>>;
  readonly superuser: string;
  /** of the superuser; only a new data directory takes it on */
  readonly password: string;
  /** of a new data directory; undefined: builtin C.UTF-8, encoding UTF8 */
  readonly locale?: cluster.Locale;
  /** major version; undefined: that of the data directory, for a new one the one that Clarus brings */
  readonly major?: number;
  /** false: nothing is flushed to disk; only for data that may be lost */
  readonly durable?: boolean;
  /** takes each line that the server logs */
  readonly log?: (line: string) => void;
}

/** A server that runs; this process owns it. */
export interface EmbeddedServer {
  readonly name: string;
  /** `major.minor` */
  readonly version: string;
  readonly major: number;
  readonly dataDirectory: string;
  readonly socketDirectory: string;
  /** of the TCP listener, and part of the socket's name */
  readonly port: number;
  /** address of the TCP listener, undefined when there is none */
  readonly host: string | undefined;
  readonly processId: number;
  /** parameters of the superuser's connection to a database, over the Unix socket */
  target(database: string): ConnectionTarget;
  /** settles when the server has ended, whoever ended it */
  readonly ended: Promise<void>;
  /** Ends all sessions, writes a checkpoint and stops. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Nothing of a statement may stand in a log: analysed trees, which hold literals, are sent to the session as
 * notices of level LOG, and errors carry values.
 */
const silentLogs: Readonly<Record<string, string>> = {
  log_min_messages: 'panic',
  log_min_error_statement: 'panic',
  log_min_duration_statement: '-1',
  log_statement: 'none',
  log_duration: 'off',
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
  log_autovacuum_min_duration: '-1',
  log_destination: 'stderr',
  logging_collector: 'off',
};

/** Time to become ready, recovery after a crash included. */
const startTimeout_ms = 120_000;
/** Longest path of a Unix socket (sun_path holds 108 bytes on Linux, 104 on macOS). */
const socketPath_bytes_max = 100;
/** Below this, parallel queries would fail for want of room in /dev/shm. */
const sharedMemory_bytes_min = 128 * 2 ** 20;

/**
 * Starts a server, making its data directory when there is none.
 * @throws ClarusError with cause and remedy in one line each when it cannot
 * @example
 * const server = await startEmbedded({ directory, name: 'trusted database', superuser: 'clarus', password });
 * const client = new pg.Client(server.target('postgres'));
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedServer> {
  const log = options.log ?? (() => undefined);
  const directory = resolve(options.directory);
  const data = join(directory, 'data');
  const durable = options.durable ?? true;
  const user = await unprivilegedUser();
  await cluster.prepareDirectory(directory, user);
  const made = await cluster.clusterMajor(data);
  if (made !== undefined && options.major !== undefined && made !== options.major) {
    throw new ClarusError(
      '58P01',
      `the ${options.name} in ${directory} is of PostgreSQL ${made}, not ${options.major}`,
      {
        hint: 'choose another directory, or the version of the data',
      },
    );
  }
  const binaries = await binariesFor(made, options, directory, user);
  if (made === undefined) {
    const { superuser, password, locale } = options;
    await cluster.initialise(directory, data, binaries, user, { superuser, password, locale, durable });
  } else {
    await cluster.takeOwnership(data, user);
    await clearLeftover(data, log);
  }
  const sockets = await socketDirectory(directory, user);
  await clearSocketLocks(data, sockets.path);
  const host = options.port === undefined ? undefined : (options.host ?? '127.0.0.1');
  const port = host === undefined ? 5432 : await freePort(host, options.port ?? 0);
  const settings = {
    ...silentLogs,
    max_connections: '400',
    shared_buffers: '32MB',
    ...((await hasSharedMemory()) ? {} : { dynamic_shared_memory_type: 'mmap' }),
    ...(durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
    ...options.settings,
    listen_addresses: host ?? '',
    port: String(port),
    unix_socket_directories: sockets.path,
    unix_socket_permissions: '0700',
  };
  const launched = await launch(binaries, data, user, settings, log, options.name);
  const { superuser, password, name } = options;
  return {
    name,
    version: binaries.version,
    major: binaries.major,
    dataDirectory: data,
    socketDirectory: sockets.path,
    port,
    host,
    processId: launched.pid,
    target: database => ({ host: sockets.path, port, user: superuser, password, database }),
    ended: launched.ended,
    stop: async () => {
      await launched.stop();
      if (sockets.temporary) await rm(sockets.path, { recursive: true, force: true });
    },
  };
}

async function binariesFor(
  made: number | undefined,
  options: EmbeddedOptions,
  directory: string,
  user: SystemUser | undefined,
): Promise<Binaries> {
  try {
    return await findBinaries(made ?? options.major, user);
  } catch (error) {
    if (made === undefined || !(error instanceof ClarusError) || error.code !== '58P01') throw error;
    throw new ClarusError(
      '58P01',
      `the ${options.name} in ${directory} is of PostgreSQL ${made}, whose binaries are not installed`,
      {
        hint: installLine(made) ?? error.fields.hint ?? 'install them',
      },
    );
  }
}

/** A directory for the Unix socket that only the server's user may enter: beside the data, or where its path is short. */
async function socketDirectory(
  directory: string,
  user: SystemUser | undefined,
): Promise<{ readonly path: string; readonly temporary: boolean }> {
  const own = join(directory, 'run');
  const temporary = Buffer.byteLength(`${own}/.s.PGSQL.65535`) > socketPath_bytes_max;
  const path = temporary ? await mkdtemp(join(tmpdir(), 'clarus-')) : own;
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (user !== undefined) await chown(path, user.uid, user.gid);
  return { path, temporary };
}

async function hasSharedMemory(): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const room = await statfs('/dev/shm').catch(() => undefined);
  return room !== undefined && room.bavail * room.bsize >= sharedMemory_bytes_min;
}

/** The port itself when nobody listens there, or a free one for 0. */
function freePort(host: string, port: number): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      reject(
        new ClarusError(
          '55006',
          inUse ? `port ${port} on ${host} is in use` : `cannot listen on ${host}:${port} (${error.code})`,
          {
            hint: inUse
              ? 'stop the program that uses it, or choose another port'
              : 'choose an address of this machine',
          },
        ),
      );
    });
    probe.listen(port, host, () => {
      const address = probe.address();
      probe.close(() => resolvePort(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

interface Launched {
  readonly pid: number;
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

/** Starts the server process and waits until it takes connections. */
async function launch(
  binaries: Binaries,
  data: string,
  user: SystemUser | undefined,
  settings: Readonly<Record<string, string>>,
  log: (line: string) => void,
  name: string,
): Promise<Launched> {
  const first = await attempt(binaries, data, user, settings, log);
  if (first.kind === 'ready') return first.launched;
  // A silent log hides why the server ended. No session can exist before it is ready, so a second attempt may
  // say it; should that one come up (the cause was passing), it is stopped and started silently.
  const told = await attempt(binaries, data, user, { ...settings, log_min_messages: 'fatal' }, log);
  if (told.kind === 'failed') {
    throw (
      startFailure(data, told.output) ??
      new ClarusError('58000', `the ${name} does not start on ${data}`, {
        hint: 'look at the log lines above',
      })
    );
  }
  await told.launched.stop();
  const again = await attempt(binaries, data, user, settings, log);
  if (again.kind === 'ready') return again.launched;
  throw new ClarusError('58000', `the ${name} does not stay up on ${data}`, {
    hint: 'look at the log of the system',
  });
}

type Attempt =
  | { readonly kind: 'ready'; readonly launched: Launched }
  | { readonly kind: 'failed'; readonly output: string };

async function attempt(
  binaries: Binaries,
  data: string,
  user: SystemUser | undefined,
  settings: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<Attempt> {
  const parameters = Object.entries(settings).flatMap(([setting, value]) => ['-c', `${setting}=${value}`]);
  const child = spawn(binaries.postgres, ['-D', data, ...ownerSetting(), ...parameters], {
    ...cluster.identity(user),
    cwd: data,
    env: cluster.serverEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true, // Ctrl-C reaches Clarus alone, which drains before it stops the server
  });
  let output = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => {
    output = (output + text).slice(-8192);
    for (const line of text.split('\n')) if (line !== '') log(line);
  });
  let over = false;
  const ended = new Promise<void>(done => {
    child.once('error', error => {
      output += error.message;
      over = true;
      done();
    });
    child.once('close', () => {
      over = true;
      done();
    });
  });
  const pid = child.pid;
  if (pid === undefined) {
    await ended;
    return { kind: 'failed', output };
  }
  keepNoOrphan(child, ended);
  const deadline = Date.now() + startTimeout_ms;
  while (!over && !(await isReady(data, pid))) {
    if (Date.now() > deadline) {
      child.kill('SIGQUIT');
      await ended;
      return {
        kind: 'failed',
        output: `${output}\nFATAL:  not ready after ${startTimeout_ms / 1000} seconds`,
      };
    }
    await sleep(5);
  }
  if (over) return { kind: 'failed', output };
  return { kind: 'ready', launched: { pid, ended, stop: () => stopChild(child, ended, () => over) } };
}

/** Whether postmaster.pid says that the server takes connections (its eighth line, as pg_ctl reads it). */
async function isReady(data: string, pid: number): Promise<boolean> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

async function stopChild(child: ChildProcess, ended: Promise<void>, isOver: () => boolean): Promise<void> {
  for (const [signal, patience_ms] of [
    ['SIGINT', 30_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    if (isOver()) return;
    child.kill(signal);
    const timer = new AbortController();
    await Promise.race([
      ended,
      sleep(patience_ms, undefined, { signal: timer.signal }).catch(() => undefined),
    ]);
    timer.abort();
  }
  await ended;
}

const running = new Set<ChildProcess>();
const endings = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Stops our servers when this process ends, also by a signal that nobody handles. */
function keepNoOrphan(child: ChildProcess, ended: Promise<void>): void {
  if (running.size === 0) {
    process.on('exit', stopAll);
    for (const signal of endings) process.on(signal, stopAllUnlessHandled);
  }
  running.add(child);
  void ended.then(() => {
    running.delete(child);
    if (running.size > 0) return;
    process.off('exit', stopAll);
    for (const signal of endings) process.off(signal, stopAllUnlessHandled);
  });
}

function stopAll(): void {
  for (const child of running) if (child.pid !== undefined) signalProcess(child.pid, 'SIGINT');
}

/** Ends as the signal would have without our listener; where somebody else listens, ending is their business. */
function stopAllUnlessHandled(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  stopAll();
  process.off(signal, stopAllUnlessHandled);
  process.kill(process.pid, signal);
}
