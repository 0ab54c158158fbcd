/** ON CONFLICT, MERGE, FOR UPDATE and `tableoid` where rows of several tables of the cloud are meant by one name. */
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
  public.ward:
    columns:
      id: { protect: none }
      town: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      beds: { class: confidential, protect: encrypt }
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.news:
    columns:
      id: { protect: none }
      town: { class: quasi-identifier, protect: encrypt, queries: [equality] }
  public.plain:
    columns:
      id: { protect: none }`;

const schema = [
  `CREATE TABLE job (queue text, id int, state int DEFAULT 0, data text, owner text, PRIMARY KEY (queue, id),
     UNIQUE (queue, owner)) PARTITION BY LIST (queue)`,
  "CREATE TABLE job_a PARTITION OF job FOR VALUES IN ('a')",
  "CREATE TABLE job_b PARTITION OF job FOR VALUES IN ('b', 'c')",
  'CREATE TABLE job_rest PARTITION OF job DEFAULT',
  'CREATE TABLE ward (id int, town text, beds int, UNIQUE (town)) PARTITION BY LIST (town)',
  "CREATE TABLE ward_u PARTITION OF ward FOR VALUES IN ('Ulmopolis', NULL)",
  'CREATE TABLE ward_rest PARTITION OF ward DEFAULT',
  'CREATE TABLE person (id int PRIMARY KEY, name text UNIQUE)',
  'CREATE TABLE patient (illness text) INHERITS (person)',
  'CREATE TABLE news (id int PRIMARY KEY, town text)',
  'CREATE TABLE plain (id int)',
  "INSERT INTO job SELECT substr('abcd', 1 + i % 4, 1), i, i % 3, 'secret ' || i, 'Zaphod ' || i FROM generate_series(1, 24) i",
  "INSERT INTO ward VALUES (1, 'Ulmopolis', 10), (2, 'Bonnville', 20), (3, NULL, 30)",
  "INSERT INTO person VALUES (1, 'Marvin'), (2, 'Arthur')",
  "INSERT INTO patient VALUES (1, 'Marvin', 'none'), (3, 'Trillian', NULL)",
  "INSERT INTO news VALUES (1, 'Ulmopolis'), (2, 'Bonnville'), (7, 'Town')",
  'INSERT INTO plain VALUES (1), (2), (30)',
];

const steps: Readonly<Record<string, readonly Step[]>> = {
  'ON CONFLICT': [
    "INSERT INTO job VALUES ('a', 4, 1, 'new', 'Arthur'), ('e', 1, 1, 'new', 'Arthur') ON CONFLICT (queue, id) DO UPDATE SET data = job.data || excluded.data, state = job.state + 1 RETURNING queue, id, state, data",
    "INSERT INTO job VALUES ('b', 1, 1, 'x', 'Zaphod 1'), ('b', 100, 1, 'y', 'Marvin') ON CONFLICT (queue, owner) DO UPDATE SET owner = 'Trillian', data = excluded.data WHERE job.state > 0",
    "INSERT INTO job VALUES ('b', 1, 1, 'x', 'Trillian') ON CONFLICT ON CONSTRAINT job_pkey DO UPDATE SET state = 9",
    "INSERT INTO job VALUES ('c', 6, 1, 'x', 'One'), ('c', 6, 1, 'x', 'Two') ON CONFLICT (queue, id) DO UPDATE SET data = excluded.data",
    "INSERT INTO job VALUES ('d', 3, 1, 'x', 'One') ON CONFLICT (queue, id) DO UPDATE SET queue = 'a'",
    "INSERT INTO job_a VALUES ('a', 4, 1, 'x', 'One') ON CONFLICT (queue, id) DO UPDATE SET queue = 'd', data = 'none'",
    "INSERT INTO job_a VALUES ('a', 4, 1, 'x', 'One') ON CONFLICT (queue, id) DO UPDATE SET data = 'own'",
    "INSERT INTO job VALUES ('d', 3, 1, 'x', 'One') ON CONFLICT (queue, id) DO UPDATE SET queue = 'e', id = 3",
    "INSERT INTO job VALUES ('a', 8, 1, 'x', 'One') ON CONFLICT DO NOTHING RETURNING id",
    "INSERT INTO job SELECT 'a', i, 5, 'many', 'Many ' || i FROM generate_series(1, 20) i ON CONFLICT (queue, id) DO UPDATE SET state = excluded.state, data = excluded.data",
    [
      'INSERT INTO job (queue, id, data) VALUES ($1, $2, $3) ON CONFLICT (queue, id) DO UPDATE SET data = $3 RETURNING data, state',
      'b',
      5,
      'by parameter',
    ],
    "INSERT INTO ward VALUES (9, 'Ulmopolis', 1), (8, 'Town', 2) ON CONFLICT (town) DO UPDATE SET beds = ward.beds + excluded.beds RETURNING *",
    "INSERT INTO ward VALUES (9, 'Ulmopolis', 1) ON CONFLICT (town) DO UPDATE SET town = 'Bonn'",
    "INSERT INTO ward VALUES (9, 'Town', 1) ON CONFLICT (town) DO UPDATE SET town = 'Bonn'",
    "INSERT INTO person VALUES (3, 'Trillian'), (4, 'Zaphod') ON CONFLICT DO NOTHING",
    "INSERT INTO person VALUES (1, 'Ford'), (5, 'Ford') ON CONFLICT (id) DO UPDATE SET name = person.name || '!' RETURNING id, name",
    "INSERT INTO person VALUES (9, 'Marvin!') ON CONFLICT (name) DO UPDATE SET id = excluded.id",
    "INSERT INTO patient VALUES (1, 'x', 'y') ON CONFLICT DO NOTHING",
  ],
  MERGE: [
    `MERGE INTO job USING (VALUES ('a', 4), ('d', 3), ('f', 77)) s (queue, id) ON job.queue = s.queue AND job.id = s.id
       WHEN MATCHED AND job.id = 4 THEN DELETE WHEN MATCHED THEN UPDATE SET data = data || '?', state = 8
       WHEN NOT MATCHED THEN INSERT (queue, id, data) VALUES (s.queue, s.id, 'merged')`,
    "MERGE INTO job USING plain ON job.id = plain.id WHEN MATCHED THEN UPDATE SET queue = 'a' WHEN NOT MATCHED THEN DO NOTHING",
    `MERGE INTO ward USING news ON ward.town = news.town WHEN MATCHED AND news.id = 1 THEN UPDATE SET town = 'Bonn', beds = 5
       WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (news.id, news.town, 0)`,
    "MERGE INTO person USING news ON person.id = news.id WHEN MATCHED THEN UPDATE SET name = person.name || '+' WHEN NOT MATCHED THEN INSERT VALUES (news.id, 'new')",
    'MERGE INTO person USING plain ON person.id = plain.id WHEN MATCHED THEN DELETE',
    "MERGE INTO job_a USING plain ON job_a.id = plain.id WHEN MATCHED THEN UPDATE SET queue = 'b'",
  ],
  'FOR UPDATE': [
    'SELECT id, data FROM job WHERE state = 1 ORDER BY id LIMIT 3 FOR UPDATE',
    "SELECT id FROM job WHERE owner LIKE '%1' ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    'SELECT job.id, plain.id FROM job JOIN plain ON plain.id = job.id WHERE data IS NOT NULL ORDER BY 1 FOR SHARE OF job',
    'SELECT id, name FROM person ORDER BY id, name FOR KEY SHARE',
    "UPDATE job SET state = 3 WHERE (queue, id) IN (SELECT queue, id FROM job WHERE data LIKE 'secret%' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED) RETURNING id, data",
    'WITH next AS (SELECT queue, id FROM job WHERE state < 2 ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED) UPDATE job SET state = 4 FROM next WHERE job.queue = next.queue AND job.id = next.id RETURNING job.id, job.data',
  ],
};

const contents = [
  'SELECT tableoid::regclass::text AS t, * FROM job ORDER BY queue, id',
  'SELECT tableoid::regclass::text AS t, * FROM ward ORDER BY id, town',
  'SELECT tableoid::regclass::text AS t, * FROM person ORDER BY id, name',
];

suite('writes by the name of a partitioned table or a parent', { timeout: 400_000 }, () => {
  const sides = beside(policy, schema);

  for (const [what, list] of Object.entries(steps))
    test(`${what} does what PostgreSQL does`, async () => {
      await sides.both('BEGIN');
      for (const step of list) {
        await sides.both('SAVEPOINT s');
        const outcome = await sides.alike(step);
        if ('code' in outcome) await sides.both('ROLLBACK TO s');
        for (const sql of contents) await sides.alike(sql);
      }
      await sides.both('ROLLBACK');
    });

  test('rows that others hold are left out, and waited for', async () => {
    const other = new pg.Client({ ...sides.recorded.proxy });
    await other.connect();
    try {
      const queue =
        'SELECT queue, id FROM job WHERE data IS NOT NULL ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED';
      await other.query('BEGIN');
      const first = (await other.query(queue)).rows;
      await sides.ours.query('BEGIN');
      const second = (await sides.ours.query(queue)).rows;
      assert.deepEqual(
        [first.map(r => r.id), second.map(r => r.id)],
        [
          [1, 2],
          [3, 4],
        ],
      );
      await sides.ours.query('ROLLBACK');
      const waiting = sides.ours.query(
        "INSERT INTO job VALUES ('b', 1, 5, '+', 'x') ON CONFLICT (queue, id) DO UPDATE SET data = job.data || excluded.data RETURNING data",
      );
      await other.query("UPDATE job SET data = 'theirs' WHERE id = 1");
      await other.query('COMMIT');
      assert.deepEqual((await waiting).rows, [{ data: 'theirs+' }]);
    } finally {
      await other.end();
    }
  });

  test('two sessions that insert the same key through a partitioned table end as in PostgreSQL', async () => {
    const other = new pg.Client({ ...sides.recorded.proxy });
    await other.connect();
    try {
      const insert =
        "INSERT INTO job VALUES ('c', 500, 1, 'n', 'Both') ON CONFLICT (queue, id) DO UPDATE SET data = job.data || 'm'";
      await other.query('BEGIN');
      await other.query(insert);
      const waiting = sides.ours.query(insert);
      await other.query('COMMIT');
      assert.equal((await waiting).rowCount, 1);
      assert.deepEqual((await sides.ours.query('SELECT data FROM job WHERE id = 500')).rows, [
        { data: 'nm' },
      ]);
    } finally {
      await other.end();
    }
  });

  test('a row is not left out for one that another session is deleting or moving away', async () => {
    const other = new pg.Client({ ...sides.recorded.proxy });
    await other.connect();
    const { ours } = sides;
    const inserts: readonly (readonly [remove: string, insert: string, inserted: number])[] = [
      [
        "DELETE FROM job WHERE queue = 'd' AND id = 7",
        "INSERT INTO job VALUES ('d', 7, 1, 'n', 'Ours') ON CONFLICT DO NOTHING",
        1,
      ],
      [
        "UPDATE job SET queue = 'a' WHERE queue = 'b' AND id = 9",
        "INSERT INTO job VALUES ('b', 9, 1, 'n', 'Ours') ON CONFLICT DO NOTHING RETURNING upper(data)",
        1,
      ],
      [
        "UPDATE job SET state = 8 WHERE queue = 'd' AND id = 11",
        "INSERT INTO job VALUES ('d', 11, 1, 'n', 'None') ON CONFLICT DO NOTHING",
        0,
      ],
      [
        'DELETE FROM news WHERE id = 7',
        "INSERT INTO news SELECT 7, upper('town') ON CONFLICT (id) DO NOTHING RETURNING upper(town)",
        1,
      ],
    ];
    try {
      for (const [remove, insert, inserted] of inserts) {
        await other.query('BEGIN');
        assert.equal((await other.query(remove)).rowCount, 1, remove);
        await ours.query('BEGIN');
        let ended = false;
        const waiting = ours.query(insert).finally(() => {
          ended = true;
        });
        const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while (!ended && (await sides.plain.query(waits)).rowCount === 0) await setImmediate();
        await other.query('COMMIT');
        assert.equal((await waiting).rowCount, inserted, insert);
        // nothing stays locked that PostgreSQL would not lock
        await other.query("SET lock_timeout = '3s'");
        if (inserted === 0) await other.query("DELETE FROM job WHERE queue = 'd' AND id = 11");
        await ours.query('ROLLBACK');
      }
    } finally {
      await other.end();
    }
  });

  test('shows the cloud no protected value', () => {
    for (const sentinel of ['secret ', 'Zaphod', 'Marvin', 'Trillian', 'Ulmopolis', 'Bonnville'])
      assert.ok(!sides.recorded.sent().includes(sentinel), sentinel);
  });
});
