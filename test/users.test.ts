/** CREATE USER, roles with attributes, ALTER and RENAME of them, rights of PUBLIC, and what superusers of the cloud may. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import pg from 'pg';
import { roleFunctions, SUPERUSERS } from '../src/trusted/roles.js';
import { fullOutcomeOf } from './support/outcome.js';
import type { RecordedProxy } from './support/recorded-proxy.js';
import { type RoleSides, startRoleSides } from './support/role-server.js';

const policy = `unlisted: pass
tables:
  public.patient:
    columns:
      id: { class: identifier, protect: encrypt, queries: [equality] }
      name: { class: identifier, protect: encrypt }
      note: { protect: none }`;

const tables = [
  'CREATE TABLE patient (id integer PRIMARY KEY, name text, note text)',
  'CREATE TABLE open (id integer, note text)',
  "INSERT INTO patient VALUES (1, 'Ann', 'a')",
  "INSERT INTO open VALUES (1, 'x')",
  'CREATE VIEW whoever AS SELECT session_user AS who',
];

const attributes = `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
  rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil::text, rolconfig FROM pg_roles WHERE rolname LIKE 'u\\_%' ORDER BY 1`;

const made = [
  'CREATE USER u_plain',
  'CREATE USER u_plain',
  'CREATE USER u_out WITH NOLOGIN NOINHERIT',
  "CREATE ROLE u_until LOGIN CONNECTION LIMIT 5 VALID UNTIL '2030-01-02'",
  'CREATE ROLE u_maker CREATEROLE',
  'CREATE GROUP u_group WITH USER u_plain, u_out',
  'CREATE ROLE u_in IN ROLE u_group ADMIN u_plain',
  'CREATE ROLE u_wrong LOGIN NOLOGIN',
  'CREATE ROLE u_wrong CONNECTION LIMIT -2',
  "CREATE ROLE u_wrong VALID UNTIL 'no time'",
  'CREATE ROLE u_wrong IN ROLE u_nobody',
  'CREATE ROLE u_wrong ROLE u_wrong',
  'CREATE ROLE pg_wrong',
  attributes,
  'ALTER ROLE u_plain NOLOGIN CREATEROLE',
  'ALTER USER u_out WITH LOGIN INHERIT CONNECTION LIMIT 2',
  'ALTER ROLE u_nobody LOGIN',
  'ALTER ROLE u_until NOLOGIN CONNECTION LIMIT -1',
  'ALTER ROLE u_plain RENAME TO u_renamed',
  'ALTER ROLE u_out RENAME TO u_renamed',
  'ALTER ROLE u_nobody RENAME TO u_other',
  'ALTER ROLE u_renamed NOCREATEROLE',
  'ALTER GROUP u_group DROP USER u_renamed',
  'ALTER GROUP u_group ADD USER u_until',
  "COMMENT ON ROLE u_group IS 'some'",
  "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'u_group'",
  attributes,
  'SELECT usename, usesysid > 0 AS numbered, usecreatedb, usesuper, passwd FROM pg_user WHERE usename LIKE $$u\\_%$$ ORDER BY 1',
  `SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members
    WHERE member::regrole::text LIKE 'u\\_%' AND roleid::regrole::text <> 'u_maker' ORDER BY 1, 2`,
  'SELECT rolname FROM pg_authid',
  'SELECT usename FROM pg_shadow',
  'BEGIN',
  'ALTER ROLE u_out NOLOGIN',
  'ROLLBACK',
  attributes,
];

const asMaker = [
  'GRANT u_maker TO CURRENT_USER',
  'SET ROLE u_maker',
  'CREATE ROLE u_theirs LOGIN',
  'CREATE ROLE u_more SUPERUSER',
  'CREATE ROLE u_more REPLICATION',
  'CREATE ROLE u_more BYPASSRLS',
  'CREATE ROLE u_more CREATEDB',
  'ALTER ROLE u_theirs CREATEROLE',
  'ALTER ROLE u_theirs RENAME TO u_them',
  'ALTER ROLE u_group NOINHERIT',
  'ALTER ROLE u_group RENAME TO u_taken',
  'DROP ROLE u_group',
  'DROP ROLE u_maker',
  'DROP ROLE u_them',
  'RESET ROLE',
  'GRANT u_in TO CURRENT_USER',
  'SET ROLE u_in',
  'CREATE ROLE u_more',
  'ALTER ROLE u_in CREATEROLE',
  'DROP ROLE u_group',
  'RESET ROLE',
];

const toPublic = [
  'SET ROLE u_in',
  'SELECT name FROM patient',
  'RESET ROLE',
  'GRANT SELECT ON patient TO PUBLIC',
  'GRANT SELECT, UPDATE (note) ON open TO u_until, PUBLIC',
  "SELECT relname, relacl::text ~ '=r/' FROM pg_class WHERE relname IN ('patient', 'open') ORDER BY 1",
  'SET ROLE u_in',
  'SELECT name FROM patient',
  'SELECT note FROM open',
  "UPDATE open SET note = 'y'",
  "UPDATE patient SET note = 'y'",
  'RESET ROLE',
  'REVOKE ALL ON patient FROM PUBLIC',
  'REVOKE ALL ON open FROM PUBLIC',
  'SET ROLE u_in',
  'SELECT name FROM patient',
  'SELECT note FROM open',
  'RESET ROLE',
];

const asSuperuser = [
  // answered on the trusted side, by a setting of superusers
  "SET max_stack_depth = '100kB'",
  "SELECT repeat('[', 10000)::json",
  'RESET max_stack_depth',
  'SELECT rolname, rolcanlogin, rolpassword FROM pg_authid WHERE rolname LIKE $$u\\_%$$ ORDER BY 1',
  "SELECT rolsuper FROM pg_roles WHERE rolname = 'app'",
  "ALTER ROLE u_out PASSWORD 'md5012345678901234567890123456789ab'",
  "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'u\\_%' ORDER BY 1",
  "SELECT usename, passwd FROM pg_shadow WHERE usename LIKE 'u\\_%' ORDER BY 1",
  'ALTER ROLE u_out RENAME TO u_away',
  "SELECT rolpassword FROM pg_authid WHERE rolname = 'u_away'",
  "ALTER ROLE u_away PASSWORD ''",
  "ALTER ROLE u_away ENCRYPTED PASSWORD 'x' VALID UNTIL 'infinity'",
  "SELECT rolpassword ~ '^SCRAM-SHA-256.4096:' FROM pg_authid WHERE rolname = 'u_away'",
  'ALTER ROLE u_away PASSWORD NULL',
  'CREATE ROLE u_mighty SUPERUSER CREATEDB REPLICATION BYPASSRLS',
  attributes,
  'SET ROLE u_until',
  'SELECT current_user, session_user',
  'SELECT name FROM patient',
  'RESET ROLE',
  'SET SESSION AUTHORIZATION u_until',
  'SELECT current_user, session_user',
  "SELECT pg_has_role('u_group', 'MEMBER'), has_table_privilege('patient', 'SELECT')",
  'SELECT name FROM patient',
  'SET ROLE u_group',
  'SELECT current_user, session_user',
  'SET ROLE u_maker',
  'SET ROLE u_nobody',
  'RESET ROLE',
  'SELECT current_user, session_user',
  'RESET ALL',
  'SELECT current_user, session_user',
  'SET SESSION AUTHORIZATION u_maker',
  'SELECT current_user, session_user',
  'CREATE ROLE u_yet SUPERUSER',
  'CREATE ROLE u_yet',
  'BEGIN',
  'SET SESSION AUTHORIZATION u_group',
  'SELECT current_user, session_user',
  'ROLLBACK',
  'SELECT current_user, session_user',
  'BEGIN',
  'SET LOCAL SESSION AUTHORIZATION u_group',
  'SELECT current_user, session_user',
  'COMMIT',
  'SELECT current_user, session_user',
  'SET SESSION AUTHORIZATION u_nobody',
  'DISCARD ALL',
  'SELECT current_user',
  'SET SESSION AUTHORIZATION u_group',
  'RESET SESSION AUTHORIZATION',
  'SELECT current_user',
  'ALTER ROLE u_mighty NOSUPERUSER',
  'SET SESSION AUTHORIZATION u_mighty',
  'SELECT current_user, session_user',
  'CREATE ROLE u_never',
  'SET SESSION AUTHORIZATION DEFAULT',
  'DROP ROLE u_mighty, u_yet',
];

suite('users and roles with attributes', { timeout: 300_000 }, () => {
  let sides: RoleSides;
  let recorded: RecordedProxy;
  let plain: pg.Client;
  let ours: pg.Client;

  before(async () => {
    sides = await startRoleSides(policy, tables);
    ({ recorded, plain, ours } = sides);
  });
  after(async () => {
    await plain?.end();
    await sides?.stop();
  });

  const alike = async (steps: readonly string[]): Promise<void> => {
    for (const [n, sql] of steps.entries()) {
      const extended = n % 2 === 1;
      const [got, wanted] = await Promise.all(
        [ours, plain].map(client => fullOutcomeOf(client, sql, extended)),
      );
      assert.deepEqual(got, wanted, sql);
    }
  };

  test('they are made, altered, renamed and told as in PostgreSQL, and no cloud hears of them', async () => {
    const sent = await recorded.sentWhile(() => alike(made));
    for (const name of ['u_plain', 'u_renamed', 'u_maker']) assert.ok(!sent.includes(name), name);
  });

  test('a role with CREATEROLE makes roles, and one without does not', () => alike(asMaker));

  test('what is granted to PUBLIC counts for roles of the application', () => alike(toPublic));

  test('a password is kept as PostgreSQL keeps it, reaches no cloud and no log, and lets nobody in', async () => {
    const sent = await recorded.sentWhile(async () => {
      await ours.query("CREATE USER u_secret PASSWORD 'Unverwechselbar'");
      await ours.query("ALTER ROLE u_secret ENCRYPTED PASSWORD 'Unverwechselbar'");
    });
    assert.ok(!sent.includes('Unverwechselbar'));
    assert.ok(!recorded.proxy.log.join('\n').includes('Unverwechselbar'));
    const state = await recorded.proxy.trusted.state.query(
      "SELECT rolpassword, rolcanlogin FROM pg_authid WHERE rolname = 'u_secret'",
    );
    assert.match(state.rows[0].rolpassword, /^SCRAM-SHA-256\$/);
    assert.equal(state.rows[0].rolcanlogin, false);
    const { rows } = await recorded.proxy.trusted.state.query('SELECT redo::text FROM clarus.journal');
    assert.ok(!JSON.stringify(rows).includes('Unverwechselbar'));
    await assert.rejects(
      recorded.reconnect({ user: 'u_secret', password: 'Unverwechselbar' }),
      ({ code }: pg.DatabaseError) => code === '28P01',
    );
    await ours.query('DROP ROLE u_secret');
  });

  test('a superuser of the cloud acts as any of them, and gives any attribute', async () => {
    const { proxy } = recorded;
    for (const [target, user] of [
      [proxy.cloud, proxy.behind.user],
      [sides.server, proxy.behind.user],
    ] as const) {
      const admin = new pg.Client({ ...target });
      await admin.connect();
      await admin.query(`ALTER ROLE ${pg.escapeIdentifier(user)} SUPERUSER`);
      await admin.end();
    }
    await proxy.trusted.ensureUser(proxy.database, proxy.user, proxy.behind.user, true);
    ours = await recorded.reconnect();
    await plain.end();
    plain = new pg.Client({ ...sides.server, user: proxy.behind.user, password: 'secret', database: 'app' });
    await plain.connect();
    await alike(asSuperuser);
  });

  test('the trusted server gives them nothing', async () => {
    const { rows } = await recorded.proxy.trusted.state.query(
      `SELECT rolname FROM pg_authid WHERE rolname LIKE 'u\\_%'
          AND (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication)`,
    );
    assert.deepEqual(rows, []);
    // what is done at each start
    const { trusted, database } = recorded.proxy;
    await trusted.shadowAdmin(database).query(roleFunctions);
    const granted = await trusted.state.query(
      `SELECT roleid::regrole::text AS role FROM pg_auth_members WHERE member = '${SUPERUSERS}'::regrole
          AND roleid::regrole::text NOT LIKE 'u\\_%'`,
    );
    assert.deepEqual(granted.rows, []);
    for (const sql of [
      'GRANT SELECT ON pg_authid TO u_group',
      'REVOKE EXECUTE ON FUNCTION int8(integer) FROM PUBLIC',
      'GRANT ALL ON SCHEMA clarus TO u_group',
    ])
      await assert.rejects(
        ours.query(sql),
        ({ code }: pg.DatabaseError) => /0A000|3F000/.test(code ?? ''),
        sql,
      );
    await ours.query('CREATE ROLE u_mighty SUPERUSER');
    await assert.rejects(ours.query('SET ROLE u_mighty'), { code: '0A000' });
    await ours.query('SET SESSION AUTHORIZATION u_in');
    for (const sql of [
      'SELECT who FROM whoever',
      'SHOW session_authorization',
      "SELECT current_setting('role')",
    ])
      await assert.rejects(ours.query(sql), { code: '0A000' }, sql);
    await ours.query('RESET SESSION AUTHORIZATION');
  });
});
