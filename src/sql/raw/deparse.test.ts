import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deparse } from './deparse.js';
import { parseOne } from './parse.js';

const types = [
  ...['bit', 'bpchar', 'char', 'interval', 'json', 'numeric', 'time', 'timetz', 'timestamp', 'timestamptz'],
  ...['varbit', 'varchar', 'bool', 'int4', 'float8', 'money', 'name', 'text'],
];

for (const [what, written] of Object.entries({
  'between quotes': types.map(type => `"${type}"`),
  'with their schema': types.map(type => `pg_catalog."${type}"`),
  'with a length': ['"bit"(3)', '"varchar"(3)', '"numeric"(4,1)', 'bit(3)', 'char(3)', 'bit varying(4)'],
}))
  test(`types are written back as they were meant: ${what}`, () => {
    // throws where it means something else
    for (const type of written)
      for (const sql of [
        `SELECT CAST(NULL AS ${type})`,
        `SELECT a::${type}[] FROM t`,
        `CREATE TABLE t (a ${type}, b ${type}[])`,
      ])
        assert.notEqual(deparse(parseOne(sql)), '', sql);
  });
