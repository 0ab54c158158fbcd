/** Functions whose value only one side has, or each side anew, in statements that the trusted PostgreSQL finishes. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import pg from 'pg';
import { beside } from './support/beside.js';
import { RawClient, told } from './support/raw-client.js';
import type { TextStep } from './support/steps.js';

const policy = `unlisted: encrypt
tables:
  public.person:
    columns:
      id: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality] }
      amount: { class: confidential, protect: encrypt }`;

const tables = [
  'CREATE TABLE person (id int PRIMARY KEY, name text, amount float8)',
  'CREATE TABLE noted (id int, what text, at timestamptz, xid text, chance float8)',
  "INSERT INTO person SELECT i, 'Zaphod ' || i, i FROM generate_series(1, 200) i",
];

/** Each is run by a session of its own, beside one of PostgreSQL. */
const scripts: Readonly<Record<string, readonly TextStep[]>> = {
  'random numbers': [
    'SELECT count(DISTINCT r) > 190, min(r) >= 0, max(r) < 1 FROM (SELECT random() AS r, upper(name) FROM person) s',
    'SELECT count(*) BETWEEN 20 AND 180 FROM person WHERE name LIKE $$Z%$$ AND random() < 0.5',
    'SELECT count(*) FROM (SELECT name FROM person WHERE name LIKE $$Z%$$ ORDER BY random() LIMIT 7) s',
    'UPDATE person SET amount = random() WHERE name LIKE $$Z%$$',
    'SELECT count(DISTINCT amount) > 190 FROM person',
    'INSERT INTO noted (id, chance) SELECT id, random() FROM person WHERE name LIKE $$% 1%$$',
    'SELECT count(DISTINCT chance) > 90, count(*) FROM noted',
    'INSERT INTO noted (id, chance) VALUES (1, random()), (2, random()) RETURNING chance < 1',
    'DELETE FROM noted',
    'SELECT count(DISTINCT gen_random_uuid()), count(DISTINCT length(name)) FROM person',
  ],
  time: [
    'BEGIN',
    'SELECT bool_and(clock_timestamp() >= now()), bool_and(statement_timestamp() >= now()) FROM person WHERE name LIKE $$Z%$$',
    'SELECT now() = transaction_timestamp(), length(timeofday()) > 10 FROM person WHERE upper(name) = $$ZAPHOD 1$$',
    'INSERT INTO noted (what, at) SELECT upper(name), clock_timestamp() FROM person WHERE id = 1',
    'SELECT at >= now(), what FROM noted',
    'SELECT pg_sleep(0.01) FROM person WHERE upper(name) = $$ZAPHOD 1$$',
    'ROLLBACK',
  ],
  'views that ask': [
    "CREATE VIEW adult AS SELECT id, name, amount FROM person WHERE amount < extract(year FROM age(current_date, '1900-01-01'))",
    'CREATE VIEW aged (number, label, read) AS SELECT a.id, upper(a.name), now() FROM adult a',
    'SELECT count(*) FROM adult',
    "SELECT id, name FROM adult WHERE name LIKE '% 7' ORDER BY id",
    'SELECT number, label, read = now() FROM aged WHERE label = $$ZAPHOD 7$$',
    ['SELECT x.label, p.id FROM aged AS x JOIN person p ON p.id = x.number WHERE p.id = $1::int', '5'],
    'WITH w AS (SELECT number FROM aged) SELECT count(*) > 90 FROM w',
    'SELECT count(*) > 90 FROM person p WHERE EXISTS (SELECT FROM public.aged g WHERE g.number = p.id)',
    'INSERT INTO noted (id, what) SELECT number, label FROM aged WHERE number = 9 RETURNING id',
    'SELECT id, what FROM noted',
    'DELETE FROM noted',
    'DROP VIEW aged, adult',
  ],
  'session and transaction': [
    "SET app.tenant = 'Zaphod 7'",
    "SELECT id FROM person WHERE upper(name) = upper(current_setting('app.tenant'))",
    "SELECT count(*) FROM person WHERE name LIKE current_setting('app.none', true)",
    "SELECT current_setting('TimeZone') = current_setting('timezone'), max(upper(name)) FROM person",
    'SELECT count(DISTINCT pg_backend_pid()), count(DISTINCT upper(name)) FROM person',
    'SELECT max(upper(name)), inet_server_port() > 0, pg_is_in_recovery() FROM person GROUP BY 2, 3',
    'BEGIN',
    'INSERT INTO noted (what, xid) SELECT upper(name), pg_current_xact_id() FROM person WHERE id < 3',
    'SELECT count(*) FROM noted WHERE upper(what) LIKE $$Z%$$ AND xid = pg_current_xact_id()::text',
    'SELECT DISTINCT txid_current() = pg_current_xact_id()::text::bigint, txid_current_if_assigned() = txid_current() FROM person WHERE upper(name) LIKE $$Z%$$',
    'ROLLBACK',
    'SELECT count(*) FROM person WHERE upper(name) LIKE $$Z%$$ AND pg_current_xact_id_if_assigned() IS NULL',
    [
      'SELECT id, current_setting($$app.tenant$$) FROM person WHERE upper(name) = $1 AND now() IS NOT NULL',
      'ZAPHOD 9',
    ],
    'SELECT DISTINCT current_user = session_user, current_schema() FROM person WHERE upper(name) LIKE $$Z%$$',
  ],
  'temporary tables': [
    'CREATE TEMP TABLE t (id int, chance float8 DEFAULT random(), at timestamptz DEFAULT clock_timestamp())',
    'INSERT INTO t SELECT id FROM person',
    'SELECT count(DISTINCT chance) > 190, count(at) FROM t',
    'UPDATE t SET chance = random() + 1',
    'SELECT count(DISTINCT chance) > 190, min(chance) >= 1 FROM t',
    'SELECT count(*) FROM t WHERE at <= clock_timestamp() AND random() < 2',
    "SELECT count(*) FROM t WHERE current_setting('app.none', true) IS NULL AND pg_backend_pid() > 0",
  ],
};

