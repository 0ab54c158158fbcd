/** Unique indexes of expressions and with predicates over protected columns, beside a plain PostgreSQL. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { besideEncrypted } from './support/beside-encrypted.js';
import { copied } from './support/copying.js';
import { RawClient, say, told } from './support/raw-client.js';

const sides = besideEncrypted(({ code, message, table, constraint }) => ({
  code,
  message,
  table,
  constraint,
}));
const { same } = sides;

test('keep what an expression computes unique, whatever writes', () =>
  same(
    'CREATE TABLE account (id int, email text, kind text)',
    'CREATE UNIQUE INDEX account_email ON account (lower(email))',
    "INSERT INTO account VALUES (1, 'Ada@x.org', 'a')",
    "INSERT INTO account VALUES (2, 'ada@X.ORG', 'a')",
    "INSERT INTO account VALUES (2, 'bob@x.org', 'a'), (3, NULL, 'a'), (4, NULL, 'b')",
    "INSERT INTO account VALUES (5, 'c@x', 'c'), (6, 'C@x', 'c')",
    "UPDATE account SET email = 'ADA@x.org' WHERE id = 2",
    "UPDATE account SET email = 'ADA@x.org' WHERE id = 1",
    'UPDATE account SET email = upper(email) WHERE id = 2 RETURNING *',
    "UPDATE account SET kind = 'z' WHERE id = 3",
    "INSERT INTO account SELECT 7, 'bob@X.org', 'd'",
    "INSERT INTO account SELECT id + 10, email || '.uk', kind FROM account",
    'DELETE FROM account WHERE id = 1',
    "INSERT INTO account VALUES (1, 'aDa@x.org', 'again')",
    "MERGE INTO account a USING (VALUES (20, 'ADA@x.org')) AS s (id, email) ON a.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.email, 'm')",
    'SELECT * FROM account ORDER BY id, email',
    '\n TRUNCATE account',
    "INSERT INTO account VALUES (1, 'ADA@x.org', 'a')",
    'SELECT * FROM account',
    'DROP INDEX account_email',
    "INSERT INTO account VALUES (2, 'ada@x.org', 'a')",
    'CREATE UNIQUE INDEX account_email ON account (lower(email))',
    'DELETE FROM account WHERE id = 2',
    'CREATE UNIQUE INDEX account_email ON account (lower(email))',
    "INSERT INTO account VALUES (2, 'ada@x.org', 'a')",
    'ALTER INDEX account_email RENAME TO account_mail',
    "INSERT INTO account VALUES (2, 'ada@x.org', 'a')",
    'ALTER TABLE account RENAME COLUMN email TO mail',
    "INSERT INTO account VALUES (2, 'ada@x.org', 'a')",
    "INSERT INTO account VALUES (2, 'eve@x.org', 'a')",
    "SELECT indexdef FROM pg_indexes WHERE tablename = 'account'",
    'ALTER TABLE account DROP COLUMN mail',
    "SELECT indexdef FROM pg_indexes WHERE tablename = 'account'",
    "INSERT INTO account VALUES (3, 'x')",
    'DROP TABLE account',
  ));

test('keep rows of a predicate unique, and no others', () =>
  same(
    'CREATE TABLE bed (ward int, patient text, state text, weight numeric)',
    "INSERT INTO bed VALUES (1, 'ada', 'left', 1.0), (1, 'ada', 'in', 1.00), (2, 'ada', 'in', 2)",
    "CREATE UNIQUE INDEX bed_one ON bed (ward, patient) WHERE state = 'in'",
    'CREATE UNIQUE INDEX bed_weight ON bed (weight) WHERE weight > 1',
    "INSERT INTO bed VALUES (1, 'ada', 'left', 0)",
    "INSERT INTO bed VALUES (1, 'ada', 'in', 0)",
    "INSERT INTO bed VALUES (3, 'bob', 'in', 2.00)",
    "INSERT INTO bed VALUES (3, 'bob', 'in', 1.0), (3, 'bob', 'left', 1.0)",
    "UPDATE bed SET state = 'in' WHERE ward = 3",
    "UPDATE bed SET state = 'in' WHERE ward = 1 AND state = 'left'",
    "UPDATE bed SET state = 'left' WHERE ward = 1 AND state = 'in'",
    'UPDATE bed SET ward = 1 WHERE ward = 2',
    "INSERT INTO bed VALUES (1, 'ada', 'in', 0)",
    'SELECT * FROM bed ORDER BY 1, 2, 3, 4',
    'BEGIN',
    "INSERT INTO bed VALUES (9, 'zoe', 'in', 0)",
    "CREATE UNIQUE INDEX bed_state ON bed ((patient || state)) WHERE ward > 2 AND state <> 'left'",
    "INSERT INTO bed VALUES (8, 'zoe', 'in', 0)",
    'ROLLBACK',
    "INSERT INTO bed VALUES (8, 'zoe', 'in', 0)",
    'CREATE UNIQUE INDEX bed_null ON bed (lower(patient), lower(state)) NULLS NOT DISTINCT',
    'DROP TABLE bed',
  ));

test('triggers, generated columns, partitions and actions of foreign keys keep to them', async () => {
  await same(
    'CREATE TABLE part (a int, b text, c text GENERATED ALWAYS AS (b || $$!$$) STORED) PARTITION BY LIST (a)',
    'CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1)',
    'CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2)',
    'CREATE UNIQUE INDEX part_b ON part (a, lower(b))',
    "CREATE UNIQUE INDEX part2_b ON part2 (reverse(b)) WHERE b > 'm'",
    "INSERT INTO part VALUES (1, 'x'), (2, 'x')",
    "INSERT INTO part VALUES (1, 'X')",
    "INSERT INTO part VALUES (2, 'X')",
    'UPDATE part SET a = 2 WHERE a = 1',
    "UPDATE part SET b = 'y' WHERE a = 1",
    'UPDATE part SET a = 2 WHERE a = 1',
    'SELECT * FROM part ORDER BY a, b',
    'CREATE TABLE part3 (a int, b text, c text GENERATED ALWAYS AS (b || $$!$$) STORED)',
    'ALTER TABLE part ATTACH PARTITION part3 FOR VALUES IN (3)',
    "INSERT INTO part VALUES (3, 'q')",
    "INSERT INTO part VALUES (3, 'Q')",
    "INSERT INTO part3 VALUES (3, 'Q')",
    'CREATE TABLE kind (k text PRIMARY KEY)',
    "INSERT INTO kind VALUES ('a'), ('b')",
    'CREATE TABLE thing (id int PRIMARY KEY, k text REFERENCES kind ON UPDATE CASCADE ON DELETE SET NULL)',
    "CREATE UNIQUE INDEX thing_k ON thing (upper(k)) WHERE k <> 'b'",
    "INSERT INTO thing VALUES (1, 'a'), (2, 'b'), (3, 'b')",
    "UPDATE kind SET k = 'c' WHERE k = 'b'",
    "UPDATE kind SET k = 'A1' WHERE k = 'a'",
    "INSERT INTO kind VALUES ('a1')",
    "INSERT INTO thing VALUES (4, 'a1')",
    "DELETE FROM kind WHERE k = 'A1'",
    "INSERT INTO thing VALUES (4, 'a1')",
    'SELECT * FROM thing ORDER BY id',
    'CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.k := upper(NEW.k); RETURN NEW; END$$',
    'CREATE TABLE loud (id int, k text)',
    'CREATE UNIQUE INDEX loud_k ON loud ((k || id)) WHERE id < 10',
    'CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON loud FOR EACH ROW EXECUTE FUNCTION shout()',
    "INSERT INTO loud VALUES (1, 'a')",
    "INSERT INTO loud VALUES (1, 'A')",
    "INSERT INTO loud VALUES (11, 'A'), (11, 'a')",
    'UPDATE loud SET id = 1 WHERE id = 11',
    'SELECT * FROM loud ORDER BY id',
  );
});

test('stay when the index is built anew, and are not left to other values', async () => {
  const { ours, plain } = sides;
  await same(
    'CREATE TABLE rebuilt (id int, word text, n int)',
    'CREATE UNIQUE INDEX rebuilt_word ON rebuilt (lower(word)) WHERE n > 1',
    "INSERT INTO rebuilt VALUES (1, 'A', 2), (2, 'A', 1)",
    'REINDEX INDEX CONCURRENTLY rebuilt_word',
    "INSERT INTO rebuilt VALUES (3, 'a', 2)",
    'REINDEX TABLE rebuilt',
    "INSERT INTO rebuilt VALUES (3, 'a', 2)",
    'ALTER TABLE rebuilt ADD COLUMN more text',
    "INSERT INTO rebuilt VALUES (3, 'a', 2), (4, 'b', 2)",
    "INSERT INTO rebuilt VALUES (4, 'b', 2)",
    'UPDATE rebuilt SET n = 2 WHERE id = 2',
  );
  for (const sql of [
    'ALTER TABLE rebuilt ALTER n TYPE int USING n * 2',
    'ALTER TABLE rebuilt ALTER word TYPE varchar',
  ])
    await assert.rejects(ours.query(sql), { code: '0A000', constraint: 'rebuilt_word' });
  for (const client of [ours, plain]) {
    await client.query('DROP INDEX rebuilt_word');
    await client.query('ALTER TABLE rebuilt ALTER n TYPE int USING n * 2');
  }
  await same(
    'CREATE UNIQUE INDEX rebuilt_word ON rebuilt (lower(word)) WHERE n > 1',
    'UPDATE rebuilt SET n = 0 WHERE id = 2',
    'CREATE UNIQUE INDEX rebuilt_word ON rebuilt (lower(word)) WHERE n > 1',
    'UPDATE rebuilt SET n = 2 WHERE id = 2',
    'SELECT * FROM rebuilt ORDER BY id',
  );
});

test('stand on values of types with lengths as they are', () =>
  same(
    "CREATE TABLE coded (id int, code char(4), upper text GENERATED ALWAYS AS (upper(code)) STORED, CHECK (code <> 'ab'))",
    'CREATE UNIQUE INDEX coded_code ON coded (lower(code))',
    "INSERT INTO coded (id, code) VALUES (1, 'ac'), (2, 'ad')",
    "INSERT INTO coded (id, code) VALUES (3, 'AC')",
    "INSERT INTO coded (id, code) VALUES (3, 'ab')",
    "INSERT INTO coded (id, code) VALUES (3, 'a')",
    'DROP INDEX coded_code',
    'CREATE UNIQUE INDEX coded_code ON coded (lower(code))',
    "INSERT INTO coded (id, code) VALUES (4, 'AC')",
    'SELECT * FROM coded ORDER BY id',
  ));

test('follow the protection of the columns that they read, and of what is renamed', async () => {
  const { ours } = sides;
  const twice = async (index: string, sql: string): Promise<void> => {
    await ours.query(`${sql}`);
    await assert.rejects(
      ours.query(sql.replace("'A'", "'a'").replace("'w'", index === 'label_email' ? "'v'" : "'w'")),
      { code: '23505', constraint: index },
    );
    await ours.query('DELETE FROM label');
  };
  const insert = "INSERT INTO label VALUES (1, 'A', 'w')";
  await ours.query('CREATE TABLE label (id int, email text, ward text)');
  await ours.query('CREATE UNIQUE INDEX label_email ON label (lower(email))');
  await ours.query('CREATE UNIQUE INDEX label_ward ON label (ward, (id + 0)) WHERE lower(email) <> $$b$$');
  await twice('label_email', insert);
  for (const [column, label] of [
    ['ward', 'none'],
    ['email', 'none'],
    ['id', 'none'],
    ['email', 'encrypt'],
    ['ward', 'encrypt'],
    ['id', 'encrypt'],
  ]) {
    await ours.query(`SECURITY LABEL FOR clarus ON COLUMN label.${column} IS '${label}'`);
    await twice('label_email', insert);
    await ours.query('DROP INDEX label_email');
    await twice('label_ward', insert);
    await ours.query('CREATE UNIQUE INDEX label_email ON label (lower(email))');
  }
  await ours.query(insert);
  await ours.query('REINDEX INDEX CONCURRENTLY label_email');
  await ours.query('ALTER INDEX label_email RENAME TO label_mail');
  await assert.rejects(ours.query("INSERT INTO label VALUES (2, 'a', 'v')"), { constraint: 'label_mail' });
  await assert.rejects(ours.query('ALTER TABLE label ALTER email TYPE text COLLATE "C"'), { code: '0A000' });
});

test('are refused where what they stand on is not known, or would not stay', async () => {
  const { ours } = sides;
  await ours.query("CREATE TYPE tint AS ENUM ('red', 'blue')");
  await ours.query('CREATE FUNCTION norm(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT lower($1)$$');
  await ours.query(
    'CREATE TABLE odd (id int, word text, made text GENERATED ALWAYS AS (word || $$!$$) STORED, tint tint)',
  );
  for (const sql of [
    'CREATE UNIQUE INDEX odd_i ON odd (lower(made))',
    'CREATE UNIQUE INDEX odd_i ON odd (word) WHERE made > $$m$$',
    'CREATE UNIQUE INDEX odd_i ON odd ((hash_record_extended(odd, 0)))',
    "CREATE UNIQUE INDEX odd_i ON odd (id, (CASE WHEN word = 'x' THEN 'red'::tint ELSE 'blue'::tint END))",
  ])
    await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
  await ours.query('CREATE UNIQUE INDEX odd_norm ON odd (norm(word))');
  await ours.query("INSERT INTO odd (id, word) VALUES (1, 'A')");
  for (const sql of ['REINDEX INDEX odd_norm', 'REINDEX TABLE odd', 'REINDEX SCHEMA public'])
    await assert.rejects(ours.query(sql), { code: '0A000', constraint: 'odd_norm' }, sql);
  await assert.rejects(ours.query("INSERT INTO odd (id, word) VALUES (1, 'a')"), { code: '23505' });
  await ours.query('DROP TABLE odd');
});

test('decide conflicts', () =>
  same(
    'CREATE TABLE job (id int PRIMARY KEY, queue text, state text, n int DEFAULT 1)',
    "CREATE UNIQUE INDEX job_live ON job (queue) WHERE state <> 'done'",
    'CREATE UNIQUE INDEX job_key ON job (lower(queue), id)',
    "INSERT INTO job VALUES (1, 'a', 'new') ON CONFLICT DO NOTHING",
    "INSERT INTO job VALUES (2, 'a', 'new') ON CONFLICT DO NOTHING",
    "INSERT INTO job VALUES (2, 'a', 'done') ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO job VALUES (3, 'a', 'new') ON CONFLICT (queue) DO NOTHING",
    "INSERT INTO job VALUES (3, 'a', 'new') ON CONFLICT (queue) WHERE state <> 'done' DO NOTHING",
    "INSERT INTO job VALUES (3, 'a', 'new') ON CONFLICT (queue) WHERE state <> 'gone' DO NOTHING",
    "INSERT INTO job VALUES (3, 'a', 'new'), (4, 'b', 'new'), (5, 'b', 'done') ON CONFLICT (queue) WHERE state <> 'done' DO UPDATE SET n = job.n + 1, state = excluded.state RETURNING *",
    "INSERT INTO job VALUES (6, 'c', 'new'), (7, 'c', 'new') ON CONFLICT (queue) WHERE state <> 'done' DO UPDATE SET n = job.n + 1",
    "INSERT INTO job VALUES (6, 'c', 'new'), (7, 'c', 'new'), (8, 'c', 'done'), (9, 'c', 'done') ON CONFLICT (queue) WHERE state <> 'done' DO NOTHING RETURNING id",
    "INSERT INTO job VALUES (1, 'A', 'done') ON CONFLICT (lower(queue), id) DO UPDATE SET n = 100",
    "INSERT INTO job VALUES (1, 'Q', 'done') ON CONFLICT (lower(queue), id) DO UPDATE SET n = 100",
    "INSERT INTO job VALUES (1, 'A', 'done') ON CONFLICT (id, lower(queue)) DO UPDATE SET n = job.n + 1 WHERE job.state = 'new' RETURNING *",
    'INSERT INTO job VALUES (1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET queue = NULL',
    "INSERT INTO job VALUES (10, NULL, 'new'), (11, NULL, 'new') ON CONFLICT (queue) WHERE state <> 'done' DO UPDATE SET n = 0",
    'SELECT * FROM job ORDER BY id',
  ));

test('tell upserts whether a row is new', () =>
  same(
    'CREATE TABLE upsert (id int, email text, kind text)',
    "INSERT INTO upsert VALUES (1, 'A', 'x'), (2, 'a', 'y')",
    "CREATE UNIQUE INDEX CONCURRENTLY upsert_email ON upsert (lower(email)) WHERE kind = 'x'",
    "INSERT INTO upsert VALUES (3, 'a', 'x')",
    ...['a', 'A!', 'b'].map(
      email =>
        `INSERT INTO upsert VALUES (3, '${email}', 'x') ON CONFLICT (lower(email)) WHERE kind = 'x' DO UPDATE SET id = excluded.id, email = upsert.email || '!' RETURNING *, (xmax = 0) AS made, upsert.xmax <> 0`,
    ),
    "INSERT INTO upsert VALUES (4, 'c', 'x'), (5, 'B', 'x') ON CONFLICT DO NOTHING RETURNING id, xmax = 0",
    'CREATE TABLE alike (LIKE upsert INCLUDING ALL)',
    "INSERT INTO alike VALUES (3, 'a', 'x')",
    "INSERT INTO alike VALUES (3, 'A', 'x')",
    "SELECT indexdef FROM pg_indexes WHERE tablename = 'alike'",
    'DROP INDEX CONCURRENTLY upsert_email',
    "INSERT INTO upsert VALUES (6, 'B', 'x') RETURNING (xmax = 0)",
    'SELECT * FROM upsert ORDER BY id, email, kind',
    'DROP TABLE upsert, alike',
  ));

test('of which upserts ask more than that of xmax are refused', async () => {
  await sides.ours.query(
    'CREATE TABLE asked (id int, word text); CREATE UNIQUE INDEX ON asked (lower(word))',
  );
  const upsert = "INSERT INTO asked VALUES (1, 'a') ON CONFLICT (lower(word)) DO UPDATE SET id = 2";
  for (const more of ['RETURNING xmax', 'RETURNING xmax = 1', 'RETURNING xmin', 'WHERE asked.xmax = 0'])
    await assert.rejects(sides.ours.query(`${upsert} ${more}`), { code: '0A000' });
  await sides.ours.query('DROP TABLE asked');
});

test('stand in an order and a collation of their own, and beside columns that are not compared', () =>
  same(
    'CREATE TABLE ordered (id int, email text, kind text)',
    'CREATE UNIQUE INDEX ordered_email ON ordered (lower(email) COLLATE "C" DESC) INCLUDE (kind)',
    "INSERT INTO ordered VALUES (3, 'a', 'x')",
    "INSERT INTO ordered VALUES (3, 'A', 'x')",
    "MERGE INTO ordered o USING (VALUES (3, 'q'), (4, 'r')) v (i, e) ON o.id = v.i WHEN MATCHED THEN UPDATE SET email = v.e WHEN NOT MATCHED THEN INSERT VALUES (v.i, v.e, 'm')",
    "MERGE INTO ordered o USING (VALUES (4, 'Q')) v (i, e) ON o.id = v.i WHEN MATCHED THEN UPDATE SET email = v.e",
    'SELECT * FROM ordered ORDER BY id',
    'BEGIN ISOLATION LEVEL SERIALIZABLE',
    "INSERT INTO ordered VALUES (9, 'nine', 'x')",
    'SAVEPOINT s',
    "INSERT INTO ordered VALUES (10, 'NINE', 'x')",
    'ROLLBACK TO s',
    "INSERT INTO ordered VALUES (10, 'ten', 'x')",
    'COMMIT',
    'SELECT * FROM ordered ORDER BY id',
    'DROP TABLE ordered',
  ));

test('COPY keeps to them', async () => {
  await same(
    'CREATE TABLE loaded (id int, email text, kind text)',
    "CREATE UNIQUE INDEX loaded_email ON loaded (lower(email)) WHERE kind = 'x'",
  );
  const sessions = [await RawClient.connect(sides.proxy), await RawClient.connect(sides.proxy.plain)];
  try {
    for (const data of [
      '1\tA\tx\n2\tb\tx\n3\ta\ty\n4\tA\ty\n5\t\\N\tx\n6\t\\N\tx\n',
      '7\tc\tx\n8\ta\tx\n',
      '7\tc\tx\n8\tC\tx\n',
      '9\tc\tx\n10\tC\t\\N\n',
    ])
      for (const extended of [false, true]) {
        const [ours, theirs] = [
          await copied(sessions[0]!, 'COPY loaded FROM STDIN', data, extended),
          await copied(sessions[1]!, 'COPY loaded FROM STDIN', data, extended),
        ];
        assert.deepEqual(ours, theirs, data);
      }
  } finally {
    for (const session of sessions) await session.close();
  }
  await same('SELECT * FROM loaded ORDER BY id, email, kind', 'DROP TABLE loaded');
});

test('hold for what was bound before they were made', async () => {
  const { ours, proxy } = sides;
  await ours.query("CREATE TABLE early (id int, word text); INSERT INTO early VALUES (1, 'one')");
  const session = await RawClient.connect(proxy);
  try {
    session.send(say.parse('INSERT INTO early VALUES ($1, $2)', 'ins', [23, 25]), say.sync);
    await session.until();
    for (const [ddl, word, code] of [
      ['CREATE UNIQUE INDEX early_word ON early (lower(word))', 'ONE', '23505'],
      ["ALTER TABLE early ADD CHECK (word <> 'two')", 'two', '23514'],
      ['ALTER TABLE early ADD UNIQUE (word)', 'one', '23505'],
    ] as const) {
      session.send(say.query('BEGIN'));
      await session.until();
      session.send(say.bind('ins', 'p', ['3', word]), say.flush);
      assert.equal((await session.next())?.kind, 'BindComplete');
      await ours.query(ddl);
      session.send(say.execute('p'), say.sync, say.query('ROLLBACK'));
      assert.match(told(await session.until()).join(), new RegExp(code), ddl);
      await session.until();
    }
    assert.deepEqual((await ours.query('SELECT * FROM early')).rows, [{ id: 1, word: 'one' }]);
  } finally {
    await session.close();
    await ours.query('DROP TABLE early');
  }
});

test('are refused where an operator class compares otherwise than the type', async () => {
  const { ours } = sides;
  await ours.query('CREATE TABLE classed (id int, word text, short varchar(5), padded char(5))');
  for (const key of ['word bpchar_ops', '(lower(short)) bpchar_ops', 'short bpchar_pattern_ops'])
    for (const where of ['', 'WHERE id > 0'])
      await assert.rejects(ours.query(`CREATE UNIQUE INDEX classed_key ON classed (${key}) ${where}`), {
        code: '0A000',
      });
  for (const key of ['padded bpchar_ops', 'word text_pattern_ops', 'padded bpchar_pattern_ops'])
    await ours.query(`CREATE UNIQUE INDEX ON classed (${key}) WHERE id > 0`);
  await ours.query('DROP TABLE classed');
});

test('tell labels of an enum apart', () =>
  same(
    "CREATE TYPE stage AS ENUM ('created', 'active', 'done')",
    'CREATE TABLE task (id int, queue text, at timestamp, stage stage, policy text)',
    "INSERT INTO task VALUES (1, 'a', '2020-01-01', 'created', 'p'), (2, 'a', '2020-01-02', 'active', 'p')",
    "CREATE UNIQUE INDEX task_stage ON task (queue, stage, COALESCE(policy, '')) WHERE stage <= 'active' AND policy = 'p'",
    "INSERT INTO task VALUES (3, 'a', '2020-01-01', 'created', 'p')",
    "INSERT INTO task VALUES (3, 'a', '2020-01-01', 'done', 'p'), (4, 'a', '2020-01-01', 'created', 'q')",
    "INSERT INTO task VALUES (5, 'a', now(), 'active', 'p') ON CONFLICT DO NOTHING",
    "INSERT INTO task VALUES (5, 'a', '2021-01-01', 'active', 'p') ON CONFLICT (queue, stage, COALESCE(policy, '')) WHERE stage <= 'active' AND policy = 'p' DO UPDATE SET at = excluded.at",
    "UPDATE task SET stage = 'created' WHERE id = 2",
    "UPDATE task SET stage = 'done' WHERE id = 1",
    "UPDATE task SET stage = 'created' WHERE id = 2",
    'SELECT * FROM task ORDER BY id',
  ));

test('hold for existing rows, for two sessions at once, and leave no value in the cloud', async () => {
  const { ours, proxy } = sides;
  await ours.query('CREATE TABLE secretly (id int, word text)');
  await ours.query("INSERT INTO secretly SELECT i, 'Zebrafish' || i FROM generate_series(1, 500) i");
  await ours.query('CREATE UNIQUE INDEX secretly_word ON secretly (lower(word))');
  await assert.rejects(ours.query("INSERT INTO secretly VALUES (501, 'zebraFISH77')"), { code: '23505' });
  const other = new pg.Client(proxy);
  await other.connect();
  await ours.query('BEGIN');
  await ours.query("INSERT INTO secretly VALUES (501, 'zebrafish501')");
  const waiting = other.query("INSERT INTO secretly VALUES (502, 'ZEBRAFISH501')");
  await ours.query('COMMIT');
  await assert.rejects(waiting, { code: '23505' });
  await other.end();
  // a worker that reads the catalogue anew knows of it
  const second = new pg.Client(await proxy.second());
  await second.connect();
  await assert.rejects(second.query("UPDATE secretly SET word = 'zebrafish77' WHERE id = 1"));
  await second.end();
  assert.equal((await ours.query('SELECT count(*)::int AS n FROM secretly')).rows[0].n, 501);
  assert.deepEqual((await ours.query('SELECT * FROM secretly WHERE id = 1')).rows, [
    { id: 1, word: 'Zebrafish1' },
  ]);
  const cloud = new pg.Client(proxy.behind);
  await cloud.connect();
  const { rows } = await cloud.query('SELECT * FROM secretly');
  assert.equal(rows.length, 501);
  for (const row of rows)
    for (const value of Object.values(row))
      assert.doesNotMatch(Buffer.from(String(value)).toString('latin1'), /zebrafish/i);
  assert.equal(
    new Set(rows.map(row => String(Object.entries(row).find(([name]) => name.startsWith('clarus_key'))![1])))
      .size,
    501,
  );
  await cloud.end();
});
