/**
 * Roles of the application that stand in the trusted database only: groups, which nobody logs in as and no session acts
 * as. Sessions may not make roles themselves; these functions make and drop such roles, and no others, for the role that
 * a session acts as.
 */
import { OWN_SCHEMA } from './own-schema.js';

/** The role that a session acts as, seen from a function that runs as its owner. */
const acting = "CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END";

/** Is a role, by its name, one of the application? Those of users log in, or users act as them. */
export const isLogicalRole = (name: string): string => `EXISTS (
    SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = ${name} AND NOT r.rolcanlogin AND r.oid >= 16384
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s
         WHERE ('role=' || r.rolname) = ANY (s.setconfig)))`;

/** DDL of the functions. */
export const roleFunctions = `
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.create_role(role name, inherits boolean) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  EXECUTE format('CREATE ROLE %I NOLOGIN %s', role, CASE WHEN inherits THEN 'INHERIT' ELSE 'NOINHERIT' END);
  -- whoever makes a role may grant it, and is no member by that (createrole_self_grant)
  EXECUTE format('GRANT %I TO %I WITH ADMIN OPTION', role, ${acting})
    || CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN ', INHERIT FALSE, SET FALSE' ELSE '' END;
END
$function$;

DROP FUNCTION IF EXISTS ${OWN_SCHEMA}.drop_role(name);
CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.drop_role(role name, path text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  command CONSTANT text := format('DROP ROLE %I', role);
BEGIN
  IF NOT ${isLogicalRole('role')} OR NOT pg_has_role(${acting}, role, 'MEMBER WITH ADMIN OPTION') THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied to drop role';
  END IF;
  -- from here on no name is looked up: the path is for what the error names
  PERFORM set_config('search_path', path, true);
  EXECUTE command;
END
$function$;
`;
