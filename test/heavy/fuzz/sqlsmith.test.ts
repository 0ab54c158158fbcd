/**
 * Statements of sqlsmith over random tables: what a protected copy answers is what a plain one answers, in one of the
 * ways in which PostgreSQL may run them, or an error of Clarus; and nothing of a protected value is sent to the cloud.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRecordedProxy } from '../../support/recorded-proxy.js';
import { count, seed } from '../support/scale.js';
import { leak, schemaOf, setUp } from './run.js';
import { Side } from './sides.js';
import { compareSmith, type SmithTally, smithStatements, unsteadyFunctions } from './sqlsmith.js';

const full = 4_000;
const perSchema = 400;

test('a protected copy answers sqlsmith as a plain one does', { timeout: 3_600_000 }, async t => {
  const recorded = await startRecordedProxy('unlisted: pass');
  const tally: SmithTally = {
    made: 0,
    unsteady: 0,
    failedOnBoth: 0,
    failedOnPlain: 0,
    answered: 0,
    withRows: 0,
    refused: 0,
  };
  const refusals = new Map<string, number>();
  const differences: string[] = [];
  try {
    const statements = count('statements of sqlsmith', full, perSchema / 2);
    const unsteady = await unsteadyFunctions(recorded.plain);
    for (let index = 0; tally.made < statements; index++) {
      const schema = schemaOf(seed + index, index);
      const plain = await Side.connect(recorded.proxy.plain);
      const clarus = await Side.connect(recorded.proxy);
      const sent = await recorded.sentWhile(async () => {
        await setUp(plain, clarus, schema);
        const wanted = Math.min(perSchema, statements - tally.made);
        // the logical schema is read through Clarus, or, so that it learns what PostgreSQL takes, past it
        const learns = index % 2 === 1;
        const made = await smithStatements(
          learns ? recorded.proxy.plain : recorded.proxy,
          seed + index,
          wanted,
          learns,
        );
        assert.ok(made.length >= wanted, `sqlsmith made ${made.length} statements`);
        const found = await compareSmith(plain, clarus, schema, made, unsteady, {
          tally,
          refusal: message => {
            const reason = message.replace(/"[^"]*"/g, '"…"');
            refusals.set(reason, (refusals.get(reason) ?? 0) + 1);
          },
        });
        differences.push(...found);
      });
      const leaked = leak(sent);
      if (leaked !== undefined) differences.push(leaked);
      for (const side of [plain, clarus]) await side.close();
    }
  } finally {
    await recorded.stop();
  }
  t.diagnostic(`seed ${seed}: ${JSON.stringify(tally)}`);
  for (const [reason, times] of [...refusals].sort(([, a], [, b]) => b - a))
    t.diagnostic(`${times} times: ${reason}`);
  assert.deepEqual(differences, []);
});
