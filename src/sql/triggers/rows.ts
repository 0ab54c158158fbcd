/** Writes the rows of one statement, and fires the triggers around them in PostgreSQL's order. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import type { SplitBody, TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { HeldRows } from '../execute/held-rows.js';
import type { Bound } from '../execute/portal.js';
import type { ResidualPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { SplitServices } from '../split/cloud-rows.js';
import type { CloudWrites, RowsToWrite } from '../split/write/cloud-writes.js';
import { flushWrites, type LockedRows } from '../split/write/flush.js';
import type { Computed, WriteHooks } from '../split/write/portal.js';
import { isReadOnly, readOnly } from '../split/write/read-only.js';
import { mustBeOneRow } from './acted.js';
import { Firing, sameText, type TableRow } from './fire.js';
import { returned } from './returning.js';
import { type FiredTriggers, triggersAt } from './trigger.js';

/** What becomes of one row. */
interface Change {
  readonly kind: RowsToWrite['kind'];
  /** where it stands; undefined: it is inserted */
  readonly ctid: string | undefined;
  readonly old: TableRow | undefined;
  /** undefined: it is deleted */
  new: TableRow | undefined;
  /** names of the columns that the statement gives values to */
  columns: readonly string[];
}

/** What one statement fires of one event. */
interface FiringOfEvent {
  readonly fired: FiredTriggers;
  readonly firing: Firing;
}

const kinds = { INSERT: 'insert', UPDATE: 'update', DELETE: 'delete' } as const;

const tooMuch = (): ClarusError =>
  new ClarusError('54000', 'too many rows are written by one statement to a table with triggers', {
    detail: `They may take ${keptBytesMax} bytes.`,
    hint: 'Write the rows in several statements.',
  });

