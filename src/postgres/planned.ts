/** Planning as a message of the client asks for it. */
import type { Plan } from '../sql/plan.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { expects, internal } from './expectations.js';
import { aborted, shifted } from './failure.js';
import type { PreparedStatement } from './prepared.js';
import { readRole, tellSuperuser } from './role-now.js';

/** Plans a statement; in a failed transaction only what ends it. */
export async function planned(
  context: CarefulContext,
  { statement, parameterTypes }: Pick<PreparedStatement, 'statement' | 'parameterTypes'>,
): Promise<Plan> {
  const { options, settings, port } = context;
  const failed = isFailed(context);
  if (settings.stale && !failed) await refreshSettings(context);
  // nothing else may be asked of the trusted backend, as another role, while it is found out what this one may
  if (context.acting.current !== undefined && !failed && !(await drained(context))) throw aborted();
  if (failed && !/^\s*(?:rollback|commit|end|abort)\b/i.test(statement.text)) throw aborted();
  try {
    return await options.planner.plan(statement, parameterTypes, port);
  } catch (error) {
    throw shifted(error, statement.start);
  }
}

/** Asks the cloud for the settings that it does not report, and the trusted side for the role. */
export async function refreshSettings(context: CarefulContext): Promise<void> {
  const { settings, cloud, transaction, acting } = context;
  if (acting.touched) {
    await readRole(context);
    tellSuperuser(context);
  }
  const alone = !cloud.pipeline.dirty && !transaction.block;
  await settings.refresh(cloud, !alone);
  // BEGIN may set modes only where no statement was before it, not even ours
  if (alone) cloud.pipeline.sync(internal(expects.sync));
}
