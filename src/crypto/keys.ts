/**
 * Keys (docs/spec/keys.md): a root key that only wraps, random keys of tables and domains, and what is derived below
 * them.
 */
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomFillSync } from 'node:crypto';
import { ClarusError } from '../errors.js';

/** Bytes of every key. */
export const KEY_BYTES = 32;
/** RFC 5649 section 3: the constant half of the alternative initial value. */
const wrap_initial_value = Uint8Array.of(0xa6, 0x59, 0x59, 0xa6);

/** A fresh random 256-bit key: a table's or a domain's. */
export function generateKey(): Uint8Array {
  return randomFillSync(new Uint8Array(KEY_BYTES));
}

/**
 * Wraps a key with AES-256-KWP (RFC 5649, NIST SP 800-38F).
 * @param wrappingKey 32 bytes
 * @returns `key`, padded to 8 bytes, and 8 bytes more
 */
export function wrapKey(wrappingKey: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv('id-aes256-wrap-pad', wrappingKey, wrap_initial_value);
  return new Uint8Array(Buffer.concat([cipher.update(key), cipher.final()]));
}

/**
 * Unwraps what `wrapKey` made.
 * @throws ClarusError XX001 when it was changed or was wrapped under another key
 */
export function unwrapKey(wrappingKey: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('id-aes256-wrap-pad', wrappingKey, wrap_initial_value);
  try {
    // node:crypto says nothing of an empty input.
    if (wrapped.length < 16) throw new RangeError('too short');
    return joined(decipher.update(wrapped), decipher.final());
  } catch {
    throw new ClarusError('XX001', 'a wrapped key does not verify', {
      hint: 'The root key is not the one that wrapped it, or the stored key was changed.',
    });
  }
}

/** Joins the parts of a key in memory of its own, and wipes them. */
function joined(...parts: Uint8Array[]): Uint8Array {
  const key = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    key.set(part, at);
    at += part.length;
    part.fill(0);
  }
  return key;
}

/**
 * HKDF with SHA-256 (RFC 5869).
 * @param length_bytes at most 255 * 32
 */
export function hkdfSha256(
  key: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  length_bytes: number,
): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, salt, info, length_bytes));
}

/** Derives a key: no salt, as the key above is uniformly random (RFC 5869 section 3.1). */
function derive(key: Uint8Array, info: Uint8Array): Uint8Array {
  if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
  return hkdfSha256(key, new Uint8Array(0), info, KEY_BYTES);
}

/**
 * A key below another one, for a purpose.
 * @param info text is taken as UTF-8
 */
export const deriveKey = (key: Uint8Array, info: string | Uint8Array): Uint8Array =>
  derive(key, typeof info === 'string' ? text(info) : info);

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const cell_info = text('clarus/1 cell');

/**
 * Key of the cells of one column in one epoch.
 * @param tableKey the table's own key, 32 bytes
 * @param column the column's number in the catalogue, 1 .. 65535
 * @param epoch 1 .. 65535
 */
export function deriveCellKey(tableKey: Uint8Array, column: number, epoch: number): Uint8Array {
  for (const number of [column, epoch])
    if (!Number.isInteger(number) || number < 1 || number > 0xffff)
      throw new RangeError(`${number} is not a column number or an epoch`);
  const numbers = [column >> 8, column & 0xff, epoch >> 8, epoch & 0xff];
  return derive(tableKey, Uint8Array.of(...cell_info, ...numbers));
}

/**
 * Key of a domain for one purpose.
 * @param domainKey the domain's own key, 32 bytes
 * @param purpose lower case letters and hyphens: `tag` ...
 */
export function deriveDomainKey(domainKey: Uint8Array, purpose: string): Uint8Array {
  if (!/^[a-z-]+$/.test(purpose)) throw new RangeError('a purpose is made of lower case letters and hyphens');
  return derive(domainKey, text(`clarus/1 ${purpose}`));
}

/**
 * Reads a root key as files and variables hold it: 64 hexadecimal digits, white space around them.
 * @param where it was read from, for the message
 * @throws ClarusError F0000; the message does not repeat what was read
 */
export function parseRootKey(written: string, where: string): Uint8Array {
  const digits = written.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(digits))
    throw new ClarusError('F0000', `${where} holds no root key, which is 64 hexadecimal digits`, {
      detail: `What was read has ${digits.length} characters.`,
      hint: 'Take the key from its backup; "clarus init" writes a new one where there is none.',
    });
  return joined(Buffer.from(digits, 'hex'));
}

/** Writes a root key as `parseRootKey` reads it. */
export function formatRootKey(root: Uint8Array): string {
  return `${Buffer.from(root.buffer, root.byteOffset, root.length).toString('hex')}\n`;
}

/**
 * Tells root keys apart without giving them away.
 * @returns like `0f3a-99c1-77d0-4be2`
 */
export function rootKeyFingerprint(root: Uint8Array): string {
  const hash = createHash('sha256')
    .update(derive(root, text('clarus/1 fingerprint')))
    .digest('hex');
  return hash.slice(0, 16).replace(/(.{4})(?=.)/g, '$1-');
}
