/**
 * Views that belong to roles of the application. PostgreSQL reads through them with the rights of their owners, which no cloud
 * knows: they stand in the shadow alone, and a statement that names one is started there, as under a role, before it is run.
 */
import { isLogicalRole } from '../../trusted/roles.js';
import { readNodes } from '../analysed/node.js';
import { relationsIn } from '../analysed/query.js';
import { physical } from '../compilation.js';
import type { Plan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { oidsOnce } from '../reading.js';

/** Those views, by their OIDs in the shadow. */
export const viewsOfRoles =
  oidsOnce(`SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
  WHERE c.relkind = 'v' AND c.oid >= 16384 AND ${isLogicalRole('r.rolname')}`);

/**
 * A plan of the session's own role with what PostgreSQL must permit of it.
 * @param started the statement that PostgreSQL can start, with the rights of the one that is planned
 */
export async function withRightsOfViews(
  plan: Plan,
  started: () => Promise<string>,
  parameterTypes: readonly number[],
  session: SessionPort,
): Promise<Plan> {
  if (plan.kind !== 'pass' && plan.kind !== 'protected') return plan;
  const views = await viewsOfRoles(session);
  if (views.size === 0) return plan;
  const sql = await started();
  const { parsed, rewritten, shape } = await session.analyse(sql, parameterTypes);
  const named = relationsIn([...parsed, ...rewritten].flatMap(readNodes));
  if (![...named].some(oid => views.has(oid))) return plan;
  const tries = [physical(`EXPLAIN (COSTS OFF) ${sql}`, shape.parameterTypes)];
  return { ...plan, needs: { tries, functions: [], sequences: [] } };
}
