/**
 * What stands at tables and types and calls functions of users where others write or compute, with their rights: the cloud's
 * user, above all.
 */
import { oidArray, textArray } from '../../catalog/reader.js';
import { FIRST_USER_OID } from '../functions.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';

/** Tables in which actions of foreign keys change rows because of `w`. */
export const actedOn = `SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = w.oid
        AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))`;
/** What is written beside targets: heirs, and what actions of foreign keys change. */
const reached = `WITH RECURSIVE written AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[]) AS oid
    UNION SELECT x.oid FROM written w, LATERAL (
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = w.oid
      UNION ALL ${actedOn}) AS x (oid))
  SELECT oid::text FROM written`;
/**
 * Functions of users, also those behind operators, that what stands at tables calls where their rows are written: checks, EXCLUDE
 * constraints, generated columns, defaults, indexes, keys of partitions, statistics, and checks of the domains of their columns.
 */
const standing = `WITH RECURSIVE types AS (
    SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typname = ANY ($2::pg_catalog.text[]) OR t.oid = ANY ($3::pg_catalog.oid[])
    UNION SELECT x.oid FROM types y JOIN pg_catalog.pg_type t ON t.oid = y.oid, LATERAL (
      SELECT t.typbasetype UNION ALL SELECT t.typelem
      UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0
      UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid) AS x (oid) WHERE x.oid >= ${FIRST_USER_OID}),
  said AS (
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AS classid, c.oid FROM pg_catalog.pg_constraint c
      WHERE c.conrelid = ANY ($1::pg_catalog.oid[]) OR c.contypid IN (SELECT oid FROM types)
    UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid, d.oid FROM pg_catalog.pg_attrdef d WHERE d.adrelid = ANY ($1::pg_catalog.oid[])
    UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1::pg_catalog.oid[])
    UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, pg_catalog.unnest($1::pg_catalog.oid[])
    UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, e.oid FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = ANY ($1::pg_catalog.oid[]))
  SELECT DISTINCT coalesce(o.oprcode::pg_catalog.oid, d.refobjid)::text
    FROM said s JOIN pg_catalog.pg_depend d ON d.classid = s.classid AND d.objid = s.oid
      LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
   WHERE (d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass OR o.oid IS NOT NULL)
     AND coalesce(o.oprcode::pg_catalog.oid, d.refobjid) >= ${FIRST_USER_OID}`;

/** Tables that are written with some: heirs, and those in which actions of foreign keys change rows. */
export async function writtenWith(
  targets: Iterable<number>,
  session: SessionPort,
): Promise<readonly number[]> {
  const rows = await readerOn(session.trusted)(reached, [oidArray([...targets])]);
  return rows.map(([oid]) => Number(oid));
}

/**
 * Functions of users that are called where rows of tables are written, or values of types made.
 * @param tables OIDs in the shadow
 * @param types names without their schemas, all that have them count, or OIDs
 */
export async function standingFunctions(
  tables: Iterable<number>,
  types: Iterable<string | number>,
  session: SessionPort,
): Promise<readonly number[]> {
  const named: string[] = [];
  const oids: number[] = [];
  for (const type of types)
    if (typeof type === 'string') named.push(type);
    else oids.push(type);
  const parameters = [oidArray([...tables]), textArray(named), oidArray(oids)];
  const rows = await readerOn(session.trusted)(standing, parameters);
  return rows.map(([oid]) => Number(oid));
}
