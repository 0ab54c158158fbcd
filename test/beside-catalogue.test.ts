/** Protected tables in one query with the system catalogue: it is the logical one, without what Clarus keeps. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const tables = [
  'CREATE TABLE a (aa text)',
  'CREATE TABLE b (bb text) INHERITS (a)',
  'CREATE TABLE s (id int, name text)',
  'CREATE TABLE p (id int, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)',
  "INSERT INTO a VALUES ('Zaphod')",
  "INSERT INTO b VALUES ('Trillian', 'Ford')",
  "INSERT INTO s VALUES (1, 'a'), (2, 'Marvin')",
  "INSERT INTO p VALUES (1, 'Arthur')",
];

const answered: readonly Step[] = [
  'SELECT relname, a.* FROM a, pg_class WHERE a.tableoid = pg_class.oid ORDER BY 1',
  'SELECT relname, a.* FROM ONLY a, pg_class WHERE a.tableoid = pg_class.oid',
  'SELECT relname, b.* FROM b, pg_class c WHERE b.tableoid = c.oid',
  'SELECT c.relname, p.name FROM p JOIN pg_catalog.pg_class AS c ON c.oid = p.tableoid',
  'SELECT n.nspname, c.relname, s.name FROM s, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = s.name',
  "SELECT count(*) FROM s, pg_class WHERE relname ~ 'clarus|carrier'",
  "SELECT count(*) FROM s, pg_namespace WHERE nspname ~ 'clarus'",
  'SELECT name, (SELECT count(*) FROM pg_class WHERE relname = s.name) FROM s ORDER BY id',
  ['SELECT s.name FROM s WHERE EXISTS (SELECT FROM pg_class WHERE relname = s.name AND relname <> $1)', 'x'],
  'WITH c AS (SELECT oid, relname FROM pg_class) SELECT c.relname, a.aa FROM c JOIN a ON a.tableoid = c.oid ORDER BY 1',
  'SELECT relname FROM s, pg_class WHERE relname = nothing',
];

const refused: readonly string[] = [
  'SELECT relkind, aa FROM a, pg_class WHERE a.tableoid = pg_class.oid',
  'SELECT pg_class.*, name FROM s, pg_class',
  'SELECT pg_class, name FROM s, pg_class',
  'SELECT name FROM s NATURAL JOIN pg_class',
  'SELECT name, attname FROM s, pg_attribute',
  'SELECT pg_relation_size(c.oid), name FROM s, pg_class c',
  'SELECT c.xmin, name FROM s, pg_class c',
];

suite('protected tables beside the system catalogue', { timeout: 200_000 }, () => {
  const tested = beside('unlisted: encrypt', tables);

  test('what both say is PostgreSQL’s', async () => {
    for (const extended of [false, true])
      assert.deepEqual(await tested.unorderedDifferences(answered, extended), []);
  });

  test('what carriers change is not told', async () => {
    for (const sql of refused) await assert.rejects(tested.ours.query(sql), { code: '0A000' }, sql);
  });

  test('the cloud has heard of no value', () => {
    assert.doesNotMatch(tested.recorded.sent(), /Zaphod|Trillian|Ford|Marvin|Arthur/);
  });
});
