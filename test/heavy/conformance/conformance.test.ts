/**
 * PostgreSQL's own regression suite with every table encrypted: no statement answers otherwise than PostgreSQL without an
 * error, and not fewer than before answer alike.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { prepareSuite, type RegressionSuite } from '../regress/suite.js';
import { count } from '../support/scale.js';
import type { Verdict } from './compare.js';
import { countsOf, reportOf } from './report.js';
import { type FileResult, runFiles, scheduled } from './sides.js';

const floorFile = new URL('floor.json', import.meta.url);

let suite: RegressionSuite;
before(async () => {
  suite = await prepareSuite();
});
after(() => suite.remove());

test('with every table encrypted, no statement of PostgreSQL’s regression suite answers otherwise without an error, and none that was identical is lost', async context => {
  const results: FileResult[] = [];
  const files = picked(scheduled(suite));
  await runFiles(
    suite,
    files.slice(0, count('files of the suite', files.length)),
    result => void results.push(result),
  );
  const report = reportOf(suite.version, results, files.length);
  mkdirSync('build/conformance', { recursive: true });
  writeFileSync('build/conformance/conformance.md', report);
  for (const result of results)
    writeFileSync(`build/conformance/${result.file}.json`, JSON.stringify(result));
  const counts = countsOf(results.flatMap(({ verdicts }) => verdicts));
  context.diagnostic(JSON.stringify(counts));
  const identical = Object.fromEntries(
    results.map(({ file, verdicts }) => [file, countsOf(verdicts).identical]),
  );
  if (process.env.CLARUS_RECORD === '1') {
    writeFileSync('docs/conformance.md', report);
    writeFileSync(floorFile, `${JSON.stringify(identical, undefined, 2)}\n`);
  }
  const floor = JSON.parse(readFileSync(floorFile, 'utf8')) as Readonly<Record<string, number>>;
  const fallen = Object.keys(identical).filter(file => identical[file]! < (floor[file] ?? 0));
  assert.deepEqual({ different: results.flatMap(differences), fallen }, { different: [], fallen: [] });
});

/** The files that CLARUS_CONFORMANCE_FILES names, divided by commas, behind the one that all stand on; all where it is not set. */
function picked(files: readonly string[]): readonly string[] {
  const named = process.env.CLARUS_CONFORMANCE_FILES?.split(',');
  return named === undefined ? files : files.filter(file => file === 'test_setup' || named.includes(file));
}

const differences = ({ file, units, direct, through, verdicts }: FileResult): readonly string[] =>
  verdicts
    .filter(({ outcome }: Verdict) => outcome === 'different')
    .map(
      ({ unit }) =>
        `${file}: ${units[unit]!.text}\n${direct.answers[unit]?.output}\nthrough Clarus:\n${through.answers[unit]?.output}`,
    );
