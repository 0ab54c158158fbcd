/** Roles of a trusted server of the owner's: none that Clarus did not make is one of the application. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { SUPERUSERS } from '../src/trusted/roles.js';
import { outcomeOf } from './support/outcome.js';
import { type RecordedProxy, startRecordedProxy } from './support/recorded-proxy.js';
import { startServer, type TestServer } from './support/server.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }`;

/** What the owner keeps on the server, with and without power over it. */
const theirs: Readonly<Record<string, string>> = {
  dba: 'SUPERUSER',
  dba_makers: 'CREATEROLE',
  dba_builders: 'CREATEDB',
  dba_copiers: 'REPLICATION',
  dba_staff: "PASSWORD 'md5012345678901234567890123456789ab'",
};
const names = Object.keys(theirs).sort();

suite('roles of a trusted server of the owner', { timeout: 300_000 }, () => {
  let recorded: RecordedProxy;
  let server: TestServer;
  let owner: pg.Client;
  let ours: pg.Client;

  before(async () => {
    server = await startServer();
    owner = new pg.Client({ ...server });
    await owner.connect();
    for (const [name, attributes] of Object.entries(theirs))
      await owner.query(`CREATE ROLE ${name} NOLOGIN ${attributes}`);
    await owner.query("COMMENT ON ROLE dba_staff IS 'theirs'");
    recorded = await startRecordedProxy(policy, { trusted: server });
    ours = recorded.ours;
    for (const sql of [
      'CREATE TABLE patient (id integer PRIMARY KEY, name text)',
      "INSERT INTO patient VALUES (1, 'Ann')",
      'CREATE ROLE of_user',
    ])
      await ours.query(sql);
    const cloud = new pg.Client({ ...recorded.proxy.cloud });
    await cloud.connect();
    await cloud.query(`ALTER ROLE ${pg.escapeIdentifier(recorded.proxy.behind.user)} SUPERUSER`);
    await cloud.end();
    await restarted();
    for (const sql of [
      'CREATE ROLE reader',
      'CREATE ROLE told CREATEROLE',
      'GRANT reader TO told',
      'GRANT SELECT ON patient TO reader, of_user',
    ])
      await ours.query(sql);
  });
  after(async () => {
    await owner?.end();
    await ours?.end();
    await recorded?.stop();
    await server?.stop();
  });

  /** Ends Clarus and starts it again. @returns what it has logged meanwhile */
  const restarted = async (): Promise<readonly string[]> => {
    const logged = recorded.proxy.log.length;
    await ours.end();
    ours = new pg.Client({ ...(await recorded.proxy.restart()) });
    await ours.connect();
    return recorded.proxy.log.slice(logged);
  };

  const refused = (sql: string): Promise<void> =>
    assert.rejects(ours.query(sql), ({ code }: pg.DatabaseError) => code === '0A000', sql);

  const mustBeOthers = async (): Promise<void> => {
    for (const name of names)
      for (const sql of [
        `SET ROLE ${name}`,
        `SET LOCAL ROLE ${name}`,
        `SET SESSION AUTHORIZATION ${name}`,
        `SELECT set_config('role', '${name}', false)`,
        `GRANT ${name} TO CURRENT_USER`,
        `GRANT ${name} TO reader WITH ADMIN OPTION`,
        `GRANT reader TO ${name}`,
        `REVOKE reader FROM ${name}`,
        `CREATE ROLE someone IN ROLE ${name}`,
        `CREATE ROLE someone ROLE ${name}`,
        `CREATE ROLE someone ADMIN ${name}`,
        `ALTER ROLE ${name} NOLOGIN`,
        `ALTER ROLE ${name} PASSWORD 'other'`,
        `ALTER ROLE ${name} SET clarus.attributes TO ''`,
        `ALTER GROUP ${name} ADD USER reader`,
        `ALTER ROLE ${name} RENAME TO someone`,
        `COMMENT ON ROLE ${name} IS 'ours'`,
        `DROP ROLE ${name}`,
        `DROP OWNED BY ${name}`,
        `REASSIGN OWNED BY ${name} TO CURRENT_USER`,
        `GRANT SELECT ON patient TO ${name}`,
      ])
        await refused(sql);
    for (const sql of [
      'ALTER TABLE patient OWNER TO dba',
      'CREATE SCHEMA AUTHORIZATION dba',
      'ALTER DEFAULT PRIVILEGES FOR ROLE dba GRANT SELECT ON TABLES TO reader',
      'DO $$ BEGIN SET ROLE dba; END $$',
      "DO $$ BEGIN EXECUTE 'SET ROLE dba'; END $$",
      'CREATE FUNCTION as_dba() RETURNS text LANGUAGE sql SET role TO dba AS $$SELECT current_user::text$$',
    ])
      await assert.rejects(
        ours.query(sql),
        ({ code }: pg.DatabaseError) => code === '42501' || code === '0A000',
        sql,
      );
    assert.deepEqual((await owner.query(held)).rows, []);
  };
  const held = `SELECT roleid::regrole::text AS role, member::regrole::text AS member FROM pg_auth_members
    WHERE 'dba' IN (left(roleid::regrole::text, 3), left(member::regrole::text, 3))`;

  const actAs = async (...roles: string[]): Promise<void> => {
    for (const role of roles) {
      await ours.query(`SET ROLE ${role}`);
      assert.deepEqual((await ours.query('SELECT current_user AS role, name FROM patient')).rows, [
        { role, name: 'Ann' },
      ]);
      await ours.query('RESET ROLE');
    }
  };

  test('a superuser of the cloud acts as none of them, and grants, alters and drops none', async () => {
    await mustBeOthers();
    const { rows } = await owner.query(
      `SELECT rolname, shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname LIKE 'dba%' ORDER BY 1`,
    );
    assert.deepEqual(
      rows,
      names.map(rolname => ({ rolname, comment: rolname === 'dba_staff' ? 'theirs' : null })),
    );
  });

  test('nothing of theirs is told as the application’s', async () => {
    const { rows } = await ours.query(
      "SELECT DISTINCT rolpassword FROM pg_authid WHERE rolname LIKE 'dba%' OR rolname = 'postgres'",
    );
    assert.deepEqual(rows, [{ rolpassword: null }]);
    assert.deepEqual(await outcomeOf(ours, 'CREATE ROLE dba_staff'), {
      ...{ code: '42710', message: 'role "dba_staff" already exists' },
      ...{ schema: undefined, column: undefined, constraint: undefined, table: undefined },
    });
  });

  test('a role of the application that is given power over the server is none any more', async () => {
    await ours.query('CREATE ROLE raised');
    await ours.query('SET ROLE raised');
    await ours.query('RESET ROLE');
    for (const power of ['SUPERUSER', 'CREATEROLE', 'CREATEDB', 'REPLICATION', 'LOGIN']) {
      await owner.query(`ALTER ROLE raised ${power}`);
      for (const sql of ['SET ROLE raised', 'GRANT raised TO reader', 'DROP ROLE raised']) await refused(sql);
      await owner.query(`ALTER ROLE raised NO${power}`);
    }
    await ours.query('DROP ROLE raised');
  });

  test('roles of the application are there after a restart, with what was granted', async () => {
    const logged = await restarted();
    assert.ok(!logged.some(line => line.includes('roles of the trusted server')), logged.join('\n'));
    await actAs('reader', 'told', 'of_user');
    await ours.query('ALTER ROLE told NOCREATEROLE');
    await ours.query('ALTER ROLE reader RENAME TO readers');
    await actAs('readers', 'told');
    await ours.query('ALTER ROLE readers RENAME TO reader');
    await mustBeOthers();
  });

  test('an installation that took them for the application’s gives them back, and keeps what it made', async () => {
    const app = pg.escapeIdentifier(recorded.proxy.behind.user);
    for (const name of names)
      for (const sql of [
        `GRANT ${name} TO ${SUPERUSERS} WITH ADMIN OPTION`,
        `GRANT ${name} TO reader GRANTED BY ${SUPERUSERS}`,
      ])
        await owner.query(sql);
    await owner.query(
      `GRANT dba_staff TO ${app} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE GRANTED BY ${SUPERUSERS}`,
    );
    for (const role of ['reader', 'of_user']) await owner.query(`ALTER ROLE ${role} RESET clarus.attributes`);
    await recorded.proxy.trusted.state.query('DELETE FROM clarus.migrations WHERE number = 3');
    const logged = await restarted();
    const told = logged.filter(line => line.includes('roles of the trusted server'));
    assert.equal(told.length, 1);
    assert.ok(told[0]!.includes(`"roles":"${[...names, 'reader'].join(', ')}"`), told[0]);
    await mustBeOthers();
    await actAs('of_user');
    await refused('SET ROLE reader');
    await owner.query("ALTER ROLE reader SET clarus.attributes TO ''");
    assert.ok(!(await restarted()).some(line => line.includes('roles of the trusted server')));
    await actAs('reader', 'of_user');
    // what superusers of the cloud had granted of it went with their right to
    await ours.query('SET ROLE told');
    await assert.rejects(ours.query('SELECT name FROM patient'), { code: '42501' });
    await ours.query('RESET ROLE');
    await ours.query('GRANT reader TO told');
    await actAs('reader', 'told', 'of_user');
  });
});
