/** kill -9 of PostgreSQL servers. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Process of the server of a data directory; undefined: none runs. */
function postmaster(dataDirectory: string): number | undefined {
  const file = join(dataDirectory, 'postmaster.pid');
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : Number.NaN;
  return Number.isInteger(pid) && existsSync(`/proc/${pid}`) ? pid : undefined;
}

const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Is it there, and more than an entry that its parent has not read? */
const runs = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/**
 * kill -9 of a server with all its processes, at once. Its lock files go, because where nobody reads how the process
 * ended the next server takes it for one that runs.
 */
export async function killServer(dataDirectory: string): Promise<void> {
  const main = postmaster(dataDirectory);
  if (main === undefined) return;
  const all = [main, ...childrenOf(main)];
  // lines of the file: process, data directory, start, port, directory of the socket
  const lock = join(dataDirectory, 'postmaster.pid');
  const [, , , port = '', sockets = ''] = readFileSync(lock, 'utf8').split('\n');
  const locks = [lock, join(sockets, `.s.PGSQL.${port}.lock`)];
  for (const pid of all) kill(pid);
  while (all.some(runs)) await delay(5);
  for (const file of locks) rmSync(file, { force: true });
}

/** kill -9 of one process that serves a client; the server starts anew by itself. @returns false: there is none */
export function killBackend(dataDirectory: string, pick: <T>(from: readonly T[]) => T): boolean {
  const main = postmaster(dataDirectory);
  const backends =
    main === undefined
      ? []
      : childrenOf(main).filter(
          pid => /clarus|hospital|mixed/.test(titleOf(pid)) && !/worker|launcher/.test(titleOf(pid)),
        );
  if (backends.length > 0) kill(pick(backends));
  return backends.length > 0;
}

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
