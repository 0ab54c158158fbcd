/** The trusted database holds schema and state, never rows: its size does not depend on what was loaded. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { connectionConfig } from '../src/trusted/server.js';
import { startProxy, type TestProxy } from './support/proxy.js';

/** Leases, journal entries and statistics may take some pages of 8 kB. */
const slack_bytes = 1024 * 1024;
const few = 100;
const many = 20_000;

let proxy: TestProxy;
before(async () => {
  proxy = await startProxy({
    policy: `unlisted: encrypt
tables:
  public.visit:
    columns:
      id: { protect: none }
      patient: { protect: encrypt, queries: [equality] }
      remark: { protect: encrypt }`,
  });
});
after(() => proxy?.stop());

test('the trusted database holds no row of any table of a cloud', { timeout: 120_000 }, async () => {
  const client = new pg.Client(proxy);
  await client.connect();
  await client.query('CREATE TABLE visit (id integer PRIMARY KEY, patient text UNIQUE, remark text)');
  await client.query('CREATE TABLE other (a text, b integer DEFAULT 3)');
  await load(client, 0, few);
  await client.query('INSERT INTO other VALUES ($1, DEFAULT)', ['x']);
  await client.query('BEGIN');
  await client.query('CREATE TABLE inside (a text)');
  await client.query("INSERT INTO inside VALUES ('in the transaction that made the table')");
  await client.query('COMMIT');
  await client.query('SELECT * FROM visit WHERE patient = $1', ['patient 3']);
  await client.end();
  const shadow = poolOf(proxy.database);
  try {
    const { rows } = await shadow.query<{ name: string }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'`,
    );
    assert.ok(rows.length >= 3, rows.map(({ name }) => name).join(', '));
    for (const { name } of rows) {
      const counted = await shadow.query<{ rows: string }>(`SELECT count(*) AS rows FROM ${name}`);
      assert.equal(counted.rows[0]?.rows, '0', name);
    }
  } finally {
    await shadow.end();
  }
});

test('the trusted database does not grow with the rows', { timeout: 120_000 }, async t => {
  const before = await size();
  const client = new pg.Client(proxy);
  await client.connect();
  await load(client, few, many);
  const { rows } = await client.query('SELECT count(patient) AS count FROM visit');
  assert.equal(rows[0].count, String(many));
  await client.query('DELETE FROM visit WHERE id >= $1', [many - 10]);
  await client.end();
  const grown = (await size()) - before;
  t.diagnostic(`${many} rows: the trusted databases grew by ${grown} bytes`);
  assert.ok(grown < slack_bytes, `it grew by ${grown} bytes`);
});

async function load(client: pg.Client, from: number, to: number): Promise<void> {
  const batch = 5_000;
  for (let at = from; at < to; at += batch) {
    const rows = Array.from({ length: Math.min(batch, to - at) }, (_, i) => at + i);
    await client.query(
      `INSERT INTO visit VALUES ${rows.map(id => `(${id}, 'patient ${id}', 'remark of ${id}')`).join(', ')}`,
    );
  }
}

/** Bytes of the state database and the shadow database, vacuumed of what is dead. */
async function size(): Promise<number> {
  let bytes = 0;
  for (const database of [proxy.database, 'clarus']) {
    // a pool does not wait for its connections to end, and the server is stopped soon
    const client = new pg.Client(connectionConfig(proxy.trusted.server, database));
    await client.connect();
    try {
      await client.query('VACUUM');
      const { rows } = await client.query<{ size: string }>(
        'SELECT pg_database_size(current_database()) AS size',
      );
      bytes += Number(rows[0]?.size);
    } finally {
      await client.end();
    }
  }
  return bytes;
}

const poolOf = (database: string): pg.Pool =>
  new pg.Pool({ ...connectionConfig(proxy.trusted.server, database), max: 1 });
