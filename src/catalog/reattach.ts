/** Gives a table of the catalogue its place in a shadow schema that was built anew: OID and attnums by name. */
import type { LogicalTable } from './catalog.js';
import type { DescribedTable } from './description.js';

/** Columns that the description does not have keep an attnum that nothing has (0). */
export function reattach(
  table: LogicalTable,
  described: Pick<DescribedTable, 'oid' | 'columns' | 'indexes'>,
): LogicalTable {
  const columns = table.columns.map(column => {
    const found = described.columns.find(({ name }) => name === column.name);
    const type = found?.type ?? column.type;
    const protection = column.protection && {
      ...column.protection,
      encodings: column.protection.encodings.map(({ kind, encoded }) => ({
        kind,
        encoded: { ...encoded, type },
      })),
    };
    return { ...column, attnum: found?.attnum ?? 0, type, protection };
  });
  const computedKeys = table.computedKeys?.map(key => ({
    ...key,
    index: described.indexes.find(({ name }) => name === key.name)?.oid ?? 0,
  }));
  return { ...table, oid: described.oid, columns, ...(computedKeys ? { computedKeys } : {}) };
}
