/**
 * User-defined types in a cloud. Labels of enums and checks of domains are literals that could hold protected
 * values: they stand in the shadow, and reach a cloud only when an unprotected column of that type does.
 */
import type { DescribedColumn, DescribedObject } from '../../catalog/description.js';
import { typeDefinitions } from '../../catalog/object-queries.js';
import { oidArray, type Reader, readJson } from '../../catalog/reader.js';

/** The types that a type is made of, itself included; innermost first is the order of their OIDs. */
const closure = `
WITH RECURSIVE parts (oid) AS (
  SELECT u.oid FROM unnest($1::oid[]) u (oid)
  UNION
  SELECT x.oid FROM parts JOIN pg_catalog.pg_type t ON t.oid = parts.oid, LATERAL (
    SELECT t.typbasetype AS oid UNION ALL SELECT t.typelem
    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid) x
  WHERE x.oid >= 16384)
SELECT oid::text FROM parts`;

/**
 * DDL of the types that unprotected columns need and the cloud lacks.
 * @param shadow reads with search_path empty
 */
export async function missingTypes(
  shadow: Reader,
  cloud: Reader,
  columns: readonly Pick<DescribedColumn, 'userType'>[],
): Promise<readonly string[]> {
  const wanted = new Set(columns.map(column => column.userType).filter(oid => oid > 0));
  if (wanted.size === 0) return [];
  const parts = (await shadow(closure, [oidArray(wanted)])).map(row => Number(row[0]));
  const all = await readJson<DescribedObject>(shadow, typeDefinitions);
  const statements: string[] = [];
  for (const { oid, identity, ddl } of all) {
    if (!parts.includes(oid) || ddl === null) continue;
    const [row] = await cloud('SELECT pg_catalog.to_regtype($1)::text', [identity]);
    if (row?.[0] == null) statements.push(ddl);
  }
  return statements;
}
