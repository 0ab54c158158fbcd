// AES-256-GCM over many cells (NIST SP 800-38D), all but the AES calls: counter blocks before, the rest after.
//
// GHASH as a sum of powers. Over the blocks A (associated data), C1 .. Cn and L (lengths) it is
//   A*H^(n+2) + C1*H^(n+1) + ... + Cn*H^2 + L*H,
// where each term is a public block times a secret power: look-ups indexed by public bytes (field.as). Horner's form
// would index tables by intermediate sums, which are secret. Values of more than 6 blocks are cut, from the end,
// into groups of 8 terms over H^1 .. H^8; the sum of a group is secret, so its weight H^(8g) is multiplied branch-free.
import { addProductOfLast, multiply, tabulate, times } from './field';
import {
  BLOCKS, BLOCKS_MAX, FOLDED, HASH_KEY, MASKS, OFFSETS, PLAIN, PREFIX, RESULT, RESULT_OFFSETS, ROWS, SCRATCH, SEALED,
  SEALED_BYTES_MAX, SKIP, TABLES, VALUE_BLOCKS_MAX, WEIGHTS,
} from './memory';

/** Bytes of a cell beside the value: header 4, nonce 12, tag 16. */
export const OVERHEAD: u32 = 32;
@inline const FORMAT: u32 = 0xc1;
/** Values of at most this many blocks need no group but the first. */
@inline const SHORT_BLOCKS: u32 = 6;
@inline const SHORT_BYTES: u32 = SHORT_BLOCKS * 16;

/** Writes the constants; called once. */
export function start(): void {
  v128.store(MASKS, i64x2.splat(-1));
  v128.store(MASKS, i64x2.splat(0), 16);
}

/** Writes the table of H^exponent; H stands at HASH_KEY. */
export function buildTable(table: usize, exponent: i32): void {
  v128.store(SCRATCH, v128.load(HASH_KEY));
  for (let i = 1; i < exponent; i++) multiply(HASH_KEY, SCRATCH, SCRATCH);
  tabulate(SCRATCH, table);
}

@inline function blocksOf(length: u32): u32 {
  return (length + 15) >> 4;
}

/** Whether a value of `blocks` blocks must wait for the next piece, or is too long for any. */
@inline function overflows(at: usize, blocks: u32): bool {
  return blocks > <u32>VALUE_BLOCKS_MAX || at + (<usize>blocks << 4) >= BLOCKS + (<usize>BLOCKS_MAX << 4);
}

/** Counter blocks of one cell: J0 = nonce || 1 for the tag, then nonce || 2 ... for the value. */
@inline function counters(nonce: v128, blocks: u32, at: usize): usize {
  v128.store(at, i32x4.replace_lane(nonce, 3, 0x01000000));
  at += 16;
  for (let counter: u32 = 2; counter <= blocks + 1; counter++, at += 16)
    v128.store(at, i32x4.replace_lane(nonce, 3, bswap(counter)));
  return at;
}

@inline function result(at: usize, shortest: u32, longest: u32, uniform: bool): void {
  store<u32>(RESULT, <u32>(at - BLOCKS) >> 4);
  store<u32>(RESULT, shortest, 4);
  store<u32>(RESULT, longest, 8);
  store<u32>(RESULT, uniform, 12);
}

/** The first four bytes of a cell, in memory order: format, epoch, length of the whole cell modulo 251. */
@inline function header(epoch: u32, length: u32): u32 {
  return FORMAT | ((epoch >> 8) << 8) | ((epoch & 0xff) << 16) | (((length + OVERHEAD) % 251) << 24);
}

/** What the counters functions return below 0. */
export const WRONG_HEADER: i32 = -1;
export const OTHER_EPOCH: i32 = -2;
export const WRONG_ROW: i32 = -3;
export const WRONG_OFFSETS: i32 = -4;

/**
 * Makes u64 of the row ids at ROWS, two at a time: each half of a row id, plus 2^52, has its bits in the lower half
 * of the double.
 * @returns whether all are integers from 0 to 2^53 - 1
 */
