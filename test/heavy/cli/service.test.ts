/** The unit of docs/operation.md, as systemd reads it. It is not started: a container has no systemd that runs. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const operation = readFileSync(new URL('../../../docs/operation.md', import.meta.url), 'utf8');
const unit = /```ini\n([\s\S]*?)```/.exec(operation)?.[1] ?? '';
const installed = '/opt/clarus/node_modules/clarus/dist/cli/main.js';
let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'clarus-unit-'));
  chmodSync(directory, 0o755);
});
after(() => rmSync(directory, { recursive: true, force: true }));

/** What systemd says of a unit: nothing, where it understands all of it. */
function verified(text: string): string {
  mkdirSync(join(directory, 'units'), { recursive: true });
  const file = join(directory, 'units', 'clarus.service');
  // The account and the place of Node differ from machine to machine.
  const here = text
    .replace('User=clarus', `User=${userInfo().username}`)
    .replace('/usr/bin/node', process.execPath);
  writeFileSync(file, here);
  const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  return (stdout + stderr).replaceAll(directory, '');
}

test('systemd understands the unit of the documentation', () => {
  assert.match(unit, /^ExecStart=\S+ \S+ run --config \S+$/m);
  assert.equal(verified(unit), '');
  // A unit with a mistake is told, or the call above says nothing of ours.
  assert.match(verified(unit.replace('KillMode=mixed', 'KilMode=mixed')), /KilMode/);
  assert.match(verified(unit.replace('TimeoutStopSec=60', 'TimeoutStopSec=long')), /time value/);
});

test('the unit starts the file that an installed package has', () => {
  assert.ok(unit.includes(installed));
  const root = new URL('../../../', import.meta.url);
  const files = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
  });
  const [packed] = JSON.parse(files) as { files: { path: string }[] }[];
  assert.ok(packed!.files.some(({ path }) => `/opt/clarus/node_modules/clarus/${path}` === installed));
});
