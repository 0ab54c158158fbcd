/**
 * `npm run bench`: one table of ratios against direct PostgreSQL (and PgBouncer where it is installed), measured in
 * one run: each figure the median of alternating runs. Needs pgbench; prints markdown.
 *
 * Options: --seconds N (a pgbench run, default 5), --runs N (default 5), --rows N (COPY and SELECT, default 400000).
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BackendClient } from '../src/clouds/backend-client.js';
import { startServer, type TestServer } from '../test/support/server.js';
import { cryptoRows } from './cells.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    runs: { type: 'string', default: '5' },
    rows: { type: 'string', default: '400000' },
  },
});
const seconds = Number(values.seconds);
const runs = Number(values.runs);
const rowCount = Number(values.rows);

interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}
interface Row {
  readonly what: string;
  readonly ours: string;
  readonly direct: string;
  readonly ratio: string;
  readonly goal: string;
}

const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[figures.length >> 1]!;
const rows: Row[] = [];

/** Alternates two measurements and records the ratio of their medians. */
async function compare(
  what: string,
  unit: string,
  goal: string,
  ours: () => Promise<number> | number,
  direct: () => Promise<number> | number,
): Promise<void> {
  const a: number[] = [];
  const b: number[] = [];
  for (let i = 0; i < runs; i++) {
    a.push(await ours());
    b.push(await direct());
  }
  rows.push({
    what,
    ours: `${format(median(a))} ${unit}`,
    direct: `${format(median(b))} ${unit}`,
    ratio: (median(a) / median(b)).toFixed(2),
    goal,
  });
  process.stderr.write(`${what}: ${(median(a) / median(b)).toFixed(2)}\n`);
}
const format = (figure: number): string => (figure >= 100 ? figure.toFixed(0) : figure.toPrecision(3));

function pgbench(target: Target, clients: number, args: readonly string[]): number {
  const binary =
    ['/usr/lib/postgresql/15/bin/pgbench', '/usr/bin/pgbench'].find(path => existsSync(path)) ?? 'pgbench';
  const done = spawnSync(
    binary,
    [
      '-h',
      target.host,
      '-p',
      String(target.port),
      '-U',
      target.user,
      '-n',
      '-M',
      'prepared',
      '-c',
      String(clients),
      '-T',
      String(seconds),
      ...args,
      target.database,
    ],
    {
      encoding: 'utf8',
      env: { ...process.env, PGPASSWORD: target.password },
    },
  );
  const found = /tps = ([\d.]+)/.exec(done.stdout ?? '');
  if (!found || /failed|error/i.test(done.stderr ?? '')) throw new Error(`pgbench: ${done.stderr}`);
  return Number(found[1]);
}

const connect = (target: Target): Promise<BackendClient> =>
  BackendClient.connect({
    label: 'server',
    address: { kind: 'tcp', host: target.host, port: target.port },
    user: target.user,
    password: target.password,
    database: target.database,
    tls: 'off',
  });

/** Rows in the shape of the laboratory values of a cohort: id, days, test, value. */
function laboratory(count: number): Buffer {
  const folder = new URL('../../shared/data/nafld2.csv.gz', import.meta.url);
  if (count === 400_000 && existsSync(folder)) {
    const text = execFileSync('zcat', [folder.pathname], { maxBuffer: 1 << 28 }).toString();
    return Buffer.from(text.slice(text.indexOf('\n') + 1));
  }
  const tests = ['hdl', 'chol', 'sbp', 'dbp', 'smoke', 'fib4'];
  const lines: string[] = [];
  for (let i = 0; i < count; i++)
    lines.push(
      `${i + 1},${(i * 7919) % 17_549},${((i * 104_729) % 9_000) - 4_000},${tests[i % tests.length]},${(((i * 31) % 2_000) / 10).toFixed(1)}`,
    );
  return Buffer.from(`${lines.join('\n')}\n`);
}

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

async function startProxy(
  directory: string,
  cloud: TestServer,
  database: string,
  workers: number,
): Promise<{ target: Target; stop(): Promise<void>; pid: number }> {
  writeFileSync(join(directory, 'root.key'), `${'5a'.repeat(32)}\n`, { mode: 0o600 });
  writeFileSync(join(directory, 'cloud'), cloud.password, { mode: 0o600 });
  writeFileSync(join(directory, 'app'), 'application', { mode: 0o600 });
  writeFileSync(
    join(directory, 'clarus.yaml'),
    `clarus: 1
trusted: { database: embedded, directory: ./trusted, key: { file: ./root.key } }
clouds:
  main: { postgres: "postgres://${cloud.user}@127.0.0.1:${cloud.port}/${database}", password: "file:./cloud" }
listen: { postgres: "127.0.0.1:0" }
tls: off
workers: ${workers}
audit: statements
users:
  app: { password: "file:./app" }
${policy}`,
  );
  const child = spawn(
    process.execPath,
    [
      new URL('../dist/cli/main.js', import.meta.url).pathname,
      'run',
      '--config',
      join(directory, 'clarus.yaml'),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const found = /ready postgres:\/\/127\.0\.0\.1:(\d+)/.exec(text);
      if (found) resolve(Number(found[1]));
    });
    child.once('exit', code => reject(new Error(`clarus run ended with ${code}`)));
  });
  return {
    target: { host: '127.0.0.1', port, user: 'app', password: 'application', database },
    pid: child.pid!,
    stop: () =>
      new Promise(done => {
        child.once('exit', () => done());
        child.kill('SIGTERM');
      }),
  };
}

