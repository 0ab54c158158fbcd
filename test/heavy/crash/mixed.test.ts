/**
 * After kill -9 of the proxy, of the cloud's server and of the trusted database at any moment of split writes and DDL, what
 * was acknowledged is there, nothing is half-written, all sides agree, and no plaintext is left on the trusted disk.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Random } from '../../support/random.js';
import { scan } from '../sentinels/scan.js';
import { closeAll, closeLater } from '../support/closing.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { type ClientAddress, Installation } from '../support/installation.js';
import { count, seed } from '../support/scale.js';
import {
  keepPets,
  type Made,
  madeQuery,
  policy,
  randomDdl,
  schema,
  writesOfRoom,
  writesOfVault,
} from './mixed-work.js';
import { killBackend, killServer } from './servers.js';
import { Expected, readAll, sentinel, write } from './writes.js';

const roundsMin = count('kills amid split writes and DDL', 300, 6);
const database = 'mixed';
const victims = [
  'first process',
  'proxy',
  'cloud',
  'trusted database',
  'backend of the cloud',
  'trusted backend',
] as const;

/** What a session may hear when a server goes: never an error of its statement. */
const expected = /^(08|57P|40001|40P01|55P03|53300)/;

let cloud: Cluster;
before(async () => {
  cloud = closeLater(await startCluster({ programs: 'embedded' }), server => server.stop());
  await cloud.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
  await cloud.sql(`CREATE DATABASE ${database} TEMPLATE template0 OWNER app`);
});
after(closeAll);

test('what was acknowledged stands after kill -9 of any server amid split writes and DDL', {
  timeout: 14_400_000,
}, async context => {
  const random = new Random(seed + 3);
  const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
  const installation = closeLater(
    await Installation.make({ cloud: app, database, policy, workers: 2 }),
    async made => {
      await made.end();
      made.remove();
    },
  );
  const trustedData = join(installation.directory, 'clarus-data');
  let address = await installation.start();
  for (const sql of schema) await ask(address, sql);
  const vault = new Expected();
  const room = new Expected();
  const heard = new Map<string, number>();
  const strange: string[] = [];
  const acknowledged = (): number => vault.acknowledged + room.acknowledged;
  let made: Made = [];
  let ddl = 0;
  for (let round = 1; round <= roundsMin; round++) {
    const victim = victims[(round - 1) % victims.length]!;
    const where = `round ${round}, kill -9 of the ${victim}, seed ${seed}`;
    let over = false;
    const enough = (): boolean => over;
    const refused = ({ code = '', message }: pg.DatabaseError): void => {
      heard.set(code, (heard.get(code) ?? 0) + 1);
      if (!expected.test(code)) strange.push(`${where}: ${code} ${message}`);
    };
    const open: Made[] = [];
    const changing = (async () => {
      const client = await connected(address);
      try {
        while (!over) {
          const { sql, after } = randomDdl(made, random);
          open[0] = after;
          await client.query(sql);
          ddl++;
          made = after;
          open.pop();
        }
      } catch (error) {
        if (error instanceof pg.DatabaseError) refused(error);
      }
      await client.end().catch(() => undefined);
    })();
    const writers = [
      ...[0, 1].map(writer => write(address, writer, vault, random, enough, refused, writesOfVault(random))),
      ...[2, 3].map(writer => write(address, writer, room, random, enough, refused, writesOfRoom(random))),
      keepPets(address, random, enough, refused),
    ];
    const working = Promise.all([changing, ...writers]);
    const target = acknowledged() + random.integer(5, 40);
    let ended = false;
    void working.finally(() => {
      ended = true;
    });
    while (acknowledged() < target && !ended) await delay(1);
    await delay(random.integer(0, 50));
    switch (victim) {
      case 'first process':
        await installation.kill('first');
        break;
      case 'proxy':
        await installation.kill('all');
        break;
      case 'cloud':
        await killServer(cloud.dataDirectory);
        break;
      case 'trusted database':
        await killServer(serverIn(trustedData));
        break;
      case 'backend of the cloud':
        killBackend(cloud.dataDirectory, from => random.pick(from));
        break;
      case 'trusted backend':
        killBackend(serverIn(trustedData), from => random.pick(from));
    }
    await delay(random.integer(0, 200));
    over = true;
    if (victim === 'cloud') await cloud.start();
    await working;
    await installation.kill('all');
    address = await installation.start();

    const found = (await ask(address, madeQuery)).rows.map(({ one }) => one as string).sort();
    const possible = [made, ...open];
    const outcome = possible.find(one => [...one].sort().join() === found.join());
    assert.ok(
      outcome,
      `${where}: found ${found.join(', ')}; expected ${possible.map(one => one.join(', ')).join('; or ')}`,
    );
    made = outcome;
    for (const [name, rows] of [
      ['vault', vault],
      ['room', room],
    ] as const) {
      const read = await readAll(address, name);
      assert.deepEqual([...read.wrong, ...rows.compare(read.rows)], [], where);
    }
    const halves = await ask(
      address,
      'SELECT o.id, count(p.id) FROM owner o LEFT JOIN pet p ON p.owner = o.id GROUP BY o.id HAVING count(p.id) <> 2',
    );
    assert.deepEqual(halves.rows, [], where);
    const side = await ask(
      address,
      "SELECT count(*) AS all, count(*) FILTER (WHERE n::text = (id * 7)::text AND note LIKE '%' || id) AS whole FROM side",
    );
    assert.deepEqual(side.rows, [{ all: '300', whole: '300' }], where);
    const checked = await installation.command(['check']);
    assert.equal(checked.status, 0, `${where}: ${checked.stdout}${checked.stderr}`);
    assert.deepEqual(plaintextIn([trustedData, join(installation.directory, 'clarus.log')]), [], where);
  }
  assert.deepEqual(strange, []);
  context.diagnostic(
    `${roundsMin} kills; ${acknowledged()} writes and ${ddl} DDL statements acknowledged; heard ${JSON.stringify([...heard])}; seed ${seed}`,
  );
  assert.deepEqual(plaintextIn([cloud.directory]), []);
});

/** The data directory of the embedded server. */
function serverIn(trustedData: string): string {
  const files = readdirSync(trustedData, { recursive: true, encoding: 'utf8' });
  return dirname(join(trustedData, files.find(name => basename(name) === 'postmaster.pid') ?? ''));
}

/** Files that hold what stood in protected values. */
function plaintextIn(paths: readonly string[]): readonly string[] {
  const bytes = Buffer.from(sentinel);
  const needles = [{ sentinel: 'value', form: 'text', bytes, bits: 5 * bytes.length }];
  return scan(paths, needles).findings.flatMap(({ places }) => places);
}

async function connected(address: ClientAddress): Promise<pg.Client> {
  const client = new pg.Client(address);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function ask(address: ClientAddress, text: string): Promise<pg.QueryResult> {
  const client = await connected(address);
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}
