import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventBatch } from './encode.js';
import { type AuditEvent, includes } from './events.js';
import { crc32, frameLines, scanJournal, sequenceOf } from './record.js';

const time_ms = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const login: AuditEvent = { kind: 'session-opened', user: 'app', session: 7, address: '127.0.0.1' };
const statement: AuditEvent = {
  kind: 'statement',
  user: 'app',
  session: 7,
  number: 1,
  statement: {
    fingerprint: '50fde20626009aba',
    command: 'SELECT',
    plan: 'push',
    tables: ['public.lab'],
    columns: [{ column: 'public.lab.name', direction: 'to-cloud', protection: ['equality'] }],
  },
};
const ended: AuditEvent = {
  kind: 'statement-end',
  user: 'app',
  session: 7,
  number: 1,
  rows: 3,
  duration_ms: 0.412,
};
const failed: AuditEvent = { ...ended, number: 2, rows: 0, code: '23505', duration_ms: 1.5 };

const encoded = (events: readonly AuditEvent[]): Buffer => {
  const batch = new EventBatch();
  for (const event of events) batch.add(event, time_ms);
  assert.equal(batch.count, events.length);
  return batch.take();
};

/** The lines of docs/spec/audit.md. */
const vector: readonly string[] = [
  '{"sequence":1,"time":"2026-01-02T03:04:05.678Z","kind":"session-opened","user":"app","session":7,"address":"127.0.0.1","crc":"b86b9760"}',
  '{"sequence":2,"time":"2026-01-02T03:04:05.678Z","kind":"statement","user":"app","session":7,"number":1,"fingerprint":"50fde20626009aba","command":"SELECT","plan":"push","tables":["public.lab"],"columns":[{"column":"public.lab.name","direction":"to-cloud","protection":["equality"]}],"crc":"682d12b1"}',
  '{"sequence":3,"time":"2026-01-02T03:04:05.678Z","kind":"statement-end","user":"app","session":7,"number":1,"rows":3,"duration_ms":0.412,"crc":"a83d057b"}',
  '{"sequence":4,"time":"2026-01-02T03:04:05.678Z","kind":"statement-end","user":"app","session":7,"number":2,"rows":0,"code":"23505","duration_ms":1.5,"crc":"8eac90f7"}',
];

test('CRC-32 is that of ISO 3309', () => {
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
  assert.equal(crc32(Buffer.alloc(0)), 0);
});

test('events become the lines of the specification', () => {
  const { bytes, lines } = frameLines(encoded([login, statement, ended, failed]), 1);
  assert.equal(lines, 4);
  assert.equal(bytes.toString(), `${vector.join('\n')}\n`);
  const document = readFileSync(new URL('../../docs/spec/audit.md', import.meta.url), 'utf8');
  for (const line of vector) assert.ok(document.includes(line), 'docs/spec/audit.md holds the test vector');
});

test('every line is JSON, holds what was given, and passes its own check', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ user: fc.string({ unit: 'binary' }), session: fc.nat(), address: fc.string() }), {
        minLength: 1,
      }),
      fc.integer({ min: 1, max: 1e15 }),
      (events, first) => {
        const lineOf = (event: (typeof events)[number]): AuditEvent => ({ kind: 'session-opened', ...event });
        const { bytes, lines } = frameLines(encoded(events.map(lineOf)), first);
        assert.equal(lines, events.length);
        let start = 0;
        events.forEach((event, i) => {
          const end = bytes.indexOf(0x0a, start);
          assert.equal(sequenceOf(bytes, start, end), first + i);
          const { sequence, time, kind, crc, ...rest } = JSON.parse(bytes.toString('utf8', start, end));
          assert.equal(sequence, first + i);
          assert.equal(Date.parse(time), time_ms);
          assert.equal(kind, 'session-opened');
          assert.match(crc, /^[0-9a-f]{8}$/);
          assert.deepEqual(rest, JSON.parse(JSON.stringify(event)));
          start = end + 1;
        });
        assert.equal(start, bytes.length);
      },
    ),
  );
});

test('a torn end, a changed byte and a missing line are found', () => {
  const { bytes } = frameLines(encoded([login, login, login, login, login]), 1);
  const length = bytes.length / 5;
  for (let end = 0; end <= bytes.length; end++) {
    const whole = Math.floor(end / length);
    assert.deepEqual(scanJournal(bytes.subarray(0, end)), {
      last: whole,
      good_bytes: whole * length,
      damagedInside: false,
    });
  }
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 8);
    const scan = scanJournal(changed);
    assert.equal(scan.last, Math.floor(at / length), `byte ${at}`);
    assert.equal(scan.damagedInside, at < 4 * length - 1, `byte ${at}`);
  }
  const missing = Buffer.concat([bytes.subarray(0, length), bytes.subarray(2 * length)]);
  assert.deepEqual(scanJournal(missing), { last: 1, good_bytes: length, damagedInside: true });
});

test('each level holds those before it', () => {
  assert.ok(includes('rows', 'statements') && includes('statements', 'acts') && includes('acts', 'acts'));
  assert.ok(!includes('acts', 'statements') && !includes('statements', 'rows'));
});
