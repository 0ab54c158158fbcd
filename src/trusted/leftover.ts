/**
 * Servers that an earlier Clarus left behind: a postmaster.pid without a server after a power cut, or a server
 * whose Clarus was killed. Both are made safe before a new server starts on the same data directory.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ClarusError } from '../errors.js';

/**
 * Stops a server that runs on `data` without an owner, and clears a postmaster.pid that names a stranger.
 *
 * A server's owner is the process that started it and its parent. The kernel hands a child to another parent
 * when its own dies, so `parent = the owner it was started with` proves that the owner lives: no lock file that
 * a crash leaves behind, and no process number that another program may have taken over.
 * @throws ClarusError 55006 when a living Clarus (or somebody else) runs a server on this directory
 */
export async function clearLeftover(data: string, log: (line: string) => void): Promise<void> {
  const lock = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => undefined);
  const server = lock === undefined ? 0 : Number.parseInt(lock, 10);
  const alive = await isAlive(server);
  if (alive && (await worksIn(server, data))) {
    await refuseOwned(server, data);
    log(`stopping the PostgreSQL server ${server} that a killed Clarus left running`);
    await stopProcess(server);
  }
  await untilEmpty(data);
  // A number that another program has now keeps PostgreSQL from starting. Of a number that is free it clears the
  // file itself, and looks for shared memory that is still in use first.
  if (alive || isTaken(server)) await rm(join(data, 'postmaster.pid'), { force: true });
}

/** @throws ClarusError 55006 when the server's owner lives, or it has none that we know */
async function refuseOwned(server: number, data: string): Promise<void> {
  const owner = await ownerOf(data);
  if (owner !== undefined && owner !== (await parentOf(server))) return;
  throw new ClarusError('55006', `another server (process ${server}) runs on ${data}`, {
    hint:
      owner === undefined
        ? `stop it first: kill -INT ${server}`
        : `it belongs to the Clarus with process number ${owner}: stop that first`,
  });
}

/**
 * Clears the lock files of sockets, which name a process too, once no server works in `data`.
 * @param sockets a directory that only this server uses
 */
export async function clearSocketLocks(data: string, sockets: string): Promise<void> {
  if (await anyWorksIn(data)) return;
  for (const entry of await readdir(sockets))
    if (entry.startsWith('.s.PGSQL.')) await rm(join(sockets, entry), { force: true });
}

/**
 * Waits for the processes of a server that was killed: they notice, and end.
 * @throws ClarusError 55006 when one stays
 */
async function untilEmpty(data: string): Promise<void> {
  for (let waited_ms = 0; await anyWorksIn(data); waited_ms += 20) {
    if (waited_ms >= 20_000)
      throw new ClarusError('55006', `a process of a killed PostgreSQL server still works in ${data}`, {
        hint: `look for it with: fuser ${data}`,
      });
    await sleep(20);
  }
}

/** Settings with which a server tells a later Clarus who owns it. */
export const ownerSetting = (): readonly string[] => ['-c', `clarus.owner=${process.pid}`];

/**
 * Stops a server that is not our child: fast, then at once (recovery follows at the next start).
 * @throws ClarusError 55006 when it survives both
 */
async function stopProcess(server: number): Promise<void> {
  for (const [signal, patience_ms] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 2_000],
  ] as const) {
    if (!signalProcess(server, signal)) return;
    for (let waited_ms = 0; waited_ms < patience_ms; waited_ms += 10) {
      if (!(await isAlive(server))) return;
      await sleep(10);
    }
  }
  throw new ClarusError('55006', `the PostgreSQL server ${server} does not stop`, {
    hint: `stop it by hand: kill ${server}`,
  });
}

/** Sends a signal; false when the process is gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    if (error instanceof Error && 'code' in error && error.code === 'EPERM') return true;
    throw error;
  }
}

/** Whether the system still knows the number, be it of a process that has ended and was not collected. */
const isTaken = (pid: number): boolean => pid > 0 && signalProcess(pid, 0);

/** Whether a process runs. One that has ended but whose parent has not collected it (a zombie) does not. */
async function isAlive(pid: number): Promise<boolean> {
  if (!isTaken(pid)) return false;
  return process.platform !== 'linux' || (await statusOf(pid))?.[0] !== 'Z';
}

/** Fields of a process from the third on: state, parent ... (proc(5)). The second, its name, may hold anything. */
async function statusOf(pid: number): Promise<readonly string[] | undefined> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status?.slice(status.lastIndexOf(')') + 2).split(' ');
}

/** Whether a process works in a directory, as PostgreSQL's processes do in their data directory. */
async function worksIn(pid: number, directory: string): Promise<boolean> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'comm=', '-p', String(pid)]).catch(() => ({
      stdout: '',
    }));
    return stdout.includes('postgres');
  }
  const workingDirectory = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
  return workingDirectory === (await realpath(directory));
}

async function anyWorksIn(directory: string): Promise<boolean> {
  if (process.platform !== 'linux') return false;
  for (const entry of await readdir('/proc')) {
    if (/^\d+$/.test(entry) && (await worksIn(Number(entry), directory))) return true;
  }
  return false;
}

/** The owner that a running server was started with; PostgreSQL keeps its arguments in postmaster.opts. */
async function ownerOf(data: string): Promise<number | undefined> {
  const options = await readFile(join(data, 'postmaster.opts'), 'utf8').catch(() => '');
  const owner = /clarus\.owner=(\d+)/.exec(options);
  return owner === null ? undefined : Number(owner[1]);
}

async function parentOf(pid: number): Promise<number | undefined> {
  if (process.platform === 'linux') {
    const parent = (await statusOf(pid))?.[1];
    return parent === undefined ? undefined : Number(parent);
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'ppid=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.trim() === '' ? undefined : Number(stdout);
}
