/** Row types of protected tables: in functions, variables, columns and expressions they mean what they mean in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: encrypt
tables:
  public.t:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }
  public.item:
    columns:
      id: { protect: encrypt, queries: [equality] }
  public.plain:
    columns:
      id: { protect: none }
      note: { protect: none }`;

const tables = [
  'CREATE TABLE t (id int PRIMARY KEY, name text, amount numeric)',
  'CREATE TABLE plain (id int PRIMARY KEY, note text)',
  "INSERT INTO t VALUES (1, 'sentinel one', 10.5), (2, 'sentinel two', 20), (3, NULL, NULL)",
  "INSERT INTO plain VALUES (1, 'x'), (2, 'y')",
];

const functions = [
  "CREATE FUNCTION all_t() RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM t ORDER BY id'",
  "CREATE FUNCTION one_t(i int) RETURNS t LANGUAGE sql STABLE AS 'SELECT * FROM t WHERE id = $1'",
  "CREATE FUNCTION label(t) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1.name || '!' $$",
  "CREATE FUNCTION labelp(r t) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN r.name := r.name || '?'; RETURN r.name; END $$",
  'CREATE FUNCTION mk(int, text) RETURNS t LANGUAGE sql IMMUTABLE AS $$ SELECT row($1, $2, 1.5)::t $$',
  'CREATE FUNCTION count_all(t[]) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT cardinality($1) $$',
  `CREATE FUNCTION walk_t() RETURNS SETOF t LANGUAGE plpgsql STABLE AS $$ DECLARE r t%ROWTYPE;
     BEGIN FOR r IN SELECT * FROM t ORDER BY id LOOP r.amount := r.amount + 1; RETURN NEXT r; END LOOP; END $$`,
  `CREATE FUNCTION walk_r() RETURNS SETOF t LANGUAGE plpgsql AS $$ DECLARE r record;
     BEGIN FOR r IN SELECT * FROM t ORDER BY id LOOP RETURN NEXT r; END LOOP; RETURN QUERY SELECT * FROM t ORDER BY id DESC; END $$`,
  "CREATE FUNCTION dynamic() RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT * FROM t ORDER BY id'; END $$",
  `CREATE FUNCTION put(r t) RETURNS t LANGUAGE plpgsql AS $$ DECLARE n t;
     BEGIN INSERT INTO t VALUES (r.id + 20, r.name, r.amount) RETURNING * INTO n; RETURN n; END $$`,
  `CREATE FUNCTION put_sql(r t) RETURNS t LANGUAGE sql AS $$ INSERT INTO t VALUES ($1.id + 30, r.name, put_sql.r.amount);
     SELECT t FROM t WHERE id = r.id + 30 $$`,
  `CREATE FUNCTION put_out(i int, OUT made t, OUT done bool) LANGUAGE plpgsql AS $$
     BEGIN IF i > 0 THEN INSERT INTO t VALUES (i + 40, 'sentinel out', i) RETURNING * INTO made; END IF; done := made IS NOT NULL; END $$`,
  'CREATE PROCEDURE pass_on(INOUT r t) LANGUAGE plpgsql AS $$ BEGIN r.id := r.id + 50; INSERT INTO t VALUES (r.*); END $$',
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'as a result': [
    'SELECT * FROM all_t()',
    'SELECT all_t()',
    'SELECT (all_t()).name',
    'SELECT one_t(2), (one_t(2)).name, (one_t(1)).*',
    'SELECT * FROM one_t(9)',
    'SELECT one_t(9) IS NULL, one_t(3) IS NULL',
    ['SELECT * FROM one_t($1)', 2],
    'SELECT * FROM walk_t()',
    'SELECT * FROM walk_r()',
    'SELECT * FROM dynamic()',
    'SELECT a.id, b.name FROM all_t() a JOIN walk_t() b ON a.id = b.id + 1 ORDER BY 1',
    'SELECT p.note, one_t(p.id) FROM plain p ORDER BY p.id',
    'SELECT p.note, x.name FROM plain p LEFT JOIN LATERAL one_t(p.id) x ON true ORDER BY p.id',
    "SELECT mk(1, 'sentinel x'), (mk(1, 'sentinel x')).name",
    "SELECT * FROM mk(1, 'sentinel x'), plain ORDER BY 4",
    'SELECT * FROM all_t() WITH ORDINALITY',
  ],
  'as a parameter': [
    'SELECT id, label(t), labelp(t), t.label, t FROM t ORDER BY id',
    "SELECT label(t.*) FROM t WHERE label(t) LIKE '%one%'",
    'SELECT label(a), (a).name FROM all_t() a',
    "SELECT label(mk(1, 'sentinel x')), label(ROW(1, 'sentinel y', 2)), label(NULL)",
    "SELECT label('(1,sentinel z,2)'), labelp(ROW(7, p.note, 1)) FROM plain p ORDER BY 2",
    'SELECT count_all(array_agg(t)) FROM t',
    "SELECT note FROM plain WHERE label(mk(id, note)) = 'y!'",
  ],
  'in expressions': [
    'SELECT NULL::t',
    "SELECT ROW(1, 'sentinel y', 3)::t, (ROW(1, 'sentinel y', 3)::t).name, '(1,sentinel y,3)'::t",
    `SELECT * FROM jsonb_populate_record(NULL::t, '{"id": 7, "name": "sentinel z"}')`,
    `SELECT p.*, r.* FROM plain p, jsonb_populate_recordset(NULL::t, '[{"id": 7, "name": "sentinel z"}]') r ORDER BY p.id`,
    'SELECT array_agg(t ORDER BY id), (array_agg(t ORDER BY id))[2] FROM t',
    "SELECT ARRAY[mk(1, 'a'), mk(2, 'b')], u.name FROM unnest(ARRAY(SELECT t FROM t ORDER BY id)) u",
    'SELECT row_to_json(t), to_jsonb(t) FROM t ORDER BY id',
    "SELECT t = ROW(2, 'sentinel two', 20)::t, t IS NULL FROM t ORDER BY id",
    'SELECT count(DISTINCT t), max((t).id) FROM t',
    'SELECT id FROM t ORDER BY t DESC',
    'WITH w AS (SELECT t AS r FROM t) SELECT (r).name FROM w ORDER BY (r).id',
    "SELECT coalesce(one_t(9), ROW(0, 'none', 0)::t)",
  ],
  'in writes': [
    `INSERT INTO t SELECT * FROM jsonb_populate_recordset(NULL::t, '[{"id": 7, "name": "sentinel z"}]') RETURNING *`,
    `INSERT INTO t SELECT (jsonb_populate_record(NULL::t, '{"id": 8, "name": "sentinel z"}')).*`,
    "SELECT put(ROW(1, 'sentinel w', 2)::t)",
    "SELECT * FROM put(ROW(2, 'sentinel w', 2)::t)",
    "SELECT (put(ROW(3, 'sentinel w', 2)::t)).name",
    "SELECT put(ROW(3, 'sentinel again', 2)::t)",
    "SELECT put_sql(ROW(1, 'sentinel v', 2)::t)",
    'SELECT put_out(1), put_out(0)',
    'SELECT * FROM put_out(2)',
    "CALL pass_on(ROW(1, 'sentinel u', 5))",
    "CREATE PROCEDURE made_of(INOUT r t) LANGUAGE sql AS $$ SELECT ROW(1, 'sentinel t', 2) $$",
    'CALL made_of(NULL)',
    "CREATE PROCEDURE calls(i int) LANGUAGE sql AS $$ CALL pass_on(ROW(i, 'sentinel s', 5)); CALL pass_on(ROW($1 + 1, 'sentinel s', 5)) $$",
    'CALL calls(10)',
    'SELECT * FROM t ORDER BY id',
    'UPDATE t SET name = label(t) WHERE id = 1 RETURNING t, label(t)',
    'UPDATE t SET (name, amount) = (SELECT n.name, n.amount FROM one_t(2) n) WHERE id = 3 RETURNING *',
    "UPDATE plain SET note = 'z' WHERE id = (mk(2, 'a')).id RETURNING *",
    'DELETE FROM t USING all_t() a WHERE a.id = t.id AND a.id > 6 RETURNING t.id',
  ],
  'in views, blocks and prepared statements': [
    'CREATE VIEW v AS SELECT a.name, label(a) AS l, a AS whole FROM all_t() a',
    'SELECT * FROM v ORDER BY 1',
    'SELECT (whole).id, p.note FROM v JOIN plain p ON p.id = (v.whole).id ORDER BY 1',
    `DO $$ DECLARE r t; s t%ROWTYPE; a t[]; n t := NULL; m t := ROW(1, 'sentinel m', 2); BEGIN
       SELECT * INTO r FROM t WHERE id = 1; RAISE NOTICE '%', r.name; s := r; RAISE NOTICE '% %', s, n; r := mk(3, 'q');
       RAISE NOTICE '% %', r, m; a := ARRAY(SELECT t FROM t ORDER BY id); RAISE NOTICE '% %', (a[1]).name, label(s); END $$`,
    'PREPARE p (t, int) AS SELECT ($1).name, label($1), t FROM t WHERE id = $2',
    "EXECUTE p (ROW(4, 'sentinel p', NULL), 1)",
    'EXECUTE p (NULL, 2)',
    'DEALLOCATE p',
  ],
  'in aggregates, operators and casts': [
    "CREATE AGGREGATE rows_of(t) (sfunc = array_append, stype = t[], initcond = '{}')",
    "CREATE FUNCTION same_id(t, t) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.id = $2.id'",
    'CREATE OPERATOR === (leftarg = t, rightarg = t, function = same_id)',
    'SELECT a.id FROM t a, t b WHERE a === b ORDER BY 1',
    "SELECT ROW(1, 'q', 0)::t === ROW(1, 'r', 1)::t",
    'CREATE CAST (t AS text) WITH INOUT AS ASSIGNMENT',
    'DROP CAST (t AS text)',
  ],
};

/** Columns of the row type of another protected table. */
const columns: readonly Step[] = [
  'CREATE TABLE item (id int PRIMARY KEY, s text)',
  'CREATE TABLE comp (k int, r item, many item[])',
  `INSERT INTO comp VALUES (1, ROW(1, 'sentinel a'), NULL), (2, '(2,"sentinel b")', '{"(3,\\"sentinel c\\")"}')`,
  ['INSERT INTO comp VALUES ($1, $2, $3)', 9, '(9,"sentinel h")', ['(8,i)', null]],
  "INSERT INTO comp SELECT 3, ROW(5, 'sentinel d')::item, ARRAY[ROW(6, 'x')::item]",
  "INSERT INTO item VALUES (1, 'sentinel a'), (2, 'sentinel e')",
  'INSERT INTO comp SELECT 4, i, ARRAY[i] FROM item i RETURNING r, (r).s',
  'SELECT * FROM comp ORDER BY k, r',
  'SELECT (r).s, (many)[1].s FROM comp ORDER BY k, r',
  "SELECT k FROM comp WHERE r = ROW(1, 'sentinel a')::item ORDER BY 1",
  ['SELECT k FROM comp WHERE r = $1 ORDER BY 1', '(1,"sentinel a")'],
  'SELECT k FROM comp WHERE (r).id > 1 ORDER BY 1',
  "UPDATE comp SET r.s = 'sentinel f' WHERE k = 1 RETURNING *",
  'UPDATE comp SET r = (SELECT i FROM item i WHERE id = 2) WHERE k = 2 RETURNING *',
  'SELECT c.k, i.id FROM comp c JOIN item i ON c.r = i ORDER BY 1, 2',
  "DELETE FROM comp WHERE (r).s = 'sentinel e' RETURNING k",
  'ALTER TABLE item ALTER COLUMN id TYPE bigint',
  'ALTER TABLE item RENAME COLUMN s TO t',
  'SELECT (r).t FROM comp ORDER BY 1',
  'DROP TABLE item',
  'CREATE TYPE holds AS (a int, i item)',
  'CREATE TABLE deeper (h holds, d int)',
  "INSERT INTO deeper VALUES (ROW(1, ROW(2, 'sentinel j')), 1)",
  'SELECT h, (h).i.t FROM deeper',
  'CREATE DOMAIN checked AS item CHECK ((VALUE).id > 0)',
  'CREATE TABLE of_domain (d checked, k int)',
  "INSERT INTO of_domain VALUES (ROW(1, 'sentinel k'), 1)",
  'SELECT d, (d).t FROM of_domain',
  'CREATE TABLE made AS SELECT i AS r, i.id FROM item i',
  'SELECT * FROM made ORDER BY id',
  'CREATE TABLE typed OF item',
  'CREATE VIEW over_rows AS SELECT i, NULL::item AS n, (c.r).t FROM item i LEFT JOIN comp c ON c.r = i',
  'SELECT * FROM over_rows ORDER BY 1',
  "CREATE TABLE checks (x int, y text, CHECK ((x, y)::item <> (1, 'no')::item))",
  "INSERT INTO checks VALUES (1, 'yes')",
  "CREATE TABLE defaults (x int, y item DEFAULT ROW(1, 'sentinel l')::item)",
  'INSERT INTO defaults VALUES (1)',
  'SELECT * FROM defaults',
  'DROP TABLE item CASCADE',
  'SELECT * FROM comp ORDER BY k',
];

