/** How opened rows are written for a client. */
import type { MessageWriter } from '../../wire/message-writer.js';
import { backendTypes } from '../../wire/protocol.js';

/** What opened rows are written as. */
export type RowWriter = (writer: MessageWriter, columns: readonly OutputColumnBytes[], rows: number) => void;

/** One column of the answer: bytes of value i are `data[starts[i] .. starts[i] + sizes[i])`, size -1 for NULL. */
export interface OutputColumnBytes {
  readonly data: Uint8Array;
  readonly starts: Int32Array | Uint32Array;
  /** undefined: `starts` are offsets (one more than rows) and `nulls` says which are NULL */
  readonly sizes: Int32Array | undefined;
  readonly nulls: Uint8Array | undefined;
}

/** Size of value i, -1 for NULL. */
export const sizeAt = (column: OutputColumnBytes, i: number): number =>
  column.sizes ? column.sizes[i]! : column.nulls?.[i] ? -1 : column.starts[i + 1]! - column.starts[i]!;

/** Writes rows as DataRow messages. */
export const dataRows: RowWriter = (writer, columns, rows) => {
  let room = rows * (7 + 4 * columns.length);
  for (const column of columns) for (let i = 0; i < rows; i++) room += Math.max(0, sizeAt(column, i));
  writer.reserve(room);
  const out = writer.buffer;
  let at = writer.position;
  for (let i = 0; i < rows; i++) {
    out[at] = backendTypes.dataRow;
    const lengthAt = at + 1;
    out[at + 5] = columns.length >> 8;
    out[at + 6] = columns.length;
    at += 7;
    for (const column of columns) {
      const size = sizeAt(column, i);
      out[at] = size >> 24;
      out[at + 1] = size >> 16;
      out[at + 2] = size >> 8;
      out[at + 3] = size;
      at += 4;
      if (size <= 0) continue;
      const { data } = column;
      const from = column.starts[i]!;
      if (size < 64) for (let j = 0; j < size; j++) out[at + j] = data[from + j]!;
      else out.set(data.subarray(from, from + size), at);
      at += size;
    }
    const length = at - lengthAt;
    out[lengthAt] = length >> 24;
    out[lengthAt + 1] = length >> 16;
    out[lengthAt + 2] = length >> 8;
    out[lengthAt + 3] = length;
  }
  writer.position = at;
};
