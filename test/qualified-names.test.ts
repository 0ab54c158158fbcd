/** Columns of what a statement writes, named with their schema, as object-relational mappers write them. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const steps: readonly Step[] = [
  "INSERT INTO w.d (id, nm) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET nm = 'b' RETURNING w.d.id",
  'INSERT INTO "w"."d" ("id","nm") VALUES (1, \'a\') ON CONFLICT ("id") DO UPDATE SET "nm" = \'b\' WHERE ("w"."d"."id" = 1 AND 1=1) RETURNING "w"."d"."id", "w"."d"."nm"',
  "INSERT INTO w.d (id, nm) SELECT 3, 'c' RETURNING w.d.id, w.d.*",
  "MERGE INTO w.d USING (VALUES (1)) v(i) ON w.d.id = v.i WHEN MATCHED THEN UPDATE SET nm = w.d.nm || 'm'",
  "INSERT INTO d (id, nm) VALUES (4, 'x') RETURNING w.d.nm",
  "UPDATE w.d SET nm = w.d.nm || '!' WHERE w.d.id = 4 RETURNING w.d.nm",
  "INSERT INTO w.tr (id, v) VALUES (1, 'a') RETURNING w.tr.id, w.tr.v",
  "UPDATE w.tr SET v = 'b' WHERE w.tr.id = 1 RETURNING w.tr.v",
  'DELETE FROM w.tr WHERE w.tr.id = 1 RETURNING w.tr.id',
  "INSERT INTO w.g (id, v) VALUES (1, 'a') RETURNING w.g.id, w.g.up",
  "INSERT INTO w.p (id, v) VALUES (1, 'a') RETURNING w.p.id, w.p.v",
  "INSERT INTO w.p (id, v) VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET v = w.p.v || EXCLUDED.v RETURNING w.p.v",
  // another relation of the name is meant by it
  "INSERT INTO w.d (id, nm) SELECT 5, (SELECT d.nm FROM (VALUES ('inner')) AS d (nm)) RETURNING d.nm",
  'SELECT * FROM w.d ORDER BY id',
];

suite('names with schemas', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt', [
    'CREATE SCHEMA w',
    'SET search_path = w, public',
    'CREATE TABLE d (id int PRIMARY KEY, nm text)',
    'CREATE TABLE tr (id int, v text)',
    "CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := upper(NEW.v); RETURN NEW; END'",
    'CREATE TRIGGER t BEFORE INSERT OR UPDATE ON tr FOR EACH ROW EXECUTE FUNCTION louder()',
    'CREATE TABLE g (id int, v text, up text GENERATED ALWAYS AS (upper(v)) STORED)',
    'CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)',
    'CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)',
  ]);

  for (const extended of [false, true])
    test(`mean the target of a write (${extended ? 'extended' : 'simple'})`, async () => {
      assert.deepEqual(await sides.unorderedDifferences(steps, extended), []);
      await sides.both('TRUNCATE d, tr, g, p');
    });
});
