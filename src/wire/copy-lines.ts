import { isUtf8 } from 'node:buffer';
import type { ClarusError } from '../errors.js';
import type { ColumnBuilder } from './column-builder.js';
import { CopyBatch } from './copy-batch.js';
import {
  badCopyData,
  missingData,
  notUtf8,
  rowBytesMaxDefault,
  rowTooLong,
  unexpectedDefault,
} from './copy-errors.js';
import {
  type CopyReader,
  type CopyReaderOptions,
  type CopyRows,
  DEFAULTED,
  MISSING,
} from './copy-options.js';
import { defaultMarker, headerMismatch, isThere } from './copy-words.js';
import { KeptBytes } from './kept-bytes.js';

/** Up to this many bytes an unfinished row is read again with every chunk; above, only when it has doubled. */
const rereadBytesMax = 65_536;

/** How lines end: the first decides for all (EolType in copyfrom_internal.h). */
type LineEnd = 'unknown' | 'newline' | 'carriageReturn' | 'both';

/** Ends a line. */
export const newline = 0x0a;
/** Ends a line, alone or before a newline. */
export const carriageReturn = 0x0d;
/** Begins an escape in text. */
export const backslash = 0x5c;

/**
 * What text and csv share: rows are read in one pass from where they begin; one whose end has not come yet is
 * dropped and read again when it has. Follows PostgreSQL's copyfromparse.c.
 */
export abstract class CopyLineReader implements CopyReader {
  protected readonly options: CopyReaderOptions;
  protected readonly batch: CopyBatch;
  protected readonly delimiter: number;
  protected readonly nullBytes: Uint8Array;
  readonly #defaultBytes: Uint8Array | undefined;
  protected lineEnd: LineEnd = 'unknown';
  /** number of the line being read, from 1 */
  protected line = 1;
  /** true while a header line is read that is not compared, so need not be right */
  protected skipping = false;
  partial: number | undefined;
  readonly #rowBytesMax: number;
  /** bytes of a row whose end has not come yet */
  readonly #kept = new KeptBytes();
  /** kept bytes at which reading them again is worth it */
  #rereadAt = 0;
  #headerExpected: boolean;
  #over = false;

  constructor(options: CopyReaderOptions) {
    this.options = options;
    this.batch = new CopyBatch(options.columns.length);
    this.delimiter = options.delimiter.charCodeAt(0);
    this.nullBytes = Buffer.from(options.nullString, 'utf8');
    const { defaultString } = options;
    this.#defaultBytes = defaultString === undefined ? undefined : Buffer.from(defaultString, 'utf8');
    this.#rowBytesMax = options.rowBytesMax ?? rowBytesMaxDefault;
    this.#headerExpected = options.header !== false;
  }

  get rows(): number {
    return this.batch.rows;
  }

  get size_bytes(): number {
    return this.batch.size_bytes;
  }

  take(rowsMax: number): CopyRows {
    return this.batch.take(rowsMax);
  }

