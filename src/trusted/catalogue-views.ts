/**
 * What Clarus itself keeps in a shadow database, carriers above all, is not the application's: queries of the system
 * catalogue read these views in place of its tables (sql/own-objects.ts).
 */
import { estimateColumns, figuresDdl, figureViews, withFigures } from './figures.js';
import { CARRIER_SERVER, OWN_SCHEMA } from './own-schema.js';
import { isLogicalRole, ownSettings, SUPERUSERS, toldAttributes } from './roles.js';
import { STATE_DATABASE } from './shadow.js';

const ownSchema = `'${OWN_SCHEMA}'::pg_catalog.regnamespace`;
const ownRelations = `(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = ${ownSchema})`;
const ownObjects = `(SELECT classid, objid FROM ${OWN_SCHEMA}.own_objects)`;

const superusers = `(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = '${SUPERUSERS}')`;

/** Relations of pg_catalog that could show it, with what tells it apart. */
const system: Readonly<Record<string, string>> = {
  pg_class: `relnamespace <> ${ownSchema}`,
  pg_attribute: `attrelid NOT IN ${ownRelations}`,
  pg_database: `datname <> '${STATE_DATABASE}'`,
  pg_type: `typnamespace <> ${ownSchema}`,
  pg_proc: `pronamespace <> ${ownSchema}`,
  pg_constraint: `connamespace <> ${ownSchema}`,
  pg_namespace: `nspname <> '${OWN_SCHEMA}'`,
  pg_inherits: `inhrelid NOT IN ${ownRelations}`,
  pg_rewrite: `ev_class NOT IN ${ownRelations}`,
  pg_extension: `extnamespace <> ${ownSchema}`,
  pg_foreign_data_wrapper: "fdwname <> 'postgres_fdw'",
  pg_foreign_server: `srvname <> '${CARRIER_SERVER}'`,
  pg_foreign_table: `ftserver <> (SELECT oid FROM pg_catalog.pg_foreign_server WHERE srvname = '${CARRIER_SERVER}')`,
  pg_depend: `(classid, objid) NOT IN ${ownObjects} AND (refclassid, refobjid) NOT IN ${ownObjects}`,
  pg_shdepend: `(classid, objid) NOT IN ${ownObjects} AND refobjid <> ${superusers}`,
  pg_description: `(classoid, objoid) NOT IN ${ownObjects}`,
  pg_init_privs: `(classoid, objoid) NOT IN ${ownObjects}`,
  pg_user_mappings: `srvname <> '${CARRIER_SERVER}'`,
  pg_tables: `schemaname <> '${OWN_SCHEMA}'`,
  pg_indexes: `schemaname <> '${OWN_SCHEMA}'`,
  pg_views: `schemaname <> '${OWN_SCHEMA}'`,
  pg_matviews: `schemaname <> '${OWN_SCHEMA}'`,
  pg_db_role_setting: `${ownSettings} IS NOT NULL`,
  pg_auth_members: `${superusers} NOT IN (member, roleid)`,
  // the first superuser owns every parameter
  pg_parameter_acl: `EXISTS (SELECT FROM pg_catalog.aclexplode(paracl) WHERE grantee NOT IN (10, ${superusers}))`,
  pg_roles: 'true',
  pg_shadow: 'true',
  pg_user: 'true',
  pg_group: 'true',
  ...Object.fromEntries(figureViews.map(name => [name, 'true'])),
};

