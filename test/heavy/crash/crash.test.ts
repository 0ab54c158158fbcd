/** After kill -9 of the proxy at any moment, and after old trusted data were put back, nothing is lost, half-written or used twice. */
import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { Random } from '../../support/random.js';
import { closeAll, closeLater } from '../support/closing.js';
import { type Cluster, startCluster } from '../support/cluster.js';
import { must } from '../support/command.js';
import { type ClientAddress, Installation } from '../support/installation.js';
import { count, seed } from '../support/scale.js';
import { described, randomSchemaChange, type Schema } from './schema-changes.js';
import { Expected, readAll, table, write } from './writes.js';

const writesMin = count('writes around kill -9', 200, 40);
const statementsMin = count('DDL statements around kill -9', 100, 20);
const roundsMin = count('full disks', 10, 2);
const limit = { timeout: 1_800_000 };
const vaultPolicy = `unlisted: refuse
tables:
  public.vault:
    columns:
      id: { protect: none }
      payload: { class: confidential, protect: encrypt, queries: [equality] }
      version: { class: confidential, protect: encrypt }`;

let cloud: Cluster;
before(async () => {
  cloud = closeLater(await startCluster({ programs: 'embedded' }), server => server.stop());
  await cloud.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
});
after(closeAll);

/**
 * Asks until every worker serves, each of which tries its journal again each second. A connection goes to the worker
 * that has the fewest, so as many at once reach each of them.
 */
async function untilServed(address: ClientAddress, workers: number): Promise<void> {
  for (const began = performance.now(); ; await delay(100)) {
    const clients: pg.Client[] = [];
    try {
      for (let i = 0; i < workers; i++) clients.push(await connected(address));
      await Promise.all(clients.map(client => client.query('SELECT id FROM vault LIMIT 1')));
      return;
    } catch (error) {
      if (performance.now() - began > 10_000) throw error;
    } finally {
      await Promise.all(clients.map(client => client.end()));
    }
  }
}

/** Takes all the space that is left where `path` is. */
function fill(path: string): void {
  const file = openSync(path, 'w');
  try {
    for (let size = 1 << 20; size >= 512; size >>= 1)
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      }
  } finally {
    closeSync(file);
  }
}

async function install(
  database: string,
  policy: string,
  workers: number,
  directory?: string,
): Promise<Installation> {
  await cloud.sql(`CREATE DATABASE ${database} TEMPLATE template0 OWNER app`);
  const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
  return closeLater(
    await Installation.make({ cloud: app, database, policy, workers, ...(directory ? { directory } : {}) }),
    async made => {
      await made.end();
      made.remove();
    },
  );
}

test('every acknowledged write is there after kill -9', limit, async context => {
  const random = new Random(seed);
  const installation = await install('written', vaultPolicy, 2);
  let address = await installation.start();
  await ask(address, table);
  const expected = new Expected();
  let kills = 0;
  let inFlight = 0;
  while (expected.acknowledged < writesMin) {
    const target = expected.acknowledged + random.integer(5, 30);
    const writing = Promise.all(
      [0, 1, 2, 3].map(writer =>
        write(address, writer, expected, random, () => expected.acknowledged >= writesMin * 2),
      ),
    );
    while (expected.acknowledged < target) await delay(1);
    await delay(random.integer(0, 20));
    await installation.kill(random.pick(['first', 'all']));
    await writing;
    kills++;
    inFlight += expected.open.length;
    address = await installation.start();
    const { rows, wrong } = await readAll(address);
    assert.deepEqual([...wrong, ...expected.compare(rows)], [], `after kill ${kills}, seed ${seed}`);
  }
  context.diagnostic(
    `${expected.acknowledged} writes acknowledged, ${inFlight} in flight at ${kills} kills, ${expected.rows.size} rows; seed ${seed}`,
  );
  assert.deepEqual(await repeated('written'), []);
});

test('catalogue, shadow and cloud agree after kill -9', limit, async context => {
  const random = new Random(seed + 1);
  const installation = await install('changed', 'unlisted: encrypt', 1);
  let address = await installation.start();
  let schema: Schema = new Map();
  let statements = 0;
  let kills = 0;
  let undone = 0;
  while (statements < statementsMin) {
    const client = await connected(address);
    for (let i = random.integer(2, 6); i > 0; i--) {
      const change = randomSchemaChange(schema, random);
      for (const statement of change.statements) await client.query(statement);
      statements += change.statements.length;
      schema = change.after;
    }
    const last = randomSchemaChange(schema, random);
    const sent = (async () => {
      for (const statement of last.statements) await client.query(statement);
    })().then(
      () => true,
      (error: Error) => {
        if (error instanceof pg.DatabaseError) throw error;
        return false;
      },
    );
    await delay(random.integer(0, 200));
    await installation.kill(random.pick(['first', 'all']));
    kills++;
    statements += last.statements.length;
    const acknowledged = await sent;
    address = await installation.start();
    const found = await tablesOf(address);
    const possible = acknowledged ? [last.after] : [schema, last.after];
    const outcome = possible.find(one => described(one).join() === found.join());
    assert.ok(
      outcome,
      `after kill ${kills}, seed ${seed}: ${last.statements.join('; ')}\nfound ${found.join(', ')}\nexpected ${possible.map(one => described(one).join(', ')).join('\nor ')}`,
    );
    if (outcome === schema) undone++;
    schema = outcome;
    const checked = await installation.command(['check']);
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    await useEach(address, schema, -kills);
  }
  context.diagnostic(`${statements} statements, ${kills} kills, ${undone} undone; seed ${seed}`);
});