suite('row types of protected tables', { timeout: 300_000 }, () => {
  const sides = beside(policy, [...tables, ...functions]);
  for (const [place, all] of Object.entries(steps))
    test(`mean what they mean in PostgreSQL, ${place}`, async () => {
      assert.deepEqual(await sides.differences(all), []);
      const reads = all.filter(step => /^(SELECT|WITH)/.test(String(step)) && !/put/.test(String(step)));
      assert.deepEqual(
        await sides.differences(reads, (client, step) => sides.outcome(client, step, true)),
        [],
      );
    });

  test('are types of protected columns', async () => {
    assert.deepEqual(await sides.differences(columns), []);
  });

  test('follow ALTER TABLE, and are dropped as PostgreSQL drops them', async () => {
    assert.deepEqual(
      await sides.differences([
        'ALTER TABLE t ADD COLUMN extra text',
        'SELECT * FROM all_t()',
        'SELECT * FROM one_t(1)',
        'SELECT t, label(t) FROM t ORDER BY id',
        "SELECT put(ROW(4, 'sentinel w', 2, 'x')::t)",
        'ALTER TABLE t DROP COLUMN extra',
        'SELECT * FROM all_t()',
        "SELECT mk(1, 'sentinel'), label(t) FROM t ORDER BY id",
        'DROP TABLE t',
        'DROP FUNCTION label(t)',
        'DROP TABLE t CASCADE',
        'SELECT all_t()',
      ]),
      [],
    );
  });

  test('an answer that would give their values to an open column is refused', async () => {
    await sides.both(
      'CREATE TABLE s (id int, word text)',
      "INSERT INTO s VALUES (1, 'sentinel word')",
      "CREATE FUNCTION any_s() RETURNS s LANGUAGE sql STABLE AS 'SELECT * FROM s LIMIT 1'",
      'CREATE FUNCTION word_of(s) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1.word $$',
    );
    for (const sql of [
      'INSERT INTO plain SELECT 5, s::text FROM s',
      'INSERT INTO plain SELECT 5, (any_s()).word',
      'INSERT INTO plain SELECT 5, word_of(s) FROM s',
      'UPDATE plain SET note = (SELECT (x.r).word FROM (SELECT s AS r FROM s) x)',
      'UPDATE plain SET note = to_json(any_s())::text',
      'DO $$ DECLARE r s; BEGIN SELECT * INTO r FROM s; UPDATE plain SET note = r::text; END $$',
      'DO $$ DECLARE r s; BEGIN r := any_s(); UPDATE plain SET note = r.word; END $$',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000' }, sql);
  });

  test('nothing of them stands in the cloud in the clear', () => {
    const sent = sides.recorded.sent();
    assert.ok(sent.length > 10_000);
    assert.doesNotMatch(sent, /sentinel/);
    assert.doesNotMatch(sent, /RETURNS SETOF t|all_t|label\(/);
  });
});
