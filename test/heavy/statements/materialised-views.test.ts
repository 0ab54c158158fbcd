/** Materialised views over protected tables: they hold and say what PostgreSQL's do, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { compareWithCloud } from '../../../src/catalog/compare.js';
import { describeDatabase } from '../../../src/catalog/describe.js';
import { readerOf } from '../../../src/catalog/reader.js';
import { loadCatalog } from '../../../src/catalog/store.js';
import { encodingRegistry } from '../../../src/encodings/registry.js';
import { dropCarriers } from '../../../src/trusted/carriers.js';
import { beside } from '../../support/beside.js';
import { townsPolicy } from '../../support/people.js';
import type { TextStep } from '../../support/steps.js';

const policy = `${townsPolicy}
  public.shown:
    columns:
      id: { protect: none }
      town: { protect: none }
  public.indexed:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.towns:
    columns:
      town: { protect: none }
      people: { protect: none }`;

const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2), born date)',
  "INSERT INTO place VALUES (1, 'Ulm'), (2, 'Bonn'), (3, NULL)",
  `INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 10.5, '1970-01-01'), (2, 'Bonn', 'Trillian', 20, NULL),
     (3, 'Ulm', NULL, NULL, '1999-12-31'), (4, NULL, 'Marvin', -3, '2001-02-03')`,
];
/** Stand in protected columns only, or are computed from them. */
const sentinels = ['Zaphod', 'ZAPHOD', 'Trillian', 'Marvin', 'Arthur', 'Ford'];

