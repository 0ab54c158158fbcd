import { ClarusError } from '../errors.js';

/** PostgreSQL's limit of a line and of a field, bytes (MaxAllocSize in memutils.h). */
export const rowBytesMaxDefault = 0x3fff_ffff;

/** Where in the data of a COPY something was found. */
export interface CopyPlace {
  readonly table: string;
  /** from 1; for binary the number of the row */
  readonly line: number;
  readonly column?: string | undefined;
}

/** bad_copy_file_format, in PostgreSQL's words but without the data. */
export const badCopyData = (message: string, place: CopyPlace, hint?: string): ClarusError =>
  new ClarusError('22P04', message, {
    // the header of binary data is read before the first row
    ...(place.line === 0 ? {} : { where: placeText(place) }),
    ...(hint === undefined ? {} : { hint }),
  });

/** A row that ends before a column. */
export const missingData = (column: string, place: CopyPlace): ClarusError =>
  badCopyData(`missing data for column "${column}"`, place);

/** What stands for a default in a column that has none. */
export function unexpectedDefault(column: string, place: CopyPlace): ClarusError {
  const { code, message, fields } = badCopyData('unexpected default marker in COPY data', place);
  return new ClarusError(code, message, { ...fields, detail: `Column "${column}" has no default value.` });
}

/** character_not_in_repertoire */
export const notUtf8 = (place: CopyPlace): ClarusError =>
  new ClarusError('22021', 'invalid byte sequence for encoding "UTF8"', { where: placeText(place) });

/** A row above the limit. */
export const rowTooLong = (limit: number, place: CopyPlace): ClarusError =>
  new ClarusError('54000', `row of COPY data is longer than the limit of ${limit} bytes`, {
    where: placeText(place),
  });

const placeText = ({ table, line, column }: CopyPlace): string =>
  `COPY ${table}, line ${line}${column === undefined ? '' : `, column ${column}`}`;
