import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stackArguments } from './stack.js';

test('a worker is given no more stack than the operating system has for it twice over', () => {
  const limits = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax stack size            ${soft.padEnd(20)} unlimited            bytes\n`;
  assert.deepEqual(stackArguments(limits(String(8 * 2 ** 20))), ['--stack-size=3900']);
  assert.deepEqual(stackArguments(limits('unlimited')), ['--stack-size=3900']);
  assert.deepEqual(stackArguments(limits(String(4 * 2 ** 20))), ['--stack-size=2048']);
  assert.deepEqual(stackArguments(limits(String(2 ** 20))), []);
  assert.deepEqual(stackArguments(''), []);
});
