import { ClarusError } from '../errors.js';
import { ByteReader } from './byte-reader.js';
import type { MessageWriter } from './message-writer.js';
import { backendTypes } from './protocol.js';

/**
 * What an ErrorResponse or NoticeResponse says (PostgreSQL manual, chapter 54.8). A field that the server did
 * not send is absent.
 */
export interface Diagnostic {
  /** ERROR, FATAL, PANIC, WARNING, NOTICE, DEBUG, INFO or LOG, possibly translated */
  readonly severity: string;
  /** the same, never translated; servers before 9.6 do not send it */
  readonly severityPlain?: string;
  /** SQLSTATE */
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** 1-based, in characters of the statement sent */
  readonly position?: string;
  readonly internalPosition?: string;
  readonly internalQuery?: string;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  readonly file?: string;
  readonly line?: string;
  readonly routine?: string;
  /** the trusted PostgreSQL says it, about the client's own statement */
  readonly trusted?: true;
  /** fields with a code this version does not know, as pairs of code and value */
  readonly other?: readonly (readonly [string, string])[];
}

/** An ERROR or FATAL that a PostgreSQL server reported, with all its fields. */
export class PostgresError extends Error {
  override readonly name: string = 'PostgresError';
  /** SQLSTATE */
  readonly code: string;
  readonly diagnostic: Diagnostic;

  constructor(diagnostic: Diagnostic) {
    super(diagnostic.message);
    this.code = diagnostic.code;
    this.diagnostic = diagnostic;
  }
}

type DiagnosticField = Exclude<keyof Diagnostic, 'other' | 'trusted'>;

/** Field codes in the order in which PostgreSQL sends them (send_message_to_frontend in elog.c). */
const fieldCodes: readonly (readonly [string, DiagnosticField])[] = [
  ['S', 'severity'],
  ['V', 'severityPlain'],
  ['C', 'code'],
  ['M', 'message'],
  ['D', 'detail'],
  ['H', 'hint'],
  ['P', 'position'],
  ['p', 'internalPosition'],
  ['q', 'internalQuery'],
  ['W', 'where'],
  ['s', 'schema'],
  ['t', 'table'],
  ['c', 'column'],
  ['d', 'dataType'],
  ['n', 'constraint'],
  ['F', 'file'],
  ['L', 'line'],
  ['R', 'routine'],
];
const fieldOfCode = new Map(fieldCodes.map(([code, field]) => [code.charCodeAt(0), field]));

/**
 * Reads the body of an ErrorResponse or NoticeResponse. Bytes that are not UTF-8 become replacement characters:
 * a report must never fail to be read.
 * @throws ClarusError 08P01 when it is malformed
 */
export function decodeDiagnostic(buffer: Buffer, start: number, end: number): Diagnostic {
  const reader = new ByteReader(buffer, start, end);
  const fields: Partial<Record<DiagnosticField, string>> = {};
  const other: [string, string][] = [];
  for (let code = reader.uint8(); code !== 0; code = reader.uint8()) {
    const value = reader.lenientCstring();
    const field = fieldOfCode.get(code);
    if (field === undefined) other.push([String.fromCharCode(code), value]);
    else fields[field] = value;
  }
  reader.finish();
  const { severity = 'ERROR', code = 'XX000', message = '', ...rest } = fields;
  return { severity, code, message, ...rest, ...(other.length > 0 ? { other } : {}) };
}

/** Writes an ErrorResponse or NoticeResponse. Zero characters, which the protocol cannot hold, are left out. */
export function writeDiagnostic(
  writer: MessageWriter,
  kind: 'ErrorResponse' | 'NoticeResponse',
  diagnostic: Diagnostic,
): void {
  writer.begin(kind === 'ErrorResponse' ? backendTypes.errorResponse : backendTypes.noticeResponse);
  const put = (code: string, value: string): void => {
    writer.uint8(code.charCodeAt(0));
    writer.cstring(value.includes('\0') ? value.replaceAll('\0', '') : value);
  };
  for (const [code, field] of fieldCodes) {
    const value = diagnostic[field];
    if (value !== undefined) put(code, value);
  }
  for (const [code, value] of diagnostic.other ?? []) put(code, value);
  writer.uint8(0);
  writer.end();
}

/** What a client is told of an error that Clarus worded, or that a server reported. */
export function diagnosticOf(error: ClarusError | PostgresError): Diagnostic {
  if (error instanceof PostgresError) return error.diagnostic;
  const { position, ...fields } = error.fields;
  return {
    severity: error.severity,
    severityPlain: error.severity,
    code: error.code,
    message: error.message,
    ...fields,
    ...(position === undefined ? {} : { position: String(position) }),
  };
}

/**
 * Writes any thrown value as an ErrorResponse. What is neither a ClarusError nor a PostgresError is a defect of
 * ours: its text might hold values, so the client is told only that it happened.
 */
export function writeError(writer: MessageWriter, error: unknown): void {
  const known = error instanceof ClarusError || error instanceof PostgresError;
  writeDiagnostic(
    writer,
    'ErrorResponse',
    known
      ? diagnosticOf(error)
      : { severity: 'ERROR', severityPlain: 'ERROR', code: 'XX000', message: 'internal error of clarus' },
  );
}
