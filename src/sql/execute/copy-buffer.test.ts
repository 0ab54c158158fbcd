import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InsertBuffer, insertedInCloud } from './copy-buffer.js';

test('rows are inserted when 1,000 have gathered, or lines of 65,535 bytes', () => {
  const rows = new InsertBuffer();
  for (let i = 0; i < 999; i++) rows.add(0);
  assert.equal(rows.inserted, 0);
  rows.add(0);
  assert.deepEqual([rows.rows, rows.inserted], [1000, 1000]);
  rows.add(65_534);
  assert.equal(rows.inserted, 1000);
  rows.add(1);
  assert.equal(rows.inserted, 1002);
  rows.add(70_000);
  assert.equal(rows.inserted, 1003);
});

test('a cloud that gets binary data counts rows only', () => {
  assert.deepEqual([0, 999, 1000, 2500].map(insertedInCloud), [0, 0, 1000, 2000]);
});