/** Those of information_schema by the column that tells it apart. */
const standard: Readonly<Record<string, string>> = {
  schemata: 'schema_name',
  ...Object.fromEntries(
    [
      'tables',
      'columns',
      'views',
      'table_privileges',
      'column_privileges',
      'role_table_grants',
      'role_column_grants',
      'table_constraints',
      'key_column_usage',
      'constraint_column_usage',
      'constraint_table_usage',
      'column_column_usage',
      'column_domain_usage',
      'column_options',
      'column_udt_usage',
    ].map(name => [name, 'table_schema']),
  ),
  ...Object.fromEntries(
    ['routines', 'parameters', 'routine_privileges', 'role_routine_grants'].map(name => [
      name,
      'specific_schema',
    ]),
  ),
  check_constraints: 'constraint_schema',
  data_type_privileges: 'object_schema',
  element_types: 'object_schema',
  udt_privileges: 'udt_schema',
  view_column_usage: 'view_schema',
  view_table_usage: 'view_schema',
  view_routine_usage: 'table_schema',
};
/** What is ours there has names of other kinds. */
const ownNames: Readonly<Record<string, string>> = {
  foreign_data_wrappers: "foreign_data_wrapper_name <> 'postgres_fdw'",
  foreign_data_wrapper_options: "foreign_data_wrapper_name <> 'postgres_fdw'",
  foreign_tables: `foreign_server_name <> '${CARRIER_SERVER}'`,
  foreign_table_options: `(foreign_table_schema, foreign_table_name) NOT IN (SELECT t.foreign_table_schema, t.foreign_table_name FROM information_schema.foreign_tables t WHERE t.foreign_server_name = '${CARRIER_SERVER}')`,
  foreign_servers: `foreign_server_name <> '${CARRIER_SERVER}'`,
  foreign_server_options: `foreign_server_name <> '${CARRIER_SERVER}'`,
  user_mappings: `foreign_server_name <> '${CARRIER_SERVER}'`,
  user_mapping_options: `foreign_server_name <> '${CARRIER_SERVER}'`,
  enabled_roles: `role_name <> '${SUPERUSERS}'`,
  applicable_roles: `'${SUPERUSERS}' NOT IN (grantee, role_name)`,
  administrable_role_authorizations: `'${SUPERUSERS}' NOT IN (grantee, role_name)`,
  usage_privileges: `object_schema <> '${OWN_SCHEMA}' AND object_name NOT IN ('postgres_fdw', '${CARRIER_SERVER}')`,
};

const within = (schema: string, filters: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(filters).map(([name, filter]) => [`${schema}.${name}`, filter]);

/** Last values live where the sequence does: a statement that asks for them is refused, and finds no view. */
const sequencesDdl = `CREATE OR REPLACE VIEW ${OWN_SCHEMA}.pg_sequences AS
  SELECT n.nspname AS schemaname, c.relname AS sequencename, pg_catalog.pg_get_userbyid(c.relowner) AS sequenceowner,
    s.seqtypid::pg_catalog.regtype AS data_type, s.seqstart AS start_value, s.seqmin AS min_value, s.seqmax AS max_value,
    s.seqincrement AS increment_by, s.seqcycle AS cycle, s.seqcache AS cache_size
  FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE NOT pg_catalog.pg_is_other_temp_schema(n.oid);
GRANT SELECT ON ${OWN_SCHEMA}.pg_sequences TO PUBLIC`;

const told = (name: string): string => `'${name}' = ANY (${toldAttributes('pg_authid.oid')})`;

/**
 * Roles with the attributes that the application was told, and of those of users no password. In PostgreSQL superusers alone may read
 * it: here those whose cloud user is one.
 */
const rolesDdl = (name: string, more: string): string => `CREATE OR REPLACE VIEW ${OWN_SCHEMA}.${name} AS
  SELECT oid, rolname, rolsuper OR ${told('superuser')} OR pg_catalog.pg_has_role(oid, '${SUPERUSERS}', 'MEMBER') AS rolsuper,
    rolinherit, rolcreaterole OR ${told('createrole')} AS rolcreaterole, rolcreatedb OR ${told('createdb')} AS rolcreatedb,
    rolcanlogin OR ${told('canlogin')} AS rolcanlogin, rolreplication OR ${told('isreplication')} AS rolreplication,
    rolbypassrls, rolconnlimit, 
    CASE WHEN ${isLogicalRole('pg_authid.rolname')} THEN rolpassword END AS rolpassword, rolvaliduntil${more}
  FROM pg_catalog.pg_authid WHERE rolname <> '${SUPERUSERS}';
GRANT SELECT ON ${OWN_SCHEMA}.${name} TO ${SUPERUSERS}`;

const filters: Readonly<Record<string, string>> = Object.fromEntries([
  ...within('pg_catalog', system),
  ...within('information_schema', ownNames),
  ...within('information_schema', standard).map(([name, column]) => [name, `${column} <> '${OWN_SCHEMA}'`]),
]);

const views: ReadonlySet<string> = new Set([
  'pg_tables',
  'pg_indexes',
  'pg_views',
  'pg_matviews',
  'pg_user_mappings',
  'pg_sequences',
  'pg_roles',
  'pg_shadow',
  'pg_user',
  'pg_group',
  ...figureViews,
]);

/** Views that are written out here. */
const written: ReadonlySet<string> = new Set(['pg_catalog.pg_sequences', 'pg_catalog.pg_authid']);
/** What only superusers may read, of either kind. */
export const ofSuperusers: readonly string[] = ['pg_authid', 'pg_authid_with_system_columns', 'pg_shadow'];

/** Columns that every table has and a view has not (PostgreSQL manual, section 5.6). */
export const systemColumns: readonly string[] = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];

