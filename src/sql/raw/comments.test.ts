import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripComments } from './comments.js';

test('comments go, and what only looks like one stays', () => {
  for (const [sql, expected] of [
    ['SELECT 1 -- one', 'SELECT 1  '],
    ['SELECT /* a /* b */ c */ 1', 'SELECT   1'],
    ['SELECT \'--\', "--", $$--$$, $a$ /* $a$', 'SELECT \'--\', "--", $$--$$, $a$ /* $a$'],
    ["SELECT E'a\\'--' -- x", "SELECT E'a\\'--'  "],
    // a string goes on behind a newline as it began
    ["SELECT E'a'\n 'b\\' -- c' -- d", "SELECT E'a'\n 'b\\' -- c'  "],
    [`SELECT E'a'${' '.repeat(2_000)}\n'b\\' -- c'`, `SELECT E'a'${' '.repeat(2_000)}\n'b\\' -- c'`],
    ["SELECT E'a' 'b\\' -- c", "SELECT E'a' 'b\\'  "],
  ] as const)
    assert.equal(stripComments(sql), expected, sql);
});
