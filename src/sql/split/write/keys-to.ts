/** The foreign keys that refer to a table, as PostgreSQL comes to them when its rows are deleted or get another key. */
import type { Catalog, KeyConstraint, LogicalTable } from '../../../catalog/catalog.js';
import { actsHere, referencesOf, referredAs } from '../../../catalog/foreign-keys.js';
import { oidArray } from '../../../catalog/reader.js';
import type { SessionPort } from '../../ports.js';
import { readerOn } from '../../reading.js';

/** A foreign key that refers to a table. */
export interface KeyTo {
  readonly child: LogicalTable;
  readonly key: KeyConstraint;
  readonly references: NonNullable<KeyConstraint['references']>;
  /** pg_constraint.confdeltype and confupdtype */
  readonly onDelete: string;
  readonly onUpdate: string;
  /** numbers of the columns that ON DELETE SET NULL and SET DEFAULT set */
  readonly deleteColumns: readonly number[];
  /** its actions are run here; else the cloud runs them */
  readonly isOurs: boolean;
  /** when NO ACTION looks: at the end of the statement, or, where that can be set, perhaps or from the beginning later */
  readonly deferral: 'never' | 'possible' | 'initially';
}

/**
 * The triggers of foreign keys are named by their OIDs, and fire by their names: those of a key made first come first. One of
 * a partitioned table has one for all partitions. What PostgreSQL makes of a key for each partition that it refers to is left out.
 */
const keysQuery = `SELECT k.conrelid::text, k.conname::text, k.confdeltype::text, k.confupdtype::text,
    CASE WHEN k.condeferred THEN 'initially' WHEN k.condeferrable THEN 'possible' ELSE 'never' END, k.confrelid::text
  FROM pg_catalog.pg_constraint k CROSS JOIN LATERAL (
    WITH RECURSIVE up AS (
      SELECT k.oid, k.conparentid
      UNION ALL SELECT p.oid, p.conparentid FROM pg_catalog.pg_constraint p JOIN up ON p.oid = up.conparentid)
    SELECT up.oid FROM up WHERE up.conparentid = 0) whole
  WHERE k.contype = 'f' AND k.confrelid = ANY ($1::pg_catalog.oid[]) AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
  ORDER BY whole.oid, k.oid`;

const known = new WeakMap<Catalog, Map<number, Promise<readonly KeyTo[]>>>();

/** @returns in the order in which their triggers fire, those of protected tables only */
export function keysTo(table: LogicalTable, session: SessionPort): Promise<readonly KeyTo[]> {
  const catalog = session.catalog();
  const byTable = known.get(catalog) ?? new Map<number, Promise<readonly KeyTo[]>>();
  known.set(catalog, byTable);
  const keys = byTable.get(table.oid) ?? read(table, catalog, session);
  byTable.set(table.oid, keys);
  keys.catch(() => byTable.delete(table.oid));
  return keys;
}

async function read(table: LogicalTable, catalog: Catalog, session: SessionPort): Promise<readonly KeyTo[]> {
  const whole = referredAs(catalog, table);
  const rows = await readerOn(session.trusted)(keysQuery, [oidArray(whole.map(({ oid }) => oid))]);
  return rows.flatMap(([relation, name, onDelete, onUpdate, deferral, referred]): KeyTo[] => {
    const child = catalog.tables.get(Number(relation));
    const key = child?.keys.find(k => k.kind === 'foreign' && k.name === name);
    const named = whole.find(({ oid }) => oid === Number(referred));
    if (child?.state !== 'protected' || child.partitioned || !key?.references || !named) return [];
    return [
      {
        child,
        key,
        references: referencesOf({ references: key.references }, table, named),
        onDelete: onDelete!,
        onUpdate: onUpdate!,
        deleteColumns: key.actions?.deleteColumns ?? [],
        isOurs: actsHere(child, key),
        deferral: deferral as KeyTo['deferral'],
      },
    ];
  });
}
