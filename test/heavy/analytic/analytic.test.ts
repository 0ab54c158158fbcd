/**
 * Decision support over protected tables: each question is answered as by a plain PostgreSQL. What it costs is told,
 * and not judged: time, and the rows that were fetched of each table.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { BackendClient } from '../../../src/clouds/backend-client.js';
import { startProxy, type Target, type TestProxy } from '../../support/proxy.js';
import { count, seed } from '../support/scale.js';
import { type Query, queries } from './queries.js';
import { shopRows } from './rows.js';
import { ddl, policy } from './schema.js';

/** Scale 1 in thousandths. */
const scale = count('thousandths of the shop', 1_000, 10) / 1_000;

/** Of what a split statement fetched, as the journal tells it. */
interface End {
  readonly kind: string;
  readonly sequence: number;
  readonly fetched?: readonly { readonly table: string; readonly rows: number }[];
}

suite('decision support', { timeout: 3_600_000 }, () => {
  let proxy: TestProxy;
  let ours: pg.Client;
  let plain: pg.Client;

  before(async () => {
    proxy = await startProxy({ policy });
    ours = await connect(proxy);
    plain = await connect(proxy.plain);
    for (const client of [ours, plain]) for (const sql of ddl) await client.query(sql);
    for (const target of [proxy, proxy.plain]) await load(target);
    await plain.query('ANALYZE');
  });
  after(async () => {
    await ours?.end();
    await plain?.end();
    await proxy?.stop();
  });

  test('the protected copy of the shop holds the rows of the plain one', async () => {
    for (const { table } of shopRows(scale, seed)) {
      const all = { name: table, sql: `SELECT * FROM ${table} ORDER BY 1, 2` };
      assert.deepEqual((await answer(ours, all)).rows, (await answer(plain, all)).rows, table);
    }
  });

  for (const query of queries)
    test(`PostgreSQL's answer: ${query.name}`, async t => {
      const expected = await answer(plain, query);
      const before = lastLine();
      const given = await answer(ours, query);
      assert.deepEqual(given.rows, expected.rows);
      assert.ok(given.rows.length > 0);
      const { fetched = [] } = await endAfter(before);
      const tables = fetched.map(({ table, rows }) => `${table.replace('public.', '')} ${rows}`);
      t.diagnostic(
        `${given.rows.length} rows; plain ${expected.took_ms.toFixed(1)} ms, Clarus ${given.took_ms.toFixed(1)} ms; fetched: ${tables.join(', ') || 'answered by the cloud'}`,
      );
    });

  const journal = (): End[] =>
    readFileSync(join(proxy.directory, 'audit', 'journal-worker-0.jsonl'), 'utf8')
      .split('\n')
      .slice(0, -1)
      .map(line => JSON.parse(line) as End);

  const lastLine = (): number => journal().at(-1)!.sequence;

  /** The first end of a statement after a line of the journal, which is written a little later. */
  async function endAfter(sequence: number): Promise<End> {
    for (let waited_ms = 0; waited_ms < 5_000; waited_ms += 20) {
      const end = journal().find(line => line.sequence > sequence && line.kind === 'statement-end');
      if (end) return end;
      await sleep(20);
    }
    throw new Error('the journal does not tell the end of the statement');
  }
});

async function connect(target: Target): Promise<pg.Client> {
  const client = new pg.Client({ ...target });
  await client.connect();
  return client;
}

async function load(target: Target): Promise<void> {
  const { host, port, user, password, database } = target;
  const client = await BackendClient.connect({
    label: 'server',
    address: { kind: 'tcp', host, port },
    ...{ user, password, database },
    tls: 'off',
  });
  for (const { table, lines } of shopRows(scale, seed))
    await client.copyIn(`COPY ${table} FROM STDIN (FORMAT csv)`, [Buffer.from(lines.join(''))]);
  await client.close();
}

/** Rows as texts, in their order. */
async function answer(
  client: pg.Client,
  { sql, values }: Query,
): Promise<{ readonly rows: readonly unknown[][]; readonly took_ms: number }> {
  const begun = performance.now();
  const { rows } = await client.query<unknown[]>({
    text: sql,
    ...(values ? { values: [...values] } : {}),
    rowMode: 'array',
    types: { getTypeParser: () => (value: string) => value },
  });
  return { rows, took_ms: performance.now() - begun };
}