@inline function convertRows(count: i32): bool {
  const half = f64x2.splat(4294967296.0);
  const halfInverse = f64x2.splat(1.0 / 4294967296.0);
  const magic = f64x2.splat(4503599627370496.0);
  const highMax = f64x2.splat(2097151.0);
  const zero = i64x2.splat(0);
  const lower = i64x2.splat(0xffffffff);
  let misfits = zero;
  if (count & 1) store<u64>(ROWS + (<usize>count << 3), 0);
  for (let at = ROWS, end = ROWS + (<usize>count << 3); at < end; at += 16) {
    const id = v128.load(at);
    const high = f64x2.floor(f64x2.mul(id, halfInverse));
    const low = f64x2.sub(id, f64x2.mul(high, half));
    v128.store(at, v128.or(i64x2.shl(f64x2.add(high, magic), 32), v128.and(f64x2.add(low, magic), lower)));
    const outside = v128.or(f64x2.lt(high, zero), f64x2.gt(high, highMax));
    misfits = v128.or(misfits, v128.or(outside, f64x2.ne(f64x2.floor(low), low)));
  }
  return !v128.any_true(misfits);
}

/** What `commonLength` returns when there is none. */
@inline const NO_LENGTH: u32 = u32.MAX_VALUE;

/** The length of all `count` values at OFFSETS, or NO_LENGTH; so where there are none. */
function commonLength(count: i32): u32 {
  if (count == 0) return NO_LENGTH;
  const length = load<u32>(OFFSETS, 4) - load<u32>(OFFSETS);
  const lengths = i32x4.splat(length);
  let at = OFFSETS;
  const end = OFFSETS + (<usize>count << 2);
  let differences = i64x2.splat(0);
  for (; at + 16 <= end; at += 16)
    differences = v128.or(differences, v128.xor(i32x4.sub(v128.load(at, 4), v128.load(at)), lengths));
  if (v128.any_true(differences)) return NO_LENGTH;
  for (; at < end; at += 4) if (load<u32>(at, 4) - load<u32>(at) != length) return NO_LENGTH;
  return length;
}

/** No piece has a longer value or cell: a greater length is that of offsets that descend. */
@inline const LENGTH_MAX: u32 = SEALED_BYTES_MAX;

/** How many of `count` values of `blocks` blocks make one piece. */
@inline function fitting(count: i32, blocks: u32): i32 {
  return blocks > <u32>VALUE_BLOCKS_MAX ? 0 : min(count, BLOCKS_MAX / (<i32>blocks + 1));
}

/**
 * Counter blocks of as many of the `count` values at OFFSETS as make one piece, with the nonces at `nonces`.
 * @param nullable whether SKIP must be looked at
 * @returns how many values; 0: the first is too long for the kernel; or WRONG_ROW; or WRONG_OFFSETS
 */
export function sealCounters(count: i32, nonces: usize, nullable: bool): i32 {
  if (!convertRows(count)) return WRONG_ROW;
  const common = nullable ? NO_LENGTH : commonLength(count);
  let at = BLOCKS;
  if (common != NO_LENGTH) {
    if (common > LENGTH_MAX) return WRONG_OFFSETS;
    const blocks = blocksOf(common);
    const taken = fitting(count, blocks);
    for (let i = 0; i < taken; i++, nonces += 12) at = counters(v128.load(nonces), blocks, at);
    result(at, common, common, true);
    return taken;
  }
  let shortest: u32 = u32.MAX_VALUE;
  let longest: u32 = 0;
  let from = load<u32>(OFFSETS);
  let taken = 0;
  for (; taken < count; taken++, nonces += 12) {
    const to = load<u32>(OFFSETS + (<usize>taken << 2), 4);
    if (load<u8>(SKIP + taken)) {
      if (to != from) return WRONG_OFFSETS;
    } else {
      const length = to - from;
      if (length > LENGTH_MAX) return WRONG_OFFSETS;
      const blocks = blocksOf(length);
      if (overflows(at, blocks)) break;
      shortest = min(shortest, length);
      longest = max(longest, length);
      at = counters(v128.load(nonces), blocks, at);
    }
    from = to;
  }
  result(at, shortest, longest, false);
  return taken;
}

