/** The foreign keys that refer to a table, as PostgreSQL comes to them when its rows are deleted or get another key. */
import type { Catalog, KeyConstraint, LogicalTable } from '../../../catalog/catalog.js';
import { actsHere } from '../../../catalog/foreign-keys.js';
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

/** The triggers of foreign keys are named by their OIDs, and fire by their names: those of a key made first come first. */
const keysQuery = `SELECT conrelid::text, conname::text, confdeltype::text, confupdtype::text,
    CASE WHEN condeferred THEN 'initially' WHEN condeferrable THEN 'possible' ELSE 'never' END
  FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = $1::pg_catalog.oid ORDER BY oid`;

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

async function read(
  { oid }: LogicalTable,
  catalog: Catalog,
  session: SessionPort,
): Promise<readonly KeyTo[]> {
  const rows = await readerOn(session.trusted)(keysQuery, [String(oid)]);
  return rows.flatMap(([relation, name, onDelete, onUpdate, deferral]): KeyTo[] => {
    const child = catalog.tables.get(Number(relation));
    const key = child?.keys.find(k => k.kind === 'foreign' && k.name === name);
    if (child?.state !== 'protected' || !key?.references) return [];
    return [
      {
        child,
        key,
        references: key.references,
        onDelete: onDelete!,
        onUpdate: onUpdate!,
        deleteColumns: key.actions?.deleteColumns ?? [],
        isOurs: actsHere(child, key),
        deferral: deferral as KeyTo['deferral'],
      },
    ];
  });
}
