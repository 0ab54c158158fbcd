/**
 * Roles of the application that stand in the trusted database only. To the trusted server each is a group that nobody logs
 * in as, without attributes; what the application was told of it beside that (LOGIN, CREATEROLE ...) is a setting of the
 * role, `clarus.attributes`, which is the whole server's as the role is, follows its transaction and its name, and counts
 * here and in views of the catalogue alone. It is there for each of them, if only empty, and so is the mark by which they are
 * told from groups that others keep on the server. Sessions may not make roles themselves; these functions make, alter and
 * drop such roles, and no others, for the role that a session acts as, by the rules of PostgreSQL's user.c.
 */
import { OWN_SCHEMA } from './own-schema.js';

/**
 * Role whose members are the roles of cloud users that are superusers there. It is a member of every role of the
 * application, with ADMIN OPTION, because a superuser may act as any, grant any and use what any owns.
 */
export const SUPERUSERS = 'clarus_superusers';

/** Setting of a role of the application that holds the attributes that it was told of: a list, which may be empty. */
export const attributesSetting = 'clarus.attributes';

/** The role that a session acts as, seen from a function that runs as its owner. */
const acting = "CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END";

/**
 * Is a role, by its name, one of the application? Such a role was made through Clarus, which has marked it, and has no power
 * over the server: what a session does as it, the server lets it do. Those of users log in, or users act as them.
 * @param name as SQL that means nothing within: a parameter, or a column with the name of its table
 */
export const isLogicalRole = (name: string): string => `EXISTS (
    SELECT FROM pg_catalog.pg_roles logical WHERE logical.rolname = ${name} AND logical.oid >= 16384 AND NOT (logical.rolcanlogin
         OR logical.rolsuper OR logical.rolcreaterole OR logical.rolcreatedb OR logical.rolreplication)
       AND EXISTS (SELECT FROM pg_catalog.pg_db_role_setting marked, pg_catalog.unnest(marked.setconfig) AS mark (setting)
         WHERE marked.setrole = logical.oid AND marked.setdatabase = 0 AND mark.setting LIKE '${attributesSetting}=%')
       AND logical.rolname <> '${SUPERUSERS}' AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting acted
         WHERE ('role=' || logical.rolname) = ANY (acted.setconfig)))`;

/**
 * Memberships by which superusers of clouds could reach roles that are not the application's, as SQL: those in which
 * SUPERUSERS administers such a role, and those that it, or one of its members, has granted. Before PostgreSQL 16 the grantor
 * may be gone, and none needs to be named.
 * Columns: role, member, grantor.
 */
export const strayMemberships = `SELECT stray.rolname AS role, member.rolname AS member, coalesce(grantor.rolname, current_user) AS grantor
    FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles stray ON stray.oid = m.roleid
      JOIN pg_catalog.pg_roles member ON member.oid = m.member LEFT JOIN pg_catalog.pg_roles grantor ON grantor.oid = m.grantor
   WHERE stray.oid >= 16384 AND stray.rolname <> '${SUPERUSERS}' AND NOT ${isLogicalRole('stray.rolname')}
     AND (member.rolname = '${SUPERUSERS}' AND m.admin_option OR grantor.rolname = '${SUPERUSERS}'
       OR NOT grantor.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_auth_members s JOIN pg_catalog.pg_roles g ON g.oid = s.roleid
         WHERE g.rolname = '${SUPERUSERS}' AND s.member = m.grantor))`;

/** Attributes that the application was told of a role, as SQL of type text[]. @param oid of the role */
export const toldAttributes = (oid: string): string =>
  `coalesce((SELECT pg_catalog.string_to_array(pg_catalog.split_part(told.setting, '=', 2), ',')
    FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS told (setting)
   WHERE s.setrole = ${oid} AND s.setdatabase = 0 AND told.setting LIKE '${attributesSetting}=%'), '{}')`;

/** Settings of a row of pg_db_role_setting that are the application's, as SQL. */
export const ownSettings = `(SELECT pg_catalog.array_agg(s.setting ORDER BY s.n)
    FROM pg_catalog.unnest(setconfig) WITH ORDINALITY AS s (setting, n) WHERE s.setting NOT LIKE '${attributesSetting}=%')`;

/** Makes the role of superusers, where it is missing. */
export const superusersDdl = `DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '${SUPERUSERS}') THEN
    CREATE ROLE ${SUPERUSERS} NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- for another database, at the same moment
END
$do$`;

const asAdmin = 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$';

const modern = "current_setting('server_version_num')::integer >= 160000";