const people = 100_000;
const personLines = Buffer.from(
  Array.from({ length: people }, (_, i) => `${i + 1},name${i + 1},mail${i + 1}@example.org,${i % 90}\n`).join(
    '',
  ),
);

async function fill(client: BackendClient): Promise<void> {
  await client.simple('DROP TABLE IF EXISTS person');
  await client.simple('CREATE TABLE person (number integer PRIMARY KEY, name text, email text, age integer)');
  await client.copyIn('COPY person FROM STDIN (FORMAT csv)', [personLines]);
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'clarus-bench-'));
  chmodSync(directory, 0o755);
  const cloud = await startServer({ settings: { shared_buffers: '256MB', max_wal_size: '4GB' } });
  const admin = await connect({ ...cloud });
  await admin.simple('CREATE DATABASE plain');
  await admin.simple('CREATE DATABASE protected');
  await admin.close();
  const direct: Target = { ...cloud, database: 'plain' };
  const behind: Target = { ...cloud, database: 'protected' };
  for (const target of [direct, behind]) pgbenchInit(target);
  const look = join(directory, 'look.sql');
  writeFileSync(
    look,
    `\\set i random(1, ${people})\nSELECT number, name, email, age FROM person WHERE name = 'name' || :i::text;\n`,
  );
  let proxy = await startProxy(directory, cloud, 'protected', 1);
  try {
    const plain = await connect(direct);
    const ours = await connect(proxy.target);
    await fill(plain);
    await plain.simple('CREATE INDEX ON person (name)');
    await fill(ours);
    await plain.simple('VACUUM ANALYZE');
    const vacuum = await connect(behind);
    await vacuum.simple('VACUUM ANALYZE');
    await vacuum.close();

    const lab = laboratory(rowCount);
    const sql =
      'CREATE TABLE lab ("row" integer PRIMARY KEY, id integer, days integer, test text, value numeric)';
    const copy = (client: BackendClient) => async (): Promise<number> => {
      await client.simple('DROP TABLE IF EXISTS lab');
      await client.simple(sql);
      return timed(() => client.copyIn('COPY lab FROM STDIN (FORMAT csv)', [lab]));
    };
    await compare(
      `COPY in, ${rowCount} rows, 3 protected columns`,
      'ms',
      'at most 3',
      copy(ours),
      copy(plain),
    );
    const select = (client: BackendClient) => (): Promise<number> =>
      timed(() => client.query('SELECT * FROM lab', [], { resultFormat: 0, onRows: () => undefined }));
    await compare(`full SELECT, ${rowCount} rows`, 'ms', 'at most 2', select(ours), select(plain));
    const single = (client: BackendClient) => async (): Promise<number> => {
      await client.prepare('one', 'SELECT abalance FROM pgbench_accounts WHERE aid = $1');
      const took = await timed(async () => {
        for (let i = 0; i < 2_000; i++) await client.execute('one', [String(i + 1)]);
      });
      await client.deallocate('one');
      return took / 2_000;
    };
    await compare(
      'latency of one prepared look-up, one client',
      'ms',
      'adds at most 0.1 ms',
      single(ours),
      single(plain),
    );
    await plain.close();
    await ours.close();

    for (const workers of [1, 2]) {
      if (workers === 2) {
        await proxy.stop();
        proxy = await startProxy(directory, cloud, 'protected', 2);
      }
      const note = `, ${workers} worker${workers > 1 ? 's' : ''}`;
      for (const clients of [1, 8]) {
        await compare(
          `pass-through, pgbench -S prepared, ${clients} client${clients > 1 ? 's' : ''}${note}`,
          'tps',
          clients === 8 ? 'at least 0.5' : '',
          () => pgbench(proxy.target, clients, ['-S']),
          () => pgbench(direct, clients, ['-S']),
        );
        await compare(
          `encrypted look-up by tag, ${clients} client${clients > 1 ? 's' : ''}${note}`,
          'tps',
          'at least 0.4',
          () => pgbench(proxy.target, clients, ['-f', look]),
          () => pgbench(direct, clients, ['-f', look]),
        );
      }
    }
    const memory =
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
    rows.push({
      what: 'resident memory of the primary process',
      ours: `${memory.toFixed(0)} MiB`,
      direct: '',
      ratio: '',
      goal: '',
    });
  } finally {
    await proxy.stop();
    await cloud.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  for (const { what, ns, goal } of await cryptoRows())
    rows.push({ what, ours: `${ns.toFixed(1)} ns`, direct: '', ratio: '', goal });
  process.stdout.write(
    `Machine: ${cpus()[0]?.model ?? ''}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB; Node ${process.version}; medians of ${runs} alternating runs.\n\n`,
  );
  process.stdout.write('| what | Clarus | direct | ratio | goal |\n| --- | --- | --- | --- | --- |\n');
  for (const { what, ours, direct: peer, ratio, goal } of rows)
    process.stdout.write(`| ${what} | ${ours} | ${peer} | ${ratio} | ${goal} |\n`);
}

function pgbenchInit(target: Target): void {
  const binary =
    ['/usr/lib/postgresql/15/bin/pgbench', '/usr/bin/pgbench'].find(path => existsSync(path)) ?? 'pgbench';
  execFileSync(
    binary,
    ['-h', target.host, '-p', String(target.port), '-U', target.user, '-i', '-q', '-s', '5', target.database],
    { env: { ...process.env, PGPASSWORD: target.password }, stdio: 'ignore' },
  );
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

await main();
