/** The cursors of one session whose rows the trusted PostgreSQL keeps, with the lives that PostgreSQL gives them. */
import { ClarusError } from '../errors.js';
import type { CursorDeclaration, Plan } from '../sql/plan.js';

type CursorPlan = Extract<Plan, { kind: 'cursor' }>;

/** A cursor whose rows are kept. */
export interface Cursor extends CursorDeclaration {
  /** what statements that fetch from it are, by their text */
  readonly plans: Map<string, CursorPlan>;
}

/** Statements that fetch from a cursor that are known to it. */
const plansMax = 100;

interface Kept {
  readonly cursor: Cursor;
  /** place among the cursors of the session, in the order in which they were declared */
  readonly order: number;
  /** its transaction has committed: it is WITH HOLD */
  held: boolean;
}

/** Which cursors there are (portalmem.c of PostgreSQL: those WITH HOLD outlive the transaction that commits them). */
export class Cursors {
  readonly #byName = new Map<string, Kept>();
  readonly #max: number;
  readonly #release: (name: string) => void;
  #declared = 0;

  /** @param release gives back the rows of a cursor that is gone */
  constructor(max: number, release: (name: string) => void) {
    this.#max = max;
    this.#release = release;
  }

  get size(): number {
    return this.#byName.size;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  get(name: string): Cursor | undefined {
    return this.#byName.get(name)?.cursor;
  }

  /** @throws ClarusError 42P03 when the name is taken, 54000 when there are too many */
  check(name: string): void {
    this.checkName(name);
    if (this.#byName.size >= this.#max)
      throw new ClarusError('54000', `more than ${this.#max} cursors over protected tables`, {
        hint: 'Close some, or raise limits.portals_max.',
      });
  }

  /** @throws ClarusError 42P03 when the name is taken */
  checkName(name: string): void {
    if (this.#byName.has(name)) throw taken(name);
  }

  /** Declared in the transaction that is running. */
  put(declaration: CursorDeclaration): void {
    const cursor = { ...declaration, plans: new Map() };
    this.#byName.set(declaration.name, { cursor, order: ++this.#declared, held: false });
  }

  /** CLOSE. @returns false when there is none of that name */
  close(name: string): boolean {
    if (!this.#byName.delete(name)) return false;
    this.#release(name);
    return true;
  }

  /** CLOSE ALL. */
  clear(): void {
    this.#closeWhere(() => true);
  }

  /** The transaction has committed. */
  commit(): void {
    for (const kept of this.#byName.values()) kept.held ||= kept.cursor.hold;
    this.end();
  }

  /** The transaction is over: what it has not committed goes. */
  end(): void {
    this.#closeWhere(({ held }) => !held);
  }

  /** Number of cursors declared so far: what a savepoint remembers. */
  mark(): number {
    return this.#declared;
  }

  /** Back to a savepoint: what was declared since goes. */
  rollBackTo(mark: number): void {
    this.#closeWhere(({ order }) => order > mark);
  }

  #closeWhere(gone: (kept: Kept) => boolean): void {
    for (const [name, kept] of this.#byName) if (gone(kept)) this.close(name);
  }
}

/** The plan of a statement that fetches from a cursor. */
export function planOfFetch(cursor: Cursor, sql: string, moves: boolean): CursorPlan {
  const { name, binary, localised, columns, plans } = cursor;
  const known = plans.get(sql);
  if (known !== undefined) return known;
  const shape = { parameterTypes: [], columns: moves ? undefined : columns };
  const plan: CursorPlan = { kind: 'cursor', sql, cursor: name, binary, localised, shape };
  if (plans.size < plansMax) plans.set(sql, plan);
  return plan;
}

/** What PostgreSQL says to a name that is in use (CreatePortal in portalmem.c). */
export const taken = (name: string): ClarusError =>
  new ClarusError('42P03', `cursor "${name}" already exists`);
