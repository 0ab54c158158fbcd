/**
 * Small applications with the usual drivers and mappers run through Clarus and print what they print against a plain
 * server; the cloud holds nothing of their values.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { needlesOf } from '../sentinels/needles.js';
import { scan } from '../sentinels/scan.js';
import { closeAll, closeLater } from '../support/closing.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { type Gateway, startGateway } from '../support/gateway.js';
import {
  type Application,
  applications,
  installPackages,
  runApplication,
  type Step,
} from './applications.js';
import { encryptedByDefault, sensitive } from './policies.js';
import { waiting } from './waiting.js';

/** An application that hangs must not keep the servers from being stopped. */
const limit = { timeout: 240_000 };

let plain: Cluster;
let cloud: Cluster;
before(async () => {
  await installPackages();
  // Both of the trusted database's version, whose texts and catalogues clients get.
  for (const _ of [1, 2]) {
    const server = closeLater(await startCluster({ programs: 'embedded' }), one => one.stop());
    await server.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
    await server.sql('CREATE DATABASE shop TEMPLATE template0 OWNER app');
    if (plain === undefined) plain = server;
    else cloud = server;
  }
}, limit);
after(closeAll);

const directly = new Map<string, readonly Step[]>();

/** What an application prints against the plain server; asked once. */
async function direct(application: Application): Promise<readonly Step[]> {
  const known = directly.get(application.name);
  if (known) return known;
  const env = { ...plain.env, PGUSER: 'app', PGPASSWORD: 'app-password', PGDATABASE: 'shop' };
  const steps = await runApplication(application, env);
  for (const { step, error } of steps) assert.equal(error, undefined, `${application.name}, ${step}`);
  directly.set(application.name, steps);
  return steps;
}

// the first owner protects what pg-boss holds too
for (const [which, policy] of Object.entries({ encryptedByDefault, sensitive }))
  test(
    which === 'sensitive'
      ? 'drivers and mappers do their work where what is sensitive is protected'
      : 'drivers and mappers do their work where all is protected that is not named',
    async t => {
      const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
      const gateway = await startGateway({ cloud: app, database: 'shop', policy });
      try {
        for (const application of applications)
          await t.test(application.name, limit, () =>
            compare(application, gateway, waiting[which as keyof typeof waiting][application.name] ?? {}),
          );
      } finally {
        await gateway.stop();
        await cloud.sql(
          'DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS clarus CASCADE; CREATE SCHEMA public AUTHORIZATION app',
          'shop',
        );
      }
      await mustHoldNothing(which === 'encryptedByDefault' ? ['Lanternmoor', 'message by pg-boss'] : []);
    },
  );

test('the cloud holds nothing of what the applications wrote to protected columns', () =>
  mustHoldNothing([]));

/** @param further texts that stand in protected columns by this policy only */
async function mustHoldNothing(further: readonly string[]): Promise<void> {
  await cloud.sql('CHECKPOINT');
  const texts = [...further, 'Quillfeather', 'Brambleworth', 'ada@', 'grace@', 'sentinel note', '48151623'];
  const needles = needlesOf(
    texts.map(text => ({ name: text, type: 'text', literal: text, texts: [text], network: [], onDisk: [] })),
  );
  const { findings, files } = scan([cloud.dataDirectory, cloud.logFile], needles);
  assert.ok(files > 100);
  assert.deepEqual(findings, []);
}

/** Runs an application through Clarus: each step gives what it gives directly, but for those that wait. */
async function compare(
  application: Application,
  gateway: Gateway,
  waits: Readonly<Record<string, string>>,
): Promise<void> {
  const expected = await direct(application);
  const steps = await runApplication(application, gateway.env);
  await clean(gateway);
  for (const { step, code, error, statement } of steps)
    if (code !== undefined)
      process.stdout.write(
        `${application.name}, ${step}: ${code} ${error?.split('\n')[0]} ${statement ?? ''}\n`,
      );
  const other = expected.filter(one => !steps.some(step => isDeepStrictEqual(step, one)));
  const unexpected = other.filter(({ step }) => waits[step] === undefined);
  assert.deepEqual(
    steps.filter(({ step }) => unexpected.some(one => one.step === step)),
    unexpected,
  );
  assert.deepEqual(other.map(({ step }) => step).sort(), Object.keys(waits).sort());
}

/** Takes away what a step that was refused has left. */
async function clean(gateway: Gateway): Promise<void> {
  const client = new pg.Client({ ...gateway });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables
        WHERE table_schema NOT IN ('pg_catalog', 'information_schema')`,
    );
    for (const { name } of rows) await client.query(`DROP TABLE IF EXISTS ${name} CASCADE`);
  } finally {
    await client.end();
  }
}
