// Runs test files under node:test with two reporters: spec for the reader, JSON lines for check-promises.mjs.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';

/** Where the JSON lines of each run lie, one file a run. */
export const resultsDirectory = 'build/test-results';

/**
 * @param {object} run
 * @param {string[]} run.files test files, relative to the working directory
 * @param {string} run.name names the file of results
 * @param {number} run.fraction share of the full counts that tests take from test/heavy/support/scale.ts
 * @param {number} [run.seed] of every random choice; drawn and printed when missing
 * @param {number} [run.timeout_ms] after which the run is ended and counts as failed
 * @param {string[]} [run.arguments] more arguments for node
 * @param {string} [run.cwd] the checkout to run in
 * @param {boolean} [run.quiet] keep the report of the tests to itself unless one fails
 * @returns {Promise<{status: number, seed: number, duration_s: number, counts: Record<string, number>,
 *   cases: Record<string, number>, tests: object[]}>} `cases` sums what the tests asked of `count`
 */
export async function runTests(run) {
  const cwd = run.cwd ?? process.cwd();
  const seed = run.seed ?? Number(process.env.CLARUS_SEED ?? randomInt(1, 2 ** 31));
  const results = `${resultsDirectory}/${run.name}.jsonl`;
  const countsFile = `${cwd}/${resultsDirectory}/${run.name}.counts`;
  mkdirSync(`${cwd}/${resultsDirectory}`, { recursive: true });
  rmSync(countsFile, { force: true });
  console.log(`seed ${seed}, fraction ${run.fraction} of the full counts (CLARUS_SEED, CLARUS_FRACTION)`);
  const started_ms = Date.now();
  const status = await spawned(
    [
      '--import',
      'tsx',
      '--test',
      '--test-concurrency=2',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      '--test-reporter=./scripts/test-reporter.mjs',
      `--test-reporter-destination=${results}`,
      ...(run.arguments ?? []),
      ...run.files,
    ],
    {
      cwd,
      env: {
        ...process.env,
        CLARUS_SEED: String(seed),
        CLARUS_FRACTION: String(run.fraction),
        CLARUS_COUNTS_FILE: countsFile,
      },
    },
    run,
  );
  const tests = readResults(`${cwd}/${results}`);
  const duration_s = Math.round((Date.now() - started_ms) / 1000);
  const cases = {};
  for (const { what, cases: done } of readJsonLines(countsFile)) cases[what] = (cases[what] ?? 0) + done;
  return { status, seed, duration_s, counts: countOutcomes(tests), cases, tests };
}

/** The records of test-reporter.mjs. @returns {{file: string, name: string, outcome: string, duration_ms: number}[]} */
export const readResults = path => readJsonLines(path);

function readJsonLines(path) {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('{') && line.endsWith('}'))
    .map(line => JSON.parse(line));
}

/** @returns {{passed: number, failed: number, skipped: number}} */
export function countOutcomes(tests) {
  const of = outcome => tests.filter(test => test.outcome === outcome).length;
  return { passed: of('passed'), failed: of('failed'), skipped: of('skipped') + of('todo') };
}

function spawned(argv, options, { timeout_ms, quiet }) {
  return new Promise(resolve => {
    const child = spawn(process.execPath, argv, {
      ...options,
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', 'inherit'],
      detached: true,
    });
    const kept = [];
    child.stdout?.on('data', chunk => kept.push(chunk));
    const end = () => {
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    };
    const interrupt = () => {
      end();
      process.exit(130);
    };
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    const timer =
      timeout_ms === undefined
        ? undefined
        : setTimeout(() => {
            console.error(`ended: the run took more than ${timeout_ms / 60_000} minutes`);
            end();
          }, timeout_ms);
    child.on('close', code => {
      clearTimeout(timer);
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      if (code !== 0) for (const chunk of kept) process.stdout.write(chunk);
      resolve(code ?? 1);
    });
  });
}
