/** The client's data of COPY ... FROM STDIN: they come in as they like, and go on as batches of rows. */
import { type ByteColumn, type PlainColumn, take, valueAt } from '../../crypto/column.js';
import { missingData } from '../../wire/copy-errors.js';
import { DEFAULTED, MISSING } from '../../wire/copy-options.js';
import { type CopyReader, type CopyRows, copyReader } from '../../wire/copy-reader.js';
import type { SessionPort } from '../ports.js';
import type { CopyInBody } from './bodies.js';
import { type Converted, convert, decide, type Refusal, slice } from './conversion.js';
import { unaccepted } from './copy-accepted.js';
import { type CopyField, ofField } from './copy-failure.js';
import { SkippedRows } from './copy-skipped.js';

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

/** Rows as values of their columns, without those that are left out. */
export interface ReadRows {
  /** one a column of the data, in binary form; NULL where the default of the column is meant */
  readonly columns: readonly PlainColumn[];
  /** for each column the places where its default is meant */
  readonly defaulted: readonly (readonly number[])[];
  /** the line in which each row ends, and the size of its own */
  readonly lines: readonly number[];
  readonly sizes_bytes: readonly number[];
  /** what is wrong with the row behind the last of them, and its line */
  readonly refusal: (RefusedData & { readonly line: number }) | undefined;
}

/** Reads the data of one COPY. */
export class CopyInput {
  readonly format: 0 | 1;
  /** how many fields a row has */
  readonly columns: number;
  /** rows that are left out */
  readonly skipped: SkippedRows;
  readonly #reader: CopyReader;

  /** @param taking gets the batches; `endsEarly`: the last row is not complete, and only looked at */
  constructor(
    private readonly copy: Pick<CopyInBody, 'table' | 'columns' | 'options' | 'markers'>,
    private readonly batches: CopyBatches,
    private readonly session: SessionPort,
    private readonly taking: (rows: CopyRows, endsEarly: boolean) => Promise<void>,
  ) {
    const { table, columns, options, markers } = copy;
    this.format = options.format === 'binary' ? 1 : 0;
    this.columns = columns.length;
    this.skipped = new SkippedRows(copy, session.client);
    this.#reader = copyReader({
      ...options,
      table: table.name,
      columns: columns.map(c => c.name),
      hasDefault: markers?.map(marker => marker !== undefined) ?? [],
      keepsShort: options.onError === 'ignore',
    });
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
      await this.taking(rows, refused !== undefined && reader.rows === 0 && reader.partial !== undefined);
    }
    return refused;
  }

  /** Reads fields as values of their columns. @param endsEarly the last row is looked at, and not given out */
  async read(rows: CopyRows, endsEarly: boolean): Promise<ReadRows> {
    const { copy, session } = this;
    const converted = this.#converted(rows.columns);
    if (copy.options.onError === 'ignore') return this.#accepted(rows, converted);
    const { columns, refusal } = await decide(converted, session);
    const count = refusal?.row ?? rows.lines.length - (endsEarly ? 1 : 0);
    return this.#values(rows, columns, count, refusal && this.#refused(refusal, rows));
  }

  #converted(fields: readonly ByteColumn[]): readonly Converted[] {
    return this.copy.columns.map(({ type }, i) => convert(fields[i]!, this.format, type, this.session));
  }

  /** Leaves out rows with values that are none of their columns'. */
  async #accepted(rows: CopyRows, converted: readonly Converted[]): Promise<ReadRows> {
    const { rows: refused, hard } = await unaccepted(converted, this.session);
    const left = new Set<number>();
    const short = this.#firstShort(rows, new Set(refused.map(({ row }) => row)));
    let end = Math.min(rows.lines.length, (hard?.row ?? Infinity) + 1, short + 1);
    let over: ReadRows['refusal'];
    for (const { row, column } of refused) {
      if (row >= end) break;
      const field = this.#field(row, column, rows);
      left.add(row);
      const error = this.skipped.skip(field);
      if (error === undefined) continue;
      over = { error, line: field.line };
      end = row;
    }
    const kept = Array.from({ length: end }, (_, row) => row).filter(row => !left.has(row));
    const whole = kept.length === rows.lines.length;
    const some = whole ? rows : rowsAt(rows, kept);
    const { columns, refusal } = await decide(
      whole ? converted : this.#converted(some.columns),
      this.session,
    );
    if (refusal) return this.#values(some, columns, refusal.row, this.#refused(refusal, some));
    if (hard && hard.row < end) throw hard.error;
    if (over || short >= end) return this.#values(some, columns, kept.length, over);
    return this.#values(some, columns, kept.length - 1, this.#lacking(rows, short));
  }

  /** The first row that ends too early, and is not left out before; Infinity: none does. */
  #firstShort({ columns, lines }: CopyRows, left: ReadonlySet<number>): number {
    const { nulls } = columns.at(-1) ?? {};
    if (!nulls?.includes(MISSING)) return Infinity;
    const found = lines.findIndex((_, row) => nulls[row] === MISSING && !left.has(row));
    return found < 0 ? Infinity : found;
  }

  #lacking({ columns, lines }: CopyRows, row: number): ReadRows['refusal'] {
    const missing = columns.findIndex(({ nulls }) => nulls?.[row] === MISSING);
    const [{ table, columns: known }, line] = [this.copy, lines[row]!];
    return { error: missingData(known[missing]!.name, { table: table.name, line }), line };
  }

  #values(
    { columns: fields, lines, sizes_bytes }: CopyRows,
    columns: readonly PlainColumn[],
    count: number,
    refusal: ReadRows['refusal'],
  ): ReadRows {
    return {
      columns: columns.map(column => slice(column, 0, count)),
      defaulted: fields.map(field => placesOf(field, count)),
      lines: lines.slice(0, count),
      sizes_bytes: sizes_bytes.slice(0, count),
      refusal,
    };
  }

  /** A field that is no value of its column. */
  #refused({ row, column, error }: Refusal, rows: CopyRows): ReadRows['refusal'] {
    const field = this.#field(row, column, rows);
    return { error: ofField(error, field), line: field.line };
  }

  #field(row: number, column: number, { columns: fields, lines }: CopyRows): CopyField {
    const { table, columns } = this.copy;
    return {
      table: table.name,
      line: lines[row]!,
      column: columns[column]!.name,
      value: this.format === 1 ? undefined : valueAt(fields[column]!, row),
    };
  }
}

/** Where the default of a column is meant. */
function placesOf({ nulls }: ByteColumn, count: number): readonly number[] {
  const places: number[] = [];
  if (nulls?.includes(DEFAULTED))
    for (let row = 0; row < count; row++) if (nulls[row] === DEFAULTED) places.push(row);
  return places;
}

const rowsAt = ({ columns, lines, sizes_bytes }: CopyRows, places: readonly number[]): CopyRows => ({
  columns: columns.map(column => take(column, places)),
  lines: places.map(place => lines[place]!),
  sizes_bytes: places.map(place => sizes_bytes[place]!),
});
