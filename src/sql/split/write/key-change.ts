import { generatedWith, type LogicalTable } from '../../../catalog/catalog.js';
import type { RowLock } from '../../execute/bodies.js';
import type { RowsToWrite } from './cloud-writes.js';

/** PostgreSQL locks FOR UPDATE where a column of a key that a foreign key may reference changes. */
export const lockStrength = ({
  table,
  columns,
}: Pick<RowsToWrite, 'table' | 'columns'>): RowLock['strength'] => {
  const written = [...columns, ...generatedWith(table, columns).map(({ name }) => name)];
  return table.keys.some(
    key => key.kind !== 'foreign' && key.columns.some(n => written.includes(columnNumbered(table, n))),
  )
    ? 'UPDATE'
    : 'NO KEY UPDATE';
};

const columnNumbered = (table: LogicalTable, number: number): string =>
  table.columns.find(column => column.number === number)!.name;
