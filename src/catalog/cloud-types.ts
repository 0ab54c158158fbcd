/**
 * User-defined types in a cloud. Labels of enums, checks and defaults of domains are literals that could hold protected
 * values: they stand in the shadow, and in a cloud only while something there needs the type.
 */
import type { DescribedObject } from './description.js';
import { typeDefinitions } from './object-queries.js';
import { quoteQualified } from './quote.js';
import { oidArray, type Reader, readJson, type SchemaConnection, textArray } from './reader.js';

/** What a type `t` is made of: its base, element, fields and subtype, and what defaults and checks of a domain name. */
const madeOf = `(
    SELECT t.typbasetype AS oid UNION ALL SELECT t.typelem
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid
    UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d
      WHERE t.typtype = 'd' AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid <> t.oid
        AND ((d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid)
          OR (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
            AND d.objid IN (SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid))))`;

/** Types of which others are made are further down. */
const closure = `
WITH RECURSIVE parts (oid, depth) AS (
  SELECT u.oid, 0 FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
  UNION
  SELECT x.oid, parts.depth + 1 FROM parts JOIN pg_catalog.pg_type t ON t.oid = parts.oid, LATERAL ${madeOf} x
   WHERE x.oid >= 16384 AND parts.depth < 100)
SELECT oid::pg_catalog.text FROM parts GROUP BY oid ORDER BY pg_catalog.max(depth) DESC, oid`;

/** Rights on a type where they are not those that it is made with, for roles that a cloud may have (trusted/roles.ts). */
const rightsOf = `
SELECT CASE WHEN NOT g.granted THEN 'REVOKE ALL ON TYPE ' || $1::pg_catalog.text || ' FROM PUBLIC'
    ELSE pg_catalog.format('GRANT USAGE ON TYPE %s TO %I', $1::pg_catalog.text, r.rolname) END
  FROM pg_catalog.pg_type t, LATERAL (
    SELECT false AS granted, 0::pg_catalog.oid AS grantee
     WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(t.typacl) a WHERE a.grantee = 0)
    UNION ALL SELECT true, a.grantee FROM pg_catalog.aclexplode(t.typacl) a WHERE a.grantee NOT IN (0, t.typowner)) g
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee AND r.rolcanlogin
 WHERE t.oid = $2::pg_catalog.oid AND t.typacl IS NOT NULL AND (NOT g.granted OR r.oid IS NOT NULL)
 ORDER BY g.granted`;

/**
 * DDL of types that a cloud lacks, and of those that they are made of, in the order in which they can be made.
 * @param shadow reads with search_path empty
 * @param oids types of users in the shadow
 */
export async function missingTypes(
  shadow: Reader,
  cloud: Reader,
  oids: Iterable<number>,
): Promise<readonly string[]> {
  const wanted = new Set([...oids].filter(oid => oid > 0));
  if (wanted.size === 0) return [];
  const parts = (await shadow(closure, [oidArray(wanted)])).map(row => Number(row[0]));
  const all = await readJson<DescribedObject>(shadow, typeDefinitions);
  const statements: string[] = [];
  for (const part of parts) {
    const found = all.find(({ oid }) => oid === part);
    if (!found || found.ddl === null) continue;
    const [row] = await cloud('SELECT pg_catalog.to_regtype($1)::text', [found.identity]);
    if (row?.[0] != null) continue;
    statements.push(found.ddl);
    for (const [right] of await shadow(rightsOf, [found.identity, String(part)])) statements.push(right!);
  }
  return statements;
}

/** Types that hold values of others, and these. */
const users = `
WITH RECURSIVE edges (whole, part) AS MATERIALIZED (
  SELECT t.oid, x.oid FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid, LATERAL ${madeOf} x
   WHERE t.oid >= 16384 AND coalesce(c.relkind, 'c') = 'c' AND x.oid >= 16384
), users (oid) AS (
  SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
  UNION SELECT edges.whole FROM users JOIN edges ON edges.part = users.oid)
SELECT t.oid::pg_catalog.text, n.nspname::pg_catalog.text, t.typname::pg_catalog.text
  FROM users u JOIN pg_catalog.pg_type t ON t.oid = u.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
 WHERE t.typtype IN ('e', 'd', 'r', 'm') OR t.typelem <> 0 OR c.relkind = 'c'`;

/** Nothing depends on a type that may be dropped, its arrays, multirange and row, and no function's body may mean it. */
const unneeded = `
SELECT n.nspname::pg_catalog.text, t.typname::pg_catalog.text, (t.typtype = 'd')::pg_catalog.text
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) u (schema, name)
  JOIN pg_catalog.pg_namespace n ON n.nspname = u.schema
  JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname = u.name
  LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_catalog.pg_type m ON m.oid = r.rngmultitypid
  CROSS JOIN LATERAL (SELECT ARRAY[t.oid, t.typarray, m.oid, m.typarray] AS types) own
 WHERE pg_catalog.pg_has_role(t.typowner, 'USAGE') AND (t.typtype IN ('e', 'd', 'r')
     OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
     WHERE e.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND e.objid = t.oid AND e.deptype = 'e')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
     WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = ANY (own.types)
       AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = ANY (own.types))
       AND NOT (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.typrelid)
       AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
         AND d.objid IN (SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid))
       AND NOT (d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.deptype = 'i'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
     WHERE t.typrelid <> 0 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = t.typrelid
       AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p
     WHERE p.oid >= 16384 AND pg_catalog.strpos(pg_catalog.lower(p.prosrc), pg_catalog.lower(t.typname)) > 0)`;

/** A type of users, its name unquoted. */
export interface NamedType {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

/**
 * Types, with all that hold values of them.
 * @param oids types of users in the shadow
 */
export async function typesAround(shadow: Reader, oids: Iterable<number>): Promise<readonly NamedType[]> {
  const own = [...oids].filter(oid => oid > 0);
  if (own.length === 0) return [];
  const rows = await shadow(users, [oidArray(own)]);
  return rows.map(([oid, schema, name]) => ({ oid: Number(oid), schema: schema!, name: name! }));
}

/** DDL that drops those of the types that nothing in a cloud needs. Others may need none any more when it has run. */
export async function unneededTypes(
  cloud: Reader,
  types: readonly Pick<NamedType, 'schema' | 'name'>[],
): Promise<readonly string[]> {
  if (types.length === 0) return [];
  const names = [types.map(({ schema }) => schema), types.map(({ name }) => name)].map(textArray);
  const rows = await cloud(unneeded, names);
  return rows.map(
    ([schema, name, isDomain]) =>
      `DROP ${isDomain === 'true' ? 'DOMAIN' : 'TYPE'} ${quoteQualified(schema!, name!)} RESTRICT`,
  );
}

/** Drops from a cloud those of the types that nothing there needs: labels, checks and defaults go with them. */
export async function dropUnneeded(cloud: SchemaConnection, types: readonly NamedType[]): Promise<void> {
  for (;;) {
    const ddl = await unneededTypes(cloud.read, types);
    if (ddl.length === 0) return;
    for (const sql of ddl) await cloud.run(sql);
  }
}
