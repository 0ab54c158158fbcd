/**
 * What foreign keys do to the rows that refer to those that a statement deletes or gives another key: CASCADE, SET NULL
 * and SET DEFAULT of protected keys, transitively. The rows are found and locked before anything is written, and all is
 * written in one statement, at whose end the cloud looks whether every key stands (ri_triggers.c).
 *
 * NO ACTION and RESTRICT are asked in the same order as in PostgreSQL, whose triggers queue up: a row that would go only
 * by an action of an action is still there when they look.
 */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN } from '../../../catalog/catalog.js';
import { actionsOn, acts, type ReferringKey, wholeKey } from '../../../catalog/foreign-keys.js';
import { partitionedAbove } from '../../../catalog/key-tables.js';
import { keyColumnName } from '../../../catalog/physical-keys.js';
import { quoteName } from '../../../catalog/quote.js';
import { columnOf, valueAt } from '../../../crypto/column.js';
import { ClarusError } from '../../../errors.js';
import { rowIdArray } from '../../../wire/arrays.js';
import { storedColumns, storedValues } from '../../checks/stored.js';
import { defaultsOf } from '../../defaults.js';
import type { RowLock } from '../../execute/bodies.js';
import { collect, sizeOf } from '../../execute/collect.js';
import { convert, decided } from '../../execute/conversion.js';
import { statement } from '../../execute/convert.js';
import { defaultValues } from '../../execute/default-values.js';
import { transactionTime } from '../../execute/given.js';
import type { SessionPort } from '../../ports.js';
import { type BatchServices, nameOf } from './batch-statement.js';
import type { RowsToWrite } from './cloud-writes.js';
import { lockStrength } from './key-change.js';
import { type KeyTo, keysTo } from './keys-to.js';

/** A batch with the row ids of its rows. */
export interface IdentifiedBatch {
  readonly batch: RowsToWrite;
  readonly rows: Float64Array;
}

/** Rows that the actions of one statement may change. */
const rowsMax = 500_000;

/** Does a foreign key act on what a batch does? */
export function isActedOn({ kind, table, columns }: RowsToWrite, session: SessionPort): boolean {
  if (kind === 'insert') return false;
  return actionsOn(session.catalog(), table).some(key =>
    kind === 'delete' ? acts(key.actions.onDelete) : changesKeyOf(key, table, columns),
  );
}

/**
 * A row that goes to another partition gets another key for foreign keys that refer to the partitioned table.
 * @throws ClarusError 0A000 where one of these acts on that
 */
export function mustNotLeaveActions({ leaves, table }: RowsToWrite, session: SessionPort): void {
  if (!leaves) return;
  const acting = actionsOn(session.catalog(), table).find(
    ({ key }) => key.references?.table !== table.number,
  );
  if (!acting) return;
  throw new ClarusError(
    '0A000',
    `rows of "${table.name}", on which foreign key "${acting.key.name}" acts, cannot go to another partition`,
    {
      detail: 'What the foreign key does is known for rows that stay in their partitions.',
      hint: 'Insert the row with its new key, change the rows that refer, and delete the old one.',
      schema: table.schema,
      table: table.name,
      constraint: acting.key.name,
    },
  );
}

const changesKeyOf = (
  { actions, references }: ReferringKey,
  table: LogicalTable,
  columns: readonly string[],
): boolean => acts(actions.onUpdate) && givesKey(references, table, columns);

const givesKey = (
  references: ReferringKey['references'],
  table: LogicalTable,
  columns: readonly string[],
): boolean =>
  table.columns.some(({ number, name }) => references.columns.includes(number) && columns.includes(name));

/** What a statement writes, with what follows of it. */
export interface WithActions {
  /** the statement's own first */
  readonly batches: readonly IdentifiedBatch[];
  /** a row that refers is in the way: the cloud refuses the statement, and the rest of the actions are left out */
  readonly isRefused: boolean;
}

/**
 * Adds what foreign keys do to what a statement writes.
 * @param batches the statement's own, locked
 * @throws ClarusError 0A000 where the statement itself changes a reference that an action would change too
 */
export async function withActions(
  batches: readonly IdentifiedBatch[],
  session: SessionPort,
  services: BatchServices,
): Promise<WithActions> {
  const consequences = new Consequences(session, services);
  return consequences.of(batches);
}

