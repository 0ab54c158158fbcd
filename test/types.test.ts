/** Types of users that change under protected columns: no cell and no tag says another value than PostgreSQL would. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';
import { outcomeOf } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.task:
    columns:
      id: { protect: none }
      level: { class: confidential, protect: encrypt, queries: [equality] }
      levels: { class: confidential, protect: encrypt }
      grade: { class: confidential, protect: encrypt }
      pair: { class: confidential, protect: encrypt }
      span: { class: confidential, protect: encrypt }
      place: { class: confidential, protect: encrypt }
  public.kept:
    columns:
      id: { protect: none }
      level: { class: confidential, protect: encrypt, queries: [equality] }`;

const tables = [
  "CREATE TYPE level AS ENUM ('low', 'mid', 'high')",
  'CREATE DOMAIN grade AS level',
  'CREATE TYPE pair AS (one grade, other int)',
  'CREATE TYPE span AS RANGE (subtype = level)',
  'CREATE TABLE place (x int, y int)',
  `CREATE TABLE task (id int PRIMARY KEY, level level DEFAULT 'low' CHECK (level <> 'mid'), levels level[], grade grade,
     pair pair, span span, place place)`,
  'CREATE TABLE free (id int, level level)',
  "INSERT INTO free VALUES (1, 'low')",
];

suite('types that change', () => {
  const sides = beside(policy, tables);
  const swap = [
    "ALTER TYPE level RENAME VALUE 'low' TO 'other'",
    "ALTER TYPE level RENAME VALUE 'high' TO 'low'",
    "ALTER TYPE level RENAME VALUE 'other' TO 'high'",
  ];

  test('labels are renamed where no row holds one, and plans, defaults and checks follow', async () => {
    const find = { name: 'find', text: "SELECT id FROM task WHERE level = 'low' ORDER BY id" };
    const levels = 'SELECT id, level, levels FROM task ORDER BY level, id';
    for (const client of sides.clients) await client.query(find);
    for (const step of [
      levels,
      "ALTER TYPE level RENAME VALUE 'none' TO 'some'",
      "ALTER TYPE level RENAME VALUE 'low' TO 'high'",
      ...swap,
      'INSERT INTO task (id) VALUES (1)',
      "INSERT INTO task (id, level, levels) VALUES (2, 'low', '{low,high}')",
      "INSERT INTO task (id, level) VALUES (3, 'mid')",
      levels,
      find.text,
      'SELECT * FROM free',
      'DELETE FROM task',
      "BEGIN; ALTER TYPE level RENAME VALUE 'mid' TO 'middle'",
      "INSERT INTO task (id, level) VALUES (3, 'middle')",
      'ROLLBACK',
      "INSERT INTO task (id, level) VALUES (3, 'middle')",
      ...swap,
    ])
      await sides.alike(step);
    assert.deepEqual((await sides.ours.query(find)).rows, []);
  });

  test('labels are kept where a row may hold them, whatever is made of the type', async () => {
    for (const [column, value] of Object.entries({
      level: 'low',
      levels: '{low}',
      grade: 'high',
      pair: '(mid,1)',
      span: '[low,high]',
    })) {
      await sides.both(`INSERT INTO task (id, ${column}) VALUES (1, '${value}')`);
      await sides.alike("ALTER TYPE level RENAME VALUE 'none' TO 'some'");
      await sides.alike("ALTER TYPE level RENAME VALUE 'low' TO 'high'");
      await assert.rejects(sides.ours.query(swap[0]!), { code: '0A000', table: 'task' }, column);
      await sides.alike(`SELECT id, ${column}::text FROM task WHERE ${column} = '${value}'`);
      await sides.both('DELETE FROM task');
    }
    await sides.both("INSERT INTO task (id, level) VALUES (1, 'high')");
    await assert.rejects(sides.ours.query(`BEGIN; DELETE FROM free; ${swap[0]}`), { code: '0A000' });
    await sides.ours.query('ROLLBACK');
    await sides.alike("ALTER TYPE level ADD VALUE 'top'");
    await sides.alike("INSERT INTO task (id, level) VALUES (2, 'top')");
    await sides.alike('SELECT id, level FROM task ORDER BY level DESC');
    await sides.both('DELETE FROM task');
  });

  test('a materialised view keeps labels too', async () => {
    await sides.both(
      "INSERT INTO task (id, level) VALUES (1, 'low')",
      'CREATE MATERIALIZED VIEW kept AS SELECT id, level FROM task',
      'DELETE FROM task',
    );
    await assert.rejects(sides.ours.query(swap[0]!), { code: '0A000', table: 'kept' });
    await sides.alike("SELECT id FROM kept WHERE level = 'low'");
    await sides.both('DROP MATERIALIZED VIEW kept');
  });

  test('who writes meanwhile writes by the new names', async () => {
    for (const target of [sides.recorded.proxy, sides.recorded.proxy.plain]) {
      const [first, second] = [new pg.Client({ ...target }), new pg.Client({ ...target })];
      await Promise.all([first.connect(), second.connect()]);
      const insert = {
        name: 'insert',
        text: "INSERT INTO task (id, level) VALUES (7, 'high') RETURNING level",
      };
      await second.query(`BEGIN; ${insert.text}; ROLLBACK`);
      await first.query(`BEGIN; ${swap.join('; ')}; LOCK TABLE task`);
      const waiting = outcomeOf(second, insert.text);
      const other = outcomeOf(second, "SELECT id, level FROM task WHERE level = 'low'");
      await first.query("INSERT INTO task (id, level) VALUES (8, 'low'); COMMIT");
      assert.deepEqual(
        [await waiting, await other].map(answer => (answer as { rows?: unknown }).rows),
        [['["high"]'], ['[8,"low"]']],
      );
      const { rows } = await first.query('SELECT id, level FROM task ORDER BY level, id');
      assert.deepEqual(rows, [
        { id: 7, level: 'high' },
        { id: 8, level: 'low' },
      ]);
      await Promise.all([first.end(), second.end()]);
    }
    await sides.both('DELETE FROM task', ...swap);
  });

  test('rows of an open table keep their columns while a protected column holds some', async () => {
    await sides.both("INSERT INTO task (id, place) VALUES (1, '(1,2)')");
    for (const change of ['ADD COLUMN z int', 'DROP COLUMN y'])
      await assert.rejects(
        sides.ours.query(`ALTER TABLE place ${change}`),
        { code: '0A000', table: 'place' },
        change,
      );
    await sides.both('ALTER TABLE place RENAME COLUMN y TO yy');
    await sides.alike('SELECT place, (place).yy FROM task');
    await sides.both('DELETE FROM task', 'ALTER TABLE place ADD COLUMN z int');
    await sides.both("INSERT INTO task (id, place) VALUES (1, '(1,2,3)')");
    await sides.alike('SELECT place, (place).z FROM task');
    await sides.both('DELETE FROM task');
  });

  test('attributes of composite types are not changed where rows hold values of them', async () => {
    await sides.both("INSERT INTO task (id, grade, pair) VALUES (1, 'low', '(low,1)')");
    for (const change of ['ADD ATTRIBUTE z int', 'DROP ATTRIBUTE other'])
      await assert.rejects(sides.ours.query(`ALTER TYPE pair ${change} CASCADE`), { code: '0A000' }, change);
    await sides.alike('ALTER TYPE pair ALTER ATTRIBUTE other TYPE text CASCADE');
    await sides.alike('ALTER TYPE pair RENAME ATTRIBUTE other TO more');
    await sides.alike('SELECT id, pair, (pair).more FROM task');
    await sides.alike('ALTER TYPE pair RENAME ATTRIBUTE more TO other');
    await sides.both('DELETE FROM task');
  });

  test('a domain that others are made of looks at no values', async () => {
    await sides.both("INSERT INTO task (id, grade, pair) VALUES (1, 'low', '(low,1)')");
    const small = "ALTER DOMAIN grade ADD CONSTRAINT small CHECK (VALUE < 'high')";
    await sides.alike(small);
    await sides.both(`${small} NOT VALID`, 'ALTER DOMAIN grade RENAME TO mark');
    await sides.alike('SELECT id, grade, pair FROM task');
    await sides.alike("INSERT INTO task (id, grade) VALUES (2, 'high')");
    await sides.both('DELETE FROM task');
  });

  test('ALTER DOMAIN looks at the rows', async () => {
    const steps = [
      'ALTER TABLE task DROP COLUMN pair',
      'DROP TYPE pair',
      "INSERT INTO task (id, grade) VALUES (1, 'low'), (2, 'mid'), (3, NULL)",
      "ALTER DOMAIN mark ADD CONSTRAINT first CHECK (VALUE = 'low')",
      'ALTER DOMAIN mark SET NOT NULL',
      "ALTER DOMAIN mark ADD CONSTRAINT some CHECK (VALUE IN ('low', 'mid'))",
      "INSERT INTO task (id, grade) VALUES (4, 'low')",
      'ALTER DOMAIN mark VALIDATE CONSTRAINT small',
      "ALTER DOMAIN mark ADD CONSTRAINT later CHECK (VALUE < 'high') NOT VALID",
      'ALTER DOMAIN mark VALIDATE CONSTRAINT later',
      'BEGIN; DELETE FROM task WHERE grade IS NULL; ALTER DOMAIN mark SET NOT NULL; INSERT INTO task (id, grade) VALUES (5, NULL)',
      'ROLLBACK',
      'SELECT id, grade FROM task ORDER BY id',
      'DELETE FROM task WHERE grade IS NULL',
      'ALTER DOMAIN mark SET NOT NULL',
      'INSERT INTO task (id, grade) VALUES (5, NULL)',
      'ALTER DOMAIN mark DROP NOT NULL',
      'CREATE DOMAIN finer AS mark',
      'ALTER TABLE task ALTER COLUMN grade TYPE finer',
      "ALTER DOMAIN mark ADD CONSTRAINT lowest CHECK (VALUE = 'low')",
      "ALTER DOMAIN finer ADD CONSTRAINT lowest CHECK (VALUE = 'low')",
      'SELECT id, grade FROM task ORDER BY id',
    ];
    assert.deepEqual(await sides.unorderedDifferences(steps), []);
    const lowest = "ALTER DOMAIN mark ADD CONSTRAINT lowest CHECK (VALUE = 'low') NOT VALID";
    await sides.both(lowest);
    await sides.alike('ALTER DOMAIN mark VALIDATE CONSTRAINT lowest');
    await sides.both('DELETE FROM task');
  });
});
