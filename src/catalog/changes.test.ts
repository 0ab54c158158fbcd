import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Policy } from '../policy/policy.js';
import { type Catalog, type LogicalTable, tableNamed, tableNumbered } from './catalog.js';
import { applyChanges } from './changes.js';

const policy: Policy = { unlisted: 'pass', declassify: [], tables: [] };
const empty: Catalog = { version: 3, policyVersion: 1, policy, tables: new Map(), passThrough: true };
const table = (number: number, oid: number, state: LogicalTable['state'] = 'open'): LogicalTable => ({
  number,
  oid,
  schema: 'public',
  name: `t${number}`,
  state,
  reason: undefined,
  cloud: 'main',
  physical: { schema: 'public', name: `t${number}` },
  columns: [],
  keys: [],
});

test('changes make a new catalogue and leave the old one as it is', () => {
  const after = applyChanges(empty, [{ kind: 'put-table', table: table(1, 100) }]);
  assert.equal(empty.tables.size, 0);
  assert.equal(after.version, 4);
  assert.equal(tableNamed(after, 'public', 't1')?.oid, 100);
  assert.equal(applyChanges(after, []), after);
});

test('a table is known by its number: a new OID takes the place of the old one', () => {
  const first = applyChanges(empty, [{ kind: 'put-table', table: table(1, 100) }]);
  const moved = applyChanges(first, [{ kind: 'put-table', table: table(1, 200) }]);
  assert.deepEqual([...moved.tables.keys()], [200]);
  const gone = applyChanges(moved, [{ kind: 'drop-table', number: 1 }]);
  assert.equal(tableNumbered(gone, 1), undefined);
});

test('bytes go through untouched only while nothing is listed, protected or blocked', () => {
  const put = (state: LogicalTable['state']): boolean =>
    applyChanges(empty, [{ kind: 'put-table', table: table(1, 100, state) }]).passThrough;
  assert.deepEqual([put('open'), put('protected'), put('blocked')], [true, false, false]);
  const listed: Policy = {
    ...policy,
    tables: [{ schema: 'public', name: 't', columns: [], position: undefined }],
  };
  for (const proposed of [listed, { ...policy, unlisted: 'encrypt' } as const]) {
    const after = applyChanges(empty, [{ kind: 'put-policy', policy: proposed, origin: 'test' }]);
    assert.deepEqual([after.passThrough, after.policyVersion], [false, 2]);
  }
});
