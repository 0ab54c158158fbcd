/** Plans beside DDL of other sessions: which to make anew, and when (changing.ts). */
import type { ChangingTables } from './changing.js';
import { factsOf } from './facts.js';
import type { Plan } from './plan.js';
import type { SessionPort } from './ports.js';
import type { RawNode } from './raw/node.js';

/** What planning asks about changes of other sessions. Tables are `schema.table`. */
export class BesideDdl {
  constructor(
    private readonly changing: ChangingTables,
    /** waits until every commit of DDL that has begun is in the catalogue */
    private readonly settle: () => Promise<void>,
  ) {}

  /** Tables that a statement names and another session changes: it would be analysed beside that. */
  changedNames(node: RawNode, session: SessionPort): readonly string[] {
    return this.changing.any ? this.changing.namedIn(node, session) : [];
  }

  /** The tables of a plan that another session changes. */
  changedTables(plan: Plan, session: SessionPort): readonly string[] {
    if (!this.changing.any || plan.kind !== 'protected' || plan.body.kind === 'ddl') return [];
    return this.changing.among(factsOf(plan, session.catalog()).tables, session);
  }

  /** Waits for the DDL that changes tables, and for its commit. @throws like `ChangingTables.wait` */
  async wait(tables: readonly string[], session: SessionPort): Promise<void> {
    await this.changing.wait(tables, session);
    await this.settle();
  }

  /** Does a plan write to a table that another session changes? */
  isOvertaken(plan: Plan, session: SessionPort): boolean {
    return isWrite(plan) && this.changedTables(plan, session).length > 0;
  }

  /**
   * A statement is about to run.
   * @returns what to call when it is answered; undefined: nobody waits for it
   * @throws ClarusError 40001 where it writes by a plan of before a change that has begun
   */
  running(plan: Plan, session: SessionPort): (() => void) | undefined {
    if (!isWrite(plan)) return undefined;
    return this.changing.writing(factsOf(plan, session.catalog()).tables, session);
  }
}

const isWrite = (plan: Plan): boolean =>
  plan.kind === 'protected' &&
  plan.body.kind !== 'ddl' &&
  (plan.command !== 'SELECT' || plan.writes === true);
