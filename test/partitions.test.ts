/** Partitioned tables and inheritance beside protected columns: what PostgreSQL answers, and nothing in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type pg from 'pg';
import { CopySide } from './differential/copy.js';
import { beside } from './support/beside.js';

const policy = `unlisted: refuse
tables:
  public.visit:
    columns:
      day: { protect: none }
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      cost: { class: confidential, protect: encrypt }
  public.ward:
    columns:
      id: { protect: none }
      town: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.open:
    columns:
      id: { protect: none }
      name: { protect: none }`;

/** Stand in protected columns and in bounds of partitions by them only. */
const sentinels = ['Zaphod', 'Marvin', 'Trillian', 'Ulmopolis', 'Bonnville', 'Arthur'];

const byOpenKey = [
  'CREATE TABLE visit (day date, id int, name text, cost int, PRIMARY KEY (day, id)) PARTITION BY RANGE (day)',
  "CREATE TABLE visit_20 PARTITION OF visit FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
  "CREATE TABLE visit_21 PARTITION OF visit FOR VALUES FROM ('2021-01-01') TO ('2022-01-01') PARTITION BY LIST (id)",
  'CREATE TABLE visit_21_few PARTITION OF visit_21 FOR VALUES IN (1, 2)',
  'CREATE TABLE visit_21_rest PARTITION OF visit_21 DEFAULT',
  `INSERT INTO visit VALUES ('2020-02-02', 1, 'Zaphod', 10), ('2021-02-02', 1, 'Marvin', 20), ('2021-03-03', 7, 'Zaphod', 30),
     ('2020-12-31', 2, NULL, 40)`,
  "INSERT INTO visit VALUES ('2019-01-01', 1, 'Zaphod', 1)",
  "INSERT INTO visit_20 VALUES ('2020-05-05', 5, 'Trillian', 50) RETURNING id, name",
  "INSERT INTO visit_20 VALUES ('2021-05-05', 5, 'Trillian', 50)",
  "INSERT INTO visit_21 VALUES ('2021-05-05', 2, 'Arthur', 60), ('2020-05-05', 2, 'Arthur', 60)",
  "INSERT INTO visit VALUES ('2020-05-05', 5, 'Arthur', 0)",
  "INSERT INTO visit VALUES ('2020-05-05', 5, 'Arthur', 0) ON CONFLICT DO NOTHING",
  'SELECT * FROM visit ORDER BY day, id',
  'SELECT tableoid::regclass, id, name FROM visit ORDER BY day, id',
  "SELECT tableoid::regclass::text, count(*), sum(cost) FROM visit WHERE name = 'Zaphod' GROUP BY 1 ORDER BY 1",
  "SELECT id FROM visit WHERE day > '2020-12-30' AND name IS NOT NULL ORDER BY day",
  'SELECT count(*) FROM ONLY visit',
  'SELECT a.name, b.cost FROM visit a JOIN visit_20 b USING (id) ORDER BY 1, 2',
  'SELECT name, (SELECT max(cost) FROM visit_21 v WHERE v.name = visit.name) FROM visit ORDER BY 1, 2',
  'WITH w AS (SELECT name, rank() OVER (ORDER BY cost DESC) AS r FROM visit) SELECT * FROM w ORDER BY r LIMIT 2',
  "SELECT * FROM visit_20 WHERE name = 'Zaphod'",
  "UPDATE visit SET cost = cost + 1 WHERE name = 'Zaphod'",
  "UPDATE visit SET day = day + 366 WHERE name = 'Trillian' RETURNING day, name, cost",
  "UPDATE visit SET id = 2 WHERE id = 7 AND name = 'Zaphod'",
  'SELECT tableoid::regclass, * FROM visit ORDER BY day, id',
  "UPDATE visit_20 SET day = '2021-01-01'",
  "UPDATE visit SET day = '2030-01-01' WHERE cost > 0",
  "DELETE FROM visit WHERE name = 'Marvin' OR cost = 40 RETURNING id",
  'DELETE FROM visit_20 WHERE id = 1',
  'SELECT tableoid::regclass, * FROM visit ORDER BY day, id',
  'ALTER TABLE visit ADD COLUMN note text',
  "UPDATE visit SET note = name || '!' WHERE id = 2",
  'SELECT note FROM visit ORDER BY day, id',
  'CREATE INDEX ON visit (name)',
  'ALTER TABLE visit RENAME COLUMN cost TO price',
  'SELECT sum(price) FROM visit',
  "INSERT INTO visit_20 (day, id, name, price) VALUES ('2020-06-06', 6, 'Zaphod', 66)",
  'ALTER TABLE visit DETACH PARTITION visit_20',
  'SELECT id, name FROM visit ORDER BY day, id',
  'SELECT id, name FROM visit_20 ORDER BY day, id',
  "ALTER TABLE visit ATTACH PARTITION visit_20 FOR VALUES FROM ('2020-07-01') TO ('2021-01-01')",
  "ALTER TABLE visit ATTACH PARTITION visit_20 FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
  'SELECT id, name FROM visit ORDER BY day, id',
  'TRUNCATE visit_21',
  'SELECT id, name FROM visit ORDER BY day, id',
  'DROP TABLE visit_21',
  'SELECT id, name FROM visit ORDER BY day, id',
  'TRUNCATE visit',
  'SELECT count(*) FROM visit',
  'DROP TABLE visit',
  'SELECT * FROM visit_20',
];

