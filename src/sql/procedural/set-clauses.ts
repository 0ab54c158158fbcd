/** Bodies under the SET clauses of their functions. */
import type { SessionPort } from '../ports.js';
import { withinBodies } from '../settings.js';
import { activityOf } from './activity.js';
import { mustPrintZones, type SetClause, settingActivityOf } from './body-settings.js';

/** Does something under the SET clauses of a function, which are over with it unless its body has said SET. */
export async function underClauses<T>(
  clauses: readonly SetClause[],
  session: SessionPort,
  work: () => Promise<T>,
): Promise<T> {
  if (clauses.length === 0) return work();
  const activity = activityOf(session);
  const setting = settingActivityOf(session);
  for (const { name } of clauses)
    if (withinBodies(name) === 'zone') mustPrintZones(name, session.settings.dateStyle);
  const clause = {
    names: new Set(clauses.map(({ name }) => name.toLowerCase())),
    lasting: new Set<string>(),
  };
  const { atomic } = activity;
  setting.clauses.push(clause);
  activity.atomic = true;
  try {
    return await session.transaction.underSettings(clauses, clause.lasting, work);
  } finally {
    setting.clauses.pop();
    activity.atomic = atomic;
  }
}