test('a trusted directory that is put back is noticed, and nothing is used twice', limit, async () => {
  const installation = await install('put_back', vaultPolicy, 2);
  const data = join(installation.directory, 'clarus-data');
  const kept = join(installation.directory, 'kept');
  const first = await installation.start();
  await ask(first, table);
  await insert(first, 1, 500);
  await installation.end();
  await must('cp', ['-a', data, kept]);
  await insert(await installation.start(), 501, 1_000);
  await installation.end();
  rmSync(data, { recursive: true });
  await must('mv', [kept, data]);
  const address = await installation.start();
  assert.match(installation.log, /put back|earlier state/);
  await insert(address, 1_001, 1_500);
  const { rows, wrong } = await readAll(address);
  assert.deepEqual(wrong, []);
  assert.equal(rows.size, 1_500);
  assert.deepEqual(await repeated('put_back'), []);
});

test('a full disk loses nothing that was acknowledged', limit, async context => {
  const random = new Random(seed + 2);
  const directory = closeLater(mkdtempSync(join(tmpdir(), 'clarus-disk-')), async path =>
    rmSync(path, { recursive: true, force: true }),
  );
  await must('mount', ['-t', 'tmpfs', '-o', 'size=400m,mode=0711', 'tmpfs', directory]);
  closeLater(directory, async path => {
    await must('umount', ['--lazy', path]);
  });
  const workers = 2;
  const installation = await install('filled', vaultPolicy, workers, directory);
  const address = await installation.start();
  await ask(address, table);
  const expected = new Expected();
  const writers = (until: () => boolean, refused?: (error: pg.DatabaseError) => void) =>
    Promise.all([0, 1].map(writer => write(address, writer, expected, random, until, refused)));
  const refusals = new Map<string, number>();
  const refused = ({ code = '' }: pg.DatabaseError) => void refusals.set(code, (refusals.get(code) ?? 0) + 1);
  for (let round = 1; round <= roundsMin; round++) {
    const before = expected.acknowledged;
    await writers(() => expected.acknowledged >= before + 10);
    const filler = join(directory, 'filler');
    fill(filler);
    // Whatever is written next finds the end: journal, trusted WAL, tables of the catalogue.
    truncateSync(filler, statSync(filler).size - random.integer(0, 12) * 4_096);
    for (const full = performance.now(); performance.now() < full + 3_000; await delay(20))
      await writers(() => performance.now() > full + 3_000, refused).catch((error: unknown) => {
        if (!(error instanceof pg.DatabaseError)) throw error;
        refused(error);
      });
    rmSync(filler);
    await untilServed(address, workers);
    const { rows, wrong } = await readAll(address);
    assert.deepEqual([...wrong, ...expected.compare(rows)], [], `after round ${round}, seed ${seed}`);
  }
  context.diagnostic(
    `${expected.acknowledged} writes acknowledged; refused: ${JSON.stringify([...refusals])}; seed ${seed}`,
  );
  assert.deepEqual([...refusals.keys()], ['53100']);
  assert.doesNotMatch(installation.log, /^\s+at |a worker died/m);
});

/** Row ids and nonces of the table that occur twice in the cloud. */
async function repeated(database: string): Promise<string[]> {
  const columns = await cloud.sql(
    "SELECT attname FROM pg_attribute WHERE attrelid = 'vault'::regclass AND attname LIKE '%\\_sealed%'",
    database,
  );
  const nonces = columns
    .trim()
    .split('\n')
    .map(column => `SELECT encode(substr(${column}, 5, 12), 'hex') AS value FROM vault`);
  const values = [
    'SELECT clarus_row::text AS value FROM vault',
    `SELECT * FROM (${nonces.join(' UNION ALL ')}) n`,
  ];
  const found: string[] = [];
  for (const value of values) {
    const twice = await cloud.sql(`SELECT value FROM (${value}) v GROUP BY 1 HAVING count(*) > 1`, database);
    found.push(
      ...twice
        .trim()
        .split('\n')
        .filter(line => line !== ''),
    );
  }
  return found;
}

async function connected(address: ClientAddress): Promise<pg.Client> {
  const client = new pg.Client(address);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function ask(address: ClientAddress, text: string, values: unknown[] = []): Promise<pg.QueryResult> {
  const client = await connected(address);
  try {
    return await client.query(text, values);
  } finally {
    await client.end();
  }
}

async function insert(address: ClientAddress, from: number, to: number): Promise<void> {
  const ids = Array.from({ length: to - from + 1 }, (_, i) => from + i);
  await ask(
    address,
    `INSERT INTO vault VALUES ${ids.map(id => `(${id}, 'payload ${id}', ${id})`).join(', ')}`,
  );
}

/** Tables and columns as a client sees them. */
async function tablesOf(address: ClientAddress): Promise<string[]> {
  const { rows } = await ask(
    address,
    `SELECT table_name || ' (' || string_agg(column_name, ', ' ORDER BY ordinal_position) || ')' AS line
       FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name`,
  );
  return rows.map(({ line }) => line as string).sort();
}

/** Writes and reads a row in each table. */
async function useEach(address: ClientAddress, schema: Schema, id: number): Promise<void> {
  const client = await connected(address);
  try {
    for (const name of schema.keys()) {
      await client.query(`INSERT INTO ${name} (id) VALUES ($1)`, [id]);
      assert.equal((await client.query(`SELECT * FROM ${name} WHERE id = $1`, [id])).rows.length, 1, name);
      await client.query(`DELETE FROM ${name}`);
    }
  } finally {
    await client.end();
  }
}
