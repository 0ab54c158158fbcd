/** REINDEX, CLUSTER, ALTER INDEX and what else is said of how tables and their indexes are stored, as PostgreSQL does it. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { type Beside, beside } from '../../support/beside.js';
import type { Step } from '../../support/outcome.js';

const columns = `tables:
  public.person:
    columns:
      id: { protect: none }
      town: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      born: { class: confidential, protect: encrypt }
  public.made:
    columns:
      id: { queries: [equality] }
      name: { queries: [equality] }
      code: { queries: [equality] }
  public.parent: { columns: { id: { queries: [equality], domain: parent } } }
  public.child: { columns: { parent: { queries: [equality], domain: parent } } }
  public.seen: { columns: { id: { queries: [equality] } } }
  public.clear: { columns: { id: { protect: none }, note: { protect: none } } }`;

const tables = [
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, born date)',
  'CREATE INDEX person_town ON person (town)',
  'CREATE INDEX person_lower ON person (lower(town))',
  'CREATE UNIQUE INDEX person_name ON person (name)',
  'CREATE INDEX person_loud ON person (upper(name))',
  'CREATE UNIQUE INDEX person_quiet ON person (lower(name))',
  'CREATE TABLE clear (id int PRIMARY KEY, note text)',
  'CREATE INDEX clear_note ON clear (note)',
  'CREATE TABLE parted (id int, name text) PARTITION BY RANGE (id)',
  'CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)',
  'CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20)',
  'CREATE INDEX parted_id ON parted (id)',
  'CREATE SCHEMA store',
  'CREATE TABLE store.box (id int PRIMARY KEY, label text)',
  "INSERT INTO person VALUES (2, 'Ulm', 'Zaphod', '1970-01-01'), (1, 'Bonn', 'Trillian', '1980-01-01')",
  "INSERT INTO clear VALUES (1, 'a'), (2, 'b')",
  "INSERT INTO parted VALUES (1, 'Zaphod'), (11, 'Trillian')",
];

/** Reads partitions and a materialised view, whose rows are carried by them themselves from then on. */
const read =
  "SELECT (SELECT count(*) FROM parted WHERE name > 'A'), (SELECT count(*) FROM seen WHERE name > 'A')";

