/** The door of sql/: statements in, plans out, portals that run them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Awaitable } from '../awaitable.js';
import type { Catalog } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import type { PostgresError } from '../wire/diagnostic.js';
import { mustBePermitted } from './acting/permitted.js';
import { withoutRows } from './acting/told.js';
import { BesideDdl, isWrite } from './beside-ddl.js';
import { Binding } from './binding.js';
import { onlyReads } from './changing.js';
import { logicalError } from './client-error.js';
import { CatalogueBehind } from './columns.js';
import type { Portal } from './execute/portal.js';
import { asksClarus } from './explain.js';
import { keepable, type MadeWith, madeWith, planKey, rolesIn, same } from './kept-plans.js';
import type { BoundParameters, Plan, ProtectedPlan } from './plan.js';
import { Planning } from './planner.js';
import type { CopyInExecution, SessionPort } from './ports.js';
import type { RawNode } from './raw/node.js';
import { parseStatements, type RawStatement } from './raw/parse.js';
import type { SqlServices } from './services.js';
import { noteTransaction } from './snapshots.js';
import { touching } from './touch.js';

export type { DdlRunner, SqlServices } from './services.js';

/** How often a statement is planned anew because the catalogue changed meanwhile. */
const attemptsMax = 20;

/** One statement of a query string. */
export interface Statement extends RawStatement {
  /** where its text begins in the query string, in UTF-16 units */
  readonly start: number;
}

/** Plans statements, keeps the plans while the catalogue stays the same, and binds them; shared by sessions. */
export class Sql {
  readonly #planning: Planning;
  /** Plans by snapshot: a new snapshot begins with none, and an old one's go with it. */
  readonly #plans = new WeakMap<Catalog, Map<string, Plan>>();
  readonly #madeWith = new WeakMap<Plan, MadeWith>();
  readonly #besideDdl: BesideDdl;
  readonly #binding: Binding;

