/** Looks for conflicts of the rows of one statement with those that stand and with each other. */
import { type LogicalColumn, ROW_COLUMN } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { columnOf } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { arrayOf } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import { eachStored, type StoredCondition, storedColumns } from '../checks/stored.js';
import { collect } from '../execute/collect.js';
import { convert, decided } from '../execute/conversion.js';
import { statement } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import { type BatchServices, nameOf } from '../split/write/batch-statement.js';
import { type Conflict, conflictsAmong, conflictsWith, type Rows } from './conflicts.js';
import type { Exclusion, Exclusions } from './exclusion.js';
import type { GuardedChange, GuardedWrite, SkippedBy } from './write.js';

/** How often rows that others delete are waited for. */
const waitsMax = 1000;

/** A row that conflicts with another. */
export interface Found {
  /** place of the row among those of the statement */
  readonly place: number;
  readonly exclusion: Exclusion;
  readonly conflict: Conflict;
}

/** A row that conflicts, and the one of the statement with which it does; absent: one that stands. */
interface Pair {
  readonly place: number;
  readonly before?: number;
  readonly conflict: Conflict;
}

/** Rows of a statement that are compared. */
interface Compared<Change> extends Rows {
  readonly changes: readonly Change[];
  /** their places among those of the statement */
  readonly places: readonly number[];
}

/** Looks for what conflicts among the rows that a statement writes. */
export class Looking<Change extends GuardedChange> {
  constructor(
    private readonly given: GuardedWrite<Change>,
    private readonly of: Exclusions,
    private readonly session: SessionPort,
    private readonly services: BatchServices,
  ) {}

