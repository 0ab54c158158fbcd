/**
 * A database that protects nothing behaves as without Clarus: every file of PostgreSQL's own regression suite
 * that passes directly passes through the gateway. The direct run is under the same restrictions: only the
 * database `regression` is used, and every client logs in by SCRAM over TCP.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startGateway } from '../support/gateway.js';
import { prepareSuite, type RegressionRun, type RegressionSuite } from './suite.js';

const modes = [
  { mode: 'in parallel', connections: 20, timeout_ms: 10 * 60_000 },
  { mode: 'serially', connections: 1, timeout_ms: 12 * 60_000 },
] as const;
/** The suite has 217 files; a direct run that passes fewer compares nothing. */
const leastPassedDirectly = 210;

let suite: RegressionSuite;
before(async () => {
  suite = await prepareSuite();
});
after(() => suite.remove());

for (const { mode, connections, timeout_ms } of modes)
  test(`every file of PostgreSQL's regression suite that passes directly passes through the gateway, ${mode}`, async context => {
    const direct = await withServer(async server => suite.runAgainst({ ...server, connections, timeout_ms }));
    context.diagnostic(`PostgreSQL ${suite.version}, directly: ${summary(direct)}`);
    assert.equal(direct.trouble, '');
    assert.ok(direct.passed.size >= leastPassedDirectly, `only ${direct.passed.size} files pass directly`);
    const through = await withServer(async server => {
      const gateway = await startGateway({
        cloud: server,
        database: 'regression',
        policy: 'unlisted: pass\ntables: {}',
      });
      try {
        return await suite.runAgainst({ ...gateway, connections, timeout_ms });
      } finally {
        await gateway.stop();
      }
    });
    context.diagnostic(`through the gateway: ${summary(through)}`);
    const lost = [...direct.passed].filter(file => !through.passed.has(file));
    record(mode, direct, through, lost);
    assert.deepEqual({ trouble: through.trouble, lost }, { trouble: '', lost: [] }, excerpts(through, lost));
  });

async function withServer<T>(
  work: (server: Awaited<ReturnType<RegressionSuite['startServer']>>) => Promise<T>,
) {
  const server = await suite.startServer();
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

function summary(done: RegressionRun): string {
  const failed = done.failed.size === 0 ? '' : `, failed: ${[...done.failed].join(' ')}`;
  return `${done.passed.size} files pass in ${done.seconds} s${failed}`;
}

function excerpts(done: RegressionRun, files: readonly string[]): string {
  const shown = files.slice(0, 20).map(file => {
    const lines = (done.differences.get(file) ?? `${file}: no result\n`).split('\n');
    return lines.slice(0, 40).join('\n');
  });
  return `${done.trouble}\nlost through the gateway: ${files.join(' ')}\n${shown.join('\n')}`;
}

function record(mode: string, direct: RegressionRun, through: RegressionRun, lost: readonly string[]): void {
  mkdirSync('build/regress', { recursive: true });
  const plain = (done: RegressionRun) => ({
    passed: [...done.passed],
    failed: [...done.failed],
    s: done.seconds,
  });
  writeFileSync(
    `build/regress/${mode.replace(/\W+/g, '-')}.json`,
    `${JSON.stringify({ version: suite.version, direct: plain(direct), through: plain(through), lost }, undefined, 2)}\n`,
  );
  for (const file of lost)
    writeFileSync(`build/regress/${file}.diff`, through.differences.get(file) ?? 'no result\n');
}