/**
 * Checks the heads of the cells at SEALED and writes the counter blocks of as many as make one piece.
 * @param nullable whether SKIP must be looked at
 * @returns how many cells; 0: the first is too long for the kernel; WRONG_ROW; WRONG_OFFSETS; WRONG_HEADER;
 *   OTHER_EPOCH when the only fault is that a cell is of another epoch than `epoch`
 */
export function openCounters(count: i32, epoch: u32, nullable: bool): i32 {
  if (!convertRows(count)) return WRONG_ROW;
  const common = nullable ? NO_LENGTH : commonLength(count);
  let at = BLOCKS;
  let cell = SEALED;
  let wrong: u32 = 0;
  if (common != NO_LENGTH) {
    if (common > LENGTH_MAX) return WRONG_OFFSETS;
    if (common < OVERHEAD) return WRONG_HEADER;
    const length = common - OVERHEAD;
    const blocks = blocksOf(length);
    const taken = fitting(count, blocks);
    const right = i32x4.replace_lane(i64x2.splat(0), 0, header(epoch, length));
    let differences = i64x2.splat(0);
    for (let i = 0; i < taken; i++, cell += common) {
      const head = v128.load(cell);
      differences = v128.or(differences, v128.xor(head, right));
      at = counters(i32x4.shuffle(head, head, 1, 2, 3, 0), blocks, at);
    }
    result(at, length, length, true);
    wrong = i32x4.extract_lane(differences, 0);
    return checked(wrong, taken);
  }
  let shortest: u32 = u32.MAX_VALUE;
  let longest: u32 = 0;
  let from = load<u32>(OFFSETS);
  let taken = 0;
  for (; taken < count; taken++) {
    const to = load<u32>(OFFSETS + (<usize>taken << 2), 4);
    if (load<u8>(SKIP + taken)) {
      if (to != from) return WRONG_OFFSETS;
    } else {
      if (to - from > LENGTH_MAX) return WRONG_OFFSETS;
      if (to - from < OVERHEAD) return WRONG_HEADER;
      const length = to - from - OVERHEAD;
      const blocks = blocksOf(length);
      if (overflows(at, blocks)) break;
      shortest = min(shortest, length);
      longest = max(longest, length);
      const head = v128.load(cell);
      wrong |= i32x4.extract_lane(head, 0) ^ header(epoch, length);
      at = counters(i32x4.shuffle(head, head, 1, 2, 3, 0), blocks, at);
      cell += to - from;
    }
    from = to;
  }
  result(at, shortest, longest, false);
  return checked(wrong, taken);
}

/** What `openCounters` returns for the differences of headers from what they must be. */
@inline function checked(wrong: u32, taken: i32): i32 {
  return wrong & 0xff0000ff ? WRONG_HEADER : wrong ? OTHER_EPOCH : taken;
}

@inline function table(exponent: u32): usize {
  return load<u32>(TABLES + (<usize>exponent << 2));
}

@inline function mask(length: u32): v128 {
  return v128.load(MASKS + 16 - <usize>length);
}

/** Associated data block: PREFIX, then the row id, big endian. */
@inline function associatedData(row: u64): v128 {
  return i64x2.replace_lane(i64x2.splat(load<u64>(PREFIX)), 1, bswap(row));
}

/** Length block: 128 bits of associated data, `length` bytes of ciphertext. */
@inline function lengths(length: u32): v128 {
  return i64x2.replace_lane(i64x2.splat(0x8000000000000000), 1, bswap(<u64>length << 3));
}

/** Forgets the folded parts of another column, for values of `shortest` to `longest` bytes. */
@inline function forgetFolded(shortest: u32, longest: u32): void {
  for (let length = shortest; length <= longest; length++) store<u64>(FOLDED + (<usize>length << 5), u64.MAX_VALUE, 16);
}

