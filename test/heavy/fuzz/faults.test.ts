/**
 * The fuzzer is worth its time: it finds every fault of planning that is planted into a copy of the sources. In CI it
 * is given the statement that shows each, in a soak it has to come upon one by itself.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../support/command.js';
import { count, seed } from '../support/scale.js';
import { runDirected } from './directed.js';
import { type Fault, faults } from './faults.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Random statements by which a soak must find a fault. */
const statements = 3_000;
const isSoak = count('planted faults that random statements find', faults.length) === faults.length;

describe('planted faults', { concurrency: 2 }, () => {
  test('what shows a fault shows none where there is none', { timeout: 300_000 }, async () => {
    assert.equal(await runDirected(faults.map(fault => fault.shown)), undefined);
  });

  for (const [number, fault] of faults.entries())
    test(`the fuzzer finds it: ${fault.name}`, { timeout: 900_000 }, async t => {
      const copy = planted(fault);
      try {
        const search = isSoak ? [number, statements, seed] : [number];
        const { status, stdout, stderr } = await run(
          process.execPath,
          ['--import', 'tsx', 'test/heavy/fuzz/hunt.ts', ...search.map(String)],
          { cwd: copy },
        );
        assert.equal(status, 3, `${stdout}\n${stderr}`);
        t.diagnostic(stdout.split('\n').slice(-12).join('\n').slice(0, 600));
      } finally {
        rmSync(copy, { recursive: true, force: true });
      }
    });
});

/** A copy of the sources with a fault. */
function planted({ file, from, to }: Fault): string {
  const copy = mkdtempSync(join(tmpdir(), 'clarus-fault-'));
  for (const name of ['src', 'test', 'package.json', 'tsconfig.json'])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  assert.equal(text.split(from).length, 2, `${file} holds the place of the fault once`);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
  return copy;
}
