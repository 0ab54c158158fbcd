// Checks docs/promises.md against the last runs of the tests: every row of its first table must name tests that
// ran and passed, benchmarks or commands that exist. Rows under "Not shown yet" are counted and printed loudly.
//
// A cell `shown by` holds one or more references, separated by `<br>`:
//   test/hostile.test.ts › name of the test     ran and passed in the last runs (suite names may be left out)
//   .ci/run › name of the step                  a step of CI, checked where CI runs
//   bench/main.ts › what                        the file exists
//   npm run NAME                                the script exists
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readResults, resultsDirectory } from './run-tests.mjs';
import { nameSeparator } from './test-reporter.mjs';

/** Heading of the section of promises that no test shows yet. */
const openSection = 'Not shown yet';

/** @returns {{promise: string, shownBy: string[], line: number, open: boolean}[]} the rows of both tables */
export function parsePromises(text) {
  const rows = [];
  let open = false;
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('#')) open = line.replace(/^#+\s*/, '').trim() === openSection;
    const cells = /^\|(.+)\|\s*$/
      .exec(line)?.[1]
      ?.split(/(?<!\\)\|/)
      .map(cell => cell.trim());
    if (cells === undefined || cells[0] === 'promise' || /^:?-+:?$/.test(cells[0] ?? '')) continue;
    if (cells.length !== 2) throw new Error(`docs/promises.md:${index + 1}: a row has two cells`);
    const shownBy = cells[1].split('<br>').map(reference => reference.trim().replace(/^`|`$/g, ''));
    rows.push({ promise: cells[0], shownBy: shownBy.filter(Boolean), line: index + 1, open });
  }
  return rows;
}

/**
 * @param {string} reference one reference of a cell
 * @param {Map<string, Map<string, string[]>>} ran outcomes by file and full name
 * @param {(path: string) => boolean} exists
 * @param {string[]} npmScripts
 * @returns {string | undefined} what is wrong with it
 */
export function problemOf(reference, ran, exists, npmScripts) {
  const command = /^npm run (\S+)/.exec(reference)?.[1];
  if (command !== undefined)
    return npmScripts.includes(command) ? undefined : `package.json has no script ${command}`;
  const separated = reference.indexOf(nameSeparator);
  if (separated < 0) return 'is neither `file › test name` nor `npm run NAME`';
  const file = reference.slice(0, separated).trim();
  const name = reference.slice(separated + nameSeparator.length).trim();
  if (!exists(file)) return `${file} does not exist`;
  if (!file.endsWith('.test.ts') && file !== '.ci/run') return undefined;
  const outcomes = [...(ran.get(file) ?? new Map())]
    .filter(([full]) => full === name || full.endsWith(`${nameSeparator}${name}`))
    .flatMap(([, found]) => found);
  if (outcomes.length === 0) return `${file} ran no test of that name in the last runs`;
  const bad = outcomes.find(outcome => outcome !== 'passed');
  return bad === undefined ? undefined : `the test was ${bad}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.chdir(fileURLToPath(new URL('..', import.meta.url)));
  const rows = parsePromises(readFileSync('docs/promises.md', 'utf8'));
  const npmScripts = Object.keys(JSON.parse(readFileSync('package.json', 'utf8')).scripts);
  const ran = outcomesOfRuns();
  const main = rows.filter(row => !row.open);
  const open = rows.filter(row => row.open);
  let problems = 0;
  for (const row of main) {
    if (row.shownBy.length === 0) {
      problems++;
      console.error(`docs/promises.md:${row.line}: nothing shows "${row.promise}"`);
    }
    for (const reference of row.shownBy) {
      const problem = problemOf(reference, ran, existsSync, npmScripts);
      if (problem === undefined) continue;
      problems++;
      console.error(`docs/promises.md:${row.line}: ${reference}: ${problem}`);
    }
  }
  if (open.length > 0) {
    console.warn(`\n!!! ${open.length} PROMISES ARE NOT SHOWN YET:`);
    for (const row of open) {
      const shown =
        row.shownBy.length > 0 &&
        row.shownBy.every(reference => problemOf(reference, ran, existsSync, npmScripts) === undefined);
      console.warn(`!!!   ${row.promise}${shown ? ' (its tests pass now: move the row up)' : ''}`);
    }
    console.warn('');
  }
  console.log(`promises: ${main.length} shown, ${open.length} not shown yet; ${problems} problems`);
  process.exit(problems === 0 ? 0 : 1);
}

function outcomesOfRuns() {
  const ran = new Map();
  const files = existsSync(resultsDirectory) ? readdirSync(resultsDirectory) : [];
  for (const name of files.filter(name => name.endsWith('.jsonl') && name !== 'narrowed.jsonl'))
    for (const { file, name: test, outcome } of readResults(`${resultsDirectory}/${name}`)) {
      const tests = ran.get(file) ?? new Map();
      ran.set(file, tests);
      tests.set(test, [...(tests.get(test) ?? []), outcome]);
    }
  return ran;
}
