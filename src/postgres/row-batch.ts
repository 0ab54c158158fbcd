import type { DataRows } from '../sql/ports.js';

/** Rows gathered at most before they are given on. */
const rowsMax = 8_192;

/** Gathers DataRow messages that adjoin in one receive buffer. */
export class RowBatch {
  count = 0;
  #starts = new Uint32Array(256);
  #buffer: Buffer | undefined;
  #end = 0;

  /** @returns false when the row does not adjoin or the batch is full: take the batch, then add again */
  add(buffer: Buffer, start: number, body: number, end: number): boolean {
    if (this.count > 0 && (buffer !== this.#buffer || start !== this.#end || this.count === rowsMax))
      return false;
    if (this.count === this.#starts.length) {
      const grown = new Uint32Array(2 * this.#starts.length);
      grown.set(this.#starts);
      this.#starts = grown;
    }
    this.#buffer = buffer;
    this.#starts[this.count++] = body;
    this.#end = end;
    return true;
  }

  /** The rows gathered; valid until rows are added again. */
  take(): DataRows {
    const rows: DataRows = { buffer: this.#buffer!, starts: this.#starts, count: this.count };
    this.count = 0;
    this.#buffer = undefined;
    return rows;
  }
}
