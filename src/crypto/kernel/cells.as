// AES-256-GCM over the cells of a piece (NIST SP 800-38D), once AES has made keystream of its counter blocks.
//
// GHASH as a sum of powers. Over the blocks A (associated data), C1 .. Cn and L (lengths) it is
//   A*H^(n+2) + C1*H^(n+1) + ... + Cn*H^2 + L*H,
// where each term is a public block times a secret power: look-ups indexed by public bytes (field.as). Horner's form
// would index tables by intermediate sums, which are secret. Values of more than 6 blocks are cut, from the end,
// into groups of 8 terms over H^1 .. H^8; the sum of a group is secret, so its weight H^(8g) is multiplied branch-free.
// The products with first words of blocks and those with second words are summed apart and reduced once (`collapse`).
import { collapse, lookUp, lookUpEnd, lookUpLast, mirror, multiply, tabulate, times } from './field';
import {
  BACKWARDS, BLOCKS, FOLDED, HASH_KEY, MASKS, OFFSETS, PLAIN, PREFIX, RESULT, ROWS, SCRATCH, SEALED, TABLES, WEIGHTS,
} from './memory';
import { OVERHEAD, blocksOf } from './pieces';

/** Values of at most this many blocks need no group but the first. */
@inline const SHORT_BLOCKS: u32 = 6;
@inline const SHORT_BYTES: u32 = SHORT_BLOCKS * 16;

