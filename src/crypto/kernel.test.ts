import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fromHex, wycheproof } from '../../test/vectors/wycheproof.js';
import { type AesKey, aesKey, loadTables } from './aes-key.js';
import { encryptBlocks } from './batch.js';
import * as k from './kernel.js';

const { bytes, doubles, kernel, words } = k;
/** Room between the stored nonces and the counter blocks. */
const test_nonces = k.BLOCKS - 4096;

const integer = (block: Uint8Array): bigint => BigInt(`0x${Buffer.from(block).toString('hex') || '0'}`);

/** Product in GF(2^128), bit by bit (SP 800-38D section 6.3, algorithm 1). */
function times(x: bigint, y: bigint): bigint {
  let [product, v] = [0n, y];
  for (let i = 127n; i >= 0n; i--) {
    if ((x >> i) & 1n) product ^= v;
    v = v & 1n ? (v >> 1n) ^ (0xe1n << 120n) : v >> 1n;
  }
  return product;
}

/** The terms of GHASH that the associated data and the length block add. */
function ghashFrame(h: bigint, associatedData: Uint8Array, messageLength: number): bigint {
  const blocks = Math.ceil(associatedData.length / 16);
  let sum = 0n;
  for (let i = 0; i < blocks; i++) {
    const block = new Uint8Array(16);
    block.set(associatedData.subarray(i * 16, i * 16 + 16));
    sum = times(sum ^ integer(block), h);
  }
  for (let i = 0; i < Math.ceil(messageLength / 16); i++) sum = times(sum, h);
  return times(sum ^ (BigInt(associatedData.length * 8) << 64n) ^ BigInt(messageLength * 8), h);
}

/** Seals messages as one piece under given nonces; all associated data are a block of zeros. */
function sealPiece(key: AesKey, nonces: Uint8Array[], messages: Uint8Array[]): Uint8Array[] {
  let end = 0;
  words[k.OFFSETS >> 2] = 0;
  messages.forEach((message, i) => {
    bytes.set(message, k.PLAIN + end);
    bytes.set(nonces[i]!, test_nonces + 12 * i);
    end += message.length;
    words[(k.OFFSETS >> 2) + i + 1] = end;
    doubles[(k.ROWS >> 3) + i] = 0;
  });
  bytes.fill(0, k.SKIP, k.SKIP + messages.length);
  bytes.fill(0, k.PREFIX, k.PREFIX + 8);
  assert.equal(kernel.sealCounters(messages.length, 0, 0, test_nonces, 1), messages.length);
  encryptBlocks(key, words[k.RESULT >> 2]!);
  loadTables(key, Math.ceil(words[(k.RESULT >> 2) + 2]! / 16));
  kernel.seal();
  const offsets = words.slice(k.RESULT_OFFSETS >> 2, (k.RESULT_OFFSETS >> 2) + messages.length + 1);
  return messages.map((_, i) => bytes.slice(k.SEALED + offsets[i]!, k.SEALED + offsets[i + 1]!));
}

test('AES-256-GCM of the kernel agrees with Wycheproof for any associated data', () => {
  let valid = 0;
  let invalid = 0;
  const groups = wycheproof<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag'>('aes_gcm');
  for (const { tests } of groups.filter(g => g.keySize === 256 && g.ivSize === 96 && g.tagSize === 128))
    for (const { key, iv, aad, msg, ct, tag, result, tcId } of tests) {
      const ready = aesKey(fromHex(key));
      const message = fromHex(msg);
      // Neighbours of other lengths on both sides: the cell in the middle is the test's.
      const cells = sealPiece(
        ready,
        [new Uint8Array(12), fromHex(iv), new Uint8Array(12).fill(7)],
        [new Uint8Array(21), message, new Uint8Array(300)],
      );
      const cell = cells[1]!;
      assert.equal(Buffer.from(cell.subarray(16, -16)).toString('hex'), ct, `ciphertext of test ${tcId}`);
      // GHASH is linear: the tag with other associated data differs by what these and the lengths add.
      const h = integer(ready.zeroEncrypted);
      const found =
        integer(cell.subarray(-16)) ^
        ghashFrame(h, new Uint8Array(16), message.length) ^
        ghashFrame(h, fromHex(aad), message.length);
      assert.equal(found === integer(fromHex(tag)), result === 'valid', `tag of test ${tcId}`);
      if (result === 'valid') valid++;
      else invalid++;
    }
  assert.ok(valid > 30 && invalid > 10, `${valid} valid, ${invalid} invalid`);
});

test('the committed kernel was compiled from its sources as they are', () => {
  const script = new URL('../../scripts/build-kernel.mjs', import.meta.url).pathname;
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});