/**
 * Name of the view that stands in for a relation; undefined: it shows nothing of ours.
 * @param withSystem one that has system columns beside the others
 */
export function catalogueView(schema: string, name: string, withSystem: boolean): string | undefined {
  const full = `${schema}.${name}`;
  if (!(full in filters) && !written.has(full)) return undefined;
  return withSystem && !views.has(name) && schema === 'pg_catalog' ? `${name}_with_system_columns` : name;
}

const visibleChild = `EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class h ON h.oid = i.inhrelid
  WHERE i.inhparent = pg_class.oid AND h.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace)`;

const isCarried = "(relkind = 'f' AND relam <> 0)";

const hasRule = (which: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = pg_class.oid ${which})`;

/** Columns that a view gives in another way. */
const changed: Readonly<Record<string, string>> = {
  relhassubclass: `${visibleChild} AS relhassubclass`,
  // what is put aside while a table's rows are carried (carriers.ts)
  relkind: `CASE WHEN NOT ${isCarried} THEN relkind WHEN ${hasRule("AND rulename = '_RETURN'")} THEN 'm'::pg_catalog."char" ELSE 'r'::pg_catalog."char" END AS relkind`,
  relhasrules: `(relhasrules OR ${isCarried} AND ${hasRule('')}) AS relhasrules`,
  relhasindex: `(relhasindex OR ${isCarried} AND EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = pg_class.oid)) AS relhasindex`,
  relhastriggers: `(relhastriggers OR ${isCarried} AND EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = pg_class.oid)) AS relhastriggers`,
  setconfig: `${ownSettings} AS setconfig`,
  paracl: `ARRAY(SELECT item FROM pg_catalog.unnest(paracl) AS item WHERE item::text NOT LIKE '${SUPERUSERS}=%') AS paracl`,
  // a view can have no column of type anyarray
  attmissingval: 'attmissingval::pg_catalog.text',
};

/** OIDs of what stands in our schema, and of what makes carriers, by catalogue. */
const ownObjectsDdl = `CREATE OR REPLACE VIEW ${OWN_SCHEMA}.own_objects AS
  ${[
    ['pg_class', `relnamespace = ${ownSchema}`],
    ['pg_type', `typnamespace = ${ownSchema}`],
    ['pg_proc', `pronamespace = ${ownSchema}`],
    ['pg_constraint', `connamespace = ${ownSchema}`],
    ['pg_namespace', `oid = ${ownSchema}`],
    ['pg_rewrite', `ev_class IN ${ownRelations}`],
    ['pg_extension', `extnamespace = ${ownSchema}`],
    ['pg_foreign_data_wrapper', "fdwname = 'postgres_fdw'"],
    ['pg_foreign_server', `srvname = '${CARRIER_SERVER}'`],
  ]
    .map(
      ([name, filter]) =>
        `SELECT 'pg_catalog.${name}'::pg_catalog.regclass::pg_catalog.oid AS classid, oid AS objid FROM pg_catalog.${name} WHERE ${filter}`,
    )
    .join(' UNION ALL ')};
