/** Unmodified clients do the demo's work through the gateway and print what they print against a plain server. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closeAll, closeLater } from '../support/closing.js';
import { type Cluster, debianPrograms, startCluster } from '../support/cluster.js';
import { must, run } from '../support/command.js';
import { type Gateway, startGateway } from '../support/gateway.js';
import { laboratoryFile, laboratoryRows } from './laboratory.js';
import { type Address, workWithPg, workWithPostgres } from './node-work.js';

const here = fileURLToPath(new URL('.', import.meta.url));
/** A client that hangs must not keep the server from being stopped, and shows how far it came. */
const limit = { timeout: 180_000 };
const client_ms = 60_000;
const psql = join(debianPrograms, 'psql');

let cloud: Cluster;
let gateway: Gateway;
let plain: Address;
before(async () => {
  // Cloud and plain server are of the trusted database's version, whose texts and catalogues clients get.
  cloud = closeLater(await startCluster({ programs: 'embedded' }), server => server.stop());
  await cloud.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
  for (const name of ['plain', 'hospital'])
    await cloud.sql(`CREATE DATABASE ${name} TEMPLATE template0 OWNER app`);
  const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
  plain = { ...app, database: 'plain' };
  const policy = readFileSync(join(here, 'policy.yaml'), 'utf8');
  gateway = closeLater(await startGateway({ cloud: app, database: 'hospital', policy }), started =>
    started.stop(),
  );
});
after(closeAll);

test('psql runs the script with \\copy and gets what a plain server gives', limit, async () => {
  const work = async (address: Address, name: string) => {
    const out = join(cloud.directory, `${name}.csv`);
    const argv = [
      '-X',
      '-v',
      `csv=${laboratoryFile}`,
      '-v',
      `out=${out}`,
      '-f',
      join(here, 'psql-script.sql'),
    ];
    const done = await run(psql, argv, { env: environment(address), timeout_ms: client_ms });
    const copied = (existsSync(out) ? readFileSync(out, 'utf8') : '').trimEnd().split('\n').sort();
    return { status: done.status, printed: comparable(done.stdout + done.stderr, address), copied };
  };
  const directly = await work(plain, 'plain');
  assert.equal(directly.status, 0);
  assert.equal(directly.copied.length, laboratoryRows + 1);
  assert.deepEqual(await work(gateway, 'gateway'), directly);
});

test(
  'a person at the prompt of psql sees \\d, completion and answers as on a plain server',
  limit,
  async () => {
    const work = async (address: Address) => {
      const env = environment(address);
      await must(psql, ['-X', '-q', '-f', join(here, 'tables.sql')], { env });
      const copy = `\\copy covid_test FROM '${laboratoryFile}' WITH (FORMAT csv, HEADER)`;
      await must(psql, ['-X', '-q', '-c', copy], { env });
      await must(psql, ['-X', '-q', '-c', "INSERT INTO follow_up VALUES (1, 1412, '2020-05-01')"], { env });
      const seen = await run('expect', [join(here, 'psql-interactive.exp')], { env, timeout_ms: client_ms });
      await must(psql, ['-X', '-q', '-c', 'DROP TABLE covid_test, follow_up'], { env });
      return { status: seen.status, printed: comparable(seen.stdout + seen.stderr, address) };
    };
    const directly = await work(plain);
    assert.equal(directly.status, 0, directly.printed.join('\n'));
    assert.deepEqual(await work(gateway), directly);
  },
);

test("Debian's Python driver gets what a plain server gives", limit, async () => {
  const work = async (address: Address) => {
    const argv = [join(here, 'psycopg2-work.py'), laboratoryFile];
    const done = await run('/usr/bin/python3', argv, {
      env: { ...environment(address), PYTHONUTF8: '1', PYTHONUNBUFFERED: '1' },
      timeout_ms: client_ms,
    });
    return { status: done.status, printed: comparable(done.stdout + done.stderr, address) };
  };
  const directly = await work(plain);
  assert.equal(directly.status, 0, directly.printed.join('\n'));
  assert.deepEqual(await work(gateway), directly);
});

test('pg gets what a plain server gives', limit, async () => {
  const directly = await workWithPg(plain);
  assert.deepEqual(await workWithPg(gateway), directly);
});

test('postgres.js gets what a plain server gives', limit, async () => {
  const directly = await workWithPostgres(plain);
  assert.ok(directly.length > laboratoryRows);
  assert.deepEqual(await workWithPostgres(gateway), directly);
});

function environment(address: Address): Record<string, string> {
  return {
    PGHOST: address.host,
    PGPORT: String(address.port),
    PGUSER: address.user,
    PGPASSWORD: address.password,
    PGDATABASE: address.database,
    LC_ALL: 'C.UTF-8',
  };
}

/** Lines without what must differ: address, database, places in PostgreSQL's sources, sizes on disk. */
function comparable(text: string, address: Address): string[] {
  return (
    text
      .replaceAll(`"${address.port}"`, '"PORT"')
      .replaceAll(`"${address.database}"`, '"DATABASE"')
      .split(/\r?\n/)
      // the cloud knows no logical row, so that this detail is left out (docs/compatibility.md)
      .filter(line => !/^DETAIL: {2}Failing row contains/.test(line))
      .filter(line => !/^(.*:)?\s*LOCATION:/.test(line) && !/^SSL connection|^spawn /.test(line))
      .map(line => line.replace(/\b\d+ (kB|bytes|MB)\b/g, 'SIZE').trimEnd())
  );
}
