// Runs the tests: unit tests beside the code (src/**/*.test.ts), whole-system tests in test/. The heavy suites
// in test/heavy/ have runners of their own (heavy.mjs, soak.mjs).
// Arguments narrow the run: `npm test -- src/wire test/hostile.test.ts`.
// `--results=NAME` names the file of results (default `tests`, or `narrowed` for a narrowed run).
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runTests } from './run-tests.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const find = path =>
  statSync(path).isDirectory()
    ? readdirSync(path)
        .sort()
        .flatMap(name => find(`${path}/${name}`))
    : path.endsWith('.test.ts')
      ? [path]
      : [];
const options = process.argv.slice(2).filter(argument => argument.startsWith('--'));
const wanted = process.argv.slice(2).filter(argument => !argument.startsWith('--'));
const files = (wanted.length ? wanted : ['src', 'test'])
  .flatMap(find)
  .filter(file => wanted.length || !file.startsWith('test/heavy/'));
const results = options.find(option => option.startsWith('--results='))?.slice('--results='.length);
const { status } = await runTests({
  files,
  name: results ?? (wanted.length ? 'narrowed' : 'tests'),
  fraction: Number(process.env.CLARUS_FRACTION ?? 0.01),
  arguments: options.filter(option => !option.startsWith('--results=')),
});
process.exit(status);
