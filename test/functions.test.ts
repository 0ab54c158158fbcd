/** Functions of users over protected tables: they give what PostgreSQL gives, or are refused, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { beside } from './support/beside.js';
import { fullOutcomeOf, type Step } from './support/outcome.js';
import { secretsPeople, secretsPolicy, secretsSentinels, secretsTables } from './support/people.js';

const tables = [
  ...secretsTables,
  secretsPeople,
  "INSERT INTO secret VALUES (1, 'Slartibartfast'), (2, 'Zaphod'), (3, NULL)",
  "INSERT INTO plain VALUES (1, 'x'), (2, 'y')",
];

/** Functions that touch no table. */
const computing = [
  "CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(t) || '!' $$",
  'CREATE FUNCTION twice(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN n * 2',
  `CREATE FUNCTION grade(n numeric, OUT letter text, OUT rest numeric) LANGUAGE plpgsql AS $$
     BEGIN letter := CASE WHEN n > 15 THEN 'A' WHEN n IS NULL THEN NULL ELSE 'B' END; rest := n - 10; END $$`,
  `CREATE FUNCTION letters(t text) RETURNS SETOF text LANGUAGE plpgsql AS $$
     BEGIN FOR i IN 1..length(t) LOOP RETURN NEXT substr(t, i, 1); END LOOP; END $$`,
  `CREATE FUNCTION careful(t text) RETURNS int LANGUAGE plpgsql AS $$
     BEGIN RETURN t::int; EXCEPTION WHEN invalid_text_representation THEN RETURN -1; END $$`,
  "CREATE FUNCTION fails(t text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', t USING ERRCODE = 'P0042'; END $$",
  'CREATE FUNCTION nested(t text) RETURNS text LANGUAGE sql AS $$ SELECT shout(shout(t)) $$',
];

/** Functions that read protected tables. */
const reading = [
  'CREATE FUNCTION name_of(i int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT name FROM person WHERE id = i $$',
  `CREATE FUNCTION named(n text) RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$
     BEGIN RETURN QUERY SELECT p.id FROM person p WHERE p.name = n ORDER BY 1; END $$`,
  `CREATE FUNCTION total() RETURNS numeric LANGUAGE plpgsql AS $$
     DECLARE r record; t numeric := 0; BEGIN FOR r IN SELECT amount FROM person LOOP t := t + coalesce(r.amount, 0); END LOOP; RETURN t; END $$`,
  `CREATE FUNCTION word_of(i int) RETURNS text LANGUAGE plpgsql AS $$
     DECLARE w secret.word%TYPE; BEGIN SELECT word INTO w FROM secret WHERE id = i; IF NOT FOUND THEN RETURN 'none'; END IF; RETURN w; END $$`,
  'CREATE FUNCTION both_of(i int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT name_of(i) || coalesce((SELECT word FROM secret WHERE id = i), $$-$$); END',
  'CREATE FUNCTION note_of(i int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT note FROM plain WHERE id = i $$',
];

const reads: Readonly<Record<string, readonly Step[]>> = {
  computing: [
    'SELECT id, shout(name), twice(amount) FROM person ORDER BY id',
    'SELECT id, nested(name) FROM person WHERE shout(name) LIKE $$Z%$$ ORDER BY id',
    'SELECT id, (grade(amount)).*, grade(amount) FROM person ORDER BY id',
    'SELECT p.id, l FROM person p CROSS JOIN LATERAL letters(p.name) l ORDER BY 1, 2',
    'SELECT id, careful(name) FROM person ORDER BY id',
    'SELECT fails(name) FROM person WHERE id = 1',
    ['SELECT id FROM person WHERE name = $1 AND twice(amount) > 20 ORDER BY id', 'Zaphod'],
    ['SELECT shout($1), id FROM person WHERE shout(name) = shout($1) ORDER BY id', 'Marvin'],
    'SELECT shout(open), count(*) FROM person GROUP BY 1 ORDER BY 1',
    'SELECT shout($$a$$), note_of(1), id, shout(note) FROM plain ORDER BY id',
  ],
  reading: [
    'SELECT name_of(1), name_of(3), name_of(9)',
    'SELECT id, name_of(id), word_of(id), both_of(id) FROM person ORDER BY id',
    'SELECT * FROM named($$Zaphod$$)',
    ['SELECT * FROM named($1)', 'Trillian'],
    'SELECT total(), total() + 1',
    'SELECT id, note_of(id), name_of(id) FROM plain ORDER BY id',
    'SELECT id FROM secret WHERE word = name_of(1) ORDER BY id',
    'SELECT (SELECT word_of(p.id)) FROM plain p WHERE EXISTS (SELECT FROM named(name_of(p.id))) ORDER BY p.id',
    'WITH w AS (SELECT total() AS t) SELECT t * 2 FROM w',
    'SELECT word_of(7), both_of(2)',
  ],
};

