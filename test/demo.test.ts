/** The demonstration, as a newcomer runs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
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

function demo(
  more: readonly string[] = [],
): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(root, 'src/cli/main.ts'), 'demo', '--once', '--directory', directory, ...more],
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
  const [before, stored] = said.split('What the cloud really stores of the same rows');
  const keys = (table: string): readonly string[] =>
    [...table.matchAll(/^ (\d+) +\|/gm)].map(([, key]) => key!);
  assert.equal(keys(before!).length, 5, said);
  assert.deepEqual(keys(stored!), keys(before!), 'the same rows');
  assert.match(before!, /penny +\| targaryen/);
  assert.ok(!stored!.includes('targaryen'));
  assert.match(stored!, /\\xc1/);
  assert.match(said, /leave out --once/);
  assert.doesNotMatch(said, /psql|clarus sql/, 'nothing serves any more');
  assert.match(said, /To start over, delete/);
});

test('a second start keeps the data', async () => {
  const { code, said } = await demo();
  assert.equal(code, 0, said);
  assert.match(said, /there from an earlier start/);
  assert.match(said, /penny +\| targaryen/);
});

test('a port that is in use, or none, ends the demo with one line', async () => {
  const busy = createServer();
  await new Promise<void>(resolve => busy.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = busy.address() as { port: number };
    const taken = await demo(['--port', String(port)]);
    assert.equal(taken.code, 1, taken.said);
    assert.match(taken.said, new RegExp(`^clarus: port ${port} is in use; .* --port$`, 'm'));
  } finally {
    busy.close();
  }
  for (const wrong of ['abc', '70000', '']) {
    const { code, said } = await demo(['--port', wrong]);
    assert.equal(code, 2, said);
    assert.match(said, /^clarus demo: "\w*" is no port: .*0 to 65535; see "clarus demo --help"\n$/);
  }
});
