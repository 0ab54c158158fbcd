/** Transactions that change the schema and work with it, as migrations do: each step gives what PostgreSQL gives. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { policy, sentinels, tables } from './split/reads.js';
import { beside } from './support/beside.js';

type Step = string | readonly [string, ...(string | null)[]];

const scripts: Readonly<Record<string, readonly Step[]>> = {
  'a new table is filled and read': [
    'CREATE TABLE person (id int PRIMARY KEY, name text, city text, wage numeric)',
    "INSERT INTO person VALUES (1, 'Ann', 'x', 10), (2, 'Bob', 'y', 20), (3, NULL, NULL, NULL)",
    'INSERT INTO person (id, name, wage) SELECT id + 10, upper(name), weight * 2 FROM patient WHERE weight > 60',
    'SELECT id, lower(name), wage / 3 FROM person WHERE name LIKE $$%A%$$ ORDER BY id',
    'SELECT p.id, q.name FROM person p JOIN patient q ON lower(q.name) = lower(p.name) ORDER BY 1, 2',
    'UPDATE person SET name = name || $$!$$ WHERE id > 1',
    ['UPDATE person SET wage = wage + $1 WHERE name LIKE $2', '1.5', '%!'],
    'SELECT * FROM person ORDER BY id',
    'SELECT count(*), max(lower(name)), sum(wage) FROM person',
    'INSERT INTO person SELECT 100 + row_number() OVER (ORDER BY id), reverse(name) FROM person',
    'SELECT name, count(*) FROM person GROUP BY name HAVING count(*) > 0 ORDER BY 1',
  ],
  'a column is added, filled and takes the place of others': [
    'ALTER TABLE patient ADD COLUMN label text',
    "UPDATE patient SET label = upper(name) || ' of ' || coalesce(ward, 'nowhere')",
    'SELECT id, label FROM patient WHERE length(label) > 3 ORDER BY id',
    'ALTER TABLE patient DROP COLUMN doc',
    'SELECT *, left(label, 3) FROM patient ORDER BY id',
    'ALTER TABLE patient RENAME label TO title',
    'SELECT v.id, p.title, w.beds FROM visit v LEFT JOIN patient p ON p.name = v.who LEFT JOIN ward w ON w.code = p.ward ORDER BY 1, 2, 3',
    'UPDATE patient SET title = lower(title) WHERE id < 4',
    'SELECT title FROM patient ORDER BY id DESC',
  ],
  'rows that are given are inserted, whatever RETURNING says': [
    'CREATE TABLE extra (i int)',
    [
      "INSERT INTO patient (id, name, weight) VALUES (50, lower($1), 50), (51, 'Yan', DEFAULT) RETURNING id, upper(name) || '!', weight * 2",
      'ZOE',
    ],
    'INSERT INTO patient (id, name) SELECT 60 + n, chr(64 + n) FROM generate_series(1, 3) n RETURNING lower(name), id',
    'SELECT id, name FROM patient WHERE id >= 50 ORDER BY id',
    'DELETE FROM patient WHERE id >= 50',
    'CREATE TABLE person (id int, name text, city text, wage numeric, CHECK (length(name) > id)) PARTITION BY RANGE (id)',
    'CREATE TABLE person_low PARTITION OF person FOR VALUES FROM (0) TO (10)',
    "INSERT INTO person VALUES (1, 'Ann', 'x', 10), (2, upper('bob'), 'y', 20) RETURNING name || id",
    'SELECT id, lower(name) FROM person_low ORDER BY id',
    'DROP TABLE person, extra',
  ],
  'rows are deleted by what is protected': [
    'CREATE TABLE migration (id serial PRIMARY KEY, at bigint, name text)',
    "INSERT INTO migration (at, name) VALUES (1, 'Init'), (2, 'Add'), (3, 'Drop'), (NULL, 'add')",
    ['DELETE FROM migration WHERE at = $1 AND name = $2', '2', 'Add'],
    'DELETE FROM migration WHERE lower(name) LIKE $$a%$$',
    'SELECT id, at, name FROM migration ORDER BY id',
    "INSERT INTO migration (at, name) VALUES (5, 'Later'), (6, 'Last')",
    'DELETE FROM ONLY migration m WHERE length(m.name) > 4 AND m.id > 1',
    'SELECT id, upper(name) FROM migration ORDER BY id',
    'DELETE FROM patient WHERE upper(name) = $$NOBODY$$',
    'DELETE FROM migration',
    'SELECT count(*) FROM migration',
    'DELETE FROM patient WHERE 1 / (id - 3) > weight',
  ],
  'rows that others refer to go': [
    'CREATE TABLE parent (id int PRIMARY KEY, name text)',
    'CREATE TABLE child (id int, parent int REFERENCES parent ON DELETE CASCADE, note text)',
    "INSERT INTO parent VALUES (1, 'Ann'), (2, 'Bob'), (3, 'Cy')",
    "INSERT INTO child SELECT id * 10, id, name || '?' FROM parent",
    'DELETE FROM parent WHERE upper(name) < $$B$$',
    'SELECT id, upper(note) FROM child ORDER BY id',
    'ALTER TABLE child DROP CONSTRAINT child_parent_fkey, ADD FOREIGN KEY (parent) REFERENCES parent',
    'DELETE FROM parent WHERE upper(name) = $$BOB$$',
  ],
  'reads of several tables': [
    'CREATE TABLE note (visit int, remark text)',
    "INSERT INTO note SELECT id, note || '?' FROM visit",
    'SELECT v.who, n.remark FROM visit v JOIN note n ON n.visit = v.id WHERE n.remark ILIKE $$F%$$ ORDER BY v.id',
    'SELECT who FROM visit WHERE EXISTS (SELECT FROM note WHERE note.visit = visit.id AND remark LIKE $$f%$$) ORDER BY 1',
    'SELECT code, (SELECT max(upper(name)) FROM patient WHERE ward = code) FROM ward ORDER BY code',
    'WITH heavy AS (SELECT name FROM patient WHERE weight > 61) SELECT lower(name) FROM heavy UNION SELECT remark FROM note ORDER BY 1',
    'SELECT a.name, b.who FROM patient a FULL JOIN visit b ON a.name = b.who AND a.id = b.patient ORDER BY 1, 2',
    'SELECT p.id, x.n FROM patient p, LATERAL (SELECT count(*) AS n FROM visit v WHERE v.who = p.name) x ORDER BY 1',
    ['SELECT name, cost FROM patient JOIN visit ON who = name WHERE cost + weight > $1 ORDER BY 1, 2', '70'],
    'SELECT * FROM ward NATURAL JOIN (SELECT code, beds FROM ward) x ORDER BY code',
    'SELECT count(*) FROM patient, visit',
    'SELECT name, now() > now() - interval $$1 day$$ FROM patient JOIN visit USING (id) ORDER BY 1',
    'SELECT x.z, y.patient FROM visit AS x (z), visit AS y WHERE y.note ILIKE $$F%$$ ORDER BY 1, 2',
    'SELECT x.who, y.id FROM patient AS x (who, id, weight), visit AS y WHERE y.who > $$A$$ ORDER BY 1, 2',
    'SELECT name, 1 / (id - 3) FROM patient, ward',
  ],
  'partitions and heirs': [
    'CREATE TABLE part (id int, name text, note text) PARTITION BY LIST (id)',
    'CREATE TABLE part_one PARTITION OF part FOR VALUES IN (1, 3) PARTITION BY RANGE (name)',
    'CREATE TABLE part_one_low PARTITION OF part_one FOR VALUES FROM (MINVALUE) TO ($$M$$)',
    'CREATE TABLE part_rest (note text, gone int, id int, name text)',
    'ALTER TABLE part_rest DROP COLUMN gone',
    'ALTER TABLE part ATTACH PARTITION part_rest DEFAULT',
    "INSERT INTO part VALUES (1, 'Ann', 'x'), (2, 'Bob', 'y'), (3, 'Cy', NULL), (NULL, 'Dan', 'z')",
    'SELECT id, upper(name), note FROM part ORDER BY name',
    'SELECT count(*) FROM part',
    'SELECT p.name, q.note FROM part p LEFT JOIN part_rest q ON lower(p.name) = lower(q.name) ORDER BY 1, 2',
    'SELECT id, length(name) FROM part_one WHERE name LIKE $$C%$$',
    'CREATE TABLE old (id int, name text, weight numeric(6, 2))',
    'CREATE TABLE older (age int) INHERITS (old)',
    'CREATE TABLE oldest (mark text) INHERITS (older)',
    "INSERT INTO old VALUES (1, 'Eve', 1.5)",
    "INSERT INTO older VALUES (2, 'Flo', 2.25, 90)",
    "INSERT INTO oldest VALUES (3, 'Gus', 3, 99, 'm')",
    'SELECT id, upper(name), weight FROM old ORDER BY id',
    'SELECT upper(name) FROM ONLY old',
    'SELECT id, lower(name), age FROM ONLY older UNION ALL SELECT id, lower(name), 0 FROM ONLY old ORDER BY 1',
    'SELECT a.name, b.age FROM old a JOIN older b ON upper(a.name) = upper(b.name) ORDER BY 1',
    'SELECT sum(age), max(weight + 1) FROM older NATURAL JOIN old',
    'WITH x AS (SELECT upper(name) AS n FROM old) SELECT n FROM x WHERE EXISTS (SELECT FROM part WHERE left(part.name, 1) < n) ORDER BY 1',
    'SELECT pg_typeof(weight), (weight / 3)::text FROM old ORDER BY id',
    'DROP TABLE part, old CASCADE',
  ],
  'functions that read no table': [
    'CREATE FUNCTION loud(t text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE $n$%$n$, t; RETURN upper(t) || $n$!$n$; END$$',
    'CREATE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$SELECT n * 2$$',
    "SELECT loud('x'), twice(2.5)",
    'CREATE DOMAIN yes AS text CHECK (length(value) < 4)',
    "SELECT CASE loud('x') WHEN 'X!'::yes THEN 1 END",
    'SELECT id, loud(name), twice(weight) FROM patient WHERE twice(weight) > 100 ORDER BY id',
    [
      'SELECT v.who, twice(p.weight + $1) FROM patient p JOIN visit v ON loud(v.who) = loud(p.name) ORDER BY v.id, p.id',
      '1',
    ],
    'CREATE OR REPLACE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$SELECT n + n + 1$$',
    'SELECT twice(weight) FROM patient ORDER BY id',
    "SELECT loud(NULL), twice(1), 'long'::yes",
    'DROP FUNCTION loud, twice',
    'DROP DOMAIN yes',
  ],
  savepoints: [
    'SAVEPOINT a',
    'CREATE TABLE gone (x text)',
    "INSERT INTO gone SELECT name || '1' FROM patient",
    'SELECT upper(x) FROM gone ORDER BY 1',
    'ROLLBACK TO a',
    'SELECT upper(name) FROM patient, ward ORDER BY 1',
    'CREATE TABLE gone (y int, x text)',
    "INSERT INTO gone SELECT id, name || '2' FROM patient",
    'UPDATE gone SET x = x || y',
    'SELECT * FROM gone ORDER BY 1',
  ],
};

suite('transactions that change the schema', { timeout: 300_000 }, () => {
  const sides = beside(
    `${policy.replace('unlisted: pass', 'unlisted: encrypt')}
  public.ward:
    columns:
      code: { protect: none }
      beds: { protect: none }
      floor: { protect: none }`,
    tables,
  );

  const outcome = async (client: pg.Client, step: Step): Promise<unknown> => {
    const [text, ...values] = typeof step === 'string' ? [step] : step;
    try {
      const { command, rowCount, rows, fields } = await client.query({ text, values, rowMode: 'array' });
      return { command, rowCount, rows, types: fields.map(field => [field.name, field.dataTypeID]) };
    } catch (error) {
      const { code, message } = error as pg.DatabaseError;
      return { code, message };
    }
  };

  for (const [title, steps] of Object.entries(scripts))
    test(title, async () => {
      for (const end of ['ROLLBACK', 'COMMIT']) {
        await sides.both('BEGIN');
        for (const step of steps) {
          const [got, wanted] = [await outcome(sides.ours, step), await outcome(sides.plain, step)];
          assert.deepEqual(got, wanted, String(step));
        }
        await sides.both(end);
        for (const table of ['patient', 'visit', 'ward']) {
          const sql = `SELECT * FROM ${table} ORDER BY 1`;
          assert.deepEqual(await outcome(sides.ours, sql), await outcome(sides.plain, sql), table);
        }
      }
    });

  test('in one message', async () => {
    const sql = `CREATE TABLE once (id int, name text); INSERT INTO once SELECT id, upper(name) FROM patient;
      UPDATE once SET name = name || id WHERE id < 3; SELECT lower(name) FROM once JOIN ward ON beds = id ORDER BY 1`;
    const [got, wanted] = (await Promise.all(sides.clients.map(client => client.query(sql)))) as unknown as [
      pg.QueryResult[],
      pg.QueryResult[],
    ];
    assert.deepEqual(
      got.map(({ command, rowCount, rows }) => [command, rowCount, rows]),
      wanted.map(({ command, rowCount, rows }) => [command, rowCount, rows]),
    );
  });

  test('a function that reads a table is refused, and what functions notice is told', async () => {
    await sides.both(
      'BEGIN',
      'CREATE FUNCTION many() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM patient$$',
    );
    const { code } = (await outcome(sides.ours, 'SELECT many(), name FROM patient')) as { code?: string };
    assert.equal(code, '0A000');
    await sides.both('ROLLBACK');
    const told = [
      'BEGIN',
      'CREATE FUNCTION loud(t text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE $n$%$n$, t; RETURN t; END$$',
      "SELECT loud('x')",
      'SELECT loud(upper(name)) FROM patient ORDER BY id',
      'ROLLBACK',
    ];
    assert.deepEqual(await sides.differences(told), []);
  });

  test('shows the cloud no protected value', () => {
    for (const value of sentinels) assert.ok(!sides.recorded.sent().includes(value), value);
  });
});