suite('functions of users', { timeout: 300_000 }, () => {
  const sides = beside(secretsPolicy, [...tables, ...computing, ...reading]);
  const alike = async (step: Step): Promise<object> => {
    const [got, wanted] = [await fullOutcomeOf(sides.ours, step), await fullOutcomeOf(sides.plain, step)];
    assert.deepEqual(got, wanted, String(step));
    return wanted;
  };

  for (const [theme, steps] of Object.entries(reads))
    test(`give what PostgreSQL gives: ${theme}`, async () => {
      for (const step of steps) await alike(step);
    });

  const writes: readonly Step[] = [
    'UPDATE person SET name = shout(name) WHERE twice(amount) > 20 RETURNING id, name',
    "INSERT INTO person VALUES (20, 'o', shout('Zaphod'), twice(3)) RETURNING *",
    ['INSERT INTO person (id, name) VALUES (21, shout($1))', 'Marvin'],
    'INSERT INTO person SELECT id + 30, note, name_of(id), 1 FROM plain',
    'INSERT INTO person (id, name) VALUES (1, name_of(2)) ON CONFLICT (id) DO UPDATE SET name = shout(EXCLUDED.name) RETURNING name',
    "DELETE FROM person WHERE name = shout('zaphod') RETURNING id",
    'UPDATE secret SET word = name_of(id) || coalesce(word, $$$$)',
    'UPDATE person SET amount = twice(amount), open = shout(open)',
    'UPDATE person SET name = fails(name)',
    'MERGE INTO secret s USING plain p ON s.id = p.id WHEN MATCHED THEN UPDATE SET word = shout(s.word)',
  ];
  test('write what PostgreSQL writes', async () => {
    await sides.both('BEGIN');
    for (const step of writes) {
      await sides.both('SAVEPOINT s');
      const wanted = await alike(step);
      if ('code' in wanted) await sides.both('ROLLBACK TO s');
      for (const table of ['person', 'secret', 'plain']) await alike(`SELECT * FROM ${table} ORDER BY id`);
    }
    await sides.both('ROLLBACK');
  });

  const refused: readonly (readonly [string, RegExp])[] = [
    ['UPDATE plain SET note = name_of(id)', /would flow to "note"/],
    ['INSERT INTO plain SELECT 7, name_of(1)', /would flow to "note"/],
    ['INSERT INTO plain SELECT 7, n FROM name_of(1) AS n', /would flow to "note"/],
    ['INSERT INTO plain VALUES (7, name_of(1))', /would flow to "note"/],
    [
      'INSERT INTO person (id, open) SELECT id + 50, note_of(id) || name_of(id) FROM plain',
      /would flow to "open"/,
    ],
    ['CREATE TABLE taken AS SELECT name_of(1)', /would flow to "name_of"/],
    ['INSERT INTO plain SELECT 7, name_of FROM viewed', /would flow to "note"/],
    ['CREATE TABLE taken AS SELECT * FROM viewed', /would flow to "name_of"/],
    ['UPDATE person SET amount = total()', /volatile function that reads it/],
    ['SELECT moment(name) FROM person', /cannot be run over protected tables/],
    ['SELECT stamped() FROM person', /cannot be run over protected tables/],
    [
      'WITH w AS (SELECT name FROM person WHERE id = 1 FOR UPDATE) UPDATE plain SET note = w.name FROM w',
      /would flow to "note"/,
    ],
    ['SELECT locks() FROM person', /cannot be run over protected tables/],
  ];
  test('refuse what would let a protected value flow or be answered otherwise', async () => {
    await sides.ours.query("CREATE FUNCTION moment(t text) RETURNS text LANGUAGE sql AS 'SELECT t || now()'");
    await sides.ours.query(
      "CREATE FUNCTION stamped() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO plain VALUES (99, 'z'); RETURN 1; END $$",
    );
    await sides.ours.query(
      'CREATE FUNCTION locks() RETURNS int LANGUAGE sql AS $$ WITH person AS (SELECT 1 AS i) SELECT i FROM person; SELECT id FROM person FOR UPDATE $$',
    );
    await sides.both('CREATE VIEW viewed AS SELECT name_of(1), note FROM plain WHERE id = 1');
    await alike('SELECT * FROM viewed');
    for (const [sql, reason] of refused) {
      const { code, message } = await fullOutcomeOf(sides.ours, sql);
      assert.equal(code, '0A000', `${sql}: ${message}`);
      assert.match(message ?? '', reason, sql);
    }
    await sides.both('DROP VIEW viewed');
    await sides.ours.query('DROP FUNCTION moment(text)');
    await sides.ours.query('DROP FUNCTION stamped, locks');
  });

  const blocks: readonly string[] = [
    "DO $$ BEGIN INSERT INTO person VALUES (60, 'o', 'Zaphod', 1); UPDATE person SET name = upper(name), amount = amount + 1 WHERE id >= 60; END $$",
    'DO LANGUAGE plpgsql $$ BEGIN INSERT INTO person SELECT id + 1, open, shout(name), amount FROM person WHERE id = 60; DELETE FROM person WHERE id = 60; PERFORM name_of(61); END $$',
    "DO $$ BEGIN INSERT INTO plain VALUES (60, 'z'); UPDATE secret SET word = 'Marvin' WHERE word = 'Zaphod'; END $$",
    "DO $$ BEGIN UPDATE person SET amount = 0; INSERT INTO person (id, name) VALUES (1, 'Zaphod'); END $$",
    'DO $$ BEGIN UPDATE person SET amount = 0; UPDATE person SET nothing = 1; END $$',
    'DO $$ BEGIN UPDATE person SET amount = 1 / 0; UPDATE person SET nothing = 1; END $$',
    'DO $$ BEGIN END $$',
  ];
  test('DO runs the statements of its block as PostgreSQL does, in one transaction', async () => {
    for (const block of blocks) {
      await alike(block);
      for (const table of ['person', 'secret', 'plain']) await alike(`SELECT * FROM ${table} ORDER BY id`);
    }
    await sides.both('BEGIN');
    await alike(blocks[0]!);
    await alike('SELECT * FROM person ORDER BY id');
    await sides.both('ROLLBACK');
    await alike('SELECT * FROM person ORDER BY id');
    const { code } = await fullOutcomeOf(
      sides.ours,
      'DO $b$ BEGIN UPDATE plain SET note = name_of(1); END $b$',
    );
    assert.equal(code, '0A000');
    await alike('SELECT * FROM person ORDER BY id');
  });

  test('are what they are now: no plan outlives CREATE OR REPLACE FUNCTION or VIEW', async () => {
    const other = await sides.recorded.reconnect();
    const as = (body: string): string =>
      `CREATE OR REPLACE FUNCTION changing(i int) RETURNS text LANGUAGE sql STABLE AS $$ ${body} $$`;
    for (const body of [
      'SELECT note FROM plain WHERE id = i',
      'SELECT name FROM person WHERE id = i',
      'SELECT word FROM secret WHERE id = i',
      'SELECT note FROM plain WHERE id = i',
    ]) {
      await sides.both(as(body));
      const sql = 'SELECT id, changing(id) FROM plain ORDER BY id';
      assert.deepEqual(await fullOutcomeOf(other, sql), await fullOutcomeOf(sides.plain, sql), body);
      assert.deepEqual(await fullOutcomeOf(sides.ours, sql), await fullOutcomeOf(sides.plain, sql), body);
      if (body.includes('person')) {
        await sides.ours.query('BEGIN');
        await sides.ours.query(as('SELECT note FROM plain WHERE id = i'));
        await sides.ours.query('ROLLBACK');
        assert.deepEqual(await fullOutcomeOf(sides.ours, sql), await fullOutcomeOf(sides.plain, sql), body);
      }
    }
    for (const source of ['SELECT id, name AS n FROM person', 'SELECT id, word AS n FROM secret']) {
      await sides.both(`CREATE OR REPLACE VIEW changing_view AS ${source}`);
      const sql = 'SELECT * FROM changing_view ORDER BY id';
      assert.deepEqual(await fullOutcomeOf(other, sql), await fullOutcomeOf(sides.plain, sql), source);
    }
    await sides.both('DROP VIEW changing_view', 'DROP FUNCTION changing(int)');
    await alike('SELECT changing(1)');
  });

  test('DROP FUNCTION drops on the cloud what it drops on the trusted side, and nothing else', async () => {
    await sides.both(
      'CREATE SCHEMA first',
      "CREATE FUNCTION same() RETURNS text LANGUAGE sql AS 'SELECT note FROM plain WHERE id = 1'",
      'SET search_path = first, public',
      "CREATE FUNCTION same() RETURNS text LANGUAGE sql AS 'SELECT name FROM person WHERE id = 1'",
      'DROP FUNCTION same()',
    );
    // tables make it the cloud's
    await alike('SELECT same() FROM plain');
    await alike('DROP FUNCTION same');
    await alike('SELECT same()');
    await sides.both('RESET search_path');
  });

  test('tell what they notice', async () => {
    const noticed = new Map<pg.Client, string[]>();
    for (const client of sides.clients) {
      noticed.set(client, []);
      client.on('notice', ({ severity, message }) => noticed.get(client)!.push(`${severity} ${message}`));
      await client.query(
        "CREATE FUNCTION says(t text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'of %', t; RAISE DEBUG 'd'; RAISE INFO 'i'; RETURN length(t); END $$",
      );
      await client.query('SELECT says(name) FROM person WHERE id = 4');
      await client.query('SET client_min_messages = warning');
      await client.query('SELECT says(name) FROM person WHERE id = 4');
      await client.query('RESET client_min_messages');
    }
    assert.deepEqual(noticed.get(sides.ours), noticed.get(sides.plain));
  });

  test('show the cloud no protected value', () => {
    const sent = sides.recorded.sent();
    for (const word of secretsSentinels) assert.ok(!sent.includes(word), word);
  });
});
