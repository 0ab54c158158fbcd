import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grammar } from './grammar.js';
import { parseStatements } from './parse.js';

const deep = `SELECT ${Array(40_000).fill('n').join(' + ')}`;
const query =
  "SELECT a, (SELECT max(b) FROM t WHERE x = 'zz' AND y IN (1, 2, 3)) FROM u JOIN v USING (id) WHERE NOT EXISTS (SELECT 1)";

test('texts that are nested too deeply leave the grammar as it was', () => {
  const tree = JSON.stringify(parseStatements(query));
  const fingerprint = grammar.fingerprintSync(query);
  const megabytes = (): number => process.memoryUsage().rss / 2 ** 20;
  assert.throws(() => parseStatements(deep), { code: '54001' });
  const before = megabytes();
  for (let i = 0; i < 40; i++) {
    assert.throws(() => parseStatements(deep), { code: '54001' });
    assert.equal(JSON.stringify(parseStatements(query)), tree);
    assert.equal(grammar.fingerprintSync(query), fingerprint);
    assert.throws(() => parseStatements('SELECT FROM WHERE'), { code: '42601' });
  }
  assert.ok(megabytes() - before < 200, `${megabytes() - before} MiB more are held`);
});
