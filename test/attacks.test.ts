/** Statements that once gave a wrong answer, or would have: each is answered as PostgreSQL does, or refused. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, suite, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';
import { RawClient, say, told } from './support/raw-client.js';

suite('attacks', { timeout: 240_000 }, () => {
  let proxy: TestProxy;
  let client: pg.Client;
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.item:
    columns:
      id: { protect: none }
      s: { protect: encrypt, queries: [equality] }
      i: { protect: encrypt, queries: [equality] }
      u: { protect: encrypt }`,
    });
    client = new pg.Client(proxy);
    await client.connect();
  });
  after(async () => {
    await client?.end();
    await proxy?.stop();
  });
  beforeEach(async () => {
    await client.query('DROP TABLE IF EXISTS item');
    await client.query('CREATE TABLE item (id int, s text, i int, u uuid DEFAULT gen_random_uuid())');
    await client.query("INSERT INTO item VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 1), (4, NULL, 1)");
  });

  test('an UPDATE takes effect once, however often its portal is executed', async () => {
    const raw = await RawClient.connect(proxy);
    raw.send(say.parse("UPDATE item SET s = 'u', id = id + 100 RETURNING id, s", 'w', []));
    raw.send(say.bind('w', 'p', []), say.execute('p', 1), say.execute('p', 1), say.execute('p', 0), say.sync);
    const said = told(await raw.until());
    assert.equal(said.filter(line => line.startsWith('DataRow')).length, 4, said.join('\n'));
    raw.send(say.parse("UPDATE item SET s = 'v', id = id + 1000", 'x', []));
    raw.send(say.bind('x', 'q', []), say.execute('q', 0), say.execute('q', 0), say.sync);
    assert.match(told(await raw.until()).join('\n'), /ErrorResponse ERROR 55000/);
    await raw.close();
    const { rows } = await client.query('SELECT id FROM item ORDER BY id');
    assert.deepEqual(
      rows.map(({ id }) => id),
      [101, 102, 103, 104],
    );
  });

  test('rows are compared in all their columns, or not at all', async () => {
    for (const condition of [
      "(s, i) IS DISTINCT FROM ('a', 1)",
      "NOT ((s, i) IS DISTINCT FROM ('a', 1))",
      "(s, id) IS DISTINCT FROM ('a', 1)",
      '(s, i) IS DISTINCT FROM (NULL, NULL)',
    ]) {
      const all = await client.query('SELECT id, s, i FROM item ORDER BY id');
      const kept = all.rows.filter(({ id, s, i }) => {
        if (condition.includes('NULL')) return s !== null || i !== null;
        const distinct = s !== 'a' || (condition.includes('(s, id)') ? id : i) !== 1;
        return condition.startsWith('NOT') ? !distinct : distinct;
      });
      const { rows } = await client.query(`SELECT id FROM item WHERE ${condition} ORDER BY id`);
      assert.deepEqual(
        rows,
        kept.map(({ id }) => ({ id })),
        condition,
      );
      await client.query('BEGIN');
      const deleted = await client.query(`DELETE FROM item WHERE ${condition} RETURNING id`);
      await client.query('ROLLBACK');
      assert.deepEqual(deleted.rows.map(({ id }) => id).sort(), kept.map(({ id }) => id).sort(), condition);
    }
    const found = await client.query("SELECT id FROM item WHERE NOT (s IS DISTINCT FROM 'a') ORDER BY id");
    assert.deepEqual(found.rows, [{ id: 1 }, { id: 2 }]);
  });

  test('what is another value for each row is computed for each', async () => {
    for (const statement of [
      'UPDATE item SET u = gen_random_uuid() RETURNING u::text AS value',
      'UPDATE item SET u = DEFAULT RETURNING u::text AS value',
      'UPDATE item SET s = gen_random_uuid()::text RETURNING s AS value',
    ]) {
      await client.query('BEGIN');
      const { rows } = await client.query(statement);
      await client.query('ROLLBACK');
      assert.ok(rows.length > 1);
      assert.equal(new Set(rows.map(({ value }) => value)).size, rows.length, statement);
    }
    await client.query('INSERT INTO item (id) VALUES (5), (6)');
    const { rows } = await client.query('SELECT u FROM item WHERE id IN (5, 6)');
    assert.notEqual(rows[0].u, rows[1].u);
  });

  test('OLD and NEW are those of the row; predicates of conflicts and COPY of an UPDATE are refused', async () => {
    await client.query('BEGIN');
    const updated = await client.query(
      "UPDATE item SET s = 'n' WHERE id = 1 RETURNING old.s AS o, new.s AS n",
    );
    assert.deepEqual(updated.rows, [{ o: 'a', n: 'n' }]);
    const deleted = await client.query('DELETE FROM item WHERE id = 1 RETURNING old.s AS o, new.s AS n');
    assert.deepEqual(deleted.rows, [{ o: 'n', n: null }]);
    await client.query('ROLLBACK');
    for (const statement of [
      "INSERT INTO item (id, s) VALUES (9, 'x') ON CONFLICT (s) WHERE s = 'secret' DO NOTHING",
      "COPY (UPDATE item SET s = 'n' RETURNING s) TO STDOUT",
    ])
      await assert.rejects(client.query(statement), (error: pg.DatabaseError) => {
        assert.match(error.code ?? '', /^(0A000|42P10)$/, `${statement}: ${error.code} ${error.message}`);
        return true;
      });
  });

  test('a function of a user takes no rewritten call over', async () => {
    await client.query(
      "CREATE FUNCTION public.count(bytea) RETURNS bigint LANGUAGE sql AS 'SELECT 42::bigint'",
    );
    try {
      assert.deepEqual((await client.query('SELECT count(s) AS n FROM item')).rows, [{ n: '3' }]);
      assert.deepEqual((await client.query('SELECT count(DISTINCT s) AS n FROM item')).rows, [{ n: '2' }]);
    } finally {
      await client.query('DROP FUNCTION public.count(bytea)');
    }
  });

  test('BEGIN with modes works as the first statement of a session, by both protocols', async () => {
    for (const begin of [
      'BEGIN ISOLATION LEVEL REPEATABLE READ',
      'BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE',
    ])
      for (const values of [undefined, []]) {
        const fresh = new pg.Client(proxy);
        await fresh.connect();
        await fresh.query({ text: begin, ...(values === undefined ? {} : { values, name: 'begin' }) });
        const level = await fresh.query('SHOW transaction_isolation');
        assert.match(level.rows[0].transaction_isolation, /repeatable read|serializable/);
        await fresh.query("SELECT id FROM item WHERE s = 'a'");
        await fresh.query('COMMIT');
        await fresh.end();
      }
  });

  test('one INSERT of 20,000 rows is answered in time', async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => `(${i + 10}, 'v${i}', ${i % 7})`);
    await client.query(`INSERT INTO item (id, s, i) VALUES ${rows.join(', ')}`);
    const found = await client.query(
      "SELECT id, s, i FROM item WHERE s IN ('v0', 'v9999', 'v19999') ORDER BY id",
    );
    assert.deepEqual(found.rows, [
      { id: 10, s: 'v0', i: 0 },
      { id: 10_009, s: 'v9999', i: 9_999 % 7 },
      { id: 20_009, s: 'v19999', i: 19_999 % 7 },
    ]);
  });

  test('a busy session does not end for being idle', async () => {
    await client.query("SET idle_session_timeout = '400ms'");
    for (let i = 0; i < 8; i++) {
      await client.query('SELECT count(*) FROM item');
      await new Promise(resolve => setTimeout(resolve, 100));
    }
    await client.query('RESET idle_session_timeout');
  });
});
