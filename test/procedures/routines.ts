/** Functions and procedures that write protected tables, and statements that call them. */
import type { Step } from '../support/outcome.js';

export const routines: readonly string[] = [
  `CREATE FUNCTION add_person(i int, n text, a numeric DEFAULT 0) RETURNS int LANGUAGE plpgsql AS $$
     BEGIN INSERT INTO person VALUES (i, 'f', n, a); RETURN i + 1; END $$`,
  `CREATE FUNCTION rename(i int, n text) RETURNS text LANGUAGE plpgsql AS $$
     DECLARE old text; BEGIN SELECT name INTO old FROM person WHERE id = i FOR UPDATE; UPDATE person SET name = n WHERE id = i; RETURN old; END $$`,
  `CREATE FUNCTION raise_all(by numeric) RETURNS SETOF int LANGUAGE plpgsql AS $$
     DECLARE r record; BEGIN FOR r IN SELECT id FROM person ORDER BY id LOOP
       UPDATE person SET amount = coalesce(amount, 0) + by WHERE id = r.id; RETURN NEXT r.id; END LOOP; END $$`,
  `CREATE FUNCTION listed(lowest int) RETURNS TABLE (i int, n text, a numeric) LANGUAGE plpgsql AS $$
     BEGIN INSERT INTO secret VALUES (30, 'listed'); RETURN QUERY SELECT p.id, p.name, p.amount FROM person p WHERE p.id >= lowest ORDER BY 1; END $$`,
  `CREATE FUNCTION both_ways(i int, OUT n text, OUT a numeric) LANGUAGE plpgsql AS $$
     BEGIN UPDATE person SET open = 'seen' WHERE id = i RETURNING name, amount INTO n, a; END $$`,
  `CREATE FUNCTION in_sql(i int, n text) RETURNS text LANGUAGE sql AS $$
     UPDATE person SET name = n WHERE id = i; SELECT name FROM person WHERE id = $1 $$`,
  `CREATE FUNCTION quiet(i int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = i; END $$`,
  `CREATE FUNCTION strict_one(i int) RETURNS int STRICT LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = i; RETURN i; END $$`,
  `CREATE FUNCTION nested(i int) RETURNS text LANGUAGE plpgsql AS $$
     DECLARE t text; BEGIN t := rename(i, 'deep'); PERFORM quiet(1); RETURN t || in_sql(i, 'deeper'); END $$`,
  `CREATE FUNCTION deep(i int) RETURNS int LANGUAGE plpgsql AS $$
     BEGIN IF i <= 0 THEN RETURN 0; END IF; INSERT INTO secret VALUES (100 + i, 'deep'); RETURN 1 + deep(i - 1); END $$`,
  `CREATE FUNCTION fails_after(i int) RETURNS int LANGUAGE plpgsql AS $$
     BEGIN DELETE FROM person WHERE id = i; RAISE EXCEPTION 'no % here', i; END $$`,
  `CREATE FUNCTION forgets() RETURNS int LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret; END $$`,
  `CREATE FUNCTION dynamic(t text) RETURNS bigint LANGUAGE plpgsql AS $$
     DECLARE c bigint; BEGIN EXECUTE format('SELECT count(*) FROM %I', t) INTO c; RETURN c; END $$`,
  `CREATE FUNCTION stamped(i int) RETURNS bool LANGUAGE plpgsql AS $$
     BEGIN UPDATE person SET name = name || extract(year FROM now()) WHERE id = i; RETURN found; END $$`,
  `CREATE FUNCTION apart(id int) RETURNS TABLE (a bigint, b int) LANGUAGE sql AS $$
     DELETE FROM secret WHERE secret.id = 99; SELECT (SELECT count(*) FROM person WHERE id < 3), id $$`,
  `CREATE FUNCTION no_pair() RETURNS pair LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = 99; RETURN NULL; END $$`,
  `CREATE FUNCTION unset_pair() RETURNS pair LANGUAGE plpgsql AS $$ DECLARE r pair; BEGIN DELETE FROM secret WHERE id = 99; RETURN r; END $$`,
  `CREATE FUNCTION null_pair() RETURNS pair LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = 99; RETURN ROW(NULL::int, NULL::text); END $$`,
  `CREATE FUNCTION strict_pair(i int) RETURNS pair STRICT LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = i; RETURN (i, 'x'::text); END $$`,
  `CREATE FUNCTION sql_pair(i int) RETURNS pair LANGUAGE sql AS $$ DELETE FROM secret WHERE id = 99; SELECT id, name FROM person WHERE id = i $$`,
  `CREATE FUNCTION not_pair() RETURNS pair LANGUAGE plpgsql AS $$ BEGIN DELETE FROM secret WHERE id = 99; RETURN length('x'); END $$`,
  `CREATE FUNCTION counted(OUT n int, OUT w text) LANGUAGE plpgsql AS $$
     BEGIN INSERT INTO secret SELECT max(id) + 1, 'c' FROM secret RETURNING id, word INTO n, w; END $$`,
  `CREATE FUNCTION twice(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE secret SET word = word || '2'; RETURN i * 2; END $$`,
  `CREATE PROCEDURE put(i int, n text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO secret VALUES (i, n); END $$`,
  `CREATE PROCEDURE double(INOUT n numeric, OUT t text, i int DEFAULT 1) LANGUAGE plpgsql AS $$
     BEGIN SELECT name, amount * n INTO t, n FROM person WHERE id = i; END $$`,
  `CREATE PROCEDURE steps(a int) LANGUAGE plpgsql AS $$
     BEGIN FOR i IN 1..a LOOP INSERT INTO secret VALUES (40 + i, 's' || i); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$`,
  `CREATE PROCEDURE outer_one(INOUT x int) LANGUAGE plpgsql AS $$
     DECLARE n numeric := 2; t text; BEGIN CALL put(50 + x, 'o'); CALL double(n, t); RAISE NOTICE '% %', n, t; x := x * 2; END $$`,
  `CREATE PROCEDURE sql_one(i int) LANGUAGE sql AS $$ DELETE FROM secret WHERE id = i; INSERT INTO secret VALUES (i, 'new') $$`,
  `CREATE PROCEDURE commits_in_handler() LANGUAGE plpgsql AS $$ BEGIN BEGIN COMMIT; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$`,
];