const told: Readonly<Record<string, readonly TextStep[]>> = {
  'made, read, refreshed and dropped': [
    'CREATE MATERIALIZED VIEW m AS SELECT id, upper(name) AS loud, amount, town FROM person',
    'SELECT * FROM m ORDER BY id',
    "SELECT id FROM m WHERE loud = 'ZAPHOD'",
    'SELECT m.loud, p.name, l.id FROM m JOIN person p USING (id) LEFT JOIN place l ON l.town = m.town ORDER BY m.id',
    'SELECT count(*), sum(amount) FROM m',
    "INSERT INTO person VALUES (5, 'Wien', 'Arthur', 7, NULL)",
    'SELECT count(*) FROM m',
    'REFRESH MATERIALIZED VIEW m',
    'SELECT * FROM m ORDER BY loud',
    'DELETE FROM person WHERE id = 5',
    'REFRESH MATERIALIZED VIEW m WITH NO DATA',
    'SELECT * FROM m',
    'SELECT p.id FROM person p JOIN m USING (id)',
    'REFRESH MATERIALIZED VIEW m',
    'SELECT count(*) FROM ONLY m',
    'CREATE MATERIALIZED VIEW IF NOT EXISTS m AS SELECT 1 AS one',
    'CREATE MATERIALIZED VIEW m AS SELECT 1 AS one',
    'DROP MATERIALIZED VIEW m',
    'SELECT * FROM m',
    'DROP MATERIALIZED VIEW m',
    'DROP MATERIALIZED VIEW IF EXISTS m',
    'DROP MATERIALIZED VIEW person',
    'REFRESH MATERIALIZED VIEW m',
    'REFRESH MATERIALIZED VIEW person',
    'REFRESH MATERIALIZED VIEW place_pkey',
  ],
  'not written and not locked': [
    'CREATE MATERIALIZED VIEW m (i, n) AS SELECT id, name FROM person WHERE id < 3',
    "INSERT INTO m VALUES (9, 'Ford')",
    'INSERT INTO m SELECT id, name FROM person',
    "UPDATE m SET n = 'Ford' WHERE i = 1",
    'DELETE FROM m',
    'MERGE INTO m USING person p ON p.id = m.i WHEN MATCHED THEN DELETE',
    'SELECT * FROM m FOR UPDATE',
    'SELECT * FROM m JOIN person p ON p.id = m.i FOR UPDATE OF p',
    'SELECT * FROM m JOIN person p ON p.id = m.i FOR SHARE OF m',
    'TRUNCATE m',
    'BEGIN',
    'LOCK TABLE person, m',
    'ROLLBACK',
    'ANALYZE m',
    'VACUUM m',
    'DO $$ BEGIN INSERT INTO m VALUES (9, NULL); EXCEPTION WHEN wrong_object_type THEN NULL; END $$',
    'DO $$ DECLARE n text; BEGIN SELECT max(m.n) INTO n FROM m; UPDATE person SET name = n WHERE id = 77; END $$',
    'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM m ORDER BY i',
    'FETCH ALL FROM c',
    'CLOSE c',
    'CREATE TABLE copied AS SELECT * FROM m',
    'SELECT * FROM copied ORDER BY i',
    'DROP TABLE copied',
    'CREATE TEMP TABLE t AS SELECT * FROM m',
    'SELECT * FROM t JOIN m USING (i) ORDER BY i',
    'DROP TABLE t',
    'PREPARE p AS SELECT n FROM m WHERE i = $1',
    'EXECUTE p (2)',
    'DEALLOCATE p',
    'CREATE FUNCTION named(k int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT n FROM m WHERE i = k $$',
    'SELECT named(1), named(2)',
    'DROP FUNCTION named(int)',
    'DROP TABLE m',
    'DROP VIEW m',
    'ALTER TABLE m ADD COLUMN x int',
    'ALTER TABLE m DROP COLUMN n',
    'ALTER TABLE m ADD PRIMARY KEY (i)',
    'CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    'SELECT * FROM m ORDER BY i',
    'DROP MATERIALIZED VIEW m',
  ],
  'empty until they are refreshed': [
    'CREATE MATERIALIZED VIEW indexed AS SELECT id, name FROM person WITH NO DATA',
    'SELECT * FROM indexed',
    'SELECT 1 FROM person WHERE EXISTS (SELECT FROM indexed)',
    "INSERT INTO indexed VALUES (9, 'Ford')",
    'COPY indexed TO STDOUT',
    'COPY (SELECT * FROM indexed) TO STDOUT',
    "SELECT relkind, relispopulated FROM pg_class WHERE relname = 'indexed'",
    'REFRESH MATERIALIZED VIEW CONCURRENTLY indexed',
    'CREATE UNIQUE INDEX m_key ON indexed (id)',
    'CREATE INDEX m_name ON indexed (name)',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY indexed',
    'REFRESH MATERIALIZED VIEW indexed',
    'SELECT * FROM indexed ORDER BY id',
    'COPY (SELECT * FROM indexed ORDER BY id) TO STDOUT',
    'COPY indexed (id) TO STDOUT',
    "SELECT relkind, relispopulated, relhasindex, relhasrules FROM pg_class WHERE relname = 'indexed'",
    'REFRESH MATERIALIZED VIEW CONCURRENTLY indexed WITH NO DATA',
    "INSERT INTO person VALUES (6, 'Wien', 'Ford', 7, NULL)",
    'REFRESH MATERIALIZED VIEW CONCURRENTLY indexed',
    'SELECT * FROM indexed ORDER BY id',
    'DELETE FROM person WHERE id = 6',
    'DROP INDEX m_key',
    'REFRESH MATERIALIZED VIEW CONCURRENTLY indexed',
    'DROP MATERIALIZED VIEW indexed',
  ],
  'kept by what they read, and read by others': [
    'CREATE VIEW loud AS SELECT id, upper(name) AS called FROM person',
    'CREATE MATERIALIZED VIEW m AS SELECT * FROM loud',
    'CREATE MATERIALIZED VIEW n AS SELECT m.id, m.called, l.town FROM m LEFT JOIN place l USING (id)',
    'CREATE VIEW over AS SELECT id, called FROM n WHERE id < 4',
    'SELECT * FROM over ORDER BY id',
    'SELECT o.*, p.name FROM over o JOIN person p USING (id) ORDER BY id',
    'DROP TABLE person',
    'DROP VIEW loud',
    'DROP MATERIALIZED VIEW m',
    'ALTER TABLE person DROP COLUMN name',
    'ALTER TABLE person ALTER COLUMN name TYPE varchar(40)',
    'DROP MATERIALIZED VIEW m CASCADE',
    'SELECT * FROM over',
    'SELECT * FROM n',
    'CREATE MATERIALIZED VIEW m AS SELECT * FROM loud',
    'DROP VIEW loud CASCADE',
    'SELECT * FROM m',
  ],
  altered: [
    'CREATE SCHEMA elsewhere',
    'CREATE MATERIALIZED VIEW m AS SELECT id, name, town FROM person',
    'SELECT count(*) FROM m JOIN person USING (name)',
    'ALTER MATERIALIZED VIEW m RENAME TO renamed',
    'ALTER MATERIALIZED VIEW renamed RENAME COLUMN name TO called',
    'ALTER TABLE renamed RENAME COLUMN town TO place',
    'SELECT called FROM renamed ORDER BY id',
    'ALTER MATERIALIZED VIEW renamed SET SCHEMA elsewhere',
    "SELECT id FROM elsewhere.renamed WHERE called = 'Marvin'",
    'ALTER MATERIALIZED VIEW elsewhere.renamed SET (fillfactor = 70)',
    'ALTER MATERIALIZED VIEW IF EXISTS nothing RENAME TO something',
    "COMMENT ON MATERIALIZED VIEW elsewhere.renamed IS 'of persons'",
    "SELECT obj_description('elsewhere.renamed'::regclass)",
    'REFRESH MATERIALIZED VIEW elsewhere.renamed',
    'SELECT called, place FROM elsewhere.renamed ORDER BY id',
    "SELECT pg_get_viewdef('elsewhere.renamed'::regclass)",
    'DROP SCHEMA elsewhere',
    'DROP SCHEMA elsewhere CASCADE',
    'SELECT * FROM elsewhere.renamed',
  ],
  'in the catalogue': [
    'CREATE MATERIALIZED VIEW indexed AS SELECT id, name FROM person',
    'CREATE MATERIALIZED VIEW n AS SELECT id, name FROM person WITH NO DATA',
    'CREATE UNIQUE INDEX ON indexed (id)',
    'SELECT count(*) FROM indexed JOIN person USING (name)',
    'SELECT schemaname, matviewname, hasindexes, ispopulated, definition FROM pg_matviews ORDER BY 2',
    "SELECT relname, relkind, relispopulated, relhasrules, relhassubclass, relnatts FROM pg_class WHERE relname IN ('indexed', 'n') ORDER BY 1",
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
    "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = 'indexed'::regclass AND attnum > 0 ORDER BY attnum",
    "SELECT pg_get_viewdef('indexed'::regclass, true)",
    "SELECT viewname FROM pg_views WHERE schemaname = 'public'",
    'SELECT foreign_table_name FROM information_schema.foreign_tables',
    'SELECT count(*) FROM pg_foreign_table',
    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'indexed'",
    "SELECT pg_describe_object('pg_class'::regclass, 'n'::regclass, 0)",
    'DROP MATERIALIZED VIEW indexed, n',
  ],
  'over functions, which find nothing by the search_path': [
    'CREATE FUNCTION after(i int) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(name) FROM person WHERE id > i $$',
    'CREATE FUNCTION within(i int) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(name) FROM public.person WHERE id > i $$',
    'CREATE FUNCTION known(t text) RETURNS bool LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (SELECT FROM place WHERE town = t); END $$',
    "SELECT after(1), within(1), known('Ulm')",
    'CREATE MATERIALIZED VIEW m AS SELECT id, name, after(1) AS more FROM person',
    'CREATE MATERIALIZED VIEW m AS SELECT id, name, known(town) AS known FROM person',
    'CREATE MATERIALIZED VIEW m AS SELECT after(1) AS more',
    'CREATE MATERIALIZED VIEW m AS SELECT id, name, after(1) AS more FROM person WITH NO DATA',
    'BEGIN',
    'SAVEPOINT s',
    'REFRESH MATERIALIZED VIEW m',
    'ROLLBACK TO s',
    'SHOW search_path',
    'SELECT after(2)',
    'COMMIT',
    'REFRESH MATERIALIZED VIEW m',
    'SELECT after(3)',
    'SELECT * FROM m',
    'DROP MATERIALIZED VIEW m',
    'BEGIN',
    'SET search_path = public, pg_temp',
    'CREATE MATERIALIZED VIEW m AS SELECT id, name, within(id) AS more FROM person',
    'SELECT * FROM m ORDER BY id',
    'SHOW search_path',
    'SELECT count(*) FROM person',
    'COMMIT',
    'SHOW search_path',
    "INSERT INTO person VALUES (8, NULL, 'Ford', NULL, NULL)",
    'REFRESH MATERIALIZED VIEW m',
    'SELECT * FROM m ORDER BY id',
    'SHOW search_path',
    'RESET search_path',
    'DELETE FROM person WHERE id = 8',
    'DROP MATERIALIZED VIEW m',
    'DROP FUNCTION after(int), within(int), known(text)',
  ],
  'in transactions': [
    'BEGIN',
    'CREATE MATERIALIZED VIEW m AS SELECT id, name FROM person',
    'SELECT * FROM m ORDER BY id',
    'SAVEPOINT s',
    "INSERT INTO person VALUES (7, 'Wien', 'Ford', 7, NULL)",
    'REFRESH MATERIALIZED VIEW m',
    'SELECT * FROM m ORDER BY id',
    'ROLLBACK TO s',
    'SELECT * FROM m ORDER BY id',
    'COMMIT',
    'SELECT * FROM m ORDER BY id',
    'BEGIN',
    'REFRESH MATERIALIZED VIEW m WITH NO DATA',
    'SELECT * FROM m',
    'ROLLBACK',
    'SELECT * FROM m ORDER BY id',
    'BEGIN',
    'DROP MATERIALIZED VIEW m',
    'ROLLBACK',
    'SELECT count(*) FROM m',
    'DROP MATERIALIZED VIEW m',
  ],
  'of computed rows in the clear': [
    'CREATE MATERIALIZED VIEW towns AS SELECT town, count(*) AS people FROM person GROUP BY town',
    'SELECT * FROM towns ORDER BY town',
    'SELECT sum(people) FROM towns',
    'CREATE VIEW large AS SELECT town FROM towns WHERE people > 1',
    'SELECT * FROM large',
    "INSERT INTO towns VALUES ('Wien', 1)",
    'REFRESH MATERIALIZED VIEW towns',
    'SELECT t.people, p.name FROM towns t JOIN person p USING (town) ORDER BY p.id',
    'DROP MATERIALIZED VIEW towns CASCADE',
  ],
};

