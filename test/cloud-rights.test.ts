/** A cloud is a stock server: no extension, no superuser, no prepared transaction. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startProxy, type TestProxy } from './support/proxy.js';

let proxy: TestProxy;
before(async () => {
  proxy = await startProxy({
    policy: 'unlisted: encrypt',
    server: { settings: { max_prepared_transactions: '0' } },
  });
});
after(() => proxy?.stop());

test('a user of the cloud without rights beyond its database is enough', async () => {
  const client = new pg.Client(proxy);
  await client.connect();
  await client.query('CREATE TABLE person (id integer PRIMARY KEY, name text)');
  await client.query("INSERT INTO person VALUES (1, 'x') RETURNING name");
  await client.query('BEGIN; ALTER TABLE person ADD COLUMN born date; COMMIT');
  assert.deepEqual((await client.query('SELECT * FROM person')).rows, [{ id: 1, name: 'x', born: null }]);
  await client.end();
  const behind = new pg.Client(proxy.behind);
  await behind.connect();
  const { rows } = await behind.query(
    `SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolinherit,
            pg_has_role(current_user, 'pg_read_all_data', 'member') AS reads_all,
            (SELECT string_agg(extname, ',') FROM pg_extension) AS extensions,
            (SELECT count(*)::int FROM pg_event_trigger) AS event_triggers
       FROM pg_roles WHERE rolname = current_user`,
  );
  await behind.end();
  assert.deepEqual(rows, [
    {
      rolsuper: false,
      rolcreatedb: false,
      rolcreaterole: false,
      rolreplication: false,
      rolbypassrls: false,
      rolinherit: true,
      reads_all: false,
      extensions: 'plpgsql',
      event_triggers: 0,
    },
  ]);
});
