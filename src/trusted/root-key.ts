/**
 * What the trusted side makes of the root key for itself, each under a purpose of its own (HKDF): passwords of
 * roles, the key of lease records, the proof that a root key is the right one. docs/spec/state.md writes them down.
 */
import { deriveKey, rootKeyFingerprint, unwrapKey, wrapKey } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';

/** A root key that unwraps this is the right one. */
const checkConstant = Buffer.from('clarus/1 root key check constant');

/** Password of a local user's role on the trusted PostgreSQL. */
export const rolePassword = (root: Uint8Array, user: string): string =>
  Buffer.from(deriveKey(root, `clarus/1 role${user}`)).toString('hex');

/** Password of the superuser of an embedded trusted PostgreSQL. */
export const superuserPassword = (root: Uint8Array): string =>
  Buffer.from(deriveKey(root, 'clarus/1 superuser')).toString('hex');

/** Key of the records of leases in a cloud. */
export const leaseKey = (root: Uint8Array): Uint8Array => deriveKey(root, 'clarus/1 leases');

/** What the trusted database keeps to know its root key again. */
export const rootKeyCheck = (root: Uint8Array): Buffer => Buffer.from(wrapKey(root, checkConstant));

/** Undefined when `root` is not the key it was wrapped with, or a byte was changed. */
function unwrapped(root: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  try {
    return unwrapKey(root, wrapped);
  } catch (error) {
    if (error instanceof ClarusError) return undefined;
    throw error;
  }
}

/**
 * @param known fingerprint and check value that the trusted database keeps
 * @throws ClarusError 28000 when `root` is another key
 */
export function mustBeRootKey(
  root: Uint8Array,
  known: { readonly fingerprint: string; readonly check: Uint8Array },
): void {
  const found = unwrapped(root, known.check);
  if (found !== undefined && checkConstant.equals(found)) return;
  throw wrongRootKey(root, known.fingerprint);
}

/** @param expected fingerprint of the right key, where it is known */
export function wrongRootKey(root: Uint8Array, expected?: string): ClarusError {
  const wanted = expected === undefined ? '' : `, whose fingerprint is ${expected}`;
  return new ClarusError(
    '28000',
    `the root key (fingerprint ${rootKeyFingerprint(root)}) is not the one of this trusted database${wanted}`,
    {
      severity: 'FATAL',
      hint: 'Put the right key where trusted.key says; without it the data cannot be read.',
    },
  );
}

/**
 * @param what for the message, such as `of table 7`
 * @throws ClarusError XX001 when the key was wrapped with another root key, or changed
 */
export function mustUnwrap(root: Uint8Array, wrapped: Uint8Array, what: string): Uint8Array {
  const key = unwrapped(root, wrapped);
  if (key !== undefined) return key;
  throw new ClarusError('XX001', `the wrapped key ${what} does not open with this root key`, {
    hint: 'The trusted database is damaged: restore it from a backup.',
  });
}
