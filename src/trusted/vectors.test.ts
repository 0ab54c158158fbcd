import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { rootKeyFingerprint, wrapKey } from '../crypto/keys.js';
import { openLease } from './lease-record.js';
import { leaseKey, mustBeRootKey, rolePassword, rootKeyCheck, superuserPassword } from './root-key.js';

test('the test vectors of docs/spec/state.md hold', async () => {
  const page = await readFile(new URL('../../docs/spec/state.md', import.meta.url), 'utf8');
  const vector = JSON.parse(/```json\n(.*?)```/s.exec(page)?.[1] ?? '');
  const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
  const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
  const root = bytes(vector.rootKey);
  assert.equal(rootKeyFingerprint(root), vector.fingerprint);
  assert.equal(hex(rootKeyCheck(root)), vector.check);
  mustBeRootKey(root, { fingerprint: vector.fingerprint, check: bytes(vector.check) });
  assert.equal(hex(wrapKey(root, bytes(vector.tableKey))), vector.wrapped);
  assert.equal(superuserPassword(root), vector.superuserPassword);
  assert.equal(rolePassword(root, vector.role), vector.rolePassword);
  assert.equal(hex(leaseKey(root)), vector.leaseKey);
  const { id, text, sealed } = vector.lease;
  assert.deepEqual(openLease([bytes(vector.leaseKey)], id, bytes(sealed)), JSON.parse(text));
});