GRANT SELECT ON ${OWN_SCHEMA}.own_objects TO PUBLIC`;

/** What a superuser of the cloud may change in pg_class: estimates by which the planner goes, and nothing else. */
export const settable: readonly string[] = ['reltuples', 'relpages', 'relallvisible'];
/** The view of pg_class in which that is changed: it shows what has been set, where pg_class itself shows what the cloud says. */
export const OWN_ESTIMATES = 'pg_class_with_own_estimates';

/** How a column is given, by its name. */
const columnCase = (given: Readonly<Record<string, string>>): string =>
  `CASE attname ${Object.entries(given)
    .map(([name, column]) => `WHEN '${name}' THEN $column$${column}$column$`)
    .join(' ')} ELSE quote_ident(attname) END`;

/** DDL of the views; the columns are those of the server's version. */
export const catalogueViewsDdl = `${ownObjectsDdl}; ${figuresDdl}; ${sequencesDdl};
${rolesDdl('pg_authid', '')}; ${rolesDdl('pg_authid_with_system_columns', `, ${systemColumns.join(', ')}`)}; DO $do$
DECLARE
  relation record;
  columns text;
  plain text;
  source text;
BEGIN
  FOR relation IN SELECT * FROM (VALUES ${Object.entries(filters)
    .map(([name, filter]) => {
      const [schema, relation] = name.split('.');
      return `('${schema}', '${relation}', $filter$${filter}$filter$)`;
    })
    .join(', ')}) AS r (schema, name, filter) LOOP
    -- an earlier version of the server has not all of them
    CONTINUE WHEN pg_catalog.to_regclass(format('%I.%I', relation.schema, relation.name)) IS NULL;
    SELECT string_agg(${columnCase({ ...changed, ...estimateColumns })}, ', ' ORDER BY attnum),
           string_agg(${columnCase(changed)}, ', ' ORDER BY attnum)
      INTO columns, plain
      FROM pg_catalog.pg_attribute
     WHERE attrelid = format('%I.%I', relation.schema, relation.name)::regclass AND attnum > 0 AND NOT attisdropped;
    -- a view of the server's reads what we change through ours
    source := format('%I.%I', relation.schema, relation.name);
    IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = source::regclass) = 'v' THEN
      source := format('(%s) AS %I', rtrim(regexp_replace(${withFigures('pg_catalog.pg_get_viewdef(source::regclass)')},
        $re$(?<!')\\m(pg_class|pg_authid|pg_auth_members|pg_db_role_setting|pg_shadow|${figureViews.filter(name => /_all_/.test(name)).join('|')})\\M(?!')(?!\\.)$re$, '${OWN_SCHEMA}.\\1', 'g'), ';'), relation.name);
    END IF;
    EXECUTE format('CREATE OR REPLACE VIEW ${OWN_SCHEMA}.%I AS SELECT %s FROM %s WHERE %s',
      relation.name, columns, source, relation.filter);
    IF relation.name = 'pg_class' THEN
      EXECUTE format('CREATE OR REPLACE VIEW ${OWN_SCHEMA}.${OWN_ESTIMATES} AS SELECT %s FROM %s WHERE %s', plain, source, relation.filter);
      GRANT SELECT ON ${OWN_SCHEMA}.${OWN_ESTIMATES} TO PUBLIC;
    END IF;
    EXECUTE format('GRANT SELECT ON ${OWN_SCHEMA}.%I TO %s', relation.name,
      CASE relation.name WHEN 'pg_shadow' THEN '${SUPERUSERS}' ELSE 'PUBLIC' END);
    CONTINUE WHEN relation.schema <> 'pg_catalog' OR relation.name IN (${[...views].map(name => `'${name}'`).join(', ')});
    EXECUTE format('CREATE OR REPLACE VIEW ${OWN_SCHEMA}.%I AS SELECT %s, ${systemColumns.join(', ')} FROM %I.%I WHERE %s',
      relation.name || '_with_system_columns', columns, relation.schema, relation.name, relation.filter);
    EXECUTE format('GRANT SELECT ON ${OWN_SCHEMA}.%I TO PUBLIC', relation.name || '_with_system_columns');
  END LOOP;
  GRANT UPDATE (${settable.join(', ')}) ON ${OWN_SCHEMA}.${OWN_ESTIMATES} TO ${SUPERUSERS};
END
$do$`;
