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
  if (lock === undefined) return;
  const server = Number.parseInt(lock, 10);
  if (!isAlive(server)) return; // PostgreSQL itself clears this case, and looks for orphaned backends first
  if (!(await worksIn(server, data))) {
    if (!(await anyWorksIn(data))) await rm(join(data, 'postmaster.pid'), { force: true });
    return;
  }
  const owner = await ownerOf(data);
  const parent = await parentOf(server);
  if (owner === undefined || owner === parent) {
    throw new ClarusError('55006', `another server (process ${server}) runs on ${data}`, {
      hint:
        owner === undefined
          ? `stop it first: kill -INT ${server}`
          : `it belongs to the Clarus with process number ${owner}: stop that first`,
    });
  }
  log(`stopping the PostgreSQL server ${server} that a killed Clarus left running`);
  await stopProcess(server);
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
      if (!isAlive(server)) return;
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

const isAlive = (pid: number): boolean => pid > 0 && signalProcess(pid, 0);

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
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    // the second field is the program's name in parentheses and may hold anything; the parent is the fourth
    return status === undefined ? undefined : Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]);
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'ppid=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout.trim() === '' ? undefined : Number(stdout);
}
