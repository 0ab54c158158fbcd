/** PostgreSQL's own regression suite, from Debian's source package, ready to run against any address. */
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Cluster, startCluster } from '../support/cluster.js';
import { isRoot, must, run } from '../support/command.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

/** The suite in a directory of its own, with server and clients of exactly its version. */
export interface RegressionSuite {
  readonly version: string;
  /** Directory of the server's and the clients' programs. */
  readonly programs: string;
  /** Directory of `sql`, `data` and the schedule. */
  readonly input: string;
  /** Directory of the isolation tests: `specs` and their schedule. */
  readonly isolation: string;
  /** Directory of the suite's own functions in C. */
  readonly libraries: string;
  /** Environment of the programs. */
  readonly env: Readonly<Record<string, string>>;
  /** Starts a server that holds an empty database `regression` with the settings that the suite expects. */
  startServer(): Promise<Cluster>;
  /** Runs the whole schedule against one address, in the database `regression`. */
  runAgainst(address: RegressionTarget): Promise<RegressionRun>;
  remove(): void;
}

/** Where the suite's clients connect, and how many at once. */
export interface RegressionTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** 1 is serial mode; the schedule's groups hold up to 20. */
  readonly connections: number;
  readonly timeout_ms: number;
}

/** What a run found. */
export interface RegressionRun {
  readonly passed: ReadonlySet<string>;
  readonly failed: ReadonlySet<string>;
  /** Differences of each failed file between what was expected and what came. */
  readonly differences: ReadonlyMap<string, string>;
  readonly seconds: number;
  /** Not empty when the run itself broke off. */
  readonly trouble: string;
}

/** Downloads, unpacks and compiles what the suite needs. */
export async function prepareSuite(): Promise<RegressionSuite> {
  const fetched = join(checkout, 'build/debian-source');
  await must('bash', [fileURLToPath(new URL('fetch-source.sh', import.meta.url)), fetched], {
    cwd: checkout,
  });
  const directory = mkdtempSync(join(tmpdir(), 'clarus-regress-'));
  chmodSync(directory, 0o755);
  const root = join(directory, 'root');
  const input = join(directory, 'input');
  const libraries = join(directory, 'libraries');
  cpSync(join(fetched, 'root'), root, { recursive: true, verbatimSymlinks: true });
  cpSync(join(fetched, 'source/src/test/regress'), input, { recursive: true });
  mkdirSync(libraries);
  const installed = join(root, 'usr/lib/postgresql/15');
  const programs = join(installed, 'bin');
  for (const name of ['autoinc.so', 'refint.so']) cpSync(join(installed, 'lib', name), join(libraries, name));
  const headers = ['15/server', 'internal', ''].map(
    name => `-I${join(root, 'usr/include/postgresql', name)}`,
  );
  await must(
    'gcc',
    ['-O2', '-fPIC', '-shared', '-fno-strict-aliasing', '-fwrapv', '-w', '-D_GNU_SOURCE', ...headers].concat([
      ...['-I/usr/include/libxml2', '-o', join(libraries, 'regress.so'), join(input, 'regress.c')],
    ]),
  );
  const systemUser = isRoot() ? 'postgres' : undefined;
  if (systemUser !== undefined) await must('chown', ['-R', `${systemUser}:`, directory]);
  const env = { LD_LIBRARY_PATH: join(root, 'usr/lib/x86_64-linux-gnu') };
  let runs = 0;
  return {
    version: readFileSync(join(fetched, 'version'), 'utf8').trim(),
    ...{ programs, input, libraries, env },
    isolation: join(fetched, 'source/src/test/isolation'),
    startServer: async () => {
      // max_prepared_transactions is what the suite's own temporary server has.
      const cluster = await startCluster({ programs, env, settings: { max_prepared_transactions: '2' } });
      await cluster.sql('CREATE DATABASE regression TEMPLATE template0');
      for (const setting of databaseSettings) await cluster.sql(`ALTER DATABASE regression SET ${setting}`);
      return cluster;
    },
    runAgainst: async target => {
      const output = join(directory, `output-${++runs}`);
      const asUser = systemUser === undefined ? {} : { user: systemUser };
      await must('mkdir', [output], asUser);
      const started_ms = Date.now();
      const done = await run(
        join(installed, 'lib/pgxs/src/test/regress/pg_regress'),
        [
          `--inputdir=${input}`,
          `--outputdir=${output}`,
          `--bindir=${programs}`,
          `--dlpath=${libraries}`,
          '--use-existing',
          '--dbname=regression',
          `--host=${target.host}`,
          `--port=${target.port}`,
          `--user=${target.user}`,
          `--max-connections=${target.connections}`,
          '--max-concurrent-tests=20',
          `--schedule=${join(input, 'parallel_schedule')}`,
        ],
        {
          ...asUser,
          cwd: output,
          env: { ...env, PGPASSWORD: target.password },
          timeout_ms: target.timeout_ms,
        },
      );
      const differences = join(output, 'regression.diffs');
      return {
        ...outcomes(done.stdout),
        differences: existsSync(differences) ? byFile(readFileSync(differences, 'utf8')) : new Map(),
        seconds: Math.round((Date.now() - started_ms) / 1000),
        trouble: done.status <= 1 ? '' : `status ${done.status}\n${done.stdout.slice(-2000)}${done.stderr}`,
      };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** What pg_regress sets on a database that it makes itself (pg_regress.c, create_database). */
const databaseSettings = [
  "lc_messages TO 'C'",
  "lc_monetary TO 'C'",
  "lc_numeric TO 'C'",
  "lc_time TO 'C'",
  "bytea_output TO 'hex'",
  "timezone_abbreviations TO 'Default'",
];

function outcomes(report: string) {
  const passed = new Set<string>();
  const failed = new Set<string>();
  for (const line of report.split('\n')) {
    const found = /^(?:test|\s)\s*(\S+)\s+\.\.\. (ok|FAILED|failed)\b/.exec(line);
    if (found?.[1] !== undefined) (found[2] === 'ok' ? passed : failed).add(found[1]);
  }
  return { passed, failed };
}

function byFile(differences: string): Map<string, string> {
  const parts = differences.split(/^(?=diff -U3 )/m);
  return new Map(
    parts
      .map(part => [/results\/(\S+)\.out/.exec(part)?.[1] ?? '', part] as const)
      .filter(([file]) => file !== ''),
  );
}
