/** Binds plans: which portal runs what, and what it is given for that. */
import type { Awaitable } from '../awaitable.js';
import { ClarusError } from '../errors.js';
import { mustBePermitted } from './acting/permitted.js';
import { withoutRows } from './acting/told.js';
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
import { type Bound, formatsOf, named, type Portal, unbound } from './execute/portal.js';
import { bindRead } from './execute/read-portal.js';
import { bindInsert, bindUpdate } from './execute/write-portal.js';
import { bindClarus } from './explained/clarus.js';
import { bindExplained } from './explained/portal.js';
import type { BoundParameters, Plan, ProtectedPlan } from './plan.js';
import type { Planning } from './planner.js';
import type { CopyInExecution, ResidualPort, SessionPort } from './ports.js';
import { bindBlock } from './procedural/blocks.js';
import type { CallsBody, DoBody } from './procedural/bodies.js';
import { bindCalls } from './procedural/calls.js';
import type { RoutineServices } from './procedural/run.js';
import { queryRunner } from './query-rows.js';
import type { SqlServices } from './services.js';
import type { SplitServices } from './split/cloud-rows.js';
import { bindCursor } from './split/cursor.js';
import { mustPrintExactly } from './split/exact.js';
import { fetching, internally, withSecrets } from './split/fetching.js';
import { bindSplit } from './split/portal.js';
import { bindInsertSelect } from './split/write/insert.js';
import { bindSplitWrite } from './split/write/portal.js';
import { startRoutedCopy } from './split/write/routed-copy.js';
import type { PartsBody } from './temporary/beside.js';
import { startTemporaryCopy, type TemporaryCopyBody } from './temporary/copy.js';
import { bindParts } from './temporary/portal.js';
import { startTriggeredCopy } from './triggers/copy.js';
import { triggerHooks } from './triggers/rows.js';

/** What binding asks of planning. */
export interface BindingPort {
  plan(statement: { readonly text: string }, types: readonly number[], session: SessionPort): Promise<Plan>;
  /** The source of a query that DDL stores. */
  source(sql: string, session: SessionPort, types: readonly number[]): ReturnType<Planning['source']>;
}

/** Binds plans to values, in the session that runs them. */
export class Binding {
  constructor(
    private readonly services: SqlServices,
    private readonly planning: BindingPort,
  ) {}

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
      plan: sql => this.planning.plan({ text: sql }, types, session),
      source: sql => this.planning.source(sql, session, types),
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
      plan: (sql, types = []) => this.planning.plan({ text: sql }, types, internally(session)),
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
      planIn: (sql, types, session) => this.planning.plan({ text: sql }, types, session),
      permit: (plan, session) => mustBePermitted(plan, session),
      payloads: this.services.payloads,
    };
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
