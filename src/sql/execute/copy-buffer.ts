/** Rows that PostgreSQL gathers before it inserts them, and with that looks at keys (CopyMultiInsertInfo in copyfrom.c). */

/** MAX_BUFFERED_TUPLES */
const ROWS_MAX = 1_000;
/** MAX_BUFFERED_BYTES, of the lines of the data; binary data have none */
const LINES_BYTES_MAX = 65_535;

/** How far a COPY of one row after the other has come. */
export class InsertBuffer {
  /** rows read */
  rows = 0;
  /** rows inserted: a duplicate key among the later ones is not noticed yet */
  inserted = 0;
  #bytes = 0;

  /** A row was read. @param size_bytes of its line */
  add(size_bytes: number): void {
    this.rows++;
    this.#bytes += size_bytes;
    if (this.rows - this.inserted < ROWS_MAX && this.#bytes < LINES_BYTES_MAX) return;
    this.inserted = this.rows;
    this.#bytes = 0;
  }
}

/** Rows that the cloud has inserted of `rows` that it got as binary data in one COPY. */
export const insertedInCloud = (rows: number): number => rows - (rows % ROWS_MAX);
