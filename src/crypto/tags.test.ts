import assert from 'node:assert/strict';
import { createCipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, wycheproof } from '../../test/vectors/wycheproof.js';
import { canonical, columnOf, valueAt } from './column.js';
import { tagColumn } from './tags.js';

const hex = (bytes: Uint8Array | null): string | null => bytes && Buffer.from(bytes).toString('hex');
const tagsOf = (key: Uint8Array, messages: (Uint8Array | null)[]): (string | null)[] => {
  const column = tagColumn(key, canonical(columnOf(messages)));
  return messages.map((_, i) => hex(valueAt(column, i)));
};

/** CMAC as RFC 4493 section 2.4 writes it, one block after the other. */
function referenceTag(key: Uint8Array, message: Uint8Array): string {
  const encrypt = (block: Uint8Array): Uint8Array =>
    createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(block);
  const double = (block: Uint8Array): Uint8Array => {
    const doubled = (BigInt(`0x${hex(block)}`) << 1n) ^ (block[0]! & 0x80 ? (1n << 128n) ^ 0x87n : 0n);
    return fromHex(doubled.toString(16).padStart(32, '0'));
  };
  const k1 = double(encrypt(new Uint8Array(16)));
  const blocks = Math.max(1, Math.ceil(message.length / 16));
  const complete = message.length === blocks * 16;
  const padded = new Uint8Array(blocks * 16);
  padded.set(message);
  if (!complete) padded[message.length] = 0x80;
  let chain = new Uint8Array(16);
  for (let b = 0; b < blocks; b++) {
    const subkey = b < blocks - 1 ? new Uint8Array(16) : complete ? k1 : double(k1);
    chain = new Uint8Array(encrypt(chain.map((x, i) => x ^ padded[b * 16 + i]! ^ subkey[i]!)));
  }
  return hex(chain)!;
}

test('tags hold the published vectors', () => {
  let valid = 0;
  for (const { tests } of wycheproof<'key' | 'msg' | 'tag'>('aes_cmac').filter(g => g.keySize === 256)) {
    for (const { key, msg, tag, result, tcId } of tests) {
      const message = fromHex(msg);
      for (const batch of [[message], [fromHex('00'), null, message, randomBytes(40)]]) {
        const found = tagsOf(fromHex(key), batch)[batch.indexOf(message)];
        assert.equal(found === tag, result === 'valid', `test ${tcId}`);
      }
      if (result === 'valid') valid++;
    }
  }
  assert.ok(valid > 20);
});

test('tags of columns of any shape are those of RFC 4493', () => {
  const length = fc.oneof(fc.integer({ min: 0, max: 48 }), fc.integer({ min: 0, max: 5000 }));
  const message = fc.option(length.map(size => new Uint8Array(randomBytes(size))));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 12 }), messages => {
      const key = new Uint8Array(randomBytes(32));
      assert.deepEqual(
        tagsOf(key, messages),
        messages.map(value => value && referenceTag(key, value)),
      );
    }),
    { numRuns: 40 },
  );
});

test('tags of many messages, of one length or of all, fill several pieces', () => {
  const key = new Uint8Array(randomBytes(32));
  for (const size of [
    () => 16,
    (i: number) => i % 50,
    (i: number) => (i % 500 === 0 ? 70000 + (i % 7) : i % 33),
  ]) {
    const messages = Array.from({ length: 5000 }, (_, i) =>
      i % 11 === 3 ? null : new Uint8Array(randomBytes(size(i))),
    );
    const found = tagsOf(key, messages);
    messages.forEach((value, i) => {
      if (value === null || i % 97 === 0 || value.length > 60000)
        assert.equal(found[i], value && referenceTag(key, value));
    });
  }
});

test('the NULLs of a column stay, and its bytes may stand anywhere in a larger buffer', () => {
  const key = new Uint8Array(randomBytes(32));
  const data = new Uint8Array(randomBytes(100));
  const offsets = Uint32Array.of(7, 7, 20, 20, 60);
  const column = tagColumn(key, canonical({ length: 4, data, offsets, nulls: Uint8Array.of(1, 0, 0, 0) }));
  assert.deepEqual(column.nulls, Uint8Array.of(1, 0, 0, 0));
  assert.deepEqual(column.offsets, Uint32Array.of(0, 0, 16, 32, 48));
  assert.equal(hex(valueAt(column, 3)), referenceTag(key, data.subarray(20, 60)));
  assert.equal(hex(valueAt(column, 2)), referenceTag(key, new Uint8Array(0)));
  assert.equal(tagColumn(key, canonical(columnOf([]))).length, 0);
  assert.equal(tagColumn(key, canonical(columnOf([null, null]))).data.length, 0);
});

test('a key whose bytes changed in place is noticed', () => {
  const key = new Uint8Array(randomBytes(32));
  const before = tagsOf(key, [new Uint8Array(3)])[0];
  key[31]! ^= 1;
  assert.notEqual(tagsOf(key, [new Uint8Array(3)])[0], before);
  assert.equal(tagsOf(key, [new Uint8Array(3)])[0], referenceTag(key, new Uint8Array(3)));
});
