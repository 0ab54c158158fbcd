/** Errors of COPY with their place in the client's data, as PostgreSQL words it (CopyFromErrorCallback in copyfrom.c). */

import type { Catalog } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { logicalError } from '../client-error.js';

/** MAX_COPY_DATA_DISPLAY: so much of a value is shown, bytes */
const SHOWN_BYTES_MAX = 100;

/** Where in the client's data an error is. */
export interface CopyField {
  readonly table: string;
  readonly line: number;
  readonly column: string;
  /** the client's own value; undefined where it is binary */
  readonly value: Uint8Array | null | undefined;
}

/** An error of a conversion on the trusted side, told of the field that was converted. */
export function ofField(error: unknown, { table, line, column, value }: CopyField): unknown {
  if (!(error instanceof PostgresError)) return error;
  const shown = value === undefined ? '' : value === null ? ': null input' : `: "${limited(value)}"`;
  const place = `COPY ${table}, line ${line}, column ${column}${shown}`;
  const inner = (error.diagnostic.where ?? '')
    .split('\n')
    .filter(line => line !== '' && !/^(?:unnamed portal|portal ".*") parameter \$/.test(line));
  // a value in binary form was sent as a parameter
  const message = error.diagnostic.message.replace(/ in bind parameter \d+$/, '');
  return new PostgresError({ ...error.diagnostic, message, where: [...inner, place].join('\n') });
}

/** So much of a value as PostgreSQL shows. */
export function limited(value: Uint8Array): string {
  if (value.length <= SHOWN_BYTES_MAX) return Buffer.from(value).toString();
  let end = SHOWN_BYTES_MAX;
  while (end > 0 && (value[end]! & 0xc0) === 0x80) end--;
  return `${Buffer.from(value.subarray(0, end)).toString()}...`;
}

/** Number of the row, from 0, that the cloud's COPY speaks of; undefined where it speaks of none. */
export function rowOf(error: unknown): number | undefined {
  const line =
    error instanceof PostgresError ? /^COPY .*, line (\d+)/m.exec(error.diagnostic.where ?? '') : null;
  return line ? Number(line[1]) - 1 : undefined;
}

/** Is this an error of a key, which is found only when rows are inserted? */
export const isOfKey = (error: unknown): boolean =>
  error instanceof PostgresError && (error.code === '23505' || error.code === '23P01');

/** Is this an error of a foreign key, which is found only when the statement ends? */
export const isOfReference = (error: unknown): boolean =>
  error instanceof PostgresError && error.code === '23503';

/**
 * An error of the cloud's COPY in logical names, told of the line of the client's data.
 * @param line undefined: it is of no line, or too far back
 */
export function ofLine(error: unknown, table: string, line: number | undefined, catalog: Catalog): unknown {
  if (!(error instanceof PostgresError)) return error;
  const {
    message,
    code,
    schema,
    table: name,
    column,
    constraint,
    dataType,
    detail,
    trusted,
  } = logicalError(error, catalog).diagnostic;
  return new ClarusError(code, message, {
    ...(trusted && detail !== undefined ? { detail } : {}),
    ...(schema === undefined ? {} : { schema }),
    ...(name === undefined ? {} : { table: name }),
    ...(column === undefined ? {} : { column }),
    ...(dataType === undefined ? {} : { dataType }),
    ...(constraint === undefined ? {} : { constraint }),
    ...(line === undefined ? {} : { where: `COPY ${table}, line ${line}` }),
  });
}

/** An error that a row of the client's data led to elsewhere, with the line of that row. */
export function inLine(error: unknown, table: string, line: number): unknown {
  const within = (where: string | undefined): string =>
    [...(where ? [where] : []), `COPY ${table}, line ${line}`].join('\n');
  if (error instanceof PostgresError)
    return new PostgresError({ ...error.diagnostic, where: within(error.diagnostic.where) });
  if (!(error instanceof ClarusError)) return error;
  return new ClarusError(error.code, error.message, { ...error.fields, where: within(error.fields.where) });
}