  push(data: Uint8Array): void {
    if (this.#over || data.length === 0) return;
    this.batch.compact();
    if (this.#kept.length === 0) {
      const end = this.#readRows(data, data.length, false);
      if (!this.#over) this.#keep(data, end, data.length);
    } else {
      this.#keep(data, 0, data.length);
      if (this.#kept.length >= this.#rereadAt) this.#rereadKept(false);
    }
  }

  end(): void {
    this.batch.compact();
    const headerMissing = this.#headerExpected && this.options.header === 'match';
    if (!this.#over && (this.#kept.length > 0 || headerMissing)) this.#rereadKept(true);
    this.#over = true;
  }

  /** 1 for bytes at which a run of plain ones ends: delimiter, line ends, and what begins an escape */
  protected abstract readonly special: Uint8Array;
  /** 1 for columns whose NULL is taken as the NULL string itself */
  protected abstract readonly forceNotNull: Uint8Array;
  /** what PostgreSQL calls a line end in the wrong place, and what to do about it */
  protected abstract readonly lineEndWords: {
    readonly adjective: string;
    readonly newline: string;
    readonly carriageReturn: string;
  };

  /** Is this the line that ends the data? @returns -2 yes, -1 not known yet, 0 no */
  protected abstract endMarker(bytes: Uint8Array, start: number, end: number, last: boolean): number;
  /**
   * Finds the end of a field that is not plain.
   * @param at its first byte that is not plain
   * @returns where a delimiter, a line end or the end of the data ends it; -1: that has not come yet
   */
  protected abstract fieldEnd(bytes: Uint8Array, at: number, end: number, last: boolean): number;
  /** The value of a field that is not plain, good until the next call; null for NULL; `defaultMarker`. */
  protected abstract fieldValue(
    bytes: Uint8Array,
    from: number,
    to: number,
    field: number | undefined,
  ): Uint8Array | null;

  /** Adds the value of a field that is not plain to its column. */
  protected appendField(
    column: ColumnBuilder,
    bytes: Uint8Array,
    from: number,
    to: number,
    field: number,
  ): void {
    const value = this.fieldValue(bytes, from, to, field);
    if (value === null) column.appendNull();
    else if (value === defaultMarker) column.appendNull(DEFAULTED);
    else column.append(value, 0, value.length);
  }

  /**
   * Reads one row.
   * @param last true: no byte will follow `end`, so what is there is the row
   * @returns where the next row begins; -1: its end has not come yet; -2: the end marker of the data was found
   */
  #readRow(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    const { delimiter, special, forceNotNull } = this;
    const { columns } = this.batch;
    const width = columns.length;
    if (bytes[start] === backslash) {
      const marker = this.endMarker(bytes, start, end, last);
      if (marker !== 0) return marker;
    }
    let at = start;
    for (let field = 0; ; field++) {
      const from = at;
      while (at < end && special[bytes[at]!] === 0) at++;
      if (at === end && !last) return -1;
      const byte = at === end ? newline : bytes[at]!;
      const isPlain = byte === delimiter || byte === newline || byte === carriageReturn;
      if (field >= width && (width > 0 || at > start || byte === delimiter || !isPlain))
        throw this.bad('extra data after last expected column');
      if (!isPlain) {
        at = this.fieldEnd(bytes, at, end, last);
        if (at === -1) return -1;
        this.appendField(columns[field]!, bytes, from, at, field);
      } else if (width > 0) {
        if (forceNotNull[field] === 0 && this.isNull(bytes, from, at)) columns[field]!.appendNull();
        else if (this.isDefault(bytes, from, at, field)) columns[field]!.appendNull(DEFAULTED);
        else columns[field]!.append(bytes, from, at);
      }
      if (at < end && bytes[at] === delimiter) {
        at++;
        continue;
      }
      const next = this.endOfLine(bytes, at, end, last);
      if (next >= 0 && field + 1 < width) this.#endedEarly(bytes, start, next, field + 1);
      return next;
    }
  }

  /** The fields that are there are given out, because PostgreSQL looks at their values first. */
  #endedEarly(bytes: Uint8Array, start: number, next: number, fields: number): void {
    const { columns } = this.batch;
    const { keepsShort = false } = this.options;
    if (!keepsShort) this.mustBeText(bytes.subarray(start, next));
    for (const column of columns.slice(fields)) column.appendNull(MISSING);
    if (keepsShort) return;
    this.batch.completeRow(this.line, this.#lineSize(bytes, start, next));
    this.partial = fields;
    const { table, columns: names } = this.options;
    throw missingData(names[fields]!, { table, line: this.line });
  }

  /** Reads a header line likewise. */
  #readHeader(
    bytes: Uint8Array,
    end: number,
    last: boolean,
  ): { next: number; fields: readonly (string | null)[] } {
    const fields: (string | null)[] = [];
    if (end > 0 && bytes[0] === backslash) {
      const marker = this.endMarker(bytes, 0, end, last);
      if (marker !== 0) return { next: marker, fields: [''] };
    }
    let at = 0;
    for (;;) {
      const from = at;
      while (at < end && this.special[bytes[at]!] === 0) at++;
      if (at < end) at = this.fieldEnd(bytes, at, end, last);
      else if (!last) at = -1;
      if (at === -1) return { next: -1, fields };
      if (!this.skipping) this.isDefault(bytes, from, at, fields.length);
      const value = this.skipping ? null : this.fieldValue(bytes, from, at, undefined);
      fields.push(value === null ? null : Buffer.from(value).toString('utf8'));
      if (at < end && bytes[at] === this.delimiter) at++;
      else return { next: this.endOfLine(bytes, at, end, last), fields };
    }
  }

  /**
   * Steps over the end of a line, which must be like those before it.
   * @returns where the next line begins, or -1 when that is not known yet
   */
  protected endOfLine(bytes: Uint8Array, at: number, end: number, last: boolean): number {
    if (at === end) return last ? end : -1;
    const { lineEnd, lineEndWords } = this;
    if (bytes[at] === newline) {
      if (lineEnd === 'carriageReturn' || lineEnd === 'both') {
        throw this.bad(`${lineEndWords.adjective} newline found in data`, undefined, lineEndWords.newline);
      }
      this.lineEnd = 'newline';
      return at + 1;
    }
    if (lineEnd === 'carriageReturn') return at + 1;
    if (lineEnd !== 'newline') {
      if (at + 1 === end && !last) return -1;
      if (at + 1 < end && bytes[at + 1] === newline) {
        this.lineEnd = 'both';
        return at + 2;
      }
      if (lineEnd === 'unknown') {
        this.lineEnd = 'carriageReturn';
        return at + 1;
      }
    }
    throw this.bad(
      `${lineEndWords.adjective} carriage return found in data`,
      undefined,
      lineEndWords.carriageReturn,
    );
  }

  /** Steps over the end of the line that ends the data. @returns as `endMarker` */
  protected afterMarker(bytes: Uint8Array, at: number, end: number, last: boolean): number {
    const { lineEnd } = this;
    if (lineEnd === (bytes[at] === newline ? 'carriageReturn' : 'newline')) throw this.markerEndsOtherwise();
    return this.endOfLine(bytes, at, end, last) === -1 ? -1 : -2;
  }

  protected markerEndsOtherwise(): ClarusError {
    return this.bad('end-of-copy marker does not match previous newline style');
  }

  protected bad(message: string, column?: string, hint?: string): ClarusError {
    return badCopyData(message, { table: this.options.table, line: this.line, column }, hint);
  }

  protected isNull(bytes: Uint8Array, start: number, end: number): boolean {
    return isThere(this.nullBytes, bytes, start, end);
  }

  /**
   * Does a field, as it stands in the data, mean the default of its column?
   * @throws ClarusError 22P04 where the column has none
   */
  protected isDefault(bytes: Uint8Array, start: number, end: number, field: number): boolean {
    if (this.#defaultBytes === undefined || !isThere(this.#defaultBytes, bytes, start, end)) return false;
    const { columns, hasDefault } = this.options;
    if (field >= columns.length || hasDefault?.[field]) return field < columns.length;
    throw unexpectedDefault(columns[field]!, { table: this.options.table, line: this.line });
  }

  /** Asserts that bytes are UTF-8 without a zero, as PostgreSQL does of all text. */
  protected mustBeText(bytes: Uint8Array, column?: number): void {
    if (bytes.includes(0) || !isUtf8(bytes)) {
      const name = column === undefined ? undefined : this.options.columns[column];
      throw notUtf8({ table: this.options.table, line: this.line, column: name });
    }
  }

  #readRows(bytes: Uint8Array, end: number, last: boolean): number {
    let at = 0;
    if (this.#headerExpected) {
      this.skipping = this.options.header === true;
      const { next, fields } = this.#readHeader(bytes, end, last);
      if (next === -1) return 0;
      this.mustBeText(bytes.subarray(0, Math.max(0, next)));
      const mismatch =
        this.options.header === 'match' ? headerMismatch(fields, this.options.columns) : undefined;
      if (mismatch) throw this.bad(mismatch);
      this.#headerExpected = false;
      this.skipping = false;
      this.line++;
      if (next === -2) {
        this.#over = true;
        return 0;
      }
      at = next;
    }
    const rowsFrom = at;
    const rowsBefore = this.batch.complete;
    try {
      while (at < end) {
        const { line } = this;
        const next = this.#readRow(bytes, at, end, last);
        if (next < 0) {
          this.line = line;
          this.batch.dropIncompleteRow();
          if (next === -2) this.#over = true;
          break;
        }
        if (next - at > this.#rowBytesMax) throw this.#tooLong();
        this.batch.completeRow(this.line, this.#lineSize(bytes, at, next));
        this.line++;
        at = next;
      }
    } catch (error) {
      this.batch.dropIncompleteRow();
      this.batch.settle();
      this.#mustBeText(bytes, rowsFrom, at, rowsBefore);
      throw error;
    }
    this.#mustBeText(bytes, rowsFrom, at, rowsBefore);
    this.batch.settle();
    return at;
  }

  /** Length of a line without its end. */
  #lineSize(bytes: Uint8Array, start: number, next: number): number {
    let end = next;
    if (end > start && bytes[end - 1] === newline && this.lineEnd !== 'carriageReturn') end--;
    if (end > start && bytes[end - 1] === carriageReturn && this.lineEnd !== 'newline') end--;
    return end - start;
  }

  /** Asserts the same of rows just read; of the first that is no text, and of those behind it, nothing is kept. */
  #mustBeText(bytes: Uint8Array, from: number, to: number, row: number): void {
    const read = bytes.subarray(from, to);
    if (!read.includes(0) && isUtf8(read)) return;
    const lineEndSize = this.lineEnd === 'both' ? 2 : 1;
    for (let at = from, i = row; i < this.batch.complete; i++) {
      const next = Math.min(to, at + this.batch.sizeOf(i) + lineEndSize);
      const line = bytes.subarray(at, next);
      if (line.includes(0) || !isUtf8(line)) {
        this.line = this.batch.lineOf(i);
        this.batch.truncate(i);
        this.batch.settle();
        this.partial = undefined;
        break;
      }
      at = next;
    }
    this.mustBeText(read);
  }

  #rereadKept(last: boolean): void {
    const next = this.#readRows(this.#kept.buffer, this.#kept.length, last);
    if (this.#over) return;
    this.#kept.drop(next);
    this.#setReread();
  }

  #keep(data: Uint8Array, start: number, end: number): void {
    const wasEmpty = this.#kept.length === 0;
    this.#kept.add(data, start, end);
    if (wasEmpty) this.#setReread();
  }

  /** The kept bytes begin with a row that is not complete. */
  #setReread(): void {
    const length = this.#kept.length;
    if (length > this.#rowBytesMax) throw this.#tooLong();
    this.#rereadAt = length > rereadBytesMax ? 2 * length : length + 1;
  }

  #tooLong(): ClarusError {
    return rowTooLong(this.#rowBytesMax, { table: this.options.table, line: this.line });
  }
}
