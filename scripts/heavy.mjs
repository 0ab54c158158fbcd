// Runs the heavy suites of test/heavy/suites.json one after the other, each at its CI fraction:
// `node scripts/heavy.mjs [suite...]`. CLARUS_FRACTION overrides the fraction, CLARUS_SEED the seed.
// A suite whose fraction is 0 is not of CI, and runs where it is named. A failing suite does not stop the next one; the exit status tells of all.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTests } from './run-tests.mjs';

/**
 * @returns {{name: string, files: string[], ciFraction: number, rounds: number, timeout_minutes: number}[]}
 * @throws {Error} when a name is of no suite
 */
export function suitesNamed(names) {
  const suites = JSON.parse(readFileSync(new URL('../test/heavy/suites.json', import.meta.url), 'utf8'));
  const unknown = names.filter(name => !suites.some(suite => suite.name === name));
  if (unknown.length > 0)
    throw new Error(
      `no suite named ${unknown.join(', ')}; there are ${suites.map(suite => suite.name).join(', ')}`,
    );
  return names.length === 0 ? suites : suites.filter(suite => names.includes(suite.name));
}

/** The time of day, for the log. */
export const now = () => new Date().toISOString().slice(11, 19);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)));
  const rows = [];
  const names = process.argv.slice(2);
  for (const suite of suitesNamed(names)) {
    if (names.length === 0 && suite.ciFraction === 0) continue;
    console.log(`\n== ${now()} suite ${suite.name}`);
    const done = await runTests({
      files: suite.files,
      name: suite.name,
      fraction: Number(process.env.CLARUS_FRACTION ?? (suite.ciFraction || 1)),
      timeout_ms: suite.timeout_minutes * 60_000,
    });
    console.log(`== ${now()} suite ${suite.name}: ${done.status === 0 ? 'passed' : 'FAILED'}`);
    rows.push({
      suite: suite.name,
      status: done.status,
      seed: done.seed,
      seconds: done.duration_s,
      ...done.counts,
    });
  }
  console.log('');
  console.table(rows);
  process.exit(rows.every(row => row.status === 0) ? 0 : 1);
}
