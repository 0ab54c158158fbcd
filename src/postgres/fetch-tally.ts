import type { FetchedRows } from '../audit/events.js';
import type { FetchedOfTable } from '../sql/ports.js';

/** What the split statement that is running has fetched of each table. */
export class FetchTally {
  #tables = new Tables();
  readonly #watched = new Set<Tables>();

  /** @param rows beside those that were told before; `bytes` likewise */
  add(table: string, columns: readonly string[], rows: number, bytes: number): void {
    for (const tables of [this.#tables, ...this.#watched]) tables.add(table, columns, rows, bytes);
  }

  /** Hands out what was fetched, by name of the table, and begins anew. */
  take(): readonly FetchedRows[] {
    const taken = this.#tables.list().map(({ table, columns, rows }) => ({ table, columns, rows }));
    this.#tables = new Tables();
    return taken;
  }

  /** Counts by itself from now on, whoever takes what was fetched meanwhile. @returns ends it */
  watch(): () => readonly FetchedOfTable[] {
    const tables = new Tables();
    this.#watched.add(tables);
    return () => {
      this.#watched.delete(tables);
      return tables.list();
    };
  }
}

class Tables {
  readonly #tables = new Map<string, { readonly columns: Set<string>; rows: number; bytes: number }>();

  add(table: string, columns: readonly string[], rows: number, bytes: number): void {
    const known = this.#tables.get(table) ?? { columns: new Set(), rows: 0, bytes: 0 };
    for (const column of columns) known.columns.add(column);
    known.rows += rows;
    known.bytes += bytes;
    this.#tables.set(table, known);
  }

  /** In the order of their names. */
  list(): readonly FetchedOfTable[] {
    const inOrder = [...this.#tables].sort(([a], [b]) => (a < b ? -1 : 1));
    return inOrder.map(([table, { columns, rows, bytes }]) => ({
      table,
      columns: [...columns].sort(),
      rows,
      bytes,
    }));
  }
}