  constructor(private readonly services: SqlServices) {
    this.#planning = new Planning(services);
    this.#besideDdl = new BesideDdl(services.changing, services.settle);
    this.#binding = new Binding(services, {
      plan: (statement, types, session) => this.plan(statement, types, session),
      source: (sql, session, types) => this.#planning.source(sql, session, types),
    });
  }

  homes(session: SessionPort): ReturnType<Planning['homes']> {
    return this.#planning.homes(session);
  }

  statements(text: string): readonly Statement[] {
    return parseStatements(text).map(statement => ({
      ...statement,
      start: statement.offset === 0 ? 0 : Buffer.from(text).subarray(0, statement.offset).toString().length,
    }));
  }

  /** Does a statement speak to Clarus itself? False for what cannot be parsed. */
  speaksToClarus(text: string): boolean {
    try {
      return parseStatements(text).some(({ node }) => isOurs(node));
    } catch {
      return false;
    }
  }

  async plan(
    statement: Pick<Statement, 'text'> & Partial<RawStatement>,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const known = this.cached(statement.text, parameterTypes, session);
    if (known) return known;
    const raw = parseStatements(statement.text)[0];
    if (!raw) return { kind: 'empty' };
    // a batch that holds locks of its own must not wait where no server sees that others wait for it
    let mayWait = session.transaction.block || !session.transaction.begun;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const catalog = session.catalog();
      // before it is analysed, which would wait for the lock on the trusted side, beside all timeouts
      const named = mayWait ? this.#besideDdl.changedNames(raw.node, session) : [];
      if (named.length > 0) {
        mayWait = !session.transaction.block;
        await this.#besideDdl.wait(named, session, !onlyReads(raw.node));
        if (session.catalog() !== catalog) continue;
      }
      let plan: Plan;
      try {
        const planned = await touching(session, () => this.#planning.plan(raw, parameterTypes, session));
        plan = planned.done;
        this.#besideDdl.note(plan, planned.tables, catalog);
      } catch (error) {
        if (!(error instanceof CatalogueBehind)) throw error;
        await catalogAfter(catalog, session);
        continue;
      }
      // The catalogue may have changed meanwhile, by planning itself too (a first look at a table). DDL looks again
      // when it runs.
      const ddl = plan.kind === 'protected' && plan.body.kind === 'ddl';
      if (session.catalog() !== catalog && !ddl) continue;
      const used = mayWait ? this.#besideDdl.changedTables(plan, session) : [];
      if (used.length > 0) {
        mayWait = !session.transaction.block;
        await this.#besideDdl.wait(used, session, isWrite(plan));
        if (session.catalog() !== catalog) continue;
      }
      this.#madeWith.set(plan, madeWith(session));
      if (keepable(plan)) this.#keep(catalog, planKey(statement.text, parameterTypes, session), plan);
      return plan;
    }
    throw new ClarusError('40001', 'the schema changes faster than the statement can be planned', {
      hint: 'Try again.',
    });
  }

  cached(text: string, parameterTypes: readonly number[], session: SessionPort): Plan | undefined {
    this.services.mustBeLive();
    noteTransaction(session);
    const plans = this.#plans.get(session.catalog());
    if (!plans) return undefined;
    const name = planKey(text, parameterTypes, session);
    const plan = plans.get(name);
    if (plan && this.#besideDdl.changedTables(plan, session).length > 0) return undefined;
    if (plan) {
      // Least recently used goes first: a Map keeps the order of insertion.
      plans.delete(name);
      plans.set(name, plan);
    }
    return plan;
  }

  current(plan: Plan, session: SessionPort): boolean {
    this.services.mustBeLive();
    noteTransaction(session);
    if ('homed' in plan) return false;
    const made = this.#madeWith.get(plan);
    if (made === undefined) return plan.kind === 'empty';
    if (this.#besideDdl.changedTables(plan, session).length > 0) return false;
    return same(made, madeWith(session));
  }

  permit(plan: Plan, session: SessionPort): Promise<void> | undefined {
    return mustBePermitted(plan, session);
  }

  actsOtherwise(plan: Plan, session: SessionPort): boolean {
    const made = this.#madeWith.get(plan);
    return made !== undefined && made.acting !== rolesIn(session);
  }

  overtaken(plan: Plan, session: SessionPort): boolean {
    return this.#besideDdl.isOvertaken(plan, session, this.#madeWith.get(plan)?.catalog);
  }

  running(plan: Plan, session: SessionPort): (() => void) | undefined {
    return this.#besideDdl.running(plan, session);
  }

  /** An error of a server in logical names, without protected forms and what the role may not read. */
  clientError(error: PostgresError, session: SessionPort): PostgresError {
    const logical = logicalError(error, session.catalog());
    return session.transaction.acting === undefined ? logical : withoutRows(logical);
  }

  bind(
    plan: ProtectedPlan,
    bound: BoundParameters,
    resultFormats: readonly (0 | 1)[],
    session: SessionPort,
    portal: string | undefined,
  ): Awaitable<Portal> {
    return this.#binding.bind(plan, bound, resultFormats, session, portal);
  }

  copyIn(plan: ProtectedPlan, session: SessionPort): Promise<CopyInExecution> {
    return this.#binding.copyIn(plan, session);
  }

  #keep(catalog: Catalog, name: string, plan: Plan): void {
    const plans = this.#plans.get(catalog) ?? new Map<string, Plan>();
    this.#plans.set(catalog, plans);
    plans.set(name, plan);
    if (plans.size > this.services.plansMax) plans.delete(plans.keys().next().value!);
  }
}

/** Waits for the next catalogue: a session that changes the schema is not told before every worker has it. */
async function catalogAfter(catalog: Catalog, session: SessionPort): Promise<void> {
  for (const began = performance.now(); session.catalog() === catalog; await sleep(5))
    if (performance.now() - began > catalogWait_ms) return;
}
const catalogWait_ms = 2_000;

const isOurs = (node: RawNode): boolean => node.SecLabelStmt?.provider === 'clarus' || asksClarus(node);
