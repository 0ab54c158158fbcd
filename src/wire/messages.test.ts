import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnOf } from '../crypto/column.js';
import { ClarusError } from '../errors.js';
import { decodeBackend, fieldBounds } from './decode-backend.js';
import { decodeFrontend } from './decode-frontend.js';
import { decodeStartup } from './decode-startup.js';
import { type Diagnostic, PostgresError, writeError } from './diagnostic.js';
import { writeBackend } from './encode-backend.js';
import { writeFrontend, writeStartup } from './encode-frontend.js';
import { MessageWriter } from './message-writer.js';
import type { BackendMessage, FrontendMessage, StartupMessage } from './messages.js';
import { backendTypes } from './protocol.js';

const bytes = (...values: number[]): Buffer => Buffer.from(values);

const frontendMessages: readonly FrontendMessage[] = [
  { kind: 'Query', sql: 'SELECT 1 -- ä' },
  { kind: 'Parse', name: 's', sql: 'SELECT $1', parameterTypes: [23, 4_000_000_000] },
  {
    kind: 'Bind',
    portal: 'p',
    statement: 's',
    parameterFormats: [0, 1, 1],
    parameters: [bytes(65), null, bytes()],
    resultFormats: [1],
  },
  { kind: 'Describe', target: 'statement', name: 's' },
  { kind: 'Describe', target: 'portal', name: '' },
  { kind: 'Close', target: 'portal', name: 'p' },
  { kind: 'Execute', portal: 'p', maxRows: 7 },
  { kind: 'Flush' },
  { kind: 'Sync' },
  { kind: 'CopyDone' },
  { kind: 'Terminate' },
  { kind: 'CopyData', data: bytes(1, 2, 3) },
  { kind: 'CopyFail', message: 'no' },
  {
    kind: 'FunctionCall',
    functionOid: 1,
    argumentFormats: [1],
    arguments: [bytes(1), null],
    resultFormat: 1,
  },
  { kind: 'Password', data: bytes(120, 0) },
];

const diagnostic: Diagnostic = {
  severity: 'FEHLER',
  severityPlain: 'ERROR',
  code: '23505',
  message: 'duplicate',
  detail: 'd',
  hint: 'h',
  position: '5',
  internalPosition: '6',
  internalQuery: 'q',
  where: 'w',
  schema: 's',
  table: 't',
  column: 'c',
  dataType: 'y',
  constraint: 'n',
  file: 'f',
  line: '1',
  routine: 'r',
  other: [['Z', 'z']],
};

const backendMessages: readonly BackendMessage[] = [
  { kind: 'Authentication', method: 'ok' },
  { kind: 'Authentication', method: 'cleartext' },
  { kind: 'Authentication', method: 'md5', salt: bytes(1, 2, 3, 4) },
  { kind: 'Authentication', method: 'sasl', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] },
  { kind: 'Authentication', method: 'saslContinue', data: bytes(1) },
  { kind: 'Authentication', method: 'saslFinal', data: bytes(2) },
  { kind: 'Authentication', method: 'other', code: 9 },
  { kind: 'BackendKeyData', processId: 42, secretKey: Buffer.alloc(32, 7) },
  { kind: 'ParseComplete' },
  { kind: 'BindComplete' },
  { kind: 'CloseComplete' },
  { kind: 'NoData' },
  { kind: 'PortalSuspended' },
  { kind: 'EmptyQueryResponse' },
  { kind: 'CopyDone' },
  { kind: 'CommandComplete', tag: 'SELECT 1' },
  { kind: 'CopyInResponse', format: 0, columnFormats: [0, 0] },
  { kind: 'CopyOutResponse', format: 1, columnFormats: [1] },
  { kind: 'CopyBothResponse', format: 0, columnFormats: [] },
  { kind: 'CopyData', data: bytes(9) },
  { kind: 'DataRow', values: [bytes(1, 2), null, bytes()] },
  { kind: 'ErrorResponse', diagnostic },
  { kind: 'NoticeResponse', diagnostic: { severity: 'NOTICE', code: '00000', message: 'm' } },
  { kind: 'FunctionCallResponse', value: null },
  { kind: 'NegotiateProtocolVersion', version: 0x30000, unrecognized: ['_pq_.x'] },
  { kind: 'NotificationResponse', processId: 1, channel: 'c', payload: '' },
  { kind: 'ParameterDescription', types: [23, 25] },
  { kind: 'ParameterStatus', name: 'client_encoding', value: 'UTF8' },
  { kind: 'ReadyForQuery', status: 'T' },
  {
    kind: 'RowDescription',
    fields: [
      {
        name: 'é',
        tableOid: 1,
        attribute: 2,
        typeOid: 3_000_000_000,
        typeSize: -1,
        typeModifier: -1,
        format: 1,
      },
    ],
  },
];

const startupMessages: readonly StartupMessage[] = [
  { kind: 'SSLRequest' },
  { kind: 'GSSENCRequest' },
  { kind: 'CancelRequest', processId: -5, secretKey: bytes(1, 2, 3, 4) },
  { kind: 'CancelRequest', processId: 5, secretKey: Buffer.alloc(256, 1) },
  {
    kind: 'StartupMessage',
    version: 0x30002,
    parameters: new Map([
      ['user', 'u'],
      ['options', ''],
    ]),
  },
];

const written = (write: (writer: MessageWriter) => void): Buffer => {
  const writer = new MessageWriter(16);
  write(writer);
  return writer.take();
};

