/** What a server tells beside answers: errors, and changes of its settings. */
import type { Payloads } from '../crypto/payloads.js';
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
 * A NotificationResponse for the client: its payload is opened, and one that its own session sent carries the process id
 * that the client was told (PostgreSQL manual, NOTIFY).
 * @param own process id of the session's backend
 * @param told process id told to the client
 * @throws ClarusError XX001 for a payload that does not verify
 */
export function notificationFor(
  { buffer, start, body, end }: FrameReader,
  own: number,
  told: number,
  payloads: Payloads,
): Buffer {
  const zero = buffer.indexOf(0, body + 4);
  const payload = buffer.toString('utf8', zero + 1, end - 1);
  const from = buffer.readInt32BE(body);
  const head = Buffer.from(buffer.subarray(start, zero + 1));
  if (from === own) head.writeInt32BE(told, body - start);
  const opened = Buffer.from(`${payloads.open(buffer.toString('utf8', body + 4, zero), payload)}\0`);
  // the length counts itself, and not the type
  head.writeInt32BE(head.length - 1 + opened.length, 1);
  return Buffer.concat([head, opened]);
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
