import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Catalog } from '../catalog/catalog.js';
import { CatalogView } from './catalog-view.js';

const version = (number: number): Catalog => ({
  version: number,
  policyVersion: 1,
  policy: { unlisted: 'refuse', declassify: [], tables: [] },
  tables: new Map(),
  passThrough: false,
});

/** A view over a state database that fails as told. */
function viewOf(fails: { load?: number; before?: number }) {
  const seen = { stored: 1, problems: 0, told: 0, acknowledged: [] as number[] };
  const fail = (what: 'load' | 'before'): void => {
    const left = fails[what] ?? 0;
    if (left === 0) return;
    fails[what] = left - 1;
    throw new Error('the connection was lost');
  };
  const view = new CatalogView(version(1), {
    load: async () => {
      fail('load');
      return version(seen.stored);
    },
    before: async () => fail('before'),
    after: async next => void seen.acknowledged.push(next.version),
    failed: () => void seen.problems++,
  });
  view.onChanged(() => seen.told++);
  return { view, seen };
}

test('a load that fails is told to who waits for it, and the next one works', async () => {
  for (const fails of [{ load: 1 }, { before: 1 }]) {
    const { view, seen } = viewOf(fails);
    seen.stored = 2;
    await assert.rejects(view.reload(), /connection was lost/);
    assert.equal(view.current.version, 1);
    await view.reload();
    assert.equal(view.current.version, 2);
    assert.deepEqual(seen.acknowledged, [2]);
    assert.equal(seen.told, 1);
  }
});

test('a newer version that could not be loaded is tried again until it is in force', async () => {
  const { view, seen } = viewOf({ load: 1, before: 1 });
  seen.stored = 2;
  view.follow();
  for (let i = 0; view.current.version < 2 && i < 100; i++) await new Promise(done => setTimeout(done, 50));
  assert.equal(view.current.version, 2);
  assert.equal(seen.problems, 2);
  view.close();
});

test('a load sees what was stored before it was asked for, though another is under way', async () => {
  const { view, seen } = viewOf({});
  const first = view.reload();
  seen.stored = 3;
  await Promise.all([first, view.reload()]);
  assert.equal(view.current.version, 3);
  assert.deepEqual(seen.acknowledged, [3]);
});
