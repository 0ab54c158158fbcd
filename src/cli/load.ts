/** Reads clarus.yaml, the secrets it refers to, and the root key. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseRootKey } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';
import { parseConfig } from '../policy/parse.js';
import type { Config, SecretReference, ServerPassword } from '../policy/policy.js';

/**
 * @throws ConfigError with file, line and column; ClarusError when the file is missing
 */
export function loadConfig(path: string): Config {
  const file = resolve(path);
  if (!existsSync(file))
    throw new ClarusError('F0000', `there is no configuration file ${file}`, {
      hint: '"clarus init" writes one',
    });
  if (statSync(file).isDirectory())
    throw new ClarusError('F0000', `${file} is a directory`, { hint: 'Name a file with --config.' });
  return parseConfig(readFileSync(file, 'utf8'), file);
}

/**
 * The secret behind a reference.
 * @throws ClarusError naming the reference, never the secret
 */
export function resolveSecret(reference: ServerPassword | SecretReference): string {
  switch (reference.kind) {
    case 'url':
      return reference.password;
    case 'env': {
      const value = process.env[reference.name];
      if (value === undefined)
        throw new ClarusError('F0000', `the environment variable ${reference.name} is not set`, {
          hint: 'set it, or refer to a file with file:PATH',
        });
      return value;
    }
    case 'file': {
      if (!existsSync(reference.path))
        throw new ClarusError('F0000', `the secret file ${reference.path} does not exist`);
      return readFileSync(reference.path, 'utf8').replace(/\r?\n$/, '');
    }
  }
}

/**
 * The root key.
 * @throws ClarusError when it is missing, malformed, or a file that others may read
 */
export function loadRootKey({ trusted: { key } }: Config): Uint8Array {
  if (key.kind === 'env') return parseRootKey(resolveSecret(key), `the environment variable ${key.name}`);
  if (!existsSync(key.path))
    throw new ClarusError('F0000', `the root key ${key.path} is missing`, {
      hint: 'put it back from your copy; for a new installation "clarus init" makes one',
    });
  if ((statSync(key.path).mode & 0o077) !== 0)
    throw new ClarusError('F0000', `the root key ${key.path} can be read by others`, {
      hint: `chmod 600 ${key.path}`,
    });
  return parseRootKey(readFileSync(key.path, 'utf8'), key.path);
}
