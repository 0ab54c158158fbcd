/** Who owns a directory: one living Clarus at a time. What a killed one left running is stopped first. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClarusError } from '../errors.js';

/**
 * @returns what gives the directory free again
 * @throws ClarusError 55006 when another living process owns it
 */
export function claimDirectory(directory: string): () => void {
  const file = join(directory, 'owner.pid');
  const mine = `${process.pid} ${startTime(process.pid) ?? ''}`;
  for (;;) {
    try {
      writeFileSync(file, mine, { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid, started] = readFileSync(file, 'utf8').split(' ');
    const owner = Number(pid);
    if (owner > 0 && isAlive(owner) && startTime(owner) === (started || undefined))
      throw new ClarusError('55006', `${directory} is in use by another Clarus (process ${owner})`, { hint: 'Stop it, or name another directory.' });
    rmSync(file, { force: true });
  }
  const release = (): void => {
    process.off('exit', release);
    if (existsSync(file) && readFileSync(file, 'utf8') === mine) rmSync(file, { force: true });
  };
  process.once('exit', release);
  return release;
}

/** Stops a server that still runs on a data directory whose Clarus is gone. */
export async function stopLeftOver(data: string): Promise<void> {
  const pidFile = join(data, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  if (!(pid > 0) || !isServerOf(pid, data)) return;
  process.kill(pid, 'SIGINT');
  for (let waited_ms = 0; isServerOf(pid, data); waited_ms += 20) {
    if (waited_ms === 20_000) process.kill(pid, 'SIGQUIT');
    await sleep(20);
  }
}

const isServerOf = (pid: number, data: string): boolean => {
  if (!isAlive(pid)) return false;
  const commandLine = `/proc/${pid}/cmdline`;
  if (process.platform !== 'linux' || !existsSync(commandLine)) return isAlive(pid);
  try {
    return readFileSync(commandLine, 'utf8').split('\0').includes(data);
  } catch {
    return false;
  }
};

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Start time of a process in clock ticks since boot (proc(5), field 22), so that a reused id is not mistaken. */
function startTime(pid: number): string | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
}
