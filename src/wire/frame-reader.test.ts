import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClarusError } from '../errors.js';
import { FrameReader } from './frame-reader.js';
import { backendLimits, backendTypes, frontendLimits, frontendTypes } from './protocol.js';

const frame = (type: number, body: Uint8Array): Buffer => {
  const bytes = Buffer.alloc(5 + body.length);
  bytes[0] = type;
  bytes.writeInt32BE(4 + body.length, 1);
  bytes.set(body, 5);
  return bytes;
};

/** Cuts a stream into pieces at arbitrary places. */
const cut = (stream: Buffer, sizes: readonly number[]): Buffer[] => {
  const pieces: Buffer[] = [];
  let at = 0;
  for (let i = 0; at < stream.length; i++) {
    const size = sizes.length === 0 ? stream.length : sizes[i % sizes.length]!;
    pieces.push(stream.subarray(at, at + size));
    at += size;
  }
  return pieces;
};

const someFrames = fc.array(
  fc.tuple(
    fc.constantFrom(backendTypes.dataRow, backendTypes.copyData, backendTypes.readyForQuery),
    fc.uint8Array({ maxLength: 40 }),
  ),
  { maxLength: 20 },
);
const someSizes = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 6 });

test('frames come out whole and in order, wherever the stream is cut', () => {
  fc.assert(
    fc.property(someFrames, someSizes, (frames, sizes) => {
      const reader = new FrameReader({ tagged: true, limits: backendLimits(1000) });
      const seen: Buffer[] = [];
      for (const chunk of cut(Buffer.concat(frames.map(([type, body]) => frame(type, body))), sizes)) {
        reader.push(chunk);
        while (reader.next()) {
          assert.equal(reader.type, reader.buffer[reader.start]);
          assert.equal(reader.body, reader.start + 5);
          seen.push(Buffer.from(reader.buffer.subarray(reader.start, reader.end)));
        }
      }
      assert.deepEqual(
        seen,
        frames.map(([type, body]) => frame(type, body)),
      );
      assert.equal(reader.pending_bytes, 0);
      assert.ok(reader.atBoundary);
    }),
  );
});

test('streamed frames pass as runs that hold every byte once, the others as whole frames', () => {
  const streamed = new Uint8Array(256);
  streamed[backendTypes.dataRow] = 1;
  streamed[backendTypes.copyData] = 1;
  fc.assert(
    fc.property(someFrames, someSizes, (frames, sizes) => {
      const stream = Buffer.concat(frames.map(([type, body]) => frame(type, body)));
      const reader = new FrameReader({ tagged: true, limits: backendLimits(1000), streamed });
      const seen: Buffer[] = [];
      let begun = 0;
      for (const chunk of cut(stream, sizes)) {
        reader.push(chunk);
        while (reader.next()) {
          if (!reader.run) assert.equal(reader.type, backendTypes.readyForQuery);
          begun += reader.frames;
          seen.push(Buffer.from(reader.buffer.subarray(reader.start, reader.end)));
        }
      }
      assert.deepEqual(Buffer.concat(seen), stream);
      assert.equal(begun, frames.length);
      assert.ok(reader.atBoundary);
    }),
  );
});

test('adjoining streamed frames of a chunk are one run', () => {
  const streamed = new Uint8Array(256);
  streamed[backendTypes.dataRow] = 1;
  const reader = new FrameReader({ tagged: true, limits: backendLimits(1000), streamed });
  const row = frame(backendTypes.dataRow, Buffer.alloc(10));
  reader.push(Buffer.concat([row, row, row, frame(backendTypes.readyForQuery, Buffer.from('I'))]));
  assert.ok(reader.next());
  assert.deepEqual([reader.run, reader.frames, reader.start, reader.end], [true, 3, 0, 3 * row.length]);
  assert.ok(reader.next());
  assert.deepEqual([reader.run, reader.type], [false, backendTypes.readyForQuery]);
  assert.ok(!reader.next());
});

test('a streamed frame may be longer than the limit, one that is collected may not', () => {
  const streamed = new Uint8Array(256);
  streamed[backendTypes.dataRow] = 1;
  const long = frame(backendTypes.dataRow, Buffer.alloc(2000));
  const reader = new FrameReader({ tagged: true, limits: backendLimits(1000), streamed });
  reader.push(long);
  assert.ok(reader.next());
  assert.equal(reader.end - reader.start, long.length);
  reader.streamed = undefined;
  reader.push(long.subarray(0, 5));
  assert.throws(
    () => reader.next(),
    (error: unknown) => error instanceof ClarusError && error.code === '54000' && error.severity === 'FATAL',
  );
});

test('impossible lengths and unknown types are fatal before anything is kept', () => {
  const fails = (bytes: number[], code: string): void => {
    const reader = new FrameReader({ tagged: true, limits: frontendLimits(1_000_000) });
    reader.push(Buffer.from(bytes));
    assert.throws(
      () => reader.next(),
      (error: unknown) => error instanceof ClarusError && error.code === code && error.severity === 'FATAL',
    );
  };
  fails([frontendTypes.query, 0, 0, 0, 3], '08P01');
  fails([frontendTypes.query, 0xff, 0xff, 0xff, 0xff], '08P01');
  fails([frontendTypes.query, 0x7f, 0xff, 0xff, 0xff], '54000');
  fails([frontendTypes.sync, 0, 1, 0, 0], '54000');
  fails([0x07, 0, 0, 0, 4], '08P01');
});

test('memory held grows with the bytes received, not with the length promised', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers: FrameReader[] = [];
  for (let i = 0; i < 50; i++) {
    const reader = new FrameReader({ tagged: true, limits: frontendLimits(0x3fff_ffff) });
    reader.push(Buffer.from([frontendTypes.query, 0x3f, 0xff, 0xff, 0xff, 0x41]));
    assert.ok(!reader.next());
    reader.push(Buffer.from([0x41]));
    assert.ok(!reader.next());
    readers.push(reader);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
  assert.equal(readers[0]!.pending_bytes, 7);
});

test('startup packets have no type, and what follows them can be handed over', () => {
  const reader = new FrameReader();
  reader.push(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47, 0x16, 3, 1]));
  assert.ok(reader.next());
  assert.deepEqual([reader.type, reader.body, reader.end], [0, 4, 8]);
  assert.equal(reader.pending_bytes, 3);
  assert.deepEqual(reader.takeRest(), Buffer.from([0x16, 3, 1]));
  assert.equal(reader.pending_bytes, 0);
  reader.push(Buffer.from([0, 1, 0, 0]));
  assert.throws(() => reader.next(), /invalid length of startup packet/);
});
