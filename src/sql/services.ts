/** What planning and execution need of the proxy. */
import type { Payloads } from '../crypto/payloads.js';
import type { ChangingTables } from './changing.js';
import type { QueryRunner } from './ddl/body.js';
import type { ExecutionServices } from './execute/portal.js';
import type { ProtectedPlan } from './plan.js';
import type { DdlPlanner, PlanningServices } from './planner.js';
import type { SessionPort } from './ports.js';
import type { SplitLimits } from './split/fetch-count.js';

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
