/** Subqueries of statements over carriers mean what the session's settings and search_path say. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { beside } from './support/beside.js';
import { type RawClient, say, told } from './support/raw-client.js';

const policy = `
unlisted: pass
tables:
  public.visit:
    columns:
      word: { protect: encrypt, queries: [equality] }
      day: { protect: encrypt }
      weight: { protect: encrypt }
`;

const tables = [
  'CREATE TABLE visit (id int PRIMARY KEY, word text, day date, weight float8, stay interval)',
  'CREATE TABLE ward (id int PRIMARY KEY, day date, stay interval, size float8)',
  `INSERT INTO visit VALUES (1, '24.12.2020', '2020-12-24', 0.1, '1 day 02:03'), (2, '2020-12-24', '2020-12-24', 1, NULL),
     (3, '+1 2:03:00', '2021-01-01', 2, '1 day'), (4, '1 day 02:03:00', NULL, 3, NULL), (5, '0.333333333333333', NULL, 1, NULL),
     (6, '0.3333333333333333', NULL, 1, NULL), (7, 'visit', NULL, 1, NULL), (8, 'public.visit', NULL, 1, NULL), (9, '9', NULL, 1, NULL)`,
  "INSERT INTO ward VALUES (1, '2020-12-24', '1 day 02:03', 1.0 / 3), (2, '2020-01-01', '1 day', 0)",
  "CREATE FUNCTION heaviest() RETURNS text LANGUAGE sql STABLE AS 'SELECT max(id)::text FROM visit'",
  'CREATE FUNCTION named(text) RETURNS text LANGUAGE plpgsql STABLE AS $$ DECLARE w text; BEGIN SELECT v.word INTO w FROM visit v WHERE v.word = $1; RETURN w; END $$',
  "CREATE FUNCTION last_day() RETURNS text LANGUAGE sql STABLE AS 'SELECT word FROM visit v WHERE word = (SELECT max(day)::text FROM ward)'",
  "CREATE VIEW barred WITH (security_barrier) AS SELECT id FROM visit WHERE word || '' = (SELECT max(day)::text FROM ward)",
  "CREATE VIEW days (a, b) AS SELECT id, word FROM visit WHERE word = (SELECT max(day)::text FROM ward) OR EXISTS (SELECT FROM ward WHERE day::text = '24.12.2020')",
  "CREATE VIEW of_last_day AS SELECT id FROM visit WHERE word || '' = (SELECT max(day)::text FROM ward)",
  'CREATE VIEW upon AS SELECT d.a, (SELECT max(w.day)::text FROM ward w) AS last FROM days d JOIN of_last_day o ON o.id = d.a',
];

/** Each with an argument of a condition that is found out once. */
const statements = [
  'SELECT id FROM visit WHERE word = (SELECT max(day)::text FROM ward)',
  'SELECT id FROM visit WHERE word = (SELECT max(v.day)::text FROM visit v WHERE v.id < 3)',
  'SELECT id FROM visit WHERE word = (SELECT max(stay)::text FROM ward)',
  'SELECT id FROM visit WHERE word = (SELECT max(size)::text FROM ward)',
  'SELECT a.id FROM visit a LEFT JOIN visit b ON b.id = a.id AND b.word = (SELECT max(day)::text FROM ward) WHERE b.id > 0',
  'SELECT id FROM visit WHERE word = ANY (ARRAY(SELECT w.day::text FROM ward w))',
  "SELECT id FROM visit WHERE word = '9' OR EXISTS (SELECT FROM ward WHERE day::text = '24.12.2020')",
  "SELECT id FROM visit v WHERE EXISTS (SELECT FROM ward w WHERE w.day::text = v.word) AND NOT EXISTS (SELECT FROM ward WHERE day::text = 'x')",
  'SELECT v.id, s.max FROM (SELECT (SELECT max(day)::text FROM ward)) AS s JOIN visit v ON v.word = s.max',
  'SELECT v.id, s.text FROM (SELECT (SELECT day::text FROM ward WHERE id = 1), 1 AS one) AS s JOIN visit v ON v.word = s.day AND s.one = 1',
  'SELECT v.id FROM (SELECT (SELECT w.day::text FROM ward w WHERE w.id = 1), ARRAY(SELECT 1), EXISTS (SELECT)) AS s JOIN visit v ON v.word = s.day AND s.array[1] = 1 AND s.exists',
  'WITH w AS (SELECT day::text AS d FROM ward) SELECT id FROM visit WHERE word = (SELECT max(d) FROM w)',
  'SELECT (SELECT max(day)::text FROM ward), id FROM visit WHERE word LIKE (SELECT max(day)::text FROM ward)',
  "SELECT id FROM visit WHERE word = (SELECT 'visit'::regclass::text)",
  "SELECT id FROM visit WHERE word || '' = (SELECT 'visit'::regclass::text FROM ward WHERE id = 1)",
  'SELECT id FROM visit WHERE word = (SELECT heaviest())',
  "SELECT id FROM visit WHERE word = (SELECT named('24.12.2020') FROM ward WHERE id = 1)",
  'SELECT id FROM of_last_day',
  'SELECT d.a, d.b, (SELECT max(w.day)::text FROM ward w) FROM days d WHERE d.b = (SELECT max(w.day)::text FROM ward w)',
  'SELECT * FROM upon',
  'SELECT d.* FROM days AS d (x, y) WHERE d.x > 0',
  'DELETE FROM visit USING days d WHERE d.a = visit.id RETURNING visit.id, d.b',
  'UPDATE visit SET word = o.last FROM upon o WHERE o.a = visit.id RETURNING id, word',
  'UPDATE visit SET word = (SELECT max(day)::text FROM ward) WHERE word = (SELECT max(day)::text FROM ward) RETURNING id, word',
  'DELETE FROM visit WHERE word = (SELECT max(day)::text FROM ward) RETURNING id, word',
];

