/** The rows that one statement locks, over all its runs where it begins anew. */
import type { LogicalTable } from '../../../catalog/catalog.js';
import type { MessageWriter } from '../../../wire/message-writer.js';
import type { SplitWrites } from '../../execute/bodies.js';
import { fieldsAt } from '../../execute/collect.js';
import type { DataRows, SessionPort } from '../../ports.js';
import { Candidates, type Places } from './candidates.js';
import type { CloudWrites } from './cloud-writes.js';
import { writeRow } from './identified-rows.js';
import { type LockedRows, lock, lockRows } from './row-locks.js';

/** Rows of one table, and of its partitions and heirs, that a statement returns. */
export class FoundRows {
  /** by the table that holds them */
  readonly ctids = new Map<LogicalTable, Set<string>>();

  constructor(readonly named: LogicalTable) {}

  add(table: LogicalTable, ctid: string): void {
    const ctids = this.ctids.get(table) ?? new Set();
    this.ctids.set(table, ctids.add(ctid));
  }
}

/** Writes rows without their last fields, which say where those stand that are to be locked. */
export function takeLocks(
  { buffer, starts, count }: DataRows,
  found: readonly FoundRows[],
  writer: MessageWriter,
  tableOf: (oid: number) => LogicalTable,
): void {
  for (let i = 0; i < count; i++) {
    const row = fieldsAt(buffer, starts[i]!);
    const width = row.length - 2 * found.length;
    for (const [k, rows] of found.entries()) {
      const [ctid, oid] = row.slice(width + 2 * k).map(field => field && Buffer.from(field).toString());
      if (ctid) rows.add(oid ? tableOf(Number(oid)) : rows.named, ctid);
    }
    writeRow(writer, row.slice(0, width));
  }
}

/** Commands that begin anew with the rows that they have found first. */
const choosing: ReadonlySet<string> = new Set(['SELECT', 'UPDATE', 'DELETE']);

/** Locks what runs of a statement find, and knows which rows they leave out. */
export class StatementLocks {
  readonly #skipped = new Map<number, Set<string>>();
  readonly #candidates: Candidates | undefined;

  /** @param command of the statement */
  constructor(
    private readonly writes: SplitWrites,
    command: string,
    private readonly session: SessionPort,
  ) {
    // where it looks for rows alone, what it may find is what it has found first
    const { arbiters, limited } = writes;
    if (arbiters.length === 0 && !limited && choosing.has(command))
      this.#candidates = new Candidates(session);
  }

  /** ctids of rows that are left out, by the number of their table: others hold them, or they have come since */
  get skipped(): ReadonlyMap<number, ReadonlySet<string>> {
    return this.#skipped;
  }

  /** the rows that the statement may still lock; undefined: what it finds */
  get candidates(): Candidates | undefined {
    return this.#candidates;
  }

  /** What one run finds, for each lock of the statement. */
  find(): readonly FoundRows[] {
    return this.writes.locks.map(({ table }) => new FoundRows(table));
  }

  /**
   * Locks what a run has found and what it writes.
   * @returns undefined: the statement is to begin anew, because rows have changed, or are left out from now on
   * @throws PostgresError of the cloud
   */
  async take(found: readonly FoundRows[], writes: CloudWrites): Promise<LockedRows | undefined> {
    const places = this.#places(found, writes);
    if (await this.#areNew(places, writes)) return undefined;
    const choose = this.#candidates?.look(places, writes);
    let locked: LockedRows | undefined;
    try {
      if (await this.#lockFound(found, writes)) locked = await lockRows(writes, this.session);
      return locked;
    } finally {
      if (!locked) await choose?.();
    }
  }

  /** What is to be locked, and waited for. */
  #places(found: readonly FoundRows[], writes: CloudWrites): readonly Places[] {
    const { locks } = this.writes;
    const waited = found.filter((_, i) => locks[i]!.wait === '');
    return [
      ...waited.flatMap(({ ctids }) => [...ctids].map(([table, own]) => ({ table, ctids: [...own] }))),
      ...writes.batches.filter(({ kind }) => kind !== 'insert'),
    ];
  }

  /**
   * Leaves out rows that have come since the statement looked first.
   * @returns whether there are some
   */
  async #areNew(places: readonly Places[], writes: CloudWrites): Promise<boolean> {
    let some = false;
    for (const rows of places) {
      const later = await this.#candidates?.newcomers(rows, writes);
      if (!later?.length) continue;
      this.#leaveOut(rows.table, later);
      some = true;
    }
    return some;
  }

  /** @returns false: some have changed, or are left out because others hold them */
  async #lockFound(found: readonly FoundRows[], writes: CloudWrites): Promise<boolean> {
    let all = true;
    for (const [i, row] of this.writes.locks.entries())
      for (const [table, places] of found[i]!.ctids) {
        const ctids = [...places];
        const locked = await lock({ ...row, table }, ctids, writes, this.session);
        if (locked.size === ctids.length) continue;
        all = false;
        if (row.wait !== 'SKIP LOCKED') continue;
        const held = ctids.filter(ctid => !locked.has(ctid));
        this.#leaveOut(table, held);
      }
    return all;
  }

  #leaveOut(table: LogicalTable, ctids: readonly string[]): void {
    const skipped = this.#skipped.get(table.number) ?? new Set();
    this.#skipped.set(table.number, skipped);
    for (const ctid of ctids) skipped.add(ctid);
  }
}
