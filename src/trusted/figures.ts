/**
 * Figures of relations that the cloud alone knows, sizes and statistics, in queries of the system catalogue. The trusted side has no
 * rows: what the cloud says (sql/figures.ts) stands in a setting while such a query runs, by OIDs of the trusted side, and
 * functions read it there that are called in place of the server's.
 */
import { OWN_SCHEMA } from './own-schema.js';

/** Holds the figures: `{ "<oid>": { "<function>": value, "pg_class": { "<column>": value } } }`. */
export const FIGURES_SETTING = `${OWN_SCHEMA}.figures`;

/** What was said of relations, evaluated once a query. */
export const figuresTold = `(SELECT told FROM ${OWN_SCHEMA}.figures)`;

/** Told in place of the size of a relation that another session has locked, which PostgreSQL would wait for. */
export const SIZE_UNKNOWN = -1;

/** Functions of regclass; pg_relation_size tells of each fork. */
export const sizeFunctions: readonly string[] = [
  'pg_relation_size',
  'pg_table_size',
  'pg_indexes_size',
  'pg_total_relation_size',
];
/** of a database */
export const DATABASE_SIZE = 'pg_database_size';

/** Of one relation; the number is the major version that has brought it (pg_proc.dat). */
export const statisticFunctions: ReadonlyMap<string, number> = new Map(
  [
    ['numscans', 'tuples_returned', 'tuples_fetched', 'tuples_inserted', 'tuples_updated', 'tuples_deleted'],
    ['tuples_hot_updated', 'blocks_fetched', 'blocks_hit'],
  ]
    .flat()
    .flatMap((name): [string, number][] => [
      [`pg_stat_get_${name}`, 14],
      [`pg_stat_get_xact_${name}`, 14],
    ])
    .concat(
      [
        ['live_tuples', 'dead_tuples', 'mod_since_analyze', 'ins_since_vacuum'],
        ['vacuum', 'autovacuum', 'analyze', 'autoanalyze'].flatMap(work => [
          `last_${work}_time`,
          `${work}_count`,
        ]),
      ]
        .flat()
        .map((name): [string, number] => [`pg_stat_get_${name}`, 14]),
      ['lastscan', 'tuples_newpage_updated', 'xact_tuples_newpage_updated'].map((name): [string, number] => [
        `pg_stat_get_${name}`,
        16,
      ]),
      ['vacuum', 'autovacuum', 'analyze', 'autoanalyze'].map((work): [string, number] => [
        `pg_stat_get_total_${work}_time`,
        18,
      ]),
    ),
);

/** Functions of the server in whose place others are called. */
export const figureFunctions: ReadonlySet<string> = new Set([
  ...sizeFunctions,
  DATABASE_SIZE,
  ...statisticFunctions.keys(),
]);

/** Does a function tell a time, which there may be none of, and not a number? */
export const tellsTime = (name: string): boolean => /_last/.test(name);

/** Columns of pg_class that are figures, by the major version that has brought them, with their types. */
export const estimates: ReadonlyMap<string, { readonly since: number; readonly type: string }> = new Map([
  ['relpages', { since: 14, type: 'integer' }],
  ['reltuples', { since: 14, type: 'real' }],
  ['relallvisible', { since: 14, type: 'integer' }],
  ['relallfrozen', { since: 18, type: 'integer' }],
]);

/** Views of pg_catalog over such functions; those that others read come first. */
export const figureViews: readonly string[] = ['all', 'sys', 'user'].flatMap(whose => [
  `pg_stat_${whose}_tables`,
  `pg_stat_xact_${whose}_tables`,
  `pg_stat_${whose}_indexes`,
  `pg_statio_${whose}_tables`,
  `pg_statio_${whose}_indexes`,
  `pg_statio_${whose}_sequences`,
]);

/**
 * What stands in the view of pg_class for a column that is a figure. Tables here have no rows, and so estimates above 0 only where a
 * superuser of the application has set them; an empty index has pages.
 */
export const estimateColumns: Readonly<Record<string, string>> = Object.fromEntries(
  [...estimates].map(([name, { type }]) => [
    name,
    `CASE WHEN ${name} > 0 AND relkind NOT IN ('i', 'I', 'S') THEN ${name}
      ELSE coalesce((${figuresTold} #>> ARRAY[oid::pg_catalog.text, 'pg_class', '${name}'])::${type}, ${name}) END AS ${name}`,
  ]),
);

/** In the text of a view of the server's, calls of functions in place of its own. @param source an SQL expression */
export const withFigures = (source: string): string =>
  `regexp_replace(${source}, $re$\\m(?:pg_catalog\\.)?(${[...statisticFunctions.keys()].join('|')})\\($re$, $to$${OWN_SCHEMA}.\\1(${figuresTold}, $to$, 'g')`;

const sizeDdl = (name: string, parameters: string, given: string, path: string): string =>
  `CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.${name}(told pg_catalog.jsonb, relation pg_catalog.regclass${parameters}) RETURNS bigint LANGUAGE sql
  RETURN nullif(coalesce((told #>> ARRAY[relation::pg_catalog.oid::pg_catalog.text, '${name}'${path}])::bigint, pg_catalog.${name}(relation${given})), ${SIZE_UNKNOWN})`;

const databaseDdl = (type: string, key: string): string =>
  `CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.${DATABASE_SIZE}(told pg_catalog.jsonb, database ${type}) RETURNS bigint LANGUAGE sql
  RETURN coalesce(CASE WHEN database = ${key} THEN (told #>> ARRAY['database', '${DATABASE_SIZE}'])::bigint END, pg_catalog.${DATABASE_SIZE}(database))`;

/** DDL of the functions, those of the server's version. */
export const figuresDdl = `CREATE OR REPLACE VIEW ${OWN_SCHEMA}.figures AS
  SELECT nullif(pg_catalog.current_setting('${FIGURES_SETTING}', true), '')::pg_catalog.jsonb AS told;
GRANT SELECT ON ${OWN_SCHEMA}.figures TO PUBLIC;
${sizeFunctions.map(name => sizeDdl(name, '', '', name === 'pg_relation_size' ? ", 'main'" : '')).join(';\n')};
${sizeDdl('pg_relation_size', ', fork pg_catalog.text', ', fork', ', fork')};
${databaseDdl('pg_catalog.name', 'pg_catalog.current_database()')};
${databaseDdl(
  'pg_catalog.oid',
  '(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())',
)};
DO $do$
DECLARE
  statistic record;
BEGIN
  FOR statistic IN SELECT proname, pg_catalog.format_type(prorettype, NULL) AS type FROM pg_catalog.pg_proc
    WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND proargtypes = '26'
      AND proname IN (${[...statisticFunctions.keys()].map(name => `'${name}'`).join(', ')}) LOOP
    EXECUTE format('CREATE OR REPLACE FUNCTION ${OWN_SCHEMA}.%I(told pg_catalog.jsonb, relation pg_catalog.oid) RETURNS %s LANGUAGE sql STABLE
      RETURN (told #>> ARRAY[relation::pg_catalog.text, %L])::%s', statistic.proname, statistic.type, statistic.proname, statistic.type);
  END LOOP;
END
$do$`;
