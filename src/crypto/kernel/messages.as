// AES-CMAC over many messages (RFC 4493, NIST SP 800-38B), all but the AES calls: step k prepares block k of every
// message that has one, the caller encrypts all of them at once.
import { BLOCKS, MASKS, OFFSETS, PLAIN, PLAIN_BYTES_MAX, RESULT, RESULT_OFFSETS, ROWS, SEALED, SKIP, SUBKEYS } from './memory';

/** Bytes of a tag. */
export const TAG_BYTES: u32 = 16;

@inline function double(high: u64, low: u64, to: usize): void {
  const carry = 0 - (high >> 63);
  store<u64>(to, bswap((high << 1) | (low >> 63)));
  store<u64>(to, bswap((low << 1) ^ (carry & 0x87)), 8);
}

/** Makes the subkeys K1 and K2 at SUBKEYS of L = AES(0), which stands there. Branch-free (RFC 4493 section 2.3). */
export function deriveSubkeys(): void {
  double(bswap(load<u64>(SUBKEYS)), bswap(load<u64>(SUBKEYS, 8)), SUBKEYS);
  double(bswap(load<u64>(SUBKEYS)), bswap(load<u64>(SUBKEYS, 8)), SUBKEYS + 16);
}

/**
 * Lists the messages at OFFSETS and writes the offsets of their tags, counted from `base`. RESULT takes the number of
 * blocks of the longest.
 * @returns how many, or -1 when the offsets descend or a NULL has bytes
 */
export function listMessages(count: i32, base: u32): i32 {
  let active = 0;
  let longest: u32 = 0;
  for (let i = 0; i < count; i++) {
    store<u32>(RESULT_OFFSETS + (<usize>i << 2), base + (<u32>active << 4));
    const at = OFFSETS + (<usize>i << 2);
    const length = load<u32>(at, 4) - load<u32>(at);
    if (load<u8>(SKIP + i)) {
      if (length != 0) return -1;
      continue;
    }
    if (length > PLAIN_BYTES_MAX) return -1;
    store<u32>(ROWS + (<usize>active << 2), i);
    active++;
    longest = max(longest, length);
  }
  store<u32>(RESULT, max(1, (longest + 15) >> 4));
  store<u32>(RESULT_OFFSETS + (<usize>count << 2), base + (<u32>active << 4));
  return active;
}

/**
 * Takes the encrypted blocks at BLOCKS (of step `step - 1`) and puts there those of `step`, xored with the chain.
 * A message that had its last block gets its tag at SEALED and leaves the list.
 * @returns how many messages are left
 */
export function stepMessages(active: i32, step: u32, base: u32): i32 {
  const first = load<u32>(OFFSETS);
  const complete = v128.load(SUBKEYS);
  const padded = v128.load(SUBKEYS, 16);
  const done = step << 4;
  let left = 0;
  for (let a = 0; a < active; a++) {
    const i = load<u32>(ROWS + (<usize>a << 2));
    const at = <usize>i << 2;
    const from = load<u32>(OFFSETS + at);
    const length = load<u32>(OFFSETS + at, 4) - from;
    let block = i64x2.splat(0);
    if (step) {
      block = v128.load(BLOCKS + (<usize>a << 4));
      if (length <= done) {
        v128.store(SEALED + (load<u32>(RESULT_OFFSETS + at) - base), block);
        continue;
      }
    }
    const rest = length - done;
    const bytes = v128.load(PLAIN + (from - first) + done);
    block = v128.xor(block, rest > 16 ? bytes : lastBlock(bytes, rest, complete, padded));
    store<u32>(ROWS + (<usize>left << 2), i);
    v128.store(BLOCKS + (<usize>left << 4), block);
    left++;
  }
  return left;
}

/** RFC 4493 section 2.4, steps 4 and 5: K1 on a complete last block; 10* padding and K2 on a shorter one. */
@inline function lastBlock(bytes: v128, length: u32, complete: v128, padded: v128): v128 {
  if (length == 16) return v128.xor(bytes, complete);
  const kept = v128.load(MASKS + 16 - <usize>length);
  const kept1 = v128.load(MASKS + 15 - <usize>length);
  const end = v128.and(v128.andnot(kept1, kept), i8x16.splat(<i8>0x80));
  return v128.xor(v128.or(v128.and(bytes, kept), end), padded);
}
