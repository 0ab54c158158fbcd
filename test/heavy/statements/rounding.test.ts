/** Floating-point numbers that the client has printed rounded: what is stored and compared is exact all the same. */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { beside } from '../../support/beside.js';
import { type RawClient, say, told } from '../../support/raw-client.js';

/** Half of its columns stand in the cloud as they are. */
const policy = `
unlisted: pass
tables:
  public.marks:
    columns:
      f: { protect: encrypt }
  public.bases:
    columns:
      f: { protect: encrypt, queries: [equality], domain: length }
  public.bounded:
    columns:
      f: { protect: encrypt, queries: [equality], domain: length }
  public.made:
    columns:
      f: { protect: encrypt }
      g: { protect: encrypt }
      p: { protect: encrypt }
      iv: { protect: encrypt }
  public.measured:
    columns:
      f: { protect: encrypt }
      g: { protect: encrypt }
      p: { protect: encrypt }
      a: { protect: encrypt }
      iv: { protect: encrypt }
`;

const tables = [
  'CREATE TABLE measured (id int PRIMARY KEY, f float8, g float4, p point, a float8[], iv interval, o float8, op box)',
  'CREATE TABLE open (id int, x float8, c circle)',
  `INSERT INTO measured SELECT i, sqrt(i), sqrt(i)::float4, point(sqrt(i), -1.0 / 3), ARRAY[i / 7.0, NULL, exp(i)],
     make_interval(months => i - 3, days => 3 - i, secs => sqrt(i)), sqrt(i + 10), box(point(0, 0), point(sqrt(i), 1))
     FROM generate_series(1, 6) i`,
  'INSERT INTO open SELECT i, sqrt(i), circle(point(i, 1), sqrt(i)) FROM generate_series(1, 6) i',
];

