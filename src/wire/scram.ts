/**
 * SCRAM-SHA-256 (RFC 5802, RFC 7677): what both sides share, and the verifier a server keeps.
 */
import { createHash, createHmac, pbkdf2, pbkdf2Sync, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { ClarusError } from '../errors.js';
import { passwordBytes } from './saslprep.js';

/** Mechanisms spoken here; PLUS binds the exchange to the TLS channel. */
export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';

/** PostgreSQL's default (scram_iterations). */
export const defaultIterations = 4096;
/** More than this a server may not ask of us: it would be a way to keep our processor busy. */
export const iterationsMax = 1_000_000;
const hash_bytes = 32;
const salt_bytes = 16;
/** as many as PostgreSQL takes (SCRAM_RAW_NONCE_LEN) */
const nonce_bytes = 18;

/** What a server keeps instead of a password (RFC 5802 section 3). */
export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** Keys that a client derives from the password. */
export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
}

/** Makes the verifier of a password. Takes about a millisecond: PBKDF2 is slow on purpose. */
export function makeVerifier(
  password: string,
  options: { iterations?: number; salt?: Uint8Array } = {},
): ScramVerifier {
  const iterations = options.iterations ?? defaultIterations;
  const salt = Buffer.from(options.salt ?? randomBytes(salt_bytes));
  const salted = pbkdf2Sync(passwordBytes(password), salt, iterations, hash_bytes, 'sha256');
  const { clientKey, serverKey } = keysOf(salted);
  return { iterations, salt, storedKey: sha256(clientKey), serverKey };
}

/**
 * A verifier for a user that does not exist: it looks like any other, the same for each name, and no password
 * fits it, so that an exchange does not tell who exists (as mock_scram_secret in PostgreSQL's auth-scram.c).
 * @param secret random bytes of this installation, the same over restarts
 */
export function mockVerifier(user: string, secret: Uint8Array): ScramVerifier {
  const salt = hmac(secret, Buffer.from(user, 'utf8')).subarray(0, salt_bytes);
  const key = (): Buffer => randomBytes(hash_bytes);
  return { iterations: defaultIterations, salt, storedKey: key(), serverKey: key() };
}

/** Writes a verifier as PostgreSQL stores it: `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`. */
export function formatVerifier(verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  return `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;
}

/** Reads a verifier as PostgreSQL stores it. @returns undefined when the text is not one */
export function parseVerifier(text: string): ScramVerifier | undefined {
  const parts =
    /^SCRAM-SHA-256\$([1-9][0-9]{0,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/.exec(text);
  if (parts === null) return undefined;
  const [salt, storedKey, serverKey] = parts.slice(2).map(part => Buffer.from(part, 'base64'));
  if (storedKey!.length !== hash_bytes || serverKey!.length !== hash_bytes) return undefined;
  return { iterations: Number(parts[1]), salt: salt!, storedKey: storedKey!, serverKey: serverKey! };
}

const pbkdf2Async = promisify(pbkdf2);

/** Derives a client's keys, off this thread. */
export async function deriveKeys(password: string, salt: Uint8Array, iterations: number): Promise<ScramKeys> {
  return keysOf(await pbkdf2Async(passwordBytes(password), salt, iterations, hash_bytes, 'sha256'));
}

const keysOf = (salted: Buffer): ScramKeys => ({
  clientKey: hmac(salted, Buffer.from('Client Key')),
  serverKey: hmac(salted, Buffer.from('Server Key')),
});

/** A nonce: printable, no comma (RFC 5802 section 5.1). */
export const makeNonce = (): string => base64(randomBytes(nonce_bytes));

/** Bytes in base64. */
export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
/** H() of RFC 5802. */
export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
/** HMAC() of RFC 5802. */
export const hmac = (key: Uint8Array, data: Uint8Array | string): Buffer =>
  createHmac('sha256', key).update(data).digest();

/** The exclusive or of two keys of equal length. */
export function xor(a: Uint8Array, b: Uint8Array): Buffer {
  const result = Buffer.alloc(a.length);
  for (let i = 0; i < a.length; i++) result[i] = a[i]! ^ b[i]!;
  return result;
}

/** Decodes base64 strictly: undefined where Node's lenient decoder would skip or stop. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return text.length > 0 && base64(bytes) === text ? bytes : undefined;
}

/**
 * Takes a SCRAM message apart: `a=1,b=2` as pairs in order.
 * @throws ClarusError FATAL 08P01 when it is none
 */
export function attributesOf(message: string): readonly (readonly [string, string])[] {
  return message.split(',').map(part => {
    if (!/^[A-Za-z]=/.test(part)) throw malformedScram('attribute expected');
    return [part[0]!, part.slice(2)] as const;
  });
}

/** A SCRAM message that does not keep to RFC 5802. */
export const malformedScram = (detail: string): ClarusError =>
  new ClarusError('08P01', 'malformed SCRAM message', { severity: 'FATAL', detail });
