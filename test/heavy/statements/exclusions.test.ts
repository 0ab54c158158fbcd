/** EXCLUDE constraints over protected columns: kept on the trusted side, and answered as PostgreSQL answers. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { CopySide } from '../../differential/copy.js';
import { beside } from '../../support/beside.js';
import type { Step } from '../../support/outcome.js';

const policy = `unlisted: pass
tables:
  public.booking:
    columns:
      id: { protect: none }
      room: { protect: none }
      guest: { class: identifier, protect: encrypt }
      during: { class: confidential, protect: encrypt }
      status: { class: confidential, protect: encrypt }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt }
      area: { class: confidential, protect: encrypt }
  public.later:
    columns:
      id: { protect: none }
      span: { class: confidential, protect: encrypt }
  public.copied:
    columns:
      id: { protect: none }
      span: { class: confidential, protect: encrypt }
  public.desk:
    columns:
      id: { protect: none }
      room: { protect: none }
      floor: { protect: none }
      owner: { class: identifier, protect: encrypt, queries: [equality] }
      during: { class: confidential, protect: encrypt }
  public.log:
    columns:
      n: { protect: none }
      what: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE EXTENSION btree_gist',
  `CREATE TABLE desk (id int, room varchar(5), floor numeric(4, 1), owner text, during tsrange,
     EXCLUDE USING gist (room WITH =, floor WITH =, during WITH &&), EXCLUDE USING gist (owner WITH =, room WITH <>) WHERE (id < 90))`,
  `CREATE TABLE booking (id int PRIMARY KEY, room int4range, guest text NOT NULL, during daterange, status text DEFAULT 'new' CHECK (status <> 'odd'),
     CONSTRAINT no_double EXCLUDE USING gist (room WITH &&, during WITH &&) WHERE (status <> 'cancelled'))`,
  `CREATE TABLE person (id serial PRIMARY KEY, name text, area int4range,
     CONSTRAINT one_name EXCLUDE USING btree (lower(name) WITH =), EXCLUDE USING gist (area WITH &&))`,
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'INSERT of VALUES': [
    "INSERT INTO booking VALUES (1, '[1,2)', 'Zaphod', '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (2, '[1,2)', 'Trillian', '[2031-01-04,2031-01-06)')",
    "INSERT INTO booking VALUES (2, '[2,3)', 'Trillian', '[2031-01-04,2031-01-06)')",
    "INSERT INTO booking VALUES (3, '[1,2)', 'Marvin', '[2031-01-04,2031-01-06)', 'cancelled')",
    "INSERT INTO booking VALUES (4, '[1,2)', 'Marvin', '[2031-01-04,2031-01-06)', NULL)",
    "INSERT INTO booking VALUES (5, '[1,2)', 'Marvin', NULL), (6, NULL, 'Marvin', '[2031-01-01,2031-02-01)'), (7, '[1,2)', 'Marvin', NULL)",
    "INSERT INTO booking VALUES (8, '[5,6)', 'Marvin', '[2031-01-01,2031-02-01)'), (9, '[4,9)', 'Marvin', '[2031-01-31,2031-02-05)')",
    "INSERT INTO booking VALUES (8, '[5,6)', 'Marvin', '[2031-01-01,2031-02-01)') RETURNING id, during",
    "INSERT INTO booking VALUES (9, '[5,6)', 'Marvin', '[2031-01-01,2031-02-01)') RETURNING id, during",
    ['INSERT INTO booking VALUES ($1, $2, $3, $4)', 10, '[5,6)', 'Marvin', '[2031-01-31,2031-02-02)'],
    ['INSERT INTO booking VALUES ($1, $2, $3, $4)', 10, '[5,6)', 'Marvin', '[2031-02-01,2031-02-02)'],
    "INSERT INTO person (name, area) VALUES ('Ford', '[1,5)'), ('Arthur', '[5,9)')",
    "INSERT INTO person (name, area) VALUES ('FORD', '[20,30)')",
    "INSERT INTO person (name, area) VALUES ('Eddie', '[4,6)')",
    "INSERT INTO person (name, area) VALUES ('ford', '[4,6)')",
    "INSERT INTO person (name, area) VALUES (NULL, 'empty'), (NULL, 'empty'), ('', NULL)",
    "INSERT INTO person (name, area) VALUES ('', NULL)",
    "INSERT INTO person (name, area) SELECT 'P' || n, int4range(100 + n, 101 + n) FROM generate_series(1, 40) n",
    "INSERT INTO person (name, area) SELECT 'Q' || n, int4range(200 + n, 202 + n) FROM generate_series(1, 40) n",
  ],
  'what is wrong beside': [
    "INSERT INTO booking VALUES (1, '[1,2)', 'Zaphod', '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (1, '[1,2)', 'Zaphod', '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (2, '[1,2)', NULL, '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (2, '[1,2)', 'x', '[2031-01-01,2031-01-05)', 'odd')",
    "INSERT INTO booking VALUES (2, '[1,2)', 'x', '[2031-01-01,2031-01-05)'), (3, '[1,2)', 'x', NULL, 'odd')",
    "INSERT INTO booking VALUES (3, '[1,2)', 'x', NULL, 'odd'), (2, '[1,2)', 'x', '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (2, '[1,2)', 'x', NULL), (1, '[1,2)', 'x', NULL), (3, '[1,2)', 'x', '[2031-01-01,2031-01-05)')",
    "INSERT INTO booking VALUES (2, '[1,2)', 'x', '[2031-01-05,2031-01-01)')",
    "SELECT id FROM booking WHERE during && '[2031-01-01,2031-02-01)'",
  ],
  UPDATE: [
    "INSERT INTO booking SELECT n, '[1,2)', 'G' || n, daterange('2031-01-01'::date + 3 * n, '2031-01-01'::date + 3 * n + 3) FROM generate_series(1, 5) n",
    "UPDATE booking SET during = '[2031-01-01,2031-03-01)' WHERE id = 3",
    'UPDATE booking SET during = daterange(lower(during), upper(during) + 1) WHERE id = 5',
    'UPDATE booking SET during = daterange(lower(during), upper(during) + 1) WHERE id = 2',
    'UPDATE booking SET during = daterange(lower(during) + 1, upper(during) + 1)',
    'UPDATE booking SET during = daterange(lower(during) - 1, upper(during) - 1)',
    "UPDATE booking SET guest = 'H' || id",
    "UPDATE booking SET during = during, status = 'paid'",
    "UPDATE booking SET status = 'cancelled' WHERE id = 2",
    "UPDATE booking SET during = '[2031-01-01,2031-03-01)' WHERE id = 2",
    "UPDATE booking SET status = 'new' WHERE id = 2",
    'UPDATE booking SET during = NULL WHERE id > 2 RETURNING id, during',
    "UPDATE booking SET status = 'new' WHERE id = 1",
    "UPDATE booking SET room = '[7,8)'",
    ['UPDATE booking SET during = $1 WHERE id = $2', '[2031-05-01,2031-06-01)', 3],
    ['UPDATE booking SET during = $1 WHERE id = $2', '[2031-05-10,2031-06-01)', 4],
    "UPDATE person SET name = 'x'",
    "INSERT INTO person (id, name, area) VALUES (901, 'a', '[1,2)'), (902, 'b', '[2,3)')",
    "UPDATE person SET name = CASE name WHEN 'a' THEN 'b' ELSE 'a' END WHERE id > 900",
    "UPDATE person SET name = 'B' WHERE id = 902",
    'DELETE FROM person WHERE id = 901',
    "UPDATE person SET name = 'A', area = '[1,3)' WHERE id = 902",
  ],
  'equality beside other operators': [
    "INSERT INTO desk VALUES (1, 'a', 1, 'Arthur', '[2031-01-04 10:00,2031-01-04 12:00)')",
    "INSERT INTO desk VALUES (2, 'a', 1.0, 'Ford', '[2031-01-04 11:00,2031-01-04 13:00)')",
    "INSERT INTO desk VALUES (2, 'a', 1.5, 'Ford', '[2031-01-04 11:00,2031-01-04 13:00)')",
    "INSERT INTO desk VALUES (3, 'b', 1, 'Arthur', '[2031-01-04 11:00,2031-01-04 13:00)')",
    "INSERT INTO desk VALUES (3, 'a', 1, 'Arthur', '[2031-01-04 12:00,2031-01-04 13:00)')",
    "INSERT INTO desk VALUES (93, 'b', 1, 'Arthur', '[2031-01-04 11:00,2031-01-04 13:00)')",
    "INSERT INTO desk VALUES (4, 'c', NULL, 'Eddie', '[2031-01-04 11:00,)'), (5, NULL, 1, 'Eddie', '[2031-01-04 11:00,)'), (6, 'c', NULL, NULL, '(,)')",
    "UPDATE desk SET room = 'a' WHERE id = 93",
    'UPDATE desk SET id = 3 WHERE id = 93',
    'UPDATE desk SET floor = 1 WHERE id = 2',
    "UPDATE desk SET floor = 1, room = 'b ', during = during WHERE id = 2",
    ['INSERT INTO desk VALUES ($1, $2, $3, $4, $5)', 7, 'b ', '1', null, '[2031-01-04 12:59:59.999999,)'],
    ['INSERT INTO desk VALUES ($1, $2, $3, $4, $5)', 7, 'b ', '1', null, '[2031-01-04 13:00,)'],
    'SELECT * FROM desk ORDER BY id',
  ],
  'ON CONFLICT': [
    "INSERT INTO person (id, name, area) VALUES (1, 'a', '[1,2)'), (2, 'b', '[2,3)')",
    "INSERT INTO person (id, name, area) VALUES (3, 'A', '[9,10)') ON CONFLICT DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (3, 'c', '[1,10)') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO person (id, name, area) VALUES (3, 'A', '[9,10)'), (3, 'c', '[9,10)'), (3, 'd', '[19,20)'), (4, 'C', '[29,30)'), (5, 'e', '[39,40)') ON CONFLICT DO NOTHING RETURNING id, name",
    "INSERT INTO person (id, name, area) VALUES (6, 'E', '[41,42)') ON CONFLICT ON CONSTRAINT one_name DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (5, 'f', '[41,42)') ON CONFLICT ON CONSTRAINT one_name DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (6, 'f', '[39,42)') ON CONFLICT ON CONSTRAINT one_name DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (6, 'f', '[41,42)') ON CONFLICT ON CONSTRAINT one_name DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (7, 'f', '[41,42)') ON CONFLICT ON CONSTRAINT one_name DO UPDATE SET name = 'g'",
    "INSERT INTO person (id, name, area) VALUES (7, 'f', '[51,52)') ON CONFLICT (id) DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (6, 'x', '[51,52)') ON CONFLICT (id) DO NOTHING",
    "INSERT INTO person (id, name, area) VALUES (6, 'x', '[51,52)') ON CONFLICT (id) DO UPDATE SET name = 'B'",
    "INSERT INTO person (id, name, area) VALUES (6, 'x', '[51,52)') ON CONFLICT (id) DO UPDATE SET name = excluded.name || '!' RETURNING name",
    "INSERT INTO person (id, name, area) VALUES (8, 'x!', '[51,52)'), (6, 'x', '[51,52)') ON CONFLICT (id) DO UPDATE SET name = 'y'",
    "INSERT INTO person (id, name, area) VALUES (6, 'x', '[51,52)'), (8, 'x!', '[51,52)') ON CONFLICT (id) DO UPDATE SET name = 'y'",
    "MERGE INTO person p USING (VALUES (6, 'z'), (9, 'y')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
    "MERGE INTO person p USING (VALUES (6, 'y'), (10, 'y')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name)",
    "MERGE INTO person p USING (VALUES (6), (9)) v (id) ON p.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, 'z')",
  ],
};

/** Stand in protected columns only. */
const sentinels = ['Zaphod', 'Trillian', 'Marvin', 'Arthur', '2031-01-04', 'cancelled'];

