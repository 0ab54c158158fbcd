/**
 * AES-256 keys made ready for batches: a cipher object that stays alive (0.4 us a call against 2 us for a new
 * one), AES(0), and the tables of powers of the GHASH key. Kept under limits; the least recently used goes first.
 */
import { type Cipher, createCipheriv } from 'node:crypto';
import { bytes, HASH_KEY, kernel, SECRETS, SLOT_BYTES, SLOTS, TABLES, TABLES_MAX, words } from './kernel.js';

/** Keys kept ready at once. */
export const KEYS_MAX = 1024;
/** Highest power of H that has a table. */
const exponent_max = 8;
const no_slot = -1;

/**
 * One key made ready.
 * @throws RangeError when the key has not 32 bytes, or was wiped (all zero)
 */
export class AesKey {
  /** a copy of the key: the caller's own bytes may change */
  readonly bytes: Uint8Array;
  /** AES of the zero block: H of GCM (SP 800-38D section 7.1), L of CMAC (RFC 4493 section 2.3) */
  readonly zeroEncrypted: Uint8Array;
  /** slot of the table of H^exponent, by exponent */
  readonly slots = new Int32Array(exponent_max + 1).fill(no_slot);
  lastUse = 0;
  readonly #cipher: Cipher;

  constructor(key: Uint8Array) {
    if (key.length !== 32) throw new RangeError(`an AES-256 key has 32 bytes, not ${key.length}`);
    this.bytes = new Uint8Array(key);
    if (this.bytes.reduce((bits, byte) => bits | byte, 0) === 0) throw new RangeError('the key was wiped');
    this.#cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
    this.zeroEncrypted = new Uint8Array(this.encrypt(new Uint8Array(16)));
  }

  /** AES of each 16-byte block on its own (ECB): the raw block cipher that GCM and CMAC are made of. */
  encrypt(blocks: Uint8Array): Uint8Array {
    return this.#cipher.update(blocks);
  }

  /** Whether this key was made of these bytes; takes the same time wherever they differ. */
  isOf(key: Uint8Array): boolean {
    const own = this.bytes;
    let difference = key.length ^ 32;
    for (let i = 0; i < 32; i++) difference |= own[i]! ^ key[i]!;
    return difference === 0;
  }
}

const ready = new Map<Uint8Array, AesKey>();
/** Counts uses of keys and tables; a double counts to 2^53 */
let now = 0;

/**
 * The key made ready. Found by identity of the array, as key stores give the same array for the same key, and
 * checked against its contents, as an array may have been wiped or filled anew.
 * @param key 32 bytes
 */
export function aesKey(key: Uint8Array): AesKey {
  let found = ready.get(key);
  if (found === undefined || !found.isOf(key)) {
    const made = new AesKey(key);
    if (found !== undefined) forget(key, found);
    else if (ready.size >= KEYS_MAX) forgetOldest();
    ready.set(key, made);
    found = made;
  }
  found.lastUse = ++now;
  return found;
}

function forgetOldest(): void {
  let oldest: [Uint8Array, AesKey] | undefined;
  for (const entry of ready) if (oldest === undefined || entry[1].lastUse < oldest[1].lastUse) oldest = entry;
  if (oldest !== undefined) forget(...oldest);
}

function forget(key: Uint8Array, made: AesKey): void {
  ready.delete(key);
  for (const slot of made.slots) {
    if (slot === no_slot) continue;
    bytes.fill(0, SLOTS + slot * SLOT_BYTES, SLOTS + (slot + 1) * SLOT_BYTES);
    owners[slot] = undefined;
    lastUses[slot] = 0;
  }
  made.bytes.fill(0);
  made.zeroEncrypted.fill(0);
}

/**
 * Wipes what was made ready of a key, and what batches left in the kernel's memory; called before its bytes are wiped
 * where it must not be used again.
 */
export function forgetKey(key: Uint8Array): void {
  const found = ready.get(key);
  if (found === undefined) return;
  forget(key, found);
  for (const [from, to] of SECRETS) bytes.fill(0, from, to);
}

/** Whose table is in a slot, of which power, and when it was used last (0: free). */
const owners: (AesKey | undefined)[] = new Array(TABLES_MAX).fill(undefined);
const exponents = new Uint8Array(TABLES_MAX);
const lastUses = new Float64Array(TABLES_MAX);

/**
 * Points the kernel at the tables it needs for values of up to `blocks` blocks, and builds those that are missing
 * (1 us each).
 */
export function loadTables(key: AesKey, blocks: number): void {
  const highest = Math.min(blocks + 2, exponent_max);
  for (let exponent = 1; exponent <= highest; exponent++) {
    let slot = key.slots[exponent]!;
    if (slot === no_slot) slot = build(key, exponent);
    lastUses[slot] = now;
    words[(TABLES >> 2) + exponent] = SLOTS + slot * SLOT_BYTES;
  }
}

function build(key: AesKey, exponent: number): number {
  let slot = 0;
  for (let i = 1; i < TABLES_MAX; i++) if (lastUses[i]! < lastUses[slot]!) slot = i;
  const owner = owners[slot];
  if (owner !== undefined) owner.slots[exponents[slot]!] = no_slot;
  bytes.set(key.zeroEncrypted, HASH_KEY);
  kernel.buildTable(SLOTS + slot * SLOT_BYTES, exponent);
  bytes.fill(0, HASH_KEY, HASH_KEY + 16);
  owners[slot] = key;
  exponents[slot] = exponent;
  key.slots[exponent] = slot;
  return slot;
}