/** Writes the constants; called once. */
export function start(): void {
  v128.store(MASKS, i64x2.splat(-1));
  v128.store(MASKS, i64x2.splat(0), 16);
  v128.store(BACKWARDS, i8x16(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}

/** Writes the table of H^exponent; H stands at HASH_KEY. */
export function buildTable(table: usize, exponent: i32): void {
  v128.store(HASH_KEY, mirror(v128.load(HASH_KEY)));
  v128.store(SCRATCH, v128.load(HASH_KEY));
  for (let i = 1; i < exponent; i++) multiply(HASH_KEY, SCRATCH, SCRATCH);
  tabulate(SCRATCH, table);
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
 * Xors values of 1 to 16 bytes, all of one length, with keystream. Apart from `tagSingle`, as the processor sees
 * further ahead in two short loops than in a long one.
 */
@inline function cryptSingle(direction: i32, cells: i32): void {
  const length = load<u32>(RESULT, 4);
  const end = BLOCKS + (<usize>cells << 5);
  let cell = SEALED;
  let value = PLAIN;
  for (let keystream = BLOCKS; keystream < end; keystream += 32) {
    const read = v128.load(direction == SEAL ? value : cell + 16);
    v128.store(direction == SEAL ? cell + 16 : value, v128.xor(read, v128.load(keystream, 16)));
    value += length;
    cell += length + OVERHEAD;
  }
}

/**
 * Tags of the cells at SEALED whose values have 1 to 16 bytes, all of one length: those of most types. Writes them
 * (SEAL) or compares them (OPEN). The inner loop goes on while only the last byte of the row id changes, so that it
 * needs few enough variables for registers.
 * @returns not all zero when a tag is not the one computed (OPEN)
 */
@inline function tagSingle(direction: i32, cells: i32): v128 {
  const length = load<u32>(RESULT, 4);
  const firstKept = <u64>i64x2.extract_lane(mask(length), 0);
  const secondKept = <u64>i64x2.extract_lane(mask(length), 1);
  const factor = table(2);
  const rowFactor = table(3);
  const zero = i64x2.splat(0);
  const backwards = v128.load(BACKWARDS);
  const lengthTerm = times(table(1), lengths(length));
  let keystream = BLOCKS;
  let cell = SEALED;
  let difference = zero;
  let first = zero;
  let rowHigh: u64 = u64.MAX_VALUE;
  const rows = ROWS + (<usize>cells << 3);
  for (let row = ROWS; row < rows; ) {
    let id = load<u64>(row);
    const rowUpper = id >> 8;
    if (id >> 32 != rowHigh) {
      rowHigh = id >> 32;
      first = v128.xor(lengthTerm, times(rowFactor, associatedData(rowHigh << 32)));
    }
    const rowEnd = lookUpEnd(zero, rowFactor, <u32>id);
    do {
      const hash = collapse(
        lookUp(first, factor, load<u64>(cell, 16) & firstKept),
        lookUp(lookUpLast(rowEnd, rowFactor, <u32>id), factor, load<u64>(cell, 24) & secondKept),
      );
      const tag = v128.xor(i8x16.swizzle(hash, backwards), v128.load(keystream));
      if (direction == SEAL) v128.store(cell + 16 + length, tag);
      else difference = v128.or(difference, v128.xor(tag, v128.load(cell + 16 + length)));
      keystream += 32;
      cell += length + OVERHEAD;
      row += 8;
      id = load<u64>(row);
    } while (row < rows && id >> 8 == rowUpper);
  }
  return difference;
}

/**
 * out = in ^ keystream, and the GHASH, for more than SHORT_BLOCKS blocks. Term number `index`, counted from the end, is
 * in group `index / 8`.
 */
function long(
  direction: i32, row: u64, from: usize, keystream: usize, to: usize, length: u32, blocks: u32,
): v128 {
  const zero = i64x2.splat(0);
  let sum = zero;
  let first = zero;
  let second = zero;
  let block = associatedData(row);
  for (let index = blocks + 1; index > 0; index--) {
    const factor = table((index & 7) + 1);
    first = lookUp(first, factor, <u64>i64x2.extract_lane(block, 0));
    second = lookUp(second, factor, <u64>i64x2.extract_lane(block, 1));
    if ((index & 7) == 0) {
      v128.store(SCRATCH, collapse(first, second));
      multiply(SCRATCH, WEIGHTS + ((<usize>index >> 3) - 1) * 16, SCRATCH);
      sum = v128.xor(sum, v128.load(SCRATCH));
      first = zero;
      second = zero;
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
  return v128.xor(v128.xor(sum, collapse(first, second)), times(table(1), lengths(length)));
}

/** Writes the weights H^8 .. H^(8 * groups) for `long`. */
function writeWeights(groups: u32): void {
  // The product of H^8 with x^0, the highest bit of the first byte.
  const h8 = table(8) + (0x80 << 4);
  v128.store(WEIGHTS, v128.load(h8));
  for (let i: usize = 1; i < groups; i++) multiply(h8, WEIGHTS + 16 * (i - 1), WEIGHTS + 16 * i);
}

/**
 * Seals the values at PLAIN to SEALED (direction SEAL), or opens the cells at SEALED to PLAIN (OPEN), with the
 * encrypted counter blocks at BLOCKS. Whole blocks are read and written: up to 15 bytes beyond a value. What follows
 * from the length is kept while neighbours have the same.
 * @returns not all zero when a tag at SEALED is not the one computed (OPEN)
 */
@inline function mixed(direction: i32, cells: i32): v128 {
  const overhead: u32 = direction == OPEN ? OVERHEAD : 0;
  const lastFactor = table(2);
  const zero = i64x2.splat(0);
  let keystream = BLOCKS;
  let cell = SEALED;
  let value = PLAIN;
  let difference = zero;
  let length: u32 = u32.MAX_VALUE;
  let blocks: u32 = 0;
  let lastMask = zero;
  let rowFactor: usize = 0;
  let from = load<u32>(OFFSETS);
  for (let i = 0; i < cells; i++) {
    const to = load<u32>(OFFSETS + (<usize>i << 2), 4);
    if (to - from - overhead != length) {
      length = to - from - overhead;
      blocks = blocksOf(length);
      lastMask = mask(length - ((blocks - 1) << 4));
      if (blocks <= SHORT_BLOCKS) rowFactor = table(blocks + 2);
    }
    from = to;
    const row = load<u64>(ROWS + (<usize>i << 3));
    let input = direction == SEAL ? value : cell + 16;
    let output = direction == SEAL ? cell + 16 : value;
    let hash: v128;
    if (blocks <= SHORT_BLOCKS) {
      let first = folded(row >> 32, length, blocks);
      let second = lookUpEnd(lookUpLast(zero, rowFactor, <u32>row), rowFactor, <u32>row);
      for (let exponent = blocks + 1; exponent > 1; exponent--, input += 16, output += 16) {
        const read = v128.load(input);
        const written = v128.xor(read, v128.load(keystream + ((blocks + 2 - exponent) << 4)));
        v128.store(output, written);
        let block = direction == SEAL ? written : read;
        let factor = lastFactor;
        if (exponent == 2) block = v128.and(block, lastMask);
        else factor = table(exponent);
        first = lookUp(first, factor, <u64>i64x2.extract_lane(block, 0));
        second = lookUp(second, factor, <u64>i64x2.extract_lane(block, 1));
      }
      hash = collapse(first, second);
    } else {
      hash = long(direction, row, input, keystream, output, length, blocks);
    }
    const tag = v128.xor(mirror(hash), v128.load(keystream));
    if (direction == SEAL) v128.store(cell + 16 + length, tag);
    else difference = v128.or(difference, v128.xor(tag, v128.load(cell + 16 + length)));
    keystream += (<usize>blocks + 1) << 4;
    value += length;
    cell += length + OVERHEAD;
  }
  return difference;
}

/** Whether all cells of the piece have one length, of 1 to 16 bytes. */
@inline function isSingle(): bool {
  const shortest = load<u32>(RESULT, 4);
  return shortest == load<u32>(RESULT, 8) && shortest - 1 < 16;
}

/** Makes ready what all cells of a piece share. */
function prepare(): void {
  const shortest = load<u32>(RESULT, 4);
  const longest = load<u32>(RESULT, 8);
  forgetFolded(shortest, min(longest, SHORT_BYTES));
  if (longest > SHORT_BYTES) writeWeights((blocksOf(longest) + 1) >> 3);
}

function sealSingle(cells: i32): void {
  cryptSingle(SEAL, cells);
  tagSingle(SEAL, cells);
}

function sealMixed(cells: i32): void {
  prepare();
  mixed(SEAL, cells);
}

function openSingle(cells: i32): i32 {
  if (v128.any_true(tagSingle(OPEN, cells))) return 1;
  cryptSingle(OPEN, cells);
  return 0;
}

function openMixed(cells: i32): i32 {
  prepare();
  return i32(v128.any_true(mixed(OPEN, cells)));
}

/** Seals the values at PLAIN to SEALED, where the heads of the cells stand. */
export function seal(): void {
  const cells = load<u32>(RESULT, 12);
  if (isSingle()) sealSingle(cells);
  else sealMixed(cells);
}

/**
 * Opens the cells at SEALED to PLAIN. Nothing at PLAIN may be used unless the result is 0.
 * @returns 0 when every tag is right; compared without a branch, all cells are gone through in any case
 */
export function open(): i32 {
  const cells = load<u32>(RESULT, 12);
  return isSingle() ? openSingle(cells) : openMixed(cells);
}