suite('EXCLUDE constraints over protected columns', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  const fresh = async (): Promise<void> => {
    for (const client of sides.clients) await client.query('TRUNCATE booking, person, desk');
  };
  const contents = ['SELECT * FROM booking ORDER BY id', 'SELECT name, area FROM person ORDER BY name, area'];
  const differences = (all: readonly Step[], extended: boolean): Promise<unknown[]> =>
    sides.differences([...all, ...contents], async (client, step) => {
      const { rows, detail, ...told } = await sides.outcome(client, step, extended);
      // the details of keys and rows are not told
      return { ...told, rows, ...(/^(23505|23502|23514)$/.test(told.code ?? '') ? {} : { detail }) };
    });

  for (const [name, all] of Object.entries(steps))
    for (const extended of [false, true])
      test(`${name} (${extended ? 'extended' : 'simple'})`, async () => {
        await fresh();
        assert.deepEqual(await differences(all, extended), []);
      });

  test('refuse rows of COPY at the line where PostgreSQL does', async () => {
    await fresh();
    const { proxy } = sides.recorded;
    const copying = [await CopySide.connect(proxy), await CopySide.connect(proxy.plain)] as const;
    for (const data of [
      '1\tFord\t[1,5)\n2\tArthur\t[5,9)\n3\tFORD\t[10,11)\n4\tx\t\\N\n',
      '1\tFord\t[1,5)\n2\tArthur\t[4,9)\n2\tMarvin\t[10,11)\n',
      '1\tFord\t[1,5)\n1\tArthur\t[5,9)\n2\tFORD\t[10,11)\n',
      '1\tFord\t[1,5)\n2\tArthur\t[6,9)\n',
      '3\tMarvin\t[11,15)\n4\tEddie\t[8,10)\n',
    ]) {
      const sql = 'COPY person (id, name, area) FROM STDIN';
      const [got, wanted] = [
        await copying[0].in(sql, Buffer.from(data)),
        await copying[1].in(sql, Buffer.from(data)),
      ];
      assert.deepEqual(got, wanted, data);
    }
    for (const side of copying) await side.close();
    assert.deepEqual(await differences([], false), []);
  });

  test('look at the rows as triggers make them, and let handlers catch what conflicts', async () => {
    await fresh();
    const all: readonly Step[] = [
      'CREATE TABLE log (n serial, what text)',
      'CREATE FUNCTION widen() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.area := int4range(lower(NEW.area), upper(NEW.area) + 1); RETURN NEW; END$$',
      'CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log (what) VALUES (NEW.name); RETURN NULL; END$$',
      'CREATE TRIGGER widen BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION widen()',
      'CREATE TRIGGER noted AFTER INSERT ON person FOR EACH ROW EXECUTE FUNCTION noted()',
      "INSERT INTO person (id, name, area) VALUES (1, 'Ford', '[1,5)')",
      "INSERT INTO person (id, name, area) VALUES (2, 'Arthur', '[5,7)')",
      "INSERT INTO person (id, name, area) VALUES (2, 'Arthur', '[6,7)'), (3, 'Marvin', '[7,8)')",
      "INSERT INTO person (id, name, area) VALUES (2, 'Arthur', '[6,7)')",
      "UPDATE person SET name = 'Prefect' WHERE id = 1",
      "UPDATE person SET name = 'Prefect' WHERE id = 2",
      'SELECT what FROM log ORDER BY n',
      `DO $$BEGIN
         INSERT INTO person (id, name, area) VALUES (5, 'ford', '[50,51)');
       EXCEPTION WHEN exclusion_violation THEN
         INSERT INTO person (id, name, area) VALUES (5, 'other', '[50,51)');
       END$$`,
      `DO $$BEGIN
         INSERT INTO person (id, name, area) VALUES (6, 'ford', '[60,61)');
       EXCEPTION WHEN exclusion_violation THEN RAISE NOTICE '%', SQLERRM;
       END$$`,
      'DROP TRIGGER widen ON person',
      'DROP TRIGGER noted ON person',
      'DROP TABLE log',
    ];
    assert.deepEqual(await differences(all, false), []);
  });

  test('come and go by DDL as in PostgreSQL, over the rows that stand', async () => {
    await fresh();
    const constraints =
      "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'later'::regclass AND contype <> 'n' ORDER BY 1";
    const all: readonly Step[] = [
      'CREATE TABLE later (id int PRIMARY KEY, span int4range)',
      "INSERT INTO later VALUES (1, '[1,5)'), (2, '[4,6)'), (3, NULL), (4, '[4,7)')",
      'ALTER TABLE later ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&)',
      constraints,
      "UPDATE later SET span = '[5,6)' WHERE id = 2",
      'ALTER TABLE later ADD CONSTRAINT apart EXCLUDE USING gist (span WITH &&) WHERE (id < 4)',
      constraints,
      "INSERT INTO later VALUES (0, '[1,2)')",
      "INSERT INTO later VALUES (5, '[1,2)')",
      'UPDATE later SET id = 0 WHERE id = 5',
      'ALTER TABLE later RENAME CONSTRAINT apart TO aside',
      'UPDATE later SET id = 0 WHERE id = 5',
      'ALTER TABLE later RENAME COLUMN span TO "the span"',
      'UPDATE later SET id = 0 WHERE id = 5',
      'ALTER TABLE later RENAME COLUMN "the span" TO span',
      'BEGIN',
      "UPDATE later SET span = '[40,41)' WHERE id = 1",
      'SAVEPOINT s',
      "INSERT INTO later VALUES (0, '[40,42)')",
      'ROLLBACK TO s',
      "INSERT INTO later VALUES (0, '[3,4)')",
      'COMMIT',
      'ALTER TABLE later ALTER COLUMN span TYPE int8range USING int8range(0, 1)',
      'DELETE FROM later WHERE span IS NULL',
      'ALTER TABLE later ALTER COLUMN span TYPE int8range USING int8range(lower(span), upper(span))',
      "INSERT INTO later VALUES (-1, '[41,42)'), (-2, '[3,4)')",
      constraints,
      'CREATE TABLE copied (LIKE later INCLUDING ALL)',
      "INSERT INTO copied VALUES (1, '[1,2)'), (2, '[1,2)')",
      "INSERT INTO copied VALUES (11, '[1,2)'), (12, '[1,2)')",
      'DROP TABLE copied',
      'ALTER TABLE later DROP CONSTRAINT aside',
      'UPDATE later SET id = 0 WHERE id = 5',
      "INSERT INTO later VALUES (5, '[3,4)')",
      'ALTER TABLE later ADD EXCLUDE USING gist (span WITH &&)',
      "DELETE FROM later WHERE span && '[3,4)'",
      'ALTER TABLE later ADD EXCLUDE USING gist (span WITH &&), ADD COLUMN room int',
      constraints,
      'ALTER TABLE later DROP COLUMN span',
      constraints,
      'SELECT * FROM later ORDER BY id',
      'DROP TABLE later',
    ];
    assert.deepEqual(await differences(all, false), []);
    const { rows } = await sides.ours.query('SELECT * FROM booking');
    assert.deepEqual(rows, []);
  });

  test('hold for rows of temporary tables, and end a transaction that breaks them', async () => {
    await fresh();
    const all: readonly Step[] = [
      'CREATE TEMP TABLE own (name text, area int4range, EXCLUDE USING gist (area WITH &&))',
      "INSERT INTO own VALUES ('Ford', '[1,5)'), ('FORD', '[5,9)'), (NULL, '[9,10)')",
      "INSERT INTO own VALUES ('Arthur', '[4,6)')",
      'INSERT INTO person (name, area) SELECT name, area FROM own',
      'INSERT INTO person (name, area) SELECT name, area FROM own WHERE lower(area) <> 5',
      'INSERT INTO person (name, area) SELECT name, NULL FROM own WHERE lower(area) = 5',
      "UPDATE person SET area = own.area FROM own WHERE own.name = 'FORD' AND person.name IS NULL",
      "UPDATE person SET area = '[9,10)' FROM own WHERE own.name = 'FORD' AND person.name = 'Ford'",
      'DROP TABLE own',
      'BEGIN',
      "INSERT INTO person (id, name) VALUES (50, 'x')",
      "INSERT INTO person (id, name) VALUES (51, 'X')",
      "INSERT INTO person (id, name) VALUES (52, 'y')",
      'COMMIT',
    ];
    assert.deepEqual(await differences(all, false), []);
  });

  test('let foreign keys delete rows', async () => {
    const all: readonly Step[] = [
      "INSERT INTO person (id, name, area) VALUES (1, 'Ford', '[1,5)')",
      'CREATE TABLE later (id int PRIMARY KEY REFERENCES person ON DELETE CASCADE, span int4range, EXCLUDE USING gist (span WITH &&))',
      "INSERT INTO later VALUES (1, '[1,2)')",
      "INSERT INTO later VALUES (2, '[1,2)')",
      "INSERT INTO later VALUES (2, '[2,3)')",
      'DELETE FROM person WHERE id = 1',
      'SELECT * FROM later',
      'DROP TABLE later',
    ];
    await fresh();
    assert.deepEqual(await differences(all, false), []);
  });

  test('pass from the cloud to the trusted side and back with the protection of what they read', async () => {
    const { ours, recorded } = sides;
    const conflicts = async (): Promise<void> => {
      await ours.query("INSERT INTO open VALUES (1, '[1,5)')");
      await assert.rejects(ours.query("INSERT INTO open VALUES (2, '[4,6)')"), {
        code: '23P01',
        detail: 'Key (span)=([4,6)) conflicts with existing key (span)=([1,5)).',
      });
      await ours.query('DELETE FROM open');
    };
    await ours.query(
      'CREATE TABLE open (id int PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&))',
    );
    await conflicts();
    await ours.query("SECURITY LABEL FOR clarus ON COLUMN open.span IS 'encrypt'");
    const sent = await recorded.sentWhile(conflicts);
    assert.doesNotMatch(sent, /\[4,6\)/);
    await ours.query("SECURITY LABEL FOR clarus ON COLUMN open.span IS 'none'");
    await conflicts();
    await ours.query('DROP TABLE open');
    // another worker, which finishes no statements, reads the catalogue anew
    const other = new pg.Client(await recorded.proxy.second());
    await other.connect();
    for (const sql of [
      "INSERT INTO person (name) VALUES ('x')",
      "UPDATE person SET name = 'x' WHERE id = 1",
      'COPY person (id, name) FROM STDIN',
    ])
      await assert.rejects(other.query(sql), { code: '0A000' }, sql);
    await other.end();
  });

  test('refuse with a reason what is not looked at', async () => {
    const refused = async (sql: string, detail: RegExp): Promise<void> => {
      const outcome = await sides.outcome(sides.ours, sql);
      assert.equal(outcome.code, '0A000', sql);
      assert.match(`${outcome.message} ${outcome.detail}`, detail, sql);
    };
    const made = 'CREATE TABLE later (id int PRIMARY KEY, span int4range';
    await refused(`${made}, EXCLUDE USING gist (span WITH &&) DEFERRABLE)`, /not later/);
    await refused(
      `${made}, EXCLUDE USING gist (span WITH &&)) PARTITION BY RANGE (id)`,
      /partitioned|unsupported/,
    );
    await refused(
      `${made}, twice int GENERATED ALWAYS AS (id * 2) STORED, EXCLUDE USING gist (span WITH &&))`,
      /generated columns/,
    );
    await refused(
      `${made}, other int REFERENCES person ON DELETE SET NULL, EXCLUDE USING gist (span WITH &&) WHERE (other > 1))`,
      /foreign key/,
    );
    await sides.ours.query(
      "CREATE TYPE ages AS RANGE (subtype = int4); CREATE FUNCTION most() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT count(*)::int FROM pg_catalog.pg_class'",
    );
    await refused(
      'CREATE TABLE later (id int, span ages, EXCLUDE USING gist (span WITH &&))',
      /composed type/,
    );
    await refused(
      'CREATE TABLE later (id int, span int, EXCLUDE USING btree ((span + most()) WITH =))',
      /does more than compute/,
    );
    await sides.ours.query(`${made}, EXCLUDE USING gist (span WITH &&))`);
    await refused('CREATE TABLE heir () INHERITS (later)', /inheritance/);
    await refused(
      'ALTER TABLE later ADD COLUMN n int GENERATED ALWAYS AS (id + 1) STORED',
      /generated columns/,
    );
    await refused("WITH i AS (INSERT INTO later VALUES (1, '[1,2)') RETURNING id) SELECT * FROM i", /WITH/);
    await sides.ours.query('CREATE VIEW laters AS SELECT * FROM later');
    await refused("INSERT INTO laters VALUES (1, '[1,2)')", /views/);
    await sides.ours.query('DROP VIEW laters; DROP TABLE later; DROP FUNCTION most; DROP TYPE ages');
    const { rows } = await sides.ours.query("SELECT relname FROM pg_class WHERE relname ~ 'later|clarus'");
    assert.deepEqual(rows, []);
  });

  test('show the cloud no value of what is compared, and no constraint', async () => {
    const sent = sides.recorded.sent();
    assert.deepEqual(
      sentinels.filter(word => sent.includes(word)),
      [],
    );
    const cloud = new pg.Client({ ...sides.recorded.proxy.behind });
    await cloud.connect();
    assert.deepEqual((await cloud.query("SELECT conname FROM pg_constraint WHERE contype = 'x'")).rows, []);
    await cloud.end();
  });
});
