/** INSERT into parts of columns: elements of arrays and fields of composite types, as in PostgreSQL. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { beside } from './support/beside.js';

const ddl = [
  'CREATE TYPE pair AS (x int, y text[])',
  'CREATE TYPE outer_pair AS (p pair, note text)',
  'CREATE DOMAIN positive AS int[] CHECK (value[1] > 0)',
  'CREATE DOMAIN two AS int[] CHECK (array_length(value, 1) = 2)',
  'CREATE DOMAIN checked AS pair CHECK ((value).x > 0)',
  'CREATE DOMAIN small AS int CHECK (value < 100)',
  `CREATE TABLE t (id int DEFAULT 7, a int[], c pair, s text[], o outer_pair, n pair[], d positive, w two, k checked, m small[],
     l varchar(3)[], b numeric[] DEFAULT '{9}', j jsonb, z checked[])`,
  'CREATE TABLE source (i int, t text)',
  "INSERT INTO source VALUES (1, 'Trillian'), (2, 'Zaphod')",
];

const inserts: readonly (string | readonly [string, ...string[]])[] = [
  'INSERT INTO t (a[1], a[2]) VALUES (1, 2)',
  'INSERT INTO t (a[2], a[1]) VALUES (3, 4), (5, 6), (NULL, 1.6)',
  'INSERT INTO t (a[1], a[3]) VALUES (11, 22)',
  "INSERT INTO t (a[1]) VALUES ('12')",
  "INSERT INTO t (a[1]) VALUES ('x')",
  'INSERT INTO t (a[1]) SELECT 7',
  'INSERT INTO t (a[1], id, a[2]) SELECT i, i * 10, i + 1 FROM source ORDER BY i',
  "INSERT INTO t (c.x, c.y) VALUES (1, '{foo}'), (2, array['bar', NULL])",
  "INSERT INTO t (c.y[1], c.y[2]) VALUES ('foo', 'bar'), ('baz', 'quux')",
  "INSERT INTO t (c.y[1], c.y[2]) SELECT 'bear', 'beer'",
  'INSERT INTO t (c.x) VALUES (NULL)',
  "INSERT INTO t (o.p.x, o.note, o.p.y[1]) VALUES (3, 'Marvin', 'deep')",
  "INSERT INTO t (n[1].y[1], n[1].y[2], n[2].x) VALUES ('foo', 'bar', 5)",
  'INSERT INTO t (n[1]) SELECT row(i, array[t])::pair FROM source',
  'INSERT INTO t (d[1], d[2]) VALUES (1, 2)',
  'INSERT INTO t (d[1], d[2]) VALUES (3, 4), (0, 6)',
  'INSERT INTO t (w[1]) VALUES (1)',
  'INSERT INTO t (w[1], w[2]) VALUES (1, 2)',
  "INSERT INTO t (k.x, k.y) VALUES (1, '{foo}')",
  "INSERT INTO t (k.y) VALUES ('{foo}')",
  'INSERT INTO t (m[1], m[2]) VALUES (1, 2)',
  'INSERT INTO t (m[1], m[2]) VALUES (1, 200)',
  'INSERT INTO t (z[1].x) VALUES (4)',
  'INSERT INTO t (z[1].x) VALUES (-4)',
  'INSERT INTO t (b[1]) VALUES (1.5) RETURNING id, a, b, upper(s[1])',
  'INSERT INTO t (id, b[1], s) VALUES (DEFAULT, 2, DEFAULT) RETURNING *',
  'INSERT INTO t (a[1]) VALUES (DEFAULT)',
  'INSERT INTO t (a, a[1]) VALUES (NULL, 1)',
  'INSERT INTO t (a[1]) VALUES (1, 2)',
  'INSERT INTO t (a[1], a[2]) VALUES (1)',
  'INSERT INTO t (a.x) VALUES (1)',
  'INSERT INTO t (c.nothing) VALUES (1)',
  'INSERT INTO t (a[1]) VALUES (true)',
  "INSERT INTO t (s[1]) VALUES ((SELECT max(t) FROM source)) RETURNING s[1] || '!'",
  "WITH x AS (SELECT t FROM source) INSERT INTO t (s[1], s[2]) SELECT t, 'more' FROM x",
  "INSERT INTO t (s[1]) VALUES (now()::date::text = 'x')",
  [
    'INSERT INTO t (id, a[1], s[2], s[1]) VALUES ($1, $2, $3, $4) RETURNING id, a, s',
    '8',
    '9',
    'Ford',
    'Prefect',
  ],
];

const refused = [
  'INSERT INTO t (a[0]) VALUES (1)',
  'INSERT INTO t (a[2]) VALUES (1)',
  "INSERT INTO t (a[1:2]) VALUES ('{1,2}')",
  'INSERT INTO t (a[1][1]) VALUES (1)',
  'INSERT INTO t (a[1], a[1]) VALUES (1, 2)',
  'INSERT INTO t (a[1 + 1]) VALUES (1)',
  'INSERT INTO t (a[2000]) VALUES (1)',
  "INSERT INTO t (l[1]) VALUES ('x')",
  "INSERT INTO t (j['a']) VALUES ('1')",
  "INSERT INTO t (z[1].x, z[1].y) VALUES (1, '{a}')",
];

suite('insert parts', { timeout: 300_000 }, () => {
  const sides = beside('unlisted: encrypt\ntables: {}', ddl);
  const contents = ['SELECT * FROM t ORDER BY id, t::text', 'SELECT count(*) FROM t'];

  for (const [protocol, extended] of [
    ['simple', false],
    ['extended', true],
  ] as const)
    test(`parts are inserted as PostgreSQL inserts them, ${protocol} queries`, async () => {
      const found: unknown[] = [];
      for (const insert of inserts) {
        if (!extended && typeof insert !== 'string') continue;
        found.push(...(await sides.unorderedDifferences([insert as string, ...contents], extended)));
        await sides.both('DELETE FROM t');
      }
      assert.deepEqual(found, []);
    });

  test('of which it is not certain what PostgreSQL makes is refused', async () => {
    for (const sql of refused) {
      const { code } = await sides.outcome(sides.ours, sql);
      assert.equal(code, '0A000', sql);
    }
    assert.deepEqual(await sides.differences(contents), []);
  });

  test('the cloud sees no protected value', () => {
    for (const value of ['Trillian', 'Marvin', 'Prefect', 'quux'])
      assert.ok(!sides.recorded.sent().includes(value), value);
  });
});
