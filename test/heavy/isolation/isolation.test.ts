/**
 * PostgreSQL's isolation tests with every table encrypted: no update is lost and nothing is read that PostgreSQL would not
 * have shown, whatever sessions do at the same time.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { prepareSuite, type RegressionSuite } from '../regress/suite.js';
import { closeAll } from '../support/closing.js';
import { count } from '../support/scale.js';
import { compare } from './compare.js';
import { type FileResult, reportOf } from './report.js';
import { type Side, Tester } from './run.js';
import { startSides } from './sides.js';
import { parseSpec, type Spec } from './spec.js';

let suite: RegressionSuite;
before(async () => {
  suite = await prepareSuite();
});
after(async () => {
  await closeAll();
  suite.remove();
});

/** Specifications in the order of the schedule. */
const scheduled = (): readonly string[] =>
  readFileSync(join(suite.isolation, 'isolation_schedule'), 'utf8')
    .split('\n')
    .flatMap(line => (line.startsWith('test:') ? line.slice(5).trim().split(/\s+/) : []));

test('with every table encrypted, sessions at the same time see and do what they see and do in PostgreSQL, or hear of an error', async context => {
  const [direct, through] = await startSides(suite, 'unlisted: encrypt\ntables: {}', 1);
  const files = scheduled();
  const results: FileResult[] = [];
  const share = count('hundredths of the permutations of each specification', 100) / 100;
  for (const file of files) {
    const spec = parseSpec(readFileSync(join(suite.isolation, 'specs', `${file}.spec`), 'utf8'));
    results.push(await runFile(file, spec, [direct, through], share));
    context.diagnostic(summary(results.at(-1)!));
  }
  const report = reportOf(suite.version, results);
  mkdirSync('build/isolation', { recursive: true });
  writeFileSync('build/isolation/isolation.md', report);
  writeFileSync('build/isolation/results.json', JSON.stringify(results, undefined, 1));
  if (process.env.CLARUS_RECORD === '1') writeFileSync('docs/isolation.md', report);
  const different = results.flatMap(({ file, permutations }) =>
    permutations.flatMap(({ steps, verdicts }) =>
      verdicts
        .filter(({ verdict }) => verdict === 'different')
        .map(found => ({ file, steps: steps.join(' '), ...found })),
    ),
  );
  assert.deepEqual(different, []);
});

async function runFile(
  file: string,
  spec: Spec,
  [direct, through]: readonly [Side, Side],
  share: number,
): Promise<FileResult> {
  const testers = [direct, through].map(side => new Tester(side, spec.sessions.length));
  const permutations: FileResult['permutations'][number][] = [];
  const chosen = spec.permutations.filter((_, i) => (i * share) % 1 < share);
  try {
    for (const permutation of chosen) {
      const [plain, ours] = await Promise.all(testers.map(tester => tester.run(spec, permutation)));
      permutations.push({
        steps: permutation.map(({ step }) => step.name),
        verdicts: compare(plain!, ours!, file),
      });
    }
  } finally {
    for (const tester of testers) await tester.close();
  }
  return { file, permutations, of: spec.permutations.length };
}

function summary({ file, permutations }: FileResult): string {
  const found = permutations.flatMap(({ verdicts }) => verdicts.map(({ verdict }) => verdict));
  const number = (verdict: string): number => found.filter(one => one === verdict).length;
  return `${file}: ${permutations.length} permutations, ${number('identical')} identical, ${number('refused')} refused, ${number('different')} different`;
}

test('every specification of the suite is understood', () => {
  const names = readdirSync(join(suite.isolation, 'specs')).filter(name => name.endsWith('.spec'));
  assert.ok(names.length > 100);
  for (const name of names) {
    const spec = parseSpec(readFileSync(join(suite.isolation, 'specs', name), 'utf8'));
    assert.ok(spec.sessions.length > 0 && spec.permutations.length > 0, name);
  }
});