const byProtectedKey = [
  'CREATE TABLE ward (id int, town text, name text) PARTITION BY LIST (town)',
  "CREATE TABLE ward_u PARTITION OF ward FOR VALUES IN ('Ulmopolis', NULL)",
  'CREATE TABLE ward_rest PARTITION OF ward DEFAULT PARTITION BY HASH (id)',
  'CREATE TABLE ward_rest_0 PARTITION OF ward_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  'CREATE TABLE ward_rest_1 PARTITION OF ward_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
  "INSERT INTO ward SELECT i, CASE WHEN i % 3 = 0 THEN 'Ulmopolis' WHEN i % 3 = 1 THEN 'Bonnville' END, 'Zaphod ' || i FROM generate_series(1, 9) i",
  "INSERT INTO ward_u VALUES (10, 'Bonnville', 'Marvin')",
  "INSERT INTO ward_u VALUES (10, 'Ulmopolis', 'Marvin')",
  'SELECT tableoid::regclass, * FROM ward ORDER BY id',
  "SELECT name FROM ward WHERE town = 'Bonnville' ORDER BY id",
  'SELECT town, count(*) FROM ward GROUP BY town ORDER BY town',
  "UPDATE ward SET town = 'Ulmopolis' WHERE town = 'Bonnville' AND id > 4 RETURNING id, town",
  "UPDATE ward SET town = town || 'ic' WHERE id IN (3, 5)",
  "UPDATE ward_u SET town = 'Bonnville' WHERE id = 9",
  "UPDATE ward_u SET town = NULL, name = 'Arthur' WHERE id = 9",
  'SELECT tableoid::regclass, * FROM ward ORDER BY id',
  "DELETE FROM ward WHERE name LIKE '%2' OR town IS NULL AND id = 9",
  'SELECT tableoid::regclass, * FROM ward ORDER BY id',
  'ALTER TABLE ward DETACH PARTITION ward_u',
  'SELECT count(*) FROM ward',
  'SELECT * FROM ward_u ORDER BY id',
  'DROP TABLE ward, ward_u',
];

