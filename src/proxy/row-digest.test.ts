import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowDigest } from './row-digest.js';

const digest = (chunks: readonly Buffer[]): RowDigest => {
  const found = new RowDigest();
  for (const chunk of chunks) found.push(chunk);
  return found;
};

const rows = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\t', '\\', 'ä') }), { maxLength: 20 });

test('the digest of rows depends on neither their order nor where the stream is cut', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 9 }), (lines, size) => {
      const stream = Buffer.from(lines.map(line => `${line}\n`).join(''));
      const cut: Buffer[] = [];
      for (let at = 0; at < stream.length; at += size) cut.push(stream.subarray(at, at + size));
      const turned = Buffer.from(
        [...lines]
          .reverse()
          .map(line => `${line}\n`)
          .join(''),
      );
      const whole = digest([stream]);
      assert.equal(whole.count, lines.length);
      assert.equal(digest(cut).value, whole.value);
      assert.equal(digest([turned]).value, whole.value);
    }),
  );
});

test('a row more, a row less, a row twice or a changed row changes the digest', () => {
  const of = (text: string): string => digest([Buffer.from(text)]).value;
  const all = [of(''), of('a\n'), of('a\na\n'), of('b\n'), of('a\nb\n'), of('\n'), of('ab\n')];
  assert.equal(new Set(all).size, all.length);
  assert.equal(of('a\n'), 'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb');
});
