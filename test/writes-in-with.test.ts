/** Writes within WITH over tables whose rows stand in several tables of the cloud, and over one table several times. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import pg from 'pg';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const policy = `unlisted: refuse
tables:
  public.job:
    columns:
      queue: { protect: none }
      id: { protect: none }
      state: { protect: none }
      data: { class: confidential, protect: encrypt }
      owner: { class: identifier, protect: encrypt, queries: [equality] }
  public.archive:
    columns:
      queue: { protect: none }
      id: { protect: none }
      data: { class: confidential, protect: encrypt }
  public.ward:
    columns:
      id: { protect: none }
      town: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      beds: { class: confidential, protect: encrypt }
  public.bed:
    columns:
      id: { protect: none }
      town: { class: identifier, protect: encrypt }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.item:
    columns:
      id: { protect: none }
      label: { class: identifier, protect: encrypt, queries: [equality] }
      count: { class: confidential, protect: encrypt }
  public.place:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      within: { protect: none }
  public.fired:
    columns:
      id: { protect: none }
      note: { class: confidential, protect: encrypt }
  public.plain:
    columns:
      id: { protect: none }`;

const schema = [
  `CREATE TABLE job (queue text, id int, state int DEFAULT 0, data text, owner text, PRIMARY KEY (queue, id),
     UNIQUE (queue, owner)) PARTITION BY LIST (queue)`,
  "CREATE TABLE job_a PARTITION OF job FOR VALUES IN ('a')",
  "CREATE TABLE job_b PARTITION OF job FOR VALUES IN ('b', 'c')",
  'CREATE TABLE job_rest PARTITION OF job DEFAULT',
  'CREATE TABLE archive (queue text, id int, data text, PRIMARY KEY (queue, id))',
  'CREATE TABLE ward (id int, town text, beds int) PARTITION BY LIST (town)',
  "CREATE TABLE ward_u PARTITION OF ward FOR VALUES IN ('Ulmopolis', NULL)",
  'CREATE TABLE ward_rest PARTITION OF ward DEFAULT',
  'CREATE TABLE person (id int PRIMARY KEY, name text UNIQUE)',
  'CREATE TABLE patient (illness text) INHERITS (person)',
  'CREATE TABLE item (id serial PRIMARY KEY, label text UNIQUE, count int DEFAULT 1)',
  'CREATE TABLE bed (id int PRIMARY KEY, town text REFERENCES item (label) ON DELETE CASCADE ON UPDATE CASCADE)',
  'CREATE TABLE plain (id int)',
  "INSERT INTO job SELECT substr('abcd', 1 + i % 4, 1), i, i % 3, 'secret ' || i, 'Zaphod ' || i FROM generate_series(1, 24) i",
  "INSERT INTO archive VALUES ('a', 4, 'old')",
  "INSERT INTO ward VALUES (1, 'Ulmopolis', 10), (2, 'Bonnville', 20), (3, NULL, 30)",
  "INSERT INTO person VALUES (1, 'Marvin'), (2, 'Arthur')",
  "INSERT INTO patient VALUES (1, 'Marvin', 'none'), (3, 'Trillian', NULL)",
  "INSERT INTO item (label) VALUES ('Ulmopolis'), ('Bonnville'), ('Town')",
  "INSERT INTO bed VALUES (1, 'Ulmopolis'), (2, 'Bonnville')",
  'INSERT INTO plain VALUES (1), (2), (30)',
  'CREATE VIEW shown AS SELECT label, count FROM item',
  `CREATE TABLE place (id int PRIMARY KEY, name text, within int REFERENCES place ON DELETE SET NULL)`,
  "INSERT INTO place VALUES (1, 'Earth', NULL), (2, 'England', 1)",
  'CREATE TABLE fired (id int, note text)',
  "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END'",
  'CREATE TRIGGER fires BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION fire()',
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'rows that go from one table to another': [
    'WITH gone AS (DELETE FROM job WHERE state = 1 RETURNING *) INSERT INTO archive (queue, id, data) SELECT queue, id, data FROM gone ON CONFLICT DO NOTHING',
    "WITH gone AS (DELETE FROM job WHERE data LIKE '%2' RETURNING queue, id, data) INSERT INTO archive SELECT * FROM gone RETURNING data",
    'WITH back AS (DELETE FROM archive RETURNING *) INSERT INTO job (queue, id, data) SELECT queue, id + 100, upper(data) FROM back RETURNING queue, id, data',
    [
      "WITH gone AS (DELETE FROM person WHERE id = $1 RETURNING id, name) INSERT INTO archive SELECT 'p', id, max(name) FROM gone GROUP BY id",
      1,
    ],
  ],
  'rows that are deleted and inserted anew': [
    `WITH deleted AS (DELETE FROM job WHERE queue = 'a' AND state < 2 RETURNING *),
       again AS (INSERT INTO job (queue, id, state, data, owner) SELECT queue, id, state + 1, data || '!', owner FROM deleted ON CONFLICT DO NOTHING RETURNING *),
       failed AS (INSERT INTO job (queue, id, state, data, owner) SELECT queue, id, 9, data, owner FROM deleted WHERE id NOT IN (SELECT id FROM again) RETURNING *),
       results AS (SELECT * FROM again UNION ALL SELECT * FROM failed),
       letters AS (INSERT INTO job (queue, id, data) SELECT 'd', id + 1000, data FROM results WHERE state = 2)
     SELECT count(*), min(data) FROM results`,
    "WITH d AS (DELETE FROM job WHERE id = 8 RETURNING *) INSERT INTO job SELECT 'zz', id, state, data, owner FROM d RETURNING queue, data",
    "WITH d AS (DELETE FROM ward RETURNING *) INSERT INTO ward SELECT id, 'To ' || town, beds FROM d RETURNING *",
    "WITH d AS (DELETE FROM item WHERE label = 'Town' RETURNING *) INSERT INTO item SELECT id, label, count + 1 FROM d RETURNING *",
    "WITH d AS (DELETE FROM item WHERE label = 'Town' RETURNING *) INSERT INTO item SELECT id, label, count + 1 FROM d ON CONFLICT (label) DO UPDATE SET count = 100 RETURNING *",
    'WITH d AS (DELETE FROM patient WHERE id = 3 RETURNING *) INSERT INTO person SELECT id, name FROM d RETURNING *',
  ],
  'several INSERTs': [
    "WITH a AS (INSERT INTO job VALUES ('a', 101, 0, 'x', 'one') RETURNING id), b AS (INSERT INTO job VALUES ('b', 102, 0, 'y', 'two') RETURNING id, data) SELECT a.id, b.id, b.data FROM a, b",
    "WITH a AS (INSERT INTO job VALUES ('a', 103, 0, 'x', 'three')) INSERT INTO job VALUES ('b', 104, 0, 'y', 'four') RETURNING data",
    "WITH a AS (INSERT INTO job VALUES ('a', 105, 0, 'x', 'five') ON CONFLICT DO NOTHING) INSERT INTO job VALUES ('a', 105, 0, 'y', 'six') ON CONFLICT DO NOTHING RETURNING data",
    "WITH a AS (INSERT INTO job VALUES ('a', 106, 0, 'x', 'seven')) INSERT INTO job VALUES ('a', 106, 0, 'y', 'eight')",
    "WITH a AS (INSERT INTO item (label) VALUES ('one') RETURNING *) INSERT INTO item (label, count) SELECT label || ' more', count + 1 FROM a RETURNING label, count",
  ],
  'what another part reads': [
    "WITH i AS (INSERT INTO job VALUES ('a', 201, 0, 'x', 'p') RETURNING id) SELECT count(*) FROM job",
    "WITH i AS (INSERT INTO job_a VALUES ('a', 202, 0, 'x', 'q') RETURNING id) SELECT (SELECT count(*) FROM job WHERE data LIKE '%'), id FROM i",
    "WITH i AS (INSERT INTO job VALUES ('a', 203, 0, 'x', 'r') RETURNING id) SELECT (SELECT count(*) FROM job_a WHERE data LIKE '%'), id FROM i",
    "WITH i AS (INSERT INTO item (label) VALUES ('Town') ON CONFLICT DO NOTHING RETURNING label, count) SELECT * FROM i UNION ALL SELECT label, count FROM item WHERE label = 'Town'",
    "WITH i AS (INSERT INTO item (label) VALUES ('City') ON CONFLICT DO NOTHING RETURNING label, count) SELECT * FROM i UNION ALL SELECT label, count FROM item WHERE label = 'City'",
    "WITH i AS (INSERT INTO item (label) VALUES ('Village') ON CONFLICT (label) DO UPDATE SET count = item.count + 1 RETURNING label, count) SELECT i.label, i.count, item.count FROM i LEFT JOIN item USING (label)",
    "WITH i AS (INSERT INTO item (label) VALUES ('Village') ON CONFLICT (label) DO UPDATE SET count = item.count + 1 RETURNING label, count) SELECT i.label, i.count, item.count FROM i LEFT JOIN item USING (label)",
    "WITH i AS (INSERT INTO person VALUES (9, 'Ford') RETURNING id) SELECT count(name), max(i.id) FROM person, i",
    "WITH i AS (INSERT INTO patient VALUES (10, 'Tricia') RETURNING id) SELECT count(name), max(i.id) FROM person, i",
    "WITH d AS (DELETE FROM item WHERE label = 'Bonnville' RETURNING label), i AS (INSERT INTO archive SELECT 'w', 1, label FROM d) SELECT count(*) FROM bed, d",
    "WITH u AS (UPDATE job SET data = data || '?' WHERE id < 4 RETURNING id, data), i AS (INSERT INTO archive SELECT 'u', id, data FROM u) SELECT min(data), count(*) FROM job",
    "WITH u AS (UPDATE job SET state = 5 WHERE id = 3 RETURNING id) INSERT INTO job SELECT 'a', 300, 1, 'new', 'new' WHERE NOT EXISTS (SELECT FROM u)",
    "WITH u AS (UPDATE job SET state = 5 WHERE id = 3000 RETURNING id) INSERT INTO job SELECT 'a', 300, 1, 'new', 'new' WHERE NOT EXISTS (SELECT FROM u) RETURNING *",
    "WITH i AS (INSERT INTO job VALUES ('a', 301, 0, 'x', 'i1') RETURNING id) UPDATE job SET data = data || i.id FROM i WHERE job.id = 5 RETURNING data",
    "WITH i AS (INSERT INTO job VALUES ('a', 302, 0, 'x', 'i2') RETURNING id) DELETE FROM job USING i WHERE job.id = i.id OR job.id = 6 RETURNING job.id, data",
    "WITH i AS (INSERT INTO job VALUES ('a', 303, 0, 'x', 'i3')) UPDATE job SET state = 44 WHERE id IN (303, 7) RETURNING id, data",
    "WITH i AS (INSERT INTO job VALUES ('a', 304, 0, 'x', 'i4')) DELETE FROM job WHERE data = 'x' RETURNING id",
    "WITH i AS (INSERT INTO item (label) VALUES ('Hamlet') RETURNING label, count), s AS (SELECT * FROM shown) SELECT i.label, (SELECT max(count) FROM s WHERE s.label = 'Hamlet'), (SELECT count(*) FROM shown) FROM i",
    [
      'WITH i AS (INSERT INTO item (label, count) VALUES ($1, $2) ON CONFLICT (label) DO UPDATE SET count = excluded.count RETURNING label, count) SELECT i.*, item.count AS before FROM i LEFT JOIN item USING (label)',
      'Hamlet',
      8,
    ],
    "WITH RECURSIVE b AS (SELECT count(*) AS n FROM a), a AS (INSERT INTO job VALUES ('a', 210, 0, 'x', 's') RETURNING id) SELECT n, (SELECT count(data) FROM job) FROM b",
    "WITH i AS (INSERT INTO plain VALUES (77) RETURNING id), j AS (INSERT INTO archive SELECT 'plain', id, 'from plain' FROM i RETURNING data) SELECT data, (SELECT count(*) FROM plain), (SELECT count(data) FROM archive) FROM j",
    "WITH i AS (INSERT INTO job SELECT 'd', id + 500, state, data, owner || id FROM job WHERE queue = 'd' RETURNING id, data) SELECT count(*), max(data) FROM i",
  ],
  'what foreign keys see': [
    "WITH d AS (DELETE FROM item WHERE label = 'Bonnville' RETURNING label), i AS (INSERT INTO archive SELECT 'x', 1, label FROM d) SELECT (SELECT count(*) FROM bed), label FROM d",
    "WITH a AS (INSERT INTO bed SELECT id + 20, town FROM bed WHERE town LIKE 'U%' RETURNING id) DELETE FROM item WHERE label = 'Ulmopolis' RETURNING label",
    "WITH a AS (INSERT INTO item (label) VALUES ('Ulmopolis') RETURNING label) INSERT INTO bed SELECT id, a.label FROM plain, a RETURNING *",
    "WITH a AS (INSERT INTO item (label) VALUES ('new') RETURNING label) INSERT INTO bed SELECT 11, label FROM a RETURNING town",
    "WITH a AS (INSERT INTO place VALUES (3, 'London', 2) RETURNING id, name) INSERT INTO place SELECT 4, 'in ' || name, id FROM a RETURNING *",
    "WITH a AS (INSERT INTO place VALUES (5, 'Oslo', 6)), b AS (INSERT INTO place VALUES (6, 'Norway', 1) RETURNING id) SELECT id, (SELECT count(name) FROM place) FROM b",
    "WITH a AS (INSERT INTO place VALUES (7, 'Nowhere', 77) RETURNING id) SELECT count(name) FROM place, a",
    "WITH d AS (DELETE FROM place WHERE id = 1 RETURNING id, name) INSERT INTO place SELECT id, name || ' II', NULL FROM d RETURNING *",
    "WITH u AS (UPDATE item SET label = 'Ulm' WHERE label = 'Ulmopolis' RETURNING label) INSERT INTO archive SELECT 'u', 5, label || (SELECT string_agg(town, ',' ORDER BY id) FROM bed) FROM u RETURNING data",
  ],
  'rows that go to another partition, and rows that are written twice': [
    "WITH m AS (UPDATE job SET queue = 'd' WHERE id IN (3, 4) RETURNING id, data) INSERT INTO archive SELECT 'm', id, data FROM m RETURNING *",
    "WITH m AS (UPDATE job SET queue = 'd' WHERE id = 10 RETURNING queue, id, data) INSERT INTO job SELECT 'a', id, 1, data, 'again' FROM m RETURNING *",
    "WITH u AS (UPDATE job SET data = 'first' WHERE id = 11 RETURNING id), v AS (UPDATE job SET data = 'second' WHERE id = 11 RETURNING id) SELECT (SELECT count(*) FROM u) + (SELECT count(*) FROM v)",
    "WITH u AS (UPDATE job SET data = 'first' WHERE id = 12 RETURNING id) DELETE FROM job WHERE id = 12",
    "WITH u AS (UPDATE ward SET town = 'Bonn' WHERE id = 1 RETURNING *) INSERT INTO bed SELECT 7, 'Town' FROM u",
  ],
  MERGE: [
    "WITH m AS (MERGE INTO job USING plain ON job.id = plain.id WHEN MATCHED THEN UPDATE SET data = 'merged' WHEN NOT MATCHED THEN INSERT VALUES ('a', plain.id, 0, 'new', 'm' || plain.id) RETURNING merge_action(), job.id, job.data) SELECT * FROM m",
    "WITH m AS (MERGE INTO job USING plain ON job.id = plain.id WHEN MATCHED THEN DELETE RETURNING job.*) INSERT INTO archive SELECT 'merge', id, data FROM m RETURNING *",
    "WITH d AS (DELETE FROM archive RETURNING *) MERGE INTO job USING d ON job.id = d.id AND job.queue = 'a' WHEN MATCHED THEN UPDATE SET data = d.data WHEN NOT MATCHED THEN INSERT VALUES ('d', d.id + 700, 1, d.data, 'n' || d.id)",
    "WITH m AS (MERGE INTO job USING plain ON job.id = plain.id + 10 WHEN MATCHED THEN UPDATE SET data = 'merged' RETURNING job.id) SELECT count(*), (SELECT count(*) FROM job WHERE data = 'merged') FROM m",
  ],
};

const contents = [
  'SELECT tableoid::regclass::text AS t, * FROM job ORDER BY queue, id',
  'SELECT * FROM archive ORDER BY queue, id',
  'SELECT tableoid::regclass::text AS t, * FROM ward ORDER BY id, town',
  'SELECT tableoid::regclass::text AS t, * FROM person ORDER BY id, name',
  'SELECT label, count FROM item ORDER BY label',
  'SELECT * FROM bed ORDER BY id',
  'SELECT * FROM place ORDER BY id',
  'SELECT * FROM plain ORDER BY id',
];

/** What cannot be made right, with a word of the reason. */
const refused: Readonly<Record<string, RegExp>> = {
  "WITH a AS (INSERT INTO bed SELECT id + 20, town FROM bed WHERE town LIKE 'U%' RETURNING id) DELETE FROM item WHERE label = 'Ulmopolis' RETURNING label, (SELECT count(*) FROM bed)":
    /a foreign key may have to act on rows that the same statement writes/,
  "WITH i AS (INSERT INTO job VALUES ('a', 1, 0, 'x', 'y') ON CONFLICT DO NOTHING RETURNING id) UPDATE job SET data = 'z' FROM i WHERE job.id = i.id":
    /so that none sees what another one writes/,
  'WITH a AS (UPDATE job SET state = 1 WHERE id = 1 RETURNING id) UPDATE job_b SET state = 2 FROM a WHERE job_b.id = a.id':
    /by several names/,
  "WITH i AS (INSERT INTO fired VALUES (1, 'x') RETURNING note) SELECT count(*) FROM fired, i": /triggers/,
  "WITH a AS (INSERT INTO place VALUES (8, 'Oslo', 9) RETURNING id) INSERT INTO place SELECT id + 1, 'Norway', 1 FROM a ON CONFLICT DO NOTHING":
    /a foreign key does not hold in between/,
};