suite('materialised views', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  const inCloud = async (sql: string): Promise<pg.QueryResult> => {
    const cloud = new pg.Client({ ...sides.recorded.proxy.behind });
    await cloud.connect();
    try {
      return await cloud.query(sql);
    } finally {
      await cloud.end();
    }
  };

  for (const [theme, steps] of Object.entries(told))
    for (const extended of [false, true])
      test(`are as PostgreSQL's: ${theme}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  test('cannot be written by COPY, and COPY goes out by their name', async () => {
    await sides.both('CREATE MATERIALIZED VIEW m AS SELECT id, name FROM person');
    for (const client of sides.clients)
      await assert.rejects(client.query('COPY m FROM STDIN'), { code: '42809' });
    await sides.play(['COPY m (name, id) TO STDOUT', 'DROP MATERIALIZED VIEW m'], false);
  });

  test('get equality tags for a unique index over their rows', async () => {
    for (const step of [
      'CREATE MATERIALIZED VIEW m AS SELECT id, name, town FROM person',
      'CREATE UNIQUE INDEX m_id ON m (id)',
      'CREATE UNIQUE INDEX m_name ON m (name)',
      'SELECT name FROM m WHERE id = 2',
      'REFRESH MATERIALIZED VIEW CONCURRENTLY m',
      'SELECT * FROM m ORDER BY id',
      'CREATE UNIQUE INDEX m_town ON m (town)',
      'ALTER INDEX m_name RENAME TO m_called',
      'DROP INDEX m_id, m_called',
      'DROP MATERIALIZED VIEW m',
    ])
      await sides.alike(step);
  });

  test('rows that a unique index forbids are an error of REFRESH', async () => {
    await sides.both(
      'CREATE MATERIALIZED VIEW indexed AS SELECT id % 4 AS id, name FROM person',
      'CREATE UNIQUE INDEX indexed_id ON indexed (id)',
      "INSERT INTO person VALUES (5, 'Ulm', 'Arthur', 1, NULL)",
    );
    for (const how of ['', 'CONCURRENTLY']) {
      const codes: unknown[] = [];
      for (const client of sides.clients)
        await client.query(`REFRESH MATERIALIZED VIEW ${how} indexed`).catch(error => {
          codes.push([error.code, error.message, error.constraint]);
        });
      assert.deepEqual(codes[0], codes[1]);
      assert.equal(codes.length, 2);
    }
    await sides.both("UPDATE person SET name = 'Zaphod' WHERE id = 5");
    await sides.alike('SELECT * FROM indexed ORDER BY id');
    for (const client of sides.clients)
      await assert.rejects(client.query('REFRESH MATERIALIZED VIEW CONCURRENTLY indexed'), {
        code: '21000',
        message: 'new data for materialized view "indexed" contains duplicate rows without any null columns',
      });
    await sides.both('DELETE FROM person WHERE id = 5', 'DROP MATERIALIZED VIEW indexed');
  });

  test('can be read while they are refreshed CONCURRENTLY', async () => {
    await sides.both(
      'CREATE MATERIALIZED VIEW indexed AS SELECT id, name FROM person',
      'CREATE UNIQUE INDEX indexed_id ON indexed (id)',
      "INSERT INTO person VALUES (5, 'Ulm', 'Arthur', 1, NULL)",
    );
    const { proxy } = sides.recorded;
    const other = new pg.Client({ ...proxy });
    await other.connect();
    try {
      const look = 'SELECT count(*)::int AS n, count(upper(name))::int AS named FROM indexed';
      await sides.ours.query('BEGIN');
      await sides.ours.query('REFRESH MATERIALIZED VIEW CONCURRENTLY indexed');
      assert.deepEqual((await other.query(look)).rows, [{ n: 4, named: 3 }]);
      assert.deepEqual((await sides.ours.query(look)).rows, [{ n: 5, named: 4 }]);
      await sides.ours.query('COMMIT');
      assert.deepEqual((await other.query(look)).rows, [{ n: 5, named: 4 }]);
      // without it, readers wait
      await sides.ours.query('BEGIN');
      await sides.ours.query('REFRESH MATERIALIZED VIEW indexed');
      await other.query("SET lock_timeout = '200ms'");
      await assert.rejects(other.query(look), { code: '55P03' });
      await sides.ours.query('ROLLBACK');
      // a plan that was made while it could be read finds none when it cannot
      await other.query('RESET lock_timeout');
      const planned = { name: 'planned', text: 'SELECT count(*)::int AS n FROM indexed' };
      assert.deepEqual((await other.query(planned)).rows, [{ n: 5 }]);
      await sides.ours.query('BEGIN');
      await sides.ours.query('REFRESH MATERIALIZED VIEW indexed WITH NO DATA');
      const waiting = assert.rejects(other.query(planned), { code: /^(42P01|55000|40001)$/ });
      await sides.ours.query('COMMIT');
      await waiting;
      await assert.rejects(other.query(planned), { code: '55000' });
    } finally {
      await other.end();
    }
    await sides.both('DROP MATERIALIZED VIEW indexed', 'DELETE FROM person WHERE id = 5');
  });

  test('a protected value comes into no column in the clear, by REFRESH neither', async () => {
    for (const sql of [
      'CREATE MATERIALIZED VIEW towns AS SELECT name AS town, 1 AS people FROM person',
      'CREATE MATERIALIZED VIEW towns AS SELECT name AS town, 1 AS people FROM person WITH NO DATA',
      'CREATE MATERIALIZED VIEW indexed AS SELECT length(name) AS id, name FROM person',
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000', message: /would flow to/ });
  });

  test('over unprotected tables alone are the cloud\u2019s own', async () => {
    const { ours } = sides;
    await ours.query('CREATE MATERIALIZED VIEW shown AS SELECT id, town FROM place');
    await ours.query("INSERT INTO place VALUES (9, 'Wien')");
    await ours.query('REFRESH MATERIALIZED VIEW shown');
    const populated = "SELECT ispopulated FROM pg_matviews WHERE matviewname = 'shown'";
    assert.deepEqual((await ours.query(populated)).rows, [{ ispopulated: true }]);
    assert.deepEqual((await ours.query('SELECT town FROM shown WHERE id = 9')).rows, [{ town: 'Wien' }]);
    const { rows } = await inCloud("SELECT relkind FROM pg_class WHERE relname = 'shown'");
    assert.deepEqual(rows, [{ relkind: 'm' }]);
    await assert.rejects(ours.query('SELECT upper(name) FROM person JOIN shown USING (town)'), {
      code: '0A000',
    });
    await ours.query('ALTER MATERIALIZED VIEW shown RENAME TO seen');
    await ours.query('REFRESH MATERIALIZED VIEW seen WITH NO DATA');
    await assert.rejects(ours.query('SELECT * FROM seen'), { code: '55000' });
    await ours.query('DROP MATERIALIZED VIEW seen');
    await ours.query('DELETE FROM place WHERE id = 9');
  });

  test('are found as they were left by the next start', async () => {
    const { ours, recorded } = sides;
    const { trusted, database, behind } = recorded.proxy;
    for (const sql of [
      'CREATE MATERIALIZED VIEW indexed AS SELECT id, name FROM person',
      'CREATE UNIQUE INDEX indexed_id ON indexed (id)',
      'CREATE MATERIALIZED VIEW m AS SELECT id, name FROM indexed WITH NO DATA',
      'CREATE MATERIALIZED VIEW towns AS SELECT town, count(*) AS people FROM person GROUP BY town',
      'CREATE MATERIALIZED VIEW shown AS SELECT id, town FROM place',
      'SELECT upper(name) FROM indexed JOIN towns ON id = people',
    ])
      await ours.query(sql);
    const cloud = new pg.Client({ ...behind });
    await cloud.connect();
    const shadow = await trusted.shadowAdmin(database).connect();
    try {
      for (const client of [cloud, shadow]) await client.query('BEGIN');
      const { tables } = await loadCatalog(trusted.state, 'main');
      const found = compareWithCloud(
        await describeDatabase(readerOf(cloud)),
        await describeDatabase(readerOf(shadow)),
        tables.values(),
        encodingRegistry(),
      );
      const { objects: _objects, ...ofTables } = found;
      assert.deepEqual(ofTables, { unknown: [], changed: [], missing: [], damaged: [], mended: [] });
      assert.ok([...tables.values()].some(({ materialised }) => materialised === 'unpopulated'));
      // what drops carriers at a start makes views of them again
      await dropCarriers(text => shadow.query(text));
      const { rows } = await shadow.query(
        "SELECT relname, relkind, relhasindex, relhasrules FROM pg_class WHERE relname IN ('indexed', 'towns') ORDER BY 1",
      );
      assert.deepEqual(rows, [
        { relname: 'indexed', relkind: 'm', relhasindex: true, relhasrules: true },
        { relname: 'towns', relkind: 'm', relhasindex: false, relhasrules: true },
      ]);
    } finally {
      await shadow.query('ROLLBACK');
      shadow.release();
      await cloud.end();
    }
    await ours.query('DROP MATERIALIZED VIEW indexed, m, towns, shown');
  });

  test('their rows stand sealed in the cloud, and nowhere on the trusted side', async () => {
    const { ours, recorded } = sides;
    await ours.query('CREATE MATERIALIZED VIEW m AS SELECT id, upper(name) AS loud FROM person');
    await ours.query('SELECT lower(loud) FROM m');
    const { rows } = await inCloud('SELECT * FROM m');
    assert.equal(rows.length, 4);
    const text = rows.map(row => Object.values(row).map(String).join(' ')).join('\n');
    for (const sentinel of sentinels) assert.ok(!text.includes(sentinel));
    const { rows: kinds } = await inCloud("SELECT relkind FROM pg_class WHERE relname = 'm'");
    assert.deepEqual(kinds, [{ relkind: 'r' }]);
    const { trusted, database } = recorded.proxy;
    const held = await trusted
      .shadowAdmin(database)
      .query("SELECT coalesce(pg_relation_size('public.m'), 0) AS size");
    assert.equal(Number(held.rows[0].size), 0);
    await ours.query('DROP MATERIALIZED VIEW m');
  });

  test('show the cloud no protected value', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), `${sentinel} was sent`);
  });
});
