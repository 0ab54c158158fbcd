import type { ByteColumn } from '../crypto/column.js';
import { RowCollector } from '../wire/column-builder.js';
import type { FieldDescription } from '../wire/messages.js';

const batchRowsDefault = 1_000;

/** Takes a batch of rows, a column a field. What it returns is awaited before more rows are read. */
export type RowHandler = (columns: readonly ByteColumn[], rows: number) => void | Promise<void>;

/** What one statement returned. */
export interface QueryResult {
  /** empty for a statement without result columns */
  readonly fields: readonly FieldDescription[];
  /** one a field; empty where `onRows` took the rows */
  readonly columns: readonly ByteColumn[];
  /** rows returned, those taken by `onRows` included */
  readonly rows: number;
  /** as CommandComplete tells it; empty for an empty statement */
  readonly tag: string;
}

/** What a request is told of how it is answered. */
export interface RequestOptions {
  readonly end?: 'sync' | 'flush';
  readonly onRows?: RowHandler;
  readonly batchRows?: number;
  /** a Sync alone, which succeeds whatever was before it */
  readonly bare?: boolean;
}

/** What was asked of a backend, and what has been answered so far. */
export class Request {
  readonly end: 'sync' | 'flush';
  readonly bare: boolean;
  readonly results: QueryResult[] = [];
  /** settles when the whole answer is there */
  readonly done: Promise<void>;
  fields: readonly FieldDescription[] = [];
  error: Error | undefined;
  /** called when the server wants the data of COPY FROM STDIN */
  onCopyIn: (() => void) | undefined;
  /** takes the data of COPY TO STDOUT */
  onCopyData: ((data: Uint8Array) => void | Promise<void>) | undefined;
  readonly #onRows: RowHandler | undefined;
  readonly #batchRows: number;
  #collector: RowCollector | undefined;
  #rows = 0;
  /** an error of a handler: the answer is read to its end and thrown away */
  #abandoned = false;
  #resolve!: () => void;
  #reject!: (error: unknown) => void;

  constructor(options: RequestOptions) {
    this.end = options.end ?? 'sync';
    this.bare = options.bare ?? false;
    this.#onRows = options.onRows;
    this.#batchRows = options.batchRows ?? batchRowsDefault;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  describe(fields: readonly FieldDescription[]): void {
    this.fields = fields;
    this.#collector = undefined;
  }

  /** Adds a row. @returns what the handler of rows wants to be waited for */
  row(buffer: Buffer, start: number, end: number): Promise<void> | undefined {
    if (this.#abandoned) return undefined;
    this.#collector ??= new RowCollector(this.fields.length);
    this.#collector.append(buffer, start, end);
    this.#rows++;
    return this.#onRows !== undefined && this.#collector.rows >= this.#batchRows
      ? this.#handOut()
      : undefined;
  }

  copyData(data: Uint8Array): Promise<void> | undefined {
    if (this.#abandoned) return undefined;
    return this.#guard(() => this.onCopyData?.(data));
  }

  /** A statement is complete. @returns what the handler of rows wants to be waited for */
  complete(tag: string): Promise<void> | undefined {
    const collector = this.#collector;
    const keeps = this.#onRows === undefined && !this.#abandoned;
    const pause = this.#onRows !== undefined && (collector?.rows ?? 0) > 0 ? this.#handOut() : undefined;
    const columns = keeps ? (collector ?? new RowCollector(this.fields.length)).take() : [];
    this.results.push({ fields: this.fields, columns, rows: this.#rows, tag });
    this.fields = [];
    this.#collector = undefined;
    this.#rows = 0;
    return pause;
  }

  /** The whole answer is there. @param pause a handler that is still at work on it */
  succeed(pause?: Promise<void>): void {
    if (pause === undefined) this.#settle();
    else pause.then(() => this.#settle());
  }

  fail(error: Error): void {
    // the caller may not be listening yet, or may have gone
    this.done.catch(() => undefined);
    this.#reject(error);
  }

  #settle(): void {
    if (this.error === undefined) this.#resolve();
    else this.fail(this.error);
  }

  #handOut(): Promise<void> | undefined {
    const rows = this.#collector!.rows;
    const columns = this.#collector!.take();
    return this.#guard(() => this.#onRows!(columns, rows));
  }

  /** Runs a handler. Its error becomes the answer, once the server's is over; the promise never rejects. */
  #guard(handler: () => void | Promise<void>): Promise<void> | undefined {
    const abandon = (error: unknown): void => {
      this.#abandoned = true;
      this.error ??= error instanceof Error ? error : new Error(String(error));
    };
    try {
      return handler()?.catch(abandon);
    } catch (error) {
      abandon(error);
      return undefined;
    }
  }
}
