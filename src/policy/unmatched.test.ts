import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from './parse.js';
import { formatProblem } from './problems.js';
import { missingColumns, missingTables } from './unmatched.js';

const { policy } = parseConfig(
  `clarus: 1
clouds:
  main: { postgres: "postgres://app@127.0.0.1/hospital" }
users:
  app: { password: "env:APP_PASSWORD" }
tables:
  public.patient:
    columns:
      id: { protect: none }
      nmae: { protect: encrypt, queries: [equality] }
      zodiac: { protect: none }
  public.vist: { columns: { id: { protect: none } } }
  public.later: {}
`,
  '/etc/clarus.yaml',
);
const table = (name: string, ...columns: string[]) => ({
  schema: 'public',
  name,
  columns: columns.map(column => ({ name: column })),
});

test('a column that a table lacks is told with its place and the one that was meant', () => {
  assert.deepEqual(missingColumns(policy, [table('patient', 'id', 'name', 'born')]).map(formatProblem), [
    '/etc/clarus.yaml:10:7: public.patient has no column "nmae" (did you mean "name"?)',
    '/etc/clarus.yaml:11:7: public.patient has no column "zodiac" (columns not named yet: name, born)',
  ]);
  assert.deepEqual(missingColumns(policy, [table('patient', 'id', 'nmae', 'zodiac', 'born')]), []);
  assert.deepEqual(missingColumns(policy, []), []);
});

test('a table that is not there is told with its place and the one that was meant', () => {
  assert.deepEqual(missingTables(policy, [table('patient'), table('visit')]).map(formatProblem), [
    '/etc/clarus.yaml:12:3: there is no table public.vist (did you mean "public.visit"?)',
    '/etc/clarus.yaml:13:3: there is no table public.later (CREATE TABLE through Clarus makes it as the policy says)',
  ]);
});
