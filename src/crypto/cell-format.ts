/** The parts of a cell that need no key (docs/spec/cell.md). */
import { ClarusError } from '../errors.js';
import type { SealedColumn } from './column.js';

/** Where a column's cells belong: immutable catalogue numbers, never names. */
export interface ColumnAddress {
  /** table number, 1 .. 2^24 - 1 */
  readonly table: number;
  /** column number, 1 .. 2^16 - 1 */
  readonly column: number;
}

/** A column's cells under one key. */
export interface CellAddress extends ColumnAddress {
  /** key epoch, 1 .. 2^16 - 1 */
  readonly epoch: number;
}

/** First byte of a cell. */
export const CELL_FORMAT = 0xc1;
/** First byte of the associated data. */
const format_version = 1;
/** Bytes before the ciphertext: header 4, nonce 12. */
export const CELL_HEAD_BYTES = 16;
/** Bytes of the nonce, which follows the 4 bytes of the header. */
export const NONCE_BYTES = 12;

/** The 4 bytes that begin a cell of `length` bytes in all. */
export function cellHeader(epoch: number, length: number): Uint8Array {
  return Uint8Array.of(CELL_FORMAT, epoch >> 8, epoch & 0xff, length % 251);
}

/** The 16 bytes of associated data of a cell. */
export function associatedData(address: CellAddress, row: number): Uint8Array {
  const block = new Uint8Array(16);
  writePrefix(address, block, 0);
  const view = new DataView(block.buffer);
  view.setUint32(8, Math.floor(row / 0x100000000));
  view.setUint32(12, row % 0x100000000);
  return block;
}

/** Writes the first 8 bytes of the associated data, the same for all cells of a column and epoch. */
export function writePrefix({ table, column, epoch }: CellAddress, target: Uint8Array, at: number): void {
  target[at] = format_version;
  target[at + 1] = table >> 16;
  target[at + 2] = table >> 8;
  target[at + 3] = table;
  target[at + 4] = column >> 8;
  target[at + 5] = column;
  target[at + 6] = epoch >> 8;
  target[at + 7] = epoch;
}

/** Asserts what no caller may get wrong: numbers in their fields, a row id for each value. */
export function checkAddress(
  { table, column, epoch }: CellAddress,
  rows: Float64Array,
  length: number,
): void {
  if (!fits(table, 0x1000000)) throw new RangeError(`table number ${table} does not fit in a cell`);
  if (!fits(column, 0x10000)) throw new RangeError(`column number ${column} does not fit in a cell`);
  if (!fits(epoch, 0x10000)) throw new RangeError(`key epoch ${epoch} does not fit in a cell`);
  if (rows.length !== length) throw new RangeError(`${rows.length} row ids for ${length} values`);
}

/** A row id that the associated data cannot hold: an error of the caller's. */
export function rowMisfit(): RangeError {
  return new RangeError('a row id is not an integer from 0 to 2^53 - 1');
}

function fits(value: number, limit: number): boolean {
  return Number.isInteger(value) && value > 0 && value < limit;
}

/** Epoch that cell `i` says it was sealed in. Public, and not yet verified. */
export function epochAt(cells: SealedColumn, i: number): number {
  const at = cells.offsets[i]!;
  if (cells.offsets[i + 1]! - at < CELL_HEAD_BYTES) throw corrupted();
  return (cells.data[at + 1]! << 8) | cells.data[at + 2]!;
}

/** A cell is not what was sealed for its place. Says nothing of which, how, or what it held. */
export function corrupted(): ClarusError {
  return new ClarusError('XX001', 'a sealed value does not verify', {
    detail: 'It was changed, cut, or moved to another row or column after it was sealed.',
  });
}
