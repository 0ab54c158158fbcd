/** Foreign keys that refer to partitioned tables with protected columns, or stand on them: what PostgreSQL does. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';
import { outcomeOf, type Step } from './support/outcome.js';
import { alikeInTwoSessions } from './support/two-sessions.js';

const policy = `unlisted: encrypt
tables:
  public.day:
    columns:
      d: { protect: none }
      id: { protect: none }
  public.visit:
    columns:
      d: { protect: none }
      day: { protect: none }
      ref: { protect: none }`;

/** Actions, by key of the partitioned table and of the tables that refer. */
const actions = [
  'CREATE TABLE town (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE town_a PARTITION OF town FOR VALUES FROM (1) TO (100)',
  'CREATE TABLE town_b (name text, id int NOT NULL)',
  'CREATE TABLE house (id int, town int REFERENCES town ON DELETE CASCADE ON UPDATE CASCADE, name text, PRIMARY KEY (id)) PARTITION BY HASH (id)',
  'CREATE TABLE house_0 PARTITION OF house FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  'CREATE TABLE house_1 PARTITION OF house FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  'ALTER TABLE town ATTACH PARTITION town_b FOR VALUES FROM (100) TO (200)',
  'CREATE TABLE cat (id int PRIMARY KEY, house int REFERENCES house ON DELETE SET NULL ON UPDATE CASCADE)',
  'CREATE TABLE mayor (id int PRIMARY KEY, town int DEFAULT 1 REFERENCES town ON DELETE SET DEFAULT ON UPDATE SET NULL)',
  'CREATE TABLE wall (id int PRIMARY KEY, town int REFERENCES town ON DELETE RESTRICT ON UPDATE RESTRICT)',
  "INSERT INTO town SELECT n, 'town ' || n FROM generate_series(1, 9) n",
  "INSERT INTO town SELECT n, 'town ' || n FROM generate_series(101, 109) n",
  'INSERT INTO house SELECT n, 1 + n / 2 FROM generate_series(1, 12) n',
  'INSERT INTO house SELECT n, n FROM generate_series(101, 104) n',
  'INSERT INTO cat SELECT n, n FROM generate_series(1, 9) n',
  'INSERT INTO mayor VALUES (1, 2), (2, 102)',
  'INSERT INTO wall VALUES (1, 9), (2, 109)',
  'DELETE FROM town WHERE id = 2',
  'SELECT * FROM house ORDER BY id',
  'SELECT * FROM cat ORDER BY id',
  'SELECT * FROM mayor ORDER BY id',
  'UPDATE town SET id = 20 WHERE id = 3',
  "UPDATE town SET id = id + 20, name = 'moved' WHERE id IN (101, 102)",
  'SELECT tableoid::regclass, * FROM house ORDER BY id',
  'SELECT * FROM mayor ORDER BY id',
  'DELETE FROM town WHERE id IN (9, 103)',
  'UPDATE town SET id = 19 WHERE id = 9',
  'DELETE FROM town WHERE id = 103',
  'DELETE FROM town_b WHERE id > 103 AND id < 109',
  'UPDATE house SET id = 1001 WHERE id = 8 AND false',
  'DELETE FROM house WHERE id = 5',
  'SELECT * FROM cat ORDER BY id',
  'DELETE FROM wall',
  'DELETE FROM town',
  'SELECT * FROM mayor',
  'DELETE FROM mayor',
  'DELETE FROM town',
  'SELECT count(*) FROM house',
  'SELECT * FROM cat ORDER BY id',
  'DROP TABLE cat, mayor, wall, house, town',
];

