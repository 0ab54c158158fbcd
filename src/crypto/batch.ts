/** Moving batches into and out of the kernel's memory. Below some size a loop beats a native copy. */

import type { AesKey } from './aes-key.js';
import type { ByteColumn } from './column.js';
import { BLOCKS, bytes, CELLS_MAX, doubles, OFFSETS, RESULT_OFFSETS, ROWS, SKIP, words } from './kernel.js';
import { release } from './memory.js';

const loop_bytes_max = 48;
const loop_words_max = 16;

/** Copies `source[from .. to)` to `target[at ..)`. */
export function copyBytes(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): void {
  if (to - from > loop_bytes_max) target.set(source.subarray(from, to), at);
  else for (let i = from; i < to; i++) target[at++] = source[i]!;
}

/**
 * Loads offsets and NULLs of the values from `first` on that may make one piece.
 * @returns how many: at most CELLS_MAX, and none when the first has more than `bytes_max` bytes
 */
export function loadPiece(column: ByteColumn, first: number, bytes_max: number): number {
  const { offsets, nulls } = column;
  const end = offsets[first]! + bytes_max;
  let count = Math.min(column.length - first, CELLS_MAX);
  while (count > 0 && offsets[first + count]! > end) count >>= 1;
  loadOffsets(offsets, first, count);
  loadNulls(nulls, first, count);
  return count;
}

/** Copies the offsets of values `first .. first + count` into the kernel. */
function loadOffsets(offsets: Uint32Array, first: number, count: number): void {
  const at = OFFSETS >> 2;
  if (count > loop_words_max) words.set(offsets.subarray(first, first + count + 1), at);
  else for (let i = 0; i <= count; i++) words[at + i] = offsets[first + i]!;
}

/** Copies the row ids of values `first .. first + count` into the kernel. */
export function loadRows(rows: Float64Array, first: number, count: number): void {
  const at = ROWS >> 3;
  if (count > loop_words_max) doubles.set(rows.subarray(first, first + count), at);
  else for (let i = 0; i < count; i++) doubles[at + i] = rows[first + i]!;
}

/** Copies the offsets of `count` results from the kernel to `offsets[first ..]`. */
export function storeOffsets(offsets: Uint32Array, first: number, count: number): void {
  const at = RESULT_OFFSETS >> 2;
  if (count > loop_words_max) offsets.set(words.subarray(at, at + count + 1), first);
  else for (let i = 0; i <= count; i++) offsets[first + i] = words[at + i]!;
}

let skipped = 0;

/** Marks the NULLs among values `first .. first + count`. */
function loadNulls(nulls: Uint8Array | undefined, first: number, count: number): void {
  if (nulls !== undefined) {
    copyBytes(nulls, first, first + count, bytes, SKIP);
    skipped = Math.max(skipped, count);
  } else if (skipped > 0) {
    bytes.fill(0, SKIP, SKIP + skipped);
    skipped = 0;
  }
}

/** Views on the first blocks, as making one costs as much as opening a cell. */
const blockViews = Array.from({ length: 17 }, (_, count) => bytes.subarray(BLOCKS, BLOCKS + 16 * count));

/** AES of the first `count` blocks at BLOCKS, in one native call. The result is not in the kernel's memory. */
export function encryptedBlocks(key: AesKey, count: number): Uint8Array {
  return key.encrypt(blockViews[count] ?? bytes.subarray(BLOCKS, BLOCKS + 16 * count));
}

/** Encrypts the first `count` blocks at BLOCKS in place. */
export function encryptBlocks(key: AesKey, count: number): void {
  const encrypted = encryptedBlocks(key, count);
  copyBytes(encrypted, 0, encrypted.length, bytes, BLOCKS);
  release(encrypted);
}

/** Below this many bytes two small arrays are cheaper. */
const joint_bytes_min = 4096;

/**
 * Memory for the bytes and offsets of a result. When large, one allocation that is not zeroed, as every byte is
 * written before anyone sees it.
 */
export function resultMemory(length: number, size: number): { data: Uint8Array; offsets: Uint32Array } {
  const offsetsSize = 4 * (length + 1);
  if (offsetsSize + size < joint_bytes_min)
    return { data: new Uint8Array(size), offsets: new Uint32Array(length + 1) };
  const { buffer } = Buffer.allocUnsafeSlow(offsetsSize + size);
  const offsets = new Uint32Array(buffer, 0, length + 1);
  offsets[0] = 0;
  return { data: new Uint8Array(buffer, offsetsSize, size), offsets };
}

/** Asserts that the bytes and the marks of NULLs are there; the kernel asserts that the offsets never descend. */
export function checkColumn({ length, data, offsets, nulls }: ByteColumn): void {
  const end = offsets[length];
  if (end === undefined || end < offsets[0]! || end > data.length || (nulls && nulls.length < length))
    throw columnMisfit();
}

/** A column that is none: an error of the caller's. */
export function columnMisfit(): RangeError {
  return new RangeError('the offsets of a column do not ascend within its bytes, or a NULL has bytes');
}

/** Asserts that all of a result was written: its memory was not zeroed, and must not show what it held before. */
export function checkWritten(offsets: Uint32Array, size: number): void {
  if (offsets[offsets.length - 1] !== size) throw new Error('a result was not written to its end');
}

/** The marks of NULLs of a result: a copy, also of a Buffer, whose `slice` is a view. */
export function copyNulls({ length, nulls }: ByteColumn): Uint8Array | undefined {
  return nulls && new Uint8Array(nulls.subarray(0, length));
}

/** How many values are not NULL. */
export function presentCount(length: number, nulls: Uint8Array | undefined): number {
  if (nulls === undefined) return length;
  let present = length;
  for (let i = 0; i < length; i++) if (nulls[i]) present--;
  return present;
}
