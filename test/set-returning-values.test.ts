/** INSERT of VALUES in which functions return sets: a row for each member, as in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const tables = [
  'CREATE TABLE few (id int, name text)',
  'CREATE TABLE numbered (id serial PRIMARY KEY, name text)',
  'CREATE TABLE keyed (id int PRIMARY KEY, name text)',
  "INSERT INTO keyed VALUES (2, 'Zaphod')",
];

const steps: readonly Step[] = [
  'INSERT INTO few VALUES (generate_series(4, 5))',
  "INSERT INTO few VALUES (generate_series(1, 2), 'Marvin')",
  "INSERT INTO few (name, id) VALUES (upper('Trillian'), abs(generate_series(-2, -1)))",
  ['INSERT INTO few VALUES (generate_series(1, $1), $2) RETURNING *', 3, 'Zaphod'],
  "INSERT INTO few VALUES (generate_series(1, 2), unnest(ARRAY['p', 'q', 'r']))",
  'INSERT INTO few VALUES (generate_series(1, 2)), (3)',
  "INSERT INTO numbered (name) VALUES (unnest(ARRAY['Marvin', 'Zaphod']))",
  "INSERT INTO keyed VALUES (generate_series(1, 3), 'Marvin') ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || keyed.name",
  "WITH w AS (INSERT INTO few VALUES (generate_series(7, 8), 'Zaphod') RETURNING id) INSERT INTO numbered (name) SELECT id::text FROM w",
  "DO $$ BEGIN INSERT INTO few VALUES (generate_series(9, 10), 'Trillian'); END $$",
  "INSERT INTO few VALUES (length('abc'), lower('X'))",
];

suite('sets in VALUES', () => {
  const sides = beside('unlisted: encrypt', tables);
  for (const extended of [false, true])
    test(`insert a row for each member, ${extended ? 'extended' : 'simple'} protocol`, async () => {
      assert.deepEqual(await sides.unorderedDifferences(steps, extended), []);
      // PostgreSQL takes a number more from the sequence when it finds the set to be over
      const contents = [
        ...['few', 'keyed'].map(table => `SELECT * FROM ${table} ORDER BY id, name`),
        'SELECT name FROM numbered ORDER BY id',
      ];
      assert.deepEqual(await sides.differences(contents), []);
      await sides.both('TRUNCATE few', 'TRUNCATE numbered', 'DELETE FROM keyed WHERE id <> 2');
    });

  test('DEFAULT beside a set is refused', async () => {
    const { code } = await sides.outcome(
      sides.ours,
      'INSERT INTO few VALUES (generate_series(1, 2), DEFAULT)',
    );
    assert.equal(code, '0A000');
  });

  test('rows below a default partition are looked at when another partition is attached', async () => {
    await sides.both(
      'CREATE TABLE lp (a int, b text) PARTITION BY LIST (a)',
      'CREATE TABLE lpd PARTITION OF lp DEFAULT PARTITION BY LIST (b)',
      "CREATE TABLE lpd1 PARTITION OF lpd FOR VALUES IN ('y')",
      'CREATE TABLE lp5 (a int, b text)',
      "INSERT INTO lp VALUES (5, 'y')",
    );
    const attach = 'ALTER TABLE lp ATTACH PARTITION lp5 FOR VALUES IN (5)';
    const [ours, plain] = [await sides.outcome(sides.ours, attach), await sides.outcome(sides.plain, attach)];
    assert.deepEqual([ours.code, plain.code], ['0A000', '23514']);
    await sides.both('DELETE FROM lp', attach, "INSERT INTO lp VALUES (5, 'y'), (6, 'y')");
    assert.deepEqual(await sides.differences(['SELECT * FROM lp5', 'SELECT * FROM lpd1']), []);
  });
});
