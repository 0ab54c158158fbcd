/** Types and functions of PostgreSQL's own extensions over protected columns. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';
import type { Step } from './support/outcome.js';

const extensions = [
  'citext',
  'uuid-ossp',
  'pg_trgm',
  'hstore',
  'pgcrypto',
  'unaccent',
  'ltree',
  'btree_gist',
];

const reads: readonly Step[] = [
  "INSERT INTO t VALUES (1, 'Abc', 'a=>1', 'x.y', 'Hôtel'), (2, 'aBC', 'b=>2', 'x.y.z', 'motel'), (3, 'd', NULL, 'x', NULL)",
  "SELECT * FROM t WHERE a = 'ABC' ORDER BY id",
  ['SELECT * FROM t WHERE a = $1 ORDER BY id', 'ABC'],
  "SELECT * FROM t WHERE a LIKE 'AB%' ORDER BY id",
  'SELECT x.id, y.id FROM t x JOIN t y ON x.a = y.a ORDER BY 1, 2',
  'SELECT count(DISTINCT a) FROM t',
  "SELECT id FROM t WHERE a IN ('ABC', 'D') ORDER BY a, id",
  "UPDATE t SET n = 'x' WHERE a = 'D' RETURNING id",
  "SELECT h -> 'a', h ? 'b', h || 'c=>3' FROM t ORDER BY id",
  "SELECT id FROM t WHERE h @> 'a=>1'",
  "SELECT id FROM t WHERE p <@ 'x.y' ORDER BY p",
  "SELECT id, similarity(n, 'hotel') > 0.2, unaccent(n) FROM t ORDER BY id",
  "SELECT id, encode(digest(n, 'sha256'), 'hex'), crypt(n, '$1$abcdefgh') FROM t ORDER BY id",
  "INSERT INTO u (n) VALUES ('a'), ('b')",
  'INSERT INTO u (n) SELECT n FROM t',
  'SELECT count(DISTINCT id) FROM u',
  'SELECT uuid_generate_v5(uuid_ns_dns(), n) FROM u WHERE n IS NOT NULL ORDER BY 1',
  "INSERT INTO open VALUES (1, 'Ab'), (2, 'aB')",
  "SELECT id, mail FROM open WHERE mail = 'AB' ORDER BY id",
  "SELECT t.id, open.id FROM open JOIN t ON t.a = open.mail || 'c' ORDER BY 1, 2",
  "INSERT INTO t (id, a) VALUES (4, 'x') ON CONFLICT (id) DO UPDATE SET a = EXCLUDED.a RETURNING a = 'X'",
  "INSERT INTO room VALUES (1, '[2024-01-01,2024-02-01)'), (2, '[2024-01-01,2024-02-01)')",
  "INSERT INTO room VALUES (1, '[2024-01-11,2024-02-01)')",
];

const rules: readonly Step[] = [
  "INSERT INTO k (id, a, h) VALUES (1, 'Abc', 'a=>1'), (2, 'bBC', 'a=>1')",
  "INSERT INTO k (id, a) VALUES (3, 'ABC')",
  "INSERT INTO k (id, a) VALUES (3, 'BAD')",
  "INSERT INTO k (id, h) VALUES (3, 'b=>1')",
  "INSERT INTO k (id, a) VALUES (3, 'aBc') ON CONFLICT (lower(a::text)) DO UPDATE SET id = 7 RETURNING *",
  "UPDATE k SET a = 'BBC' WHERE id = 7",
  'SELECT * FROM k ORDER BY id',
];

suite('extensions', { timeout: 300_000 }, () => {
  const sides = beside(
    `unlisted: encrypt
tables:
  open: { columns: { id: { protect: none }, mail: { protect: none } } }`,
    [
      ...extensions.map(name => `CREATE EXTENSION "${name}"`),
      'CREATE TABLE t (id int PRIMARY KEY, a citext, h hstore, p ltree, n text)',
      'CREATE TABLE u (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), n text)',
      'CREATE TABLE open (id int, mail citext)',
      'CREATE TABLE room (r int, d daterange, EXCLUDE USING gist (r WITH =, d WITH &&))',
      "CREATE TABLE k (id int, a citext CHECK (a <> 'bad'), h hstore CHECK (h ? 'a'), up text GENERATED ALWAYS AS (upper(a::text)) STORED)",
      'CREATE UNIQUE INDEX ON k (lower(a::text))',
    ],
  );

  for (const [theme, steps] of Object.entries({ 'what statements compute': reads, 'rules of tables': rules }))
    for (const extended of [false, true])
      test(`${theme} (${extended ? 'extended' : 'simple'})`, async () => {
        assert.deepEqual(await sides.unorderedDifferences(steps, extended), []);
        await sides.both('TRUNCATE t, u, open, room, k');
      });

  test('what depends on a setting of an extension, or runs SQL text, is refused', async () => {
    await sides.ours.query('CREATE EXTENSION tablefunc');
    for (const sql of [
      "SELECT id FROM t WHERE n % 'motel'",
      "SELECT * FROM crosstab('SELECT id, n, n FROM t') AS c (a text, b text)",
    ])
      await assert.rejects(sides.ours.query(sql), { code: '0A000' }, sql);
    await assert.rejects(sides.ours.query('CREATE TABLE mail (a citext UNIQUE)'), {
      code: '0A000',
      hint: /lower\(mail::text\)/,
    });
  });

  test('nothing of it leaves in the clear', () => {
    for (const value of ['Hôtel', 'motel']) assert.ok(!sides.recorded.sent().includes(value), value);
  });
});
