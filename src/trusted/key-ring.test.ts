import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRing } from './key-ring.js';

test('a cloud that names every epoch does not fill memory, and the keys stay right', () => {
  const ring = new KeyRing();
  ring.hold('table', 1, new Uint8Array(32).fill(7));
  const first = Buffer.from(ring.cellKey(1, 1, 1));
  assert.equal(ring.cellKey(1, 1, 2), ring.cellKey(1, 1, 2));
  for (let epoch = 1; epoch <= 65_535; epoch++) ring.cellKey(1, 1, epoch);
  assert.ok(ring.kept('table', 1) <= 1_024);
  assert.deepEqual(Buffer.from(ring.cellKey(1, 1, 1)), first);
});
