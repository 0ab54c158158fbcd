/** Arrays in binary form (array_send): dimensions, has-null flag, element type, bounds, elements with lengths. */
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../crypto/column.js';
import { ClarusError } from '../errors.js';

/** Elements of an array of any dimensions, in storage order. */
export function arrayElements(array: Uint8Array): PlainColumn {
  const view = new DataView(array.buffer, array.byteOffset, array.byteLength);
  const bad = (): ClarusError => new ClarusError('22P03', 'improper binary format of an array');
  if (array.byteLength < 12) throw bad();
  const dimensions = view.getInt32(0);
  if (dimensions < 0 || dimensions > 6 || array.byteLength < 12 + 8 * dimensions) throw bad();
  let count = dimensions === 0 ? 0 : 1;
  for (let i = 0; i < dimensions; i++) count *= view.getInt32(12 + 8 * i);
  if (count < 0 || count > array.byteLength) throw bad();
  const values: (Uint8Array | null)[] = [];
  let at = 12 + 8 * dimensions;
  for (let i = 0; i < count; i++) {
    if (at + 4 > array.byteLength) throw bad();
    const size = view.getInt32(at);
    at += 4;
    if (size < -1 || at + size > array.byteLength) throw bad();
    values.push(size < 0 ? null : array.subarray(at, at + size));
    at += Math.max(0, size);
  }
  return plain(columnOf(values));
}

/**
 * A one-dimensional array of a column's values.
 * @param elementOid type of the elements
 */
export function arrayOf(column: ByteColumn, elementOid: number): Uint8Array {
  const out = Buffer.allocUnsafe(
    20 + 4 * column.length + column.offsets[column.length]! - column.offsets[0]!,
  );
  let at = 20;
  let anyNull = 0;
  for (let i = 0; i < column.length; i++) {
    const value = valueAt(column, i);
    at = out.writeInt32BE(value ? value.length : -1, at);
    if (value) {
      out.set(value, at);
      at += value.length;
    } else anyNull = 1;
  }
  out.writeInt32BE(column.length ? 1 : 0, 0);
  out.writeInt32BE(anyNull, 4);
  out.writeUInt32BE(elementOid, 8);
  out.writeInt32BE(column.length, 12);
  out.writeInt32BE(1, 16);
  return column.length ? out.subarray(0, at) : out.subarray(0, 12);
}

/** A bigint[] of row ids. */
export function rowIdArray(rows: Float64Array): Uint8Array {
  const out = Buffer.allocUnsafe(20 + 12 * rows.length);
  if (rows.length === 0) return arrayOf(columnOf([]), 20);
  out.writeInt32BE(1, 0);
  out.writeInt32BE(0, 4);
  out.writeUInt32BE(20, 8);
  out.writeInt32BE(rows.length, 12);
  out.writeInt32BE(1, 16);
  for (let i = 0, at = 20; i < rows.length; i++) {
    at = out.writeInt32BE(8, at);
    writeRowId(out, rows[i]!, at);
    at += 8;
  }
  return out;
}

/** Writes a row id as a bigint. @param row an integer below 2^53 */
export function writeRowId(out: Buffer, row: number, at: number): void {
  const high = Math.floor(row / 0x1_0000_0000);
  out.writeUInt32BE(high, at);
  out.writeUInt32BE(row - high * 0x1_0000_0000, at + 4);
}

/** Reads a row id. */
export const readRowId = (data: Uint8Array, at: number): number =>
  ((data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!) * 0x1_0000_0000 +
  (((data[at + 4]! << 24) | (data[at + 5]! << 16) | (data[at + 6]! << 8) | data[at + 7]!) >>> 0);
