// Runs the tests: unit tests beside the code (src/**/*.test.ts), whole-system tests in test/.
// Arguments narrow the run: `npm test -- src/wire test/hostile.test.ts`.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
const find = path =>
  statSync(path).isDirectory()
    ? readdirSync(path).sort().flatMap(name => find(`${path}/${name}`))
    : path.endsWith('.test.ts') ? [path] : [];
const wanted = process.argv.slice(2);
const files = (wanted.length ? wanted : ['src', 'test']).flatMap(find).filter(f => wanted.length || !f.startsWith('test/heavy/'));
const done = spawnSync(process.execPath, ['--import', 'tsx', '--test', '--test-concurrency=2', ...files], { stdio: 'inherit' });
process.exit(done.status ?? 1);
