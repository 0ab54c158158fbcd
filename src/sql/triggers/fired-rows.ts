/** The rows of one statement as its triggers see them and make them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import type { TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import type { SessionPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { RowsToWrite } from '../split/write/cloud-writes.js';
import { Firing, sameText, type TableRow } from './fire.js';
import { type FiredTriggers, triggersAt } from './trigger.js';

/** What becomes of one row. */
export interface Change {
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

/** Bytes of rows that may be kept until triggers have seen them. */
const keptBytesMax = 256 * 1024 * 1024;

/** Fires the triggers of one statement, in PostgreSQL's order. */
export class FiredRows {
  readonly #firings: ReadonlyMap<RowsToWrite['kind'], FiringOfEvent>;
  readonly #table: LogicalTable;
  #kept_bytes = 0;

  constructor({ fired, table }: TriggeredWrite, session: SessionPort, routines: RoutineServices) {
    this.#firings = new Map(
      fired.map(of => [kinds[of.event], { fired: of, firing: new Firing(of, session, routines) }]),
    );
    this.#table = table;
  }

  /** Do triggers see rows when they have been written, one by one or as transition tables? */
  get seesWritten(): boolean {
    return [...this.#firings.values()].some(({ fired }) =>
      fired.triggers.some(
        ({ timing, level, oldTable, newTable }) =>
          timing === 'AFTER' && (level === 'ROW' || (oldTable ?? newTable) !== undefined),
      ),
    );
  }

  /** All that is written, before AFTER triggers are fired: transition tables hold it. */
  wrote(changes: readonly Change[]): void {
    for (const [kind, { firing }] of this.#firings)
      firing.written = changes.filter(change => change.kind === kind);
  }

  /** Fires those of the statement itself. */
  async statement(timing: 'BEFORE' | 'AFTER'): Promise<void> {
    const events = [...this.#firings.values()];
    for (const { firing } of timing === 'BEFORE' ? events : events.reverse()) await firing.statement(timing);
  }

  /** Fires the triggers that may change or take out a row. @returns false: it is left as it is */
  async changed(change: Change, timing: 'BEFORE' | 'INSTEAD OF'): Promise<boolean> {
    const event = this.#firings.get(change.kind);
    if (!event) return true;
    for (const trigger of triggersAt(event.fired, timing, 'ROW')) {
      const row = await event.firing.fire(trigger, { old: change.old, new: change.new });
      if (row === null) return false;
      if (row && change.new) take(change, row, this.#table, timing === 'INSTEAD OF');
    }
    return true;
  }

  /** Fires those after a row was written. */
  async after(change: Change): Promise<void> {
    const event = this.#firings.get(change.kind);
    if (!event) return;
    for (const trigger of triggersAt(event.fired, 'AFTER', 'ROW'))
      await event.firing.fire(trigger, { old: change.old, new: change.new });
  }

  /** @throws ClarusError 40001 where a function was replaced meanwhile */
  async mustStandStill(): Promise<void> {
    for (const { firing } of this.#firings.values()) await firing.mustStandStill();
  }

  /** A row of the table, in the order of its columns. @throws ClarusError 54000 where too much is kept */
  row(values: Row): TableRow {
    for (const value of values) this.#kept_bytes += 64 + (value?.length ?? 0);
    if (this.#kept_bytes > keptBytesMax) throw tooMuch();
    return this.#table.columns.map(({ type, protection }, i) => ({
      type,
      text: values[i]!,
      secret: protection !== undefined,
    }));
  }

  /** Rows are no longer kept. */
  forget(): void {
    this.#kept_bytes = 0;
  }
}

const tooMuch = (): ClarusError =>
  new ClarusError('54000', 'too many rows are written by one statement to a table with triggers', {
    detail: `They may take ${keptBytesMax} bytes.`,
    hint: 'Write the rows in several statements.',
  });

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
export function batchesOf(changes: readonly Change[], table: LogicalTable): readonly RowsToWrite[] {
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

/** Does a foreign key of a table refer to itself? */
export const refersToItself = ({ number, keys }: LogicalTable): boolean =>
  keys.some(({ references }) => references?.table === number);

/** Of rows that refer to each other the cloud would miss one, if they came one by one. @throws ClarusError 0A000 */
export function mustNotReferToItself(table: LogicalTable): void {
  if (!refersToItself(table)) return;
  throw new ClarusError(
    '0A000',
    `the rows of the table "${table.name}", which refers to itself, cannot be written one by one`,
    {
      detail: 'A BEFORE trigger of the table reads tables, so it must see each row that was written before.',
      hint: 'Write one row with each statement.',
      table: table.name,
    },
  );
}
