/** Names that Clarus adds to the cloud's tables, and types that it changes there, answer nothing instead of others. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

const schema = [
  'CREATE TABLE item (id int, s text, u text, note text)',
  'CREATE TABLE hid (s_sealed int, s_equality int, k int, count int)',
  'CREATE TABLE hid2 (s_sealed int, v text)',
  "INSERT INTO item VALUES (1, 'a', 'x', 'n1'), (2, 'b', 'y', 'n2'), (3, NULL, NULL, NULL)",
  'INSERT INTO hid VALUES (9, 1, 1, 5), (8, 2, 2, 4), (7, 3, 3, 6)',
  "INSERT INTO hid2 VALUES (1, 'one'), (2, 'two')",
];

suite('names', { timeout: 240_000 }, () => {
  let proxy: TestProxy;
  let client: pg.Client;
  let plain: pg.Client;
  let behind: pg.Client;
  /** names of the physical columns of `item` */
  let physical: readonly string[];
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.item:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }
      u: { protect: encrypt }
      note: { protect: none }`,
    });
    client = new pg.Client(proxy);
    plain = new pg.Client(proxy.plain);
    behind = new pg.Client(proxy.behind);
    for (const one of [client, plain, behind]) await one.connect();
    for (const statement of schema) for (const one of [client, plain]) await one.query(statement);
    const { rows } = await behind.query(
      "SELECT attname FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0 AND attname LIKE '%\\_%'",
    );
    physical = rows.map(({ attname }) => String(attname));
    const more = physical
      .filter(name => name !== 'clarus_row')
      .map(name => `ADD COLUMN ${name} int DEFAULT 0`);
    for (const one of [client, plain]) {
      await one.query(`ALTER TABLE hid ${more.join(', ')}`);
      for (const name of physical)
        if (name !== 'clarus_row') await one.query(`UPDATE hid SET ${name} = 10 - k`);
    }
  });
  after(async () => {
    for (const one of [client, plain, behind]) await one?.end();
    await proxy?.stop();
  });

  const said = (at: pg.Client, sql: string): Promise<unknown> =>
    at.query({ text: sql, rowMode: 'array' }).then(
      ({ rows, fields }) => ({ rows, names: fields.map(({ name }) => name) }),
      (error: pg.DatabaseError) => ({ code: error.code, message: error.message }),
    );
  /** As PostgreSQL answers it, or refused. @returns whether it was answered */
  async function same(sql: string): Promise<boolean> {
    const ours = await said(client, sql);
    if ((ours as { code?: string }).code === '0A000') return false;
    assert.deepEqual(ours, await said(plain, sql), sql);
    return true;
  }

  test('a name of a physical column never stands for an alias or for a column of another table', async () => {
    for (const name of physical) {
      // No table has a column of that name.
      const hid = name === 'clarus_row' ? '(SELECT *, 4 - k AS clarus_row FROM hid)' : 'hid';
      for (const sql of [
        `SELECT s, k AS ${name} FROM item, ${hid} AS hid WHERE item.id = 1 ORDER BY ${name}`,
        `SELECT s FROM item, ${hid} AS hid ORDER BY ${name}, item.id`,
        `SELECT s, ${name} FROM item, ${hid} AS hid ORDER BY 2, item.id`,
        `SELECT id AS ${name}, s FROM item ORDER BY ${name} DESC`,
        `SELECT note AS ${name}, count(s) FROM item GROUP BY ${name} ORDER BY 1`,
        `SELECT ${name}, count(s) FROM item, ${hid} AS hid GROUP BY ${name} ORDER BY 1`,
        `SELECT s FROM item JOIN ${hid} AS hid ON ${name} = id ORDER BY id`,
        `SELECT s FROM item, ${hid} AS hid WHERE ${name} = 2 ORDER BY id`,
        `SELECT s FROM item WHERE EXISTS (SELECT FROM ${hid} AS hid WHERE ${name} = id) ORDER BY id`,
        `SELECT s, (SELECT max(${name}) FROM ${hid} AS hid) FROM item ORDER BY id`,
        `SELECT s, ${name} FROM item, ${hid} AS ${name} ORDER BY id, k`,
        `SELECT s, (${name}).k FROM item, ${hid} AS ${name} ORDER BY id, 2`,
        `SELECT s FROM item, ${hid} AS ${name} WHERE ${name} IS NOT NULL ORDER BY id`,
        `SELECT s FROM (item CROSS JOIN ${hid} AS hid) JOIN (SELECT 3 AS ${name}) o USING (${name}) ORDER BY id`,
        `SELECT s FROM (item CROSS JOIN ${hid} AS hid) NATURAL JOIN (SELECT 3 AS ${name}) o ORDER BY id`,
        `UPDATE item AS ${name} SET note = 'x' WHERE ${name} IS NULL RETURNING id`,
        `DELETE FROM item WHERE ${name} = 1`,
        `DELETE FROM item AS ${name} WHERE ${name}.id = 99 RETURNING id AS ${name}`,
      ])
        await same(sql);
      for (const sql of [
        `SELECT hid.*, s FROM item, ${hid} AS hid ORDER BY hid.${name}, k, id`,
        `SELECT s, hid.${name} FROM item, ${hid} AS hid ORDER BY 2, id, k`,
        `SELECT ${name}.id, s FROM item AS ${name} WHERE ${name}.s = 'a'`,
        `SELECT hid.${name}, count(s) FROM item, ${hid} AS hid GROUP BY hid.${name} ORDER BY 1`,
      ])
        assert.equal(await same(sql), true, sql);
    }
  });

  test('outputs have the names that the statement gives them, also where it sorts by one', async () => {
    for (const sql of [
      'SELECT s AS k, id FROM item ORDER BY id',
      'SELECT count(s) AS c, k FROM item, hid GROUP BY k ORDER BY k',
      'SELECT count(s) AS c, count FROM item, hid GROUP BY count ORDER BY count',
      "INSERT INTO item VALUES (9, 'z', 'z', 'z') RETURNING s AS t, id AS s",
      "UPDATE item SET u = 'w' WHERE id = 9 RETURNING u AS clarus_row, s AS u",
      'DELETE FROM item WHERE id = 9 RETURNING s AS note, note AS s',
    ])
      assert.equal(await same(sql), true, sql);
  });

  test('a physical column is not there for a client that names it', async () => {
    for (const name of physical)
      for (const sql of [
        `SELECT ${name} FROM item`,
        `SELECT item.${name} FROM item`,
        `SELECT id FROM item ORDER BY ${name}`,
        `INSERT INTO item (id, ${name}) VALUES (1, NULL)`,
        `UPDATE item SET ${name} = NULL`,
        `DELETE FROM item WHERE item.${name} IS NULL`,
        `COPY item (${name}) TO STDOUT`,
        `COPY item (${name}) FROM STDIN`,
        `INSERT INTO item (id) VALUES (1) ON CONFLICT (${name}) DO NOTHING`,
        `INSERT INTO item (id) VALUES (1) RETURNING ${name}`,
        `CREATE INDEX ON item (${name})`,
        `ALTER TABLE item DROP COLUMN ${name}`,
        `COMMENT ON COLUMN item.${name} IS 'x'`,
      ])
        await assert.rejects(client.query(sql), { code: '42703' }, sql);
  });

  test('the row type of a protected table, and types made of it, never stand in the cloud', async () => {
    await client.query(
      'CREATE TABLE open_one (a int, s text); CREATE TABLE holder (r open_one); CREATE TYPE wrapped AS (a int, r item); CREATE DOMAIN items AS item[]',
    );
    const refused = [
      'CREATE TABLE comp (r item)',
      'CREATE TABLE comp (r public.item[])',
      'CREATE TABLE comp (r wrapped)',
      'CREATE TABLE comp (r items)',
      'CREATE TABLE comp (a int, b text DEFAULT (null::item)::text)',
      'CREATE TABLE comp (a int CHECK ((null::item) IS NULL))',
      'ALTER TABLE hid2 ADD COLUMN r item',
      'ALTER TABLE hid2 ADD COLUMN r wrapped',
      'ALTER TABLE hid2 ALTER v TYPE item[] USING NULL',
      'CREATE TABLE made AS SELECT null::item AS r',
      'SELECT null::item AS r INTO made FROM hid2',
      'CREATE MATERIALIZED VIEW made AS SELECT null::item AS r',
      'CREATE INDEX ON hid2 (((ROW(1, v, v, v)::item).id))',
      'INSERT INTO hid2 SELECT id, item::text FROM item',
      'INSERT INTO hid2 SELECT id, (item).s FROM item',
      'UPDATE hid2 SET v = (SELECT to_json(item)::text FROM item LIMIT 1)',
      'COPY hid2 FROM STDIN WHERE null::item IS NULL',
    ];
    for (const sql of refused) await assert.rejects(client.query(sql), { code: '0A000' }, sql);
    // what Clarus runs itself stands on the trusted side alone
    for (const [parameters, result, body] of [
      ['', 'int', "sql AS 'SELECT 1 WHERE null::item IS NULL'"],
      ['', 'int', "plpgsql AS 'DECLARE r item; BEGIN RETURN 1; END'"],
      ['', 'int', "plpgsql AS 'DECLARE r public.item%ROWTYPE; BEGIN RETURN 1; END'"],
      ['', 'int', 'sql RETURN (SELECT 1 WHERE null::item IS NULL)'],
      ['', 'item', "sql AS 'SELECT NULL::item'"],
      ['', 'SETOF item', "sql AS 'SELECT NULL::item'"],
      ['a item', 'int', "sql AS 'SELECT 1'"],
    ]) {
      await client.query(`CREATE FUNCTION f(${parameters}) RETURNS ${result} LANGUAGE ${body}`);
      assert.equal((await behind.query("SELECT FROM pg_proc WHERE proname = 'f'")).rowCount, 0, body);
      await client.query('DROP FUNCTION f');
    }
    await client.query('CREATE VIEW w AS SELECT null::item AS r FROM hid2');
    assert.equal((await behind.query("SELECT FROM pg_class WHERE relname = 'w'")).rowCount, 0);
    assert.equal(
      (await behind.query("SELECT FROM pg_type WHERE typname IN ('wrapped', 'items')")).rowCount,
      0,
    );
    await client.query("INSERT INTO holder VALUES (ROW(1, 'x')); DROP VIEW w; DROP TYPE wrapped");
    await assert.rejects(client.query("SECURITY LABEL FOR clarus ON COLUMN open_one.s IS 'encrypt'"), {
      code: '0A000',
      message: 'the row type of table "open_one" is that of a column in the clear',
    });
    assert.equal((await client.query('SELECT (r).s FROM holder')).rows[0].s, 'x');
    await client.query('DROP DOMAIN items; DROP TABLE holder, open_one');
  });

  test('values of the row type of a protected table are given beside open tables', async () => {
    for (const sql of [
      'SELECT s, null::item AS r FROM item ORDER BY id',
      'SELECT item FROM item ORDER BY id',
      'SELECT s FROM json_populate_record(null::item, \'{"s": "sentinel"}\')',
      'SELECT v, json_populate_record(null::item, \'{"s": "sentinel"}\') FROM hid2 ORDER BY s_sealed',
      "SELECT v FROM hid2, json_populate_recordset(null::item, '[]')",
      'SELECT v FROM hid2 WHERE null::item IS NULL ORDER BY s_sealed',
      "SELECT v, '{}'::item[] FROM hid2 ORDER BY s_sealed",
      'SELECT v, (SELECT item FROM item WHERE id = s_sealed) FROM hid2 ORDER BY s_sealed',
    ])
      assert.equal(await same(sql), true, sql);
    const { rows } = await client.query("SELECT 'item'::regtype::oid AS oid, 'item[]'::regtype::oid AS many");
    for (const [type, name] of [
      [rows[0].oid, 'item'],
      [rows[0].many, 'item[]'],
    ]) {
      const raw = await RawClient.connect(proxy);
      raw.send(say.parse('SELECT v, $1 FROM hid2', '', [type]), say.sync);
      assert.doesNotMatch(told(await raw.until()).join(), /ErrorResponse/);
      await raw.close();
      for (const at of [client, plain])
        await at.query(`PREPARE q (${name}) AS SELECT v, $1 FROM hid2 ORDER BY s_sealed`);
      assert.equal(await same('EXECUTE q (NULL)'), true, name);
      for (const at of [client, plain]) await at.query('DEALLOCATE ALL');
    }
  });
});
