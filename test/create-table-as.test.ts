/** Tables made from queries over protected tables: they hold what PostgreSQL's hold, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { townsPolicy } from './support/people.js';
import type { RawClient } from './support/raw-client.js';
import { linesOf } from './support/steps.js';

const policy = `${townsPolicy}
  public.mixed:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
  public.towns:
    columns:
      id: { protect: none }
      town: { protect: none }`;

const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2), born date, at timestamptz, tags text[])',
  "INSERT INTO place VALUES (1, 'Ulm'), (2, 'Bonn'), (3, NULL)",
  `INSERT INTO person VALUES (1, 'Ulm', 'Zaphod', 10.5, '1970-01-01', '2020-01-01 10:00+01', '{a,"b c"}'),
     (2, 'Bonn', E'Trill\\tian\\\\', 20, NULL, NULL, '{}'), (3, 'Ulm', NULL, NULL, '1999-12-31', '1999-12-31 23:59:59.123456+00', NULL),
     (4, NULL, 'Marvin', -3, '2001-02-03', '2001-02-03', '{NULL}')`,
  "CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT upper(t) || '!' $$",
];
/** Stand in protected columns only, or are computed from them. */
const sentinels = ['Zaphod', 'ZAPHOD', 'Trill', 'Marvin', 'Arthur'];

/** A statement that makes a table, and what is looked at then. */
const made: readonly (readonly [string, string])[] = [
  ['CREATE TABLE copied AS SELECT * FROM person', 'SELECT * FROM copied ORDER BY id'],
  ['CREATE TABLE copied AS TABLE person', "SELECT id FROM copied WHERE name = 'Zaphod'"],
  [
    'CREATE TABLE copied (i, n) AS SELECT id, shout(name), amount * 2 AS twice FROM person WHERE amount > 0',
    'SELECT * FROM copied ORDER BY i',
  ],
  [
    'CREATE TABLE copied AS SELECT town, count(*), sum(amount), max(name) FROM person GROUP BY town',
    'SELECT * FROM copied ORDER BY town',
  ],
  [
    "CREATE TABLE copied AS SELECT p.id, l.town, p.name, 'Arthur' AS said FROM person p JOIN place l USING (id)",
    'SELECT * FROM copied ORDER BY id',
  ],
  ["CREATE TABLE copied AS SELECT id, 'Arthur' AS said, town FROM place", 'SELECT * FROM copied ORDER BY id'],
  ["CREATE TABLE copied AS VALUES (1, 'Arthur'), (2, NULL)", 'SELECT * FROM copied ORDER BY column1'],
  [
    'CREATE TABLE copied AS SELECT generate_series(1, 5) AS n, NULL AS nothing',
    'SELECT * FROM copied ORDER BY n',
  ],
  [
    "SELECT id, name, born + 1 AS later INTO copied FROM person WHERE name <> 'Marvin'",
    'SELECT * FROM copied ORDER BY id',
  ],
  [
    'WITH w AS (SELECT name FROM person WHERE id < 3) SELECT * INTO copied FROM w',
    'SELECT * FROM copied ORDER BY name',
  ],
  ['CREATE TABLE copied AS SELECT * FROM person WITH NO DATA', 'SELECT * FROM copied'],
  [
    'CREATE UNLOGGED TABLE copied AS SELECT name FROM person UNION SELECT town FROM place',
    'SELECT * FROM copied ORDER BY name',
  ],
  [
    'CREATE TABLE mixed AS SELECT id, name FROM person ORDER BY id LIMIT 2',
    "SELECT id FROM mixed WHERE name = 'Zaphod'",
  ],
  [
    'CREATE TABLE towns AS SELECT id, town FROM person WHERE name IS NOT NULL',
    'SELECT * FROM towns ORDER BY id',
  ],
  ['CREATE TABLE towns AS SELECT id, town FROM place', 'SELECT * FROM towns ORDER BY id'],
  ['CREATE TABLE copied AS SELECT id FROM person WHERE false', 'SELECT * FROM copied'],
  [
    'CREATE TABLE copied AS SELECT now() AS t, id FROM person',
    'SELECT id, t = now() FROM copied ORDER BY id',
  ],
];

/** A statement with parameters, their values, and what is looked at then. */
const given: readonly (readonly [string, readonly (string | null)[], string])[] = [
  [
    'CREATE TABLE copied AS SELECT id, name FROM person WHERE name = $1 OR amount > $2',
    ['Arthur', '15'],
    'SELECT * FROM copied ORDER BY id',
  ],
  [
    'SELECT $1::text AS said, $2::int + 1 AS n, id INTO copied FROM place',
    ['Arthur', '4'],
    'TABLE copied ORDER BY 3',
  ],
  [
    'CREATE TABLE copied (a, b) AS VALUES ($1::varchar, $2::date), (NULL, now()::date)',
    ['Arthur', null],
    'SELECT a FROM copied',
  ],
  [
    'CREATE TABLE towns AS SELECT id, town FROM place WHERE id < $1',
    ['3'],
    'SELECT * FROM towns ORDER BY id',
  ],
  ['CREATE TABLE towns AS SELECT $1::int AS id, $2::text AS town', ['1', 'Ulm'], 'SELECT * FROM towns'],
  [
    'CREATE TABLE mixed AS SELECT $2::int AS id, $1 || name AS name FROM person',
    ['Arthur', '7'],
    'SELECT * FROM mixed ORDER BY name',
  ],
  [
    'CREATE TEMP TABLE copied AS SELECT shout($1) AS s, name FROM person WHERE id = $2',
    ['Arthur', '1'],
    'SELECT * FROM copied',
  ],
  [
    'CREATE TABLE copied AS SELECT name FROM person WHERE id = $1 WITH NO DATA',
    ['1'],
    'SELECT * FROM copied',
  ],
  ['CREATE TABLE copied AS SELECT name FROM person LIMIT $1', ['0'], 'SELECT * FROM copied'],
];

