/** Upserts beside sessions that change the rows with which they conflict. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { besideEncrypted } from './support/beside-encrypted.js';

const sides = besideEncrypted(({ code, message }) => ({ code, message }));

const upsert =
  "INSERT INTO colour VALUES (1, 'Brown', true), (2, 'Gray', true) ON CONFLICT (key) DO UPDATE SET name = excluded.name WHERE colour.active";

for (const [what, sql] of Object.entries({
  'by themselves': upsert,
  'with RETURNING': `${upsert} RETURNING key, name`,
  'within WITH': `WITH t AS (${upsert} RETURNING key) SELECT * FROM t`,
}))
  test(`wait for a row that their WHERE leaves as it is, and look at it again: ${what}`, async () => {
    for (const begin of ['BEGIN', 'SELECT 1']) {
      const found: unknown[] = [];
      for (const target of [sides.proxy, sides.proxy.plain]) {
        const [first, second] = [new pg.Client(target), new pg.Client(target)];
        await Promise.all([first.connect(), second.connect()]);
        await first.query('CREATE TABLE colour (key int PRIMARY KEY, name text, active boolean)');
        await first.query("INSERT INTO colour VALUES (1, 'Red', false), (2, 'Green', false)");
        await first.query(begin);
        await second.query('BEGIN');
        await second.query('UPDATE colour SET active = true WHERE key = 1');
        let over = false;
        const waiting = first.query(sql).finally(() => {
          over = true;
        });
        await second.query('SELECT pg_sleep(0.3)');
        assert.equal(over, false, 'it waits');
        await second.query('COMMIT');
        const { rows, rowCount } = await waiting;
        const { rows: after } = await first.query('SELECT * FROM colour ORDER BY key');
        if (begin === 'BEGIN') await first.query('COMMIT');
        await first.query('DROP TABLE colour');
        await Promise.all([first.end(), second.end()]);
        found.push({ rows, rowCount, after });
      }
      assert.deepEqual(found[0], found[1], begin);
    }
  });
