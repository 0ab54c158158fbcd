/**
 * No sentinel reaches a cloud: not its files, its write-ahead log, its server log with every statement, what it
 * holds when decompressed, nor the bytes sent to it. The control run shows that the scan would find each one.
 */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startCluster } from '../support/cluster.js';
import { pipeStandsIn, startGateway } from '../support/gateway.js';
import { startPipe } from '../support/pipe.js';
import { needlesOf } from './needles.js';
import {
  expectedTexts,
  failingPlaces,
  nameApplication,
  openPolicy,
  type Planted,
  plant,
  protectingPolicy,
  saidToTheCloud,
} from './plant.js';
import { readBack } from './read-back.js';
import { type ScanResult, scan } from './scan.js';

const limit = { timeout: 300_000 };

/** Keeps every statement with its parameters in the log, and all write-ahead log. */
const talkative = {
  log_statement: 'all',
  log_min_messages: 'debug1',
  log_min_duration_statement: '0',
  log_line_prefix: '%m [%p] %a %u@%d ',
  log_parameter_max_length: '-1',
  log_parameter_max_length_on_error: '-1',
  wal_keep_size: '8GB',
  wal_level: 'logical',
};

if (!pipeStandsIn)
  test('no sentinel reaches a cloud whose tables the policy protects', limit, async context => {
    const { planted, own, seen } = await plantAndScan(protectingPolicy);
    context.diagnostic(`logs and journal of Clarus: ${own.files} files, ${own.bytes} bytes`);
    assert.ok(own.files > 0);
    assert.deepEqual(
      own.findings.map(({ needle, places }) => `${needle.sentinel}: ${needle.form} at ${places}`),
      [],
    );
    for (const [where, { files, bytes }] of Object.entries(seen))
      context.diagnostic(`${where}: ${files} files, ${bytes} bytes; ${planted.sentinels.length} sentinels`);
    context.diagnostic(
      `refused: ${[...planted.refused].map(([place, code]) => `${place} (${code})`).join(', ')}`,
    );
    assert.deepEqual(
      Object.values(seen)
        .flatMap(({ findings }) => findings)
        .filter(({ needle }) => !saidToTheCloud.has(needle.sentinel))
        .map(({ needle, hits, places }) => `${needle.sentinel}: ${needle.form}, ${hits} at ${places}`),
      [],
    );
    const refusedWrites = [...planted.refused.keys()].filter(place =>
      /^(tables|inserted|copied|set by)/.test(place),
    );
    assert.deepEqual(refusedWrites, []);
    assertReadBack(planted);
  });

test('a control run without protection finds every sentinel', limit, async context => {
  const { planted, seen } = await plantAndScan(openPolicy);
  assert.deepEqual([...planted.refused.keys()].sort(), [...failingPlaces].sort());
  assertReadBack(planted);
  const found = (where: Place) => new Set(seen[where].findings.map(({ needle }) => needle.sentinel));
  for (const where of Object.keys(seen) as Place[])
    context.diagnostic(`${where}: ${found(where).size} of ${planted.sentinels.length} sentinels`);
  const names = new Set(planted.sentinels.map(({ name }) => name));
  assert.deepEqual(found('sent'), names);
  // What is only compared, notified or set is not stored; short binary values lie in files, not in the log.
  for (const where of ['files', 'log', 'decompressed'] as const)
    assert.ok(found(where).size > names.size / 2, `${where} holds ${found(where).size} sentinels`);
});

type Place = 'files' | 'log' | 'sent' | 'decompressed';

/** Logs and journals of Clarus below its directory; its trusted database may know what it likes. */
function logsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => /\.log$|(^|\/)(audit|log)\//.test(name))
    .map(name => join(directory, name))
    .filter(path => statSync(path).isFile());
}

async function plantAndScan(policy: string): Promise<{
  planted: Planted;
  own: ScanResult;
  seen: Record<Place, ScanResult>;
}> {
  const cloud = await startCluster({ databases: ['vault'], settings: talkative });
  try {
    const recordings = join(cloud.directory, 'recordings');
    const decompressed = join(cloud.directory, 'decompressed');
    const recorder = await startPipe({ ...cloud, recordInto: recordings });
    const gateway = await startGateway({
      cloud: { ...cloud, host: recorder.host, port: recorder.port },
      database: 'vault',
      policy,
    });
    const planted = await plant(gateway).finally(() => gateway.end());
    const needles = needlesOf(planted.sentinels);
    const own = scan(logsIn(gateway.directory), needles);
    await gateway.stop();
    if (policy === openPolicy) await nameApplication({ ...cloud, ...recorder, database: 'vault' });
    await recorder.close();
    await cloud.sql('CHECKPOINT');
    await readBack(cloud, decompressed);
    await cloud.halt();
    return {
      planted,
      own,
      seen: {
        files: scan([cloud.dataDirectory], needles),
        log: scan([cloud.logFile], needles),
        sent: scan([recordings], needles),
        decompressed: scan([decompressed], needles),
      },
    };
  } finally {
    await cloud.stop();
  }
}

/** What was planted can be read: a gateway that dropped values would leak nothing too. */
function assertReadBack(planted: Planted): void {
  for (const [column, texts] of planted.readBack) {
    const expected = expectedTexts(column);
    assert.equal(texts.length, expected.length, column);
    if (!/^(c_(char|json|jsonb|interval|timestamptz|inet|float)|a_)/.test(column))
      assert.deepEqual(texts, expected, column);
  }
}
