import type { ByteColumn } from '../crypto/column.js';
import { ColumnBuilder } from './column-builder.js';
import type { CopyRows } from './copy-options.js';

/** Rows read from COPY data and not yet taken, column by column. */
export class CopyBatch {
  readonly columns: readonly ColumnBuilder[];
  /** line and size of each complete row */
  #lines: number[] = [];
  #sizes_bytes: number[] = [];
  /** complete rows in the builders, those already taken included */
  #complete = 0;
  /** rows already taken; their bytes are still in the builders */
  #taken = 0;
  #taken_bytes = 0;
  #complete_bytes = 0;

  constructor(width: number) {
    this.columns = Array.from({ length: width }, () => new ColumnBuilder());
  }

  /** complete rows not yet taken */
  get rows(): number {
    return this.#complete - this.#taken;
  }

  /** bytes of their values */
  get size_bytes(): number {
    return this.#complete_bytes - this.#taken_bytes;
  }

  /** complete rows, those already taken included */
  get complete(): number {
    return this.#complete;
  }

  /**
   * Every column has got its value of the row.
   * @param line in which it ends
   * @param size_bytes of its line
   */
  completeRow(line: number, size_bytes: number): void {
    this.#complete++;
    this.#lines.push(line);
    this.#sizes_bytes.push(size_bytes);
  }

  /** Length of the line of a complete row, bytes. */
  sizeOf(row: number): number {
    return this.#sizes_bytes[row]!;
  }

  /** Line in which a complete row ends. */
  lineOf(row: number): number {
    return this.#lines[row]!;
  }

  /** Goes back to the first `rows` complete rows. */
  truncate(rows: number): void {
    this.#complete = rows;
    this.#lines.length = rows;
    this.#sizes_bytes.length = rows;
    this.dropIncompleteRow();
  }

  /** To be called when a run of rows is over: counts their bytes. */
  settle(): void {
    let size = 0;
    for (const column of this.columns) size += column.size;
    this.#complete_bytes = size;
  }

  /** Throws away the values of the row that is not complete. */
  dropIncompleteRow(): void {
    for (const column of this.columns) column.truncate(this.#complete);
  }

  /** Takes out up to `rowsMax` rows. What is taken never changes afterwards. */
  take(rowsMax: number): CopyRows {
    const from = this.#taken;
    const to = Math.min(this.#complete, from + rowsMax);
    const lines = this.#lines.slice(from, to);
    const sizes_bytes = this.#sizes_bytes.slice(from, to);
    return { columns: this.#takeColumns(from, to), lines, sizes_bytes };
  }

  #takeColumns(from: number, to: number): ByteColumn[] {
    const whole = from === 0 && to === this.#complete;
    const taken = whole
      ? this.columns.map(column => column.take())
      : this.columns.map(column => slice(column.view(), from, to));
    if (whole) this.#restart();
    else {
      this.#taken = to;
      for (const { data } of taken) this.#taken_bytes += data.length;
      if (to === this.#complete) {
        for (const column of this.columns) column.take();
        this.#restart();
      }
    }
    return taken;
  }

  /** Lets go of the rows taken, so that memory does not grow with those that came before. */
  compact(): void {
    if (this.#taken === 0) return;
    for (const column of this.columns) {
      const { data, offsets, nulls } = column.take();
      for (let row = this.#taken; row < this.#complete; row++) {
        if (nulls?.[row]) column.appendNull(nulls[row]);
        else column.append(data, offsets[row]!, offsets[row + 1]!);
      }
    }
    this.#lines.splice(0, this.#taken);
    this.#sizes_bytes.splice(0, this.#taken);
    this.#complete -= this.#taken;
    this.#taken = 0;
    this.#taken_bytes = 0;
    this.settle();
  }

  #restart(): void {
    this.#lines = [];
    this.#sizes_bytes = [];
    this.#complete = 0;
    this.#taken = 0;
    this.#taken_bytes = 0;
    this.#complete_bytes = 0;
  }
}

/** Values `from` to `to` of a column, with offsets of their own. */
function slice(column: ByteColumn, from: number, to: number): ByteColumn {
  const base = column.offsets[from]!;
  return {
    length: to - from,
    data: column.data.subarray(base, column.offsets[to]!),
    offsets: column.offsets.slice(from, to + 1).map(offset => offset - base),
    nulls: column.nulls?.slice(from, to),
  };
}