/** A row that is written. */
interface Change {
  kind: 'update' | 'delete';
  readonly ctid: string;
  /** new values by name of the column, in text form */
  readonly values: Map<string, Uint8Array | null>;
  /** columns that the statement itself gives values to */
  readonly own: ReadonlySet<string>;
  /** the statement itself writes the row */
  readonly isOwn: boolean;
}

/** Rows of one table that have been changed, and what follows of that is not known yet. */
interface Event {
  readonly table: LogicalTable;
  readonly kind: 'update' | 'delete';
  readonly rows: readonly number[];
  /** names; all for `delete` */
  readonly columns: readonly string[];
}

/** A row that refers to another. */
interface Referring {
  readonly row: number;
  readonly ctid: string;
  readonly parent: number;
}

class Consequences {
  readonly #changes = new Map<LogicalTable, Map<number, Change>>();
  readonly #events: Event[] = [];
  #count = 0;
  #isRefused = false;

  constructor(
    private readonly session: SessionPort,
    private readonly services: BatchServices,
  ) {}

  async of(batches: readonly IdentifiedBatch[]): Promise<WithActions> {
    const isInsert = ({ batch }: IdentifiedBatch): boolean => batch.kind === 'insert';
    // a key may be free only when its row is gone
    const from = batches.findIndex(batch => !isInsert(batch));
    const [earlier, later] =
      from < 0 ? [batches, []] : [batches.slice(0, from), batches.slice(from).filter(isInsert)];
    for (const { batch, rows } of batches) if (batch.kind !== 'insert') this.#begin(batch, rows);
    for (let event = this.#events.shift(); event && !this.#isRefused; event = this.#events.shift())
      for (const key of await keysTo(event.table, this.session))
        if (!this.#isRefused)
          await (event.kind === 'delete' ? this.#afterDelete(event, key) : this.#afterUpdate(event, key));
    const [own, consequences] = [this.#batches(true), this.#batches(false)];
    return { batches: [...earlier, ...own, ...later, ...consequences], isRefused: this.#isRefused };
  }

  #begin({ table, kind, columns, ctids, values }: RowsToWrite, rows: Float64Array): void {
    if (kind === 'insert') return;
    const changes = this.#changesOf(table);
    for (const [i, ctid] of ctids.entries()) {
      const given = new Map(kind === 'update' ? columns.map((name, k) => [name, values[i]![k]!]) : []);
      changes.set(rows[i]!, { kind, ctid, values: given, own: new Set(columns), isOwn: true });
    }
    this.#events.push({ table, kind, rows: [...rows], columns });
  }

  #changesOf(table: LogicalTable): Map<number, Change> {
    const same = [...this.#changes.keys()].find(({ number }) => number === table.number) ?? table;
    const changes = this.#changes.get(same) ?? new Map<number, Change>();
    this.#changes.set(same, changes);
    return changes;
  }

  async #afterDelete({ table, rows }: Event, key: KeyTo): Promise<void> {
    const { child, onDelete, deleteColumns } = key;
    if (!acts(onDelete)) return this.#look(key, onDelete, table, rows);
    if (!key.isOurs) return;
    if (onDelete === 'c') return this.#delete(key, await this.#referring(key, table, rows, 'UPDATE'));
    const columns = columnsNumbered(child, deleteColumns);
    const found = await this.#referring(key, table, rows, strengthOf(child, columns));
    await this.#setEmpty(key, found, columns, onDelete === 'd');
  }

  async #afterUpdate({ table, rows, columns }: Event, key: KeyTo): Promise<void> {
    const { child, onUpdate } = key;
    if (!givesKey(key.references, table, columns) || (acts(onUpdate) && !key.isOurs)) return;
    const changed = await this.#withOtherKey(key, table, rows);
    if (!acts(onUpdate)) return this.#look(key, onUpdate, table, changed);
    const own = columnsNumbered(child, key.key.columns);
    const found = await this.#referring(key, table, changed, strengthOf(child, own));
    if (onUpdate === 'c') this.#follow(key, table, found, own);
    else await this.#setEmpty(key, found, own, onUpdate === 'd');
  }

  /**
   * Is a row in the way of NO ACTION or RESTRICT that only what follows would take away?
   * @throws ClarusError 0A000 where NO ACTION may look later
   */
  async #look(key: KeyTo, action: string, table: LogicalTable, rows: readonly number[]): Promise<void> {
    const deferral = action === 'a' ? key.deferral : 'never';
    if (deferral === 'initially') return;
    const found = await this.#referring(key, table, rows, 'KEY SHARE');
    const changes = this.#changesOf(key.child);
    const names = columnsNumbered(key.child, key.key.columns).map(({ name }) => name);
    const isInTheWay = found.some(({ row }) => {
      const change = changes.get(row);
      return change?.kind !== 'delete' && !names.some(name => change?.values.has(name));
    });
    if (isInTheWay && deferral === 'possible') throw mayBeDeferred(key.key.name);
    this.#isRefused = isInTheWay;
  }

  /** Rows whose key is another one than it was, byte by byte (ri_KeysEqual). */
  async #withOtherKey(
    { references }: KeyTo,
    table: LogicalTable,
    rows: readonly number[],
  ): Promise<readonly number[]> {
    const changes = this.#changesOf(table);
    const columns = columnsNumbered(table, references.columns);
    const { session, services } = this;
    const stored = storedColumns(table, columns, services.registry);
    const before = await storedValues(stored, Float64Array.from(rows), session, services.context);
    const changed = new Set<number>();
    const places = new Map(rows.map((row, i) => [row, i]));
    for (const column of columns) {
      const given = rows.filter(row => changes.get(row)!.values.has(column.name));
      const texts = columnOf(given.map(row => changes.get(row)!.values.get(column.name)!));
      const [now] = await decided([convert(texts, 0, column.type, session)], session);
      for (const [i, row] of given.entries())
        if (!sameBytes(valueAt(before.get(column.number)!, places.get(row)!), valueAt(now!, i)))
          changed.add(row);
    }
    return [...changed];
  }

