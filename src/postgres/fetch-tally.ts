import type { FetchedRows } from '../audit/events.js';

/** What the split statement that is running has fetched of each table. */
export class FetchTally {
  #tables = new Map<string, { readonly columns: Set<string>; rows: number }>();

  /** @param rows beside those that were told before */
  add(table: string, columns: readonly string[], rows: number): void {
    const known = this.#tables.get(table) ?? { columns: new Set(), rows: 0 };
    for (const column of columns) known.columns.add(column);
    known.rows += rows;
    this.#tables.set(table, known);
  }

  /** Hands out what was fetched, by name of the table, and begins anew. */
  take(): readonly FetchedRows[] {
    const inOrder = [...this.#tables].sort(([a], [b]) => (a < b ? -1 : 1));
    const taken = inOrder.map(([table, { columns, rows }]) => ({
      table,
      columns: [...columns].sort(),
      rows,
    }));
    this.#tables = new Map();
    return taken;
  }
}