/** Bytes of rows that may be kept until triggers have seen them. */
const keptBytesMax = 256 * 1024 * 1024;

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
  readonly #firings: ReadonlyMap<RowsToWrite['kind'], FiringOfEvent>;
  readonly #table: LogicalTable;

  constructor(
    private readonly triggered: TriggeredWrite,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    routines: RoutineServices,
  ) {
    this.#firings = new Map(
      triggered.fired.map(fired => [
        kinds[fired.event],
        { fired, firing: new Firing(fired, bound.session, routines) },
      ]),
    );
    this.#table = triggered.table;
  }

  async begin(): Promise<void> {
    // no write to the cloud would say so
    if (this.triggered.insteadOf && (await isReadOnly(this.bound.session)))
      throw readOnly(this.bound.plan.command, undefined);
    return this.#statement('BEFORE', [...this.#firings.values()]);
  }

  async write(
    writes: CloudWrites,
    locked: LockedRows,
    guarded: (work: () => Promise<void>) => Promise<void>,
  ): Promise<Computed> {
    const changes = this.#changes(writes);
    if (this.triggered.seesActions) mustBeOneRow(this.#table, changes.length);
    if (this.triggered.rowByRow && changes.length > 1) mustNotReferToItself(this.#table);
    const { rowByRow, insteadOf } = this.triggered;
    const timing = insteadOf ? 'INSTEAD OF' : 'BEFORE';
    const written: Change[] = [];
    await guarded(async () => {
      for (const change of changes) {
        if (!(await this.#changed(change, timing))) continue;
        written.push(change);
        // what a function reads of the table holds the rows before
        if (rowByRow) await this.#flush([change], writes, locked);
      }
      if (!rowByRow && !insteadOf) await this.#flush(written, writes, locked);
    });
    for (const change of written) await this.#after(change);
    await this.#statement('AFTER', [...this.#firings.values()].reverse());
    for (const { firing } of this.#firings.values()) await firing.mustStandStill();
    return { rows: written.length, held: await this.#returned(written) };
  }

  async #flush(changes: readonly Change[], writes: CloudWrites, locked: LockedRows): Promise<void> {
    const places = new Map([...locked.values()].flatMap(ids => [...ids]));
    writes.reroute(batchesOf(changes, this.#table));
    const identified = writes.batches.flatMap(batch =>
      batch.kind === 'insert' ? [] : [[batch, places] as const],
    );
    await flushWrites(writes, new Map(identified), this.bound.session, this.services);
  }

  async #statement(timing: 'BEFORE' | 'AFTER', events: readonly FiringOfEvent[]): Promise<void> {
    for (const { fired, firing } of events)
      for (const trigger of triggersAt(fired, timing, 'STATEMENT')) await firing.fire(trigger, {});
  }

  /** Fires the triggers that may change or take out a row. @returns false: it is left as it is */
  async #changed(change: Change, timing: 'BEFORE' | 'INSTEAD OF'): Promise<boolean> {
    const event = this.#firings.get(change.kind);
    if (!event) return true;
    for (const trigger of triggersAt(event.fired, timing, 'ROW')) {
      const row = await event.firing.fire(trigger, { old: change.old, new: change.new });
      if (row === null) return false;
      if (row && change.new) take(change, row, this.#table, timing === 'INSTEAD OF');
    }
    return true;
  }

  async #after(change: Change): Promise<void> {
    const event = this.#firings.get(change.kind);
    if (!event) return;
    for (const trigger of triggersAt(event.fired, 'AFTER', 'ROW'))
      await event.firing.fire(trigger, { old: change.old, new: change.new });
  }

  #changes(writes: CloudWrites): readonly Change[] {
    const table = this.#table;
    let bytes = 0;
    const rowOf = (row: Row): TableRow => {
      for (const value of row) bytes += 64 + (value?.length ?? 0);
      if (bytes > keptBytesMax) throw tooMuch();
      return table.columns.map(({ type, protection }, i) => ({
        type,
        text: row[i]!,
        secret: protection !== undefined,
      }));
    };
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
        return { kind, ctid: undefined, old: undefined, new: rowOf(given(undefined)), columns };
      const ctid = ctids[index]!;
      const old = writes.old(table, ctid);
      const whole = given(old);
      return { kind, ctid, old: rowOf(old), new: kind === 'delete' ? undefined : rowOf(whole), columns };
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

/** Of rows that refer to each other the cloud would miss one, if they came one by one. */
function mustNotReferToItself({ name, number, keys }: LogicalTable): void {
  if (keys.every(({ references }) => references?.table !== number)) return;
  throw new ClarusError(
    '0A000',
    `the rows of the table "${name}", which refers to itself, cannot be written one by one`,
    {
      detail: 'A BEFORE trigger of the table reads tables, so it must see each row that was written before.',
      hint: 'Write one row with each statement.',
      table: name,
    },
  );
}

/** Takes over what a function has made of a row. */
function take(change: Change, row: TableRow, { columns }: LogicalTable, insteadOf: boolean): void {
  const changed = columns.flatMap(({ name }, i) =>
    change.columns.includes(name) || sameText(row[i]!, change.new![i]!) ? [] : [name],
  );
  change.columns = [...change.columns, ...changed];
  change.new = row.map((value, i) => ({
    ...value,
    type: columns[i]!.type,
    // no column takes what triggers of a view hand on
    secret: columns[i]!.protection !== undefined || (insteadOf && value.secret),
  }));
}

/** Rows that give values to the same columns are written together; their order is kept otherwise. */
function batchesOf(changes: readonly Change[], table: LogicalTable): readonly RowsToWrite[] {
  const batches = new Map<string, RowsToWrite & { readonly ctids: string[]; readonly values: Row[] }>();
  const places = new Map(table.columns.map(({ name }, i) => [name, i]));
  for (const { kind, ctid, columns, new: row } of changes) {
    const names = kind === 'delete' ? [] : columns;
    const key = [kind, ...names].join('\0');
    const batch = batches.get(key) ?? { kind, table, columns: names, ctids: [], values: [] };
    batches.set(key, batch);
    if (ctid !== undefined) batch.ctids.push(ctid);
    if (row) batch.values.push(names.map(name => row[places.get(name)!]!.text));
  }
  return [...batches.values()];
}
