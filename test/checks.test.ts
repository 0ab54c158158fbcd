/** CHECK constraints over protected columns: kept on the trusted side, and answered as PostgreSQL answers. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { CopySide } from './differential/copy.js';
import { beside } from './support/beside.js';
import { outcomeOf, type Step } from './support/outcome.js';

const policy = `unlisted: pass
tables:
  public.person:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      age: { class: quasi-identifier, protect: encrypt }
      marks: { class: confidential, protect: encrypt }
      weight: { class: confidential, protect: encrypt }
      level: { class: confidential, protect: encrypt }
  public.bill:
    columns:
      id: { protect: none }
      state: { protect: none }
      amount: { class: confidential, protect: encrypt }
      discount: { class: confidential, protect: encrypt }
      due: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE FUNCTION initial(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT left($1, 1)$$',
  'CREATE DOMAIN grade AS int CHECK (VALUE BETWEEN 1 AND 6)',
  `CREATE TABLE person (id int PRIMARY KEY, name varchar(20) NOT NULL, age int, marks int[], weight numeric(6,2), level grade,
     CONSTRAINT name_upper CHECK (public.initial(name) = upper(initial(name))),
     CONSTRAINT age_sane CHECK (age BETWEEN 0 AND 150),
     CONSTRAINT adult_weight CHECK (age < 18 OR weight > 30),
     CONSTRAINT marks_few CHECK (array_length(marks, 1) < 4 AND 60 / marks[1] > 1),
     CONSTRAINT level_young CHECK (level < 5 OR age > 10),
     CONSTRAINT b_secret CHECK (name <> 'Forbidden-Secret'))`,
  `CREATE TABLE bill (id serial PRIMARY KEY, state text NOT NULL DEFAULT 'new', amount numeric NOT NULL, discount numeric DEFAULT 0, due date,
     CONSTRAINT a_state CHECK (state IN ('new', 'paid', 'void')),
     CONSTRAINT paid_amount CHECK (state <> 'paid' OR amount > 0),
     CONSTRAINT z_discount CHECK (discount <= amount),
     CONSTRAINT past CHECK (due <= now()::date + 3650))`,
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'INSERT of VALUES': [
    "INSERT INTO person VALUES (1, 'Ada', 36, '{1,2}', 60.5)",
    "INSERT INTO person VALUES (2, 'bob', 36, '{1,2}', 60.5)",
    "INSERT INTO person VALUES (2, 'bob', 200, '{1,2,3,4,5}', 10)",
    'INSERT INTO person VALUES (2, NULL, 200, NULL, 10)',
    "INSERT INTO person (id, name) VALUES (2, 'Bob')",
    "INSERT INTO person VALUES (3, 'Cid', NULL, NULL, 5), (4, 'Dan', 20, NULL, 5)",
    "INSERT INTO person VALUES (3, 'Cid', NULL, NULL, 5), (1, 'Ada', 20, NULL, 50), (4, 'Dan', 20, NULL, 5)",
    "INSERT INTO person VALUES (3, 'Cid', NULL, NULL, 5), (4, 'Dan', 20, NULL, 5), (1, 'Ada', 20, NULL, 50)",
    "INSERT INTO person VALUES (3, 'Cid', 20, '{0}', 55)",
    "INSERT INTO person VALUES (3, 'Cid', 20, '{0,1,2,3}', 55)",
    "INSERT INTO person VALUES (1, 'cid', 20, NULL, 55) ON CONFLICT DO NOTHING",
    "INSERT INTO person VALUES (1, 'Cid', 20, NULL, 55) ON CONFLICT DO NOTHING",
    "INSERT INTO person VALUES (5, 'Eve', 20, '{1}', 55) RETURNING *",
    "INSERT INTO person (id, name, age, level) VALUES (6, 'Eve', 9, 5)",
    "INSERT INTO person (id, name, age, level) VALUES (6, 'Eve', 9, 7)",
    "INSERT INTO person (id, name, age, level) VALUES (6, 'Eve', 9, 4)",
    "INSERT INTO person VALUES (6, 'eve', 20, '{1}', 55) RETURNING *",
    ['INSERT INTO person (id, name, age, marks) VALUES ($1, $2, $3, $4)', 7, 'Fay', 151, [1, 2]],
    ['INSERT INTO person (id, name, age, marks) VALUES ($1, $2, $3, $4)', 7, 'Fay', 150, [1, 2]],
    ['INSERT INTO person (id, name, age, marks) VALUES ($1, $2, $3, $4)', 8, 'Forbidden-Secret', 15, [1, 2]],
  ],
  'INSERT of queries, ON CONFLICT DO UPDATE and MERGE': [
    "INSERT INTO person SELECT n, 'P' || n, n, ARRAY[n], 50 FROM generate_series(1, 20) n",
    "INSERT INTO person SELECT n + 100, 'P' || n, n * 10, ARRAY[n], 50 FROM generate_series(1, 20) n",
    "INSERT INTO person SELECT n + 100, CASE n WHEN 7 THEN 'p' ELSE 'P' END, n, ARRAY[n], 50 FROM generate_series(1, 20) n RETURNING id",
    "INSERT INTO person SELECT n + 100, 'P' || n, n, ARRAY[n], 50 FROM generate_series(1, 3) n RETURNING id",
    "INSERT INTO person VALUES (1, 'One', 1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET age = person.age + 200",
    "INSERT INTO person VALUES (1, 'one', 1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET age = 5",
    "INSERT INTO person VALUES (1, 'One', 1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET name = excluded.name, age = person.age + 2",
    "MERGE INTO person p USING (VALUES (1, 'x'), (900, 'Y')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
    "MERGE INTO person p USING (VALUES (1, 'X'), (900, 'y')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
    "MERGE INTO person p USING (VALUES (1, 'X'), (900, 'Y')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
    "WITH i AS (INSERT INTO person VALUES (901, 'z') RETURNING id) SELECT * FROM i",
  ],
  UPDATE: [
    "INSERT INTO person VALUES (1, 'Ada', 36, '{1,2}', 60.5), (2, 'Bob', 12, NULL, 25), (3, 'Cid', NULL, NULL, NULL)",
    "UPDATE person SET age = 18 WHERE name = 'Bob'",
    "UPDATE person SET age = 18 WHERE name = 'Ada'",
    'UPDATE person SET weight = 20 WHERE id = 1',
    'UPDATE person SET weight = 20 WHERE id = 3',
    'UPDATE person SET weight = 20',
    'UPDATE person SET age = age + 10',
    'UPDATE person SET age = age + 1 RETURNING id, age',
    "UPDATE person SET name = 'eva', age = 999 WHERE id = 1",
    'UPDATE person SET name = NULL, age = 999 WHERE id = 1',
    'UPDATE person SET marks = ARRAY[0] WHERE id = 2',
    'UPDATE person SET marks = ARRAY[1, 2, 3, 4] WHERE id = 2',
    'UPDATE person SET marks = marks || 3 WHERE id = 1',
    'UPDATE person SET marks = marks || 3 WHERE id = 1',
    ['UPDATE person SET name = $1 WHERE id = $2', 'lower', 1],
    ['UPDATE person SET name = $1 WHERE id = $2', 'Upper', 1],
    "UPDATE person SET age = o.age FROM person o WHERE o.id = 1 AND person.id = 2 AND o.name < 'Z'",
    'WITH u AS (UPDATE person SET age = -1 WHERE id = 3 RETURNING id) SELECT * FROM u',
  ],
  'checks that read unprotected columns too': [
    'INSERT INTO bill (id, amount) VALUES (1, 10)',
    "INSERT INTO bill (id, state, amount) VALUES (2, 'paid', 0)",
    "INSERT INTO bill (id, state, amount) VALUES (2, 'odd', -5)",
    "INSERT INTO bill (id, state, amount) VALUES (2, 'paid', 3), (3, DEFAULT, 0), (4, NULL, 5)",
    "INSERT INTO bill (id, state, amount) VALUES (2, 'paid', 3), (3, DEFAULT, 0)",
    'INSERT INTO bill (id, amount, discount) VALUES (9, 1, 2) RETURNING id',
    'INSERT INTO bill (id, amount, discount) VALUES (9, 3, 2) RETURNING id, state, amount',
    "INSERT INTO bill (id, state, amount) SELECT n, 'paid', n - 22 FROM generate_series(20, 25) n",
    "INSERT INTO bill (id, state, amount) SELECT n, 'paid', n - 2 FROM generate_series(20, 25) n",
    "UPDATE bill SET state = 'paid'",
    "UPDATE bill SET state = 'paid' WHERE id = 1",
    "UPDATE bill SET state = 'paid' WHERE id = 3",
    'UPDATE bill SET amount = 0 WHERE id = 1',
    'UPDATE bill SET amount = 0, discount = 0 WHERE id = 3',
    "UPDATE bill SET amount = 0, state = 'void' WHERE id = 1",
    "UPDATE bill SET state = 'nil', amount = -1 WHERE id = 1",
    'UPDATE bill SET due = now()::date + 100',
    'UPDATE bill SET due = now()::date + 4000',
    "UPDATE bill SET due = '2001-01-01' WHERE id = 1",
    "UPDATE bill SET due = '9999-01-01' WHERE id = 1",
    "INSERT INTO bill (id, amount) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET state = 'paid', amount = bill.amount - 100",
    "INSERT INTO bill (id, amount) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET state = 'paid', amount = bill.amount + 100",
  ],
};

suite('checks over protected columns', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);

  const contents = async (client: pg.Client): Promise<unknown> => {
    const all: unknown[] = [];
    for (const table of ['person', 'bill'])
      all.push((await client.query({ text: `SELECT * FROM ${table} ORDER BY id`, rowMode: 'array' })).rows);
    return all;
  };
  const alike = async (list: readonly Step[]): Promise<void> => {
    for (const step of list) {
      await sides.both('SAVEPOINT s');
      const outcome = await sides.alike(step);
      if ('code' in outcome) await sides.both('ROLLBACK TO s');
      assert.deepEqual(await contents(sides.ours), await contents(sides.plain), String(step));
    }
  };

  for (const [theme, list] of Object.entries(steps))
    test(`refuse what PostgreSQL refuses, in its order: ${theme}`, async () => {
      await sides.both('ROLLBACK; BEGIN');
      await alike(list);
      await sides.both('ROLLBACK');
    });

  test('refuse rows of COPY at the line where PostgreSQL does', async () => {
    const copying = [
      await CopySide.connect(sides.recorded.proxy),
      await CopySide.connect(sides.recorded.proxy.plain),
    ] as const;
    for (const data of [
      '1\tAda\t30\t\\N\t50\n2\tBob\t400\t\\N\t50\n3\tCid\t1\t\\N\t50\n',
      '1\tAda\t30\t\\N\t50\n2\t\\N\t400\t\\N\t50\n',
      '1\tAda\t30\t\\N\t50\n1\tBob\t40\t\\N\t50\n3\tCid\t1000\t\\N\t50\n',
      '1\tAda\t30\t\\N\t50\n2\tBob\t300\t\\N\t50\nx\tCid\t10\t\\N\t50\n',
      '1\tAda\t30\t\\N\t50\n2\tBob\t30\t\\N\t50\nx\tcid\t10\t\\N\t50\n',
      '1\tAda\t30\t\\N\t50\n2\tBob\t30\t{0}\t50\n3\tcid\t10\t\\N\t50\n',
      '1\tAda\t30\t{1,2}\t50\n2\tBob\t\\N\t\\N\t5\n',
    ]) {
      const [got, wanted] = [
        await copying[0].in('COPY person (id, name, age, marks, weight) FROM STDIN', Buffer.from(data)),
        await copying[1].in('COPY person (id, name, age, marks, weight) FROM STDIN', Buffer.from(data)),
      ];
      assert.deepEqual(got, wanted, data);
      await sides.both('DELETE FROM person');
    }
    for (const side of copying) await side.close();
  });

  test('look at the rows that are there when a check is added or validated', async () => {
    await sides.both('ROLLBACK');
    await sides.both("INSERT INTO person VALUES (1, 'Ada', 36, '{1,2}', 60.5), (2, 'Bob', 12, NULL, 25)");
    for (const step of [
      'ALTER TABLE person ADD CONSTRAINT young CHECK (age < 30)',
      'ALTER TABLE person ADD CONSTRAINT young CHECK (age < 40)',
      'INSERT INTO person (id, name, age) VALUES (3, $$Old$$, 41)',
      'ALTER TABLE person RENAME CONSTRAINT young TO younger',
      'INSERT INTO person (id, name, age) VALUES (3, $$Old$$, 41)',
      'ALTER TABLE person RENAME COLUMN age TO years',
      'INSERT INTO person (id, name, years) VALUES (3, $$Old$$, 41)',
      'ALTER TABLE person RENAME COLUMN years TO age',
      'ALTER TABLE person DROP CONSTRAINT younger',
      'INSERT INTO person (id, name, age) VALUES (3, $$Old$$, 41)',
      'ALTER TABLE person ADD CHECK (weight > 50) NOT VALID',
      'INSERT INTO person (id, name, weight) VALUES (4, $$Thin$$, 41)',
      'ALTER TABLE person VALIDATE CONSTRAINT person_weight_check',
      "UPDATE person SET weight = 55 WHERE name = 'Bob'",
      'ALTER TABLE person VALIDATE CONSTRAINT person_weight_check',
      'ALTER TABLE person ADD CHECK (10 / (age - 12) < 3)',
      'ALTER TABLE person DROP CONSTRAINT person_weight_check',
      'ALTER TABLE person ADD COLUMN extra int CHECK (extra > age)',
      'UPDATE person SET extra = 37 WHERE id = 1',
      'UPDATE person SET extra = 36 WHERE id = 1',
      'ALTER TABLE person DROP COLUMN extra',
      'DELETE FROM person',
    ])
      await sides.alike(step);
    assert.deepEqual(await contents(sides.ours), await contents(sides.plain));
  });

  test('are asked of the row as others have left it', async () => {
    await sides.both("INSERT INTO person VALUES (1, 'Ada', 36, '{1,2}', 60.5), (2, 'Bob', 12, NULL, 25)");
    for (const target of [sides.recorded.proxy, sides.recorded.proxy.plain]) {
      const [first, second] = [new pg.Client({ ...target }), new pg.Client({ ...target })];
      await Promise.all([first.connect(), second.connect()]);
      await first.query("BEGIN; UPDATE person SET weight = 20 WHERE name = 'Bob'");
      const waiting = outcomeOf(second, "UPDATE person SET age = 30 WHERE name = 'Bob'");
      const other = outcomeOf(second, "UPDATE person SET weight = weight + 20, age = 30 WHERE name = 'Bob'");
      await first.query('UPDATE person SET weight = 21 WHERE id = 2; COMMIT');
      assert.deepEqual(
        [await waiting, await other].map(answer => (answer as { constraint?: string }).constraint),
        ['adult_weight', undefined],
      );
      await Promise.all([first.end(), second.end()]);
    }
    assert.deepEqual(await contents(sides.ours), await contents(sides.plain));
    await sides.both('DELETE FROM person');
  });

  test('come and go with their transaction', async () => {
    await sides.both('BEGIN; ALTER TABLE person ADD CONSTRAINT brief CHECK (age > 100)');
    const insert = "INSERT INTO person (id, name, age) VALUES (1, 'Ada', 50)";
    await sides.alike(insert);
    await sides.both('ROLLBACK');
    await sides.alike(insert);
    await sides.both('DELETE FROM person');
  });

  test('keep literals of checks and what they refuse from the cloud', () => {
    assert.doesNotMatch(sides.recorded.sent(), /Forbidden-Secret/);
  });

  test('refuse a check that does more than compute over the columns of its row', async () => {
    await sides.ours.query("INSERT INTO person (id, name, level) VALUES (1, 'Ada', 6)");
    await assert.rejects(
      sides.ours.query('BEGIN ISOLATION LEVEL REPEATABLE READ; ALTER TABLE person ADD CHECK (age < 99)'),
      { code: '0A000' },
    );
    await sides.ours.query('ROLLBACK');
    const low = 'ALTER DOMAIN grade ADD CONSTRAINT low CHECK (VALUE < 6)';
    await assert.rejects(sides.ours.query(low), { code: '23514', table: 'person', column: 'level' });
    await sides.ours.query(`${low} NOT VALID; DELETE FROM person`);
    await assert.rejects(sides.ours.query("INSERT INTO person (id, name, level) VALUES (1, 'Ada', 6)"), {
      code: '23514',
    });
    await sides.ours.query('CREATE TABLE limits (most int)');
    await sides.ours.query(
      'CREATE FUNCTION within(int) RETURNS bool LANGUAGE sql AS $$SELECT $1 < max(most) FROM limits$$',
    );
    for (const check of ['within(age)', 'person IS NOT NULL', "query_to_xml(name, true, false, '') IS NULL"])
      await assert.rejects(
        sides.ours.query(`ALTER TABLE person ADD CHECK (${check})`),
        { code: '0A000' },
        check,
      );
  });
});