suite('functions of one side or of each', { timeout: 300_000 }, () => {
  const sides = beside(policy, tables);

  for (const extended of [false, true])
    for (const [name, steps] of Object.entries(scripts))
      test(`answer as in one PostgreSQL: ${name}, ${extended ? 'extended' : 'simple'} protocol`, () =>
        sides.play(steps, extended));

  test('what would tell the type of a row of a view or temporary table is refused', async () => {
    const { ours } = sides;
    await ours.query('CREATE VIEW seen AS SELECT id, name, now() AS at FROM person');
    await ours.query('CREATE TEMP TABLE kept (id int)');
    for (const [sql, code] of [
      ['SELECT pg_typeof(seen) FROM seen', '0A000'],
      ['SELECT public.seen.id FROM seen WHERE public.seen.at = now()', '0A000'],
      ['SELECT pg_typeof(x.y) FROM (SELECT kept AS y FROM kept, person) AS x', '0A000'],
      ['SELECT seen, pg_typeof(seen.at) IS NULL FROM seen', '0A000'],
      ['SELECT pg_typeof(at), to_json(name) FROM seen', undefined],
    ] as const) {
      const error = await ours.query(sql).then(
        () => undefined,
        (refused: pg.DatabaseError) => refused.code,
      );
      assert.equal(error, code, sql);
    }
    await ours.query('DROP VIEW seen');
    await ours.query('DROP TABLE kept');
  });

  test('a row knows the transaction that wrote it, outside of blocks too', async () => {
    const { ours } = sides;
    await ours.query(
      'INSERT INTO noted (what, xid) SELECT upper(name), txid_current() FROM person WHERE id < 3',
    );
    const sent = await sides.recorded.sentWhile(() =>
      ours.query('SELECT 1 AS x FROM noted WHERE upper(what) LIKE $$Z%$$'),
    );
    assert.ok(!sent.includes('ZAPHOD'));
    const { rows } = await ours.query('SELECT DISTINCT xid FROM noted');
    assert.equal(rows.length, 1);
    const behind = new pg.Client({ ...sides.recorded.proxy.behind });
    await behind.connect();
    const stored = await behind.query('SELECT DISTINCT xmin::text AS xid FROM noted');
    await behind.end();
    assert.deepEqual(rows, stored.rows);
    await ours.query('DELETE FROM noted');
  });

  test('random numbers that follow from what the session said come from one side only', async () => {
    for (const seed of ['SELECT setseed(0.5)', 'SET seed = 0.5', "SELECT set_config('seed', '0.5', false)"]) {
      const client = await RawClient.connect(sides.recorded.proxy);
      const split = 'SELECT count(*) FROM person WHERE upper(name) LIKE $$Z%$$ AND random() < 2';
      assert.match(told(await client.query(split)).join('\n'), /DataRow 200/);
      await client.query(seed);
      assert.match(told(await client.query(split)).join('\n'), /ErrorResponse ERROR 0A000/, seed);
      assert.match(told(await client.query('SELECT random()')).join('\n'), /DataRow 0\./);
      await client.close();
    }
  });
});
