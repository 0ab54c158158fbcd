/** Statements about how tables are stored, and about the server: answered, or refused with a reason. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';

suite('maintenance', { timeout: 200_000 }, () => {
  let proxy: TestProxy;
  let plain: pg.Client;
  let clarus: pg.Client;
  before(async () => {
    proxy = await startProxy({
      policy: `unlisted: pass
tables:
  public.person: { columns: { id: { protect: none }, name: { queries: [equality] } } }
`,
    });
    [plain, clarus] = [new pg.Client(proxy.plain), new pg.Client(proxy)];
    for (const client of [plain, clarus]) {
      await client.connect();
      await client.query('CREATE TABLE person (id int, name text)');
      await client.query('CREATE INDEX person_id ON person (id)');
      await client.query('CREATE TABLE clear (id int, note text)');
    }
  });
  after(async () => {
    await plain?.end();
    await clarus?.end();
    await proxy?.stop();
  });

  test('ANALYZE and VACUUM name columns as in PostgreSQL', async () => {
    for (const sql of [
      'ANALYZE person (name)',
      'ANALYZE person (id, name), clear (note)',
      'ANALYZE public.person (name, id), person',
      'VACUUM (ANALYZE) person (name)',
      'VACUUM ANALYZE clear (note), person (id)',
      'VACUUM person (name)',
      'ANALYZE person (nothing)',
      'ANALYZE person (name, name)',
      'ANALYZE nothing (name)',
      'ANALYZE clear (nothing)',
    ]) {
      const [expected, given] = await Promise.all(
        [plain, clarus].map(client =>
          client.query(sql).then(
            ({ command }) => command,
            ({ code, message }: pg.DatabaseError) => `${code} ${message}`,
          ),
        ),
      );
      assert.equal(given, expected, sql);
    }
  });

  test('what is about roles or the server is refused with a reason', async () => {
    for (const [sql, reason] of [
      ['CREATE ROLE someone IN ROLE pg_monitor', /"users"/],
      ['ALTER ROLE app CREATEDB', /"users"/],
      ['DROP ROLE app', /"users"/],
      ['GRANT app TO app', /"users"/],
      ['ALTER INDEX person_id SET TABLESPACE pg_default', /past Clarus/],
      ['CREATE DATABASE another', /past Clarus/],
      ["ALTER SYSTEM SET work_mem = '1MB'", /past Clarus/],
    ] as const)
      await assert.rejects(clarus.query(sql), ({ code, hint, message }: pg.DatabaseError) => {
        assert.equal(code, '0A000', sql);
        assert.match(message, /is not supported in a database with protected tables/);
        assert.match(hint ?? '', reason, sql);
        return true;
      });
  });
});
