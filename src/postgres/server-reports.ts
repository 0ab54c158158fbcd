/** What a server tells beside answers: errors, and changes of its settings. */
import type { PostgresError } from '../wire/diagnostic.js';
import type { FrameReader } from '../wire/frame-reader.js';

/** Does the server end the connection with this error? */
export const isFatal = ({ diagnostic }: PostgresError): boolean =>
  ['FATAL', 'PANIC'].includes(diagnostic.severityPlain ?? diagnostic.severity);

/** Name and value of a ParameterStatus. */
export function parameterStatus({ buffer, body, end }: FrameReader): [name: string, value: string] {
  const zero = buffer.indexOf(0, body);
  return [buffer.toString('utf8', body, zero), buffer.toString('utf8', zero + 1, end - 1)];
}
