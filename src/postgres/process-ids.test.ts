import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProcessIds } from './process-ids.js';

test('a process id tells its worker, is positive, and is not given again soon', () => {
  for (const worker of [0, 1, 2046]) {
    const ids = new ProcessIds(worker);
    const first = ids.take();
    assert.ok(first > 0 && first < 2 ** 31);
    assert.equal(ids.workerOf(first), worker);
    ids.free(first);
    assert.notEqual(ids.take(), first);
  }
});
