/**
 * What a client gets through Clarus is what a plain PostgreSQL gives it: generated statements run on both, and
 * every value, type, order, command tag and error is compared.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { seedRows } from './differential/rows.js';
import { policy, tablesSql } from './differential/schema.js';
import { Side } from './differential/sides.js';
import { statement, written } from './differential/statements.js';
import { count, seed } from './heavy/support/scale.js';
import { startProxy, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;
let plain: Side;
let clarus: Side;

before(async () => {
  proxy = await startProxy({ policy });
  plain = await Side.connect(proxy.plain);
  clarus = await Side.connect(proxy);
  for (const side of [plain, clarus]) {
    await side.client.query(tablesSql);
    await side.client.query(seedRows);
  }
});

after(async () => {
  await plain?.close();
  await clarus?.close();
  await proxy?.stop();
});

test('generated statements answer through Clarus as on a plain PostgreSQL', async t => {
  const runs = count('differential statements', 60_000, 600);
  const counts = { all: 0, succeeded: 0, withRows: 0 };
  const compare = async (generated: Parameters<Side['run']>[0]): Promise<void> => {
    const expected = await plain.run(generated);
    const given = await clarus.run(generated);
    counts.all++;
    if ('seen' in expected) {
      counts.succeeded++;
      if (expected.seen.rows.length > 0) counts.withRows++;
    }
    assert.deepEqual(given, expected, JSON.stringify(written(generated)));
  };
  // The two sides keep what earlier statements wrote, so a failure is shown as it stands and not made smaller.
  await fc.assert(fc.asyncProperty(statement, compare), { numRuns: runs, seed, endOnFailure: true });
  t.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`);
  assert.ok(counts.succeeded >= 0.7 * counts.all, `${counts.succeeded} of ${counts.all} succeeded`);
  assert.ok(counts.withRows >= 0.5 * counts.all, `${counts.withRows} of ${counts.all} returned rows`);
});