  /** The first row that conflicts by one of some constraints. */
  async first(
    changes: readonly Change[],
    isLooked: (exclusion: Exclusion) => boolean,
  ): Promise<Found | undefined> {
    let first: Found | undefined;
    for (const exclusion of this.of.exclusions.filter(isLooked))
      for (const { place, conflict } of await this.#pairs(exclusion, changes, false))
        if (!first || place < first.place) first = { place, exclusion, conflict };
    return first;
  }

  /** The rows that conflict with none that stands, and with none before them that is not left out itself. */
  async left({ exclusions, keys }: SkippedBy): Promise<readonly Change[]> {
    const { changes } = this.given;
    const out = new Set<number>();
    let pairs: Pair[] = [];
    for (const exclusion of this.of.exclusions.filter(({ name }) => exclusions.includes(name)))
      pairs = pairs.concat(await this.#pairs(exclusion, changes, true));
    for (const key of keys) {
      const rows = await this.#rows(changes, key.columns, () => true);
      for (const conflict of await conflictsAmong(key, this.of, rows, 'later', true, this.session))
        pairs.push({ place: rows.places[conflict.row]!, before: rows.places[conflict.other]!, conflict });
    }
    for (const { place, before } of pairs.sort((a, b) => a.place - b.place))
      if (before === undefined || !out.has(before)) out.add(place);
    return changes.filter((_, place) => !out.has(place));
  }

  /** @param all all that conflict; else those among which the first one is */
  async #pairs(exclusion: Exclusion, changes: readonly Change[], all: boolean): Promise<readonly Pair[]> {
    const { of, session } = this;
    const isWritten = ({ kind, columns }: Change): boolean =>
      kind === 'insert' || exclusion.columns.some(({ name }) => columns.includes(name));
    const rows = await this.#rows(changes, exclusion.columns, isWritten);
    if (rows.count === 0) return [];
    const among = await conflictsAmong(exclusion, of, rows, 'later', all, session);
    const standing = await this.#standing(exclusion, rows, this.#gone(changes, isWritten), all);
    return [
      ...standing.map(conflict => ({ place: rows.places[conflict.row]!, conflict })),
      ...among.map(conflict => ({
        place: rows.places[conflict.row]!,
        before: rows.places[conflict.other]!,
        conflict,
      })),
    ];
  }

  /** The rows as they become, in binary form. */
  async #rows(
    changes: readonly Change[],
    columns: readonly LogicalColumn[],
    isCompared: (change: Change) => boolean,
  ): Promise<Compared<Change>> {
    const places = [...changes.keys()].filter(
      place => changes[place]!.new !== undefined && isCompared(changes[place]!),
    );
    const compared = places.map(place => changes[place]!);
    const converted = await decided(
      columns.map(column => convert(columnOf(this.#texts(compared, column)), 0, column.type, this.session)),
      this.session,
    );
    const values = new Map(columns.map(({ number }, i) => [number, converted[i]!]));
    return { values, count: places.length, changes: compared, places };
  }

  #texts(changes: readonly Change[], column: LogicalColumn): readonly (Uint8Array | null)[] {
    const at = this.of.table.columns.indexOf(column);
    return changes.map(change => change.new![at]!.text);
  }

  /** Rows that go or get other keys, by row id: before which of the rows that are compared, or with which, they do. */
  #gone(changes: readonly Change[], isCompared: (change: Change) => boolean): ReadonlyMap<number, number> {
    const gone = new Map<number, number>();
    let compared = 0;
    for (const change of changes) {
      const isOne = change.kind !== 'delete' && isCompared(change);
      const goes = change.kind === 'delete' || isOne;
      if (goes && change.ctid !== undefined) gone.set(this.given.places.get(change.ctid)!, compared);
      if (isOne) compared++;
    }
    return gone;
  }

  /** Conflicts with rows that stand, and that nobody is deleting. */
  async #standing(
    exclusion: Exclusion,
    rows: Compared<Change>,
    gone: ReadonlyMap<number, number>,
    all: boolean,
  ): Promise<readonly Conflict[]> {
    const { of, session, services } = this;
    const stored = storedColumns(of.table, exclusion.columns, services.registry);
    for (let wait = 0; wait < waitsMax; wait++) {
      const found: Conflict[] = [];
      const others = new Set<number>();
      const compare = async (values: Rows['values'], count: number, ids: Float64Array): Promise<void> => {
        const goes = Array.from(ids, id => gone.get(id) ?? null);
        const theirs = { values, count };
        for (const conflict of await conflictsWith(exclusion, of, rows, theirs, goes, all, session)) {
          found.push(conflict);
          others.add(ids[conflict.other]!);
        }
      };
      await eachStored(stored, session, services.context, compare, this.#where(exclusion, rows));
      // what the statement writes itself it has locked
      if (await this.#stay([...others].filter(id => !gone.has(id))))
        return found.sort((a, b) => a.row - b.row);
    }
    throw new ClarusError('40001', 'rows go faster than others can be compared with them', {
      hint: 'Try again.',
    });
  }

  /**
   * Waits for sessions that delete rows with which others conflict, as check_exclusion_or_unique_constraint does
   * (execIndexing.c). Nothing stays locked by that.
   * @returns false: one of them is gone
   */
  async #stay(ids: readonly number[]): Promise<boolean> {
    if (ids.length === 0) return true;
    const done = Symbol('done');
    let count = 0;
    const query = statement(
      `SELECT 1 FROM ONLY ${nameOf(this.of.table)} AS t WHERE t.${ROW_COLUMN} = ANY ($1::pg_catalog.int8[]) FOR KEY SHARE`,
      [],
    );
    const look = async (): Promise<never> => {
      const parameter = Buffer.from(`{${ids.join()}}`);
      count = (await collect(this.session.cloud, query, [parameter], [0], [])).length;
      throw done;
    };
    await this.session.transaction.subtransaction(look).catch(error => {
      if (error !== done) throw error;
    });
    return count === ids.length;
  }

  /** What the cloud compares itself: unprotected columns, which it is given in the clear anyway. */
  #where({ open }: Exclusion, { changes }: Compared<Change>): StoredCondition | undefined {
    const columns = open.filter(column => column !== undefined);
    if (columns.length === 0) return undefined;
    const conditions = columns.map(
      ({ name, typeName }, i) =>
        `t.${quoteName(name)} OPERATOR(pg_catalog.=) ANY ($${i + 1}::pg_catalog.text[]::${typeName}[])`,
    );
    const parameters = columns.map(column => arrayOf(columnOf(this.#texts(changes, column)), typeOids.text));
    return { sql: conditions.join(' AND '), parameters };
  }
}
