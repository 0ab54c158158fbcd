/** What a statement made of one table, on the logical side. */
import type { LogicalTable } from '../../catalog/catalog.js';
import type { DescribedTable } from '../../catalog/description.js';

/** A table that differs after the statement. */
export interface ChangedTable {
  readonly before: { readonly table: LogicalTable; readonly described: DescribedTable } | undefined;
  readonly after: { readonly table: LogicalTable; readonly described: DescribedTable } | undefined;
}
