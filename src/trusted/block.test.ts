import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Block } from './block.js';

const size = { start: 10, growth: 10, max: 1_000 };

/** Sets values aside one lease after another, as the trusted database would, with another process between some. */
function source(gaps: readonly number[] = []): {
  reserve: (count: number) => Promise<{ first: number; until: number; extra: number }>;
  leases: number[];
} {
  let next = 1;
  const leases: number[] = [];
  return {
    leases,
    async reserve(count) {
      next += gaps[leases.length] ?? 0;
      const first = next;
      next += count;
      leases.push(count);
      await new Promise(setImmediate);
      return { first, until: next, extra: leases.length };
    },
  };
}

test('no value is given twice, whatever is asked for at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.integer({ min: 0, max: 2_500 }), { maxLength: 6 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 0, max: 3 })),
      fc.boolean(),
      async (rounds, gaps, continues) => {
        const { reserve } = source(gaps);
        const block = new Block(reserve, () => continues, size);
        const given = new Set<number>();
        for (const counts of rounds) {
          const taken = await Promise.all(counts.map(count => block.take(count)));
          for (const [i, { first }] of taken.entries())
            for (let value = first; value < first + counts[i]!; value++) {
              assert.ok(!given.has(value));
              given.add(value);
            }
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('blocks grow, callers who wait share one reservation, and a full block needs no waiting', async () => {
  const { reserve, leases } = source();
  const block = new Block(reserve, () => true, size);
  await Promise.all([block.take(2), block.take(2), block.take(2)]);
  assert.deepEqual(leases, [10]);
  assert.equal(block.takeNow(4), 7);
  assert.equal(block.extra, 1);
  assert.equal(block.takeNow(1), undefined);
  await block.take(50);
  await block.take(60);
  await block.take(5_000);
  assert.deepEqual(leases, [10, 100, 1_000, 5_000]);
});

test('a block that continues the last one burns nothing; with another salt it burns the rest', async () => {
  const going = new Block(source().reserve, () => true, size);
  await going.take(8);
  assert.equal((await going.take(8)).first, 9);
  const burning = new Block(source().reserve, () => false, size);
  await burning.take(8);
  assert.equal((await burning.take(8)).first, 11);
});

test('a failed reservation fails those who waited for it, and the next caller tries again', async () => {
  let fails = true;
  const block = new Block(
    async count => {
      await new Promise(setImmediate);
      if (fails) throw new Error('no database');
      return { first: 1, until: 1 + count, extra: 0 };
    },
    () => true,
    size,
  );
  const both = await Promise.allSettled([block.take(1), block.take(1)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  fails = false;
  assert.equal((await block.take(1)).first, 1);
});

test('what is no count is no count', async () => {
  const block = new Block(source().reserve, () => true, size);
  for (const count of [-1, 0.5, Number.NaN, 2 ** 53]) await assert.rejects(block.take(count), RangeError);
});
