/** Histories of sessions that work on the same rows at the same time: each comes out as in PostgreSQL. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Random } from '../../support/random.js';
import { RawClient, told } from '../../support/raw-client.js';
import { prepareSuite, type RegressionSuite } from '../regress/suite.js';
import { closeAll } from '../support/closing.js';
import { count, seed } from '../support/scale.js';
import { compare, type StepVerdict } from './compare.js';
import { contents, history, policy, schema } from './histories.js';
import { type Side, Tester } from './run.js';
import { startSides } from './sides.js';

let suite: RegressionSuite;
let direct: Side;
let through: Side;
let clients: readonly RawClient[];
let testers: readonly [Tester, Tester];

before(async () => {
  suite = await prepareSuite();
  [direct, through] = await startSides(suite, policy, 1);
  clients = await Promise.all([direct, through].map(({ target }) => RawClient.connect(target)));
  testers = [new Tester(direct, 2), new Tester(through, 2)];
  for (const client of clients) for (const sql of schema) await client.query(sql);
});
after(async () => {
  for (const tester of testers ?? []) await tester.close();
  await Promise.all((clients ?? []).map(client => client.close().catch(() => undefined)));
  await closeAll();
  suite?.remove();
});

/** What a side's tables hold. */
async function held(client: RawClient): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const sql of contents)
    lines.push(...told(await client.query(sql)).filter(line => line.startsWith('DataRow')));
  return lines;
}

interface Finding {
  readonly seed: number;
  readonly steps: readonly string[];
  readonly different: readonly StepVerdict[];
  readonly held: readonly (readonly string[])[];
}

interface Compared {
  readonly verdicts: readonly StepVerdict[];
  /** steps that waited for the other session */
  readonly waited: number;
  readonly finding?: Finding;
}

async function findingOf(number: number): Promise<Compared> {
  const random = new Random(number);
  const { spec, queues } = history(random, 2);
  const [plain, ours] = testers;
  const run = await plain.explore(spec, queues, n => random.integer(0, n - 1));
  const again = await ours.run(spec, run.order);
  const verdicts = compare(run, again);
  const waited = again.outcomes.filter(outcome => outcome.waited).length;
  const different = verdicts.filter(({ verdict }) => verdict === 'different');
  const refused = verdicts.some(({ verdict }) => verdict === 'refused');
  const left = refused ? [] : await Promise.all(clients.map(held));
  const agree = left.length === 0 || left[0]!.join() === left[1]!.join();
  if (different.length === 0 && agree) return { verdicts, waited };
  const steps = run.order.map(({ step }) => `${step.name}: ${step.sql}`);
  return { verdicts, waited, finding: { seed: number, steps, different, held: agree ? [] : left } };
}

test('histories of two sessions come out as in PostgreSQL, or in an error', async context => {
  const histories = count('histories of two sessions', 10_000, 50);
  const counts: Record<string, number> = {};
  const errors: Record<string, number> = {};
  const findings: Finding[] = [];
  let waits = 0;
  for (let i = 0; i < histories; i++) {
    const { verdicts, waited, finding } = await findingOf(seed + i);
    waits += waited;
    for (const { verdict, through: lines } of verdicts) {
      counts[verdict] = (counts[verdict] ?? 0) + 1;
      if (verdict !== 'refused') continue;
      const error = lines.find(line => line.startsWith('ErrorResponse'))!.replace(/^ErrorResponse \w+ /, '');
      errors[error] = (errors[error] ?? 0) + 1;
    }
    if (finding) findings.push(finding);
  }
  context.diagnostic(`${histories} histories, steps by outcome: ${JSON.stringify(counts)}; ${waits} waited`);
  context.diagnostic(`errors of Clarus: ${JSON.stringify(errors)}`);
  assert.deepEqual(findings, []);
  assert.ok(waits > histories / 20, 'hardly a step waits for another');
  assert.ok((counts.refused ?? 0) < 0.05 * (counts.identical ?? 0), JSON.stringify(errors));
});
