/**
 * Keys (docs/spec/keys.md). A root key only wraps one random key per table and per domain (AES-KWP); the keys that
 * protect values are derived below these (HKDF-SHA-256).
 */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { ClarusError } from '../errors.js';

/** Bytes of the root key and of every key below it. */
export const key_bytes = 32;
/** Alternative initial value of AES-KWP (RFC 5649 section 3), its length field left to the cipher. */
const initialValue = Buffer.from('A65959A6', 'hex');

/**
 * HKDF-SHA-256 with an empty salt (RFC 5869 section 2.2).
 * @param key 32 bytes
 * @param info text is taken as UTF-8
 * @returns 32 bytes
 */
export function deriveKey(key: Uint8Array, info: string | Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), info, key_bytes));
}

/** Key of the cells of a column under an epoch: info `clarus/1 cell` || uint16 column || uint16 epoch. */
export function deriveCellKey(tableKey: Uint8Array, column: number, epoch: number): Uint8Array {
  const numbers = Buffer.alloc(4);
  numbers.writeUInt16BE(column, 0);
  numbers.writeUInt16BE(epoch, 2);
  return deriveKey(tableKey, Buffer.concat([Buffer.from('clarus/1 cell'), numbers]));
}

/** Key of a domain for a purpose: info `clarus/1 ` || purpose, e.g. `tag`. */
export const deriveDomainKey = (domainKey: Uint8Array, purpose: string): Uint8Array =>
  deriveKey(domainKey, `clarus/1 ${purpose}`);

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

/**
 * Reads a root key: 64 hexadecimal digits, white space around them aside.
 * @throws ClarusError when it is anything else; the text is not repeated
 */
export function parseRootKey(text: string): Uint8Array {
  const digits = text.trim();
  if (!/^[0-9a-f]{64}$/i.test(digits))
    throw new ClarusError('F0000', 'the root key is not 64 hexadecimal digits', {
      hint: 'put it back from your copy',
    });
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