/** Keys of several columns, of which the one by which rows are partitioned is open. */
const mixed = [
  'CREATE TABLE day (d date, id int, code text, note text, PRIMARY KEY (id, d), UNIQUE (d, code)) PARTITION BY RANGE (d)',
  "CREATE TABLE day_20 PARTITION OF day FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
  "CREATE TABLE day_21 PARTITION OF day FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (id)",
  'CREATE TABLE day_21_few PARTITION OF day_21 FOR VALUES IN (1, 2)',
  'CREATE TABLE day_21_rest PARTITION OF day_21 DEFAULT',
  "INSERT INTO day VALUES ('2020-02-02', 1, 'Zaphod', 'n'), ('2021-02-02', 1, 'Marvin', 'm'), ('2021-03-03', 7, NULL, NULL)",
  'CREATE TABLE visit (n int PRIMARY KEY, d date, code text, day date, name text, FOREIGN KEY (d, code) REFERENCES day (d, code) MATCH FULL)',
  "INSERT INTO visit VALUES (1, '2020-02-02', 'Zaphod'), (2, '2021-02-02', 'Marvin'), (3, NULL, NULL)",
  "INSERT INTO visit VALUES (4, '2021-02-02', NULL)",
  "INSERT INTO visit VALUES (4, '2021-02-02', 'Zaphod')",
  "UPDATE visit SET code = 'Marvin' WHERE n = 1",
  "UPDATE day SET code = 'Arthur' WHERE id = 1 AND d = '2020-02-02'",
  'UPDATE day SET d = d + 1 WHERE id = 1',
  "UPDATE day SET d = '2020-03-03' WHERE code = 'Marvin'",
  "UPDATE day SET note = code || '!'",
  'ALTER TABLE day RENAME COLUMN code TO sign',
  "UPDATE day SET sign = 'Arthur' WHERE sign = 'Zaphod'",
  "UPDATE day SET sign = 'Arthur' WHERE sign IS NULL",
  "UPDATE day SET sign = NULL WHERE sign = 'Arthur'",
  'ALTER TABLE day RENAME COLUMN sign TO code',
  'DELETE FROM day_21 WHERE id = 1',
  'DELETE FROM day WHERE code IS NULL',
  'CREATE TABLE part (n int PRIMARY KEY, d date, code text REFERENCES nothing)',
  'ALTER TABLE visit ADD COLUMN ref int, ADD CONSTRAINT to_id FOREIGN KEY (ref, d) REFERENCES day DEFERRABLE INITIALLY DEFERRED',
  'UPDATE visit SET ref = 1 WHERE d IS NOT NULL',
  'BEGIN',
  'UPDATE visit SET ref = 2 WHERE n = 1',
  "INSERT INTO day VALUES ('2020-02-02', 2, 'other', 'n')",
  'COMMIT',
  'BEGIN',
  'UPDATE visit SET ref = 3 WHERE n = 1',
  'COMMIT',
  'BEGIN',
  'UPDATE visit SET ref = 3 WHERE n = 1',
  'SET CONSTRAINTS to_id IMMEDIATE',
  'ROLLBACK',
  'BEGIN',
  'DELETE FROM day WHERE id = 2',
  "INSERT INTO day VALUES ('2020-02-02', 2, 'again', 'n')",
  'COMMIT',
  'ALTER TABLE visit DROP CONSTRAINT to_id',
  'DELETE FROM day WHERE id = 2',
  'SELECT * FROM day ORDER BY d, id',
  'ALTER TABLE visit DROP CONSTRAINT visit_d_code_fkey',
  "INSERT INTO day SELECT '2020-05-01', n, 'c' || n FROM generate_series(11, 16) n",
  "INSERT INTO day SELECT '2021-05-01', n, 'd' || n FROM generate_series(11, 16) n",
  'DELETE FROM visit',
  'ALTER TABLE visit ADD FOREIGN KEY (ref, d) REFERENCES day ON UPDATE CASCADE ON DELETE SET NULL (ref)',
  "INSERT INTO visit (n, ref, d, name) SELECT n, n, '2020-05-01', 'v' FROM generate_series(11, 15) n",
  "INSERT INTO visit (n, ref, d, name) SELECT 100 + n, n, '2021-05-01', 'v' FROM generate_series(11, 15) n",
  "INSERT INTO visit (n, ref, d, name) VALUES (1, 99, '2020-05-01', 'v')",
  'UPDATE day SET id = id + 100 WHERE id < 13',
  'DELETE FROM day WHERE id = 13',
  'UPDATE day_20 SET id = 99 WHERE id = 14',
  "DELETE FROM day_21_rest WHERE code = 'd14'",
  "UPDATE day SET d = '2020-06-01' WHERE id = 15 AND code = 'c15'",
  'SELECT * FROM visit ORDER BY n',
  'SELECT d, id, code FROM day ORDER BY d, id',
  'DROP TABLE visit',
  'DELETE FROM day',
  'DROP TABLE day',
];

