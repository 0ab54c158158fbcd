/** What a server tells beside answers: errors, and changes of its settings. */
import type { PostgresError } from '../wire/diagnostic.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { backendTypes } from '../wire/protocol.js';

/** Does the server end the connection with this error? */
export const isFatal = ({ diagnostic }: PostgresError): boolean =>
  ['FATAL', 'PANIC'].includes(diagnostic.severityPlain ?? diagnostic.severity);

/** Name and value of a ParameterStatus. */
export function parameterStatus({ buffer, body, end }: FrameReader): [name: string, value: string] {
  const zero = buffer.indexOf(0, body);
  return [buffer.toString('utf8', body, zero), buffer.toString('utf8', zero + 1, end - 1)];
}

/**
 * A NotificationResponse for the client: a notification that its own session sent carries the process id that the
 * client was told (PostgreSQL manual, NOTIFY).
 * @param own process id of the session's backend
 * @param told process id told to the client
 */
export function notificationFor(
  { buffer, start, body, end }: FrameReader,
  own: number,
  told: number,
): Buffer {
  const message = buffer.subarray(start, end);
  if (buffer.readInt32BE(body) !== own) return message;
  const copy = Buffer.from(message);
  copy.writeInt32BE(told, body - start);
  return copy;
}

/** Tag of a CommandComplete; empty for other completions. */
export const tagOf = (reader: FrameReader): string =>
  reader.type === backendTypes.commandComplete
    ? reader.buffer.toString('utf8', reader.body, reader.end - 1)
    : '';