const steps: Readonly<Record<string, readonly Step[]>> = {
  'what is done to tables that have been read': [
    'CREATE MATERIALIZED VIEW seen AS SELECT id, name FROM parted',
    'CREATE UNIQUE INDEX seen_id ON seen (id)',
    ...[
      'REINDEX INDEX CONCURRENTLY parted_1_id_idx',
      'REINDEX INDEX parted_1_id_idx',
      'REINDEX TABLE CONCURRENTLY parted_1',
      'REINDEX TABLE parted_1',
      'REINDEX TABLE CONCURRENTLY parted',
      'REINDEX TABLE parted',
      'REINDEX INDEX CONCURRENTLY parted_id',
      'REINDEX SCHEMA public',
      'REINDEX TABLE CONCURRENTLY seen',
      'REINDEX INDEX seen_id',
      'CLUSTER seen USING seen_id',
      'CLUSTER parted_1 USING parted_1_id_idx',
      'CLUSTER',
      'ALTER INDEX parted_1_id_idx SET (fillfactor = 70)',
      "COMMENT ON TABLE parted_1 IS 'the first'",
      "COMMENT ON MATERIALIZED VIEW seen IS 'seen'",
      'BEGIN; REINDEX TABLE parted_1; COMMIT',
    ].flatMap(sql => [read, sql]),
    "SELECT obj_description('parted_1'::regclass)",
    'DROP MATERIALIZED VIEW seen',
  ],
  REINDEX: [
    'REINDEX TABLE person',
    'REINDEX TABLE public.clear',
    'REINDEX INDEX person_town',
    'REINDEX INDEX person_name',
    'REINDEX INDEX person_loud',
    'REINDEX INDEX public.person_pkey',
    'REINDEX INDEX person',
    'REINDEX TABLE person_town',
    'REINDEX TABLE nothing',
    'REINDEX INDEX nothing',
    'REINDEX (VERBOSE) INDEX person_town',
    'REINDEX (nonsense) TABLE person',
    'REINDEX (CONCURRENTLY off) TABLE person',
    'REINDEX TABLE CONCURRENTLY person',
    'REINDEX INDEX CONCURRENTLY person_name',
    'REINDEX (CONCURRENTLY) INDEX clear_note',
    'REINDEX INDEX CONCURRENTLY nothing',
    'REINDEX TABLE parted',
    'REINDEX INDEX parted_id',
    'REINDEX TABLE CONCURRENTLY parted',
    'REINDEX INDEX CONCURRENTLY parted_id',
    'REINDEX SCHEMA store',
    'REINDEX SCHEMA CONCURRENTLY store',
    'REINDEX SCHEMA nothing',
    'REINDEX DATABASE nothing',
    'BEGIN',
    'REINDEX TABLE person',
    'REINDEX INDEX person_name',
    'ROLLBACK',
    ...[
      'TABLE CONCURRENTLY person',
      'INDEX CONCURRENTLY person_town',
      'SCHEMA store',
      'TABLE parted',
    ].flatMap(what => ['BEGIN', `REINDEX ${what}`, 'ROLLBACK']),
    'SELECT name FROM person WHERE name = $$Zaphod$$ ORDER BY id',
  ],
  CLUSTER: [
    'CLUSTER person',
    'CLUSTER person USING person_pkey',
    'CLUSTER person',
    'SELECT indexrelid::regclass::text FROM pg_index WHERE indisclustered ORDER BY 1',
    'CLUSTER person USING person_name',
    'CLUSTER person USING person_loud',
    'CLUSTER person USING clear_note',
    'CLUSTER person USING nothing',
    'CLUSTER nothing',
    'CLUSTER clear USING clear_note',
    'CLUSTER clear_note ON clear',
    'CLUSTER parted USING parted_id',
    'CLUSTER parted',
    'CLUSTER',
    'BEGIN',
    'CLUSTER person USING person_town',
    'ROLLBACK',
    'SELECT indexrelid::regclass::text FROM pg_index WHERE indisclustered ORDER BY 1',
    'ALTER TABLE person CLUSTER ON person_town',
    'SELECT indexrelid::regclass::text FROM pg_index WHERE indisclustered ORDER BY 1',
    'ALTER TABLE person SET WITHOUT CLUSTER',
    'CLUSTER person',
    'SELECT id, name FROM person ORDER BY id',
  ],
  'ALTER INDEX': [
    'ALTER INDEX person_town SET (fillfactor = 40)',
    'ALTER INDEX person_name SET (fillfactor = 50)',
    'ALTER INDEX person_loud SET (fillfactor = 60, deduplicate_items = off)',
    'ALTER INDEX clear_note SET (fillfactor = 70)',
    "SELECT relname, reloptions FROM pg_class WHERE relname ~ '^(person|clear)_' ORDER BY 1",
    'ALTER INDEX person_town RESET (fillfactor)',
    'ALTER INDEX person_town SET (fillfactor = 4)',
    'ALTER INDEX person_town SET (nonsense = 4)',
    'ALTER INDEX IF EXISTS nothing SET (fillfactor = 40)',
    'ALTER INDEX nothing SET (fillfactor = 40)',
    'ALTER INDEX person_lower ALTER COLUMN 1 SET STATISTICS 100',
    'ALTER INDEX person_loud ALTER COLUMN 1 SET STATISTICS 100',
    'ALTER INDEX person_quiet ALTER COLUMN 1 SET STATISTICS 100',
    'REINDEX INDEX person_quiet',
    'DROP INDEX person_quiet',
    'ALTER INDEX person_town ALTER COLUMN 1 SET STATISTICS 100',
    'ALTER INDEX person_name ALTER COLUMN 4 SET STATISTICS 100',
    'ALTER INDEX person_town ALTER COLUMN town SET (n_distinct = 100)',
  ],
  'ADD CONSTRAINT USING INDEX': [
    'CREATE TABLE made (id int, name text, code text)',
    "INSERT INTO made VALUES (1, 'Zaphod', 'a'), (2, 'Trillian', 'b')",
    'CREATE UNIQUE INDEX made_id ON made (id)',
    'CREATE UNIQUE INDEX made_name ON made (name)',
    'CREATE UNIQUE INDEX made_code ON made (code) INCLUDE (name)',
    'CREATE INDEX made_loose ON made (code)',
    'ALTER TABLE made ADD CONSTRAINT made_key PRIMARY KEY USING INDEX made_id',
    'ALTER TABLE made ADD UNIQUE USING INDEX made_name',
    'ALTER TABLE made ADD CONSTRAINT made_code UNIQUE USING INDEX made_code',
    'ALTER TABLE made ADD UNIQUE USING INDEX made_loose',
    'ALTER TABLE made ADD UNIQUE USING INDEX nothing',
    "INSERT INTO made VALUES (1, 'Ford', 'c')",
    "INSERT INTO made VALUES (3, 'Zaphod', 'c')",
    "INSERT INTO made VALUES (3, 'Ford', 'a')",
    "INSERT INTO made VALUES (NULL, 'Ford', 'c')",
    'SELECT conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $$made$$::regclass ORDER BY 1',
    'DROP INDEX made_key',
    'ALTER TABLE made DROP CONSTRAINT made_name',
    "INSERT INTO made VALUES (3, 'Zaphod', 'c')",
  ],
  'REPLICA IDENTITY, OF and ALTER CONSTRAINT': [
    'ALTER TABLE person REPLICA IDENTITY FULL',
    'ALTER TABLE person REPLICA IDENTITY NOTHING',
    'ALTER TABLE person REPLICA IDENTITY USING INDEX person_town',
    'ALTER TABLE person REPLICA IDENTITY USING INDEX person_name',
    'ALTER TABLE person ALTER name SET NOT NULL',
    'ALTER TABLE person REPLICA IDENTITY USING INDEX person_name',
    'SELECT relreplident::text, (SELECT indexrelid::regclass::text FROM pg_index WHERE indisreplident AND indrelid = c.oid) FROM pg_class c WHERE relname = $$person$$',
    'ALTER TABLE person ALTER name DROP NOT NULL',
    'ALTER TABLE person REPLICA IDENTITY DEFAULT',
    'ALTER TABLE person SET WITHOUT OIDS',
    'CREATE TYPE kind AS (id int, note text)',
    'CREATE TABLE typed (id int, note text)',
    'ALTER TABLE typed OF kind',
    'ALTER TABLE typed ADD more int',
    'ALTER TABLE typed NOT OF',
    'ALTER TABLE person OF kind',
    'ALTER TABLE person NOT OF',
    'CREATE TABLE parent (id int PRIMARY KEY)',
    'CREATE TABLE child (id int, parent int CONSTRAINT child_parent REFERENCES parent)',
    'ALTER TABLE child ALTER CONSTRAINT child_parent DEFERRABLE INITIALLY DEFERRED',
    'BEGIN',
    'INSERT INTO child VALUES (1, 99)',
    'DELETE FROM child',
    'COMMIT',
    'ALTER TABLE child ALTER CONSTRAINT child_parent NOT DEFERRABLE',
    'INSERT INTO child VALUES (1, 99)',
    'ALTER TABLE child ALTER CONSTRAINT nothing DEFERRABLE',
  ],
  'CONCURRENTLY of temporary tables': [
    'CREATE TEMP TABLE passing (id int, name text)',
    'CREATE INDEX CONCURRENTLY passing_id ON passing (id)',
    'REINDEX TABLE CONCURRENTLY passing',
    'REINDEX INDEX passing_id',
    'BEGIN',
    'REINDEX INDEX CONCURRENTLY passing_id',
    'ROLLBACK',
    'BEGIN',
    'CREATE INDEX CONCURRENTLY passing_name ON passing (name)',
    'ROLLBACK',
    'CLUSTER passing USING passing_id',
    'DROP INDEX CONCURRENTLY passing_id',
  ],
};

