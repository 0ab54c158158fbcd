import { ClarusError } from '../errors.js';
import type { Rewritten } from '../sql/raw/string-literals.js';
import { PostgresError, writeError } from '../wire/diagnostic.js';
import { MessageWriter } from '../wire/message-writer.js';

/** Any thrown value as an ErrorResponse. */
export function errorMessage(error: unknown): Buffer {
  const writer = new MessageWriter(512);
  writeError(writer, error);
  return writer.take();
}

/** A session that ends tells why with severity FATAL. */
export function asFatal(error: unknown): unknown {
  if (!(error instanceof ClarusError) || error.severity === 'FATAL') return error;
  return new ClarusError(error.code, error.message, { ...error.fields, severity: 'FATAL' });
}

/**
 * Where a statement begins in the text that the client has sent, in characters; `in` says how that text was written anew
 * before the statement was cut out of it.
 */
export type Origin = number | { readonly at: number; readonly in: Rewritten };

/** The same error with its position counted from the beginning of the client's whole text. */
export function shifted(error: unknown, origin: Origin): unknown {
  if (origin === 0) return error;
  const position = positionOf(error);
  if (position === undefined) return error;
  if (typeof origin === 'number') return placed(error, position + origin, (error as Error).message);
  const { at, in: rewritten } = origin;
  const { message } = error as Error;
  return placed(error, rewritten.place(position + at), rewritten.quoted(message, position + at));
}

/** Where an error says that something is wrong with its statement, in characters from 1. */
export const positionOf = (error: unknown): number | undefined => {
  if (error instanceof ClarusError) return error.fields.position;
  const position = error instanceof PostgresError ? error.diagnostic.position : undefined;
  return position === undefined ? undefined : Number(position);
};

function placed(error: unknown, position: number, message: string): unknown {
  if (error instanceof ClarusError)
    return new ClarusError(error.code, message, { ...error.fields, position });
  const { diagnostic } = error as PostgresError;
  return new PostgresError({ ...diagnostic, message, position: String(position) });
}

/**
 * Why a connection could not begin, in one line: what a server answered to the login, or the operating system. No
 * statement has run by then, so no value stands in it.
 */
export function describeCause(error: unknown): string {
  if (error instanceof PostgresError) return `${error.message} (SQLSTATE ${error.code})`;
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined ? describeDefect(error) : (message.split('\n')[0] ?? code);
}

/** Class and place of a defect, without its message, which could hold a value. */
export function describeDefect(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = error.stack?.split('\n').find(line => line.trimStart().startsWith('at '));
  return `${error.name} ${place?.trim() ?? ''}`;
}

/** What PostgreSQL says to everything in a transaction that has failed. */
export const aborted = (): ClarusError =>
  new ClarusError('25P02', 'current transaction is aborted, commands ignored until end of transaction block');

/** What work of a session meets that has ended. */
export const sessionEnded = (): ClarusError =>
  new ClarusError('08006', 'the session has ended', { severity: 'FATAL' });