const inherited = [
  'CREATE TABLE person (id int PRIMARY KEY, name text)',
  'CREATE TABLE patient (illness text) INHERITS (person)',
  "INSERT INTO person VALUES (1, 'Zaphod'), (2, 'Marvin')",
  "INSERT INTO patient VALUES (3, 'Trillian', 'Arthur'), (4, 'Zaphod', NULL)",
  'SELECT * FROM person ORDER BY id',
  'SELECT tableoid::regclass, * FROM person ORDER BY id',
  "SELECT id FROM person WHERE name = 'Zaphod' ORDER BY id",
  "SELECT id FROM ONLY person WHERE name = 'Zaphod'",
  'SELECT * FROM patient ORDER BY id',
  "UPDATE person SET name = name || '!' WHERE id > 1",
  "UPDATE ONLY person SET name = 'Arthur' WHERE id = 1",
  'SELECT * FROM person ORDER BY id',
  "DELETE FROM person WHERE name LIKE 'Z%' RETURNING id, name",
  'SELECT p.id, q.illness FROM person p LEFT JOIN patient q ON p.name = q.name ORDER BY 1',
  'ALTER TABLE person ADD COLUMN born date',
  "UPDATE person SET born = '1970-01-01' WHERE name LIKE 'T%'",
  'SELECT * FROM patient',
  'ALTER TABLE patient NO INHERIT person',
  'SELECT * FROM person ORDER BY id',
  'ALTER TABLE patient INHERIT person',
  'SELECT * FROM person ORDER BY id',
  'DROP TABLE person',
  'TRUNCATE person',
  'SELECT * FROM patient',
  'DROP TABLE person CASCADE',
];

/** Partitions that go beside a DEFAULT one with rows, where they are by a protected column. */
const goneBesideRows = [
  'CREATE TABLE ward (id int, town text, name text) PARTITION BY LIST (town)',
  'CREATE TABLE ward_rest PARTITION OF ward DEFAULT',
  "CREATE TABLE ward_u PARTITION OF ward FOR VALUES IN ('Ulmopolis')",
  "CREATE TABLE ward_x PARTITION OF ward FOR VALUES IN ('Xanten')",
  "INSERT INTO ward VALUES (1, 'Ulmopolis', 'Zaphod'), (2, 'Bonnville', 'Arthur'), (3, NULL, 'Ford'), (4, 'Xanten', 'Trillian')",
  'ALTER TABLE ward DETACH PARTITION ward_x',
  "INSERT INTO ward VALUES (7, 'Xanten', 'Eddie')",
  'DROP TABLE ward_u',
  "INSERT INTO ward VALUES (8, 'Ulmopolis', 'Eddie')",
  'SELECT tableoid::regclass, * FROM ward ORDER BY id',
  'SELECT * FROM ward_x',
  'DROP TABLE ward, ward_x',
];

/** What the catalogue shows while rows of the tables are carried. */
const catalogue = [
  "SELECT relname, relkind, relhasindex, relhassubclass FROM pg_class WHERE relname ~ '^visit' ORDER BY 1",
  "SELECT table_name, table_type, is_insertable_into FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
  "SELECT table_name, constraint_name FROM information_schema.table_constraints WHERE table_schema = 'public' AND constraint_type = 'PRIMARY KEY' ORDER BY 1",
  "SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
  "SELECT tablename, hasindexes FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
  "SELECT relid::regclass, level FROM pg_partition_tree('visit') ORDER BY 1",
  'SELECT foreign_table_name FROM information_schema.foreign_tables',
  'SELECT count(*) FROM pg_foreign_table',
];

const refused: readonly (readonly [string, RegExp])[] = [
  ['CREATE TABLE open (id int, name text) PARTITION BY LIST (id)', /^$/],
  ['ALTER TABLE open ATTACH PARTITION visit_20 FOR VALUES IN (1)', /./],
];

