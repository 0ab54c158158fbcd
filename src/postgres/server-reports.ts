/** What a server tells beside answers: errors, and changes of its settings. */
import { type PostgresError, writeDiagnostic } from '../wire/diagnostic.js';
import type { FrameReader } from '../wire/frame-reader.js';
import type { MessageWriter } from '../wire/message-writer.js';
import { shifted } from './failure.js';

/**
 * Writes an error of the server for the client.
 * @param shift characters before the statement in the client's text
 */
export function writeServerError(writer: MessageWriter, error: PostgresError, shift: number): void {
  writeDiagnostic(writer, 'ErrorResponse', (shifted(error, shift) as PostgresError).diagnostic);
}

/** Does the server end the connection with this error? */
export const isFatal = ({ diagnostic }: PostgresError): boolean =>
  ['FATAL', 'PANIC'].includes(diagnostic.severityPlain ?? diagnostic.severity);

/** Name and value of a ParameterStatus. */
export function parameterStatus({ buffer, body, end }: FrameReader): [name: string, value: string] {
  const zero = buffer.indexOf(0, body);
  return [buffer.toString('utf8', body, zero), buffer.toString('utf8', zero + 1, end - 1)];
}
