/** Roles of the application: what is granted to them is told as PostgreSQL tells it. Sessions act as them in set-role.test.ts. */
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import type pg from 'pg';
import { outcomeOf } from './support/outcome.js';
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
  'CREATE TABLE patient (id serial PRIMARY KEY, name text, note text)',
  'CREATE TABLE open (id serial PRIMARY KEY, note text)',
  'CREATE VIEW names AS SELECT name FROM patient',
  'CREATE FUNCTION twice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT 2 * $1$$',
];

const script = [
  'CREATE ROLE reader NOLOGIN',
  'CREATE ROLE reader',
  'CREATE ROLE "Odd name" NOINHERIT NOSUPERUSER',
  'CREATE GROUP staff',
  'GRANT SELECT ON patient, open TO reader',
  'GRANT INSERT (name, note), UPDATE (note) ON patient TO staff WITH GRANT OPTION',
  'GRANT SELECT ON names TO reader, staff',
  'GRANT ALL ON ALL TABLES IN SCHEMA public TO "Odd name"',
  'REVOKE DELETE, TRUNCATE ON patient FROM "Odd name"',
  'GRANT USAGE, SELECT ON SEQUENCE patient_id_seq TO staff',
  'GRANT EXECUTE ON FUNCTION twice(integer) TO reader',
  'GRANT USAGE ON SCHEMA public TO reader, staff',
  'GRANT reader TO staff',
  'GRANT reader TO "Odd name" WITH ADMIN OPTION',
  'REVOKE ADMIN OPTION FOR reader FROM "Odd name"',
  'ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, UPDATE ON TABLES TO reader',
  'CREATE TABLE later (id integer)',
  'GRANT SELECT ON nothing TO reader',
  'GRANT SELECT (nothing) ON patient TO reader',
  'GRANT SELECT ON patient TO nobody_here',
  'DROP ROLE reader',
  'DROP ROLE nobody_here',
  'DROP ROLE IF EXISTS nobody_here',
  'BEGIN',
  'CREATE ROLE brief',
  'GRANT SELECT ON patient TO brief',
  'ROLLBACK',
  'DROP ROLE brief',
];

const told = [
  `SELECT c.relname, a.grantee::regrole, a.privilege_type, a.is_grantable FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.relnamespace = 'public'::regnamespace AND a.grantee <> c.relowner`,
  `SELECT c.relname, t.attname, a.grantee::regrole, a.privilege_type, a.is_grantable
     FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a WHERE c.relnamespace = 'public'::regnamespace`,
  "SELECT rolname, rolinherit, rolcanlogin, rolsuper FROM pg_roles WHERE rolname IN ('reader', 'staff', 'Odd name', 'brief')",
  `SELECT roleid::regrole, member::regrole, admin_option FROM pg_auth_members m
     WHERE member::regrole::text IN ('staff', '"Odd name"')`,
  "SELECT has_table_privilege('staff', 'patient', 'SELECT'), has_column_privilege('staff', 'patient', 'note', 'UPDATE'), has_table_privilege('reader', 'patient', 'DELETE')",
  "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'reader'",
  "SELECT defaclobjtype, defaclacl::text ~ 'reader=rw/' FROM pg_default_acl",
];

const undone = [
  'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM reader, staff, "Odd name"',
  'REVOKE ALL (name, note) ON patient FROM staff',
  'REVOKE ALL ON SEQUENCE patient_id_seq FROM staff',
  'REVOKE ALL ON FUNCTION twice(integer) FROM reader',
  'REVOKE ALL ON SCHEMA public FROM reader, staff',
  'ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE ALL ON TABLES FROM reader',
  'REVOKE reader FROM staff CASCADE',
  'DROP ROLE reader, staff, "Odd name"',
];

suite('roles of the application', { timeout: 300_000 }, () => {
  let sides: RoleSides;
  let recorded: RecordedProxy;
  let plain: pg.Client;
  let ours: pg.Client;

  before(async () => {
    sides = await startRoleSides(policy, tables);
    ({ recorded, plain, ours } = sides);
  });
  after(() => sides?.stop());

  const alike = async (sql: string): Promise<void> =>
    assert.deepEqual(await outcomeOf(ours, sql), await outcomeOf(plain, sql), sql);

  test('what is granted to them is what PostgreSQL grants, and no cloud hears of it', async () => {
    const sent = await recorded.sentWhile(async () => {
      for (const sql of script) await alike(sql);
      for (const sql of told) await alike(sql);
    });
    for (const name of ['staff', 'Odd name'])
      assert.ok(!sent.includes(`"${name}"`) && !/GRANT/i.test(sent), name);
    for (const sql of [...undone, ...told]) await alike(sql);
  });

  test('what would give a session their rights, or take others theirs, is refused', async () => {
    const { user } = recorded.proxy.behind;
    await ours.query('CREATE ROLE group_of_ours');
    for (const sql of [
      "SELECT set_config('role', 'group_of_ours', false)",
      'ALTER TABLE patient OWNER TO group_of_ours',
      'ALTER VIEW names OWNER TO group_of_ours',
      'ALTER FUNCTION twice(integer) OWNER TO group_of_ours',
      'CREATE ROLE someone CREATEDB',
      'CREATE USER someone SUPERUSER',
      'ALTER ROLE group_of_ours BYPASSRLS',
      `ALTER ROLE ${user} NOLOGIN`,
      `ALTER ROLE ${user} RENAME TO someone`,
      `CREATE ROLE someone IN ROLE ${user}`,
      'CREATE ROLE someone IN ROLE pg_read_server_files',
      'CREATE ROLE someone ROLE pg_monitor',
      'GRANT clarus_superusers TO group_of_ours',
      'GRANT clarus_superusers TO CURRENT_USER',
      'SET ROLE clarus_superusers',
      'DROP ROLE clarus_superusers',
      'ALTER ROLE clarus_superusers LOGIN',
      'GRANT group_of_ours TO clarus_superusers',
      `DROP ROLE ${user}`,
      `GRANT ${user} TO group_of_ours`,
      'GRANT group_of_ours TO pg_monitor',
      'SET ROLE pg_monitor',
      `GRANT SELECT ON patient TO ${user}`,
      `GRANT SELECT ON patient TO group_of_ours, ${user}`,
      'ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
      "SELECT clarus.create_role('unseen', '{}', '{}')",
    ])
      await assert.rejects(ours.query(sql), ({ code }: pg.DatabaseError) => code === '0A000', sql);
    await ours.query('DROP ROLE group_of_ours');
  });
});
