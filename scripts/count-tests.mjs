// Prints the sum of all tests that the runs in build/test-results recorded, as the closing line of CI.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { countOutcomes, readResults, resultsDirectory } from './run-tests.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const runs = readdirSync(resultsDirectory).filter(name => name.endsWith('.jsonl') && name !== 'steps.jsonl');
const rows = runs.map(name => ({ run: name, ...countOutcomes(readResults(`${resultsDirectory}/${name}`)) }));
console.table(rows);
const sum = key => rows.reduce((total, row) => total + row[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
