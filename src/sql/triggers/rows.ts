/** Writes the rows of one statement, and fires the triggers around them in PostgreSQL's order. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { writeGuarded } from '../exclusions/guarded.js';
import type { GuardedWrite } from '../exclusions/write.js';
import type { SplitBody, TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { HeldRows } from '../execute/held-rows.js';
import type { Bound } from '../execute/portal.js';
import type { ResidualPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { SplitServices } from '../split/cloud-rows.js';
import type { CloudWrites, RowsToWrite } from '../split/write/cloud-writes.js';
import { flushWrites } from '../split/write/flush.js';
import type { Computed, WriteHooks } from '../split/write/portal.js';
import { isReadOnly, readOnly } from '../split/write/read-only.js';
import type { LockedRows } from '../split/write/row-locks.js';
import { mustBeOneRow } from './acted.js';
import { batchesOf, type Change, FiredRows, mustNotReferToItself } from './fired-rows.js';
import { returned } from './returning.js';

/** The hooks of a statement whose table has triggers. */
export function triggerHooks(
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  routines: RoutineServices,
): WriteHooks {
  return new TriggeredRows(body.writes!.triggered!, bound, residual, services, routines);
}

class TriggeredRows implements WriteHooks {
  readonly #fired: FiredRows;
  readonly #table: LogicalTable;

  constructor(
    private readonly triggered: TriggeredWrite,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    routines: RoutineServices,
  ) {
    this.#fired = new FiredRows(triggered, bound.session, routines);
    this.#table = triggered.table;
  }

  async begin(): Promise<void> {
    // no write to the cloud would say so
    if (this.triggered.insteadOf && (await isReadOnly(this.bound.session)))
      throw readOnly(this.bound.plan.command, undefined);
    return this.#fired.statement('BEFORE');
  }

  async write(
    writes: CloudWrites,
    locked: LockedRows,
    guarded: (work: () => Promise<void>) => Promise<void>,
  ): Promise<Computed> {
    const fired = this.#fired;
    const changes = this.#changes(writes);
    if (this.triggered.seesActions) mustBeOneRow(this.#table, changes.length);
    if (this.triggered.rowByRow && changes.length > 1) mustNotReferToItself(this.#table);
    const { rowByRow, insteadOf } = this.triggered;
    const timing = insteadOf ? 'INSTEAD OF' : 'BEFORE';
    let written: Change[] = [];
    await guarded(async () => {
      for (const change of changes) {
        if (!(await fired.changed(change, timing))) continue;
        // what a function reads of the table holds the rows before
        if (!rowByRow || (await this.#write([change], writes, locked)).length > 0) written.push(change);
      }
      if (rowByRow || insteadOf) return;
      written = [...(await this.#write(written, writes, locked))];
    });
    fired.wrote(written);
    for (const change of written) await fired.after(change);
    await fired.statement('AFTER');
    await fired.mustStandStill();
    return { rows: written.length, held: await this.#returned(written) };
  }

  /** @returns the rows that were written */
  #write(changes: readonly Change[], writes: CloudWrites, locked: LockedRows): Promise<readonly Change[]> {
    const places = new Map([...locked.values()].flatMap(ids => [...ids]));
    const guarded: GuardedWrite<Change> = {
      table: this.#table,
      changes,
      places,
      skips: this.triggered.skips,
      write: some => this.#flush(some, writes, places),
    };
    return writeGuarded(guarded, this.bound.session, this.services);
  }

  async #flush(
    changes: readonly Change[],
    writes: CloudWrites,
    places: ReadonlyMap<string, number>,
  ): Promise<void> {
    writes.reroute(batchesOf(changes, this.#table));
    const identified = writes.batches.flatMap(batch =>
      batch.kind === 'insert' ? [] : [[batch, places] as const],
    );
    await flushWrites(writes, new Map(identified), this.bound.session, this.services);
  }

  #changes(writes: CloudWrites): readonly Change[] {
    const table = this.#table;
    const fired = this.#fired;
    const known = new Map<RowsToWrite, readonly number[]>();
    const placesIn = (batch: RowsToWrite): readonly number[] => {
      const places = known.get(batch) ?? table.columns.map(({ name }) => batch.columns.indexOf(name));
      known.set(batch, places);
      return places;
    };
    return writes.order.map(({ batch, index }): Change => {
      const { kind, columns, ctids, values } = batch;
      const given = (old: Row | undefined): Row =>
        placesIn(batch).map((place, i) => (place < 0 ? (old?.[i] ?? null) : values[index]![place]!));
      if (kind === 'insert')
        return { kind, ctid: undefined, old: undefined, new: fired.row(given(undefined)), columns };
      const ctid = ctids[index]!;
      const old = writes.old(table, ctid);
      const whole = given(old);
      const becomes = kind === 'delete' ? undefined : fired.row(whole);
      return { kind, ctid, old: fired.row(old), new: becomes, columns };
    });
  }

  /** RETURNING, of what the triggers have made of the rows. */
  async #returned(changes: readonly Change[]): Promise<HeldRows> {
    const { returning } = this.triggered;
    if (!returning) return new HeldRows();
    const rows = changes.map(change => (change.new ?? change.old!).map(({ text }) => text));
    return returned(returning, rows, this.#table.columns.length, this.bound, this.residual, this.services);
  }
}
