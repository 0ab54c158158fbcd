/** The rows of one statement as its triggers see them and make them. */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { refersTo } from '../../catalog/foreign-keys.js';
import { ClarusError } from '../../errors.js';
import type { TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import type { SessionPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { RowsToWrite } from '../split/write/cloud-writes.js';
import { type Change, shaped } from './change.js';
import { Firing, sameText, type TableRow } from './fire.js';
import { type FiredTriggers, type Trigger, triggersAt } from './trigger.js';

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
  /** those of the named table, by event: of the statement, and of its own rows */
  readonly #firings: ReadonlyMap<RowsToWrite['kind'], FiringOfEvent>;
  /** those of rows, by table and event */
  readonly #ofRows: ReadonlyMap<string, FiringOfEvent>;
  readonly #table: LogicalTable;
  #kept_bytes = 0;

  constructor({ fired, below, table }: TriggeredWrite, session: SessionPort, routines: RoutineServices) {
    const firingOf = (of: FiredTriggers): FiringOfEvent => ({
      fired: of,
      firing: new Firing(of, session, routines),
    });
    this.#firings = new Map(fired.map(of => [kinds[of.event], firingOf(of)]));
    const all = [...this.#firings.values(), ...below.map(firingOf)];
    this.#ofRows = new Map(all.map(one => [keyOf(one.fired.table, kinds[one.fired.event]), one]));
    this.#table = table;
  }

  /** Do triggers see rows when they have been written, one by one or as transition tables? */
  get seesWritten(): boolean {
    return [...this.#ofRows.values()].some(({ fired }) =>
      fired.triggers.some(
        ({ timing, level, oldTable, newTable }) =>
          timing === 'AFTER' && (level === 'ROW' || (oldTable ?? newTable) !== undefined),
      ),
    );
  }

  /**
   * All that is written, before AFTER triggers are fired: transition tables hold it.
   * @param command of the statement: where an UPDATE brings a row to another partition, it is one that was updated
   */
  wrote(changes: readonly Change[], command: string): void {
    const named = this.#table;
    for (const [kind, { firing }] of this.#firings)
      firing.written = changes
        .filter(change => (change.part && command === 'UPDATE' ? 'update' : change.kind) === kind)
        .map(({ table, old, new: becomes }) => ({
          old: old && shaped(old, table, named),
          new: becomes && shaped(becomes, table, named),
        }));
  }

  /** Fires those of the statement itself. */
  async statement(timing: 'BEFORE' | 'AFTER'): Promise<void> {
    const events = [...this.#firings.values()];
    for (const { firing } of timing === 'BEFORE' ? events : events.reverse()) await firing.statement(timing);
  }

  /**
   * Fires the triggers that may change or take out a row.
   * @param computed names of columns that are computed when all have been fired
   * @param changed is told of each trigger that has changed columns
   * @returns false: the row is left as it is
   */
  async changed(
    change: Change,
    timing: 'BEFORE' | 'INSTEAD OF',
    computed: ReadonlySet<string> = new Set(),
    changed: (trigger: Trigger, columns: readonly string[]) => Promise<void> = async () => undefined,
  ): Promise<boolean> {
    const event = this.#ofRows.get(keyOf(change.table, change.kind));
    if (!event) return true;
    for (const trigger of triggersAt(event.fired, timing, 'ROW')) {
      const row = await event.firing.fire(trigger, { old: change.old, new: change.new });
      if (row === null) return false;
      if (!row || !change.new) continue;
      const columns = take(change, row, computed, timing === 'INSTEAD OF');
      if (columns.length > 0) await changed(trigger, columns);
    }
    return true;
  }

  /** Fires those after a row was written. */
  async after(change: Change): Promise<void> {
    const event = this.#ofRows.get(keyOf(change.table, change.kind));
    if (!event) return;
    for (const trigger of triggersAt(event.fired, 'AFTER', 'ROW'))
      await event.firing.fire(trigger, { old: change.old, new: change.new });
  }

  /** @throws ClarusError 40001 where a function was replaced meanwhile */
  async mustStandStill(): Promise<void> {
    for (const { firing } of this.#ofRows.values()) await firing.mustStandStill();
  }

  /** A row of a table, in the order of its columns. @throws ClarusError 54000 where too much is kept */
  row(values: Row, { columns }: LogicalTable = this.#table): TableRow {
    for (const value of values) this.#kept_bytes += 64 + (value?.length ?? 0);
    if (this.#kept_bytes > keptBytesMax) throw tooMuch();
    return columns.map(({ type, protection }, i) => ({
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

const keyOf = ({ oid }: LogicalTable, kind: RowsToWrite['kind']): string => `${kind} ${oid}`;

const tooMuch = (): ClarusError =>
  new ClarusError('54000', 'too many rows are written by one statement to a table with triggers', {
    detail: `They may take ${keptBytesMax} bytes.`,
    hint: 'Write the rows in several statements.',
  });

/**
 * Takes over what a function has made of a row.
 * @returns names of the columns that are others by that
 */
function take(
  change: Change,
  row: TableRow,
  computed: ReadonlySet<string>,
  insteadOf: boolean,
): readonly string[] {
  const { columns } = change.table;
  const before = change.new!;
  const changed = columns.flatMap(({ name }, i) =>
    computed.has(name) || sameText(row[i]!, before[i]!) ? [] : [name],
  );
  change.columns = [...change.columns, ...changed.filter(name => !change.columns.includes(name))];
  change.new = row.map((value, i) => {
    const { name, type, protection } = columns[i]!;
    if (computed.has(name)) return before[i]!;
    // no column takes what triggers of a view hand on
    return { ...value, type, secret: protection !== undefined || (insteadOf && value.secret) };
  });
  return changed;
}

/** Does a foreign key of a table refer to itself? */
export const refersToItself = (table: LogicalTable, catalog: Catalog): boolean =>
  refersTo(catalog, table, table);

/** Of rows that refer to each other the cloud would miss one, if they came one by one. @throws ClarusError 0A000 */
export function mustNotReferToItself(table: LogicalTable, catalog: Catalog): void {
  if (!refersToItself(table, catalog)) return;
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
