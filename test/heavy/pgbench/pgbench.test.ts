/** pgbench, unmodified, against a database that protects nothing: no error in any of its query modes. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { closeAll, closeLater } from '../support/closing.js';
import { type Cluster, debianPrograms, startCluster } from '../support/cluster.js';
import { must, run } from '../support/command.js';
import { type Gateway, startGateway } from '../support/gateway.js';
import { count, seed } from '../support/scale.js';

const clients = 8;
const scripts = [
  { name: 'look-ups (-S)', argv: ['-S', '--no-vacuum'] },
  { name: 'TPC-B', argv: ['--no-vacuum'] },
] as const;
const queryModes = ['simple', 'extended', 'prepared'] as const;

let cloud: Cluster;
let gateway: Gateway;
before(async () => {
  cloud = closeLater(await startCluster({ databases: ['pgbench'] }), server => server.stop());
  gateway = closeLater(
    await startGateway({ cloud, database: 'pgbench', policy: 'unlisted: pass\ntables: {}' }),
    started => started.stop(),
  );
});
after(closeAll);

test('pgbench makes and fills its tables through the gateway', async () => {
  const steps = ['-i', '--scale=1', '--init-steps=dtGvpf', '--quiet'];
  await must(`${debianPrograms}/pgbench`, steps, { env: gateway.env });
  await must(`${debianPrograms}/pgbench`, ['-i', '--scale=2', '--quiet'], { env: gateway.env });
  assert.equal(await cloud.sql('SELECT count(*) FROM pgbench_accounts', 'pgbench'), '200000\n');
});

for (const script of scripts)
  for (const mode of queryModes)
    test(`pgbench ${script.name} with ${clients} clients runs without an error in ${mode} mode`, async context => {
      const transactions = count(`pgbench transactions a client, ${script.name} ${mode}`, 10_000, 200);
      const history = 'SELECT count(*) FROM pgbench_history';
      const before = Number(await cloud.sql(history, 'pgbench'));
      const done = await run(
        `${debianPrograms}/pgbench`,
        [...script.argv, `--client=${clients}`, '--jobs=2', `--protocol=${mode}`].concat([
          ...[`--transactions=${transactions}`, `--random-seed=${seed}`, '--progress=60'],
        ]),
        { env: gateway.env },
      );
      const report = done.stdout + done.stderr;
      assert.equal(done.status, 0, report);
      assert.match(
        report,
        new RegExp(`actually processed: ${clients * transactions}/${clients * transactions}`),
      );
      assert.match(report, /number of failed transactions: 0 /);
      assert.doesNotMatch(report, /error|aborted/i);
      const written = Number(await cloud.sql(history, 'pgbench')) - before;
      assert.equal(written, script.name === 'TPC-B' ? clients * transactions : 0);
      context.diagnostic(/tps = [\d.]+/.exec(report)?.[0] ?? 'no figure');
    });
