/** The binary COPY that goes to the cloud. */
import type { ByteColumn } from '../../crypto/column.js';
import { writeRowId } from '../../wire/arrays.js';
import { copyWords, wordsOf } from '../../wire/words.js';

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
  const target = wordsOf(out);
  const { view } = target;
  const sources = columns.map(({ data, offsets, nulls }) => ({ words: wordsOf(data), offsets, nulls }));
  for (let i = 0; i < rows.length; i++) {
    view.setInt16(at, columns.length + 1);
    view.setInt32(at + 2, 8);
    writeRowId(out, rows[i]!, at + 6);
    at += 14;
    for (const { words, offsets, nulls } of sources) {
      const from = offsets[i]!;
      const length = nulls?.[i] ? -1 : offsets[i + 1]! - from;
      view.setInt32(at, length);
      at += 4;
      if (length <= 0) continue;
      copyWords(words, from, target, at, length);
      at += length;
    }
  }
  return out;
}
