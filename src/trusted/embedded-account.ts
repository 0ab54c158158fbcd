/** PostgreSQL refuses to run as root: it then runs as an unprivileged account of the machine. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ClarusError } from '../errors.js';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** @throws ClarusError when the account may not enter the directory */
  mustReach(directory: string): void;
  canExecute(file: string): boolean;
}

/** The account to run as, or undefined when we are not root. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const entries = readFileSync('/etc/passwd', 'utf8').split('\n').map(line => line.split(':'));
  const entry = entries.find(e => e[0] === 'postgres') ?? entries.find(e => e[0] === 'nobody');
  if (!entry) throw new ClarusError('58000', 'PostgreSQL may not run as root, and there is no account "postgres" or "nobody"', { hint: 'Run Clarus as an ordinary user.' });
  const account = { name: entry[0]!, uid: Number(entry[2]), gid: Number(entry[3]) };
  const test = (flag: string, path: string): boolean =>
    spawnSync('/bin/sh', ['-c', `test ${flag} "$0"`, path], { uid: account.uid, gid: account.gid, cwd: '/' }).status === 0;
  return {
    ...account,
    canExecute: file => test('-x', file),
    mustReach(directory) {
      if (test('-x', directory)) return;
      throw new ClarusError('42501', `the account "${account.name}", as which PostgreSQL runs, may not enter ${directory}`, {
        hint: 'Name a directory below one that everyone may enter (such as /var/lib), or run Clarus as an ordinary user.',
      });
    },
  };
}
