/**
 * What one statement writes, row by row as the trusted PostgreSQL computes it. It comes to the cloud when the statement
 * has ended: so the statement sees nothing of it, as PostgreSQL has it, and each table is written in batches.
 */
import type { LogicalTable } from '../../../catalog/catalog.js';
import { ClarusError } from '../../../errors.js';
import type { Row } from '../../execute/collect.js';
import { WritableRows } from './writable-rows.js';

/** Rows to write that name the same columns. */
export interface RowsToWrite {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly table: LogicalTable;
  /** in the order of their values; none for `delete` */
  readonly columns: readonly string[];
  /** where the rows stand; none for `insert` */
  readonly ctids: readonly string[];
  /** values in text form, one list a row */
  readonly values: readonly Row[];
  /** `delete`: an UPDATE brings the rows to other partitions */
  readonly leaves?: true;
}

/** ctids of rows that a statement has written, by the number of their table. */
export type Written = Map<number, Set<string>>;

/** Where a row is among those that are written. */
export interface Place {
  readonly batch: RowsToWrite;
  readonly index: number;
}

type Open = RowsToWrite & { readonly ctids: string[]; readonly values: Row[] };

/** Bytes of new values that one statement may hold. */
const heldBytesMax = 256 * 1024 * 1024;

/** Collects the writes of one statement. */
export class CloudWrites {
  readonly #fetched = new Map<number, WritableRows>();
  readonly #batches: Open[] = [];
  readonly #old = new Map<string, Row>();
  readonly #standing = new Map<LogicalTable, Set<string>>();
  readonly #untouched = new Map<LogicalTable, Set<string>>();
  #order: Place[] | undefined;
  #bytes = 0;

  /**
   * @param returns the statement returns columns of what it writes
   * @param skipped ctids of rows that are left out, by the number of their table
   * @param written what other parts of the statement have written
   */
  constructor(
    readonly returns: boolean,
    private readonly skipped: ReadonlyMap<number, ReadonlySet<string>>,
    private readonly written: Written = new Map(),
  ) {}

  /** Rows of a table that may be written. */
  fetched(table: LogicalTable): WritableRows {
    const known = this.#fetched.get(table.number) ?? new WritableRows(this.skipped.get(table.number));
    this.#fetched.set(table.number, known);
    return known;
  }

  /** All that is to be written, in order. */
  get batches(): readonly RowsToWrite[] {
    return this.#batches;
  }

  /** Puts other rows in the place of those that are to be written. */
  reroute(batches: readonly RowsToWrite[]): void {
    this.#batches.length = 0;
    for (const batch of batches)
      this.#batches.push({ ...batch, ctids: [...batch.ctids], values: [...batch.values] });
  }

  insert(table: LogicalTable, columns: readonly string[], values: Row): void {
    const batch = this.#batch('insert', table, columns);
    batch.values.push(this.#counted(values));
    this.#order?.push({ batch, index: batch.values.length - 1 });
  }

  /** @returns false: the statement has written the row already, and PostgreSQL writes it once */
  update(table: LogicalTable, columns: readonly string[], ctid: string, values: Row): boolean {
    if (!this.#first(table, ctid)) return false;
    const batch = this.#batch('update', table, columns);
    batch.ctids.push(ctid);
    batch.values.push(this.#counted(values));
    this.#order?.push({ batch, index: batch.ctids.length - 1 });
    return true;
  }

  /** @returns false: the statement has written the row already */
  delete(table: LogicalTable, ctid: string): boolean {
    if (!this.#first(table, ctid)) return false;
    const batch = this.#batch('delete', table, []);
    batch.ctids.push(ctid);
    this.#order?.push({ batch, index: batch.ctids.length - 1 });
    return true;
  }

  /** A row is not inserted because of one that stands there. */
  keepOut(table: LogicalTable, ctid: string): void {
    const ctids = this.#standing.get(table) ?? new Set();
    this.#standing.set(table, ctids.add(ctid));
  }

  /** A row with which a given one conflicts is looked at, and not changed: PostgreSQL locks it before it looks. */
  leaveAsItIs(table: LogicalTable, ctid: string): void {
    const ctids = this.#untouched.get(table) ?? new Set();
    this.#untouched.set(table, ctids.add(ctid));
  }

  /** ctids of rows that are locked, and not changed */
  get untouched(): ReadonlyMap<LogicalTable, ReadonlySet<string>> {
    return this.#untouched;
  }

  /** ctids of rows that keep others out, as keys of theirs say */
  get standing(): ReadonlyMap<LogicalTable, ReadonlySet<string>> {
    return this.#standing;
  }

  /** From now on it is known in which order the rows were written, also those of several batches. */
  keepOrder(): void {
    this.#order = [];
  }

  /** The rows in their order. @throws Error where it was not kept */
  get order(): readonly Place[] {
    if (!this.#order) throw new Error('the order of rows is not known');
    return this.#order;
  }

  /** Notes the values that a row has before it is written. */
  noteOld(table: LogicalTable, ctid: string, values: Row): void {
    this.#old.set(`${table.number} ${ctid}`, this.#counted(values));
  }

  /** @throws Error where they were not noted */
  old(table: LogicalTable, ctid: string): Row {
    const values = this.#old.get(`${table.number} ${ctid}`);
    if (!values) throw new Error('the old values of a row are not known');
    return values;
  }

  /** Has the statement written a row? */
  isWritten(table: LogicalTable, ctid: string): boolean {
    return this.written.get(table.number)?.has(ctid) ?? false;
  }

  #first(table: LogicalTable, ctid: string): boolean {
    const written = this.written.get(table.number) ?? new Set();
    this.written.set(table.number, written);
    if (written.has(ctid)) return false;
    written.add(ctid);
    return true;
  }

  #batch(kind: RowsToWrite['kind'], table: LogicalTable, columns: readonly string[]): Open {
    const last = this.#batches.findLast(b => b.kind === kind && b.table === table);
    if (last && last.columns.join('\0') === columns.join('\0')) return last;
    const batch: Open = { kind, table, columns, ctids: [], values: [] };
    this.#batches.push(batch);
    return batch;
  }

  #counted(values: Row): Row {
    for (const value of values) this.#bytes += 32 + (value?.length ?? 0);
    if (this.#bytes > heldBytesMax)
      throw new ClarusError('54000', 'too many rows are written by one statement', {
        detail: `What one statement writes may take ${heldBytesMax} bytes.`,
        hint: 'Write the rows in several statements.',
      });
    return values;
  }
}