  /** Finds and locks the rows that refer to rows of a table. */
  async #referring(
    { child, key, references }: KeyTo,
    table: LogicalTable,
    rows: readonly number[],
    strength: RowLock['strength'],
  ): Promise<readonly Referring[]> {
    if (rows.length === 0) return [];
    const { session } = this;
    const pairs = columnsNumbered(child, key.columns).map((column, i) => {
      const [to] = columnsNumbered(table, [references.columns[i]!]);
      return `c.${keyName(column)} OPERATOR(pg_catalog.=) p.${keyName(to!)}`;
    });
    const query = statement(
      `SELECT c.${ROW_COLUMN}::pg_catalog.text, c.ctid::pg_catalog.text, p.${ROW_COLUMN}::pg_catalog.text
         FROM ONLY ${nameOf(child)} AS c JOIN ONLY ${nameOf(table)} AS p ON ${pairs.join(' AND ')}
        WHERE p.${ROW_COLUMN} = ANY ($1::pg_catalog.int8[]) FOR ${strength} OF c`,
      [],
    );
    const found = await collect(session.cloud, query, [rowIdArray(Float64Array.from(rows))], [1], [0]);
    this.#count += found.length;
    if (this.#count > rowsMax)
      throw new ClarusError('54000', 'foreign keys would change too many rows with one statement', {
        detail: `The actions of foreign keys may change ${rowsMax} rows.`,
        hint: 'Write the rows in several statements.',
      });
    session.fetched(child, [], found.length, sizeOf(found));
    return found.map(fields => {
      const [row, ctid, parent] = fields.map(field => Buffer.from(field ?? []).toString());
      return { row: Number(row), ctid: ctid!, parent: Number(parent) };
    });
  }

  #delete({ child, key }: KeyTo, found: readonly Referring[]): void {
    const changes = this.#changesOf(child);
    const names = columnsNumbered(child, key.columns).map(({ name }) => name);
    const rows: number[] = [];
    for (const { row, ctid } of found) {
      const known = changes.get(row);
      if (known?.kind === 'delete') continue;
      if (known) mustNotOwn(known, names, key.name);
      changes.set(row, { kind: 'delete', ctid, values: new Map(), own: new Set(), isOwn: false });
      rows.push(row);
    }
    if (rows.length > 0) this.#events.push({ table: child, kind: 'delete', rows, columns: [] });
  }

  /** CASCADE of an update: the key as the row that is referred to has it now. */
  #follow(
    { child, key, references }: KeyTo,
    table: LogicalTable,
    found: readonly Referring[],
    columns: readonly LogicalColumn[],
  ): void {
    const parents = this.#changesOf(table);
    const to = columnsNumbered(table, references.columns);
    for (const [i, column] of columns.entries()) {
      const changed = found.filter(({ parent }) => parents.get(parent)!.values.has(to[i]!.name));
      this.#set(
        child,
        key.name,
        column,
        changed,
        changed.map(({ parent }) => parents.get(parent)!.values.get(to[i]!.name)!),
      );
    }
  }

  async #setEmpty(
    { child, key }: KeyTo,
    found: readonly Referring[],
    columns: readonly LogicalColumn[],
    withDefault: boolean,
  ): Promise<void> {
    if (found.length === 0) return;
    const { session } = this;
    // a partition may have other defaults than the table whose foreign key acts
    const above = partitionedAbove(child, session.catalog().tables.values());
    const { table: acting } = wholeKey(child, key, above);
    const defaults = withDefault ? await defaultsOf(acting, session) : new Map();
    for (const column of columns) {
      const declared = acting.columns.find(({ name }) => name === column.name)!;
      const expression = defaults.get(declared.attnum);
      const time = expression?.time ? await transactionTime(session) : null;
      const values = expression
        ? await defaultValues(column.type, expression, found.length, time, 0, session)
        : found.map(() => null);
      this.#set(child, key.name, column, found, values);
    }
  }

  #set(
    table: LogicalTable,
    key: string,
    { name }: LogicalColumn,
    found: readonly Referring[],
    values: readonly (Uint8Array | null)[],
  ): void {
    const changes = this.#changesOf(table);
    const rows: number[] = [];
    for (const [i, { row, ctid }] of found.entries()) {
      const known = changes.get(row);
      if (known?.kind === 'delete') continue;
      if (known) mustNotOwn(known, [name], key);
      const change: Change = known ?? { ...nothing, ctid, values: new Map() };
      changes.set(row, change);
      if (change.values.has(name) && sameBytes(change.values.get(name)!, values[i]!)) continue;
      change.values.set(name, values[i]!);
      rows.push(row);
    }
    if (rows.length > 0) this.#events.push({ table, kind: 'update', rows, columns: [name] });
  }

  /**
   * All changes, those of the same columns of a table together.
   * @param which those of rows that the statement itself writes, or the others
   */
  #batches(which: boolean): readonly IdentifiedBatch[] {
    const found = new Map<string, { readonly batch: Growing; readonly rows: number[] }>();
    for (const [table, changes] of this.#changes)
      for (const [row, { kind, ctid, values, isOwn }] of changes) {
        if (isOwn !== which) continue;
        const columns = [...values.keys()].sort();
        const id = `${table.number} ${kind} ${JSON.stringify(columns)}`;
        const known = found.get(id) ?? { batch: { table, kind, columns, ctids: [], values: [] }, rows: [] };
        found.set(id, known);
        known.batch.ctids.push(ctid);
        if (kind === 'update') known.batch.values.push(columns.map(name => values.get(name)!));
        known.rows.push(row);
      }
    return [...found.values()].map(({ batch, rows }) => ({ batch, rows: Float64Array.from(rows) }));
  }
}

