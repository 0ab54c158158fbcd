import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { grammar } from './grammar.js';
import { parseStatements } from './parse.js';

const deep = `SELECT ${Array(40_000).fill('n').join(' + ')}`;
const query =
  "SELECT a, (SELECT max(b) FROM t WHERE x = 'zz' AND y IN (1, 2, 3)) FROM u JOIN v USING (id) WHERE NOT EXISTS (SELECT 1)";

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('texts that are nested too deeply leave the grammar as it was', () => {
  const tree = JSON.stringify(parseStatements(query));
  const fingerprint = grammar.fingerprintSync(query);
  const megabytes = (): number => {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return (heapUsed + external) / 2 ** 20;
  };
  assert.throws(() => parseStatements(deep), { code: '54001' });
  const before = megabytes();
  for (let i = 0; i < 40; i++) {
    assert.throws(() => parseStatements(deep), { code: '54001' });
    assert.equal(JSON.stringify(parseStatements(query)), tree);
    assert.equal(grammar.fingerprintSync(query), fingerprint);
    assert.throws(() => parseStatements('SELECT FROM WHERE'), { code: '42601' });
  }
  const more = megabytes() - before;
  assert.ok(more < 20, `${more} MiB more are held`);
});
