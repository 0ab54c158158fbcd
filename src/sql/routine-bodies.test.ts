import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BodyNames } from './routine-bodies.js';

const read = (source: string): BodyNames => {
  const names = new BodyNames();
  names.plpgsql(`CREATE FUNCTION f(a int) RETURNS SETOF text LANGUAGE plpgsql AS $f$${source}$f$`, source);
  return names;
};

const everything = `
    DECLARE v int := m1(); t CONSTANT text := m2(); arr int[]; r record; c refcursor; c2 CURSOR (x int) FOR SELECT m3() FROM t1;
    BEGIN
      BEGIN v := m4(); EXCEPTION WHEN OTHERS THEN v := m5(); END;
      arr[m6()] := m7();
      IF m8() THEN PERFORM m9(); ELSIF m10() THEN PERFORM m11(); ELSE PERFORM m12(); END IF;
      CASE m13() WHEN m14() THEN PERFORM m15(); ELSE PERFORM m16(); END CASE;
      LOOP EXIT WHEN m17(); CONTINUE WHEN m18(); PERFORM m19(); END LOOP;
      WHILE m20() LOOP PERFORM m21(); END LOOP;
      FOR i IN m22()..m23() BY m24() LOOP PERFORM m25(); END LOOP;
      FOR v IN SELECT m26() FROM t2 LOOP PERFORM m27(); END LOOP;
      FOREACH v IN ARRAY m28() LOOP PERFORM m29(); END LOOP;
      RETURN NEXT m30(); RETURN QUERY SELECT m31() FROM t3;
      RAISE NOTICE '%', m32() USING HINT = m33();
      ASSERT m34(), m35();
      OPEN c FOR SELECT m36(); FETCH RELATIVE m37() FROM c INTO v; MOVE FORWARD m38() FROM c; CLOSE c;
      OPEN c2(m39()); FOR r IN c2(m40()) LOOP PERFORM m41(); END LOOP;
      INSERT INTO t4 VALUES (m42()) RETURNING m43() INTO v;
      RETURN;
    END`;

/** With the field of a row of a type of users, which libpg-query does not take. */
const ofRows = everything
  .replace('DECLARE', 'DECLARE row public.s; other s2%ROWTYPE;')
  .replace('RETURN;', 'row.f := m1(); RETURN;');

for (const [what, source] of Object.entries({ everything, ofRows }))
  test(`every query and expression of a PL/pgSQL body is read: ${what}`, () => {
    const names = read(source);
    assert.equal(names.doubt, undefined);
    const called = new Set([...names.functions].map(name => name.split('\0').at(-1)));
    assert.deepEqual(
      Array.from({ length: 43 }, (_, i) => `m${i + 1}`).filter(name => !called.has(name)),
      [],
    );
    assert.deepEqual([...names.relations].sort(), ['t1', 't2', 't3', 't4']);
    assert.equal(names.writes, true);
  });

test('what a body does that cannot be read is doubted', () => {
  for (const source of [
    "BEGIN EXECUTE 'x'; END",
    "BEGIN RETURN QUERY EXECUTE 'x'; END",
    "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'x'; END",
    "DECLARE r record; BEGIN FOR r IN EXECUTE 'x' LOOP NULL; END LOOP; END",
    'BEGIN COMMIT; END',
    "BEGIN SET datestyle = 'ISO'; END",
    'BEGIN CREATE TABLE x (); END',
    // the default of a variable of a type that libpg-query does not know is not told
    'DECLARE r record := m(); BEGIN END',
    'DECLARE a int; /* ; */ "R x" mine DEFAULT m(); BEGIN END',
    'BEGIN DECLARE r mine = m(); BEGIN END; END',
    'DECLARE c CURSOR FOR SELECT 1 FROM t; BEGIN DELETE FROM t WHERE CURRENT OF c; END',
  ])
    assert.ok(read(source).doubt, source);
  for (const source of ['DECLARE r record; BEGIN r := m(); END', 'DECLARE a mine; b int := 1; BEGIN END'])
    assert.equal(read(source).doubt, undefined, source);
});

test('what carriers cannot answer is told', () => {
  for (const source of [
    'BEGIN PERFORM 1 FROM ONLY t; END',
    'BEGIN PERFORM 1 FROM t FOR UPDATE; END',
    'BEGIN PERFORM 1 FROM t TABLESAMPLE system (1); END',
    'BEGIN PERFORM t.ctid FROM t; END',
  ])
    assert.ok(read(source).unreadable, source);
  assert.ok(read('BEGIN PERFORM CURRENT_DATE; END').time);
  assert.ok(read("BEGIN PERFORM 'now'::timestamp; END").time);
});

test('a procedure that a body calls is read', () => {
  const names = new BodyNames();
  names.sql('CALL p1(p2()); CALL s.p3()');
  assert.deepEqual([...names.functions].sort(), ['p1', 'p2', 's\0p3']);
  assert.ok(read('BEGIN CALL p4(1); END').functions.has('p4'));
});
