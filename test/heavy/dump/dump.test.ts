/** pg_dump through Clarus gives what it gives of a plain server. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { closeAll, closeLater } from '../support/closing.js';
import { debianPrograms, startCluster } from '../support/cluster.js';
import { must } from '../support/command.js';
import { type Gateway, startGateway } from '../support/gateway.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const psql = join(debianPrograms, 'psql');
const pgDump = join(debianPrograms, 'pg_dump');
const policy = `unlisted: encrypt
tables:
  clinic.ward:
    columns:
      code: { protect: none }
      beds: { protect: none }
      opened: { protect: none }
  clinic.patient:
    columns:
      id: { protect: encrypt, queries: [equality], domain: patient }
      note: { protect: none }
  clinic.visit:
    columns:
      patient: { protect: encrypt, queries: [equality], domain: patient }
      ward: { protect: none }
`;

type Env = Readonly<Record<string, string>>;
let plain: Env;
let gateway: Gateway;
let fresh: Gateway;
before(async () => {
  // Its own major version is the newest that pg_dump takes, on either side.
  const cloud = closeLater(await startCluster(), server => server.stop());
  await cloud.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
  for (const name of ['plain', 'hospital', 'restored'])
    await cloud.sql(`CREATE DATABASE ${name} TEMPLATE template0 OWNER app`);
  const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
  plain = { ...cloud.env, PGUSER: 'app', PGPASSWORD: 'app-password', PGDATABASE: 'plain' };
  const started = async (database: string): Promise<Gateway> => {
    const trusted = closeLater(await startCluster({ superuser: 'keeper' }), server => server.stop());
    const options = { cloud: app, database, policy, trusted, workers: 1 };
    return closeLater(await startGateway(options), running => running.stop());
  };
  gateway = await started('hospital');
  fresh = await started('restored');
  for (const env of [plain, gateway.env])
    await must(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', join(here, 'schema.sql')], { env });
});
after(closeAll);

/**
 * What pg_dump says, but for the owner of the schema public: on the trusted side it is the user of Clarus, in a new
 * database the role pg_database_owner.
 */
const dumped = async (env: Env, ...options: string[]): Promise<string> => {
  const dump = await must(pgDump, ['--restrict-key=dump', ...options], { env });
  const owner = `--
-- Name: public; Type: SCHEMA; Schema: -; Owner: app
--

-- *not* creating schema, since initdb creates it


ALTER SCHEMA public OWNER TO app;

`;
  return dump.replace(owner, '');
};

test('pg_dump --schema-only of protected and open tables is that of a plain server', async () => {
  assert.equal(await dumped(gateway.env, '--schema-only'), await dumped(plain, '--schema-only'));
});

test('pg_dump of protected and open tables is that of a plain server', async () => {
  assert.equal(await dumped(gateway.env), await dumped(plain));
});

for (const options of [[], ['--inserts'], ['--column-inserts']])
  test(`what pg_dump ${options.join(' ')} gives, psql restores through Clarus, and the dump of that is equal`, async () => {
    const dump = await dumped(plain, ...options);
    const psqlOptions = ['-X', '-q', '-v', 'ON_ERROR_STOP=1'];
    await must(psql, [...psqlOptions, '-c', 'DROP SCHEMA IF EXISTS clinic CASCADE'], { env: fresh.env });
    await must(psql, psqlOptions, { env: fresh.env, input: dump });
    assert.equal(await dumped(fresh.env, ...options), dump);
  });

test('pg_dump tells what roles of the application are granted, and psql grants it again', async () => {
  const psqlOptions = ['-X', '-q', '-v', 'ON_ERROR_STOP=1'];
  const sql = (text: string): Promise<string> => must(psql, [...psqlOptions, '-c', text], { env: fresh.env });
  await sql('CREATE ROLE reader');
  await sql('GRANT SELECT ON ALL TABLES IN SCHEMA clinic TO reader');
  await sql('GRANT UPDATE (note) ON clinic.patient TO reader');
  const dump = await dumped(fresh.env);
  assert.match(dump, /^GRANT SELECT ON TABLE clinic\.patient TO reader;$/m);
  assert.match(dump, /^GRANT UPDATE\(note\) ON TABLE clinic\.patient TO reader;$/m);
  await sql('DROP SCHEMA clinic CASCADE');
  await must(psql, psqlOptions, { env: fresh.env, input: dump });
  assert.equal(await dumped(fresh.env), dump);
  await sql('DROP SCHEMA clinic CASCADE');
  await sql('DROP ROLE reader');
});