const indexes = `SELECT relname::text, relfilenode::text, reloptions::text FROM pg_class
  WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace`;

/** What of the indexes in the cloud a statement has changed, by name. */
async function changedBy(
  { recorded: { proxy, ours } }: Beside,
  statement: string,
): Promise<readonly string[]> {
  const cloud = new pg.Client(proxy.behind);
  await cloud.connect();
  const read = async (): Promise<Map<string, string>> => {
    const { rows } = await cloud.query<{ relname: string }>(indexes);
    return new Map(rows.map(row => [row.relname, JSON.stringify(row)]));
  };
  try {
    const before = await read();
    await ours.query(statement);
    const after = [...(await read())];
    return after.filter(([name, what]) => before.get(name) !== what).map(([name]) => name);
  } finally {
    await cloud.end();
  }
}

suite('maintenance of indexes', { timeout: 200_000 }, () => {
  const tested = beside(`unlisted: encrypt\n${columns}`, tables);

  for (const [name, of] of Object.entries(steps))
    test(`${name} is as in PostgreSQL`, async () => {
      assert.deepEqual(await tested.unorderedDifferences(of), []);
    });

  test('it is done in the cloud, on what stands there', async () => {
    for (const word of ['', ' CONCURRENTLY']) {
      assert.deepEqual(await changedBy(tested, `REINDEX INDEX${word} person_name`), ['person_name']);
      assert.deepEqual(await changedBy(tested, `REINDEX INDEX${word} person_loud`), []);
      assert.ok((await changedBy(tested, `REINDEX TABLE${word} person`)).length >= 3);
    }
    assert.ok((await changedBy(tested, 'CLUSTER person USING person_name')).includes('person_name'));
    assert.deepEqual(await changedBy(tested, 'ALTER INDEX person_name SET (fillfactor = 77)'), [
      'person_name',
    ]);
  });

  test('it may be done while others read partitions', async () => {
    const { proxy } = tested.recorded;
    const [reader, worker] = [new pg.Client(proxy), new pg.Client(proxy)];
    await Promise.all([reader.connect(), worker.connect()]);
    try {
      let over = false;
      const reading = (async () => {
        while (!over) {
          const { rows } = await reader.query("SELECT count(*)::int AS n FROM parted WHERE name > 'A'");
          assert.equal(rows[0].n, 2);
        }
      })();
      try {
        for (let i = 0; i < 15; i++)
          for (const sql of ['REINDEX INDEX CONCURRENTLY parted_1_id_idx', 'REINDEX TABLE parted', 'CLUSTER'])
            await worker.query(sql);
      } finally {
        over = true;
        await reading;
      }
    } finally {
      await Promise.all([reader.end(), worker.end()]);
    }
  });

  test('the cloud has heard of no value', () => {
    assert.doesNotMatch(tested.recorded.sent(), /Zaphod|Trillian/);
  });
});

suite('maintenance of indexes whose names are hidden', { timeout: 200_000 }, () => {
  const tested = beside(`names: hidden\nunlisted: encrypt\n${columns}`, tables);

  for (const [name, of] of Object.entries(steps))
    test(`${name} is as in PostgreSQL`, async () => {
      assert.deepEqual(await tested.unorderedDifferences(of), []);
    });

  test('the cloud has heard of no name', async () => {
    assert.equal((await changedBy(tested, 'REINDEX INDEX person_name')).length, 1);
    assert.doesNotMatch(tested.recorded.sent(), /Zaphod|Trillian|person_|parted_|made_|child_/);
  });
});
