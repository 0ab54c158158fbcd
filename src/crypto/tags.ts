/**
 * Equality tags: AES-256-CMAC (RFC 4493, NIST SP 800-38B) of whole columns, 16 bytes each.
 *
 * CMAC is CBC-MAC with a masked last block. All messages of a batch advance together, a block at a time, so that
 * each step is one native ECB call; most canonical forms are one block, and one call then does the column.
 */
import { aesKey } from './aes-key.js';
import { type CanonicalColumn, type TagColumn, tags } from './column.js';

const block_bytes = 16;
/** Messages of one step: their blocks stay in the L2 cache. */
const piece_messages = 4_096;

/**
 * @param key 32 bytes; the same array for the same key, as it is made ready once
 * @returns tags of 16 bytes; NULL stays NULL
 */
export function tagColumn(key: Uint8Array, values: CanonicalColumn): TagColumn {
  const { length, nulls } = values;
  const offsets = new Uint32Array(length + 1);
  let present = 0;
  for (let i = 0; i < length; i++) {
    if (!nulls?.[i]) present++;
    offsets[i + 1] = present * block_bytes;
  }
  const data = new Uint8Array(present * block_bytes);
  const indexes = new Uint32Array(present);
  for (let i = 0, k = 0; i < length; i++) if (!nulls?.[i]) indexes[k++] = i;
  const ready = aesKey(key);
  const whole = doubled(ready.zeroEncrypted);
  const subkeys: Subkeys = { whole, padded: doubled(whole) };
  for (let first = 0; first < present; first += piece_messages)
    macPiece(
      ready,
      subkeys,
      values,
      indexes.subarray(first, first + piece_messages),
      data.subarray(first * block_bytes),
    );
  return tags({ length, data, offsets, nulls: nulls?.slice(0, length) });
}

interface Subkeys {
  readonly whole: Uint8Array;
  readonly padded: Uint8Array;
}

/** Subkey generation (RFC 4493 section 2.3): multiplication by x in GF(2^128), without a branch on the bits. */
function doubled(block: Uint8Array): Uint8Array {
  const out = new Uint8Array(block_bytes);
  let carry = 0;
  for (let i = block_bytes - 1; i >= 0; i--) {
    const byte = block[i]!;
    out[i] = (byte << 1) | carry;
    carry = byte >> 7;
  }
  out[block_bytes - 1]! ^= 0x87 & -carry;
  return out;
}

function macPiece(
  key: ReturnType<typeof aesKey>,
  subkeys: Subkeys,
  { data, offsets }: CanonicalColumn,
  indexes: Uint32Array,
  out: Uint8Array,
): void {
  const count = indexes.length;
  // Messages still being worked on, with the state of each in `states`.
  let active = Uint32Array.from({ length: count }, (_, k) => k);
  let states: Uint8Array = new Uint8Array(count * block_bytes);
  for (let step = 0; active.length > 0; step++) {
    const last: boolean[] = [];
    for (let a = 0; a < active.length; a++) {
      const i = indexes[active[a]!]!;
      const from = offsets[i]! + step * block_bytes;
      const left = offsets[i + 1]! - from;
      const at = a * block_bytes;
      const isLast = left <= block_bytes;
      last.push(isLast);
      const take = isLast ? left : block_bytes;
      for (let k = 0; k < take; k++) states[at + k]! ^= data[from + k]!;
      if (!isLast) continue;
      if (take < block_bytes) states[at + take]! ^= 0x80;
      const mask = take === block_bytes ? subkeys.whole : subkeys.padded;
      for (let k = 0; k < block_bytes; k++) states[at + k]! ^= mask[k]!;
    }
    const encrypted = key.encrypt(states.subarray(0, active.length * block_bytes));
    const rest: number[] = [];
    for (let a = 0; a < active.length; a++) {
      if (last[a]) copyBlock(encrypted, a, out, active[a]!);
      else rest.push(a);
    }
    const next = new Uint8Array(rest.length * block_bytes);
    rest.forEach((a, k) => {
      copyBlock(encrypted, a, next, k);
    });
    active = Uint32Array.from(rest, a => active[a]!);
    states = next;
  }
}

function copyBlock(source: Uint8Array, from: number, target: Uint8Array, to: number): void {
  for (let k = 0; k < block_bytes; k++) target[to * block_bytes + k] = source[from * block_bytes + k]!;
}