suite('writes within WITH', { timeout: 400_000 }, () => {
  const sides = beside(policy, schema);

  for (const extended of [false, true])
    for (const [what, list] of Object.entries(steps))
      test(`${what}: as in PostgreSQL, by the ${extended ? 'extended' : 'simple'} protocol`, async () => {
        await sides.both('ROLLBACK', 'BEGIN');
        for (const step of list) {
          await sides.both('SAVEPOINT s');
          assert.deepEqual(await sides.unorderedDifferences([step], extended), []);
          for (const sql of contents) await sides.alike(sql, step);
          // after an error the transaction is aborted
          if (!(await goesOn())) await sides.both('ROLLBACK TO s');
        }
        await sides.both('ROLLBACK');
      });

  const goesOn = (): Promise<boolean> =>
    sides.plain.query('SELECT 1').then(
      () => true,
      () => false,
    );

  test('without a transaction block, and in one that keeps its snapshot, the same is written', async () => {
    const list = [
      "WITH i AS (INSERT INTO item (label) VALUES ('Outside') RETURNING label) SELECT i.label, (SELECT count(label) FROM shown) FROM i",
      "WITH d AS (DELETE FROM job WHERE id IN (1, 2) RETURNING *) INSERT INTO job SELECT queue, id, 7, data || '.', owner FROM d",
      "WITH i AS (INSERT INTO job VALUES ('b', 900, 0, 'x', 'outside')) UPDATE job SET data = data || (SELECT count(data) FROM job) WHERE id = 3",
    ];
    assert.deepEqual(await sides.unorderedDifferences(list), []);
    await sides.both('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const more = list.map(sql => sql.replace('Outside', 'Inside').replace('900', '901'));
    assert.deepEqual(
      await sides.unorderedDifferences(more.map(sql => sql.replace("'outside'", "'inside'"))),
      [],
    );
    await sides.both('COMMIT');
    for (const sql of contents) await sides.alike(sql);
  });

  test('a part that reads what another one has written begins anew when other sessions write it too', async () => {
    const other = new pg.Client({ ...sides.recorded.proxy });
    await other.connect();
    const { ours } = sides;
    try {
      for (const begin of ['', 'BEGIN']) {
        await ours.query(begin);
        await other.query('BEGIN');
        await other.query("UPDATE item SET count = 50 WHERE label = 'Town'");
        await other.query(
          "INSERT INTO item (label, count) VALUES ('Race', 2) ON CONFLICT (label) DO UPDATE SET count = 2",
        );
        const waiting = ours.query({
          text: `WITH i AS (INSERT INTO item (label) VALUES ('Race') ON CONFLICT DO NOTHING RETURNING label, count),
              u AS (UPDATE job SET data = data || '~' WHERE id = 5 RETURNING id)
            SELECT label, count, true AS made FROM i UNION ALL SELECT label, count, false FROM item WHERE label IN ('Race', 'Town')`,
          rowMode: 'array',
        });
        const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        let ended = false;
        void waiting.finally(() => {
          ended = true;
        });
        while (!ended && (await sides.plain.query(waits)).rowCount === 0) await setImmediate();
        await other.query('COMMIT');
        assert.deepEqual([...(await waiting).rows].sort(), [
          ['Race', 2, false],
          ['Town', 50, false],
        ]);
        await ours.query(begin && 'COMMIT');
      }
      const { rows } = await ours.query({ text: 'SELECT data FROM job WHERE id = 5', rowMode: 'array' });
      assert.match(String(rows[0]), /[^~]~~$/);
    } finally {
      await other.end();
    }
  });

  test('sessions that make the same rows at once leave each once', async () => {
    const { ours } = sides;
    const others = await Promise.all(
      [1, 2, 3].map(async () => {
        const client = new pg.Client({ ...sides.recorded.proxy });
        await client.connect();
        return client;
      }),
    );
    try {
      const made = await Promise.all(
        others.map(async client => {
          let count = 0;
          for (let i = 0; i < 8; i++) {
            const { rows } = await client.query(
              `WITH i AS (INSERT INTO item (label) VALUES ($1) ON CONFLICT DO NOTHING RETURNING label)
               SELECT count(*)::int AS made, (SELECT count(*) FROM item WHERE label = $1)::int AS before FROM i`,
              [`Same ${i}`],
            );
            assert.equal(rows[0].made + rows[0].before, 1);
            count += rows[0].made;
          }
          return count;
        }),
      );
      assert.equal(
        made.reduce((sum, count) => sum + count, 0),
        8,
      );
      const { rows } = await ours.query("SELECT count(*)::int AS n FROM item WHERE label LIKE 'Same%'");
      assert.deepEqual(rows, [{ n: 8 }]);
    } finally {
      for (const client of others) await client.end();
    }
  });

  test('what cannot be made right is refused, and writes nothing', async () => {
    const { ours } = sides;
    const before = await Promise.all(contents.map(async sql => (await ours.query(sql)).rows));
    for (const [sql, reason] of Object.entries(refused))
      await assert.rejects(ours.query(sql), (error: pg.DatabaseError) => {
        assert.equal(error.code, '0A000', sql);
        assert.match(error.message, reason);
        return true;
      });
    assert.deepEqual(await Promise.all(contents.map(async sql => (await ours.query(sql)).rows)), before);
    await ours.query('BEGIN READ ONLY');
    await assert.rejects(
      ours.query(
        "WITH i AS (INSERT INTO item (label) VALUES ('x') RETURNING label) SELECT count(*) FROM item, i",
      ),
      { code: '25006' },
    );
    await ours.query('ROLLBACK');
  });

  test('shows the cloud no protected value', () => {
    for (const sentinel of [
      'secret ',
      'Zaphod',
      'Marvin',
      'Trillian',
      'Ulmopolis',
      'Bonnville',
      'Hamlet',
      'Norway',
    ])
      assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
  });
});
