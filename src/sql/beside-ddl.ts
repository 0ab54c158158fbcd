/** Plans beside DDL of other sessions: which to make anew, and when (changing.ts). */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { childrenOf } from '../catalog/foreign-keys.js';
import type { ChangingTables } from './changing.js';
import { factsOf } from './facts.js';
import type { Plan } from './plan.js';
import type { SessionPort } from './ports.js';
import type { RawNode } from './raw/node.js';

/** What planning asks about changes of other sessions. Tables are `schema.table`. */
export class BesideDdl {
  readonly #tables = new WeakMap<Plan, readonly string[]>();

  constructor(
    private readonly changing: ChangingTables,
    /** waits until every commit of DDL that has begun is in the catalogue */
    private readonly settle: () => Promise<void>,
  ) {}

  /**
   * Takes down what a plan goes by: the tables that it touches, and where it writes also those that foreign keys change
   * with them.
   */
  note(plan: Plan, touched: ReadonlySet<LogicalTable>, catalog: Catalog): void {
    if (touched.size === 0) return;
    const tables = isWrite(plan) ? withChildren(touched, catalog) : touched;
    this.#tables.set(
      plan,
      [...tables].map(({ schema, name }) => `${schema}.${name}`),
    );
  }

  /** Tables that a statement names and another session changes: it would be analysed beside that. */
  changedNames(node: RawNode, session: SessionPort): readonly string[] {
    return this.changing.any ? this.changing.namedIn(node, session) : [];
  }

  /** The tables of a plan that another session changes. */
  changedTables(plan: Plan, session: SessionPort): readonly string[] {
    if (!this.changing.any || isDdl(plan)) return [];
    return this.changing.among(this.#tablesOf(plan, session), session, isWrite(plan));
  }

  /** Waits for the DDL that changes tables, and for its commit. @throws like `ChangingTables.wait` */
  async wait(tables: readonly string[], session: SessionPort, writes: boolean): Promise<void> {
    await this.changing.wait(tables, session, writes);
    await this.settle();
  }

  /**
   * Is a plan about a table that another session changes, or a write by a catalogue that is not the one of now? Reads of
   * protected tables name columns that are gone then.
   * @param madeBy the catalogue that the plan was made by; undefined: it asks none
   */
  isOvertaken(plan: Plan, session: SessionPort, madeBy: Catalog | undefined): boolean {
    if (!mustBeCurrent(plan)) return false;
    if (this.changedTables(plan, session).length > 0) return true;
    return plan.kind === 'protected' && madeBy !== undefined && madeBy !== session.catalog();
  }

  /**
   * A statement is about to run.
   * @returns what to call when it is answered; undefined: nobody waits for it
   * @throws ClarusError 40001 where it goes by a plan of before a change that has begun
   */
  running(plan: Plan, session: SessionPort): (() => void) | undefined {
    if (!mustBeCurrent(plan)) return undefined;
    const tables = this.#tablesOf(plan, session);
    return tables.length === 0 ? undefined : this.changing.sending(tables, session, isWrite(plan));
  }

  #tablesOf(plan: Plan, session: SessionPort): readonly string[] {
    return (
      this.#tables.get(plan) ?? (plan.kind === 'protected' ? factsOf(plan, session.catalog()).tables : none)
    );
  }
}

const none: readonly string[] = [];

const isDdl = (plan: Plan): boolean => plan.kind === 'protected' && plan.body.kind === 'ddl';

/** The text of a passed statement means what its names mean when it comes to the cloud. */
const mustBeCurrent = (plan: Plan): boolean =>
  plan.kind === 'pass' || (plan.kind === 'protected' && !isDdl(plan) && isWrite(plan));

/** Does a plan write? */
export const isWrite = (plan: Plan): boolean =>
  plan.kind === 'protected'
    ? plan.command !== 'SELECT' || plan.writes === true
    : plan.kind === 'pass' && plan.copy !== 'out' && !/^\s*select\b/i.test(plan.sql);

function withChildren(tables: ReadonlySet<LogicalTable>, catalog: Catalog): ReadonlySet<LogicalTable> {
  const all = new Set(tables);
  for (const table of all) for (const child of childrenOf(catalog, table)) all.add(child);
  return all;
}
