/** Statements a second and latency, against direct PostgreSQL and PgBouncer. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackendClient } from '../src/clouds/backend-client.js';
import { type Report, timed } from './report.js';
import { connect, pgbench, type Target } from './servers.js';

export const people = 100_000;
const lines = Buffer.from(
  Array.from({ length: people }, (_, i) => `${i + 1},${i + 1},mail${i + 1}@example.org,${i % 90}\n`).join(''),
);

/** Makes and loads the table that is looked up by a protected text. */
export async function fillPeople(client: BackendClient): Promise<void> {
  await client.simple('CREATE TABLE person (number integer PRIMARY KEY, name text, email text, age integer)');
  await client.copyIn('COPY person FROM STDIN (FORMAT csv)', [lines]);
}

/** The targets of one comparison. */
export interface Targets {
  readonly clarus: Target;
  readonly direct: Target;
  /** what else stands between a client and the server, by its name */
  readonly others: readonly (readonly [name: string, target: Target])[];
  readonly workers: number;
  /** of one pgbench run */
  readonly seconds: number;
  /** for pgbench's script */
  readonly directory: string;
}

/** pgbench -S in the database that also holds protected tables, and the look-up by tag, with 1 and 8 clients. */
export async function throughput(report: Report, targets: Targets): Promise<void> {
  const { clarus, direct, others, workers, seconds, directory } = targets;
  const look = join(directory, 'look.sql');
  writeFileSync(
    look,
    `\\set i random(1, ${people})\nSELECT number, name, email, age FROM person WHERE name = :i;\n`,
  );
  const note = `, ${workers} worker${workers > 1 ? 's' : ''}`;
  for (const clients of [1, 8]) {
    const who = `${clients} client${clients > 1 ? 's' : ''}${note}`;
    const both = (args: readonly string[]) => ({
      unit: 'tps',
      ours: () => pgbench(clarus, clients, seconds, args),
      direct: () => pgbench(direct, clients, seconds, args),
      others: others.map(([name, target]) => [name, () => pgbench(target, clients, seconds, args)] as const),
    });
    await report.compare({
      what: `pass-through, pgbench -S prepared, ${who}`,
      goal: clients === 8 ? 'at least 0.5' : '',
      ...both(['-S']),
    });
    await report.compare({
      what: `encrypted look-up by tag, ${who}`,
      goal: 'at least 0.4',
      ...both(['-f', look]),
    });
  }
}

const lookUps = 2_000;

/** Time of one prepared look-up after the other. */
export async function latency(report: Report, clarus: Target, direct: Target): Promise<void> {
  const clients = [await connect(clarus), await connect(direct)] as const;
  const one = (client: BackendClient, sql: string) => async (): Promise<number> => {
    await client.prepare('one', sql);
    const took = await timed(async () => {
      for (let i = 1; i <= lookUps; i++) await client.execute('one', [String(i)]);
    });
    await client.deallocate('one');
    return took / lookUps;
  };
  for (const [what, sql] of [
    ['a pass-through look-up', 'SELECT abalance FROM pgbench_accounts WHERE aid = $1'],
    ['an encrypted look-up by tag', 'SELECT number, name, email, age FROM person WHERE name = $1'],
  ] as const) {
    await report.compare({
      what: `latency of ${what}, one client`,
      unit: 'ms',
      goal: 'adds at most 0.1 ms',
      ours: one(clients[0], sql),
      direct: one(clients[1], sql),
      difference: true,
    });
  }
  for (const client of clients) await client.close();
}