/** DDL of the functions. */
export const roleFunctions = `
DO $do$
DECLARE
  role name;
  held record;
BEGIN
  FOR held IN ${strayMemberships} LOOP
    -- what was granted by it goes too
    EXECUTE pg_catalog.format('REVOKE %I FROM %I GRANTED BY %I CASCADE', held.role, held.member, held.grantor);
  END LOOP;
  FOR role IN SELECT r.rolname FROM pg_catalog.pg_roles r WHERE ${isLogicalRole('r.rolname')}
      AND NOT pg_catalog.pg_has_role('${SUPERUSERS}', r.oid, 'MEMBER WITH ADMIN OPTION') LOOP
    EXECUTE pg_catalog.format('GRANT %I TO ${SUPERUSERS} WITH ADMIN OPTION', role);
  END LOOP;
END
$do$;

-- What a role may by an attribute. Of one that is no role of the application, it is known whether it is a superuser.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.role_may(actor name, attribute text) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  SELECT pg_has_role(actor, '${SUPERUSERS}', 'MEMBER') OR CASE WHEN ${isLogicalRole('actor')}
    THEN attribute = ANY (${toldAttributes('(SELECT oid FROM pg_roles WHERE rolname = actor)')})
    ELSE attribute = 'createrole' END
$function$;

-- PostgreSQL tells the detail from version 16 on.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.deny(message text, detail text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF ${modern} THEN
    RAISE insufficient_privilege USING MESSAGE = message, DETAIL = detail;
  END IF;
  RAISE insufficient_privilege USING MESSAGE = message;
END
$function$;

-- Attributes that an actor gives to, or takes from, a role; superusers may all. What else the role of a user may give, its cloud knows.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.mind_attributes(actor name, changed text[], message text, detail text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  attribute text;
  needed CONSTANT text[] := CASE WHEN ${modern} THEN ARRAY['superuser', 'createdb', 'isreplication', 'bypassrls']
    ELSE ARRAY['superuser', 'isreplication', 'bypassrls'] END;
BEGIN
  FOREACH attribute IN ARRAY needed LOOP
    CONTINUE WHEN attribute <> ALL (changed)
      OR ${OWN_SCHEMA}.role_may(actor, CASE WHEN ${modern} THEN attribute ELSE 'superuser' END);
    IF NOT ${isLogicalRole('actor')} THEN
      RAISE feature_not_supported USING
        MESSAGE = format('the attribute %s is given to roles of the application by superusers of the cloud only', upper(replace(attribute, 'isr', 'r'))),
        HINT = 'Leave it out: such a role is checked on the trusted side, and may by that attribute nothing in the cloud.';
    END IF;
    PERFORM ${OWN_SCHEMA}.deny(
      CASE WHEN ${modern} THEN message
        WHEN message LIKE '%create%' THEN CASE attribute WHEN 'superuser' THEN 'must be superuser to create superusers'
          WHEN 'isreplication' THEN 'must be superuser to create replication users' ELSE 'must be superuser to create bypassrls users' END
        ELSE CASE attribute WHEN 'superuser' THEN 'must be superuser to alter superuser roles or change superuser attribute'
          WHEN 'isreplication' THEN 'must be superuser to alter replication roles or change replication attribute'
          ELSE 'must be superuser to change bypassrls attribute' END END,
      format(detail, upper(replace(attribute, 'isr', 'r'))));
  END LOOP;
END
$function$;

DROP FUNCTION IF EXISTS ${OWN_SCHEMA}.create_role(name, boolean);
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.create_role(role name, attributes text[], settings jsonb) RETURNS void
  ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
BEGIN
  IF NOT ${modern} THEN
    PERFORM ${OWN_SCHEMA}.mind_attributes(actor, attributes, 'permission denied to create role', '');
  END IF;
  IF NOT ${OWN_SCHEMA}.role_may(actor, 'createrole') THEN
    PERFORM ${OWN_SCHEMA}.deny('permission denied to create role', 'Only roles with the CREATEROLE attribute may create roles.');
  END IF;
  PERFORM ${OWN_SCHEMA}.mind_attributes(actor, attributes, 'permission denied to create role',
    'Only roles with the %1$s attribute may create roles with the %1$s attribute.');
  EXECUTE format('CREATE ROLE %I NOLOGIN', role);
  PERFORM ${OWN_SCHEMA}.set_role_up(role, attributes, settings);
  EXECUTE format('GRANT %I TO ${SUPERUSERS} WITH ADMIN OPTION', role);
  -- whoever makes a role may grant it, and is no member by that (createrole_self_grant)
  IF NOT pg_has_role(actor, '${SUPERUSERS}', 'MEMBER') THEN
    EXECUTE format('GRANT %I TO %I WITH ADMIN OPTION', role, actor)
      || CASE WHEN ${modern} THEN ', INHERIT FALSE, SET FALSE' ELSE '' END;
  END IF;
END
$function$;

-- Attributes that count, and those that are told.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.set_role_up(role name, attributes text[], settings jsonb) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  EXECUTE format('ALTER ROLE %I %s', role, concat_ws(' ',
    CASE WHEN 'bypassrls' = ANY (attributes) THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END,
    CASE settings ->> 'inherit' WHEN 'true' THEN 'INHERIT' WHEN 'false' THEN 'NOINHERIT' END,
    'CONNECTION LIMIT ' || (settings ->> 'connectionlimit')::integer,
    'VALID UNTIL ' || quote_literal(settings ->> 'validUntil'),
    -- it lets nobody in: the role may not log in
    CASE WHEN settings ? 'password' THEN 'PASSWORD ' || coalesce(quote_literal(settings ->> 'password'), 'NULL') END));
  EXECUTE format('ALTER ROLE %I SET ${attributesSetting} TO %L', role, array_to_string(attributes, ','));
END
$function$;

-- May an actor change a role of the application? Before PostgreSQL 16 a role with CREATEROLE may, without ADMIN OPTION.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.role_altered_by(actor name, role name) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  SELECT ${isLogicalRole('role')} AND ${OWN_SCHEMA}.role_may(actor, 'createrole')
    AND (pg_has_role(actor, role, 'MEMBER WITH ADMIN OPTION') OR NOT ${modern} AND ${isLogicalRole('actor')})
$function$;

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.alter_role(role name, given text[], taken text[], settings jsonb)
  RETURNS void ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
  told CONSTANT text[] := ${toldAttributes('(SELECT oid FROM pg_roles WHERE rolname = role)')};
  changes CONSTANT boolean := given || taken <> '{}' OR settings - 'password' <> '{}';
BEGIN
  IF NOT ${isLogicalRole('role')} THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied to alter role';
  END IF;
  IF 'superuser' = ANY (told) AND NOT ${OWN_SCHEMA}.role_may(actor, 'superuser') THEN
    PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied to alter role'
        ELSE 'must be superuser to alter superuser roles or change superuser attribute' END,
      'Only roles with the SUPERUSER attribute may alter roles with the SUPERUSER attribute.');
  END IF;
  IF NOT ${modern} OR 'superuser' = ANY (given || taken) THEN
    PERFORM ${OWN_SCHEMA}.mind_attributes(actor, given || taken || CASE WHEN 'isreplication' = ANY (told) AND NOT ${modern}
        THEN ARRAY['isreplication'] ELSE ARRAY[]::text[] END,
      'permission denied to alter role', 'Only roles with the %s attribute may change the %1$s attribute.');
  END IF;
  IF NOT ${OWN_SCHEMA}.role_altered_by(actor, role) THEN
    IF changes THEN
      PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied to alter role' ELSE 'permission denied' END,
        format('Only roles with the CREATEROLE attribute and the ADMIN option on role "%s" may alter this role.', role));
    ELSIF settings ? 'password' AND role <> actor THEN
      PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied to alter role' ELSE 'permission denied' END,
        'To change another role''s password, the current user must have the CREATEROLE attribute and the ADMIN option on the role.');
    END IF;
    PERFORM ${OWN_SCHEMA}.set_role_up(role, told, settings);
    RETURN;
  END IF;
  PERFORM ${OWN_SCHEMA}.mind_attributes(actor, given || taken, 'permission denied to alter role',
    'Only roles with the %1$s attribute may change the %1$s attribute.');
  PERFORM ${OWN_SCHEMA}.set_role_up(role, ARRAY(SELECT unnest(told || given) EXCEPT SELECT unnest(taken) ORDER BY 1), settings);
END
$function$;

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.rename_role(role name, renamed name) RETURNS void
  ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
BEGIN
  IF role = actor THEN
    RAISE feature_not_supported USING MESSAGE = 'current user cannot be renamed';
  END IF;
  IF 'superuser' = ANY (${toldAttributes('(SELECT oid FROM pg_roles WHERE rolname = role)')})
      AND NOT ${OWN_SCHEMA}.role_may(actor, 'superuser') THEN
    PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied to rename role' ELSE 'must be superuser to rename superusers' END,
      'Only roles with the SUPERUSER attribute may rename roles with the SUPERUSER attribute.');
  ELSIF NOT ${OWN_SCHEMA}.role_altered_by(actor, role) THEN
    PERFORM ${OWN_SCHEMA}.deny('permission denied to rename role',
      format('Only roles with the CREATEROLE attribute and the ADMIN option on role "%s" may rename this role.', role));
  END IF;
  EXECUTE format('ALTER ROLE %I RENAME TO %I', role, renamed);
END
$function$;

CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.comment_on_role(role name, comment text) RETURNS void
  ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
BEGIN
  IF NOT ${OWN_SCHEMA}.role_altered_by(actor, role) THEN
    PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied' ELSE 'must have CREATEROLE privilege' END,
      format('The current user must have the CREATEROLE attribute and the ADMIN option on role "%s".', role));
  END IF;
  EXECUTE format('COMMENT ON ROLE %I IS %L', role, comment);
END
$function$;

-- Memberships that CREATE ROLE and ALTER GROUP say.
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.join_role(role name, member name, joins boolean, admin boolean) RETURNS void
  ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
  may_all CONSTANT boolean := ${OWN_SCHEMA}.role_may(actor, 'superuser');
BEGIN
  IF NOT ${isLogicalRole('role')} OR NOT (${isLogicalRole('member')} OR member = actor) THEN
    RAISE insufficient_privilege USING MESSAGE = format('permission denied to grant role "%s"', role);
  END IF;
  IF 'superuser' = ANY (${toldAttributes('(SELECT oid FROM pg_roles WHERE rolname = role)')}) AND NOT may_all THEN
    PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN format('permission denied to grant role "%s"', role) ELSE 'must be superuser to alter superusers' END,
      'Only roles with the SUPERUSER attribute may grant roles with the SUPERUSER attribute.');
  ELSIF NOT may_all AND NOT pg_has_role(actor, role, 'MEMBER WITH ADMIN OPTION') THEN
    PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN format('permission denied to grant role "%s"', role)
        ELSE format('must have admin option on role "%s"', role) END,
      format('Only roles with the ADMIN option on role "%s" may grant this role.', role));
  END IF;
  EXECUTE format(CASE WHEN joins THEN 'GRANT %I TO %I' ELSE 'REVOKE %I FROM %I' END, role, member)
    || CASE WHEN admin THEN ' WITH ADMIN OPTION' ELSE '' END
    || format(' GRANTED BY %I', CASE WHEN ${modern} AND may_all THEN '${SUPERUSERS}' ELSE actor END);
END
$function$;

DROP FUNCTION IF EXISTS ${OWN_SCHEMA}.drop_role(name), ${OWN_SCHEMA}.drop_role(name, text);
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.drop_roles(roles name[], path text) RETURNS void
  ${asAdmin}
DECLARE
  actor CONSTANT name := ${acting};
  command CONSTANT text := (SELECT 'DROP ROLE ' || string_agg(quote_ident(r), ', ') FROM unnest(roles) AS r);
  role name;
BEGIN
  IF NOT ${OWN_SCHEMA}.role_may(actor, 'createrole') THEN
    PERFORM ${OWN_SCHEMA}.deny('permission denied to drop role',
      'Only roles with the CREATEROLE attribute and the ADMIN option on the target roles may drop roles.');
  END IF;
  FOREACH role IN ARRAY roles LOOP
    IF role = actor THEN
      RAISE object_in_use USING MESSAGE = 'current user cannot be dropped';
    END IF;
    IF 'superuser' = ANY (${toldAttributes('(SELECT oid FROM pg_roles WHERE rolname = role)')})
        AND NOT ${OWN_SCHEMA}.role_may(actor, 'superuser') THEN
      PERFORM ${OWN_SCHEMA}.deny(CASE WHEN ${modern} THEN 'permission denied to drop role' ELSE 'must be superuser to drop superusers' END,
        'Only roles with the SUPERUSER attribute may drop roles with the SUPERUSER attribute.');
    ELSIF NOT ${OWN_SCHEMA}.role_altered_by(actor, role) THEN
      PERFORM ${OWN_SCHEMA}.deny('permission denied to drop role',
        format('Only roles with the CREATEROLE attribute and the ADMIN option on role "%s" may drop this role.', role));
    END IF;
  END LOOP;
  -- from here on no name is looked up: the path is for what the error names
  PERFORM set_config('search_path', path, true);
  EXECUTE command;
END
$function$;
`;
