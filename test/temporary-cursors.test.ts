/** Cursors over temporary tables, and views that are temporary because their tables are: they come to what they come to in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const tables = [
  'CREATE TABLE base (id int, a text)',
  "INSERT INTO base VALUES (1, 'sentinel a'), (2, 'b')",
  'CREATE TEMP TABLE tt (id int, a text)',
  "INSERT INTO tt SELECT i, 'sentinel ' || i FROM generate_series(1, 10) i",
];

const cursors: readonly Step[] = [
  'DECLARE c CURSOR FOR SELECT * FROM tt',
  'BEGIN',
  'DECLARE c CURSOR FOR SELECT * FROM tt ORDER BY id',
  'FETCH 2 FROM c',
  "INSERT INTO tt VALUES (0, 'new')",
  "UPDATE tt SET a = 'changed'",
  'FETCH ALL FROM c',
  'FETCH BACKWARD 3 FROM c',
  'MOVE ABSOLUTE 2 FROM c',
  'FETCH c',
  'DECLARE d SCROLL CURSOR FOR SELECT base.a, tt.a FROM base JOIN tt USING (id) ORDER BY base.id',
  'FETCH ALL FROM d',
  'CLOSE d',
  'FETCH d',
  'ROLLBACK',
  'SELECT count(*) FROM tt',
  'DECLARE h CURSOR WITH HOLD FOR SELECT id, count(*) FROM tt GROUP BY id ORDER BY id',
  'FETCH 3 FROM h',
  'DELETE FROM tt WHERE id = 4',
  'FETCH 3 FROM h',
  'CLOSE h',
  'BEGIN',
  'SAVEPOINT s',
  'DECLARE c CURSOR FOR SELECT a FROM tt WHERE id = 1',
  'ROLLBACK TO s',
  'FETCH c',
  'ROLLBACK',
  'BEGIN',
  'DECLARE c CURSOR FOR SELECT 1 FROM tt WHERE id = 1',
  'DECLARE c CURSOR FOR SELECT 1 FROM tt',
  'ROLLBACK',
  'BEGIN',
  'DECLARE c CURSOR FOR SELECT nope FROM tt',
  'ROLLBACK',
];

const views: readonly Step[] = [
  'CREATE VIEW v1 AS SELECT * FROM tt',
  'CREATE VIEW v2 AS SELECT * FROM base',
  'CREATE VIEW v3 AS SELECT base.id, tt.a FROM base, tt WHERE base.id = tt.id',
  'CREATE VIEW v4 AS SELECT * FROM base WHERE id IN (SELECT id FROM tt)',
  'CREATE OR REPLACE VIEW v5 AS SELECT * FROM v1',
  'CREATE RECURSIVE VIEW v6 (n) AS SELECT id FROM tt UNION SELECT n + 1 FROM v6 WHERE n < 12',
  ...['v1', 'v2', 'v3', 'v4', 'v5', 'v6'].map(name => `SELECT * FROM ${name} ORDER BY 1`),
  "SELECT relname, relpersistence FROM pg_class WHERE relname ~ '^v[0-9]$' ORDER BY 1",
  'BEGIN',
  'DECLARE c CURSOR FOR SELECT * FROM v3 ORDER BY id',
  'FETCH ALL FROM c',
  'ROLLBACK',
  'CREATE VIEW public.v7 AS SELECT * FROM tt',
  'CREATE VIEW v7 AS SELECT nope FROM tt',
  'CREATE VIEW v7 AS SELECT * FROM nowhere',
  'CREATE VIEW v1 AS SELECT * FROM tt',
  'BEGIN',
  'CREATE VIEW v7 AS SELECT nope FROM tt',
  'SELECT 1',
  'ROLLBACK',
  'DROP VIEW v3',
  'DROP TABLE tt CASCADE',
  'SELECT * FROM v1',
];

suite('cursors and views over temporary tables', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt\ntables: {}', tables);

  test('cursors give the rows of the moment when they are declared', async () => {
    assert.deepEqual(await sides.differences(cursors), []);
    assert.deepEqual(
      await sides.differences(cursors, (client, step) => sides.outcome(client, step, true)),
      [],
    );
  });

  test('views over temporary tables are temporary', async () => {
    assert.deepEqual(await sides.differences(views), []);
  });

  test('no cloud is told their rows', () => {
    assert.doesNotMatch(sides.recorded.sent(), /sentinel|changed/);
  });
});
