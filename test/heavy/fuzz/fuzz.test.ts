/**
 * Random statements over random tables: what a protected copy answers is what a plain one answers, or an error of
 * Clarus; and nothing of a protected value is sent to the cloud.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, recordCases, seed } from '../support/scale.js';
import { fuzz, type Outcome } from './run.js';

/** Statements of a soak. */
const full = 20_000;
/** How often each construct occurs in a soak at least. */
const eachLeast = 100;
/** Errors of Clarus, of a hundred statements that the plain copy answers. */
const oursMost = 5;

/** What issue 4 names, as the generator calls it. */
const constructs = [
  'constant = column',
  'LIKE',
  'ILIKE',
  'SIMILAR TO',
  'regular expression',
  'BETWEEN',
  '= ANY',
  'row comparison',
  'JOIN',
  'JOIN USING',
  'NATURAL JOIN',
  'LATERAL',
  'outer join',
  'cross join',
  'unprotected table',
  'scalar subquery',
  'EXISTS',
  'IN subquery',
  'ANY/ALL subquery',
  'correlated subquery',
  'CTE',
  'recursive CTE',
  'CTE MATERIALIZED',
  'view',
  'set operation',
  'GROUP BY',
  'GROUPING SETS',
  'HAVING',
  'DISTINCT',
  'DISTINCT ON',
  'FILTER',
  'count(DISTINCT)',
  'ordered aggregate',
  'ordered-set aggregate',
  'window',
  'ORDER BY COLLATE',
  'NULLS FIRST/LAST',
  'LIMIT',
  'OFFSET',
  'FETCH WITH TIES',
  'VALUES',
  'set-returning function',
  'jsonb operator',
  'array operator',
  'range operator',
  'full text',
  'by copy',
  'by cursor',
  'INSERT SELECT',
  'ON CONFLICT DO UPDATE',
  'ON CONFLICT DO NOTHING',
  'UPDATE constants',
  'UPDATE expression',
  'UPDATE FROM',
  'UPDATE row assignment',
  'UPDATE subquery',
  'DELETE',
  'DELETE USING',
  'MERGE',
  'data-modifying CTE',
  'write through a view',
  'RETURNING',
  'RETURNING expression',
  'several statements',
  'TRUNCATE',
  'DO',
  'SQL function',
  'PL/pgSQL function',
  'function that reads a table',
  'user-defined aggregate',
  'CREATE TABLE AS',
  'SELECT INTO',
  'materialised view',
  'EXPLAIN',
  'FOR UPDATE and its kin',
  'FOR … SKIP LOCKED',
  'FOR … NOWAIT',
  'TABLESAMPLE',
];

test('a protected copy answers what a plain one does, whatever is asked', { timeout: 3_600_000 }, async t => {
  const statements = count('fuzzed statements', full, 300);
  const outcome = await fuzz({ statements, seed, differencesMax: 5 });
  report(outcome, line => t.diagnostic(line));
  for (const [name, { made }] of outcome.constructs) recordCases(`fuzzed: ${name}`, made);
  recordCases('fuzzed statements that the plain copy answers', outcome.all.succeeded);
  recordCases('fuzzed statements that Clarus refuses', outcome.all.refused);
  assert.deepEqual(outcome.differences, []);
  const { all } = outcome;
  assert.ok(all.succeeded >= 0.7 * all.made, `${all.succeeded} of ${all.made} succeeded`);
  assert.ok(all.withRows >= 0.5 * all.made, `${all.withRows} of ${all.made} returned rows`);
  assert.ok(all.refused * 100 <= oursMost * all.succeeded, `${all.refused} of ${all.succeeded} refused`);
  if (statements < full) return;
  const rare = constructs.filter(name => (outcome.constructs.get(name)?.made ?? 0) < eachLeast);
  assert.deepEqual(rare, []);
});

function report({ all, constructs: tallies, refusals }: Outcome, log: (line: string) => void): void {
  log(`seed ${seed}: ${JSON.stringify(all)}`);
  for (const [name, { made, refused }] of [...tallies].sort(([, a], [, b]) => b.made - a.made))
    log(`${name}: ${made}, errors of Clarus ${refused}`);
  for (const [reason, { count: times, example }] of [...refusals].sort(([, a], [, b]) => b.count - a.count))
    log(`${times} times: ${reason}: ${example.slice(0, 200)}`);
}