/** What does not change between neighbours of one length: associated data but its last four bytes, and lengths. */
@inline function folded(rowHigh: u64, length: u32, blocks: u32): v128 {
  const at = FOLDED + (<usize>length << 5);
  if (load<u64>(at, 16) != rowHigh) {
    const sum = times(table(blocks + 2), associatedData(rowHigh << 32));
    v128.store(at, v128.xor(sum, times(table(1), lengths(length))));
    store<u64>(at, rowHigh, 16);
  }
  return v128.load(at);
}

/** How values go through the kernel. */
@inline const SEAL = 0;
@inline const OPEN = 1;

/**
 * out = in ^ keystream, and `sum` plus the terms of the ciphertext, for at most SHORT_BLOCKS blocks. Whole blocks are
 * read and written: up to 15 bytes beyond the value.
 */
@inline function cryptShort(
  direction: i32, sum: v128, from: usize, keystream: usize, to: usize, blocks: u32, lastTable: usize, lastMask: v128,
): v128 {
  if (blocks == 0) return sum;
  for (let exponent = blocks + 1; exponent > 2; exponent--, from += 16, keystream += 16, to += 16) {
    const read = v128.load(from);
    const written = v128.xor(read, v128.load(keystream, 16));
    v128.store(to, written);
    sum = v128.xor(sum, times(table(exponent), direction == SEAL ? written : read));
  }
  const read = v128.load(from);
  const written = v128.xor(read, v128.load(keystream, 16));
  v128.store(to, written);
  return v128.xor(sum, times(lastTable, v128.and(direction == SEAL ? written : read, lastMask)));
}

/** out = in ^ keystream, and the GHASH, for more blocks. Term number `index`, counted from the end, is in group `index / 8`. */
function cryptLong(
  direction: i32, row: u64, from: usize, keystream: usize, to: usize, length: u32, blocks: u32,
): v128 {
  let sum = i64x2.splat(0);
  let group = i64x2.splat(0);
  let block = associatedData(row);
  for (let index = blocks + 1; index > 0; index--) {
    group = v128.xor(group, times(table((index & 7) + 1), block));
    if ((index & 7) == 0) {
      v128.store(SCRATCH, group);
      multiply(SCRATCH, WEIGHTS + ((<usize>index >> 3) - 1) * 16, SCRATCH);
      sum = v128.xor(sum, v128.load(SCRATCH));
      group = i64x2.splat(0);
    }
    if (index == 1) break;
    const read = v128.load(from);
    const written = v128.xor(read, v128.load(keystream, 16));
    v128.store(to, written);
    block = direction == SEAL ? written : read;
    if (index == 2) block = v128.and(block, mask(length - ((blocks - 1) << 4)));
    from += 16;
    keystream += 16;
    to += 16;
  }
  return v128.xor(v128.xor(sum, group), times(table(1), lengths(length)));
}

/** Writes the weights H^8 .. H^(8 * groups) for `cryptLong`. */
function writeWeights(groups: u32): void {
  const h8 = table(8) + (0x80 << 4);
  v128.store(WEIGHTS, v128.load(h8));
  for (let i: usize = 1; i < groups; i++) multiply(h8, WEIGHTS + 16 * (i - 1), WEIGHTS + 16 * i);
}

/**
 * Seals the values at PLAIN to SEALED (direction SEAL), or opens the cells at SEALED to PLAIN (OPEN), with the
 * encrypted counter blocks at BLOCKS. What follows from the length is kept while neighbours have the same.
 * @param uniform all values have one length and none is NULL; then lengths and NULLs are not looked at
 * @param base added to the offsets written at RESULT_OFFSETS
 * @returns not all zero when a tag at SEALED is not the one computed (OPEN)
 */
