/**
 * What a client gets through Clarus is what a plain PostgreSQL gives it: generated statements run on both, and
 * every value, type, order, command tag and error is compared.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type CopyRows, CopySide, copyData, copyRows } from './differential/copy.js';
import { seedRows } from './differential/rows.js';
import { policy, tablesSql } from './differential/schema.js';
import { Side } from './differential/sides.js';
import { statement, written } from './differential/statements.js';
import { count, seed } from './heavy/support/scale.js';
import { startProxy, type TestProxy } from './support/proxy.js';
import { told } from './support/raw-client.js';

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
  const runs = count('differential statements', 40_000, 400);
  const counts = { all: 0, succeeded: 0, withRows: 0 };
  const compare = async (generated: Parameters<Side['run']>[0]): Promise<void> => {
    const expected = await plain.run(generated);
    const given = await clarus.run(generated);
    counts.all++;
    if ('seen' in expected) {
      counts.succeeded++;
      if (expected.seen.rows.length > 0) counts.withRows++;
    }
    const { sql, values } = written(generated);
    assert.deepEqual(given, expected, [sql, JSON.stringify(values), ...proxy.log.slice(-1)].join('\n'));
  };
  // The two sides keep what earlier statements wrote, so a failure is shown as it stands and not made smaller.
  await fc.assert(fc.asyncProperty(statement, compare), {
    numRuns: runs,
    seed,
    endOnFailure: true,
    includeErrorInReport: true,
  });
  t.diagnostic(`seed ${seed}: ${JSON.stringify(counts)}`);
  assert.ok(counts.succeeded >= 0.7 * counts.all, `${counts.succeeded} of ${counts.all} succeeded`);
  assert.ok(counts.withRows >= 0.5 * counts.all, `${counts.withRows} of ${counts.all} returned rows`);
});

test('COPY in and out, in every format, gives what a plain PostgreSQL gives', async t => {
  const sides = [await CopySide.connect(proxy.plain), await CopySide.connect(proxy)];
  const both = async <T>(work: (side: CopySide) => Promise<T>): Promise<T> => {
    const [expected, given] = [await work(sides[0]!), await work(sides[1]!)];
    assert.deepEqual(given, expected, proxy.log.slice(-1).join());
    return expected;
  };
  let copied = 0;
  try {
    const compare = async (rows: CopyRows, format: 'text' | 'csv', piece: number): Promise<void> => {
      const names = ['id', ...rows.columns].join(', ');
      const ordered = `(SELECT ${names} FROM other ORDER BY id)`;
      await both(side => side.client.query('DELETE FROM other').then(told));
      const data = Buffer.from(copyData(rows, format));
      const answer = await both(side =>
        side.in(`COPY other (${names}) FROM STDIN (FORMAT ${format})`, data, piece),
      );
      if (answer.includes(`CommandComplete COPY ${rows.rows.length}`)) copied++;
      for (const out of ['text', 'csv, HEADER', 'binary', "csv, FORCE_QUOTE *, NULL 'nil'"])
        await both(side => side.out(`COPY ${ordered} TO STDOUT (FORMAT ${out})`));
      const { data: binary } = await both(side => side.out(`COPY ${ordered} TO STDOUT (FORMAT binary)`));
      await both(side => side.client.query('DELETE FROM other').then(told));
      await both(side => side.in(`COPY other (${names}) FROM STDIN (FORMAT binary)`, binary, piece));
      await both(side => side.out('COPY (SELECT * FROM other ORDER BY id) TO STDOUT'));
    };
    const runs = count('differential COPY', 2_000, 20);
    const formats = fc.constantFrom<'text' | 'csv'>('text', 'csv');
    await fc.assert(fc.asyncProperty(copyRows, formats, fc.constantFrom(3, 100, 10_000), compare), {
      numRuns: runs,
      seed,
      endOnFailure: true,
      includeErrorInReport: true,
    });
    t.diagnostic(`seed ${seed}: ${runs} data sets, ${copied} copied`);
    assert.ok(copied >= 0.6 * runs);
    await both(side =>
      side.out('COPY sample TO STDOUT').then(({ data }) => data.toString().split('\n').sort()),
    );
  } finally {
    for (const side of sides) await side.close();
  }
});
