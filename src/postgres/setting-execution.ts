/** SET, RESET and set_config: kept in step on the cloud's side and on the trusted one. */
import type { Plan, SettingSides } from '../sql/plan.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import { changeRole, keepAuthorization } from './acting-role.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { aborted } from './failure.js';
import type { ClientPortal } from './prepared.js';
import type { Recording } from './recording.js';
import { ranInCloud } from './run-in-cloud.js';
import { commandComplete } from './shapes.js';
import { beginInternal, touchTrusted } from './transaction-control.js';
import { rememberSetting } from './transaction-end.js';
import { executeTrusted } from './trusted-execution.js';
import { mustBeForeign } from './trusted-side.js';

type SettingPlan = Extract<Plan, { kind: 'setting' }>;
type SetConfigPlan = Extract<Plan, { kind: 'set-config' }>;

/**
 * SET and its like: first the cloud, then, when it took it, the trusted side.
 * @param alone its implicit transaction holds nothing else; where it does, both sides commit together or not at all
 */
export async function executeSetting(
  context: CarefulContext,
  plan: SettingPlan,
  alone: boolean,
): Promise<void> {
  if (plan.role) return changeRole(context, plan, plan.role, alone);
  if (!(await drained(context))) return;
  const { cloud } = context;
  if (isFailed(context)) throw aborted();
  if (plan.sides === 'trusted') {
    if (!alone) await beginInternal(context);
    await follow(context, plan.sql, false);
    cloud.pipeline.own(commandComplete(/^\s*reset\b/i.test(plan.sql) ? 'RESET' : 'SET'));
    return;
  }
  const tag = await cloud.run(plan.sql, notice => context.port.client.notice(notice));
  context.settings.stale = true;
  if (!alone) await beginInternal(context);
  if (plan.sides === 'both') await follow(context, plan.sql);
  if (/^\s*reset\s+all\b/i.test(plan.sql)) await keepAuthorization(context);
  cloud.pipeline.own(commandComplete(tag));
}

/** SET within a body that is run statement by statement: a part of what the client has sent. @returns its tag */
export async function setWithin(context: CarefulContext, sql: string, sides: SettingSides): Promise<string> {
  await beginInternal(context);
  const tag = await context.cloud.run(sql, notice => context.port.client.notice(notice));
  await followWithin(context, sides === 'both' ? sql : undefined);
  return tag;
}

/** The cloud has been told a setting within a body: what is planned next is planned by it. */
export async function followWithin(context: CarefulContext, sql: string | undefined): Promise<void> {
  const { settings, cloud } = context;
  settings.setWithin = true;
  if (sql !== undefined) await follow(context, sql);
  await settings.refresh(cloud, true);
}

/**
 * set_config in a SELECT of its own. Its values are written into the statement here, so that nothing is bound in
 * the cloud before it is known which side may see them.
 */
export async function executeSetConfig(
  context: CarefulContext,
  portal: ClientPortal,
  plan: SetConfigPlan,
  recording: Recording,
): Promise<void> {
  const { sql, sides, followed = sql } = plan.given(portal.parameters);
  if (!(await drained(context))) return;
  if (isFailed(context)) throw aborted();
  if (sides === 'trusted') {
    const { transaction } = context;
    if (transaction.block || !portal.alone) await touchTrusted(context);
    const known: ClientPortal = {
      ...portal,
      prepared: { ...portal.prepared, parameterTypes: [] },
      parameters: { values: [], formats: [] },
      trusted: undefined,
    };
    await executeTrusted(context, known, { kind: 'trusted', sql, shape: plan.shape }, 0, recording);
    if (transaction.block) transaction.set(sql);
    else rememberSetting(context, sql);
    return;
  }
  const tag = await ranInCloud(context, sql, 0, recording, { resultFormats: portal.resultFormats });
  const ran = tag !== undefined;
  context.settings.stale = true;
  if (ran && !portal.alone) await beginInternal(context);
  if (ran && sides === 'both') await follow(context, followed);
}

/**
 * Brings a setting to the trusted side: now when it is open, else when it opens.
 * @param toldByCloud the client has heard already what there is to notice
 */
async function follow(context: CarefulContext, sql: string, toldByCloud = true): Promise<void> {
  const { trusted, transaction } = context;
  if (/^\s*set\s+transaction\b/i.test(sql)) {
    // repeated right behind BEGIN if the trusted side joins; later it could no longer be
    if (transaction.block && !transaction.joined) transaction.set(sql);
    return;
  }
  if (!transaction.block) rememberSetting(context, sql);
  if (!trusted.isOpen) {
    if (transaction.block) transaction.set(sql);
    return;
  }
  if (transaction.block) await touchTrusted(context);
  const tell = toldByCloud ? undefined : (notice: Diagnostic): void => context.port.client.notice(notice);
  await trusted.set(sql, tell).catch(mustBeForeign);
  if (transaction.block) transaction.set(sql);
}
