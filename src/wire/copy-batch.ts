import type { ByteColumn } from '../crypto/column.js';
import { ColumnBuilder } from './column-builder.js';

/** Rows read from COPY data and not yet taken, column by column. */
export class CopyBatch {
  readonly columns: readonly ColumnBuilder[];
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

  /** Every column has got its value of the row. */
  completeRow(): void {
    this.#complete++;
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

  /** Takes out up to `rowsMax` rows, a column a field. What is taken never changes afterwards. */
  take(rowsMax: number): ByteColumn[] {
    const from = this.#taken;
    const to = Math.min(this.#complete, from + rowsMax);
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
        if (nulls?.[row] === 1) column.appendNull();
        else column.append(data, offsets[row]!, offsets[row + 1]!);
      }
    }
    this.#complete -= this.#taken;
    this.#taken = 0;
    this.#taken_bytes = 0;
    this.settle();
  }

  #restart(): void {
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
