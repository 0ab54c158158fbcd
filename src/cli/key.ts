/**
 * `clarus key rotate`: replaces the root key. The new key is on disk before the trusted database changes, which it
 * does in one transaction; whatever cuts the command short, calling it again ends what it began.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { openJournal } from '../audit/journal.js';
import { formatRootKey, parseRootKey, rootKeyFingerprint } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';
import type { Config } from '../policy/policy.js';
import { openTrusted, type Trusted } from '../trusted/open.js';
import { rewrapAll } from '../trusted/rotate-root.js';
import { type Invocation, UsageError } from './invocation.js';
import { loadConfig, loadRootKey, resolveSecret } from './load.js';
import { quietLog } from './log.js';

/**
 * Rotates the root key, while no Clarus runs.
 * @returns exit code 0
 * @throws UsageError for another word than `rotate`; ClarusError 55006 while a Clarus uses the trusted database,
 *   28000 when the key that is configured is not the one in force
 */
export async function main({ config: path, json, values, positionals }: Invocation): Promise<number> {
  if (positionals[0] !== 'rotate') throw new UsageError(`there is no "clarus key ${positionals[0]}"`);
  const config = loadConfig(path);
  const { key } = config.trusted;
  const oldRoot = loadRootKey(config);
  const given = typeof values['new-key'] === 'string' ? readKey(values['new-key']) : undefined;
  if (key.kind === 'env' && !given)
    throw new UsageError(
      `the root key stands in the environment variable ${key.name}: name the new one with --new-key env:NAME or file:PATH`,
    );
  const newRoot = given ?? keyFile(`${(key as { path: string }).path}.new`);
  if (rootKeyFingerprint(oldRoot) === rootKeyFingerprint(newRoot))
    throw new UsageError('the new root key is the one in force');
  await rotate(config, oldRoot, newRoot);
  const kept = key.kind === 'file' ? putInPlace(key.path, oldRoot, newRoot) : undefined;
  const [before, after] = [rootKeyFingerprint(oldRoot), rootKeyFingerprint(newRoot)];
  if (json) process.stdout.write(`${JSON.stringify({ before, after, kept })}\n`);
  else
    process.stdout.write(
      [
        `root key fingerprint: ${after}, before ${before}`,
        key.kind === 'file'
          ? `the new key is in ${key.path}; the old one is kept as ${kept}`
          : `set ${key.name} to the new key before the next start`,
        'Keep a copy of the new key elsewhere, and the old one as long as backups of the trusted database need it.',
        '',
      ].join('\n'),
    );
  return 0;
}

function readKey(reference: string): Uint8Array {
  const [, kind, rest] = /^(env|file):(.+)$/.exec(reference) ?? [];
  if (!rest) throw new UsageError('--new-key takes env:NAME or file:PATH');
  return kind === 'env'
    ? parseRootKey(resolveSecret({ kind, name: rest }), `the environment variable ${rest}`)
    : parseRootKey(resolveSecret({ kind: 'file', path: rest }), rest);
}

/** The key in a file, which is made where it is missing, and on disk when this returns. */
function keyFile(path: string): Uint8Array {
  if (!existsSync(path)) writeDurably(path, formatRootKey(Uint8Array.from(randomBytes(32))));
  return parseRootKey(readFileSync(path, 'utf8'), path);
}

function writeDurably(path: string, text: string): void {
  // Written beside and renamed: half a key is never found under the name.
  const file = openSync(`${path}~`, 'w', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}~`, path);
  syncDirectory(path);
}

function syncDirectory(path: string): void {
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Wraps everything anew, unless an earlier call has done so. */
async function rotate(config: Config, oldRoot: Uint8Array, newRoot: Uint8Array): Promise<void> {
  let trusted: Trusted;
  try {
    trusted = await openWith(config, oldRoot);
  } catch (error) {
    if ((error as { code?: string }).code !== '28000') throw error;
    // An earlier call was cut short after its transaction.
    await openWith(config, newRoot).then(
      opened => opened.close(),
      () => {
        throw error;
      },
    );
    return;
  }
  try {
    const { rowCount } = await trusted.state.query(
      "SELECT FROM clarus.workers WHERE heartbeat > clock_timestamp() - interval '10 s'",
    );
    if (rowCount)
      throw new ClarusError('55006', 'a proxy uses the trusted database now', {
        hint: 'Stop every "clarus run" first.',
      });
    await rewrapAll(trusted, oldRoot, newRoot);
  } finally {
    await trusted.close();
  }
  const journal = await openJournal({
    directory: join(config.trusted.directory, 'audit'),
    origin: 'key',
    level: config.audit,
  });
  journal.append({
    kind: 'key-changed',
    action: 're-wrapped',
    subject: `root key ${rootKeyFingerprint(oldRoot)} -> ${rootKeyFingerprint(newRoot)}`,
  });
  await journal.close();
}

const openWith = (config: Config, rootKey: Uint8Array): Promise<Trusted> =>
  openTrusted({
    trusted: config.trusted,
    rootKey,
    resolveSecret,
    onProblem: message => quietLog('warning', message),
  });

/** Puts the new key under the name of the old one, which stays beside. @returns its name there */
function putInPlace(path: string, oldRoot: Uint8Array, newRoot: Uint8Array): string {
  const kept = `${path}.${rootKeyFingerprint(oldRoot)}`;
  if (!existsSync(kept)) linkSync(path, kept);
  const next = `${path}.new`;
  writeDurably(next, formatRootKey(newRoot));
  renameSync(next, path);
  syncDirectory(path);
  return kept;
}
