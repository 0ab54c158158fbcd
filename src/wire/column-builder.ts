import type { ByteColumn } from '../crypto/column.js';
import { int32At, malformed } from './byte-reader.js';

/** Below this many bytes a loop beats a native copy. */
const loop_bytes_max = 40;
const noBytes = new Uint8Array(0);
const noOffsets = new Uint32Array(1);

/** Collects values into a ByteColumn, one after the other, in memory that grows. */
export class ColumnBuilder {
  /** values so far, NULLs included */
  length = 0;
  /** bytes so far */
  size = 0;
  #data: Uint8Array = noBytes;
  #offsets: Uint32Array = noOffsets;
  #nulls: Uint8Array | undefined;
  #rowsExpected: number;
  #bytesExpected: number;

  /** @param rows values to expect, @param bytes bytes to expect; only hints. A later batch expects what the last one held. */
  constructor(rows = 8, bytes = 128) {
    this.#rowsExpected = rows;
    this.#bytesExpected = bytes;
  }

  /** Adds a value: `source[start .. end)`. */
  append(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    const at = this.size;
    if (at + size > this.#data.length) this.#growData(at + size);
    if (size <= loop_bytes_max) {
      const data = this.#data;
      for (let from = start, to = at; from < end; ) data[to++] = source[from++]!;
    } else {
      this.#data.set(source.subarray(start, end), at);
    }
    this.size = at + size;
    this.#close();
  }

  /** Adds a NULL. @param kind what `nulls` holds there, above 0 */
  appendNull(kind = 1): void {
    if (this.length + 1 >= this.#offsets.length) this.#growRows();
    this.#nulls ??= new Uint8Array(this.#offsets.length - 1);
    this.#nulls[this.length] = kind;
    this.#close();
  }

  /**
   * Makes room for a value of at most `size` bytes, to be written into the returned array from index `size` of
   * this builder on, and ended by `commit`.
   */
  open(size: number): Uint8Array {
    if (this.size + size > this.#data.length) this.#growData(this.size + size);
    return this.#data;
  }

  /** Ends a value written after `open`. @param end one past its last byte in the array */
  commit(end: number): void {
    this.size = end;
    this.#close();
  }

  /** Goes back to the first `length` values. */
  truncate(length: number): void {
    if (length >= this.length) return;
    this.#nulls?.fill(0, length, this.length);
    this.length = length;
    this.size = this.#offsets[length]!;
  }

  /** The values so far as a view, good until the next change. */
  view(): ByteColumn {
    return {
      length: this.length,
      data: this.#data.subarray(0, this.size),
      offsets: this.#offsets.subarray(0, this.length + 1),
      nulls: this.#nulls?.subarray(0, this.length),
    };
  }

  /** Hands the values out and starts anew in fresh memory. */
  take(): ByteColumn {
    const column = this.view();
    this.#rowsExpected = this.length;
    this.#bytesExpected = this.size;
    this.#data = noBytes;
    this.#offsets = noOffsets;
    this.#nulls = undefined;
    this.length = 0;
    this.size = 0;
    return column;
  }

  /** Starts anew in the same memory; views given before change. */
  clear(): void {
    this.#nulls = undefined;
    this.length = 0;
    this.size = 0;
  }

  #close(): void {
    const next = this.length + 1;
    if (next >= this.#offsets.length) this.#growRows();
    this.#offsets[next] = this.size;
    this.length = next;
  }

  #growData(needed: number): void {
    const grown = new Uint8Array(Math.max(64, needed, 2 * this.#data.length, this.#bytesExpected));
    grown.set(this.#data.subarray(0, this.size));
    this.#data = grown;
  }

  #growRows(): void {
    const rows = Math.max(2 * this.#offsets.length, this.#rowsExpected);
    const offsets = new Uint32Array(rows + 1);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    if (this.#nulls !== undefined) {
      const nulls = new Uint8Array(rows);
      nulls.set(this.#nulls);
      this.#nulls = nulls;
    }
  }
}

/**
 * Collects DataRow messages column by column: the way of rows that are opened in batches.
 *
 * @example
 * while (reader.next() && reader.type === backendTypes.dataRow) rows.append(reader.buffer, reader.body, reader.end);
 * const columns = rows.take();
 */
export class RowCollector {
  /** rows so far */
  rows = 0;
  /** bytes of values so far */
  size_bytes = 0;
  readonly #columns: readonly ColumnBuilder[];

  /** @param width number of fields that RowDescription announced */
  constructor(width: number) {
    this.#columns = Array.from({ length: width }, () => new ColumnBuilder());
  }

  /**
   * Adds the row of a DataRow's body.
   * @throws ClarusError 08P01 when it is malformed or has another number of fields; the collector is then of no
   *   further use
   */
  append(buffer: Uint8Array, start: number, end: number): void {
    const columns = this.#columns;
    if (end - start < 2 || ((buffer[start]! << 8) | buffer[start + 1]!) !== columns.length) {
      throw malformed('row does not have the number of fields that were described');
    }
    let at = start + 2;
    for (const column of columns) {
      if (end - at < 4) throw malformed('insufficient data left in message');
      const size = int32At(buffer, at);
      at += 4;
      if (size === -1) {
        column.appendNull();
        continue;
      }
      if (size < 0 || size > end - at) throw malformed('insufficient data left in message');
      column.append(buffer, at, at + size);
      at += size;
    }
    if (at !== end) throw malformed('invalid message format');
    this.size_bytes += end - start - 2 - 4 * columns.length;
    this.rows++;
  }

  /** Hands the rows out, a column a field, and starts anew. */
  take(): ByteColumn[] {
    this.rows = 0;
    this.size_bytes = 0;
    return this.#columns.map(column => column.take());
  }
}