suite('numbers that are printed rounded', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);
  let clarus: RawClient;
  let plain: RawClient;
  before(async () => {
    ({ clarus, plain } = await sides.sessions());
  });

  /** What a client is told until all is answered; rows come in any order. */
  const answer = async (client: RawClient): Promise<string[]> => {
    const lines = told(await client.until());
    const isRow = (line: string): boolean => line.startsWith('DataRow');
    const at = lines.findIndex(isRow);
    return [...lines.slice(0, at), ...lines.filter(isRow).sort(), ...lines.slice(at).filter(l => !isRow(l))];
  };

  const play = async (client: RawClient, steps: readonly string[]): Promise<string[][]> => {
    const lines: string[][] = [];
    for (const sql of steps) {
      client.send(say.query(sql));
      lines.push(await answer(client));
      if (!/^(select|table|values|with|insert|update|delete|merge)/i.test(sql) || sql.includes(';')) continue;
      client.send(say.parse(sql), say.bind(), say.execute(), say.sync);
      lines.push(await answer(client));
    }
    return lines;
  };

  /** Under each of the settings. @param steps answer alike when they are run again */
  const both = async (...steps: string[]): Promise<void> => {
    for (const digits of [0, -5])
      for (const style of ['postgres', 'sql_standard', 'iso_8601']) {
        const all = [`SET extra_float_digits = ${digits}`, `SET intervalstyle = ${style}`, ...steps];
        const given = await play(clarus, all);
        const expected = await play(plain, all);
        assert.deepEqual(given, expected, `${digits} ${style}\n${steps.join('\n')}`);
      }
  };
  const exact = [
    'SET extra_float_digits = 3',
    'SELECT * FROM measured ORDER BY id',
    'RESET extra_float_digits',
  ];

  test('are read exactly, and printed as the client says', async () => {
    await both(
      'SELECT id, f * f = id AS a, f, g, p, a, iv, o, op FROM measured WHERE f > 1 ORDER BY id',
      'SELECT f::text, g::text, p::text, a::text, to_json(f), iv::text, o::text FROM measured WHERE f > 1 ORDER BY id',
      "SELECT id, f::text || 'x' FROM measured WHERE f::text LIKE '%4%' ORDER BY id",
      'SELECT m.id, n.f = m.f, m.f, n.p, n.op, o.x, o.c FROM measured m JOIN measured n ON n.f = m.f JOIN open o ON o.x = m.f ORDER BY 1',
      'SELECT m.id, o.id FROM measured m JOIN open o ON o.x + 0.0 = m.f * 1.0 AND m.o = sqrt(o.id + 10) ORDER BY 1',
      'SELECT sum(f), avg(g), stddev(f), sum(o) FROM measured WHERE f > 0',
      'SELECT id FROM measured WHERE f = sqrt(2::float8)',
      'SELECT id, iv + iv, -iv FROM measured WHERE f > 0 ORDER BY id',
      'SELECT (SELECT max(n.f) FROM measured n WHERE n.f < m.f), m.f FROM measured m ORDER BY m.id',
      'SELECT measured::text FROM measured WHERE f > 2 ORDER BY id',
      'COPY (SELECT f, p, iv FROM measured WHERE f > 1 ORDER BY id) TO STDOUT',
    );
  });

  test('are written exactly', async () => {
    await both(
      'UPDATE measured SET f = f / 3 * 3, g = g + 0.1::float4, p = p + point(0.1, 0.1), iv = iv + iv WHERE f > 2',
      ...exact,
      'UPDATE measured m SET f = o.x, p = center(o.c) + point(o.x, 0), a = ARRAY[o.x] FROM open o WHERE o.id = m.id AND m.f > 1 RETURNING m.id, m.f, m.p, m.f::text',
      ...exact,
      'INSERT INTO measured (id, f, p, iv) SELECT id + 100, f / 7, p, -iv FROM measured WHERE f > 1 AND id < 100 ON CONFLICT (id) DO UPDATE SET f = excluded.f / 3, p = measured.p RETURNING id, f, p, f::text',
      'DELETE FROM measured WHERE id > 100 AND f > 0',
      'INSERT INTO measured (id, f, p, iv, op) SELECT id + 100, f / 7, p, iv, op FROM measured WHERE f > 1 AND id < 100;',
      ...exact,
      'MERGE INTO measured m USING (SELECT id, f / 11 AS f FROM measured) s ON m.id = s.id + 100 WHEN MATCHED THEN UPDATE SET f = s.f + m.f WHEN NOT MATCHED THEN INSERT (id, f) VALUES (s.id + 100, s.f)',
      ...exact,
      'DELETE FROM measured WHERE id > 100 AND f > 0',
      'CREATE TABLE marks (f float8[], CHECK (f[1] <= sqrt(2::float8)))',
      'INSERT INTO marks VALUES (ARRAY[sqrt(2::float8)])',
      'DROP TABLE marks',
      'CREATE TABLE bases (f float8 PRIMARY KEY)',
      'CREATE TABLE bounded (id int, f float8 DEFAULT sqrt(2::float8) REFERENCES bases ON DELETE SET DEFAULT)',
      'INSERT INTO bases SELECT sqrt(i) FROM generate_series(1, 3) i;',
      'INSERT INTO bounded VALUES (1, 1), (2, sqrt(3::float8));',
      'DELETE FROM bases WHERE f <> sqrt(2::float8)',
      'SELECT id, f = sqrt(2::float8), f FROM bounded ORDER BY id',
      'DROP TABLE bounded, bases',
      'CREATE TABLE made AS SELECT id, f / 3 AS f, g, p, iv FROM measured WHERE f > 1',
      'ALTER TABLE made RENAME TO made_now',
      'SELECT m.f = n.f / 3, m.p::text FROM made_now m JOIN measured n USING (id) ORDER BY id;',
      'DROP TABLE made_now',
      'BEGIN',
      'ALTER TABLE measured RENAME COLUMN a TO b',
      'SELECT m.id, o.c = circle(point(o.id, 1), m.f), o.c FROM measured m JOIN open o ON o.x = m.f ORDER BY 1',
      'UPDATE measured SET f = f * 1.1, p = p + point(f, 0) WHERE f > 0',
      ...exact,
      'ROLLBACK',
      'WITH u AS (UPDATE measured SET f = f + 1e-12 WHERE id = 2 RETURNING f) SELECT f, f::text FROM u',
      ...exact,
    );
  });

  test('a statement that was prepared before prints and stores by the setting in force', async () => {
    for (const client of [clarus, plain]) {
      client.send(
        say.parse('UPDATE measured SET f = f / 3 WHERE f > 0 RETURNING f', 'u'),
        say.parse(
          'INSERT INTO measured (id, f) SELECT id + 50, f / 3 FROM measured WHERE f > 0 AND id < 4',
          'i',
        ),
        say.sync,
      );
      await client.until();
    }
    const run = async (client: RawClient): Promise<string[][]> => {
      const lines: string[][] = [];
      for (const digits of [0, 2, -3]) {
        client.send(say.query(`SET extra_float_digits = ${digits}`));
        await client.until();
        for (const name of ['u', 'i']) {
          client.send(say.bind(name), say.execute(), say.sync);
          lines.push(await answer(client));
        }
        lines.push(...(await play(client, [...exact, 'DELETE FROM measured WHERE id > 49 AND f > 0'])));
      }
      return lines;
    };
    assert.deepEqual(await run(clarus), await run(plain));
  });

  test('parts that run first are refused', async () => {
    await play(clarus, ['SET extra_float_digits = 0']);
    const [refused] = await play(clarus, [
      'WITH i AS (INSERT INTO measured (id, f) VALUES (900, 1) RETURNING f) UPDATE open SET x = i.f FROM i;',
    ]);
    assert.match(refused!.join('\n'), /0A000/);
    for (const sql of [
      'DO $$ DECLARE x float8; BEGIN SELECT f INTO x FROM measured WHERE id = 2; UPDATE measured SET f = x WHERE id = 2; END $$',
      "DO $$ DECLARE x float8 := '1.4142135623730951'; BEGIN UPDATE measured SET f = x WHERE id = 2; END $$",
    ]) {
      const [block] = await play(clarus, [`${sql};`]);
      assert.match(block!.join('\n'), /0A000/, sql);
    }
  });
});