@inline function pass(direction: i32, uniform: bool, count: i32, nonces: usize, epoch: u32, base: u32): v128 {
  const overhead: u32 = direction == OPEN ? OVERHEAD : 0;
  const lastTable = table(2);
  let keystream = BLOCKS;
  let cell = SEALED;
  let value = PLAIN;
  let difference = i64x2.splat(0);
  let length: u32 = u32.MAX_VALUE;
  let blocks: u32 = 0;
  let lastMask = difference;
  let rowTable: usize = 0;
  let fixed = difference;
  let fixedRow: u64 = u64.MAX_VALUE;
  let start: u32 = 0;
  let from: u32 = 0;
  if (!uniform) from = load<u32>(OFFSETS);
  store<u32>(RESULT_OFFSETS, base);
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2;
    let to: u32 = 0;
    if (!uniform) to = load<u32>(OFFSETS + at, 4);
    if (uniform || !load<u8>(SKIP + i)) {
      if (uniform ? i == 0 : to - from - overhead != length) {
        length = uniform ? load<u32>(RESULT, 4) : to - from - overhead;
        blocks = blocksOf(length);
        lastMask = mask(length - ((blocks - 1) << 4));
        if (blocks <= SHORT_BLOCKS) rowTable = table(blocks + 2);
        if (direction == SEAL) start = header(epoch, length);
      }
      const row = load<u64>(ROWS + (<usize>i << 3));
      let hash: v128;
      if (blocks <= SHORT_BLOCKS) {
        if (!uniform) {
          hash = addProductOfLast(folded(row >> 32, length, blocks), rowTable, <u32>row);
        } else {
          if (row >> 8 != fixedRow) {
            fixedRow = row >> 8;
            fixed = addProductOfLast(folded(row >> 32, length, blocks), rowTable, <u32>row & 0xffffff00);
          }
          hash = v128.xor(fixed, v128.load(rowTable + ((<usize>row << 4) & 0xff0), 0xf000));
        }
        hash = direction == SEAL
          ? cryptShort(SEAL, hash, value, keystream, cell + 16, blocks, lastTable, lastMask)
          : cryptShort(OPEN, hash, cell + 16, keystream, value, blocks, lastTable, lastMask);
      } else {
        hash = direction == SEAL
          ? cryptLong(SEAL, row, value, keystream, cell + 16, length, blocks)
          : cryptLong(OPEN, row, cell + 16, keystream, value, length, blocks);
      }
      const tag = v128.xor(hash, v128.load(keystream));
      if (direction == SEAL) {
        const nonce = v128.load(nonces + <usize>i * 12);
        v128.store(cell, i32x4.replace_lane(i32x4.shuffle(nonce, nonce, 3, 0, 1, 2), 0, start));
        v128.store(cell + 16 + length, tag);
      } else {
        difference = v128.or(difference, v128.xor(tag, v128.load(cell + 16 + length)));
      }
      keystream += (<usize>blocks + 1) << 4;
      value += length;
      cell += length + OVERHEAD;
    }
    store<u32>(RESULT_OFFSETS + at, base + <u32>(direction == SEAL ? cell - SEALED : value - PLAIN), 4);
    from = to;
  }
  return difference;
}

/** Makes ready what all cells of a piece share. Returns whether the piece is uniform. */
function prepare(): bool {
  const shortest = load<u32>(RESULT, 4);
  const longest = load<u32>(RESULT, 8);
  forgetFolded(shortest, min(longest, SHORT_BYTES));
  if (longest > SHORT_BYTES) writeWeights((blocksOf(longest) + 1) >> 3);
  return load<u32>(RESULT, 12) != 0;
}

/** Seals the values at PLAIN to SEALED. */
export function seal(count: i32, nonces: usize, epoch: u32, base: u32): void {
  if (prepare()) pass(SEAL, true, count, nonces, epoch, base);
  else pass(SEAL, false, count, nonces, epoch, base);
}

/**
 * Opens the cells at SEALED to PLAIN. Nothing at PLAIN may be used unless the result is 0.
 * @returns 0 when every tag is right; compared without a branch, all cells are gone through in any case
 */
export function open(count: i32, base: u32): i32 {
  const difference = prepare() ? pass(OPEN, true, count, 0, 0, base) : pass(OPEN, false, count, 0, 0, base);
  return i32(v128.any_true(difference));
}
