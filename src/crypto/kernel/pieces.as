// What goes through the kernel at once: as many values or cells as make one piece, without the NULLs among them; row
// ids and offsets of the results; and the counter blocks that AES makes keystream of (NIST SP 800-38D section 7.1).
import {
  BLOCKS, BLOCKS_MAX, OFFSETS, RESULT, RESULT_OFFSETS, ROWS, SEALED, SEALED_BYTES_MAX, SKIP, VALUE_BLOCKS_MAX,
} from './memory';

/** Bytes of a cell beside the value: header 4, nonce 12, tag 16. */
export const OVERHEAD: u32 = 32;
@inline const FORMAT: u32 = 0xc1;

/** AES blocks of a value. */
@inline export function blocksOf(length: u32): u32 {
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

/** The same for a value of one block, with fewer instructions. */
@inline function counterPair(nonce: v128, at: usize): usize {
  const bits = v128.and(nonce, i32x4(-1, -1, -1, 0));
  v128.store(at, v128.or(bits, i32x4(0, 0, 0, 0x01000000)));
  v128.store(at, v128.or(bits, i32x4(0, 0, 0, 0x02000000)), 16);
  return at + 32;
}

@inline function result(at: usize, shortest: u32, longest: u32, cells: i32): void {
  store<u32>(RESULT, <u32>(at - BLOCKS) >> 4);
  store<u32>(RESULT, shortest, 4);
  store<u32>(RESULT, longest, 8);
  store<u32>(RESULT, cells, 12);
}

/** The first four bytes of a cell, in memory order: format, epoch, length of the whole cell modulo 251. */
@inline function header(epoch: u32, length: u32): u32 {
  return FORMAT | ((epoch >> 8) << 8) | ((epoch & 0xff) << 16) | (((length + OVERHEAD) % 251) << 24);
}

/** The nonce in the head of a cell, with other bytes after it. */
@inline function nonceOf(head: v128): v128 {
  return i32x4.shuffle(head, head, 1, 2, 3, 0);
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
 * Writes the offsets of the results of all `count` values, and takes NULLs out of OFFSETS and ROWS.
 * @param growth bytes that a result is longer than what it is made of
 * @returns how many values are left, or WRONG_OFFSETS
 */
function layOut(count: i32, nullable: bool, base: u32, growth: u32): i32 {
  let from = load<u32>(OFFSETS);
  if (!nullable) {
    let shift = i32x4.add(i32x4.splat(base - from), i32x4.mul(i32x4(0, 1, 2, 3), i32x4.splat(growth)));
    for (let at: usize = 0; at <= <usize>count << 2; at += 16) {
      v128.store(RESULT_OFFSETS + at, i32x4.add(v128.load(OFFSETS + at), shift));
      shift = i32x4.add(shift, i32x4.splat(growth << 2));
    }
    return count;
  }
  let kept = 0;
  let nullBytes: u32 = 0;
  for (let i = 0; i < count; i++) {
    const to = load<u32>(OFFSETS + (<usize>i << 2), 4);
    const isNull = i32(load<u8>(SKIP + i) != 0);
    nullBytes |= (to - from) & -isNull;
    store<u32>(RESULT_OFFSETS + (<usize>i << 2), base);
    store<u32>(OFFSETS + (<usize>kept << 2), from);
    store<u64>(ROWS + (<usize>kept << 3), load<u64>(ROWS + (<usize>i << 3)));
    base += to - from + (growth & (isNull - 1));
    kept += 1 - isNull;
    from = to;
  }
  store<u32>(RESULT_OFFSETS + (<usize>count << 2), base);
  store<u32>(OFFSETS + (<usize>kept << 2), from);
  return nullBytes ? WRONG_OFFSETS : kept;
}

/** The index among all values, NULLs included, of the one after `taken` that are not NULL. */
function indexAfter(taken: i32, count: i32, nullable: bool): i32 {
  if (!nullable) return taken;
  let i = 0;
  for (; i < count; i++) {
    if (load<u8>(SKIP + i)) continue;
    if (taken == 0) break;
    taken--;
  }
  return i;
}

/** Writes the head of a cell: header and nonce. */
@inline function writeHead(cell: usize, start: u32, nonce: v128): void {
  v128.store(cell, i32x4.shuffle(i32x4.splat(start), nonce, 3, 4, 5, 6));
}

/**
 * Counter blocks of as many of the `count` values at OFFSETS as make one piece, with the nonces at `nonces`, and the
 * heads of their cells.
 * @param nullable whether SKIP must be looked at
 * @param base what the offsets of the results are counted from
 * @returns how many values; 0: the first is too long for the kernel; or WRONG_ROW; or WRONG_OFFSETS
 */
export function sealCounters(count: i32, nullable: bool, base: u32, nonces: usize, epoch: u32): i32 {
  if (!convertRows(count)) return WRONG_ROW;
  const present = layOut(count, nullable, base, OVERHEAD);
  if (present < 0) return present;
  const common = commonLength(present);
  let at = BLOCKS;
  let cell = SEALED;
  let taken = 0;
  if (common != NO_LENGTH) {
    if (common > LENGTH_MAX) return WRONG_OFFSETS;
    const blocks = blocksOf(common);
    taken = fitting(present, blocks);
    const start = header(epoch, common);
    if (blocks == 1) for (let i = 0; i < taken; i++, nonces += 12, cell += common + OVERHEAD) {
      const nonce = v128.load(nonces);
      writeHead(cell, start, nonce);
      at = counterPair(nonce, at);
    }
    else for (let i = 0; i < taken; i++, nonces += 12, cell += common + OVERHEAD) {
      const nonce = v128.load(nonces);
      writeHead(cell, start, nonce);
      at = counters(nonce, blocks, at);
    }
    result(at, common, common, taken);
  } else {
    let shortest: u32 = u32.MAX_VALUE;
    let longest: u32 = 0;
    let from = load<u32>(OFFSETS);
    for (; taken < present; taken++, nonces += 12) {
      const to = load<u32>(OFFSETS + (<usize>taken << 2), 4);
      const length = to - from;
      if (length > LENGTH_MAX) return WRONG_OFFSETS;
      const blocks = blocksOf(length);
      if (overflows(at, blocks)) break;
      shortest = min(shortest, length);
      longest = max(longest, length);
      const nonce = v128.load(nonces);
      writeHead(cell, header(epoch, length), nonce);
      at = counters(nonce, blocks, at);
      cell += length + OVERHEAD;
      from = to;
    }
    result(at, shortest, longest, taken);
  }
  return taken == present ? count : indexAfter(taken, count, nullable);
}

/**
 * Checks the heads of the cells at SEALED and writes the counter blocks of as many as make one piece.
 * @param nullable whether SKIP must be looked at
 * @param base what the offsets of the results are counted from
 * @returns how many cells; 0: the first is too long for the kernel; WRONG_ROW; WRONG_OFFSETS; WRONG_HEADER;
 *   OTHER_EPOCH when the only fault is that a cell is of another epoch than `epoch`
 */
export function openCounters(count: i32, nullable: bool, base: u32, epoch: u32): i32 {
  if (!convertRows(count)) return WRONG_ROW;
  const present = layOut(count, nullable, base, -OVERHEAD);
  if (present < 0) return present;
  const common = commonLength(present);
  let at = BLOCKS;
  let cell = SEALED;
  let wrong: u32 = 0;
  let taken = 0;
  if (common != NO_LENGTH) {
    if (common > LENGTH_MAX) return WRONG_OFFSETS;
    if (common < OVERHEAD) return WRONG_HEADER;
    const length = common - OVERHEAD;
    const blocks = blocksOf(length);
    taken = fitting(present, blocks);
    const right = i32x4.replace_lane(i64x2.splat(0), 0, header(epoch, length));
    let differences = i64x2.splat(0);
    if (blocks == 1) for (let i = 0; i < taken; i++, cell += common) {
      const head = v128.load(cell);
      differences = v128.or(differences, v128.xor(head, right));
      at = counterPair(nonceOf(head), at);
    }
    else for (let i = 0; i < taken; i++, cell += common) {
      const head = v128.load(cell);
      differences = v128.or(differences, v128.xor(head, right));
      at = counters(nonceOf(head), blocks, at);
    }
    result(at, length, length, taken);
    wrong = i32x4.extract_lane(differences, 0);
  } else {
    let shortest: u32 = u32.MAX_VALUE;
    let longest: u32 = 0;
    let from = load<u32>(OFFSETS);
    for (; taken < present; taken++) {
      const to = load<u32>(OFFSETS + (<usize>taken << 2), 4);
      if (to - from > LENGTH_MAX) return WRONG_OFFSETS;
      if (to - from < OVERHEAD) return WRONG_HEADER;
      const length = to - from - OVERHEAD;
      const blocks = blocksOf(length);
      if (overflows(at, blocks)) break;
      shortest = min(shortest, length);
      longest = max(longest, length);
      const head = v128.load(cell);
      wrong |= i32x4.extract_lane(head, 0) ^ header(epoch, length);
      at = counters(nonceOf(head), blocks, at);
      cell += to - from;
      from = to;
    }
    result(at, shortest, longest, taken);
  }
  if (wrong) return wrong & 0xff0000ff ? WRONG_HEADER : OTHER_EPOCH;
  return taken == present ? count : indexAfter(taken, count, nullable);
}
