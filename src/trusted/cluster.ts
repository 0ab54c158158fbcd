/** The data directory of an embedded server: made by initdb, checked and owned by the right user before use. */
import { execFile } from 'node:child_process';
import {
  access,
  chmod,
  chown,
  constants,
  lchown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ClarusError } from '../errors.js';
import type { Binaries } from './binaries.js';
import { startFailure } from './start-failure.js';
import { closedTo, type SystemUser } from './unprivileged.js';

/** Encoding and locale of a new data directory. */
export interface Locale {
  readonly provider: 'builtin' | 'libc' | 'icu';
  /** name in the provider's own words: `C.UTF-8`, `de_DE.UTF-8`, `de-DE` */
  readonly name: string;
  readonly encoding: string;
}

/** What a new data directory is made with. */
export interface ClusterOptions {
  readonly superuser: string;
  readonly password: string;
  readonly locale: Locale | undefined;
  /** false: no flush to disk; only for data that may be lost */
  readonly durable: boolean;
}

/**
 * Makes `directory` and lets `user` pass through it.
 * @throws ClarusError 42501 when a directory above is closed to `user`
 */
export async function prepareDirectory(directory: string, user: SystemUser | undefined): Promise<void> {
  await mkdir(directory, { recursive: true, mode: user === undefined ? 0o700 : 0o711 }).catch(
    (error: Error) => {
      throw startFailure(directory, error.message) ?? error;
    },
  );
  if (user === undefined) {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK).catch((error: Error) => {
      throw startFailure(directory, error.message) ?? error;
    });
    return;
  }
  const { mode } = await stat(directory);
  if ((mode & 0o001) === 0) await chmod(directory, (mode & 0o777) | 0o011);
  const closed = await closedTo(user, directory);
  if (closed === undefined) return;
  throw new ClarusError(
    '42501',
    `PostgreSQL runs as user "${user.name}", who cannot reach ${directory}: ${closed} is closed to others`,
    {
      hint: `choose a directory such as /var/lib/clarus, or run Clarus as a user other than root, or: chmod o+x ${closed}`,
    },
  );
}

/** Major version that a data directory was made by, or undefined when there is none yet. */
export async function clusterMajor(data: string): Promise<number | undefined> {
  const text = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

/**
 * Makes a data directory. Works beside it and renames at the end, so that a crash never leaves half of one
 * under the final name, and of two processes that begin at once one wins.
 */
export async function initialise(
  directory: string,
  data: string,
  binaries: Binaries,
  user: SystemUser | undefined,
  options: ClusterOptions,
): Promise<void> {
  const unfinished = join(directory, `initialising-${process.pid}`);
  const passwordFile = join(unfinished, 'password');
  await removeUnfinished(directory);
  await mkdir(unfinished, { mode: 0o700 });
  try {
    await writeFile(passwordFile, options.password, { mode: 0o600 });
    if (user !== undefined) {
      await chown(unfinished, user.uid, user.gid);
      await chown(passwordFile, user.uid, user.gid);
    }
    await promisify(execFile)(
      binaries.initdb,
      [
        ...['--pgdata', join(unfinished, 'data'), '--username', options.superuser, '--pwfile', passwordFile],
        ...['--auth', 'scram-sha-256', '--no-instructions', '--lc-messages=C'],
        ...localeArguments(options.locale, binaries.major),
        ...(options.durable ? [] : ['--no-sync']),
      ],
      { ...identity(user), cwd: directory, env: serverEnvironment() },
    );
    await rename(join(unfinished, 'data'), data);
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    throw startFailure(directory, `${output}\n${error instanceof Error ? error.message : ''}`) ?? error;
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** Takes away what an initialisation left that was killed. */
async function removeUnfinished(directory: string): Promise<void> {
  for (const entry of await readdir(directory)) {
    const pid = /^initialising-(\d+)$/.exec(entry)?.[1];
    if (pid === undefined) continue;
    const running = await stat(`/proc/${pid}`).catch(() => undefined);
    if (running === undefined || Number(pid) === process.pid)
      await rm(join(directory, entry), { recursive: true, force: true });
  }
}

function localeArguments(locale: Locale | undefined, major: number): readonly string[] {
  const encoding = `--encoding=${locale?.encoding ?? 'UTF8'}`;
  const libc = process.platform === 'linux' ? 'C.UTF-8' : 'C';
  if (locale === undefined || locale.provider === 'builtin') {
    const name = locale?.name ?? 'C.UTF-8';
    if (major < 17) return [encoding, `--locale=${name}`];
    return [encoding, `--locale=${libc}`, '--locale-provider=builtin', `--builtin-locale=${name}`];
  }
  if (locale.provider === 'icu') {
    return [encoding, `--locale=${libc}`, '--locale-provider=icu', `--icu-locale=${locale.name}`];
  }
  return [encoding, `--locale=${locale.name}`, ...(major < 15 ? [] : ['--locale-provider=libc'])];
}

/**
 * Makes a data directory belong to the account that will run the server: one that was copied back from a
 * backup often belongs to whoever copied it.
 * @throws ClarusError 42501 when it belongs to another user and we may not change that
 */
export async function takeOwnership(data: string, user: SystemUser | undefined): Promise<void> {
  const owner = (await stat(data)).uid;
  if (user === undefined) {
    if (process.getuid === undefined || owner === process.getuid()) return chmod(data, 0o700);
    throw new ClarusError('42501', `the data directory ${data} belongs to another user (${owner})`, {
      hint: `run Clarus as that user, or: chown -R ${process.getuid()} ${data}`,
    });
  }
  if (owner !== user.uid) await ownTree(data, user);
  await chmod(data, 0o700);
}

async function ownTree(path: string, user: SystemUser): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await ownTree(child, user);
    else await lchown(child, user.uid, user.gid);
  }
  await lchown(path, user.uid, user.gid);
}

/** Options of `spawn` for a process of `user`. */
export const identity = (user: SystemUser | undefined): { uid?: number; gid?: number } =>
  user === undefined ? {} : { uid: user.uid, gid: user.gid };

/** Environment of the server: none of our own variables, which may hold secrets or PostgreSQL settings (PG...). */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const { PATH, TZ, TMPDIR } = process.env;
  return { ...(PATH ? { PATH } : {}), ...(TZ ? { TZ } : {}), ...(TMPDIR ? { TMPDIR } : {}), LC_ALL: 'C' };
}