const settings = [
  "SET DateStyle = 'German'",
  "SET IntervalStyle = 'sql_standard'",
  'SET extra_float_digits = 0',
  'RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits',
];

suite('settings of subqueries over carriers', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    ({ clarus, plain } = await sides.sessions());
  });

  const answers = async (client: RawClient, sql: string): Promise<string[]> => {
    const lines: string[] = [];
    for (const messages of [[say.query(sql)], [say.parse(sql), say.bind(), say.execute(), say.sync]]) {
      await client.query('BEGIN');
      client.send(...messages);
      lines.push(
        ...told(await client.until())
          .filter(line => /^(DataRow|CommandComplete|ErrorResponse)/.test(line))
          .sort(),
      );
      await client.query('ROLLBACK');
    }
    return lines;
  };

  for (const setting of settings)
    test(`a subquery that runs once is run under the session's settings: ${setting}`, async () => {
      for (const client of [clarus, plain]) await client.query(setting);
      for (const sql of statements)
        assert.deepEqual(await answers(clarus, sql), await answers(plain, sql), sql);
    });

  test('what cannot be run under the settings of the session is refused', async () => {
    await clarus.query("SET DateStyle = 'German'");
    for (const sql of [
      'SELECT id FROM barred',
      'UPDATE days SET b = NULL RETURNING a',
      'SELECT last_day()',
      "SELECT id FROM visit WHERE (word, 'x') = (SELECT max(day)::text, 'x' FROM ward)",
    ]) {
      const lines = told(await clarus.query(sql));
      assert.match(
        lines.find(line => line.startsWith('ErrorResponse')) ?? '',
        /0A000.*under the settings in force/,
        sql,
      );
    }
    await clarus.query('RESET DateStyle');
    for (const client of [clarus, plain]) await client.query('RESET ALL');
    for (const sql of ['SELECT id FROM barred', 'UPDATE days SET b = NULL RETURNING a', 'SELECT last_day()'])
      assert.deepEqual(await answers(clarus, sql), await answers(plain, sql), sql);
  });
});
