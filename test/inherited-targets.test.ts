/** UPDATE and DELETE of tables that others inherit from, by what stands in subqueries: as in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';

const tables = [
  'CREATE TABLE par (id int, name text)',
  'CREATE TABLE kid (age int) INHERITS (par)',
  'CREATE TABLE part (id int, name text) PARTITION BY LIST (id)',
  'CREATE TABLE part_low PARTITION OF part FOR VALUES IN (1, 2)',
  'CREATE TABLE part_rest PARTITION OF part DEFAULT',
  'CREATE TABLE oth (pid int, note text)',
  'CREATE VIEW plain_kids AS SELECT * FROM kid WHERE age > 0',
  'CREATE VIEW some_kids AS SELECT * FROM kid WHERE id IN (SELECT k.id FROM kid k)',
  'CREATE VIEW par_view AS SELECT * FROM par WHERE id > 0',
];
const rows = [
  "INSERT INTO par VALUES (1, 'Trillian'), (2, 'Zaphod')",
  "INSERT INTO kid VALUES (3, 'Ford', 1), (4, 'Marvin', 2)",
  "INSERT INTO part VALUES (1, 'Arthur'), (3, 'Fenchurch')",
  "INSERT INTO oth VALUES (1, 'Krikkit'), (3, 'Magrathea')",
];

const writes = [
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT pid FROM oth WHERE note > 'L')",
  "UPDATE par SET name = name || '!' WHERE EXISTS (SELECT FROM oth WHERE pid = id)",
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT k.id FROM kid k)",
  "UPDATE par SET name = name || '!' WHERE id = ANY (SELECT k.id FROM kid k) RETURNING *",
  "UPDATE par SET name = name || '!' WHERE id NOT IN (SELECT k.id FROM kid k)",
  "UPDATE par SET name = name || '!' WHERE EXISTS (SELECT FROM kid k WHERE k.id = par.id)",
  "UPDATE par SET name = name || '!' WHERE NOT EXISTS (SELECT FROM kid k WHERE k.id = par.id)",
  "UPDATE par SET name = name || '!' WHERE EXISTS (SELECT FROM kid k WHERE k.id = par.id LIMIT 1) RETURNING id, name",
  "UPDATE par SET name = name || '!' WHERE EXISTS (SELECT FROM kid k WHERE k.id = par.id OFFSET 1)",
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT k.id FROM kid k UNION SELECT 1)",
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT k.id FROM kid k ORDER BY name FETCH FIRST 1 ROW WITH TIES)",
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT a.id FROM kid a JOIN kid b USING (id) WHERE a.age > 1)",
  "UPDATE par SET name = z.name || '!' FROM kid z WHERE z.id = par.id AND par.id IN (SELECT k.id FROM kid k)",
  "UPDATE par SET name = name || '!' WHERE (id, 1) IN (SELECT k.id, k.age FROM kid k)",
  "UPDATE par SET name = name || '!' WHERE id IN (SELECT p.id FROM part_rest p)",
  "UPDATE par SET name = k.name || '!' FROM some_kids k, plain_kids j WHERE k.id = par.id AND j.id = k.id RETURNING k.name, par.id, k.age",
  "UPDATE par_view SET name = name || '!' WHERE id IN (SELECT id FROM some_kids)",
  'DELETE FROM par WHERE id IN (SELECT pid FROM oth)',
  'DELETE FROM par WHERE id IN (SELECT k.id FROM kid k WHERE EXISTS (SELECT FROM kid j WHERE j.age = k.age + 1))',
  'DELETE FROM par USING some_kids k WHERE k.id = par.id RETURNING par.name, k.name',
  'DELETE FROM par USING oth WHERE oth.pid = par.id AND par.id IN (SELECT pid FROM oth)',
  "WITH u AS (UPDATE par SET name = name || '!' WHERE id IN (SELECT k.id FROM kid k) RETURNING *) SELECT count(*) FROM u",
  "WITH u AS (DELETE FROM par WHERE id IN (SELECT k.id FROM kid k) RETURNING *) UPDATE oth SET note = note || '?' FROM u WHERE u.id = oth.pid",
  "MERGE INTO par USING kid k ON k.id = par.id AND k.id IN (SELECT j.id FROM kid j) WHEN MATCHED THEN UPDATE SET name = par.name || '!'",
  "UPDATE part SET name = name || '!' WHERE id IN (SELECT p.id FROM part_low p)",
  'DELETE FROM part WHERE EXISTS (SELECT FROM part_rest p, kid k WHERE p.id = part.id AND k.id = p.id)',
];

suite('inherited targets', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt\ntables: {}', [...tables, ...rows]);
  const contents = ['par', 'kid', 'part', 'oth'].map(table => `SELECT * FROM ${table} ORDER BY 1`);

  for (const [protocol, extended] of [
    ['simple', false],
    ['extended', true],
  ] as const)
    test(`UPDATE and DELETE by what subqueries read do what they do in PostgreSQL, ${protocol} queries`, async () => {
      for (const write of writes) {
        await sides.both('BEGIN');
        const found = await sides.unorderedDifferences([write, ...contents], extended);
        assert.deepEqual(found, []);
        await sides.both('ROLLBACK');
      }
    });

  test('the cloud sees no protected value', () => {
    for (const value of ['Trillian', 'Marvin', 'Fenchurch', 'Magrathea'])
      assert.ok(!sides.recorded.sent().includes(value), value);
  });
});
