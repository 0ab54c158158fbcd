/** INSERT ... SELECT into protected tables: what it stores is what PostgreSQL would store, and nothing leaves in the clear. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type pg from 'pg';
import { policy, sentinels, tables } from './split/reads.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';

suite('insert from a query', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let ours: pg.Client;
  let plain: pg.Client;

  before(async () => {
    recorded = await startRecordedProxy(`${policy}
  public.copy:
    columns:
      id: { protect: none }
      ward: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
  public.numbered:
    columns:
      id: { protect: none }
      name: { protect: encrypt }`);
    ({ ours, plain } = recorded);
    for (const client of [ours, plain]) {
      for (const sql of tables) await client.query(sql);
      await client.query(
        "CREATE TABLE copy (id int UNIQUE, name text, short varchar(5), weight numeric(5,1) DEFAULT 7, born date, ward text, code char(4), at timestamptz DEFAULT '2020-01-01 00:00Z', number serial, CHECK (id < 1000))",
      );
    }
  });
  after(() => recorded?.stop());

  type Step = readonly [sql: string, ...values: (string | null)[]];
  const outcome = async (client: pg.Client, [text, ...values]: Step): Promise<string> => {
    try {
      const { command, rowCount } = await client.query({ text, values });
      return `${command} ${rowCount}`;
    } catch (error) {
      const { code, column, constraint, table } = error as pg.DatabaseError;
      return [code, column, constraint, table].join(' ');
    }
  };
  const contents = async (client: pg.Client): Promise<unknown[]> =>
    (
      await client.query({
        text: 'SELECT id, name, short, weight, born, ward, code, at FROM copy ORDER BY id',
        rowMode: 'array',
      })
    ).rows;

  const steps: readonly Step[] = [
    ['INSERT INTO copy (id, name) SELECT id, name FROM patient'],
    ["INSERT INTO copy (id, name, born) SELECT id + 10, upper(name), born FROM patient WHERE name LIKE 'A%'"],
    ["INSERT INTO copy (id, name, born, weight) SELECT 20, 'Targaryen', '1970-01-01', '3.14159'"],
    ['INSERT INTO copy (id, name, born) SELECT 21, $1, $2', 'Lannister', '1980-01-01'],
    ['INSERT INTO copy (id, name) SELECT n + 30, $1 FROM generate_series(1, 3) n', 'Greyjoy'],
    [
      'INSERT INTO copy (id, name) SELECT row_number() OVER () + 40, x FROM unnest($1::text[]) x',
      '{a,b,NULL}',
    ],
    ["INSERT INTO copy (id, name) WITH w AS (SELECT 'Baratheon' AS n) SELECT 50, n FROM w"],
    ["WITH w AS (SELECT 'Baratheon' AS n) INSERT INTO copy (id, name) SELECT 51, n FROM w"],
    ['INSERT INTO copy (id, weight) SELECT 60, sum(cost) FROM visit'],
    [
      'INSERT INTO copy (id, name, weight, born) SELECT p.id + 70, v.who, v.cost, v.day FROM patient p JOIN visit v ON v.who = p.name',
    ],
    ['INSERT INTO copy (id, name) SELECT id + 100, name FROM copy'],
    ['INSERT INTO copy SELECT 200, name, left(name, 5), weight, born, ward FROM patient WHERE id = 1'],
    ["INSERT INTO copy (id, code) SELECT 201, 'ab'"],
    [
      'INSERT INTO copy (id, name) (SELECT 210, name FROM patient WHERE id = 1 UNION ALL SELECT 211, who FROM visit WHERE id = 3) ORDER BY 1',
    ],
    ['INSERT INTO copy (id, name) VALUES (220, (SELECT max(name) FROM patient))'],
    ['INSERT INTO copy (id, name, weight) VALUES (221, (SELECT max(name) FROM patient), DEFAULT)'],
    [
      'INSERT INTO copy VALUES (222, (SELECT min(name) FROM patient), DEFAULT, DEFAULT, $1, DEFAULT), (223, DEFAULT, $2, 4, NULL, NULL)',
      '1990-01-01',
      'short',
    ],
    [
      'INSERT INTO copy (id, name, ward) SELECT 230, p.name, w.code FROM patient p JOIN ward w ON w.code = p.ward WHERE p.id = 2',
    ],
    ['INSERT INTO copy (id, weight) SELECT 240, weight::int FROM patient WHERE id = 4'],
    ['INSERT INTO copy (id, name) SELECT 300, name FROM patient WHERE false'],
    // what fails, fails alike, and stores nothing
    ['INSERT INTO copy (id, short) SELECT 400, name FROM patient WHERE id = 1'],
    ['INSERT INTO copy (id, weight) SELECT 401, 123456'],
    ['INSERT INTO copy (id, name) SELECT 1, name FROM patient'],
    ['INSERT INTO copy (id, name) SELECT 2000, name FROM patient'],
    ['INSERT INTO copy (id, born) SELECT 402, name FROM patient'],
    ["INSERT INTO copy (id, born) SELECT 403, 'x'"],
    ['INSERT INTO copy (id, name) SELECT 404'],
    ['INSERT INTO copy (id, weight) SELECT 405, 1 / (id - 2) FROM patient'],
    // constants are looked at also where no row takes them
    ['INSERT INTO copy (id, weight) SELECT 406, 123456 FROM patient WHERE id < 0'],
    ['INSERT INTO copy (id, weight) SELECT 406, 12345 + 1 FROM patient WHERE name LIKE $1', 'none%'],
    ["INSERT INTO copy (id, short) SELECT 407, 'too long' FROM patient WHERE name LIKE 'none%'"],
    ["INSERT INTO copy (id, born) SELECT 408, '2020-02-30' FROM patient WHERE id < 0"],
    ['INSERT INTO copy (id, weight) SELECT 409, 123456 FROM patient WHERE id < 0 LIMIT 1'],
  ];

  test('stores what PostgreSQL stores, or fails as it does', async () => {
    for (const step of steps) {
      assert.equal(await outcome(ours, step), await outcome(plain, step), step[0]);
      assert.deepEqual(await contents(ours), await contents(plain), step[0]);
    }
  });

  test('belongs to its transaction', async () => {
    for (const client of [ours, plain]) {
      await client.query('BEGIN');
      await client.query("INSERT INTO patient (id, name) VALUES (500, 'Own')");
      await client.query('INSERT INTO copy (id, name) SELECT id, upper(name) FROM patient WHERE id = 500');
      await client.query('SAVEPOINT s');
      await client.query(
        'INSERT INTO copy (id, name) SELECT id + 1, upper(name) FROM patient WHERE id = 500',
      );
      await client.query('ROLLBACK TO s');
      await client.query('COMMIT');
    }
    assert.deepEqual(await contents(ours), await contents(plain));
    await ours.query('BEGIN');
    await ours.query('INSERT INTO copy (id, name) SELECT 600, max(name) FROM patient');
    await ours.query('ROLLBACK');
    assert.deepEqual(await contents(ours), await contents(plain));
  });

  test('lets no protected value flow into an unprotected column', async () => {
    for (const sql of [
      'INSERT INTO copy (id, ward) SELECT 700, name FROM patient',
      'INSERT INTO copy (id, ward) SELECT 701, CASE WHEN weight > 1 THEN $$a$$ END FROM patient',
      'INSERT INTO copy (id, name) SELECT weight::int, name FROM patient',
      'INSERT INTO copy (id, ward) SELECT 702, x.n FROM (SELECT upper(name) AS n FROM patient) x',
      'INSERT INTO ward (code) SELECT name FROM patient',
      'INSERT INTO copy (id, ward) SELECT 703, name FROM heavy',
      'INSERT INTO copy (id, name, ward) SELECT 704, name, max(name) OVER () FROM heavier',
      'INSERT INTO copy (id, ward) WITH w AS (SELECT name FROM heavy) SELECT 705, n FROM (SELECT lower(name) FROM w) AS x (n)',
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
    const sent = recorded.sent();
    for (const sentinel of sentinels) assert.ok(!sent.includes(sentinel), `${sentinel} was sent`);
  });

  test('gives identity columns values of its own by OVERRIDING SYSTEM VALUE', async () => {
    for (const sql of [
      'CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY, name text)',
      "INSERT INTO numbered OVERRIDING SYSTEM VALUE VALUES (7, 'a')",
      "INSERT INTO numbered VALUES (8, 'a')",
      "INSERT INTO numbered OVERRIDING USER VALUE VALUES (8, 'b')",
      'INSERT INTO numbered OVERRIDING SYSTEM VALUE SELECT id + 10, upper(name) FROM numbered',
      'INSERT INTO numbered SELECT id + 20, upper(name) FROM numbered',
      'INSERT INTO numbered OVERRIDING SYSTEM VALUE SELECT id + 40, upper(name) FROM numbered RETURNING id, name',
      "INSERT INTO numbered (name) VALUES ('c')",
    ])
      assert.equal(await outcome(ours, [sql]), await outcome(plain, [sql]), sql);
    const rows = 'SELECT id, name FROM numbered ORDER BY id';
    assert.deepEqual((await ours.query(rows)).rows, (await plain.query(rows)).rows);
  });

  test('refuses what it cannot do yet', async () => {
    for (const sql of ["INSERT INTO copy (id, name) SELECT nextval('copy_number_seq'), name FROM patient"])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
  });
});
