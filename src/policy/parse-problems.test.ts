import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, parseConfig } from './parse.js';
import { formatProblem } from './problems.js';

const head =
  'clarus: 1\nclouds: { main: { postgres: "postgres://app@127.0.0.1/hospital" } }\nusers: { app: { password: "env:P" } }\n';

/** Each mistake, with the whole text of what is said. The file has four lines before it. */
const mistakes: readonly (readonly [mistake: string, text: string, ...said: string[]])[] = [
  ['an unknown key', 'audti: rows', '4:1: unknown key "audti" (did you mean "audit"?)'],
  [
    'an unknown key that is like none',
    'limits: { colour: 1 }',
    '4:11: unknown key "colour" (known: message_bytes_max, connections_max, prepared_statements_max, portals_max, idle_timeout_ms, authentication_timeout_ms, plans_max, client_buffer_bytes_max, split_rows_max, split_bytes_max, drain_timeout_ms)',
  ],
  [
    'a column without columns:',
    'tables:\n  t:\n    age: { protect: none }',
    '6:5: unknown key "age" (name it under columns:)',
  ],
  [
    'columns misspelt',
    'tables:\n  t:\n    colums: {}',
    '6:5: unknown key "colums" (did you mean "columns"?)',
  ],
  [
    'an unknown setting of a column',
    'tables:\n  t:\n    columns:\n      a: { clas: identifier }',
    '7:12: unknown key "clas" (did you mean "class"?)',
  ],
  [
    'a wrong word',
    'audit: statement',
    '4:8: "audit" must be one of acts, statements, rows (did you mean "statements"?)',
  ],
  [
    'a wrong word in a list',
    'tables: { t: { columns: { a: { queries: [range, equalty] } } } }',
    '4:49: "tables.t.columns.a.queries[2]" must be one of equality, range, order, prefix, substring, words, paths, sum (did you mean "equality"?)',
  ],
  [
    'a wrong word where a mapping is possible',
    'tls: selfmade',
    '4:6: "tls" must be self-made, off, or { certificate: PATH, key: PATH } (did you mean "self-made"?)',
  ],
  [
    'a truth value',
    'tls: false',
    '4:6: "tls" must be self-made, off, or { certificate: PATH, key: PATH } (write the word off)',
  ],
  [
    'a key written twice',
    'audit: rows\naudit: acts',
    '5:1: the key "audit" is written twice (keep one of them)',
  ],
  [
    'a column written twice',
    'tables:\n  t:\n    columns:\n      a: {}\n      b: {}\n      a: {}',
    '9:7: the key "a" is written twice (keep one of them)',
  ],
  [
    'a table written twice',
    'tables:\n  t: {}\n  public.t: {}',
    '6:3: the table public.t is named twice, as "t" too (keep one of them)',
  ],
  [
    'a query kind written twice',
    'tables: { t: { columns: { a: { queries: [range, range] } } } }',
    '4:49: "tables.t.columns.a.queries[2]" stands there already (keep one of them)',
  ],
  ['text where a number is expected', 'workers: many', '4:10: "workers" must be a whole number'],
  [
    'a number out of bounds',
    'limits:\n  portals_max: 0',
    '5:16: "limits.portals_max" must be a whole number from 1 to 1000000',
  ],
  [
    'text where a list is expected',
    'tables: { t: { columns: { a: { queries: range } } } }',
    '4:41: "tables.t.columns.a.queries" must be a list, such as [equality, range]',
  ],
  [
    'a list where a mapping is expected',
    'tables:\n  - t',
    '5:3: "tables" must be a mapping of tables, such as public.patient: { columns: { name: { protect: encrypt } } }',
  ],
  [
    'a key without value',
    'listen:',
    '4:1: "listen" has no value (it must be a mapping, such as postgres: 127.0.0.1:6432)',
  ],
  ['a missing key', 'tls:\n  certificate: a.crt', '4:1: "tls" lacks the key "key" (add key: "./server.key")'],
  [
    'a bad address',
    'listen: { postgres: 6432 }',
    '4:21: "listen.postgres" must be HOST:PORT, such as 127.0.0.1:6432',
  ],
  [
    'a port that is none',
    'listen: { postgres: "127.0.0.1:70000" }',
    '4:21: there are ports from 0 to 65535 only',
  ],
  [
    'a table name of too many parts',
    'tables: { a.b.c: {} }',
    '4:11: a table must be named schema.table, or table in the schema public (put a name that holds a dot in double quotes: \'public."a.b"\')',
  ],
  [
    "PostgreSQL's own schema",
    'tables: { pg_catalog.pg_class: {} }',
    "4:11: the schema pg_catalog is PostgreSQL's own, its tables cannot be protected",
  ],
  [
    'a name that is too long',
    `tables: { ${'x'.repeat(64)}: {} }`,
    '4:11: no table can be called so: the name has 64 bytes, PostgreSQL keeps 63',
  ],
  [
    'the name of the row id',
    'tables: { t: { columns: { clarus_row: {} } } }',
    '4:27: the name clarus_row is taken by the hidden row id of protected tables',
  ],
  [
    'queries in the clear',
    'tables: { t: { columns: { a: { protect: none, queries: [range] } } } }',
    '4:47: a column in the clear needs no queries (remove queries:, or write protect: encrypt)',
  ],
  [
    'a domain in the clear',
    'tables: { t: { columns: { a: { protect: none, domain: d } } } }',
    '4:47: a column in the clear has no tags, so no domain (remove domain:, or write protect: encrypt)',
  ],
  [
    'a domain of two words',
    'tables: { t: { columns: { a: { domain: a b } } } }',
    '4:40: "tables.t.columns.a.domain" must be one word of letters, digits, _ . and -, such as person',
  ],
  [
    'a target of four parts',
    'declassify: [a.b.c, a.b.c.d]',
    '4:21: a target must be schema.table or schema.table.column (put a name that holds a dot in double quotes: \'public."a.b"\')',
  ],
  [
    'tls for the embedded database',
    'trusted: { tls: off }',
    '4:12: tls has no use with the embedded database (remove tls:)',
  ],
  [
    'two keys',
    'trusted: { key: { file: a, env: B } }',
    '4:17: "trusted.key" must be { file: PATH } or { env: NAME }',
  ],
  ['a tab', 'limits:\n\tportals_max: 5', '5:1: a tab is used for indentation (indent with spaces)'],
  [
    'an open bracket',
    'declassify: [a, b',
    '5:1: wrong indentation, or a bracket that is not closed (entries of one mapping begin in one column)',
  ],
  [
    'an unknown alias',
    'audit: *rows',
    '4:8: an alias (*name) without its anchor (&name) (put text that begins with * in quotes)',
  ],
  [
    'a tag',
    'audit: !word rows',
    '4:8: tags (!name) are not used here (put text that begins with ! in quotes)',
  ],
  ['a second document', '---\nclarus: 1', '4:1: a second document begins here (remove the line ---)'],
];

for (const [mistake, text, ...said] of mistakes) {
  test(`${mistake} is told with its place and what to write instead`, () => {
    assert.deepEqual(problemsOf(`${head}${text}\n`), said);
  });
}

function problemsOf(text: string): readonly string[] {
  try {
    parseConfig(text, 'clarus.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(problem => formatProblem(problem).replace(/^clarus\.yaml:/u, ''));
  }
  return [];
}
