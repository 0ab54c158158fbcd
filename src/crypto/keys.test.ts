import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, wycheproof } from '../../test/vectors/wycheproof.js';
import { ClarusError } from '../errors.js';
import {
  deriveCellKey,
  deriveDomainKey,
  formatRootKey,
  generateKey,
  hkdfSha256,
  parseRootKey,
  rootKeyFingerprint,
  unwrapKey,
  wrapKey,
} from './keys.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const corrupted = (error: unknown): boolean => error instanceof ClarusError && error.code === 'XX001';

test('key wrapping and derivation hold the published vectors', () => {
  let valid = 0;
  let invalid = 0;
  for (const group of wycheproof<'key' | 'msg' | 'ct'>('aes_kwp').filter(g => g.keySize === 256))
    for (const { key, msg, ct, result, tcId } of group.tests) {
      if (result === 'invalid') {
        assert.throws(() => unwrapKey(fromHex(key), fromHex(ct)), corrupted, `test ${tcId}`);
        invalid++;
      } else {
        assert.equal(hex(wrapKey(fromHex(key), fromHex(msg))), ct, `test ${tcId}`);
        assert.equal(hex(unwrapKey(fromHex(key), fromHex(ct))), msg, `test ${tcId}`);
        valid++;
      }
    }
  assert.ok(valid > 20 && invalid > 20, `${valid} valid, ${invalid} invalid`);
  for (const group of wycheproof<'ikm' | 'salt' | 'info' | 'okm'>('hkdf_sha256'))
    for (const { ikm, salt, info, okm, size, result, tcId } of group.tests) {
      const derived = () => hkdfSha256(fromHex(ikm), fromHex(salt), fromHex(info), size!);
      if (result === 'invalid') assert.throws(derived, `test ${tcId}`);
      else assert.equal(hex(derived()), okm, `test ${tcId}`);
    }
});

test('a wrapped key with any byte changed does not unwrap', () => {
  const [root, key] = [generateKey(), generateKey()];
  const wrapped = wrapKey(root, key);
  assert.equal(wrapped.length, 40);
  assert.deepEqual(unwrapKey(root, wrapped), key);
  for (let i = 0; i < wrapped.length; i++) {
    const changed = wrapped.slice();
    changed[i]! ^= 1;
    assert.throws(() => unwrapKey(root, changed), corrupted);
  }
  assert.throws(() => unwrapKey(generateKey(), wrapped), corrupted);
  assert.throws(() => unwrapKey(root, wrapped.subarray(0, 8)), corrupted);
  assert.throws(() => unwrapKey(root, new Uint8Array(0)), corrupted);
});

test('derived keys differ in every argument', () => {
  const number = fc.integer({ min: 1, max: 0xffff });
  const key = generateKey();
  fc.assert(
    fc.property(number, number, number, number, (column, epoch, column2, epoch2) => {
      const same = column === column2 && epoch === epoch2;
      assert.equal(hex(deriveCellKey(key, column, epoch)) === hex(deriveCellKey(key, column2, epoch2)), same);
    }),
  );
  assert.notDeepEqual(deriveCellKey(key, 1, 2), deriveCellKey(generateKey(), 1, 2));
  assert.notDeepEqual(deriveDomainKey(key, 'tag'), deriveDomainKey(key, 'mask'));
  for (const [column, epoch] of [
    [0, 1],
    [1, 0],
    [65536, 1],
    [1, 65536],
    [1.5, 1],
  ] as const)
    assert.throws(() => deriveCellKey(key, column, epoch), RangeError);
  assert.throws(() => deriveCellKey(key.subarray(1), 1, 1), RangeError);
  assert.throws(() => deriveDomainKey(key, 'Tag 1'), RangeError);
});

test('a root key is read as it is written, and its fingerprint tells it apart', () => {
  const root = generateKey();
  assert.deepEqual(parseRootKey(formatRootKey(root), 'root.key'), root);
  assert.deepEqual(parseRootKey(`  ${hex(root).toUpperCase()}\r\n`, 'root.key'), root);
  assert.match(rootKeyFingerprint(root), /^([0-9a-f]{4}-){3}[0-9a-f]{4}$/);
  assert.equal(rootKeyFingerprint(root), rootKeyFingerprint(root.slice()));
  assert.notEqual(rootKeyFingerprint(root), rootKeyFingerprint(generateKey()));
});

test('what is not a root key is refused without being repeated', () => {
  for (const wrong of ['', 'abcdef', `${'0'.repeat(63)}g`, '0'.repeat(65)])
    assert.throws(
      () => parseRootKey(wrong, 'root.key'),
      (error: unknown) =>
        error instanceof ClarusError &&
        error.code === 'F0000' &&
        error.message.startsWith('root.key ') &&
        (wrong === '' || !JSON.stringify([error.message, error.fields]).includes(wrong)),
    );
});
