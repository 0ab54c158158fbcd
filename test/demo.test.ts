/** The demonstration, as a newcomer runs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const parent = mkdtempSync(join(tmpdir(), 'clarus-demo-'));
// PostgreSQL runs as another account when the tests run as root.
chmodSync(parent, 0o755);
const directory = join(parent, 'demo');
after(() => rmSync(parent, { recursive: true, force: true }));

function demo(): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(root, 'src/cli/main.ts'), 'demo', '--once', '--directory', directory],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  return new Promise(resolve => child.once('close', code => resolve({ code, said })));
}

test('the demo shows what the application sees and what the cloud stores, and exits 0', async () => {
  const { code, said } = await demo();
  assert.equal(code, 0, said);
  assert.match(said, /protected and stored in \d+ ms/);
  const [before, stored] = said.split('What the cloud really stores');
  assert.match(before!, /penny +\| targaryen/);
  assert.ok(!stored!.includes('targaryen'));
  assert.match(stored!, /\\xc1/);
  assert.match(said, /Connect: psql/);
  assert.match(said, /To start over, delete/);
});

test('a second start keeps the data', async () => {
  const { code, said } = await demo();
  assert.equal(code, 0, said);
  assert.match(said, /there from an earlier start/);
  assert.match(said, /penny +\| targaryen/);
});
