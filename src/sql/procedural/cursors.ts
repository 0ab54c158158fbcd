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
 * @throws ClarusError 55000 where it would go back and may not
 */
export function go(
  cursor: OpenCursor,
  kind: 'forward' | 'backward' | 'absolute' | 'relative',
  n: number,
): Reached {
  switch (kind) {
    case 'absolute':
      return one(cursor, n > 0 ? n : n < 0 ? cursor.outcome.rows.length + 1 + n : 0, n <= 0);
    case 'relative':
      return one(cursor, cursor.position + n, n <= 0);
    case 'backward':
      return several(cursor, -n);
    case 'forward':
      return several(cursor, n);
  }
}

/** Comes to one row, or to none. @param back it takes a cursor that may go back */
function one(cursor: OpenCursor, to: number, back: boolean): Reached {
  const last = cursor.outcome.rows.length;
  if (back || to < cursor.position) mustScroll(cursor);
  cursor.position = Math.max(0, Math.min(to, last + 1));
  return onRow(cursor) ? { count: 1, row: cursor.position - 1 } : { count: 0, row: undefined };
}

/** Goes over rows. @param n of none, the row that it is on counts; below 0: back */
function several(cursor: OpenCursor, n: number): Reached {
  if (n === 0) return one(cursor, cursor.position, true);
  if (n < 0) mustScroll(cursor);
  const last = cursor.outcome.rows.length;
  const from = cursor.position;
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
