/** COPY FROM STDIN in a session, and all that it comes to, for tests that compare two servers. */
import type { BackendMessage } from '../../src/wire/messages.js';
import { type RawClient, say, told } from './raw-client.js';

/**
 * Runs a COPY.
 * @returns its messages in lines, with the place of errors and notices; where PostgreSQL quotes a whole line of the data, or
 *   the row of a constraint, that is left out
 */
export async function copied(
  client: RawClient,
  sql: string,
  data: string | Uint8Array,
  extended = false,
  pieceBytes = 700,
): Promise<readonly string[]> {
  const lines: string[] = [];
  let synced = !extended;
  const sync = (): void => {
    if (!synced) client.send(say.sync);
    synced = true;
  };
  client.send(...(extended ? [...say.run(sql), say.flush] : [say.query(sql)]));
  for (;;) {
    const message = await client.next();
    if (!message) return [...lines, 'closed'];
    if (message.kind === 'ParameterStatus') continue;
    lines.push(...told([withoutRow(message)]), ...placeOf(message));
    if (message.kind === 'CopyInResponse') {
      const bytes = Buffer.from(data);
      for (let at = 0; at < bytes.length; at += pieceBytes)
        client.send({ kind: 'CopyData', data: bytes.subarray(at, at + pieceBytes) });
      client.send(say.copyDone);
      sync();
    } else if (message.kind === 'ErrorResponse' || message.kind === 'CopyOutResponse') sync();
    if (message.kind === 'ReadyForQuery') return lines;
  }
}

const placeOf = (message: BackendMessage): readonly string[] =>
  message.kind === 'ErrorResponse' || message.kind === 'NoticeResponse'
    ? [(message.diagnostic.where ?? 'nowhere').replace(/^(COPY \w+, line \d+): ".*"$/ms, '$1')]
    : [];

const withoutRow = (message: BackendMessage): BackendMessage => {
  if (message.kind !== 'ErrorResponse' || !message.diagnostic.code.startsWith('23')) return message;
  const { detail: _, ...diagnostic } = message.diagnostic;
  return { ...message, diagnostic };
};
