/** What clients see of the catalogue through Clarus is what they see of a plain server. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { closeAll, closeLater } from '../support/closing.js';
import { debianPrograms, startCluster } from '../support/cluster.js';
import { must, run } from '../support/command.js';
import { type Gateway, startGateway } from '../support/gateway.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const psql = join(debianPrograms, 'psql');

let gateway: Gateway;
let plain: Readonly<Record<string, string>>;
before(async () => {
  const cloud = closeLater(await startCluster({ programs: 'embedded' }), server => server.stop());
  await cloud.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'");
  for (const name of ['plain', 'hospital'])
    await cloud.sql(`CREATE DATABASE ${name} TEMPLATE template0 OWNER app`);
  const app = { host: cloud.host, port: cloud.port, user: 'app', password: 'app-password' };
  const policy = readFileSync(join(here, 'policy.yaml'), 'utf8');
  gateway = closeLater(await startGateway({ cloud: app, database: 'hospital', policy }), started =>
    started.stop(),
  );
  plain = { ...cloud.env, PGUSER: 'app', PGPASSWORD: 'app-password', PGDATABASE: 'plain' };
  for (const env of [plain, gateway.env])
    await must(psql, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', join(here, 'schema.sql')], { env });
});
after(closeAll);

/** psql's commands about objects, with patterns and details; each with all that it prints. */
const commands: readonly string[] = [
  '\\d',
  '\\d+',
  '\\d clinic.*',
  '\\d+ clinic.*',
  '\\dS+ clinic.patient',
  '\\da',
  '\\dA',
  '\\dA+',
  '\\dAc',
  '\\dAf',
  '\\dAo',
  '\\dAp',
  '\\db',
  '\\dc',
  '\\dC',
  '\\dC+',
  '\\dconfig',
  '\\dd',
  '\\dd clinic.*',
  '\\dD clinic.*',
  '\\dD+ clinic.*',
  '\\ddp',
  '\\dE',
  '\\dE clinic.*',
  '\\des',
  '\\des+',
  '\\det',
  '\\det+ *.*',
  '\\deu',
  '\\deu+',
  '\\dew',
  '\\dew+',
  '\\df',
  '\\df clinic.*',
  '\\df+ clinic.*',
  '\\dF',
  '\\dFd',
  '\\dFp',
  '\\dFt',
  '\\dg',
  '\\di',
  '\\di clinic.*',
  '\\di+ clinic.*',
  '\\dl',
  '\\dL',
  '\\dL+',
  '\\dm',
  '\\dn',
  '\\dn+',
  '\\dn *',
  '\\do',
  '\\dO',
  '\\dp clinic.*',
  '\\dP *.*',
  '\\dP+ *.*',
  '\\dPi *.*',
  '\\dRp',
  '\\dRs',
  '\\ds',
  '\\ds clinic.*',
  '\\ds+ clinic.*',
  '\\dt',
  '\\dt *.*',
  '\\dt clinic.*',
  '\\dt+ clinic.*',
  '\\dT clinic.*',
  '\\dT+ clinic.*',
  '\\du',
  '\\dv clinic.*',
  '\\dv+ clinic.*',
  '\\dx',
  '\\dX',
  '\\dy',
  '\\l',
  '\\z clinic.*',
  '\\sf clinic.twice',
  '\\sf+ clinic.twice',
  '\\sv clinic.recent',
  '\\sv+ clinic.days',
  '\\d clinic.patient',
  '\\d+ clinic.visit',
  '\\d clinic.visit_by_day',
  '\\d+ clinic.numbers',
  '\\d clinic.numbers',
  '\\d clinic.patient_id_seq',
  '\\d clinic.place',
  '\\d+ clinic.recent',
  '\\d+ clinic.log',
  '\\d+ clinic.log_2026',
  '\\d clinic.nothing',
  '\\dtvs *.*',
  '\\dti+ clinic.*',
  '\\ef clinic.nothing',
  '\\dd *.visit*',
];

test('every backslash command of psql prints what it prints on a plain server', async t => {
  for (const command of commands)
    await t.test(command, async () => {
      const print = async (env: Readonly<Record<string, string>>) => {
        const done = await run(psql, ['-X', '-c', command], {
          env: { ...env, LC_ALL: 'C.UTF-8' },
          timeout_ms: 60_000,
        });
        return comparable(done.stdout + done.stderr);
      };
      assert.deepEqual(await print(gateway.env), await print(plain));
    });
});

/**
 * Lines without what must differ: the database's name and sizes, names of TOAST tables, which are of OIDs, and what
 * docs/compatibility.md tells: the owners of what every database has, and what pg_settings says of the session.
 */
const comparable = (text: string): string[] =>
  text
    .replaceAll('hospital', 'plain')
    .replaceAll('clarus_admin', 'postgres')
    .replace(/^ +(public +\| )(app|pg_database_owner)\b.*$/gm, ' $1OWNER')
    .replace(/(pg_toast_)\d+/g, '$1N')
    .replace(/^( application_name +\| )clarus$/m, '$1psql')
    .replace(/^ client_encoding +\| UTF8\n/m, '')
    .replace(/^\(\d+ rows?\)$/gm, 'ROWS')
    .replace(/^.*=U\/(app|pg_database_owner).*\n/gm, '')
    .split('\n')
    .map(line =>
      line
        .replace(/\b\d+ (kB|bytes|MB)\b/g, 'SIZE')
        .replace(/-+/g, '-')
        .replace(/\s+/g, ' ')
        .trim(),
    );

/**
 * Figures of the cloud about its own tables and indexes, the settings of the session there, last values of sequences
 * (refused), and what only a superuser reads.
 */
const toldOtherwise =
  /\.(pg_stat(io)?_.*_(tables|indexes)|pg_stat_activity|pg_prepared_statements|pg_settings|pg_sequences|pg_subscription)$/;

test('no relation of the catalogue shows what is of Clarus itself', async () => {
  const client = new pg.Client({ ...gateway });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; own: number; schema: string }>(
      `SELECT table_schema::text AS schema, table_name::text AS name FROM information_schema.tables
        WHERE table_schema IN ('pg_catalog', 'information_schema') ORDER BY 1, 2`,
    );
    const shown: string[] = [];
    for (const { schema, name } of rows) {
      const { columns } = (
        await client.query(
          `SELECT array_agg(quote_ident(attname)::text) AS columns FROM pg_attribute WHERE attrelid = '${schema}.${name}'::regclass AND attnum > 0`,
        )
      ).rows[0];
      const every = columns.map((column: string) => `${column}::text`).join(', ');
      const found = await client
        .query(`SELECT ${every} FROM ${schema}.${name}`)
        .catch((error: pg.DatabaseError) => ({ rows: [{ error: `${error.code} ${error.message}` }] }));
      for (const row of found.rows as Record<string, unknown>[]) {
        const said = JSON.stringify(row).replaceAll('clarus_admin', 'the superuser');
        if (row.error !== undefined || /clarus/i.test(said)) {
          shown.push(`${schema}.${name}`);
          break;
        }
      }
    }
    assert.deepEqual(
      shown.filter(name => !toldOtherwise.test(name)),
      [],
    );
  } finally {
    await client.end();
  }
});
