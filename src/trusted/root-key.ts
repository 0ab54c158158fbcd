/**
 * The root key and what is made of it. It wraps the keys of tables and domains (AES-KWP) and derives, each under
 * a purpose of its own (HKDF), what the trusted side needs for itself: passwords of roles, the key of lease
 * records. It never protects a value. docs/spec/state.md writes every purpose down.
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { ClarusError } from '../errors.js';

/** Bytes of the root key and of every key below it. */
export const key_bytes = 32;
/** Alternative initial value of AES-KWP (RFC 5649 section 3), its length field left to the cipher. */
const initialValue = Buffer.from('A65959A6', 'hex');
/** A root key that unwraps this is the right one. */
const checkConstant = Buffer.from('clarus/1 root key check constant');

/**
 * HKDF-SHA-256 with an empty salt (RFC 5869 section 2.2).
 * @param key 32 bytes
 * @param purpose the info; text is taken as UTF-8
 * @returns 32 bytes
 */
export function deriveKey(key: Uint8Array, purpose: string | Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), purpose, key_bytes));
}

/**
 * Wraps a key (AES-256-KWP, RFC 5649, NIST SP 800-38F section 6.3).
 * @returns 40 bytes for a key of 32
 */
export function wrapKey(root: Uint8Array, key: Uint8Array): Buffer {
  const cipher = createCipheriv('id-aes256-wrap-pad', root, initialValue);
  return Buffer.concat([cipher.update(key), cipher.final()]);
}

/**
 * @returns undefined when `root` is not the key it was wrapped with, or a byte was changed
 */
export function unwrapKey(root: Uint8Array, wrapped: Uint8Array): Uint8Array | undefined {
  try {
    const cipher = createDecipheriv('id-aes256-wrap-pad', root, initialValue);
    const key = Buffer.concat([cipher.update(wrapped), cipher.final()]);
    const own = Uint8Array.from(key);
    key.fill(0);
    return own;
  } catch {
    return undefined;
  }
}

/** What a root key is called in messages: 16 hexadecimal digits that tell nothing about it. */
export const rootKeyFingerprint = (root: Uint8Array): string =>
  Buffer.from(deriveKey(root, 'clarus/1 fingerprint').subarray(0, 8)).toString('hex');

/** Password of a local user's role on the trusted PostgreSQL. */
export const rolePassword = (root: Uint8Array, user: string): string =>
  Buffer.from(deriveKey(root, `clarus/1 role${user}`)).toString('hex');

/** Password of the superuser of an embedded trusted PostgreSQL. */
export const superuserPassword = (root: Uint8Array): string =>
  Buffer.from(deriveKey(root, 'clarus/1 superuser')).toString('hex');

/** Key of the records of leases in a cloud. */
export const leaseKey = (root: Uint8Array): Uint8Array => deriveKey(root, 'clarus/1 leases');

/** What the trusted database keeps to know its root key again. */
export const rootKeyCheck = (root: Uint8Array): Buffer => wrapKey(root, checkConstant);

/**
 * @param known fingerprint and check value that the trusted database keeps
 * @throws ClarusError 28000 when `root` is another key
 */
export function mustBeRootKey(
  root: Uint8Array,
  known: { readonly fingerprint: string; readonly check: Uint8Array },
): void {
  const found = unwrapKey(root, known.check);
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
