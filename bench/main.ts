/**
 * `npm run bench`: one table of ratios against direct PostgreSQL (and PgBouncer where it is installed), measured in
 * one run: each figure the median of alternating runs. Needs pgbench; prints Markdown.
 *
 * Options: --seconds N (a pgbench run, default 5), --runs N (default 5), --rows N (COPY and SELECT, default 400000),
 * --stream N (rows of the memory measurement, default 10000000), --only PART (bulk, latency, throughput, split, memory,
 * crypto; may be repeated).
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startServer } from '../test/support/server.js';
import { bulk, storage } from './bulk.js';
import { cryptoRows } from './cells.js';
import { memory } from './memory.js';
import { format, Report } from './report.js';
import {
  connect,
  pgbenchInit,
  type Running,
  startClarus,
  startPgBouncer,
  startPipe,
  type Target,
} from './servers.js';
import { split } from './split.js';
import { fillPeople, latency, throughput } from './throughput.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    runs: { type: 'string', default: '5' },
    rows: { type: 'string', default: '400000' },
    stream: { type: 'string', default: '10000000' },
    only: {
      type: 'string',
      multiple: true,
      default: ['bulk', 'latency', 'throughput', 'split', 'memory', 'crypto'],
    },
  },
});
const seconds = Number(values.seconds);
const rows = Number(values.rows);
const wanted = (part: string): boolean => values.only.includes(part);
const report = new Report(Number(values.runs));

const policy = `unlisted: pass
tables:
  public.lab:
    columns:
      row: { protect: none }
      id: { protect: encrypt, queries: [equality] }
      days: { protect: encrypt }
      test: { protect: none }
      value: { protect: encrypt }
  public.person:
    columns:
      number: { protect: none }
      name: { protect: encrypt, queries: [equality] }
      email: { protect: encrypt, queries: [equality] }
      age: { protect: encrypt }
`;

const directory = mkdtempSync(join(tmpdir(), 'clarus-bench-'));
chmodSync(directory, 0o755);
// As durable as a stock server: what is committed is on the disk.
const cloud = await startServer({
  settings: { shared_buffers: '256MB', max_wal_size: '4GB', fsync: 'on' },
});
const direct: Target = { ...cloud, database: 'plain' };
const behind: Target = { ...cloud, database: 'protected' };
let clarus: Running | undefined;
let pgbouncer: Running | undefined;
let pipe: Running | undefined;
try {
  const admin = await connect({ ...cloud });
  for (const name of [direct.database, behind.database, 'split'])
    await admin.simple(`CREATE DATABASE ${name}`);
  await admin.close();
  for (const target of [direct, behind]) pgbenchInit(target);
  clarus = await startClarus(directory, cloud, 'protected', 1, policy);
  pgbouncer = await startPgBouncer(directory, cloud, 'plain');
  pipe = await startPipe(cloud, 'plain');
  for (const target of [direct, clarus.target]) {
    const client = await connect(target);
    await fillPeople(client);
    if (target === direct) await client.simple('CREATE INDEX ON person (name)');
    await client.close();
  }
  for (const target of [direct, behind]) {
    const client = await connect(target);
    await client.simple('VACUUM ANALYZE');
    await client.close();
  }
  if (wanted('bulk') || wanted('memory')) {
    await bulk(report, clarus.target, direct, rows);
    await storage(report, behind);
  }
  if (wanted('latency')) await latency(report, clarus.target, direct);
  const others: [string, Target][] = [['a bare pipe of bytes in Node', pipe.target]];
  if (pgbouncer !== undefined) others.push(['PgBouncer', pgbouncer.target]);
  if (wanted('throughput')) {
    const shared = { direct, seconds, directory };
    await throughput(report, { ...shared, others, clarus: clarus.target, workers: 1 });
    await clarus.stop();
    clarus = await startClarus(directory, cloud, 'protected', 2, policy);
    await throughput(report, { ...shared, others: [], clarus: clarus.target, workers: 2 });
    await clarus.stop();
    clarus = await startClarus(directory, cloud, 'protected', 1, policy);
  }
  if (wanted('split'))
    await split(report, cloud, { plain: direct, others, directory: join(directory, 'split'), seconds });
  if (wanted('memory')) await memory(report, clarus, rows, Number(values.stream));
} finally {
  await clarus?.stop();
  await pgbouncer?.stop();
  await pipe?.stop();
  await cloud.stop();
  rmSync(directory, { recursive: true, force: true });
}
if (wanted('crypto'))
  for (const { what, ns, goal } of await cryptoRows()) report.add(what, `${format(ns)} ns`, { goal });
process.stdout.write(
  `${cpus()[0]?.model.trim() ?? ''}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB; Node ${process.version}; cloud, clients and Clarus on this one machine; medians of ${report.runs} alternating runs${pgbouncer === undefined ? '; PgBouncer is not installed' : ''}.\n\n${report}`,
);
