/**
 * The user that PostgreSQL runs as. PostgreSQL refuses to run as root, so a Clarus that is root hands its
 * servers to an unprivileged user, who must be able to reach the binaries and the data.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ClarusError } from '../errors.js';

/** An account of the operating system, by number. */
export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * The account to run a PostgreSQL server as: undefined when we are unprivileged ourselves, else `postgres`,
 * else `nobody`.
 * @throws ClarusError 55000 as root on a system that has neither
 */
export async function unprivilegedUser(): Promise<SystemUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const wanted of ['postgres', 'nobody']) {
    for (const line of accounts.split('\n')) {
      const [name, , uid, gid] = line.split(':');
      if (name === wanted && Number(uid) > 0) return { name, uid: Number(uid), gid: Number(gid) };
    }
  }
  throw new ClarusError(
    '55000',
    'PostgreSQL does not run as root, and there is no user "postgres" or "nobody"',
    {
      hint: 'add a system user named postgres, or run Clarus as a user other than root',
    },
  );
}

/**
 * The first directory on the way to `path` (itself included) that `user` may not pass, or undefined. Looks at
 * owner, group and mode; access control lists are not considered.
 * @param path may end in directories that do not exist yet: these do not count
 */
export async function closedTo(user: SystemUser, path: string): Promise<string | undefined> {
  const ancestors: string[] = [];
  for (let directory = resolve(path); ; directory = dirname(directory)) {
    ancestors.unshift(directory);
    if (directory === dirname(directory)) break;
  }
  for (const directory of ancestors) {
    const status = await stat(directory).catch(() => undefined);
    if (status === undefined) return undefined;
    const bit = status.uid === user.uid ? 0o100 : status.gid === user.gid ? 0o010 : 0o001;
    if (status.isDirectory() && (status.mode & bit) === 0) return directory;
  }
  return undefined;
}
