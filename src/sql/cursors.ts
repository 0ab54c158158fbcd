/** DECLARE: the query of a cursor is run as a split statement, or as one of the catalogue. */
import type { SplitBody } from './execute/bodies.js';
import type { FunctionHomes } from './functions.js';
import { withoutOwnObjects } from './own-objects.js';
import { isOfCatalogue } from './place.js';
import type { Plan, ProtectedPlan, Shape } from './plan.js';
import type { SessionPort } from './ports.js';
import { deparse } from './raw/deparse.js';
import type { RawNode } from './raw/node.js';
import { parseOne } from './raw/parse.js';
import { overCatalogue, planCursor } from './split/cursor.js';
import type { SplitPlanning } from './split/plan.js';
import { planSplitQuery } from './split/write/plan.js';
import { type Touch, touchOf } from './touch.js';

/** How the query is planned. */
interface CursorPlanning {
  readonly parts: SplitPlanning['plan'];
  /** plans it as a statement of its own */
  query(raw: RawNode, sql: string): Promise<Plan>;
}

/** @param raw a DeclareCursorStmt @param shape of it */
export const planCursorOver = (
  raw: RawNode,
  { parameterTypes }: Shape,
  homes: FunctionHomes,
  session: SessionPort,
  planning: CursorPlanning,
): Promise<ProtectedPlan> =>
  planCursor(raw, async (sql, cause) => {
    const query = parseOne(sql);
    const analysis = await session.analyse(sql, parameterTypes);
    const touch = await touchOf(analysis, session, homes);
    if (!(await isOverCatalogue(query, analysis.shape, touch, homes, session))) {
      const plan = await planSplitQuery(query, sql, {
        analysis,
        touch,
        homes,
        session,
        cause,
        plan: planning.parts,
      });
      return { body: plan.body as SplitBody, shape: plan.shape };
    }
    const plan = await planning.query(query, sql);
    if (plan.kind !== 'trusted' || plan.homed || !session.residual) throw cause;
    return { body: overCatalogue(plan, cause), shape: plan.shape };
  });

/** Does the trusted side answer the query of a cursor, as one of the catalogue or of figures? */
export async function isOverCatalogue(
  query: RawNode,
  shape: Shape,
  touch: Touch,
  homes: FunctionHomes,
  session: SessionPort,
): Promise<boolean> {
  if (isOfCatalogue(touch)) return true;
  if (!touch.catalogue || touch.tables.length > 0 || !session.residual) return false;
  const own = await withoutOwnObjects(deparse(query), shape, session, homes);
  return own !== undefined && isOfCatalogue(await touchOf(own.analysis, session, homes));
}
