/** What becomes of one row of a statement, and of which table of a tree it is. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import type { Row } from '../execute/collect.js';
import { open } from '../procedural/types.js';
import type { RowsToWrite } from '../split/write/cloud-writes.js';
import type { TableRow } from './fire.js';

/** What becomes of one row. */
export interface Change {
  readonly kind: RowsToWrite['kind'];
  /** the one that holds the row, or takes it: a partition or heir of the named one, or that itself */
  table: LogicalTable;
  /** where it stands; undefined: it is inserted */
  readonly ctid: string | undefined;
  /** in the order of the columns of `table`, as `new` */
  readonly old: TableRow | undefined;
  /** undefined: it is deleted */
  new: TableRow | undefined;
  /** names of the columns that the statement gives values to, but for those that are computed */
  columns: readonly string[];
  /** an UPDATE brings the row from one partition to another: it is deleted in one, and inserted into the other */
  readonly part?: 'leaves' | 'arrives';
}

/** Is it a row that the statement counts and returns? One that goes elsewhere is counted where it arrives. */
export const isCounted = ({ part }: Change): boolean => part !== 'leaves';

/** A row of one table of a tree as one of another: columns go by their names. */
export function shaped(row: TableRow, from: LogicalTable, to: LogicalTable): TableRow {
  if (from === to) return row;
  const places = new Map(from.columns.map(({ name }, i) => [name, i]));
  return to.columns.map(({ name, type }) => {
    const place = places.get(name);
    return place === undefined ? open(null, type) : row[place]!;
  });
}

/** Values of a row as text. */
export const textsOf = (row: TableRow): Row => row.map(({ text }) => text);

/** Rows of one table that give values to the same columns are written together; their order is kept otherwise. */
export function batchesOf(changes: readonly Change[]): readonly RowsToWrite[] {
  const batches = new Map<string, RowsToWrite & { readonly ctids: string[]; readonly values: Row[] }>();
  const known = new Map<LogicalTable, ReadonlyMap<string, number>>();
  for (const { kind, table, ctid, columns, new: row, part } of changes) {
    const places = known.get(table) ?? new Map(table.columns.map(({ name }, i) => [name, i]));
    known.set(table, places);
    const names = kind === 'delete' ? [] : columns;
    const leaves = part === 'leaves';
    const key = [kind, leaves, table.number, ...names.map(quoteName)].join('\0');
    const batch = batches.get(key) ?? {
      ...{ kind, table, columns: names, ctids: [], values: [] },
      ...(leaves ? { leaves } : {}),
    };
    batches.set(key, batch);
    if (ctid !== undefined) batch.ctids.push(ctid);
    if (row) batch.values.push(names.map(name => row[places.get(name)!]!.text));
  }
  return [...batches.values()];
}
