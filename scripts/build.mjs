// Builds dist/ from src/: the AssemblyScript kernel, then TypeScript.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
process.chdir(root);
if (existsSync('src')) {
  const run = (script, args) => {
    const done = spawnSync(process.execPath, [`node_modules/${script}`, ...args], { stdio: 'inherit' });
    if (done.status !== 0) process.exit(done.status ?? 1);
  };
  rmSync('dist', { recursive: true, force: true });
  mkdirSync('dist', { recursive: true });
  if (existsSync('scripts/build-kernel.mjs')) await import('./build-kernel.mjs');
  run('typescript/bin/tsc', ['-p', 'tsconfig.build.json']);
  for (const asset of ['src/crypto/kernel.wasm', 'src/policy/clarus.schema.json'])
    if (existsSync(asset)) cpSync(asset, asset.replace(/^src/, 'dist'));
}
