/** What is written of a table with EXCLUDE constraints, and by what rows are compared. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';

/** By what rows are compared: two conflict where all operators hold of them. */
export interface Comparison {
  /** expressions over the names of the columns, with their collation */
  readonly keys: readonly string[];
  /** as SQL, one a key */
  readonly operators: readonly string[];
  /** over the names of the columns; undefined: it is of all rows */
  readonly predicate: string | undefined;
  readonly columns: readonly LogicalColumn[];
}

/** By what a row is left out. */
export interface SkippedBy {
  /** names of EXCLUDE constraints */
  readonly exclusions: readonly string[];
  /** keys by which given rows may conflict with each other: those that stand are known */
  readonly keys: readonly Comparison[];
}

/** What becomes of one row. */
export interface GuardedChange {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly ctid: string | undefined;
  /** the whole row as it becomes; undefined: it is deleted */
  readonly new: readonly { readonly text: Uint8Array | null }[] | undefined;
  /** names of the columns that it gives values to */
  readonly columns: readonly string[];
}

/** What one statement writes. */
export interface GuardedWrite<Change extends GuardedChange> {
  readonly table: LogicalTable;
  /** in the order in which PostgreSQL would write them */
  readonly changes: readonly Change[];
  /** row ids of rows that stand by their ctid */
  readonly places: ReadonlyMap<string, number>;
  /** ON CONFLICT DO NOTHING: rows that conflict are left out; undefined: they are an error */
  readonly skips?: SkippedBy | undefined;
  /** brings rows to the cloud */
  write(changes: readonly Change[]): Promise<void>;
}
