/** The scan itself: what is planted is found, in every form, wherever it lies; noise is not. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { base64Inside, needlesOf } from './needles.js';
import { leastHits, scan } from './scan.js';
import { arraySentinel, largeText, scalarTypes, sentinel } from './values.js';

const sentinels = [
  ...scalarTypes.map(type => sentinel(type, 'of the self-test')),
  ...[...scalarTypes, 'bool' as const].map(type => arraySentinel(type, 'of the self-test')),
  largeText('noise', 'of the self-test'),
  largeText('repeated', 'of the self-test'),
];
const needles = needlesOf(sentinels);

let directory: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'clarus-scan-'));
});
after(() => rmSync(directory, { recursive: true, force: true }));

test('every sentinel has a form, and every form that is planted is found', () => {
  assert.deepEqual(
    sentinels.filter(({ name }) => !needles.some(needle => needle.sentinel === name)),
    [],
  );
  const file = join(directory, 'planted');
  writeFileSync(
    file,
    Buffer.concat(
      needles.flatMap(needle => Array.from({ length: 8 }, () => [randomBytes(9), needle.bytes]).flat()),
    ),
  );
  const found = new Set(scan([file], needles).findings.map(finding => finding.needle));
  assert.deepEqual(
    needles.filter(needle => !found.has(needle)),
    [],
  );
});

test('a needle is found across the edges of the pieces in which a large file is read, and counted once', () => {
  const file = join(directory, 'large');
  const edge = 4 * 1024 * 1024;
  const needle = needles.find(({ form }) => form === 'text')!;
  const content = Buffer.alloc(3 * edge, 'ordinary contents ');
  const places = [0, edge - 3, edge + 100, 2 * edge - needle.bytes.length, 2 * edge + needle.bytes.length];
  for (const place of [...places, content.length - needle.bytes.length]) needle.bytes.copy(content, place);
  writeFileSync(file, content);
  const { findings, bytes } = scan([file], [needle]);
  assert.equal(bytes, content.length);
  assert.equal(findings[0]?.hits, places.length + 1);
  assert.equal(findings[0]?.places[1], `${file}:${edge - 3}`);
});

test('64 MiB of noise, of hex and of base64 hold no sentinel', () => {
  const noise = randomBytes(32 * 1024 * 1024);
  writeFileSync(join(directory, 'noise'), noise);
  writeFileSync(join(directory, 'hex'), noise.subarray(0, 8 * 1024 * 1024).toString('hex'));
  writeFileSync(join(directory, 'base64'), noise.subarray(0, 12 * 1024 * 1024).toString('base64'));
  const files = ['noise', 'hex', 'base64'].map(name => join(directory, name));
  assert.deepEqual(scan(files, needles).findings, []);
});

test('base64 of a value is recognised behind any bytes', () => {
  const value = createHash('sha256').update('value').digest();
  for (let before = 0; before < 7; before++) {
    const text = Buffer.concat([randomBytes(before), value, randomBytes(5)]).toString('base64');
    assert.ok(text.includes(base64Inside(value, before % 3, 'base64').toString()));
  }
});

test('the count of hits that chance explains grows with what was scanned', () => {
  assert.equal(leastHits(1e-12), 1);
  assert.ok(leastHits(0.1) > 3);
  assert.ok(leastHits(0.1) < 10);
});
