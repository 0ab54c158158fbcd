/** The door of sql/: statements in, plans out, portals that run them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Awaitable } from '../awaitable.js';
import type { Catalog } from '../catalog/catalog.js';
import type { Payloads } from '../crypto/payloads.js';
import { ClarusError } from '../errors.js';
import type { PostgresError } from '../wire/diagnostic.js';
import { mustBePermitted } from './acting/permitted.js';
import { withoutRows } from './acting/told.js';
import { BesideDdl, isWrite } from './beside-ddl.js';
import { type ChangingTables, onlyReads } from './changing.js';
import { logicalError } from './client-error.js';
import { CatalogueBehind } from './columns.js';
import type { DdlBody, QueryRunner } from './ddl/body.js';
import type {
  CopyInBody,
  CopyOutBody,
  CursorBody,
  ExplainBody,
  ExplainedBody,
  InsertBody,
  InsertSelectBody,
  ReadBody,
  RoutedCopyBody,
  SplitBody,
  TriggeredCopyBody,
  UpdateBody,
} from './execute/bodies.js';
import { startCopyIn } from './execute/copy-in.js';
import type { CopyOutFormat } from './execute/copy-out.js';
import {
  type Bound,
  type ExecutionServices,
  formatsOf,
  named,
  type Portal,
  unbound,
} from './execute/portal.js';
import { bindRead } from './execute/read-portal.js';
import { bindInsert, bindUpdate } from './execute/write-portal.js';
import { asksClarus } from './explain.js';
import { bindClarus } from './explained/clarus.js';
import { bindExplained } from './explained/portal.js';
import { keepable, type MadeWith, madeWith, planKey, rolesIn, same } from './kept-plans.js';
import type { BoundParameters, Plan, ProtectedPlan } from './plan.js';
import { type DdlPlanner, Planning, type PlanningServices } from './planner.js';
import type { CopyInExecution, ResidualPort, SessionPort } from './ports.js';
import { bindBlock } from './procedural/blocks.js';
import type { CallsBody, DoBody } from './procedural/bodies.js';
import { bindCalls } from './procedural/calls.js';
import type { RoutineServices } from './procedural/run.js';
import { queryRunner } from './query-rows.js';
import type { RawNode } from './raw/node.js';
import { parseStatements, type RawStatement } from './raw/parse.js';
import { noteTransaction } from './snapshots.js';
import type { SplitServices } from './split/cloud-rows.js';
import { bindCursor } from './split/cursor.js';
import { mustPrintExactly } from './split/exact.js';
import type { SplitLimits } from './split/fetch-count.js';
import { fetching, internally, withSecrets } from './split/fetching.js';
import { bindSplit } from './split/portal.js';
import { bindInsertSelect } from './split/write/insert.js';
import { bindSplitWrite } from './split/write/portal.js';
import { startRoutedCopy } from './split/write/routed-copy.js';
import type { PartsBody } from './temporary/beside.js';
import { startTemporaryCopy, type TemporaryCopyBody } from './temporary/copy.js';
import { bindParts } from './temporary/portal.js';
import { touching } from './touch.js';
import { startTriggeredCopy } from './triggers/copy.js';
import { triggerHooks } from './triggers/rows.js';

/** How often a statement is planned anew because the catalogue changed meanwhile. */
const attemptsMax = 20;

/** DDL also runs what it plans. */
export interface DdlRunner extends DdlPlanner {
  execute(
    plan: ProtectedPlan,
    session: SessionPort,
    queries: () => QueryRunner,
  ): Promise<{ readonly tag: string }>;
}