const wrongGiven: readonly (readonly [string, readonly (string | null)[]])[] = [
  ['CREATE TABLE copied AS SELECT 1 / $1::int FROM person', ['0']],
  ['CREATE TABLE copied AS SELECT $1::int AS n FROM person', ['x']],
  ['CREATE TABLE copied AS SELECT id FROM person WHERE id = $1', []],
  ['CREATE TABLE copied AS SELECT $2::int AS n', ['1']],
  ['CREATE TABLE person AS SELECT $1::int AS n', ['1']],
  ['CREATE TABLE IF NOT EXISTS person AS SELECT $1::int AS n', ['1']],
  ['CREATE MATERIALIZED VIEW copied AS SELECT name FROM person WHERE id = $1', ['1']],
  ['CREATE VIEW copied AS SELECT name FROM person WHERE id = $1', ['1']],
];

/** Bodies that make tables of what their variables hold. */
const bodies: readonly (readonly [string, string])[] = [
  [
    `DO $$ DECLARE n text := 'Arthur'; i int := 2; BEGIN
       CREATE TABLE copied AS SELECT id, n AS said, name FROM person WHERE id <= i; END $$`,
    'SELECT * FROM copied ORDER BY id',
  ],
  [
    `DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM person WHERE id = 1;
       EXECUTE 'CREATE TABLE copied AS SELECT id, $1 AS said FROM place' USING n; END $$`,
    'SELECT * FROM copied ORDER BY id',
  ],
];

/** What PostgreSQL refuses too, and what leaves nothing. */
const wrong: readonly string[] = [
  'CREATE TABLE person AS SELECT 1',
  'CREATE TABLE IF NOT EXISTS person AS SELECT * FROM person',
  'CREATE TABLE copied AS SELECT nothing FROM person',
  'CREATE TABLE copied AS SELECT id, id FROM person',
  'CREATE TABLE copied (a, b, c) AS SELECT id FROM person',
  'CREATE TABLE copied AS SELECT 1 / (id - 2) FROM person WHERE amount IS NOT NULL',
  'SELECT id INTO person FROM person',
];

const refused: readonly (readonly [string, RegExp])[] = [
  ['CREATE TABLE towns AS SELECT id, name AS town FROM person', /would flow to "town"/],
  [
    'CREATE TABLE towns AS SELECT id, town FROM place UNION SELECT id, name FROM person',
    /would flow to "town"/,
  ],
  ['CREATE TABLE mixed AS SELECT length(name) AS id, name FROM person', /would flow to "id"/],
  ['SELECT id, (SELECT max(name) FROM person) AS town INTO towns FROM place', /would flow to "town"/],
  [
    `DO $$ DECLARE n text; BEGIN SELECT name INTO n FROM person WHERE id = 1;
       CREATE TABLE towns AS SELECT id, n AS town FROM place; END $$`,
    /would flow to "town"/,
  ],
];

suite('tables made from queries', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    ({ clarus, plain } = await sides.sessions());
  });

  const answer = async (client: RawClient, sql: string, extended: boolean): Promise<string> =>
    (await linesOf(client, sql, extended)).join('\n');
  const alike = async (sql: string, extended = false): Promise<void> => {
    assert.equal(await answer(clarus, sql, extended), await answer(plain, sql, extended), sql);
  };

  for (const extended of [false, true])
    test(`hold what PostgreSQL's hold, ${extended ? 'extended' : 'simple'} protocol`, async () => {
      for (const [sql, look] of made) {
        const [, name] = /\b(copied|mixed|towns)\b/.exec(sql)!;
        await alike(sql, extended);
        await alike(look);
        await alike(`DROP TABLE ${name}`);
      }
    });

  test('take parameters', async () => {
    const outcomes: unknown[] = [];
    for (const [sql, values, look] of given)
      outcomes.push(
        ...(await sides.differences([
          [sql, ...values],
          look,
          `DROP TABLE ${/\b(copied|mixed|towns)\b/.exec(sql)![1]}`,
        ])),
      );
    for (const [sql, values] of wrongGiven) outcomes.push(...(await sides.differences([[sql, ...values]])));
    assert.deepEqual(outcomes, []);
  });

  test('are made by bodies, of what their variables hold', async () => {
    for (const [sql, look] of bodies) for (const each of [sql, look, 'DROP TABLE copied']) await alike(each);
  });

  test('are made and undone with their transaction', async () => {
    for (const [sql, look] of made.slice(0, 6)) {
      await alike('BEGIN');
      await alike('SAVEPOINT before');
      await alike(sql);
      await alike('ROLLBACK TO before');
      await alike(sql);
      await alike('COMMIT');
      await alike(look);
      await alike('DROP TABLE copied');
    }
  });

  test('fail as PostgreSQL fails, and leave nothing', async () => {
    for (const sql of wrong) {
      await alike(sql);
      await alike('SELECT count(*) FROM pg_class WHERE relname = $$copied$$');
    }
  });

  test('a protected value comes into no column in the clear', async () => {
    for (const [sql, reason] of refused) {
      const text = await answer(clarus, sql, false);
      assert.match(text, /ErrorResponse ERROR 0A000/, sql);
      assert.match(text, reason, sql);
    }
  });

  test('tables made from queries show the cloud no protected value', () => {
    const sent = sides.recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), sentinel);
  });
});
