/** Statements that no encoding answers, finished on the trusted side, and pgbench's TPC-B with protected balances. */
import { mkdirSync } from 'node:fs';
import type { BackendClient } from '../src/clouds/backend-client.js';
import type { TestServer } from '../test/support/server.js';
import { format, type Report, timed } from './report.js';
import { connect, pgbench, pgbenchInit, startClarus, type Target } from './servers.js';

const visits = 100_000;
const visitsOfOne = 100;

/** Notes and costs are protected without queries, so that whatever is asked of them is split. */
export const splitPolicy = `unlisted: refuse
tables:
  visit:
    columns:
      id: { protect: none }
      ward: { protect: none }
      note: { protect: encrypt }
      cost: { protect: encrypt }
  pgbench_accounts:
    columns: { aid: { protect: none }, bid: { protect: none } }
  pgbench_tellers:
    columns: { tid: { protect: none }, bid: { protect: none } }
  pgbench_branches:
    columns: { bid: { protect: none } }
  pgbench_history:
    columns: { tid: { protect: none }, bid: { protect: none }, aid: { protect: none }, mtime: { protect: none } }
`;

/** What split statements are measured against. */
export interface SplitTargets {
  /** a database of the cloud with pgbench's tables */
  readonly plain: Target;
  /** what else stands between a client and that database, by its name */
  readonly others: readonly (readonly [name: string, target: Target])[];
  /** for the installation of Clarus */
  readonly directory: string;
  /** of one pgbench run */
  readonly seconds: number;
}

export async function split(report: Report, cloud: TestServer, targets: SplitTargets): Promise<void> {
  const { plain, others, directory, seconds } = targets;
  mkdirSync(directory, { mode: 0o755 });
  const clarus = await startClarus(directory, cloud, 'split', 1, splitPolicy);
  try {
    const ours = await connect(clarus.target);
    const direct = await connect(plain);
    await fill(ours);
    await fill(direct);
    await vacuum({ ...cloud, database: 'split' });
    await vacuum(plain);
    await statements(report, ours, direct);
    await planCache(report, ours, direct);
    await ours.close();
    await direct.close();
    pgbenchInit(clarus.target);
    for (const clients of [1, 8])
      await report.compare({
        what: `pgbench TPC-B prepared, balances and fillers protected, ${clients} client${clients > 1 ? 's' : ''}`,
        unit: 'tps',
        goal: 'at least 0.5',
        ours: () => pgbench(clarus.target, clients, seconds, []),
        direct: () => pgbench(plain, clients, seconds, []),
        others: others.map(([name, target]) => [name, () => pgbench(target, clients, seconds, [])] as const),
      });
  } finally {
    await clarus.stop();
  }
}

async function fill(client: BackendClient): Promise<void> {
  await client.simple('CREATE TABLE visit (id integer PRIMARY KEY, ward integer, note text, cost integer)');
  const line = (i: number): string =>
    `${i + 1},${Math.floor(i / visitsOfOne)},note ${i} of somebody,${(i * 7919) % 5_000}\n`;
  const lines = Buffer.from(Array.from({ length: visits }, (_, i) => line(i)).join(''));
  await client.copyIn('COPY visit FROM STDIN (FORMAT csv)', [lines]);
}

/** Indexes that an application would have, and statistics, past Clarus where it stands between. */
async function vacuum(target: Target): Promise<void> {
  const client = await connect(target);
  await client.simple('CREATE INDEX ON visit (ward)');
  await client.simple('VACUUM ANALYZE visit');
  await client.close();
}

/** Milliseconds of one of many executions of a prepared statement. */
const prepared =
  (client: BackendClient, sql: string, times: number, value: (i: number) => string) =>
  async (): Promise<number> => {
    await client.prepare('one', sql);
    const took = await timed(async () => {
      for (let i = 0; i < times; i++) await client.execute('one', [value(i)]);
    });
    await client.deallocate('one');
    return took / times;
  };

async function statements(report: Report, ours: BackendClient, direct: BackendClient): Promise<void> {
  for (const [rows, sql] of [
    [1, 'SELECT upper(note), cost + 1 FROM visit WHERE id = $1'],
    [visitsOfOne, 'SELECT upper(note), cost + 1 FROM visit WHERE ward = $1'],
    [visitsOfOne, 'SELECT count(*), sum(cost), max(note) FROM visit WHERE ward = $1'],
  ] as const) {
    const one = (client: BackendClient) => prepared(client, sql, 100, i => String(i + 1));
    await report.compare({
      what: `split statement that fetches ${rows} row${rows > 1 ? 's' : ''}: ${sql}`,
      unit: 'ms',
      goal: 'adds at most 1 ms',
      ours: one(ours),
      direct: one(direct),
      difference: true,
    });
  }
  const sql = 'SELECT count(*), sum(cost), max(note) FROM visit WHERE id <= $1';
  for (const rows of [10_000, visits]) {
    const one = (client: BackendClient) => prepared(client, sql, 1, () => String(rows));
    const [clarus, plain] = await report.compare({
      what: `split statement that fetches ${rows} rows: ${sql}`,
      unit: 'ms',
      goal: 'at most 2.5 and 1.5 µs a fetched row',
      ours: one(ours),
      direct: one(direct),
    });
    report.add(
      'beyond 2.5 times the plaintext, a fetched row',
      `${format(((clarus - 2.5 * plain) * 1e3) / rows)} µs`,
      {
        goal: 'at most 1.5 µs',
      },
    );
  }
}

const hits = 1_000;

/** What it costs to find the plan of a statement that is not prepared, beside the way through Clarus itself. */
async function planCache(report: Report, ours: BackendClient, direct: BackendClient): Promise<void> {
  const sql = 'SELECT id, note FROM visit WHERE id = $1';
  const extra = (client: BackendClient) => async (): Promise<number> => {
    const known = await prepared(client, sql, hits, i => String(i + 1))();
    const took = await timed(async () => {
      for (let i = 0; i < hits; i++) await client.query(sql, [String(i + 1)]);
    });
    return took / hits - known;
  };
  await report.compare({
    what: 'Parse of a statement whose plan is kept: time beyond one that is prepared',
    unit: 'ms',
    goal: 'adds at most 0.05 ms',
    ours: extra(ours),
    direct: extra(direct),
    difference: true,
  });
}