/** What planning and execution need of the proxy, for one worker. */
export interface SqlServices extends PlanningServices, ExecutionServices {
  readonly ddl: DdlRunner;
  /** payloads of notifications */
  readonly payloads: Payloads;
  /** plans kept for one snapshot of the catalogue */
  readonly plansMax: number;
  readonly splitLimits: SplitLimits;
  /** what other sessions are about to change */
  readonly changing: ChangingTables;
  /** Waits until every commit of DDL that has begun is in the catalogue. @throws ClarusError 55P03 */
  settle(): Promise<void>;
  /** @throws ClarusError 57P03 while this worker may have missed a change of the catalogue */
  mustBeLive(): void;
}

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

  constructor(private readonly services: SqlServices) {
    this.#planning = new Planning(services);
    this.#besideDdl = new BesideDdl(services.changing, services.settle);
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
    return this.#besideDdl.isOvertaken(plan, session);
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
    const context = this.services.context(session);
    const needed = plan.shape.parameterTypes.length;
    if (bound.values.length !== needed && !(bound.values.length === 0 && isGeneric(plan)))
      throw new ClarusError(
        '08P01',
        `bind message supplies ${bound.values.length} parameters, but the prepared statement requires ${needed}`,
      );
    const b: Bound = {
      plan,
      bound,
      formats: formatsOf(resultFormats, plan.shape.columns?.length ?? 0),
      session,
      context,
      portal,
    };
    switch (plan.body.kind) {
      case 'read':
        return bindRead(plan.body as ReadBody, b);
      case 'insert':
        return bindInsert(plan.body as InsertBody, b, this.services);
      case 'update':
        return bindUpdate(plan.body as UpdateBody, b);
      case 'copy-out': {
        const { read, copy } = plan.body as CopyOutBody;
        const copied = { ...b, formats: new Array<0 | 1>(copy.columns).fill(copy.format) };
        return read.kind === 'split' ? this.#bindSplit(read, copied, copy) : bindRead(read, copied, copy);
      }
      case 'insert-select':
        return this.#bindInsertSelect(plan.body as InsertSelectBody, b);
      case 'split': {
        const body = plan.body as SplitBody;
        return body.writes ? this.#bindWrite(body, b) : this.#bindSplit(body, b);
      }
      case 'parts':
        return bindParts(plan.body as PartsBody, b, residualOf(b), this.#splitServices(b));
      case 'calls':
        return bindCalls(plan.body as CallsBody, b, this.#routineServices(b));
      case 'do':
        return bindBlock(plan.body as DoBody, b, this.#routineServices(b));
      case 'cursor':
        return bindCursor(plan.body as CursorBody, b, residualOf(b), this.#splitServices(b));
      case 'explain':
      case 'explained': {
        const services = { residual: session.residual, split: this.#splitServices(b) };
        if (plan.body.kind === 'explain') return bindClarus(plan.body as ExplainBody, b, services);
        return bindExplained(plan.body as ExplainedBody, b, services);
      }
      case 'ddl':
        return this.#bindDdl(plan.body as DdlBody, b);
      default:
        throw new Error(`no executor for ${plan.body.kind}`);
    }
  }

  copyIn(plan: ProtectedPlan, session: SessionPort): Promise<CopyInExecution> {
    switch (plan.body.kind) {
      case 'temporary-copy':
        return startTemporaryCopy(plan.body as TemporaryCopyBody, session);
      case 'routed-copy':
        return this.#startRoutedCopy(plan.body as RoutedCopyBody, session);
      case 'triggered-copy':
        return this.#startTriggeredCopy(plan, session);
      default:
        return this.#startCopyIn(plan.body as CopyInBody, session);
    }
  }

  async #startRoutedCopy(body: RoutedCopyBody, session: SessionPort): Promise<CopyInExecution> {
    if (body.leaves.some(changesState)) await session.transaction.begin();
    return startRoutedCopy(body, session, this.services.context(session), this.services);
  }

  #startTriggeredCopy(plan: ProtectedPlan, session: SessionPort): Promise<CopyInExecution> {
    const b = unbound(plan, session, this.services.context(session));
    const [services, routines] = [this.#splitServices(b), this.#routineServices(b)];
    return startTriggeredCopy(plan.body as TriggeredCopyBody, b, residualOf(b), services, routines);
  }

  async #startCopyIn(body: CopyInBody, session: SessionPort): Promise<CopyInExecution> {
    // Nothing can be asked of the cloud between the rows.
    if (changesState(body)) await session.transaction.begin();
    return startCopyIn(body, session, this.services.context(session), this.services);
  }

  #bindSplit(body: SplitBody, bound: Bound, copy?: CopyOutFormat): Portal {
    return bindSplit(body, bound, residualOf(bound), this.#splitServices(bound), copy);
  }

  #bindWrite(body: SplitBody, bound: Bound): Portal {
    const [residual, services] = [residualOf(bound), this.#splitServices(bound)];
    const hooks =
      body.writes?.triggered && triggerHooks(body, bound, residual, services, this.#routineServices(bound));
    const portal = bindSplitWrite(body, bound, residual, services, hooks);
    // whom policies are applied to is shown no row (BuildIndexValueDescription of genam.c), its owner neither
    return body.as?.secured ? withoutDetails(portal) : portal;
  }

  #bindInsertSelect(body: InsertSelectBody, bound: Bound): Portal {
    return bindInsertSelect(body, bound, residualOf(bound), this.#splitServices(bound), copy =>
      this.#startCopyIn(copy, bound.session),
    );
  }

  #bindDdl({ secrets }: DdlBody, bound: Bound): Portal {
    const own = secrets?.size ? { ...bound, session: withSecrets(bound.session, secrets) } : bound;
    return {
      execute: async () => {
        const { tag } = await this.services.ddl.execute(own.plan, own.session, () => this.#queries(own));
        return { kind: 'complete', tag };
      },
      close: () => undefined,
    };
  }

  #queries(bound: Bound): QueryRunner {
    const { session } = bound;
    const types = bound.plan.shape.parameterTypes;
    const { bind, readsZoneNames } = this.#splitServices(bound);
    return queryRunner(session, {
      bind,
      readsZoneNames,
      bound: bound.bound,
      parameterTypes: types,
      plan: sql => this.plan({ text: sql }, types, session),
      source: sql => this.#planning.source(sql, session, types),
      copyIn: body => this.#startCopyIn(body, session),
      registry: this.services.registry,
      routines: this.#routineServices(bound),
    });
  }

  #splitServices({ session, context }: Bound): SplitServices {
    // a setting may be another one than when the statement was planned
    mustPrintExactly(session);
    return {
      limits: this.services.splitLimits,
      plan: (sql, types = []) => this.plan({ text: sql }, types, internally(session)),
      context,
      registry: this.services.registry,
      rowIds: (table, count) => this.services.rowIds(table, count),
      bind: (plan, bound, formats, client) =>
        this.bind(plan, bound, formats, fetching(session, client, session.residual), named),
      readsZoneNames: session.residual?.readsZoneNames ?? true,
    };
  }

  #routineServices(bound: Bound): RoutineServices {
    const { bind } = this.#splitServices(bound);
    return {
      bind,
      planIn: (sql, types, session) => this.plan({ text: sql }, types, session),
      permit: (plan, session) => this.permit(plan, session),
      payloads: this.services.payloads,
    };
  }

  #keep(catalog: Catalog, name: string, plan: Plan): void {
    const plans = this.#plans.get(catalog) ?? new Map<string, Plan>();
    this.#plans.set(catalog, plans);
    plans.set(name, plan);
    if (plans.size > this.services.plansMax) plans.delete(plans.keys().next().value!);
  }
}

