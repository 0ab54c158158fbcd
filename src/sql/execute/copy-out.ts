/** COPY ... TO STDOUT of opened rows: text, csv and binary, as PostgreSQL writes them (copyto.c). */
import type { MessageWriter } from '../../wire/message-writer.js';
import { backendTypes } from '../../wire/protocol.js';
import { type OutputColumnBytes, type RowWriter, sizeAt } from './row-writer.js';

/** How the rows of a COPY ... TO STDOUT are written. */
export interface CopyOutFormat {
  /** overall format of CopyOutResponse */
  readonly format: 0 | 1;
  readonly columns: number;
  readonly options: CopyOptions;
  /** column names, for a header line */
  readonly names: readonly string[];
}

/** Options of COPY that both directions share. */
export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary';
  readonly delimiter: string;
  readonly nullString: string;
  readonly header: boolean | 'match';
  readonly quote: string;
  readonly escape: string;
  readonly forceQuote: 'all' | readonly string[];
  readonly forceNotNull: 'all' | readonly string[];
  readonly forceNull: 'all' | readonly string[];
  /** COPY FROM: the cloud's COPY freezes the rows, or says why it cannot */
  readonly freeze: boolean;
  /** COPY FROM: what stands for the default of a column */
  readonly defaultString: string | undefined;
  /** COPY FROM: what becomes of a row with a value that is none of its column's type */
  readonly onError: 'stop' | 'ignore';
  /** what is told of rows that are left out */
  readonly logVerbosity: 'silent' | 'default' | 'verbose';
  /** so many rows may be left out */
  readonly rejectLimit: number | undefined;
  /** COPY FROM: in csv, too, a line of `\.` ends the data, as before PostgreSQL 18 */
  readonly csvEndMarker: boolean;
}

/** Writes rows as CopyData messages. */
export function copyRows({ options, names }: CopyOutFormat): RowWriter {
  const write =
    options.format === 'binary'
      ? binaryRow
      : options.format === 'csv'
        ? csvRow(options, names)
        : textRow(options);
  let signed = options.format !== 'binary';
  return (writer, columns, rows) => {
    for (let i = 0; i < rows; i++) {
      writer.begin(backendTypes.copyData);
      if (!signed) signature(writer);
      signed = true;
      write(writer, columns, i);
      writer.end();
    }
  };
}

/** The signature of binary COPY is no message of its own: clients read it with the first row (SendCopyBegin, copyto.c). */
function signature(writer: MessageWriter): void {
  writer.bytes(Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'));
  writer.int32(0);
  writer.int32(0);
}

/** What comes before the first row: a header line. */
export function copyPrologue(writer: MessageWriter, { options, names }: CopyOutFormat): void {
  if (options.format !== 'binary' && options.header) {
    writer.begin(backendTypes.copyData);
    const cells = names.map(name => {
      const data = Buffer.from(name);
      return { data, starts: Int32Array.of(0), sizes: Int32Array.of(data.length), nulls: undefined };
    });
    (options.format === 'csv' ? csvRow({ ...options, forceQuote: [] }, names) : textRow(options))(
      writer,
      cells,
      0,
    );
    writer.end();
  }
}

/**
 * What comes after the last row of binary COPY: a field count of -1.
 * @param rows that were written
 */
export function copyEpilogue(writer: MessageWriter, { options }: CopyOutFormat, rows: number): void {
  if (options.format !== 'binary') return;
  writer.begin(backendTypes.copyData);
  if (rows === 0) signature(writer);
  writer.int16(-1);
  writer.end();
}

type WriteRow = (writer: MessageWriter, columns: readonly OutputColumnBytes[], row: number) => void;

const binaryRow: WriteRow = (writer, columns, row) => {
  writer.int16(columns.length);
  for (const column of columns) {
    const size = sizeAt(column, row);
    writer.int32(size);
    if (size > 0) writer.slice(column.data, column.starts[row]!, column.starts[row]! + size);
  }
};

/** Control characters that text format writes with a backslash and a letter. */
const letters = new Map([
  [8, 'b'],
  [9, 't'],
  [10, 'n'],
  [11, 'v'],
  [12, 'f'],
  [13, 'r'],
]);

function textRow({ delimiter, nullString }: CopyOptions): WriteRow {
  const separator = delimiter.charCodeAt(0);
  return (writer, columns, row) => {
    columns.forEach((column, i) => {
      if (i > 0) writer.uint8(separator);
      const size = sizeAt(column, row);
      if (size < 0) {
        writer.text(nullString);
        return;
      }
      const { data } = column;
      const start = column.starts[row]!;
      const end = start + size;
      let from = start;
      for (let at = start; at < end; at++) {
        const byte = data[at]!;
        const letter = byte < 14 ? letters.get(byte) : undefined;
        if (letter === undefined && byte !== 0x5c && byte !== separator) continue;
        writer.slice(data, from, at);
        writer.uint8(0x5c);
        // As CopyAttributeOutText: a tab is written by its letter also where it is the delimiter.
        if (letter !== undefined) writer.text(letter);
        else writer.uint8(byte);
        from = at + 1;
      }
      writer.slice(data, from, end);
    });
    writer.uint8(10);
  };
}

function csvRow(
  { delimiter, nullString, quote, escape: escapeCharacter, forceQuote }: CopyOptions,
  names: readonly string[],
): WriteRow {
  const separator = delimiter.charCodeAt(0);
  const quotes = quote.charCodeAt(0);
  const escapes = escapeCharacter.charCodeAt(0);
  const forced = names.map(name => forceQuote === 'all' || forceQuote.includes(name));
  const nullBytes = Buffer.from(nullString);
  return (writer, columns, row) => {
    columns.forEach((column, i) => {
      if (i > 0) writer.uint8(separator);
      const size = sizeAt(column, row);
      if (size < 0) {
        writer.bytes(nullBytes);
        return;
      }
      const { data } = column;
      const start = column.starts[row]!;
      const end = start + size;
      const value = data.subarray(start, end);
      let needs = forced[i] || (size === nullBytes.length && nullBytes.equals(value));
      // A lone \. would end the data; CopyAttributeOutCSV quotes it in a table of one column.
      if (!needs && columns.length === 1 && size === 2 && value[0] === 0x5c && value[1] === 0x2e)
        needs = true;
      for (let at = start; !needs && at < end; at++) {
        const byte = data[at]!;
        needs = byte === separator || byte === quotes || byte === 10 || byte === 13;
      }
      if (!needs) {
        writer.slice(data, start, end);
        return;
      }
      writer.uint8(quotes);
      let from = start;
      for (let at = start; at < end; at++) {
        const byte = data[at]!;
        if (byte !== quotes && byte !== escapes) continue;
        writer.slice(data, from, at);
        writer.uint8(escapes);
        from = at;
      }
      writer.slice(data, from, end);
      writer.uint8(quotes);
    });
    writer.uint8(10);
  };
}
