/** The servers of a run: one that is asked directly, one behind Clarus, and one that refuses what Clarus refused. */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegressionSuite } from '../regress/suite.js';
import { closeAll, closeLater } from '../support/closing.js';
import { startCluster } from '../support/cluster.js';
import { Installation } from '../support/installation.js';
import { refusals, type Verdict, verdicts } from './compare.js';
import { type Client, runScript, type ScriptRun } from './run.js';
import { type Unit, unitsOf } from './script.js';

/** A file of the suite after its run. */
export interface FileResult {
  readonly file: string;
  readonly units: readonly Unit[];
  readonly direct: ScriptRun;
  readonly through: ScriptRun;
  readonly reference: ScriptRun;
  readonly verdicts: readonly Verdict[];
}

/** Files in the order of the schedule: later ones use what earlier ones made. */
export const scheduled = (suite: RegressionSuite): readonly string[] =>
  readFileSync(join(suite.input, 'parallel_schedule'), 'utf8')
    .split('\n')
    .flatMap(line => (line.startsWith('test:') ? line.slice(5).trim().split(/\s+/) : []));

/** Time that a file may take, directly and through Clarus. */
const file_ms = 600_000;

/** Runs files on all sides, and tells of each when it is done. */
export async function runFiles(
  suite: RegressionSuite,
  files: readonly string[],
  done: (result: FileResult) => void,
): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'clarus-conformance-'));
  chmodSync(scratch, 0o755);
  try {
    const client = clients(suite, scratch);
    const [direct, cloud, trusted, reference] = await Promise.all([
      suite.startServer(),
      suite.startServer(),
      startCluster({
        programs: suite.programs,
        env: suite.env,
        superuser: 'keeper',
        settings: { max_prepared_transactions: '2' },
      }),
      suite.startServer(),
    ]);
    for (const server of [direct, cloud, trusted, reference]) closeLater(server, it => it.stop());
    const installation = await Installation.make({
      ...{ cloud, trusted, database: 'regression', workers: 1 },
      policy: 'unlisted: encrypt\ntables: {}',
    });
    closeLater(installation, it => it.end().finally(() => it.remove()));
    const gateway = await installation.start();
    const sides = [
      client('direct', direct),
      client('through', gateway),
      client('reference', reference),
    ] as const;
    await work(suite, sides, files, done);
    if (process.env.CLARUS_CONFORMANCE_LOG)
      writeFileSync(process.env.CLARUS_CONFORMANCE_LOG, installation.log);
  } finally {
    await closeAll();
    rmSync(scratch, { recursive: true, force: true });
  }
}

type Side = Client & { readonly output: string };
type Connect = (
  name: string,
  target: { readonly host: string; readonly port: number; readonly user: string; readonly password: string },
) => Side;

function clients(suite: RegressionSuite, scratch: string): Connect {
  return (name, { host, port, user, password }) => {
    const directory = join(scratch, name);
    const output = join(directory, 'output');
    mkdirSync(join(output, 'results'), { recursive: true });
    mkdirSync(join(output, 'testtablespace'));
    chmodSync(join(output, 'results'), 0o777);
    return {
      psql: join(suite.programs, 'psql'),
      directory,
      output,
      env: {
        ...suite.env,
        ...{ PGHOST: host, PGPORT: String(port), PGUSER: user, PGPASSWORD: password },
        // what pg_regress sets (initialize_environment in pg_regress.c)
        ...{ PGTZ: 'PST8PDT', PGDATESTYLE: 'Postgres, MDY', PGOPTIONS: '-c intervalstyle=postgres_verbose' },
        ...{
          PG_ABS_SRCDIR: suite.input,
          PG_ABS_BUILDDIR: output,
          PG_LIBDIR: suite.libraries,
          PG_DLSUFFIX: '.so',
        },
        ...{ LC_MESSAGES: 'C', LANG: 'C' },
      },
    };
  };
}

async function work(
  suite: RegressionSuite,
  [direct, through, reference]: readonly [Side, Side, Side],
  files: readonly string[],
  done: (result: FileResult) => void,
): Promise<void> {
  let before: Promise<void> = Promise.resolve();
  for (const file of files) {
    const script = readFileSync(join(suite.input, 'sql', `${file}.sql`), 'utf8');
    const units = (client: typeof direct): readonly Unit[] => {
      let kept = 0;
      return unitsOf(script, {
        input: suite.input,
        output: client.output,
        keep(data) {
          const path = join(client.directory, `${file}-${++kept}.data`);
          writeFileSync(path, data);
          return path;
        },
      });
    };
    const plain = await runScript(direct, file, units(direct), file_ms);
    const protectedRun = await runScript(through, file, units(through), file_ms);
    await before;
    before = (async () => {
      const all = units(reference);
      const reached = protectedRun.answers.findLastIndex(answer => answer !== undefined) + 1;
      const referred = await runScript(
        ...([reference, file, all.slice(0, reached), file_ms, refusals(all, plain, protectedRun)] as const),
      );
      done({
        ...{ file, units: all, direct: plain, through: protectedRun, reference: referred },
        verdicts: verdicts(all, plain, protectedRun, referred),
      });
    })();
  }
  await before;
}