test('every message comes back as it was written', () => {
  for (const message of frontendMessages) {
    const frame = written(writer => writeFrontend(writer, message));
    assert.equal(frame.readInt32BE(1), frame.length - 1);
    assert.deepEqual(decodeFrontend(frame[0]!, frame, 5, frame.length), message);
  }
  for (const message of backendMessages) {
    const frame = written(writer => writeBackend(writer, message));
    assert.equal(frame.readInt32BE(1), frame.length - 1);
    assert.deepEqual(decodeBackend(frame[0]!, frame, 5, frame.length), message);
  }
  for (const message of startupMessages) {
    const frame = written(writer => writeStartup(writer, message));
    assert.equal(frame.readInt32BE(0), frame.length);
    assert.deepEqual(decodeStartup(frame, 4, frame.length), message);
  }
});

test('a truncated or damaged body is a protocol violation, never a read past its end', () => {
  const refused = (read: () => unknown): void => {
    try {
      read();
    } catch (error) {
      assert.ok(error instanceof ClarusError, String(error));
      assert.match(error.code, /^(08P01|22021|0A000|28000)$/);
    }
  };
  const frames = [
    ...frontendMessages.map(message => written(writer => writeFrontend(writer, message))),
    ...backendMessages.map(message => written(writer => writeBackend(writer, message))),
  ];
  for (const frame of frames) {
    for (let end = 5; end < frame.length; end++) {
      refused(() => decodeFrontend(frame[0]!, frame, 5, end));
      refused(() => decodeBackend(frame[0]!, frame, 5, end));
    }
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 60 }), (type, body) => {
      const buffer = Buffer.from(body);
      refused(() => decodeFrontend(type, buffer, 0, buffer.length));
      refused(() => decodeBackend(type, buffer, 0, buffer.length));
      refused(() => decodeStartup(buffer, 0, buffer.length));
      refused(() => fieldBounds(buffer, 0, buffer.length, new Int32Array(100)));
    }),
    { numRuns: 2000 },
  );
});

test('text that is not UTF-8 is refused, never changed', () => {
  assert.throws(() => decodeFrontend(0x51, bytes(0xc3, 0x28, 0), 0, 3), /invalid byte sequence/);
  assert.deepEqual(decodeFrontend(0x51, Buffer.from('\ufffd\0'), 0, 4), { kind: 'Query', sql: '\ufffd' });
});

test('bytes taken from a writer never change afterwards', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.boolean())), steps => {
      const writer = new MessageWriter(64);
      const taken: Buffer[] = [];
      const expected: Buffer[] = [];
      let pending: Buffer[] = [];
      for (const [data, take] of steps) {
        writer.begin(backendTypes.copyData);
        writer.bytes(data);
        writer.end();
        const frame = Buffer.from([backendTypes.copyData, 0, 0, 0, 4 + data.length, ...data]);
        pending.push(frame);
        if (!take) continue;
        taken.push(writer.take());
        expected.push(Buffer.concat(pending));
        pending = [];
      }
      assert.deepEqual(taken, expected);
    }),
  );
});

test('an open message can be thrown away without touching those before it', () => {
  const writer = new MessageWriter(16);
  writer.empty(backendTypes.parseComplete);
  const mark = writer.mark();
  writer.begin(backendTypes.dataRow);
  writer.text('x'.repeat(100));
  writer.truncate(mark);
  writer.empty(backendTypes.noData);
  assert.deepEqual(writer.take(), bytes(0x31, 0, 0, 0, 4, 0x6e, 0, 0, 0, 4));
});

test('fields written in place are those read back, and columns become rows', () => {
  const rows = fc.array(fc.tuple(fc.option(fc.uint8Array({ maxLength: 70 })), fc.option(fc.uint8Array())));
  fc.assert(
    fc.property(rows, values => {
      const writer = new MessageWriter(32);
      const columns = [columnOf(values.map(row => row[0])), columnOf(values.map(row => row[1]))];
      writer.dataRows(columns, 0, values.length);
      const byColumns = writer.take();
      for (const row of values) {
        writer.begin(backendTypes.dataRow);
        writer.int16(2);
        for (const value of row) {
          if (value === null) writer.nullField();
          else {
            const field = writer.beginField();
            writer.slice(value, 0, value.length);
            writer.endField(field);
          }
        }
        writer.end();
      }
      assert.deepEqual(writer.take(), byColumns);
      const bounds = new Int32Array(4);
      let at = 0;
      for (const row of values) {
        const end = at + 1 + byColumns.readInt32BE(at + 1);
        assert.equal(fieldBounds(byColumns, at + 5, end, bounds), 2);
        row.forEach((value, i) => {
          const start = bounds[2 * i]!;
          const size = bounds[2 * i + 1]!;
          if (value === null) assert.equal(size, -1);
          else assert.deepEqual(byColumns.subarray(start, start + size), Buffer.from(value));
        });
        at = end;
      }
      assert.equal(at, byColumns.length);
    }),
  );
});

test('a defect of ours is told without its text', () => {
  const told = (error: unknown): BackendMessage => {
    const frame = written(writer => writeError(writer, error));
    return decodeBackend(frame[0]!, frame, 5, frame.length);
  };
  assert.deepEqual(told(new TypeError('secret')), {
    kind: 'ErrorResponse',
    diagnostic: {
      severity: 'ERROR',
      severityPlain: 'ERROR',
      code: 'XX000',
      message: 'internal error of clarus',
    },
  });
  assert.deepEqual(told(new PostgresError(diagnostic)), { kind: 'ErrorResponse', diagnostic });
  assert.deepEqual(told(new ClarusError('0A000', 'no', { hint: 'h', position: 3, severity: 'FATAL' })), {
    kind: 'ErrorResponse',
    diagnostic: {
      severity: 'FATAL',
      severityPlain: 'FATAL',
      code: '0A000',
      message: 'no',
      hint: 'h',
      position: '3',
    },
  });
});