const nodes = [
  'CREATE TABLE node (id int PRIMARY KEY, up int, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE node_a PARTITION OF node FOR VALUES FROM (1) TO (10)',
  'CREATE TABLE node_b PARTITION OF node FOR VALUES FROM (10) TO (100)',
];

/** Actions that bring rows to other partitions. */
const moving = [
  'CREATE TABLE boss (id int PRIMARY KEY, name text)',
  'CREATE TABLE crew (id int, boss int DEFAULT 1 REFERENCES boss ON UPDATE CASCADE ON DELETE SET NULL, name text) PARTITION BY LIST (boss)',
  'CREATE TABLE crew_1 PARTITION OF crew FOR VALUES IN (1, 2)',
  'CREATE TABLE crew_rest PARTITION OF crew FOR VALUES IN (3, 4, 5, 6, 7) PARTITION BY HASH (boss)',
  'CREATE TABLE crew_rest_0 PARTITION OF crew_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  'CREATE TABLE crew_rest_1 PARTITION OF crew_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  "INSERT INTO boss SELECT n, 'Zaphod ' || n FROM generate_series(1, 6) n",
  "INSERT INTO crew SELECT n, 1 + n % 5, 'Marvin ' || n FROM generate_series(1, 10) n",
  'UPDATE boss SET id = 7 WHERE id = 2',
  'SELECT tableoid::regclass, * FROM crew ORDER BY id',
  'UPDATE boss SET id = 2 WHERE id = 4',
  'SELECT tableoid::regclass, * FROM crew ORDER BY id',
  'UPDATE boss SET id = 99 WHERE id = 3',
  'DELETE FROM boss WHERE id = 3',
  'CREATE TABLE crew_null PARTITION OF crew DEFAULT',
  'DELETE FROM boss WHERE id = 3',
  'UPDATE boss SET id = 99 WHERE id = 7',
  'SELECT tableoid::regclass, * FROM crew ORDER BY id',
  'ALTER TABLE crew DROP CONSTRAINT crew_boss_fkey',
  'ALTER TABLE crew ADD CONSTRAINT to_boss FOREIGN KEY (boss) REFERENCES boss ON DELETE SET DEFAULT ON UPDATE SET DEFAULT',
  'ALTER TABLE crew_1 ALTER boss SET DEFAULT 2',
  'ALTER TABLE crew_null ALTER boss DROP DEFAULT',
  'DELETE FROM boss WHERE id = 2',
  "UPDATE boss SET id = 98, name = 'Trillian' WHERE id = 99",
  'SELECT tableoid::regclass, * FROM crew ORDER BY id',
  'DELETE FROM boss WHERE id = 1',
  'DROP TABLE crew, boss',
];