/** Statements that call them. */
export const calls: readonly Step[] = [
  "SELECT add_person(20, 'Ford')",
  "SELECT add_person(21, 'Arthur', 7) + 1 AS next, upper('x')",
  ['SELECT add_person($1, $2)', 22, 'Zaphod'],
  "SELECT add_person(n => 'named', i => 23)",
  "SELECT add_person(1, 'again')",
  "SELECT rename(1, 'Zaphod II'), rename(2, rename(1, 'x'))",
  'SELECT raise_all(1.5)',
  'SELECT * FROM raise_all(1)',
  'SELECT * FROM listed(2)',
  'SELECT a, x.n FROM listed(1) AS x ORDER BY x.n NULLS FIRST',
  ['SELECT x.* FROM listed($1) AS x (b, c)', 3],
  'SELECT both_ways(2)',
  'SELECT (both_ways(2)).*',
  'SELECT (counted()).*',
  'SELECT * FROM both_ways(1)',
  "SELECT in_sql(4, 'Q')",
  'SELECT quiet(1)',
  'SELECT strict_one(NULL), strict_one(2)',
  'SELECT nested(1)',
  'SELECT deep(20)',
  'SELECT fails_after(1)',
  'SELECT forgets()',
  "SELECT dynamic('person'), dynamic('plain')",
  "SELECT dynamic('nowhere')",
  'SELECT stamped(1)',
  'SELECT * FROM apart(9)',
  'SELECT no_pair(), unset_pair(), null_pair()',
  'SELECT * FROM no_pair()',
  'SELECT strict_pair(NULL), strict_pair(1)',
  'SELECT sql_pair(1), sql_pair(77)',
  'SELECT * FROM sql_pair(77)',
  'SELECT not_pair()',
  "CALL put(31, 'p')",
  ['CALL put($1, $2)', 32, 'Marvin'],
  'CALL double(3, NULL)',
  'CALL double(3, NULL, 2)',
  'CALL outer_one(4)',
  'CALL sql_one(1)',
  'CALL commits_in_handler()',
  "CALL put('x', 1)",
  'CALL nowhere()',
  "DO $$ DECLARE x int := 1; BEGIN CALL outer_one(x); RAISE NOTICE '%', x; PERFORM add_person(24, 'D'); x := add_person(25, 'E'); RAISE NOTICE '%', x; END $$",
  "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM both_ways(1); RAISE NOTICE '% %', r.n, r.a; FOR r IN SELECT * FROM listed(3) LOOP RAISE NOTICE '%', r.n; END LOOP; END $$",
  "DO $$ BEGIN PERFORM fails_after(1); EXCEPTION WHEN raise_exception THEN RAISE NOTICE '%', SQLERRM; END $$",
];

/** Statements that end their transaction. */
export const committing: readonly string[] = [
  'CALL steps(4)',
  "DO $$ BEGIN INSERT INTO secret VALUES (60, 'a'); COMMIT; INSERT INTO secret VALUES (61, 'b'); ROLLBACK; INSERT INTO secret VALUES (62, 'c'); END $$",
  "DO $$ DECLARE c CURSOR FOR SELECT id FROM person ORDER BY id; BEGIN FOR r IN c LOOP INSERT INTO secret VALUES (70 + r.id, 'a'); COMMIT; END LOOP; END $$",
  "DO $$ DECLARE c refcursor := 'mine'; n int; BEGIN OPEN c FOR SELECT id FROM person; COMMIT; FETCH c INTO n; END $$",
  "DO $$ BEGIN INSERT INTO secret VALUES (63, 'a'); COMMIT; RAISE EXCEPTION 'kept'; END $$",
];
