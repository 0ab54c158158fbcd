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

let lastTag = '';

/** Tag of a CommandComplete, which is ASCII and mostly the one before; empty for other completions. */
export function tagOf({ type, buffer, body, end }: FrameReader): string {
  if (type !== backendTypes.commandComplete) return '';
  const { length } = lastTag;
  let same = end - 1 - body === length ? 0 : -1;
  while (same >= 0 && same < length) same = lastTag.charCodeAt(same) === buffer[body + same] ? same + 1 : -1;
  if (same < 0) lastTag = buffer.toString('latin1', body, end - 1);
  return lastTag;
}
