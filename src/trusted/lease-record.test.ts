import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Lease, openLease, sealLease } from './lease-record.js';
import { leaseKey } from './root-key.js';

const key = leaseKey(new Uint8Array(32).fill(1));
const other = leaseKey(new Uint8Array(32).fill(2));

/** Ordinary objects, as JSON gives them back. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });
const number = fc.integer({ min: 1, max: 2 ** 24 });
const leases: fc.Arbitrary<Lease> = fc.oneof(
  record({ kind: fc.constant('rows' as const), table: number, first: number, until: number }),
  record({
    kind: fc.constant('seals' as const),
    table: number,
    column: number,
    epoch: number,
    until: number,
  }),
  record({
    kind: fc.constant('counter' as const),
    table: number,
    column: number,
    counter: fc.string({ unit: 'grapheme' }),
    first: number,
    until: number,
    salt: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(salt => Uint8Array.from(salt)),
  }),
);

test('a record gives back its lease, also under a key that was retired', () => {
  fc.assert(
    fc.property(leases, fc.maxSafeNat(), (lease, id) => {
      assert.deepEqual(openLease([other, key], id, sealLease(key, id, lease)), lease);
    }),
  );
});

test('a record tells neither kind nor size, and never looks the same twice', () => {
  const rows = sealLease(key, 1, { kind: 'rows', table: 1, first: 1, until: 1_001 });
  const seals = sealLease(key, 1, {
    kind: 'seals',
    table: 9_999_999,
    column: 65_535,
    epoch: 65_535,
    until: 2 ** 32,
  });
  assert.equal(rows.length, seals.length);
  assert.notDeepEqual(rows, sealLease(key, 1, { kind: 'rows', table: 1, first: 1, until: 1_001 }));
});

test('a record that was changed, moved or cut short does not open', () => {
  const sealed = sealLease(key, 5, { kind: 'rows', table: 1, first: 1, until: 1_001 });
  const refused = { code: 'XX001' };
  assert.throws(() => openLease([key], 6, sealed), refused);
  assert.throws(() => openLease([other], 5, sealed), refused);
  for (let at = 0; at < sealed.length; at += 7) {
    const changed = Buffer.from(sealed);
    changed[at]! ^= 1;
    assert.throws(() => openLease([key], 5, changed), refused);
    assert.throws(() => openLease([key], 5, sealed.subarray(0, at)), refused);
  }
});