const nothing = { kind: 'update', own: new Set<string>(), isOwn: false } as const;

type Growing = RowsToWrite & { readonly ctids: string[]; readonly values: RowsToWrite['values'][number][] };

/** PostgreSQL would look at the reference as the statement leaves it. */
function mustNotOwn({ own }: Change, columns: readonly string[], key: string): void {
  if (columns.some(name => own.has(name)))
    throw new ClarusError(
      '0A000',
      `one statement changes a reference that foreign key "${key}" acts on too`,
      {
        hint: 'Write the two tables, or the key and the reference, in two statements.',
        constraint: key,
      },
    );
}

/** SET CONSTRAINTS may have put off when the key looks, which no server tells. */
const mayBeDeferred = (key: string): ClarusError =>
  new ClarusError(
    '0A000',
    `foreign key "${key}" is deferrable, and a row that refers would go by another action`,
    {
      detail: 'PostgreSQL would refuse that, or not, by what SET CONSTRAINTS says.',
      hint: 'Delete the rows that refer first.',
      constraint: key,
    },
  );

const strengthOf = (table: LogicalTable, columns: readonly LogicalColumn[]): RowLock['strength'] =>
  lockStrength({ table, columns: columns.map(({ name }) => name) });

const columnsNumbered = (table: LogicalTable, numbers: readonly number[]): readonly LogicalColumn[] =>
  numbers.map(number => table.columns.find(column => column.number === number)!);

const keyName = (column: LogicalColumn): string => quoteName(keyColumnName(column) ?? '');

const sameBytes = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : Buffer.compare(a, b) === 0;
