/**
 * What Clarus itself keeps in a shadow database, carriers above all, is not the application's: queries of the system
 * catalogue read these views in place of its tables (sql/own-objects.ts).
 */
import { CARRIER_SERVER, OWN_SCHEMA } from './own-schema.js';

/** Relations of pg_catalog and information_schema that could show it, with what tells it apart. */
const filters: Readonly<Record<string, string>> = {
  'pg_catalog.pg_class': `relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
  'pg_catalog.pg_type': `typnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
  'pg_catalog.pg_proc': `pronamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
  'pg_catalog.pg_constraint': `connamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
  'pg_catalog.pg_namespace': `nspname <> '${OWN_SCHEMA}'`,
  'pg_catalog.pg_inherits': `NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = inhrelid AND c.relnamespace = '${OWN_SCHEMA}'::pg_catalog.regnamespace)`,
  'pg_catalog.pg_extension': `extnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace`,
  'pg_catalog.pg_foreign_data_wrapper': "fdwname <> 'postgres_fdw'",
  'pg_catalog.pg_foreign_server': `srvname <> '${CARRIER_SERVER}'`,
  'pg_catalog.pg_foreign_table': `ftserver <> (SELECT oid FROM pg_catalog.pg_foreign_server WHERE srvname = '${CARRIER_SERVER}')`,
  'pg_catalog.pg_user_mappings': `srvname <> '${CARRIER_SERVER}'`,
  'pg_catalog.pg_tables': `schemaname <> '${OWN_SCHEMA}'`,
  'pg_catalog.pg_views': `schemaname <> '${OWN_SCHEMA}'`,
  'information_schema.schemata': `schema_name <> '${OWN_SCHEMA}'`,
  'information_schema.tables': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.columns': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.views': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.routines': `specific_schema <> '${OWN_SCHEMA}'`,
  'information_schema.parameters': `specific_schema <> '${OWN_SCHEMA}'`,
  'information_schema.table_privileges': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.column_privileges': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.role_table_grants': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.role_column_grants': `table_schema <> '${OWN_SCHEMA}'`,
  'information_schema.routine_privileges': `specific_schema <> '${OWN_SCHEMA}'`,
  'information_schema.role_routine_grants': `specific_schema <> '${OWN_SCHEMA}'`,
};

const views: ReadonlySet<string> = new Set(['pg_tables', 'pg_views', 'pg_user_mappings']);

/** Columns that every table has and a view has not (PostgreSQL manual, section 5.6). */
export const systemColumns: readonly string[] = ['tableoid', 'xmin', 'cmin', 'xmax', 'cmax', 'ctid'];

/**
 * Name of the view that stands in for a relation; undefined: it shows nothing of ours.
 * @param withSystem one that has system columns beside the others
 */
export function catalogueView(schema: string, name: string, withSystem: boolean): string | undefined {
  if (!(`${schema}.${name}` in filters)) return undefined;
  return withSystem && !views.has(name) && schema === 'pg_catalog' ? `${name}_with_system_columns` : name;
}

const visibleChild = `EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class h ON h.oid = i.inhrelid
  WHERE i.inhparent = pg_class.oid AND h.relnamespace <> '${OWN_SCHEMA}'::pg_catalog.regnamespace)`;

/** DDL of the views; the columns are those of the server's version. */
export const catalogueViewsDdl = `DO $do$
DECLARE
  relation record;
  columns text;
BEGIN
  FOR relation IN SELECT * FROM (VALUES ${Object.entries(filters)
    .map(([name, filter]) => {
      const [schema, relation] = name.split('.');
      return `('${schema}', '${relation}', $filter$${filter}$filter$)`;
    })
    .join(', ')}) AS r (schema, name, filter) LOOP
    SELECT string_agg(CASE WHEN relation.name = 'pg_class' AND attname = 'relhassubclass'
        THEN $child$${visibleChild} AS relhassubclass$child$ ELSE quote_ident(attname) END, ', ' ORDER BY attnum)
      INTO columns
      FROM pg_catalog.pg_attribute
     WHERE attrelid = format('%I.%I', relation.schema, relation.name)::regclass AND attnum > 0 AND NOT attisdropped;
    EXECUTE format('CREATE OR REPLACE VIEW ${OWN_SCHEMA}.%I AS SELECT %s FROM %I.%I WHERE %s',
      relation.name, columns, relation.schema, relation.name, relation.filter);
    EXECUTE format('GRANT SELECT ON ${OWN_SCHEMA}.%I TO PUBLIC', relation.name);
    CONTINUE WHEN relation.schema <> 'pg_catalog' OR relation.name IN (${[...views].map(name => `'${name}'`).join(', ')});
    EXECUTE format('CREATE OR REPLACE VIEW ${OWN_SCHEMA}.%I AS SELECT %s, ${systemColumns.join(', ')} FROM %I.%I WHERE %s',
      relation.name || '_with_system_columns', columns, relation.schema, relation.name, relation.filter);
    EXECUTE format('GRANT SELECT ON ${OWN_SCHEMA}.%I TO PUBLIC', relation.name || '_with_system_columns');
  END LOOP;
END
$do$`;
