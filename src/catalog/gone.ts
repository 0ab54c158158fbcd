/** What falls in the shadow schema with tables that are not in the cloud any more, and is no loss to tell. */
import type { Catalog } from './catalog.js';
import { isEncoded } from './compare.js';
import type { DescribedObject } from './description.js';
import { type Reader, readJson } from './reader.js';

interface ViewReads {
  readonly view: number;
  /** OIDs of the tables that it reads, through other views too */
  readonly tables: readonly number[];
}

const reads = `
WITH RECURSIVE direct AS (
  SELECT DISTINCT r.ev_class AS view, d.refobjid AS relation
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
), reads AS (
  SELECT view, relation FROM direct UNION SELECT reads.view, direct.relation FROM reads JOIN direct ON direct.view = reads.relation
)
SELECT pg_catalog.jsonb_build_object('view', view::int8, 'tables', pg_catalog.jsonb_agg(relation::int8))::text
FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.relation AND c.relkind <> 'v' GROUP BY view`;

/**
 * Which views, triggers and rules stand over tables that are gone and none that is protected: such objects stood in the
 * cloud too, and were dropped there with the table or before it.
 * @param shadow a connection to the shadow database, before those tables are dropped from it
 * @param gone OIDs of tables that are not in the cloud any more
 */
export async function fallsWith(
  shadow: Reader,
  catalog: Catalog,
  gone: ReadonlySet<number>,
): Promise<(object: DescribedObject) => boolean> {
  if (gone.size === 0) return () => false;
  const views = new Map((await readJson<ViewReads>(shadow, reads)).map(({ view, tables }) => [view, tables]));
  const isProtected = (oid: number): boolean => {
    const table = catalog.tables.get(oid);
    return table !== undefined && isEncoded(table);
  };
  return ({ kind, oid, table }) => {
    const tables = kind === 'view' ? (views.get(oid) ?? []) : [table];
    return tables.some(one => gone.has(one)) && !tables.some(isProtected);
  };
}
