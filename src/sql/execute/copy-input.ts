/** The client's data of COPY ... FROM STDIN: they come in as they like, and go on as batches of rows. */
import { type ByteColumn, valueAt } from '../../crypto/column.js';
import { type CopyReader, type CopyRows, copyReader } from '../../wire/copy-reader.js';
import type { SessionPort } from '../ports.js';
import type { CopyInBody } from './bodies.js';
import { convert, type Decided, decide, type Refusal } from './conversion.js';
import { ofField } from './copy-failure.js';

/** How many rows go on at a time. */
export interface CopyBatches {
  /** Are there enough for a batch? */
  isFull(waiting: Pick<CopyReader, 'rows' | 'size_bytes'>): boolean;
  /** @param rows that wait @returns how many of them are the next batch */
  next(rows: number): number;
}

/** What is wrong with the data. */
export interface RefusedData {
  readonly error: unknown;
}

/** Reads the data of one COPY. */
export class CopyInput {
  readonly format: 0 | 1;
  /** how many fields a row has */
  readonly columns: number;
  readonly #reader: CopyReader;

  /** @param take gets the batches; `endsEarly`: the last row is not complete, and only looked at */
  constructor(
    private readonly copy: Pick<CopyInBody, 'table' | 'columns' | 'options'>,
    private readonly batches: CopyBatches,
    private readonly take: (rows: CopyRows, endsEarly: boolean) => Promise<void>,
  ) {
    const { table, columns, options } = copy;
    this.format = options.format === 'binary' ? 1 : 0;
    this.columns = columns.length;
    this.#reader = copyReader({ ...options, table: table.name, columns: columns.map(c => c.name) });
  }

  /** More data. @returns what is wrong with them, when all rows before that have been taken */
  push(data: Uint8Array): Promise<RefusedData | undefined> {
    return this.#read(
      () => this.#reader.push(data),
      () => this.batches.isFull(this.#reader),
    );
  }

  /** There are no more data. @returns as `push` */
  end(): Promise<RefusedData | undefined> {
    return this.#read(
      () => this.#reader.end(),
      () => this.#reader.rows > 0,
    );
  }

  /** The client gives up: the rows that are there are taken. */
  async giveUp(): Promise<void> {
    await this.#read(
      () => undefined,
      () => this.#reader.rows > 0,
    );
  }

  /** Takes data in, and rows out while `more` says so; after an error of the reader all rows before it. */
  async #read(read: () => void, more: () => boolean): Promise<RefusedData | undefined> {
    const reader = this.#reader;
    let refused: RefusedData | undefined;
    try {
      read();
    } catch (error) {
      refused = { error };
    }
    while (refused ? reader.rows > 0 : more()) {
      const rows = reader.take(this.batches.next(reader.rows));
      await this.take(rows, refused !== undefined && reader.rows === 0 && reader.partial !== undefined);
    }
    return refused;
  }

  /** Reads fields as values of their columns. */
  convert(fields: readonly ByteColumn[], session: SessionPort): Promise<Decided> {
    const { columns } = this.copy;
    return decide(
      columns.map(({ type }, i) => convert(fields[i]!, this.format, type, session)),
      session,
    );
  }

  /** The error of a field that is no value of its column. @param lines of the rows in the data */
  errorOf({ row, column, error }: Refusal, fields: readonly ByteColumn[], lines: readonly number[]): unknown {
    const { table, columns } = this.copy;
    return ofField(error, {
      table: table.name,
      line: lines[row]!,
      column: columns[column]!.name,
      value: this.format === 1 ? undefined : valueAt(fields[column]!, row),
    });
  }
}
