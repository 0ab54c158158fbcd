import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { writeBackend } from '../wire/encode-backend.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { BackendMessage } from '../wire/messages.js';
import { ClientOutput } from './client-output.js';
import type { Endpoint } from './endpoint.js';

const written = (...messages: readonly BackendMessage[]): Buffer => {
  const writer = new MessageWriter();
  for (const message of messages) writeBackend(writer, message);
  return Buffer.from(writer.take());
};
const preparing = written(
  { kind: 'ParseComplete' },
  { kind: 'BindComplete' },
  { kind: 'NoData' },
  { kind: 'ParameterDescription', types: [23] },
  { kind: 'CloseComplete' },
);
const complete = written({ kind: 'CommandComplete', tag: 'BEGIN' }, { kind: 'ReadyForQuery', status: 'T' });

/** An output, and what it has written, a write an entry. */
function output(): { readonly out: ClientOutput; readonly writes: Buffer[] } {
  const writes: Buffer[] = [];
  const socket = { write: (bytes: Buffer) => writes.push(Buffer.from(bytes)), writableNeedDrain: false };
  const out = new ClientOutput({ socket, parting: false } as unknown as Endpoint, 1 << 20, () => undefined);
  return { out, writes };
}

suite('what goes to a client', () => {
  test('tells that a statement was prepared and bound with its answer, in one write', () => {
    const { out, writes } = output();
    out.awaits = () => true;
    out.bytes(preparing);
    out.flush();
    assert.deepEqual(writes, []);
    out.bytes(complete);
    out.flush();
    assert.deepEqual(writes, [Buffer.concat([preparing, complete])]);
  });

  test('tells it at once where no answer is due', () => {
    const { out, writes } = output();
    out.bytes(preparing);
    out.flush();
    assert.deepEqual(writes, [preparing]);
  });

  test('keeps nothing else back, and not much', () => {
    const row = written({ kind: 'DataRow', values: [Buffer.alloc(9_000, 'T')] });
    for (const bytes of [
      written({ kind: 'DataRow', values: [Buffer.from('x')] }),
      written({ kind: 'CopyInResponse', format: 0, columnFormats: [] }),
      Buffer.concat(new Array<Buffer>(200).fill(preparing)),
      // parts of a message that is forwarded as it comes
      row.subarray(0, 4_000),
      row.subarray(4_000),
      Buffer.from('Tabc'),
      Buffer.from([0x54, 0xff, 0xff, 0xff, 0xff, 0]),
    ]) {
      const { out, writes } = output();
      out.awaits = () => true;
      out.bytes(bytes);
      out.flush();
      assert.deepEqual(Buffer.concat(writes), bytes);
    }
  });
});
