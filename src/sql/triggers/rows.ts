/** Writes the rows of one statement, and fires the triggers around them in PostgreSQL's order. */
import type { LogicalTable } from '../../catalog/catalog.js';
import type { ClarusError } from '../../errors.js';
import { writeGuarded } from '../exclusions/guarded.js';
import type { GuardedWrite } from '../exclusions/write.js';
import type { ComputedWrites, GivenRows, SplitBody, TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { HeldRows } from '../execute/held-rows.js';
import type { Bound } from '../execute/portal.js';
import type { ResidualPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { SplitServices } from '../split/cloud-rows.js';
import type { CloudWrites, RowsToWrite } from '../split/write/cloud-writes.js';
import { flushWrites } from '../split/write/flush.js';
import { isReadOnly, readOnly } from '../split/write/read-only.js';
import type { LockedRows } from '../split/write/row-locks.js';
import type { Computed, WriteHooks } from '../split/write/run.js';
import { mustBeOneRow } from './acted.js';
import { batchesOf, type Change, isCounted, shaped, textsOf } from './change.js';
import type { TableRow } from './fire.js';
import { FiredRows, mustNotReferToItself } from './fired-rows.js';
import { MakingRows } from './making.js';
import { columnsGiven } from './proposed.js';
import { returned } from './returning.js';
import { refused } from './writes.js';

/** The hooks of a statement whose table has triggers. */
export function triggerHooks(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  routines: RoutineServices,
): WriteHooks {
  const { triggered, computed } = body.writes!;
  return new TriggeredRows(triggered!, computed?.once, bound, residual, services, routines);
}

class TriggeredRows implements WriteHooks {
  readonly #fired: FiredRows;
  readonly #making: MakingRows;
  readonly #table: LogicalTable;

  constructor(
    private readonly triggered: TriggeredWrite,
    once: ComputedWrites['once'] | undefined,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    routines: RoutineServices,
  ) {
    this.#fired = new FiredRows(triggered, bound.session, routines);
    this.#making = new MakingRows(triggered, this.#fired, bound.session, once);
    this.#table = triggered.table;
  }

  async begin(): Promise<void> {
    // no write to the cloud would say so
    if (this.triggered.insteadOf && (await isReadOnly(this.bound.session)))
      throw readOnly(this.bound.plan.command, undefined);
    return this.#fired.statement('BEFORE');
  }

  async propose(given: GivenRows, rows: readonly Row[]): Promise<readonly Row[]> {
    const table = this.#table;
    const columns = columnsGiven(given);
    if (rows.length > 1 && this.triggered.rowByRow) throw oneByOne(table);
    const places = table.columns.map(column => columns.indexOf(column));
    const changes = rows.map(
      (row): Change => ({
        kind: 'insert',
        table,
        ctid: undefined,
        old: undefined,
        new: this.#fired.row(places.map(place => (place < 0 ? null : row[place]!))),
        columns: columns.map(({ name }) => name),
      }),
    );
    await this.#making.look(changes);
    const left: Row[] = [];
    for (const change of changes) {
      if (!(await this.#making.propose(change))) continue;
      const made = shaped(change.new!, change.table, table);
      left.push(columns.map(column => made[table.columns.indexOf(column)]!.text));
    }
    return left;
  }

  async write(
    writes: CloudWrites,
    locked: LockedRows,
    guarded: (work: () => Promise<void>) => Promise<void>,
  ): Promise<Computed> {
    const fired = this.#fired;
    const making = this.#making;
    const changes = await this.#changes(writes);
    if (this.triggered.seesActions) mustBeOneRow(this.#table, changes.length);
    if (this.triggered.rowByRow && changes.length > 1)
      mustNotReferToItself(this.#table, this.bound.session.catalog());
    const { rowByRow, insteadOf } = this.triggered;
    let written: Change[] = [];
    await guarded(async () => {
      await making.look(changes);
      for (const change of changes)
        for await (const made of making.make(change)) {
          if (rowByRow) await making.compute([made]);
          // what a function reads of the table holds the rows before
          if (!rowByRow || (await this.#write([made], writes, locked)).length > 0) written.push(made);
        }
      if (rowByRow || insteadOf) return;
      await making.compute(written);
      written = [...(await this.#write(written, writes, locked))];
    });
    fired.wrote(written, this.bound.plan.command);
    for (const change of written) await fired.after(change);
    await fired.statement('AFTER');
    await fired.mustStandStill();
    const counted = written.filter(isCounted);
    return { rows: counted.length, held: await this.#returned(counted) };
  }

  /** @returns the rows that were written */
  #write(changes: readonly Change[], writes: CloudWrites, locked: LockedRows): Promise<readonly Change[]> {
    const places = new Map<number, Map<string, number>>();
    for (const [{ table }, ids] of locked) {
      const known = places.get(table.number) ?? new Map<string, number>();
      places.set(table.number, known);
      for (const [ctid, id] of ids) known.set(ctid, id);
    }
    const guarded: GuardedWrite<Change> = {
      table: this.#table,
      changes,
      places: places.get(this.#table.number) ?? new Map(),
      skips: this.triggered.skips,
      write: some => this.#flush(some, writes, places),
    };
    return writeGuarded(guarded, this.bound.session, this.services);
  }

  async #flush(
    changes: readonly Change[],
    writes: CloudWrites,
    places: ReadonlyMap<number, ReadonlyMap<string, number>>,
  ): Promise<void> {
    writes.reroute(batchesOf(changes));
    const identified = writes.batches.flatMap(batch =>
      batch.kind === 'insert' ? [] : [[batch, places.get(batch.table.number)!] as const],
    );
    await flushWrites(writes, new Map(identified), this.bound.session, this.services);
  }

  async #changes(writes: CloudWrites): Promise<readonly Change[]> {
    const named = this.#table;
    const fired = this.#fired;
    const computed = new Map<LogicalTable, ReadonlySet<string>>();
    for (const { batch } of writes.order)
      if (!computed.has(batch.table)) computed.set(batch.table, await this.#making.computed(batch.table));
    const known = new Map<RowsToWrite, readonly number[]>();
    const placesIn = (batch: RowsToWrite): readonly number[] => {
      const places = known.get(batch) ?? batch.table.columns.map(({ name }) => batch.columns.indexOf(name));
      known.set(batch, places);
      return places;
    };
    return writes.order.map(({ batch, index }): Change => {
      const { kind, table, ctids, values } = batch;
      const columns = batch.columns.filter(name => !computed.get(table)!.has(name));
      const given = (old: TableRow | undefined): TableRow =>
        fired.row(
          placesIn(batch).map((place, i) => (place < 0 ? (old?.[i]?.text ?? null) : values[index]![place]!)),
          table,
        );
      if (kind === 'insert')
        return { kind, table, ctid: undefined, old: undefined, new: given(undefined), columns };
      const ctid = ctids[index]!;
      const old = shaped(fired.row(writes.old(table, ctid)), named, table);
      return { kind, table, ctid, old, new: kind === 'delete' ? undefined : given(old), columns };
    });
  }

  /** RETURNING, of what the triggers have made of the rows. */
  async #returned(changes: readonly Change[]): Promise<HeldRows> {
    const { returning } = this.triggered;
    if (!returning) return new HeldRows();
    const named = this.#table;
    const rows = changes.map(change => textsOf(shaped((change.new ?? change.old)!, change.table, named)));
    return returned(returning, rows, named.columns.length, this.bound, this.residual, this.services);
  }
}

/** What a function reads holds, in PostgreSQL, what became of the rows before. */
const oneByOne = (table: LogicalTable): ClarusError =>
  refused(
    table,
    'a BEFORE trigger that reads what the statement writes sees each row of ON CONFLICT by itself',
  );
