/**
 * The role that a session acts as. It is a setting of the session's trusted backend, which analyses statements and answers
 * those about the catalogue; cloud and residual engine go on as the session's own, and run what was found to be permitted
 * (sql/acting/).
 */
import { ClarusError } from '../errors.js';
import type { Plan, RoleChange } from '../sql/plan.js';
import { isLogicalRole } from '../trusted/roles.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { aborted } from './failure.js';
import { physicalQuery } from './own-statements.js';
import { refreshSettings } from './planned.js';
import { ownRole, readRole, tellSuperuser } from './role-now.js';
import { commandComplete } from './shapes.js';
import { touchTrusted } from './transaction-control.js';

type SettingPlan = Extract<Plan, { kind: 'setting' }>;

const kindOfRole = physicalQuery(
  `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = $1), ${isLogicalRole('$1')},
          $1 = ${ownRole}, $1 = session_user`,
  [19],
);
const rolesOfCloud = physicalQuery('SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles r');

/**
 * Sees to it that the role is known before anything runs by it.
 * @returns undefined: it is
 */
export function settledRole(context: CarefulContext): Promise<void> | undefined {
  const { acting, settings } = context;
  return acting.touched && settings.stale && !isFailed(context) ? refreshSettings(context) : undefined;
}

/**
 * What must hold before a portal is bound or run.
 * @returns undefined: it holds
 * @throws ClarusError 0A000 for a plan of another role; what the planner says of rights
 */
export function mustBePermitted(context: CarefulContext, plan: Plan): Promise<void> | undefined {
  if (!context.acting.touched) return undefined;
  const settled = settledRole(context);
  if (settled) return settled.then(() => permitted(context, plan));
  return permitted(context, plan);
}

function permitted(context: CarefulContext, plan: Plan): Promise<void> | undefined {
  mustActAlike(context, plan);
  const { options, port, acting } = context;
  if (acting.current === undefined) return undefined;
  return drained(context).then(going => (going ? options.planner.permit?.(plan, port) : undefined));
}

/** @throws ClarusError 0A000 for a plan of another role than the session acts as now */
export function mustActAlike({ acting, options, port }: CarefulContext, plan: Plan): void {
  if (!acting.touched || (plan.kind !== 'pass' && plan.kind !== 'protected' && plan.kind !== 'trusted'))
    return;
  if (options.planner.actsOtherwise?.(plan, port))
    throw new ClarusError('0A000', 'the statement was bound under another role', {
      hint: 'Bind it again after SET ROLE.',
    });
}

/**
 * SET ROLE, RESET ROLE, SET SESSION AUTHORIZATION.
 * @param alone its implicit transaction holds nothing else
 * @throws PostgresError as PostgreSQL says that it is not permitted; ClarusError 0A000 for roles of the cloud
 */
export async function changeRole(
  context: CarefulContext,
  plan: SettingPlan,
  change: RoleChange,
  alone: boolean,
): Promise<void> {
  if (!(await drained(context))) return;
  if (isFailed(context)) throw aborted();
  const { trusted, transaction, acting, settings, cloud, options } = context;
  // what follows may go by untouched, to a cloud that knows nothing of it
  if (options.catalog().passThrough)
    throw new ClarusError('0A000', 'SET ROLE is not answered beside what is asked of Clarus itself', {
      hint: 'Send it by itself.',
    });
  if (transaction.block || !alone) await touchTrusted(context);
  else await trusted.ready();
  try {
    const sql = await statementOf(context, change);
    acting.touched = true;
    await trusted.set(sql);
    if (transaction.block) transaction.set(sql);
  } finally {
    if (!transaction.joined) trusted.settle();
  }
  settings.stale = true;
  await readRole(context);
  cloud.pipeline.own(commandComplete(/^\s*reset\b/i.test(plan.sql) ? 'RESET' : 'SET'));
  tellSuperuser(context);
}

const toOwn = (local: boolean): string => (local ? 'SET LOCAL role TO DEFAULT' : 'RESET role');

async function statementOf(context: CarefulContext, { setting, to, local }: RoleChange): Promise<string> {
  if (to === undefined || (setting === 'role' && to === 'none')) return toOwn(local);
  const { rows } = await context.trusted.port.gather(kindOfRole, [Buffer.from(to)], false);
  const [exists, logical, isOwn, isSession] = rows[0]!.map(
    value => Buffer.from(value ?? []).toString() === 't',
  );
  const literal = `'${to.replaceAll("'", "''")}'`;
  if (setting === 'session_authorization')
    return isOwn || isSession ? toOwn(local) : `SET SESSION AUTHORIZATION ${literal}`;
  if ((exists && !logical && !isOwn) || (!exists && (await isOfCloud(context, to)))) throw ofCloud(to);
  return `SET ${local ? 'LOCAL' : 'SESSION'} ROLE ${literal}`;
}

/** The cloud is not told which one is looked for. */
async function isOfCloud({ cloud }: CarefulContext, name: string): Promise<boolean> {
  const { rows } = await cloud.gather(rolesOfCloud, [], false);
  return rows.some(([role]) => Buffer.from(role ?? []).toString() === name);
}

const ofCloud = (name: string): ClarusError =>
  new ClarusError('0A000', `role "${name}" cannot be set in a database with protected tables`, {
    detail: 'It is a role of the cloud or of a user: its rights are those of a cloud user of its own.',
    hint: 'Log in to Clarus as the user whose rights are wanted, or CREATE ROLE through Clarus.',
  });
