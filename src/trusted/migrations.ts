/** Tables of the state database, as numbered migrations that are applied once and never changed. */
import type { ClientBase } from 'pg';
import { ClarusError } from '../errors.js';

/**
 * Marks roles that were made through Clarus, as `create_role` marks them (roles.ts). In an embedded server no others are
 * without LOGIN. In one of the owner's they are told by what `create_role` has granted to whoever made them, a user or a marked
 * role: ADMIN OPTION alone. A superuser of the cloud is granted nothing, and so a role of its making cannot be told.
 */
const markRoles = (embedded: boolean): string => `
DO $do$
DECLARE
  role name;
BEGIN
  IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
    RETURN;
  END IF;
  FOR role IN
    WITH marked AS (
      SELECT s.setrole FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS mark (setting)
       WHERE s.setdatabase = 0 AND mark.setting LIKE 'clarus.attributes=%'
    ), makers AS (
      SELECT a.grantee AS oid FROM clarus.shadows s JOIN pg_catalog.pg_database d ON d.datname = s.database,
             pg_catalog.aclexplode(d.datacl) a
       WHERE a.privilege_type = 'CREATE'
      UNION SELECT setrole FROM marked
    )
    SELECT r.rolname FROM pg_catalog.pg_roles r
     WHERE r.oid >= 16384 AND r.rolname <> 'clarus_superusers' AND r.oid NOT IN (SELECT setrole FROM marked)
       AND NOT (r.rolcanlogin OR r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting acted WHERE ('role=' || r.rolname) = ANY (acted.setconfig))
       AND (${embedded} OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m
         WHERE m.roleid = r.oid AND m.admin_option AND m.member IN (SELECT oid FROM makers)
           -- of PostgreSQL 16 and later, where the grantor is the superuser that initdb made
           AND pg_catalog.to_jsonb(m) ->> 'inherit_option' IS DISTINCT FROM 'true'
           AND pg_catalog.to_jsonb(m) ->> 'set_option' IS DISTINCT FROM 'true'
           AND m.grantor IN (10, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))))
  LOOP
    EXECUTE pg_catalog.format('ALTER ROLE %I SET clarus.attributes TO %L', role, '');
  END LOOP;
END
$do$;
`;

/**
 * The first migration has number 1. docs/spec/state.md describes each table. One that is a function is asked whether the
 * server is embedded.
 */
const migrations: readonly (string | ((embedded: boolean) => string))[] = [
  `
CREATE TABLE clarus.installation (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  root_fingerprint text NOT NULL,
  root_check bytea NOT NULL,
  lease_last bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE clarus.retired_lease_keys (
  wrapped bytea NOT NULL,
  retired_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE clarus.shadows (
  database name PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE clarus.policy_versions (
  number integer PRIMARY KEY CHECK (number > 0),
  policy json NOT NULL,
  origin text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE SEQUENCE clarus.table_numbers AS integer MAXVALUE 16777215;
CREATE TABLE clarus.tables (
  number integer PRIMARY KEY CHECK (number BETWEEN 1 AND 16777215),
  cloud text NOT NULL,
  shadow_oid oid NOT NULL,
  definition json NOT NULL,
  state text NOT NULL CHECK (state IN ('protected', 'open', 'blocked'))
);
CREATE INDEX ON clarus.tables (cloud, shadow_oid);
CREATE SEQUENCE clarus.generations AS integer;
CREATE TABLE clarus.keys (
  kind text NOT NULL CHECK (kind IN ('table', 'domain')),
  number integer NOT NULL CHECK (number > 0),
  wrapped bytea NOT NULL CHECK (octet_length(wrapped) = 40),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, number)
);
CREATE SEQUENCE clarus.domain_numbers AS integer;
CREATE TABLE clarus.domains (
  number integer PRIMARY KEY CHECK (number > 0),
  cloud text NOT NULL,
  name text,
  UNIQUE (cloud, name)
);
CREATE TABLE clarus.epochs (
  table_number integer NOT NULL,
  column_number integer NOT NULL,
  epoch integer NOT NULL CONSTRAINT epochs_epoch_range CHECK (epoch BETWEEN 1 AND 65535),
  reserved bigint NOT NULL CHECK (reserved BETWEEN 0 AND 4294967296),
  PRIMARY KEY (table_number, column_number)
);
CREATE TABLE clarus.leases (
  name text PRIMARY KEY,
  next bigint NOT NULL CONSTRAINT leases_next_range CHECK (next BETWEEN 1 AND 9007199254740992)
);
CREATE TABLE clarus.lease_salts (
  name text NOT NULL,
  first bigint NOT NULL,
  until bigint NOT NULL CHECK (until > first),
  salt bytea NOT NULL CHECK (octet_length(salt) = 16),
  PRIMARY KEY (name, first)
);
CREATE TABLE clarus.encoding_state (
  table_number integer NOT NULL,
  column_number integer NOT NULL,
  generation integer NOT NULL,
  key text NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (table_number, column_number, generation, key)
);
CREATE TABLE clarus.journal (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cloud text NOT NULL,
  cloud_xid text NOT NULL,
  shadow_xid text,
  redo json NOT NULL,
  proxy text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE clarus.catalogue_version (
  cloud text PRIMARY KEY,
  version bigint NOT NULL
);
CREATE TABLE clarus.workers (
  id text NOT NULL,
  cloud text NOT NULL,
  seen_version bigint NOT NULL,
  heartbeat timestamptz NOT NULL,
  PRIMARY KEY (id, cloud)
);
`,
  `
ALTER TABLE clarus.policy_versions ADD COLUMN file json;
UPDATE clarus.policy_versions SET file = policy WHERE starts_with(origin, 'file ');
`,
  markRoles,
];

/** The schema version that this Clarus works with. */
export const schemaVersion = migrations.length;

/** Key of the advisory lock that initialisation holds: "clarus" in ASCII. */
export const initialisationLock = '109339044803955';

/**
 * Brings the state database to this Clarus's schema, in the caller's transaction. The caller holds
 * `initialisationLock`, so that of two proxies that start at once one does it.
 * @param embedded the server was started by Clarus, and nothing else lives in it
 * @returns true when the database was new
 * @throws ClarusError 55000 when a newer Clarus has been here
 */
export async function migrate(client: ClientBase, embedded: boolean): Promise<boolean> {
  await client.query(`
    CREATE SCHEMA IF NOT EXISTS clarus;
    CREATE TABLE IF NOT EXISTS clarus.migrations (
      number integer PRIMARY KEY,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`);
  const { rows } = await client.query<{ number: number }>('SELECT number FROM clarus.migrations');
  const applied = Math.max(0, ...rows.map(row => row.number));
  if (applied > schemaVersion)
    throw new ClarusError(
      '55000',
      `the trusted database has schema version ${applied}; this Clarus knows versions up to ${schemaVersion}`,
      {
        severity: 'FATAL',
        hint: 'Install the newer Clarus that has used it, or restore a backup from before.',
      },
    );
  for (let number = applied + 1; number <= schemaVersion; number++) {
    const migration = migrations[number - 1]!;
    await client.query(typeof migration === 'string' ? migration : migration(embedded));
    await client.query('INSERT INTO clarus.migrations (number) VALUES ($1)', [number]);
  }
  return applied === 0;
}
