/** Counts what one statement fetches. */
import { ClarusError } from '../../errors.js';

/** What one statement may fetch. */
export interface SplitLimits {
  readonly rows_max: number;
  readonly bytes_max: number;
}

/** Bytes of rows that are asked for at a time. */
const stepBytes = 4 * 1024 * 1024;

/** Rows and bytes that one statement has fetched. */
export class FetchCount {
  #rows = 0;
  #bytes = 0;

  constructor(private readonly limits: SplitLimits) {}

  /**
   * Rows to ask for next: so few that their bytes are counted before they are many.
   * @param first while none has come
   */
  step(first: number): number {
    if (this.#rows === 0) return first;
    return Math.max(1, Math.floor((stepBytes * this.#rows) / Math.max(1, this.#bytes)));
  }

  /** @throws ClarusError 54000 when they get too many */
  add(rows: number, bytes: number): void {
    this.#rows += rows;
    this.#bytes += bytes;
    const { rows_max, bytes_max } = this.limits;
    if (this.#rows > rows_max || this.#bytes > bytes_max)
      throw new ClarusError(
        '54000',
        'the statement needs more rows of the cloud than one statement may fetch',
        {
          detail: `At most ${rows_max} rows and ${bytes_max} bytes are fetched (limits.split_rows_max, split_bytes_max).`,
          hint: 'EXPLAIN (CLARUS) shows what is fetched; a query kind on the column that it compares would let the cloud choose the rows.',
        },
      );
  }
}
