/** Answers that are lines of text. */
import type { Awaitable } from '../../awaitable.js';
import { MessageWriter } from '../../wire/message-writer.js';
import { backendTypes } from '../../wire/protocol.js';
import type { SessionPort } from '../ports.js';
import type { Portal } from './portal.js';

/** A portal that answers one text column, a row a line, with the tag EXPLAIN. */
export function bindLines(lines: () => Awaitable<readonly string[]>, session: SessionPort): Portal {
  return {
    async execute() {
      const writer = new MessageWriter(4096);
      for (const line of await lines()) {
        writer.begin(backendTypes.dataRow);
        writer.int16(1);
        writer.field(Buffer.from(line));
        writer.end();
      }
      if (writer.length) await session.client.write(writer.take());
      return { kind: 'complete', tag: 'EXPLAIN' };
    },
    close: () => undefined,
  };
}
