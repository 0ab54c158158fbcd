/** What recovery runs again means what it meant when the session ran it, whatever the session had set. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { outcomeOf } from './support/outcome.js';
import { startProxy, type TestProxy } from './support/proxy.js';

const policy = `unlisted: pass
tables:
  public.visit:
    columns:
      id: { protect: none }
      day: { class: confidential, protect: encrypt }
      at: { class: confidential, protect: encrypt }
      span: { class: confidential, protect: encrypt }
      marks: { class: confidential, protect: encrypt }
      empty: { class: confidential, protect: encrypt }
      note: { class: confidential, protect: encrypt }`;

/** Each setting, and a default that is read by it. */
const changes = [
  ["SET DateStyle = 'SQL, DMY'", "ALTER TABLE visit ALTER day SET DEFAULT '03/02/2020'"],
  ["SET TimeZone = 'Asia/Kolkata'", "ALTER TABLE visit ALTER at SET DEFAULT '2020-02-03 04:05'"],
  ["SET IntervalStyle = 'sql_standard'", "ALTER TABLE visit ALTER span SET DEFAULT '-1 2:03:04'"],
  ['SET array_nulls = off', "ALTER TABLE visit ALTER marks SET DEFAULT '{NULL,a}'"],
  ['SET transform_null_equals = on', 'ALTER TABLE visit ALTER empty SET DEFAULT (NULL::int = NULL)'],
  [
    'SET xmloption = document',
    "ALTER TABLE visit ALTER note SET DEFAULT (xmlparse(content 'a') IS DOCUMENT)::text",
  ],
  ['RESET ALL', "ALTER TABLE visit ADD other date DEFAULT '03/02/2020'"],
] as const;

suite('recovery', { timeout: 120_000 }, () => {
  let proxy: TestProxy;
  const clients: pg.Client[] = [];
  const connect = async (target: pg.ClientConfig): Promise<pg.Client> => {
    const client = new pg.Client({ ...target });
    client.on('error', () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  };

  before(async () => {
    proxy = await startProxy({ policy });
  });
  after(async () => {
    for (const client of clients) await client.end().catch(() => undefined);
    await proxy?.stop();
  });

  test('reads DDL by the settings of the session that ran it', async () => {
    const [ours, plain] = [await connect(proxy), await connect(proxy.plain)];
    const behind = await connect(proxy.behind);
    for (const client of [ours, plain])
      await client.query(`CREATE TABLE visit (id int, day date, at timestamptz, span interval, marks text[], empty bool, note text);
        CREATE TABLE slow (id int)`);
    // the cloud takes its time over the commit, so that the trusted side can be lost meanwhile
    await behind.query(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slowly()`);
    for (const client of [ours, plain]) {
      await client.query('BEGIN; INSERT INTO slow VALUES (1)');
      for (const [set, change] of changes) {
        await client.query(set);
        await client.query(change);
      }
    }
    await plain.query('COMMIT');
    const commit = outcomeOf(ours, 'COMMIT');
    const { state } = proxy.trusted;
    const entries = 'SELECT redo FROM clarus.journal';
    while ((await state.query(entries)).rows.length === 0) await sleep(20);
    await state.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    await commit;
    while ((await state.query(entries)).rows.length > 0) await sleep(50);
    const found: unknown[] = [];
    for (const target of [proxy, proxy.plain]) {
      const client = await connect(target);
      await client.query("SET TimeZone = 'UTC'; INSERT INTO visit (id) VALUES (1)");
      found.push(
        (
          await client.query(
            'SELECT id, day::text, at::text, span::text, marks::text, empty, note, other::text FROM visit',
          )
        ).rows,
      );
    }
    assert.deepEqual(found[0], found[1]);
  });
});
