// Builds dist/ from src/: the AssemblyScript kernel, then TypeScript. Does nothing where dist/ is newer than all that
// it is made from: npm runs this before each `npx clarus` in a checkout, perhaps beside a Clarus that runs from dist/.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);

/** When something below a path changed last, names of directories included. */
const changed_ms = path => {
  const status = statSync(path);
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(status.mtimeMs, ...readdirSync(path).map(name => changed_ms(`${path}/${name}`)));
};
const made = 'dist/cli/main.js';
const sources = ['src', 'scripts/build.mjs', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
const fresh = () => existsSync(made) && statSync(made).mtimeMs > Math.max(...sources.map(changed_ms));

if (existsSync('src') && !fresh()) {
  process.stderr.write('building dist/ from src/\n');
  const run = (script, args) => {
    const done = spawnSync(process.execPath, [`node_modules/${script}`, ...args], { stdio: 'inherit' });
    if (done.status !== 0) process.exit(done.status ?? 1);
  };
  const next = 'build/dist';
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  if (existsSync('scripts/build-kernel.mjs')) await import('./build-kernel.mjs');
  run('typescript/bin/tsc', ['-p', 'tsconfig.build.json', '--outDir', next]);
  for (const asset of ['src/crypto/kernel.wasm', 'src/policy/clarus.schema.json'])
    if (existsSync(asset)) cpSync(asset, asset.replace(/^src/, next));
  rmSync('dist', { recursive: true, force: true });
  renameSync(next, 'dist');
}
