/** Materialised views that the trusted side fills, as the shadow and the catalogue know them. */
import { isFilled, type LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { oidArray } from '../../catalog/reader.js';
import { populateSql } from '../../trusted/carriers.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import type { DdlDependencies } from './body.js';
import { changeTables } from './tables.js';

/**
 * Says in the shadow and in the catalogue whether a materialised view can be read.
 * @returns the table of the catalogue as it is then
 */
export async function setPopulated(
  session: SessionPort,
  deps: DdlDependencies,
  view: LogicalTable,
  populated: boolean,
): Promise<LogicalTable> {
  // without what carriers need, nothing is known of it
  if (!session.residual) return view;
  const text = populateSql(quoteQualified(view.schema, view.name), populated);
  const { result } = await changeTables(session, deps, { scope: [view.oid], text });
  return result.changed[0]?.after?.table ?? view;
}

const dependents = `WITH RECURSIVE over (oid) AS (
    SELECT pg_catalog.unnest($1::pg_catalog.oid[])
    UNION SELECT r.ev_class FROM over o
      JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = o.oid
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid)
  SELECT oid::text FROM over`;

/** Materialised views whose queries read relations, through others too: they go with them, or keep them from going. */
export async function viewsOver(
  session: SessionPort,
  relations: Iterable<number>,
): Promise<readonly LogicalTable[]> {
  const { tables } = session.catalog();
  if (![...tables.values()].some(isFilled)) return [];
  const rows = await readerOn(session.trusted)(dependents, [oidArray(relations)]);
  return rows.flatMap(([oid]) => {
    const table = tables.get(Number(oid));
    return table && isFilled(table) && table.state !== 'blocked' ? [table] : [];
  });
}
