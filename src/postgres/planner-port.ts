/**
 * What the gateway asks of planning and of the durable journal of commits. Both are handed in by proxy.ts, so
 * that the gateway knows plans and no SQL.
 */
import type { Awaitable } from '../awaitable.js';
import type { Redo } from '../catalog/catalog.js';
import type { ClarusError } from '../errors.js';
import type { BoundParameters, Plan, ProtectedPlan } from '../sql/plan.js';
import type { CopyInExecution, Execution, OutcomeListener, SessionPort } from '../sql/ports.js';
import type { PostgresError } from '../wire/diagnostic.js';
import type { Origin } from './failure.js';

/** One statement of a query string. The parse tree behind it is the planner's own. */
export interface Statement {
  /** slice of the query string */
  readonly text: string;
  /** where the slice begins in the query string */
  readonly start: Origin;
}

/** The whole of planning, as the gateway sees it. */
export interface Planner {
  /**
   * Splits a query string.
   * @throws ClarusError 42601 with the position of the first syntax error
   */
  statements(text: string): readonly (Statement & { readonly start: number })[];
  /**
   * Does a statement of a query string speak to Clarus itself (SECURITY LABEL FOR clarus, EXPLAIN (CLARUS))?
   * Asked only of text that holds the word. False for what cannot be parsed.
   */
  speaksToClarus(text: string): boolean;
  /**
   * The plan of a statement in a session: cached inside, keyed as docs/architecture.md says.
   * @param parameterTypes OIDs as Parse gave them; 0 or absent: to be inferred
   * @throws ClarusError or PostgresError when it is refused or wrong
   */
  plan(statement: Statement, parameterTypes: readonly number[], session: SessionPort): Promise<Plan>;
  /**
   * The cached plan of a query string that holds exactly one statement, or undefined. Never waits; a planner
   * without it is only slower.
   */
  cached?(text: string, parameterTypes: readonly number[], session: SessionPort): Plan | undefined;
  /**
   * Is a plan made earlier in this session still the one to run (catalogue, settings, role)? Undefined method:
   * always. A stale plan is made anew from its statement.
   */
  current?(plan: Plan, session: SessionPort): boolean;
  /**
   * An error of the cloud as the client may see it: in logical names, without protected forms. Absent: as it is.
   */
  clientError?(error: PostgresError, session: SessionPort): PostgresError | ClarusError;
  /** Does a plan write to a table that another session changes, or by a catalogue of before? It is to be made anew. */
  overtaken?(plan: Plan, session: SessionPort): boolean;
  /**
   * May the role that the session acts as run a plan? Absent: sessions act as no other.
   * @returns undefined: it may
   * @throws PostgresError or ClarusError 42501 as PostgreSQL says that it may not; ClarusError 0A000
   */
  permit?(plan: Plan, session: SessionPort): Promise<void> | undefined;
  /** Was a plan made for another role than the session acts as now? */
  actsOtherwise?(plan: Plan, session: SessionPort): boolean;
  /**
   * A statement is about to run.
   * @returns what to call when it is answered; undefined: nobody waits for it
   * @throws ClarusError 40001 where it writes by a plan of before a change that has begun
   */
  running?(plan: Plan, session: SessionPort): (() => void) | undefined;
  /**
   * Makes a portal of a plan over protected tables.
   * @param resultFormats none: all text; one: for all; else one a column
   * @param portal name of the client's portal; undefined: the portal is used once, at once
   */
  bind(
    plan: ProtectedPlan,
    parameters: BoundParameters,
    resultFormats: readonly (0 | 1)[],
    session: SessionPort,
    portal: string | undefined,
  ): Awaitable<ProtectedPortal>;
  /** Begins COPY ... FROM STDIN of a protected table. */
  copyIn(plan: ProtectedPlan, session: SessionPort): Promise<CopyInExecution>;
}

/** A bound plan over protected tables. It writes its DataRows to `session.client`. */
export interface ProtectedPortal {
  /**
   * @param maxRows 0: no limit
   * @param listener hears how it ended, where it is pipelined
   */
  execute(maxRows: number, listener: OutcomeListener): Awaitable<Execution>;
  close(): void;
  /** for COPY ... TO STDOUT: what CopyOutResponse says; the portal then writes CopyData messages only */
  readonly copyOut?: { readonly format: 0 | 1; readonly columns: number };
}

/** The durable journal of commits that change trusted state (DESIGN: "One commit"). */
export interface CommitCoordinator {
  /**
   * Writes the entry durably, before the cloud commits.
   * @param cloudXid `pg_current_xact_id()` of the cloud's transaction
   * @param shadowXid the same of the trusted backend's, when it takes part
   * @returns number of the entry
   */
  prepare(redo: Redo, cloudXid: string, shadowXid: string | undefined): Promise<number>;
  /** Both sides committed: the catalogue takes the changes and the entry goes. */
  finish(entry: number): Promise<void>;
  /** The session cannot tell how the commit ended, or cannot follow it: recovery settles the entry. */
  leave(entry: number): void;
  /** The cloud did not commit: the entry goes without effect. */
  abandon(entry: number): Promise<void>;
}