/** Trees that refer to themselves, and to each other. */
const trees = [
  ...nodes,
  "INSERT INTO node VALUES (1, 20, 'Zaphod'), (20, 1, 'Marvin'), (3, 3, 'Arthur')",
  'ALTER TABLE node ADD FOREIGN KEY (up) REFERENCES node',
  "INSERT INTO node VALUES (4, 30, 'a'), (30, 5, 'b'), (5, 4, 'c')",
  "INSERT INTO node VALUES (6, 40, 'a')",
  'INSERT INTO node_a VALUES (7, 8), (8, 7)',
  'UPDATE node SET id = id + 1 WHERE id IN (20, 30)',
  'UPDATE node SET id = 2, up = 2 WHERE id = 3',
  'DELETE FROM node WHERE id = 1',
  'DELETE FROM node WHERE id IN (1, 20)',
  'DELETE FROM node',
  'CREATE TABLE leaf (id int PRIMARY KEY, node int REFERENCES node) PARTITION BY LIST (id)',
  'CREATE TABLE leaf_1 PARTITION OF leaf FOR VALUES IN (1)',
  'INSERT INTO leaf VALUES (1, 1)',
  'INSERT INTO node VALUES (1, 1)',
  'INSERT INTO leaf VALUES (1, 1)',
  'CREATE TABLE leaf_2 (node int, id int NOT NULL)',
  'INSERT INTO leaf_2 VALUES (99, 2)',
  'TRUNCATE leaf_2',
  'ALTER TABLE leaf ATTACH PARTITION leaf_2 FOR VALUES IN (2)',
  'INSERT INTO leaf VALUES (2, 1)',
  'DELETE FROM node',
  'ALTER TABLE leaf DETACH PARTITION leaf_2',
  'DELETE FROM leaf',
  'DELETE FROM node',
  'DELETE FROM leaf_2',
  'DELETE FROM node',
  'DROP TABLE leaf_2, leaf',
  'CREATE TABLE twig (id int PRIMARY KEY, node int REFERENCES node)',
  'INSERT INTO node VALUES (1, 1), (50, 50)',
  'INSERT INTO twig VALUES (1, 1), (2, 50)',
  'TRUNCATE node_b CASCADE',
  'SELECT * FROM twig',
  'SELECT id FROM node',
  'INSERT INTO node VALUES (1, 1), (50, 50)',
  'DROP TABLE node_b',
  'DROP TABLE node_b CASCADE',
  'INSERT INTO twig VALUES (2, 77)',
  'DELETE FROM node',
  'DROP TABLE twig, node',
  ...nodes,
  'CREATE TABLE to_part (id int REFERENCES node_a (id))',
  'INSERT INTO node VALUES (1, 1), (2, 2), (50, 50)',
  'INSERT INTO to_part VALUES (1), (50)',
  'INSERT INTO to_part VALUES (1)',
  'UPDATE node SET id = 60, up = 60 WHERE id = 2',
  'UPDATE node SET id = 61, up = 61 WHERE id = 1',
  'DELETE FROM node',
  'DROP TABLE node',
  'DROP TABLE to_part, node',
];

/** Foreign keys of partitioned tables that refer to plain ones, and a table between two of a tree. */
const others = [
  'CREATE TABLE boss (id int PRIMARY KEY, name text)',
  'CREATE TABLE crew (id int, boss int DEFAULT 1 REFERENCES boss ON UPDATE CASCADE ON DELETE SET DEFAULT, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE crew_1 PARTITION OF crew FOR VALUES FROM (1) TO (10) PARTITION BY LIST (id)',
  'CREATE TABLE crew_1_a PARTITION OF crew_1 FOR VALUES IN (1, 2)',
  'CREATE TABLE crew_1_b PARTITION OF crew_1 DEFAULT',
  'CREATE TABLE crew_2 PARTITION OF crew FOR VALUES FROM (10) TO (20)',
  "INSERT INTO boss SELECT n, 'Zaphod ' || n FROM generate_series(1, 9) n",
  'INSERT INTO crew SELECT n, n / 2 FROM generate_series(2, 18) n',
  'UPDATE boss SET id = 90 WHERE id = 9',
  'DELETE FROM boss WHERE id IN (1, 5)',
  'DELETE FROM boss WHERE id IN (2, 3)',
  'SELECT tableoid::regclass, * FROM crew ORDER BY id',
  'DELETE FROM boss WHERE id = 1',
  "UPDATE boss SET name = 'Marvin'",
  'ALTER TABLE crew DROP CONSTRAINT crew_boss_fkey',
  'ALTER TABLE crew ADD CONSTRAINT to_boss FOREIGN KEY (boss) REFERENCES boss',
  'DELETE FROM boss WHERE id = 4',
  'UPDATE boss SET id = 40 WHERE id = 4',
  'INSERT INTO crew VALUES (1, 77)',
  'UPDATE crew SET boss = 78 WHERE id = 12',
  'ALTER TABLE crew ADD UNIQUE (id)',
  'CREATE TABLE tool (id int PRIMARY KEY, crew int REFERENCES crew_1 (id))',
  'CREATE TABLE key (id int PRIMARY KEY, crew int REFERENCES crew (id) ON UPDATE CASCADE)',
  'INSERT INTO tool VALUES (1, 2), (2, 12)',
  'INSERT INTO tool VALUES (1, 2)',
  'INSERT INTO key VALUES (1, 2), (2, 12)',
  'DELETE FROM crew WHERE id = 15',
  'UPDATE crew SET id = 15 WHERE id = 5',
  'DELETE FROM tool WHERE id = 1 AND crew = 3',
  'UPDATE crew SET id = 19 WHERE id = 12',
  'SELECT * FROM key ORDER BY id',
  'DELETE FROM tool',
  'DELETE FROM crew_1 WHERE id = 2',
  'DELETE FROM key',
  'DELETE FROM crew_1 WHERE id = 2',
  'DROP TABLE crew_1',
  'DROP TABLE tool',
  'DROP TABLE crew_1',
  'DROP TABLE key',
  'DROP TABLE crew_1',
  'SELECT count(*) FROM crew',
  'DROP TABLE crew, boss',
];

