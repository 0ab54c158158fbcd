/** Temporary tables and EXPLAIN within functions and DO: what bodies do with them comes to what it comes to in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { outcomeOf, type Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.t:
    columns:
      id: { protect: encrypt, queries: [equality] }
      name: { protect: encrypt }
  public.plain:
    columns:
      id: { protect: none }
      note: { protect: none }`;

const tables = [
  'CREATE TABLE t (id int PRIMARY KEY, name text)',
  'CREATE TABLE plain (id int PRIMARY KEY, note text)',
  "INSERT INTO t VALUES (1, 'sentinel one'), (2, 'sentinel two')",
  "INSERT INTO plain VALUES (1, 'x')",
  'CREATE TEMP TABLE tt (id int, name text)',
  "INSERT INTO tt VALUES (1, 'sentinel three'), (5, 'y')",
];

const rows = 'SELECT * FROM tt ORDER BY id, name';

const steps: Readonly<Record<string, readonly Step[]>> = {
  'reads and writes': [
    `DO $$ DECLARE r record; n int; BEGIN FOR r IN SELECT * FROM tt ORDER BY id LOOP RAISE NOTICE '%', r; END LOOP;
       INSERT INTO tt VALUES (7, 'sentinel z'); GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE '% %', n, FOUND;
       UPDATE tt SET name = name || '!' WHERE id = 99; RAISE NOTICE '%', FOUND; SELECT count(*) INTO n FROM tt; RAISE NOTICE '%', n; END $$`,
    rows,
    'CREATE FUNCTION one_of(i int) RETURNS text LANGUAGE plpgsql AS $$ DECLARE n text; BEGIN SELECT name INTO n FROM tt WHERE id = i; RETURN n; END $$',
    'SELECT one_of(1), one_of(99)',
    "CREATE FUNCTION adds(i int) RETURNS tt LANGUAGE sql AS $$ INSERT INTO tt VALUES (i, 'sentinel added') RETURNING * $$",
    'CREATE FUNCTION strict() RETURNS void LANGUAGE plpgsql AS $$ DECLARE x record; BEGIN UPDATE tt SET id = id WHERE id > 0 RETURNING * INTO STRICT x; END $$',
    'SELECT strict()',
  ],
  'rows of others beside': [
    `DO $$ DECLARE r record; BEGIN FOR r IN SELECT t.name AS a, tt.name AS b FROM t JOIN tt ON t.id = tt.id LOOP RAISE NOTICE '%', r; END LOOP;
       INSERT INTO t SELECT id + 100, name FROM tt; INSERT INTO tt SELECT id + 200, name FROM t; UPDATE t SET name = tt.name FROM tt WHERE tt.id = t.id; END $$`,
    rows,
    'SELECT * FROM t ORDER BY id',
  ],
  'tables that bodies make': [
    `CREATE FUNCTION work(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE scratch (a int, b text) ON COMMIT DROP;
       INSERT INTO scratch SELECT id, name FROM t WHERE id <= n; UPDATE scratch SET b = b || '!'; RETURN QUERY SELECT b FROM scratch ORDER BY a; DROP TABLE scratch; END $$`,
    'SELECT * FROM work(2)',
    'SELECT work(1)',
    'SELECT * FROM work(200)',
  ],
  'handlers, which take back what they wrote': [
    `DO $$ BEGIN INSERT INTO tt VALUES (8, 'a'); BEGIN INSERT INTO tt VALUES (9, 'a'); UPDATE tt SET id = 1 / 0;
       EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END; UPDATE tt SET name = 'q' WHERE id = 8; END $$`,
    rows,
    "DO $$ BEGIN INSERT INTO tt VALUES (10, 'a'); PERFORM 1 / 0; END $$",
    rows,
    'BEGIN',
    "DO $$ BEGIN BEGIN INSERT INTO tt VALUES (11, 'a'); INSERT INTO t VALUES (11, 'a'); RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN INSERT INTO tt VALUES (12, 'c'); END; END $$",
    rows,
    'ROLLBACK',
    rows,
    'SELECT * FROM t ORDER BY id',
    "CREATE PROCEDURE parts() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tt VALUES (20, 'kept'); COMMIT; INSERT INTO tt VALUES (21, 'lost'); ROLLBACK; END $$",
    'CALL parts()',
    rows,
  ],
  EXPLAIN: [
    `DO $$ DECLARE l text; BEGIN FOR l IN EXPLAIN (COSTS OFF) SELECT 1 LOOP RAISE NOTICE '%', l; END LOOP;
       EXECUTE 'EXPLAIN (COSTS OFF) SELECT 1 + 1' INTO l; RAISE NOTICE '%', l; END $$`,
    `DO $$ DECLARE l text; v int := 2; BEGIN FOR l IN EXPLAIN (COSTS OFF) SELECT * FROM plain WHERE id = v LOOP RAISE NOTICE '%', l; END LOOP; END $$`,
    `CREATE FUNCTION plan_of(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ DECLARE l text; BEGIN
       FOR l IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) ' || q LOOP RETURN NEXT l; END LOOP; END $$`,
    "SELECT plan_of('SELECT * FROM t')",
    "SELECT * FROM plan_of('SELECT note FROM plain')",
    "SELECT plan_of('SELECT * FROM nowhere')",
  ],
};

suite('temporary tables and EXPLAIN in bodies', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  for (const [what, all] of Object.entries(steps))
    test(`come to what they come to in PostgreSQL: ${what}`, async () => {
      assert.deepEqual(await sides.differences(all), []);
    });

  test('values of temporary tables come to no open column, and to no plan of the cloud', async () => {
    for (const sql of [
      'DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM tt LIMIT 1; UPDATE plain SET note = n; END $$',
      'DO $$ BEGIN INSERT INTO plain SELECT id, name FROM tt; END $$',
      "DO $$ DECLARE n text; BEGIN SELECT tt.name INTO n FROM tt, t LIMIT 1; EXECUTE 'UPDATE plain SET note = $1' USING n; END $$",
      'DO $$ DECLARE n int; BEGIN UPDATE tt SET id = id; GET DIAGNOSTICS n = ROW_COUNT; UPDATE plain SET note = n; END $$',
      'DO $$ DECLARE l text; v text; BEGIN SELECT name INTO v FROM t LIMIT 1; FOR l IN EXPLAIN SELECT * FROM plain WHERE note = v LOOP NULL; END LOOP; END $$',
      "DO $$ DECLARE l text; BEGIN EXECUTE 'EXPLAIN ANALYZE SELECT * FROM t' INTO l; UPDATE plain SET note = l; END $$",
    ])
      assert.equal(((await outcomeOf(sides.ours, sql)) as { code?: string }).code, '0A000', sql);
    assert.doesNotMatch(sides.recorded.sent(), /sentinel/);
  });
});
