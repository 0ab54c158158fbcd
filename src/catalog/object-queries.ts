/**
 * Queries that describe what is not a table, one JSON row an object, in an order in which most can be made:
 * schemas, extensions, types, sequences, functions, views, triggers, rules. Run with an empty search_path.
 */

/** Schema of Clarus' own helper objects in a cloud: not part of what is described. */
export const HELPER_SCHEMA = 'clarus';

/** Condition on a row of pg_namespace: a schema of users. */
export const users = (namespace: string): string =>
  `${namespace}.nspname NOT IN ('pg_catalog', 'information_schema', '${HELPER_SCHEMA}') AND ${namespace}.nspname !~ '^pg_(toast|temp)'`;

/** Condition: the object is not part of an extension. */
export const ownObject = (catalogue: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

const row = (fields: {
  kind: string;
  oid: string;
  schema?: string;
  identity: string;
  ddl?: string;
  reason?: string;
  table?: string;
}): string =>
  `SELECT jsonb_build_object('kind', ${fields.kind}, 'oid', ${fields.oid}::int8, 'schema', ${fields.schema ?? "''"},
   'identity', ${fields.identity}, 'ddl', ${fields.ddl ?? 'NULL'}, 'reason', ${fields.reason ?? 'NULL::text'},
   'table', ${fields.table ?? '0'}::int8)::text`;

const schemas = `${row({ kind: "'schema'", oid: 'n.oid', identity: 'quote_ident(n.nspname)', ddl: "format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname)" })}
FROM pg_namespace n WHERE ${users('n')} AND ${ownObject('pg_namespace', 'n.oid')} ORDER BY n.oid`;

const extensions = `${row({ kind: "'extension'", oid: 'x.oid', schema: 'n.nspname', identity: 'quote_ident(x.extname)', ddl: "format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I', x.extname, n.nspname)" })}
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.extname <> 'plpgsql' ORDER BY x.oid`;

/** Enums, domains, ranges and composite types. */
export const typeDefinitions = `${row({
  kind: "CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'composite' END",
  oid: 't.oid',
  schema: 'n.nspname',
  identity: "format('%I.%I', n.nspname, t.typname)",
  ddl: `CASE t.typtype
    WHEN 'e' THEN format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname,
      (SELECT string_agg(quote_literal(v.enumlabel), ', ' ORDER BY v.enumsortorder) FROM pg_enum v WHERE v.enumtypid = t.oid))
    WHEN 'd' THEN format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod))
      || coalesce((SELECT format(' COLLATE %I.%I', ln.nspname, l.collname) FROM pg_collation l
           JOIN pg_namespace ln ON ln.oid = l.collnamespace JOIN pg_type b ON b.oid = t.typbasetype
           WHERE l.oid = t.typcollation AND b.typcollation <> t.typcollation), '')
      || coalesce(' DEFAULT ' || t.typdefault, '') || CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END
      || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', k.conname, regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')), '' ORDER BY k.oid)
           FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'), '')
    WHEN 'c' THEN format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname,
      (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
       FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
    WHEN 'r' THEN (SELECT format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s, MULTIRANGE_TYPE_NAME = %I.%I%s)', n.nspname, t.typname,
         format_type(r.rngsubtype, NULL), mn.nspname, m.typname,
         (SELECT format(', COLLATION = %I.%I', ln.nspname, l.collname) FROM pg_collation l
            JOIN pg_namespace ln ON ln.oid = l.collnamespace JOIN pg_type b ON b.oid = r.rngsubtype
           WHERE l.oid = r.rngcollation AND b.typcollation <> r.rngcollation))
       FROM pg_range r JOIN pg_type m ON m.oid = r.rngmultitypid JOIN pg_namespace mn ON mn.oid = m.typnamespace
      WHERE r.rngtypid = t.oid AND r.rngcanonical = 0 AND r.rngsubdiff = 0)
    END`,
  reason: "CASE WHEN t.typtype = 'r' THEN 'a range type with functions of its own' END",
})}
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')) AND ${users('n')} AND ${ownObject('pg_type', 't.oid')}
ORDER BY t.oid`;

const sequences = `${row({
  kind: "'sequence'",
  oid: 's.seqrelid',
  schema: 'n.nspname',
  identity: "format('%I.%I', n.nspname, c.relname)",
  ddl: `format('CREATE SEQUENCE %I.%I AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s %s', n.nspname, c.relname,
    format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)`,
})}
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE ${users('n')} AND ${ownObject('pg_class', 'c.oid')}
  AND NOT EXISTS (SELECT FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid AND o.deptype IN ('a', 'i'))
ORDER BY c.oid`;

const functions = `${row({
  kind: "'function'",
  oid: 'p.oid',
  schema: 'n.nspname',
  identity: "format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))",
  ddl: "CASE WHEN p.prokind IN ('f', 'p', 'w') AND l.lanname NOT IN ('c', 'internal') THEN pg_get_functiondef(p.oid) END",
  reason:
    "CASE WHEN p.prokind = 'a' THEN 'an aggregate' WHEN l.lanname IN ('c', 'internal') THEN 'written in ' || l.lanname END",
})}
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE ${users('n')} AND ${ownObject('pg_proc', 'p.oid')}
  AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')
ORDER BY p.oid`;

const views = `${row({
  kind: "'view'",
  oid: 'c.oid',
  schema: 'n.nspname',
  identity: "format('%I.%I', n.nspname, c.relname)",
  ddl: `format('CREATE VIEW %I.%I (%s)%s AS %s', n.nspname, c.relname,
    (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
    coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', ''), pg_get_viewdef(c.oid))`,
})}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND ${users('n')} AND ${ownObject('pg_class', 'c.oid')} ORDER BY c.oid`;

const triggers = `${row({
  kind: "'trigger'",
  oid: 't.oid',
  schema: 'n.nspname',
  identity: "format('%I ON %I.%I', t.tgname, n.nspname, c.relname)",
  ddl: 'pg_get_triggerdef(t.oid)',
  table: 'c.oid',
})}
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND ${users('n')}
  AND NOT EXISTS (SELECT FROM pg_proc f JOIN pg_namespace fn ON fn.oid = f.pronamespace WHERE f.oid = t.tgfoid AND fn.nspname = '${HELPER_SCHEMA}') AND ${ownObject('pg_class', 'c.oid')} ORDER BY t.oid`;

const rules = `${row({
  kind: "'rule'",
  oid: 'r.oid',
  schema: 'n.nspname',
  identity: "format('%I ON %I.%I', r.rulename, n.nspname, c.relname)",
  ddl: 'pg_get_ruledef(r.oid)',
  table: 'c.oid',
})}
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND ${users('n')} AND ${ownObject('pg_class', 'c.oid')} ORDER BY r.oid`;

/** In the order in which objects are made again. */
export const objectQueries: readonly string[] = [
  schemas,
  extensions,
  typeDefinitions,
  sequences,
  functions,
  views,
  triggers,
  rules,
];
