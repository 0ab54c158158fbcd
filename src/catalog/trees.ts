/**
 * Partitioned tables and inheritance. In a cloud each protected table that holds rows stands by itself; which tables
 * make up another the catalogue knows, and the shadow schema, where PostgreSQL plans over all of them.
 */
import type { Catalog, LogicalTable } from './catalog.js';

type Tables = Pick<Catalog, 'tables'>;

/** Tables whose rows are also those of a table: its partitions or heirs, and theirs. */
export function heirsOf({ tables }: Tables, table: LogicalTable): readonly LogicalTable[] {
  const found = new Set<LogicalTable>();
  const visit = (number: number): void => {
    for (const other of tables.values())
      if (other.parents?.includes(number) && !found.has(other)) {
        found.add(other);
        visit(other.number);
      }
  };
  visit(table.number);
  return [...found];
}

/** A table with all that share rows with it: its ancestors, and the heirs of all of them. */
export function treeOf(catalog: Tables, table: LogicalTable): readonly LogicalTable[] {
  const found = new Set<LogicalTable>([table]);
  for (const one of found) {
    for (const other of catalog.tables.values())
      if (one.parents?.includes(other.number) || other.parents?.includes(one.number)) found.add(other);
  }
  return [...found];
}

/** Does a table share rows with others? */
export const isInTree = (catalog: Tables, table: LogicalTable): boolean =>
  table.partitioned === true || table.parents !== undefined || hasHeirs(catalog, table);

/** Does a table, where it is not said ONLY, mean rows of others too? */
export function hasHeirs({ tables }: Tables, { number, partitioned }: LogicalTable): boolean {
  if (partitioned) return true;
  for (const other of tables.values()) if (other.parents?.includes(number)) return true;
  return false;
}
