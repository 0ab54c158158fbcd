import type { ByteColumn } from '../crypto/column.js';

/** How the data of COPY ... FROM STDIN are written, and for what. Characters are single bytes. */
export interface CopyReaderOptions {
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: string;
  readonly nullString: string;
  /** match: the header must name the columns */
  readonly header: boolean | 'match';
  readonly quote: string;
  readonly escape: string;
  readonly forceNotNull: 'all' | readonly string[];
  readonly forceNull: 'all' | readonly string[];
  /** stands for the default of a column, in text and csv; undefined: nothing does */
  readonly defaultString?: string | undefined;
  /** which columns have a default */
  readonly hasDefault?: readonly boolean[];
  /**
   * true: a row that ends too early is filled up and told by `MISSING`; false (default): it is an error
   */
  readonly keepsShort?: boolean;
  /** names, for errors */
  readonly table: string;
  readonly columns: readonly string[];
  /**
   * true: in csv, too, a line of `\.` ends the data, as before PostgreSQL 18; false (default): it is data
   */
  readonly csvEndMarker?: boolean;
  /** longest row, bytes; default 1 GiB - 1, PostgreSQL's own limit */
  readonly rowBytesMax?: number;
}

/** What `nulls` of a column of COPY data holds where the value is the default of the column. */
export const DEFAULTED = 2;
/** What it holds where a row has ended before the column. */
export const MISSING = 3;

/** Rows of COPY data, a column a field. */
export interface CopyRows {
  /** a NULL that stands for the default of its column is told by `DEFAULTED` */
  readonly columns: readonly ByteColumn[];
  /** the line, from 1, in which each row ends; in binary its number */
  readonly lines: readonly number[];
  /** length of each row's line without its end, bytes; 0 in binary */
  readonly sizes_bytes: readonly number[];
}

/**
 * Takes the data of a COPY apart: bytes in, cut anywhere; columns of values out.
 *
 * Values are those of the format (text forms for text and csv, binary forms for binary), unescaped; a NULL is a
 * NULL, and so is what stands for a default. Data that PostgreSQL refuses are refused with its SQLSTATE: 22P04 for the format, 22021 for bytes that
 * are not UTF-8. Errors name table, line and column and never quote the data. The rows before can still be taken;
 * where a row ended too early it is the last of them, filled up with NULLs.
 *
 * @example
 * reader.push(chunk);
 * while (reader.rows >= 2000) await send(reader.take(2000));
 */
export interface CopyReader {
  /** complete rows that wait to be taken */
  readonly rows: number;
  /** bytes of their values */
  readonly size_bytes: number;
  /** Reads on. @throws ClarusError 22P04, 22021, or 54000 (a row above the limit) */
  push(data: Uint8Array): void;
  /** The data are over: what is left is the last row. @throws like `push` */
  end(): void;
  /** after an error: how many fields the last row really has, where it ended too early */
  readonly partial: number | undefined;
  /** Takes out up to `rowsMax` rows. */
  take(rowsMax: number): CopyRows;
}
