/** The binary COPY that goes to the cloud. */
import type { ByteColumn } from '../../crypto/column.js';
import { writeRowId } from '../../wire/arrays.js';

/** Its header: signature, flags and the length of an extension. */
export const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/** Rows in the binary format of COPY, the row id first. */
export function binaryRows(
  rows: Float64Array,
  columns: readonly ByteColumn[],
  withSignature: boolean,
): Buffer {
  let size = withSignature ? SIGNATURE.length : 0;
  size += rows.length * (2 + 12 + 4 * columns.length);
  for (const { offsets, length } of columns) size += offsets[length]! - offsets[0]!;
  const out = Buffer.allocUnsafe(size);
  let at = withSignature ? SIGNATURE.copy(out) : 0;
  const width = columns.length + 1;
  for (let i = 0; i < rows.length; i++) {
    out[at] = width >> 8;
    out[at + 1] = width;
    out[at + 2] = 0;
    out[at + 3] = 0;
    out[at + 4] = 0;
    out[at + 5] = 8;
    writeRowId(out, rows[i]!, at + 6);
    at += 14;
    for (const { data, offsets, nulls } of columns) {
      const from = offsets[i]!;
      const length = nulls?.[i] ? -1 : offsets[i + 1]! - from;
      out[at] = length >> 24;
      out[at + 1] = length >> 16;
      out[at + 2] = length >> 8;
      out[at + 3] = length;
      at += 4;
      if (length <= 0) continue;
      if (length < 64) for (let k = 0; k < length; k++) out[at + k] = data[from + k]!;
      else out.set(data.subarray(from, from + length), at);
      at += length;
    }
  }
  return out;
}
