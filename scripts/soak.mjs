// Runs heavy suites at their full counts: `npm run soak [suite...]`. The work is cut into rounds, each with a
// seed of its own; what is done stands in build/soak/, so that an ended soak goes on where it was. It runs in
// a checkout of its own of the last commit, at the lowest priority, and writes docs/results/<suite>.json.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { now, suitesNamed } from './heavy.mjs';
import { runTests } from './run-tests.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const checkout = `${root}build/soak/checkout`;
const git = (...argv) => execFileSync('git', argv, { cwd: root, encoding: 'utf8' }).trim();

const suites = suitesNamed(process.argv.slice(2));
setPriority(19);
const commit = git('rev-parse', 'HEAD');
prepareCheckout();
let failed = false;
for (const suite of suites) failed = !(await soak(suite)) || failed;
process.exit(failed ? 1 : 0);

async function soak(suite) {
  const path = `${root}build/soak/${suite.name}.json`;
  const code = codeIdentity();
  let state = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  if (state === undefined || state.code !== code || state.rounds.length >= suite.rounds) {
    if (state !== undefined && state.code !== code)
      console.log(`${suite.name}: the code has changed, from the start`);
    state = { code, started: new Date().toISOString(), baseSeed: Date.now() % 2 ** 31, rounds: [] };
  }
  while (state.rounds.length < suite.rounds) {
    const round = state.rounds.length + 1;
    console.log(`== ${now()} soak ${suite.name}, round ${round} of ${suite.rounds}`);
    const done = await runTests({
      files: suite.files,
      name: `soak-${suite.name}`,
      fraction: 1 / suite.rounds,
      seed: (state.baseSeed + round) % 2 ** 31,
      timeout_ms: suite.soakTimeout_minutes === undefined ? undefined : suite.soakTimeout_minutes * 60_000,
      cwd: checkout,
      quiet: true,
    });
    if (done.status !== 0) {
      console.log(`== ${now()} soak ${suite.name}: FAILED in round ${round}, seed ${done.seed}`);
      return false;
    }
    state.rounds.push({ seed: done.seed, duration_s: done.duration_s, ...done.counts, cases: done.cases });
    writeJson(path, state);
  }
  const sum = key => state.rounds.reduce((total, round) => total + round[key], 0);
  const cases = {};
  for (const round of state.rounds)
    for (const [what, done] of Object.entries(round.cases)) cases[what] = (cases[what] ?? 0) + done;
  mkdirSync(`${root}docs/results`, { recursive: true });
  writeJson(`${root}docs/results/${suite.name}.json`, {
    suite: suite.name,
    commit,
    started: state.started,
    finished: new Date().toISOString(),
    machine: `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`,
    fractionOfFullCount: 1,
    rounds: suite.rounds,
    seeds: state.rounds.map(round => round.seed),
    duration_s: sum('duration_s'),
    cases,
    testsPassed: sum('passed'),
    testsFailed: sum('failed'),
    testsSkipped: sum('skipped'),
  });
  console.log(`== ${now()} soak ${suite.name}: done, docs/results/${suite.name}.json`);
  return true;
}

/** What a result depends on: a change of documents alone does not throw rounds away. */
function codeIdentity() {
  return ['src', 'test', 'scripts', 'package-lock.json']
    .map(path => git('rev-parse', `HEAD:${path}`))
    .join(' ');
}

function prepareCheckout() {
  const at = `${checkout}/.git`;
  if (
    existsSync(at) &&
    execFileSync('git', ['rev-parse', 'HEAD'], { cwd: checkout, encoding: 'utf8' }).trim() === commit
  )
    return;
  rmSync(checkout, { recursive: true, force: true });
  mkdirSync(`${root}build/soak`, { recursive: true });
  execFileSync('git', ['clone', '--quiet', '--shared', root, checkout], { stdio: 'inherit' });
  execFileSync('git', ['checkout', '--quiet', '--detach', commit], { cwd: checkout, stdio: 'inherit' });
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: checkout, stdio: 'inherit' });
}

function writeJson(path, value) {
  writeFileSync(`${path}.new`, `${JSON.stringify(value, undefined, 2)}\n`);
  renameSync(`${path}.new`, path);
}
