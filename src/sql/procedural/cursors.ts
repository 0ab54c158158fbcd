/**
 * Cursors that bodies have opened. A cursor returns what its query returned when it was opened (PostgreSQL manual,
 * DECLARE: cursors are insensitive), so its rows are read then, as those of a loop are, and kept until it is closed.
 */
import { ClarusError } from '../../errors.js';
import { markRaised } from './errors.js';
import type { Outcome } from './run.js';

/** Cursors that may be open at once. */
const cursorsMax = 100;

/** Where a cursor stands: 0 before its first row, then on a row, then one behind the last. */
export interface OpenCursor {
  readonly name: string;
  readonly outcome: Outcome;
  /** it may go back */
  readonly scrolls: boolean;
  /** place among those that the session has opened */
  readonly order: number;
  /** a loop goes over it: it outlives COMMIT and ROLLBACK in the loop (HoldPinnedPortals) */
  readonly pinned: boolean;
  position: number;
  /** where it stands may depend on a protected column, and so may the row there */
  secret: boolean;
}

/** What FETCH and MOVE come to. */
export interface Reached {
  /** rows that they went over, or came to */
  readonly count: number;
  /** place of the row that they came to, from 0; undefined: they are on none */
  readonly row: number | undefined;
}

/** The cursors of one session. */
export class OpenCursors {
  readonly #byName = new Map<string, OpenCursor>();
  #opened = 0;
  #unnamed = 0;

  /** A name for a portal that is given none (CreateNewPortal in portalmem.c). */
  nextName(): string {
    for (;;) {
      const name = `<unnamed portal ${++this.#unnamed}>`;
      if (!this.#byName.has(name)) return name;
    }
  }

  /** @throws ClarusError 42P03 where the name is in use, 54000 where too many are open */
  mustBeFree(name: string): void {
    if (this.#byName.has(name)) throw new ClarusError('42P03', `cursor "${name}" already in use`);
    if (this.#byName.size >= cursorsMax)
      throw new ClarusError('54000', `more than ${cursorsMax} cursors are open in functions and DO blocks`, {
        hint: 'Close some.',
      });
  }

  open(
    name: string,
    outcome: Outcome,
    { scrolls, pinned = false }: { scrolls: boolean; pinned?: boolean },
  ): void {
    const order = ++this.#opened;
    this.#byName.set(name, { name, outcome, scrolls, order, pinned, position: 0, secret: false });
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** @throws ClarusError 34000 */
  get(name: string): OpenCursor {
    const found = this.#byName.get(name);
    if (!found) throw markRaised(new ClarusError('34000', `cursor "${name}" does not exist`));
    return found;
  }

  close(name: string): void {
    this.#byName.delete(name);
  }

  /** Number of cursors opened so far: what a subtransaction remembers. */
  mark(): number {
    return this.#opened;
  }

  /** A subtransaction has failed: what was opened in it goes. */
  rollBackTo(mark: number): void {
    this.#closeWhere(({ order }) => order > mark);
  }

  /** The transaction has ended within a body. */
  endTransaction(): void {
    this.#closeWhere(({ pinned }) => !pinned);
  }

  clear(): void {
    this.#byName.clear();
  }

  #closeWhere(gone: (cursor: OpenCursor) => boolean): void {
    for (const [name, cursor] of this.#byName) if (gone(cursor)) this.#byName.delete(name);
  }
}

/**
 * Goes to rows of a cursor (DoPortalRunFetch in pquery.c).
 * @param moves it only goes there, and fetches nothing
 * @throws ClarusError 55000 where it would go back and may not
 */
export function go(
  cursor: OpenCursor,
  kind: 'forward' | 'backward' | 'absolute' | 'relative',
  n: number,
  moves: boolean,
): Reached {
  switch (kind) {
    case 'absolute':
      if (goesBack(cursor, n)) mustScroll(cursor);
      return one(cursor, n < 0 ? cursor.outcome.rows.length + 1 + n : n);
    case 'relative':
      if (n === 0) return here(cursor, moves);
      if (n < 0) mustScroll(cursor);
      return one(cursor, cursor.position + n);
    case 'backward':
      return several(cursor, -n, moves);
    case 'forward':
      return several(cursor, n, moves);
  }
}

/** Is the n-th row reached by going back? One that is less than halfway from the start is, whatever stands before it. */
function goesBack({ position, outcome }: OpenCursor, n: number): boolean {
  if (n < 0) return true;
  if (n <= position) return position > 0;
  return position > 0 && n - 1 <= Math.floor(Math.min(position, outcome.rows.length) / 2);
}

/** The row that it is on, which is fetched anew from the one before. */
function here(cursor: OpenCursor, moves: boolean): Reached {
  if (!moves && onRow(cursor)) mustScroll(cursor);
  return one(cursor, cursor.position);
}

/** Comes to one row, or to none. */
function one(cursor: OpenCursor, to: number): Reached {
  cursor.position = Math.max(0, Math.min(to, cursor.outcome.rows.length + 1));
  return onRow(cursor) ? { count: 1, row: cursor.position - 1 } : { count: 0, row: undefined };
}

/** Goes over rows. @param n of none, the row that it is on counts; below 0: back */
function several(cursor: OpenCursor, n: number, moves: boolean): Reached {
  if (n === 0) return here(cursor, moves);
  const last = cursor.outcome.rows.length;
  const from = cursor.position;
  const staysAtStart = moves && n === Number.NEGATIVE_INFINITY && from === 0;
  if (n < 0 && !staysAtStart) mustScroll(cursor);
  cursor.position = Math.max(0, Math.min(from + n, last + 1));
  const count = Math.abs(cursor.position - from) - (onRow(cursor) || cursor.position === from ? 0 : 1);
  // the first of several rows is what FETCH takes, and it takes one at most
  return { count, row: onRow(cursor) && count > 0 ? cursor.position - 1 : undefined };
}

const onRow = ({ position, outcome }: OpenCursor): boolean => position > 0 && position <= outcome.rows.length;

function mustScroll({ scrolls }: OpenCursor): void {
  if (scrolls) return;
  throw markRaised(
    new ClarusError('55000', 'cursor can only scan forward', {
      hint: 'Declare it with SCROLL option to enable backward scan.',
    }),
  );
}
