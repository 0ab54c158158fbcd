/**
 * The role that a session acts as. It is a setting of the session's trusted backend, which analyses statements and answers
 * those about the catalogue; cloud and residual engine go on as the session's own, and run what was found to be permitted
 * (sql/acting/).
 */
import { ClarusError } from '../errors.js';
import type { Plan, RoleChange } from '../sql/plan.js';
import { isLogicalRole, toldAttributes } from '../trusted/roles.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { aborted } from './failure.js';
import { physicalQuery } from './own-statements.js';
import { refreshSettings } from './planned.js';
import { authorization, ownRole, readRole, tellSuperuser } from './role-now.js';
import { commandComplete } from './shapes.js';
import { touchTrusted } from './transaction-control.js';

type SettingPlan = Extract<Plan, { kind: 'setting' }>;

const kindOfRole = physicalQuery(
  `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = $1), ${isLogicalRole('$1')},
          $1 = ${ownRole}, $1 = session_user,
          'superuser' = ANY (${toldAttributes('(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1)')})`,
  [19],
);
/** May a role of the application, as a session's user, SET ROLE to another (check_role of variable.c)? */
const mayBecome = physicalQuery(
  `SELECT pg_catalog.pg_has_role($1::pg_catalog.name, $2::pg_catalog.name,
    CASE WHEN pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END)`,
  [19, 19],
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
  if (!context.acting.touched && !needsRights(plan)) return undefined;
  const settled = settledRole(context);
  if (settled) return settled.then(() => permitted(context, plan));
  return permitted(context, plan);
}

function permitted(context: CarefulContext, plan: Plan): Promise<void> | undefined {
  mustActAlike(context, plan);
  const { options, port, acting } = context;
  if (acting.current === undefined && !needsRights(plan)) return undefined;
  return drained(context).then(going => (going ? options.planner.permit?.(plan, port) : undefined));
}

/** The session's own role needs them of what it does through views of other roles. */
const needsRights = (plan: Plan): boolean =>
  (plan.kind === 'pass' || plan.kind === 'protected') && plan.needs !== undefined;

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
    for (const sql of await statementsOf(context, change)) {
      acting.touched = true;
      await trusted.set(sql);
      if (transaction.block) transaction.set(sql);
    }
  } finally {
    if (!transaction.joined) trusted.settle();
  }
  settings.stale = true;
  await readRole(context);
  cloud.pipeline.own(commandComplete(/^\s*reset\b/i.test(plan.sql) ? 'RESET' : 'SET'));
  tellSuperuser(context);
}

const toOwn = (local: boolean): readonly string[] => [
  local ? 'SET LOCAL role TO DEFAULT' : 'RESET role',
  authorized('', local),
];

const literalOf = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const authorized = (name: string, local: boolean): string =>
  `SET ${local ? 'LOCAL' : 'SESSION'} ${authorization} = ${literalOf(name)}`;
const toRole = (name: string, local: boolean): string =>
  `SET ${local ? 'LOCAL' : 'SESSION'} ROLE ${literalOf(name)}`;

async function statementsOf(
  context: CarefulContext,
  { setting, to, local }: RoleChange,
): Promise<readonly string[]> {
  const { acting, settings, trusted } = context;
  await readRole(context);
  const user = setting === 'role' ? acting.authorized : undefined;
  if (to === undefined || (setting === 'role' && to === 'none'))
    return user === undefined ? toOwn(local) : [toRole(user, local)];
  const { rows } = await trusted.port.gather(kindOfRole, [Buffer.from(to)], false);
  const [exists, logical, isOwn, isSession, isSuperuser] = rows[0]!.map(isTrue);
  if (setting === 'session_authorization') {
    if (isOwn || isSession) return toOwn(local);
    // only superusers may, and the trusted backend's user is none
    if (!settings.superuser || !exists) return [`SET SESSION AUTHORIZATION ${literalOf(to)}`];
  }
  if ((exists && !logical && !isOwn) || (!exists && (await isOfCloud(context, to)))) throw ofCloud(to);
  if (isSuperuser) throw superuserInName(to);
  if (setting === 'session_authorization') return [toRole(to, local), authorized(to, local)];
  if (user !== undefined && exists) {
    const may = await trusted.port.gather(mayBecome, [Buffer.from(user), Buffer.from(to)], false);
    if (!isTrue(may.rows[0]?.[0])) throw new ClarusError('42501', `permission denied to set role "${to}"`);
  }
  return [toRole(to, local)];
}

const isTrue = (value: Uint8Array | null | undefined): boolean => Buffer.from(value ?? []).toString() === 't';

/** RESET ALL does not reset it, but it does every setting that is known by its name alone. */
export async function keepAuthorization(context: CarefulContext): Promise<void> {
  const { acting, trusted, transaction } = context;
  if (acting.authorized === undefined) return;
  const sql = authorized(acting.authorized, false);
  await trusted.set(sql);
  if (transaction.block) transaction.set(sql);
}

const superuserInName = (name: string): ClarusError =>
  new ClarusError('0A000', `role "${name}" cannot be set: it is a superuser`, {
    detail: 'The trusted side, which says what a session may, gives the rights of a superuser to no role.',
    hint: 'ALTER ROLE ... NOSUPERUSER first, or log in to Clarus as a user whose cloud user is a superuser.',
  });

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