/** A portal whose errors of constraints show no values. */
const withoutDetails = (portal: Portal): Portal => ({
  execute: async (rows, listener) => {
    try {
      return await portal.execute(rows, listener);
    } catch (error) {
      throw withoutRows(error);
    }
  },
  close: () => portal.close(),
});

/** EXPLAIN (GENERIC_PLAN) and EXPLAIN (CLARUS): a Query brings no values. */
const isGeneric = ({ body }: ProtectedPlan): boolean =>
  body.kind === 'explain'
    ? (body as ExplainBody).runs === undefined
    : body.kind === 'explained' && (body as ExplainedBody).options.generic;

/** Does what a COPY writes change the state of encodings? */
const changesState = ({ written }: Pick<CopyInBody, 'written'>): boolean =>
  written.some(({ forms }) => forms.some(({ encoding }) => encoding.changesState));

/** A plan that needs the residual engine was made in a session that has it. */
function residualOf({ session: { residual } }: Bound): ResidualPort {
  if (!residual) throw new Error('a split statement without a residual engine');
  return residual;
}

/** Waits for the next catalogue: a session that changes the schema is not told before every worker has it. */
async function catalogAfter(catalog: Catalog, session: SessionPort): Promise<void> {
  for (const began = performance.now(); session.catalog() === catalog; await sleep(5))
    if (performance.now() - began > catalogWait_ms) return;
}
const catalogWait_ms = 2_000;

const isOurs = (node: RawNode): boolean => node.SecLabelStmt?.provider === 'clarus' || asksClarus(node);
