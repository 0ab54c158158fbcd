/** Which partition takes a row that BEFORE triggers may have changed (ExecPrepareTupleRouting, ExecUpdateAct of nodeModifyTable.c). */
import type { LogicalTable } from '../../catalog/catalog.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import {
  type Bounds,
  boundsOf,
  keysOf,
  mustMayLeave,
  type Place,
  partitionOf,
  placesOf,
} from '../split/write/routing.js';
import { type Change, shaped, textsOf } from './change.js';
import type { TableRow } from './fire.js';

/** Places the rows of one statement. */
export class Placing {
  readonly #bounds = new Map<number, Promise<Bounds>>();
  #found: ReadonlyMap<Change, Place | undefined> = new Map();

  /** @param named the table that the statement names */
  constructor(
    private readonly named: LogicalTable,
    private readonly session: SessionPort,
  ) {}

  /** Looks where rows go that the statement writes. What is wrong with one is told when it is placed. */
  async look(changes: readonly Change[]): Promise<void> {
    const { named } = this;
    const rows: Change[] = [];
    for (const change of changes) {
      const { kind, columns, table } = change;
      if (kind === 'insert' ? named.partitioned : kind === 'update' && (await this.decide(columns, table)))
        rows.push(change);
    }
    if (rows.length === 0) return;
    const names = named.columns.map(({ name }) => name);
    const values = rows.map(({ new: row, table }) => textsOf(shaped(row!, table, named)));
    const found = await placesOf(await this.#boundsOf(named), names, values, this.session.trusted);
    this.#found = new Map(rows.map((row, i) => [row, found[i]]));
  }

  /**
   * Brings a row that is inserted to the partition that takes it, before any of its triggers is fired.
   * @throws ClarusError 23514 where none does
   */
  async place(change: Change): Promise<void> {
    if (change.kind !== 'insert' || !this.named.partitioned) return;
    const table = partitionOf(this.#found.get(change), await this.#boundsOf(this.named));
    change.new = shaped(change.new!, change.table, table);
    change.table = table;
  }

  /** Could columns decide which partition takes a row? */
  async decide(columns: readonly string[], { bounds }: LogicalTable): Promise<boolean> {
    if (!bounds || columns.length === 0) return false;
    const keys = keysOf(await this.#boundsOf(this.named));
    return keys === undefined || columns.some(name => keys.has(name));
  }

  /** Is a row one that its partition may hold? */
  async fits({ table, new: row }: Change): Promise<boolean> {
    return (await this.#placeOf(table, table, row!)) !== undefined;
  }

  /** @throws ClarusError 23514 for a row that its partition does not take */
  async mustFit({ table, new: row }: Change): Promise<void> {
    partitionOf(await this.#placeOf(table, table, row!), await this.#boundsOf(table));
  }

  /**
   * Does an UPDATE bring a row out of its partition?
   * @param isLooked it is as it was when it was looked where it goes
   * @returns undefined: it stays; else what tells where it goes, and throws 23514 where no partition takes it
   * @throws ClarusError 23514 where the partition itself is named
   */
  async goes(change: Change, isLooked: boolean): Promise<(() => LogicalTable) | undefined> {
    const { named } = this;
    const { table } = change;
    const found =
      isLooked && this.#found.has(change)
        ? this.#found.get(change)
        : await this.#placeOf(named, table, change.new!);
    if (found?.table.number === table.number) return undefined;
    const bounds = await this.#boundsOf(named);
    const to = (): LogicalTable => {
      mustMayLeave(table, named, this.session.catalog());
      return partitionOf(found, bounds);
    };
    if (named.number === table.number) to();
    return to;
  }

  async #placeOf(named: LogicalTable, table: LogicalTable, row: TableRow): Promise<Place | undefined> {
    const names = table.columns.map(({ name }) => name);
    const bounds = await this.#boundsOf(named);
    return (await placesOf(bounds, names, [textsOf(row)], this.session.trusted))[0];
  }

  #boundsOf(table: LogicalTable): Promise<Bounds> {
    const found = this.#bounds.get(table.number) ?? boundsOf(table, this.session);
    this.#bounds.set(table.number, found);
    return found;
  }
}

/** Do columns decide which of its partitions takes a row of a table? */
export async function decidePartition(
  table: LogicalTable,
  columns: readonly string[],
  session: SessionPort,
): Promise<boolean> {
  if (heirsOf(session.catalog(), table).every(({ bounds }) => !bounds)) return false;
  const keys = keysOf(await boundsOf(table, session));
  return keys === undefined || columns.some(name => keys.has(name));
}

/** ExecBRInsertTriggers of trigger.c */
export const movedByTrigger = (trigger: string, { schema, name }: LogicalTable): ClarusError =>
  new ClarusError(
    '0A000',
    'moving row to another partition during a BEFORE FOR EACH ROW trigger is not supported',
    {
      detail: `Before executing trigger "${trigger}", the row was to be in partition "${schema}.${name}".`,
    },
  );