/** Partitioned by a protected key. */
const byProtected = [
  'CREATE TABLE town (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE town_a PARTITION OF town FOR VALUES FROM (1) TO (100)',
  'CREATE TABLE town_b (name text, id int NOT NULL)',
  'ALTER TABLE town ATTACH PARTITION town_b FOR VALUES FROM (100) TO (200)',
  "INSERT INTO town VALUES (1, 'Zaphod'), (2, 'Marvin'), (101, 'Trillian')",
  'CREATE TABLE person (id int PRIMARY KEY, town int REFERENCES town, name text)',
  "INSERT INTO person VALUES (1, 1, 'Zaphod'), (2, 101, 'Marvin'), (3, NULL, 'Arthur')",
  "INSERT INTO person VALUES (4, 3, 'Zaphod')",
  'UPDATE person SET town = 5 WHERE id = 1',
  'DELETE FROM town WHERE id = 1',
  'DELETE FROM town_a WHERE id = 1',
  "DELETE FROM town WHERE name = 'Trillian'",
  'UPDATE town SET id = 3 WHERE id = 1',
  'ALTER TABLE town_a RENAME TO town_first',
  'CREATE SCHEMA other',
  'ALTER TABLE town_b SET SCHEMA other',
  'DELETE FROM town_first WHERE id = 1',
  'DELETE FROM other.town_b',
  "INSERT INTO town VALUES (110, 'x'), (60, 'y')",
  'INSERT INTO person VALUES (60, 60), (61, 110)',
  'INSERT INTO person VALUES (62, 62)',
  'DELETE FROM person WHERE id > 59',
  'DELETE FROM town WHERE id IN (60, 110)',
  'INSERT INTO person VALUES (60, 60)',
  'ALTER TABLE other.town_b SET SCHEMA public',
  'DROP SCHEMA other',
  'ALTER TABLE town_first RENAME TO town_a',
  'ALTER TABLE person RENAME CONSTRAINT person_town_fkey TO named',
  'DELETE FROM town WHERE id = 101',
  'ALTER TABLE person RENAME CONSTRAINT named TO person_town_fkey',
  'UPDATE town SET id = 150 WHERE id = 101',
  'UPDATE town SET id = 7 WHERE id = 101',
  'UPDATE town SET id = 120 WHERE id = 2',
  'UPDATE town SET id = 2 WHERE id = 120',
  "UPDATE town SET name = name || '!' WHERE id < 150",
  'DELETE FROM town WHERE id = 2',
  "INSERT INTO person VALUES (5, 2, 'Ford')",
  "INSERT INTO town VALUES (2, 'back') ON CONFLICT DO NOTHING",
  "INSERT INTO town_a VALUES (1, 'again') ON CONFLICT DO NOTHING",
  "INSERT INTO town_a VALUES (50, 'a'), (1, 'again') ON CONFLICT (id) DO NOTHING",
  "INSERT INTO person VALUES (5, 2, 'Ford')",
  'WITH d AS (DELETE FROM person WHERE town = 2) DELETE FROM town WHERE id = 2',
  "WITH i AS (INSERT INTO town VALUES (3, 'new')) INSERT INTO person VALUES (6, 3, 'Ford')",
  'TRUNCATE town',
  'TRUNCATE town_a',
  'TRUNCATE town, person',
  "INSERT INTO person VALUES (5, 1, 'Ford')",
  "INSERT INTO town SELECT n, 'n' || n FROM generate_series(1, 199) n",
  'INSERT INTO person SELECT n, n FROM generate_series(1, 199, 3) n',
  'DELETE FROM town WHERE id % 3 = 0',
  'DELETE FROM town WHERE id > 150',
  'DELETE FROM town USING person WHERE person.town = town.id',
  'SELECT count(*) FROM town',
  'ALTER TABLE town DETACH PARTITION town_a',
  'DELETE FROM person WHERE town < 100',
  'ALTER TABLE town DETACH PARTITION town_a',
  "INSERT INTO person VALUES (1, 1, 'Ford')",
  'DELETE FROM town_a WHERE id = 1',
  'DROP TABLE town_b',
  'DROP TABLE town',
  'TRUNCATE town CASCADE',
  'SELECT count(*) FROM person',
  'DROP TABLE town CASCADE',
  "INSERT INTO person VALUES (1, 1, 'Ford')",
  'DROP TABLE person, town_a',
];