suite('partitions and heirs of protected tables', { timeout: 400_000 }, () => {
  const sides = beside(policy);

  /** Errors are alike in SQLSTATE and words; what PostgreSQL tells of a row beside that is not told. */
  const answer = async (client: pg.Client, text: string, extended: boolean): Promise<string> => {
    try {
      const mode = extended ? { queryMode: 'extended' } : {};
      const { command, rowCount, rows } = await client.query({
        text,
        rowMode: 'array',
        ...mode,
      } as pg.QueryArrayConfig);
      return JSON.stringify([command, rowCount, rows]);
    } catch (error) {
      const { code, message } = error as pg.DatabaseError;
      return `${code} ${message}`;
    }
  };
  const alike = async (sql: string, extended: boolean): Promise<void> => {
    const [ours, theirs] = await Promise.all([
      answer(sides.ours, sql, extended),
      answer(sides.plain, sql, extended),
    ]);
    assert.equal(ours, theirs, sql);
  };

  for (const extended of [false, true]) {
    const how = `${extended ? 'extended' : 'simple'} protocol`;
    for (const [what, script] of [
      ['partitions by an unprotected column', byOpenKey],
      ['partitions by a protected column and by hash', byProtectedKey],
      ['partitions that go beside rows', goneBesideRows],
      ['tables that inherit', inherited],
    ] as const)
      test(`${what} answer as PostgreSQL's do, ${how}`, async () => {
        for (const sql of script) await alike(sql, extended);
      });
  }

  test('the catalogue shows partitions as the tables that they are', async () => {
    for (const sql of byOpenKey.slice(0, 6)) await alike(sql, false);
    await alike('SELECT count(*) FROM visit v JOIN visit_20 w USING (name)', false);
    for (const sql of catalogue) await alike(sql, false);
  });

  test('COPY takes rows of one table, and gives those of one', async () => {
    const copying = [
      await CopySide.connect(sides.recorded.proxy),
      await CopySide.connect(sides.recorded.proxy.plain),
    ] as const;
    const bothIn = async (sql: string, data: string): Promise<void> => {
      const [got, wanted] = [
        await copying[0].in(sql, Buffer.from(data)),
        await copying[1].in(sql, Buffer.from(data)),
      ];
      assert.deepEqual(got, wanted, `${sql}: ${data}`);
    };
    const bothOut = async (sql: string): Promise<void> =>
      assert.deepEqual(await copying[0].out(sql), await copying[1].out(sql), sql);
    for (const sql of [...byProtectedKey.slice(0, 5), ...inherited.slice(0, 4)]) await alike(sql, false);
    for (const data of [
      '1\tUlmopolis\tZaphod\n2\t\\N\tMarvin\n',
      '3\tUlmopolis\tZaphod\n4\tBonnville\tMarvin\n5\tUlmopolis\tArthur\n',
      '3\tUlmopolis\tZaphod\nx\tBonnville\tMarvin\n',
    ])
      await bothIn('COPY ward_u FROM STDIN', data);
    await bothIn('COPY ward_rest_0 (town, id) FROM STDIN', 'Bonnville\t1\nBonnville\t2\n');
    await alike('SELECT * FROM ward ORDER BY id, town', false);
    await alike('BEGIN', false);
    for (const table of ['ward_u', 'person', 'patient']) {
      await bothOut(`COPY ${table} TO STDOUT`);
      await alike(`DECLARE rows CURSOR FOR SELECT * FROM ONLY ${table}`, false);
      await alike('FETCH ALL FROM rows', false);
      await alike('CLOSE rows', false);
    }
    await alike('COMMIT', false);
    await bothOut('COPY ward TO STDOUT');
    for (const sql of ['DROP TABLE ward', 'DROP TABLE person CASCADE']) await alike(sql, false);
    for (const side of copying) await side.close();
  });

  test('what would reach rows of one table only is refused', async () => {
    for (const [sql, reason] of refused) {
      const told = await sides.ours.query(sql).then(
        () => '',
        (error: Error) => error.message,
      );
      assert.match(told, reason, sql);
    }
  });

  test('nothing of the rows and bounds leaves in the clear', () => {
    for (const sentinel of sentinels) assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
  });
});