suite('foreign keys and partitioned tables with protected columns', { timeout: 300_000 }, () => {
  const sides = beside(policy);

  const outcome =
    (extended: boolean) =>
    async (client: pg.Client, step: Step): Promise<object> => {
      const [text, ...values] = typeof step === 'string' ? [step] : step;
      try {
        const mode = extended ? { queryMode: 'extended' } : {};
        const { command, rowCount, rows } = await client.query<unknown[]>({
          text,
          values,
          rowMode: 'array',
          ...mode,
        } as pg.QueryArrayConfig);
        return { command, rowCount, rows: rows.map(row => JSON.stringify(row)).sort() };
      } catch (error) {
        const { code, schema, constraint, table, message } = error as pg.DatabaseError;
        return { code, schema, constraint, table, message };
      }
    };

  const themes: Readonly<Record<string, readonly Step[]>> = {
    'a protected key': byProtected,
    'keys of several columns': mixed,
    'trees that refer to trees': trees,
    'foreign keys of partitioned tables': others,
    'actions that bring rows to other partitions': moving,
    actions,
  };
  for (const [theme, steps] of Object.entries(themes))
    for (const extended of [false, true])
      test(`do what PostgreSQL does: ${theme}, ${extended ? 'extended' : 'simple'} protocol`, async () =>
        assert.deepEqual(await sides.differences(steps, outcome(extended)), []));

  /** What two sessions come to, on either side. */
  const together = async (
    work: (first: pg.Client, second: pg.Client) => Promise<readonly object[]>,
  ): Promise<void> => {
    await alikeInTwoSessions(sides.recorded.proxy, work);
  };

  test('two sessions that change what refers and what is referred to end as in PostgreSQL', async () => {
    await sides.both(...byProtected.slice(0, 7));
    await together(async (first, second) => {
      await first.query("BEGIN; INSERT INTO person VALUES (10, 2, 'new')");
      const waiting = outcomeOf(second, 'DELETE FROM town WHERE id = 2');
      await first.query('UPDATE person SET name = name');
      const committed = await outcomeOf(first, 'COMMIT');
      return [committed, await waiting];
    });
    await together(async (first, second) => {
      await first.query('BEGIN; DELETE FROM person WHERE town = 2; DELETE FROM town WHERE id = 2');
      const inserted = outcomeOf(second, "INSERT INTO person VALUES (11, 2, 'late')");
      const committed = await outcomeOf(first, 'COMMIT');
      return [committed, await inserted];
    });
    await together(async (first, second) => {
      await first.query("BEGIN; INSERT INTO town VALUES (3, 'there')");
      const inserted = outcomeOf(second, "INSERT INTO person VALUES (12, 3, 'late')");
      const taken = await outcomeOf(first, 'ROLLBACK');
      return [taken, await inserted];
    });
    await together(async (first, second) => {
      await first.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM town');
      await second.query(
        "INSERT INTO town VALUES (4, 'unseen'), (5, 'free'); INSERT INTO person VALUES (13, 101, 'unseen')",
      );
      const deleted = await outcomeOf(first, 'DELETE FROM town WHERE id = 101');
      await first.query('ROLLBACK');
      await second.query('DELETE FROM person WHERE id = 13');
      return [deleted];
    });
    await sides.both('ALTER TABLE person DROP CONSTRAINT person_town_fkey');
    await sides.both('ALTER TABLE person ADD FOREIGN KEY (town) REFERENCES town ON DELETE CASCADE');
    await together(async (first, second) => {
      await first.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM town');
      await second.query("INSERT INTO person VALUES (14, 101, 'unseen')");
      const deleted = await outcomeOf(first, 'DELETE FROM town WHERE id = 101');
      await first.query('ROLLBACK');
      return [deleted, await outcomeOf(second, 'DELETE FROM town WHERE id = 101')];
    });
    await together(async (first, second) => {
      await first.query(
        "BEGIN; INSERT INTO town VALUES (6, 'six'); COMMIT; BEGIN; INSERT INTO person VALUES (20, 6, 'new')",
      );
      const waiting = outcomeOf(second, 'DELETE FROM town WHERE id = 6');
      await first.query('UPDATE person SET name = name WHERE id = 20');
      const committed = await outcomeOf(first, 'COMMIT');
      const deleted = await waiting;
      return [committed, deleted, await outcomeOf(first, 'SELECT FROM person WHERE id = 20')];
    });
    await together(async (first, second) => {
      await first.query("INSERT INTO town VALUES (7, 'seven'); INSERT INTO person VALUES (21, 7, 'old')");
      await first.query("BEGIN; UPDATE person SET name = 'new' WHERE id = 21");
      const waiting = outcomeOf(second, 'DELETE FROM town WHERE id = 7');
      await first.query('SELECT pg_sleep(0.3)');
      const committed = await outcomeOf(first, 'COMMIT');
      return [committed, await waiting, await outcomeOf(first, 'SELECT FROM person WHERE id = 21')];
    });
    for (const conflict of [
      '',
      'ON CONFLICT (id) DO NOTHING',
      "ON CONFLICT (id) DO UPDATE SET name = 'both'",
    ])
      await together(async (first, second) => {
        await first.query("DELETE FROM town WHERE id = 8; BEGIN; INSERT INTO town VALUES (8, 'first')");
        const waiting = outcomeOf(second, `INSERT INTO town VALUES (8, 'second') ${conflict}`);
        await first.query('SELECT pg_sleep(0.3)');
        const committed = await outcomeOf(first, 'COMMIT');
        return [committed, await waiting, await outcomeOf(first, "SELECT FROM town WHERE name = 'both'")];
      });
    await sides.both('DROP TABLE person, town');
  });

  test('other roles of the cloud learn nothing of keys, and keep none', async () => {
    await sides.both(...byProtected.slice(0, 7));
    const { cloud, behind } = sides.recorded.proxy;
    const admin = new pg.Client({ ...cloud, database: behind.database });
    await admin.connect();
    try {
      const { rows } = await admin.query<{ name: string; fired: string }>(
        `SELECT c.oid::regclass::text AS name, (SELECT min(p.oid::regprocedure::text) FROM pg_proc p
           WHERE p.pronamespace = c.relnamespace AND p.proname ~ ('^' || c.relname || '_\\d+$')) AS fired
           FROM pg_class c WHERE c.relname ~ '^clarus_keys_\\d+$' AND c.relkind = 'r'`,
      );
      assert.ok(rows.length > 0);
      await admin.query(
        'CREATE ROLE curious; CREATE SCHEMA curious AUTHORIZATION curious; SET SESSION AUTHORIZATION curious',
      );
      for (const { name, fired } of rows)
        for (const sql of [
          `SELECT FROM ${name}`,
          `UPDATE ${name} SET clarus_partition = 0`,
          `CREATE TABLE curious.own (k int REFERENCES ${name})`,
          `CREATE TABLE curious.own (id int); CREATE TRIGGER t BEFORE INSERT ON curious.own FOR EACH ROW EXECUTE FUNCTION ${fired}`,
          `SELECT ${fired.replace('()', '_lock')}('{"(0,1)"}')`,
        ])
          await assert.rejects(admin.query(sql), { code: '42501' }, sql);
      await admin.query('RESET SESSION AUTHORIZATION; DROP SCHEMA curious CASCADE; DROP ROLE curious');
    } finally {
      await admin.end();
    }
    await sides.both('DROP TABLE person, town');
  });

  test('lose no key, whatever two sessions do', async () => {
    await sides.both(...byProtected.slice(0, 7));
    const [first, second] = [sides.ours, await sides.recorded.reconnect()];
    for (let i = 0; i < 15; i++)
      await Promise.all([
        outcomeOf(first, `INSERT INTO person VALUES (${100 + i}, ${i % 2 ? 2 : 102})`),
        outcomeOf(second, 'UPDATE town SET id = CASE id WHEN 2 THEN 102 ELSE 2 END WHERE id IN (2, 102)'),
      ]);
    const { rows } = await first.query(
      'SELECT count(*)::int AS lost FROM person WHERE town IS NOT NULL AND town NOT IN (SELECT id FROM town)',
    );
    assert.deepEqual(rows, [{ lost: 0 }]);
    for (let id = 1; id < 110; id++) {
      const there = await first.query('SELECT FROM town WHERE id = $1', [id]);
      const { code } = (await outcomeOf(first, [`INSERT INTO person VALUES (${1000 + id}, $1)`, id])) as {
        code?: string;
      };
      assert.equal(code, there.rowCount === 1 ? undefined : '23503', `town ${id}`);
    }
    await sides.both('DROP TABLE person, town');
  });

  test('rows that stand are collected, and a transaction that keeps its snapshot is refused', async () => {
    await sides.both(...byProtected.slice(0, 5));
    await sides.both(
      'CREATE TABLE person (id int PRIMARY KEY, town int)',
      'INSERT INTO person VALUES (1, 77)',
    );
    await sides.alike('ALTER TABLE person ADD FOREIGN KEY (town) REFERENCES town');
    await sides.both('DELETE FROM person', 'INSERT INTO person VALUES (1, 101)');
    await sides.ours.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM person');
    await assert.rejects(sides.ours.query('ALTER TABLE person ADD FOREIGN KEY (town) REFERENCES town'), {
      code: '0A000',
      message: /keeps its snapshot/,
    });
    await sides.ours.query('ROLLBACK');
    await sides.alike('ALTER TABLE person ADD FOREIGN KEY (town) REFERENCES town');
    await sides.alike('DELETE FROM town WHERE id = 101');
    await sides.alike('DELETE FROM town WHERE id = 2');
    await sides.both('DROP TABLE person, town');
  });

  test('what cannot be done so is refused', async () => {
    const { ours } = sides;
    const refuses = (sql: string, message: RegExp): Promise<void> =>
      assert.rejects(ours.query(sql), { code: '0A000', message });
    for (const sql of [...nodes, ...byProtected.slice(0, 2)]) await ours.query(sql);
    await ours.query('INSERT INTO town VALUES (1), (2)');
    await refuses(
      'CREATE TABLE visit (day int, d int REFERENCES node)',
      /refers to "node", which is partitioned/,
    );
    await refuses(
      'CREATE TABLE person (town int REFERENCES town ON UPDATE RESTRICT)',
      /refers to "town", which is partitioned/,
    );
    await ours.query('CREATE TABLE person (id int, town int REFERENCES town ON UPDATE CASCADE)');
    await ours.query('CREATE TABLE town_c PARTITION OF town FOR VALUES FROM (100) TO (200)');
    await ours.query('INSERT INTO person VALUES (1, 2)');
    await refuses('UPDATE town SET id = 150 WHERE id = 2', /cannot go to another partition/);
    await ours.query('ALTER TABLE node ADD FOREIGN KEY (up) REFERENCES node');
    await refuses('COPY node FROM STDIN', /refers to itself, is refused/);
    await ours.query('CREATE TABLE part (id int, node int) PARTITION BY LIST (node)');
    await ours.query('CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)');
    await refuses(
      'ALTER TABLE part_1 ADD FOREIGN KEY (node) REFERENCES node ON DELETE SET NULL',
      /to other partitions/,
    );
    await ours.query('DROP TABLE part, person, town, node');
  });

  test('show the cloud no protected value', () => {
    assert.doesNotMatch(sides.recorded.sent(), /Zaphod|Marvin|Trillian|Arthur/);
  });
});

suite('foreign keys to partitioned tables with hidden names', { timeout: 120_000 }, () => {
  const sides = beside(`names: hidden\n${policy}`);

  test('is refused where names are hidden', async () => {
    for (const sql of byProtected.slice(0, 5)) await sides.ours.query(sql);
    await assert.rejects(sides.ours.query(byProtected[5]!), {
      code: '0A000',
      detail: /names (are|of the tables are) hidden/,
    });
    assert.doesNotMatch(sides.recorded.sent(), /town/);
  });
});
