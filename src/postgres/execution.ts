import { whenKnown } from '../awaitable.js';
import { ClarusError } from '../errors.js';
import { cannotBeRun } from '../sql/execute/given.js';
import type { Plan } from '../sql/plan.js';
import { backendTypes } from '../wire/protocol.js';
import { mustActAlike, mustBePermitted, settledRole } from './acting-role.js';
import { PassCopy, ProtectedCopy } from './client-copy.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { executeCursor, mustBeDeclarable } from './cursor-execution.js';
import { type AnswerHandler, expects, forwarded, internal, step } from './expectations.js';
import { aborted } from './failure.js';
import { planned } from './planned.js';
import type { ProtectedPortal } from './planner-port.js';
import type { ClientPortal } from './prepared.js';
import { prepareChecked } from './preparing.js';
import { completion, QueuedOutcome } from './queued-outcome.js';
import { type Recording, recorded } from './recording.js';
import { writeBindValues, writeClose, writeExecute } from './server-statements.js';
import { executeSetConfig, executeSetting } from './setting-execution.js';
import { commandComplete, copyResponse, messages } from './shapes.js';
import { checkSameResult, deallocate, discard, executePrepared, prepareBySql } from './sql-statements.js';
import { controlTransaction } from './transaction-control.js';
import { executeTrusted } from './trusted-execution.js';

type ProtectedPlan = Extract<Plan, { kind: 'protected' }>;
type PassPlan = Extract<Plan, { kind: 'pass' }>;

/**
 * Runs a portal whose answers go to the client, in the order of the client's messages.
 * @param maxRows 0: no limit
 * @returns a promise when later messages must wait for it
 */
export function execute(
  context: CarefulContext,
  portal: ClientPortal,
  maxRows: number,
): void | Promise<void> {
  const { plan } = portal;
  if (context.pending > 0 && !isRead(plan)) {
    return context.settled().then(() => (context.skipping ? undefined : execute(context, portal, maxRows)));
  }
  // the cloud knows it of its own
  if (portal.execution?.hasFailed && plan.kind !== 'pass')
    throw new ClarusError('55000', cannotBeRun(portal.name));
  refusePortalAsCursor(context, plan);
  if (portal.execution === undefined) {
    const settled = settledRole(context);
    if (settled)
      return settled.then(() => (context.skipping ? undefined : execute(context, portal, maxRows)));
    mustActAlike(context, plan);
  }
  if (portal.execution === undefined && context.options.planner.overtaken?.(plan, context.port))
    return renew(context, portal).then(() =>
      context.skipping ? undefined : execute(context, portal, maxRows),
    );
  if (!isRead(plan) && plan.kind !== 'empty') {
    context.wrote = true;
    if (maxRows > 0) context.unseen = true;
  }
  return recorded(context, plan, maxRows, recording =>
    recording.watch(() => run(context, portal, maxRows, recording), answeredByItself(plan)),
  );
}

/** Binds a portal anew, by a plan that is made when the DDL of another session has ended. */
async function renew(context: CarefulContext, portal: ClientPortal): Promise<void> {
  const plan = await planned(context, portal.prepared);
  checkSameResult(portal.plan, plan);
  portal.protected?.close();
  if (portal.plan.kind === 'pass' && portal.name !== '') {
    const { pipeline } = context.cloud;
    writeClose(pipeline.writer, 0x50, portal.name);
    pipeline.expect(internal(expects.close));
  }
  portal.plan = plan;
  await bind(context, portal);
}

/** @throws ClarusError 0A000 for a cursor that is a portal of the client's whose rows are opened here */
export function refusePortalAsCursor({ portals }: CarefulContext, plan: Plan): void {
  const cursor = plan.kind === 'pass' && !plan.closes ? plan.cursor : undefined;
  const portal = cursor === undefined ? undefined : portals.get(cursor);
  if (portal !== undefined && portal.plan.kind !== 'pass')
    throw new ClarusError('0A000', `portal "${cursor}" cannot be used as a cursor by SQL`, {
      hint: 'Fetch from it by the message Execute.',
    });
}

/** A statement of these kinds is over when its work is; others tell their recording when they are answered. */
const answeredByItself = ({ kind }: Plan): boolean =>
  kind !== 'pass' && kind !== 'protected' && kind !== 'transaction';

function run(
  context: CarefulContext,
  portal: ClientPortal,
  maxRows: number,
  recording: Recording,
): void | Promise<void> {
  const { plan } = portal;
  portal.execution = recording;
  mustBeDeclarable(context, plan);
  switch (plan.kind) {
    case 'pass':
      if (plan.closes) return closeBySql(context, portal, plan, recording);
      return executePass(context, portal, plan, maxRows, recording);
    case 'protected':
      if (plan.copy === 'in') return copyIntoProtected(context, plan, recording);
      return executeProtected(context, portal, plan, maxRows, recording);
    case 'trusted':
      return executeTrusted(context, portal, plan, maxRows, recording);
    case 'cursor':
      return executeCursor(context, portal, plan, maxRows, recording);
    case 'transaction':
      return controlTransaction(context, portal, plan.action, recording);
    case 'setting':
      return executeSetting(context, plan, portal.alone);
    case 'set-config':
      return executeSetConfig(context, portal, plan, recording);
    case 'prepare':
      return prepareBySql(context, plan);
    case 'execute':
      return executePrepared(context, plan, portal, inner => {
        const go = (): void | Promise<void> => {
          if (context.skipping) return;
          portal.announce?.(inner.plan);
          return execute(context, inner, maxRows);
        };
        const bound = bind(context, inner);
        return bound === undefined ? go() : bound.then(go);
      });
    case 'deallocate':
      return deallocate(context, plan);
    case 'discard':
      return discard(context, plan);
    case 'empty':
      context.cloud.pipeline.own(messages.emptyQuery);
  }
}

/**
 * Binds a portal of the client where its plan runs. Nothing is told to the client.
 * @param frame sends the client's own Bind to the cloud, under the name given; absent: the values are at hand
 */
export function bind(
  context: CarefulContext,
  portal: ClientPortal,
  frame?: (statement: string) => void,
): void | Promise<void> {
  const permitted = mustBePermitted(context, portal.plan);
  if (permitted)
    return permitted.then(() => (context.skipping ? undefined : bindPermitted(context, portal, frame)));
  return bindPermitted(context, portal, frame);
}

function bindPermitted(
  context: CarefulContext,
  portal: ClientPortal,
  frame: ((statement: string) => void) | undefined,
): void | Promise<void> {
  const { plan } = portal;
  const { cloud } = context;
  if (portal.name === '') cloud.portals.unnamedTaken = false;
  if (plan.kind === 'pass') {
    const described = prepareChecked(context, plan, portal.prepared);
    if (described !== undefined) return described.then(() => bindPass(context, portal, plan, frame));
    bindPass(context, portal, plan, frame);
    return;
  }
  if (plan.kind !== 'protected' || plan.copy === 'in') return;
  const { transaction, trusted } = context;
  if (transaction.settings.length > 0 && !transaction.joined) {
    return trusted.ready().then(() => bindProtected(context, portal, plan));
  }
  return bindProtected(context, portal, plan);
}

function bindPass(
  { cloud }: CarefulContext,
  portal: ClientPortal,
  plan: PassPlan,
  frame: ((statement: string) => void) | undefined,
): void {
  const { statement, parameterTypes } = portal.prepared;
  const name = cloud.statements.prepare(plan, plan.sql, parameterTypes, true, statement.start);
  if (portal.name === '') cloud.portals.unnamedTaken = true;
  if (frame !== undefined) {
    frame(name);
    return;
  }
  const { values, formats } = portal.parameters;
  writeBindValues(cloud.pipeline.writer, portal.name, name, values, formats, portal.resultFormats);
  cloud.pipeline.expect(step(expects.bind, undefined, statement.start));
}

function bindProtected(
  context: CarefulContext,
  portal: ClientPortal,
  plan: ProtectedPlan,
): void | Promise<void> {
  const bound = context.options.planner.bind(
    plan,
    portal.parameters,
    portal.resultFormats,
    context.port,
    portal.name,
  );
  const take = (made: ProtectedPortal): void => {
    portal.protected = made;
  };
  return bound instanceof Promise ? bound.then(take) : take(bound);
}

/** Reads may run ahead of other reads: none of them changes what a later error would have to take back. */
const isRead = (plan: Plan): boolean =>
  plan.kind === 'protected' && plan.command === 'SELECT' && !plan.writes;

function executePass(
  context: CarefulContext,
  portal: ClientPortal,
  plan: PassPlan,
  maxRows: number,
  recording: Recording,
): void | Promise<void> {
  const { pipeline, portals } = context.cloud;
  const shift = portal.prepared.statement.start;
  writeExecute(pipeline.writer, portal.name, maxRows);
  if (portal.name === '' && maxRows === 0) portals.unnamedTaken = false;
  if (plan.kind !== 'pass' || plan.copy !== 'in') {
    pipeline.expect(forwarded(expects.execute, recording, shift));
    return;
  }
  return passCopyIn(context, recording, handler =>
    pipeline.expect(forwarded(expects.execute, handler, shift)),
  );
}

/** CLOSE: cursors of SQL and portals of the protocol share their names, but the cloud knows not all of them. */
async function closeBySql(
  context: CarefulContext,
  portal: ClientPortal,
  plan: PassPlan,
  recording: Recording,
): Promise<void> {
  if (!(await drained(context))) return recording.over();
  const { portals, cursors, cloud } = context;
  if (plan.cursor !== undefined && isOurs(context, plan.cursor)) {
    if (isFailed(context)) throw aborted();
    if (!cursors.close(plan.cursor)) portals.close(plan.cursor);
    const tag = 'CLOSE CURSOR';
    recording.done(backendTypes.commandComplete, tag);
    cloud.pipeline.own(commandComplete(tag));
    return;
  }
  await new Promise<void>(resolve => {
    const handler: AnswerHandler = {
      done: (type, tag) => {
        recording.done(type, tag);
        if (plan.cursor === undefined) {
          portals.closeOthers(portal);
          cursors.clear();
        } else portals.close(plan.cursor);
        resolve();
      },
      failed: error => {
        recording.failed(error);
        resolve();
      },
    };
    writeExecute(cloud.pipeline.writer, portal.name, 0);
    cloud.pipeline.expect(forwarded(expects.execute, handler, portal.prepared.statement.start));
    cloud.flush();
  });
  if (portals.get('') === undefined) cloud.portals.unnamedTaken = false;
}

/** Is it a name of what the cloud does not know? */
function isOurs({ portals, cursors }: CarefulContext, name: string): boolean {
  const portal = portals.get(name);
  return cursors.has(name) || (portal !== undefined && portal.plan.kind !== 'pass');
}

/**
 * Runs COPY FROM STDIN on the cloud: the client's data are forwarded until it says that they end.
 * @param expect queues what the statement, already written, is answered with
 */
export async function passCopyIn(
  context: CarefulContext,
  recording: Recording,
  expect: (handler: AnswerHandler) => void,
): Promise<void> {
  const { pipeline } = context.cloud;
  const began = await new Promise<boolean>(resolve => {
    const end = (): void => {
      resolve(false);
      context.copyOver();
    };
    expect({
      message: type => {
        if (type === backendTypes.copyInResponse) resolve(true);
      },
      done: (type, tag) => {
        recording.done(type, tag);
        end();
      },
      failed: error => {
        recording.failed(error);
        end();
      },
    });
    pipeline.flush();
  });
  if (!began) return;
  await context.copy(new PassCopy(pipeline));
  pipeline.send();
}

async function copyIntoProtected(
  context: CarefulContext,
  plan: ProtectedPlan,
  recording: Recording,
): Promise<void> {
  if (!(await drained(context))) return recording.over();
  const { pipeline } = context.cloud;
  const execution = await context.options.planner.copyIn(plan, context.port);
  // not in the pipeline: a COPY of the execution's own may be open there until the data have ended
  context.output.bytes(copyResponse(backendTypes.copyInResponse, execution.format, execution.columns));
  const completed = (tag: string): void => {
    recording.outcome({ kind: 'complete', tag });
    pipeline.own(commandComplete(tag));
  };
  await context.copy(new ProtectedCopy(execution, completed));
  recording.over();
}

function executeProtected(
  context: CarefulContext,
  portal: ClientPortal,
  plan: ProtectedPlan,
  maxRows: number,
  recording: Recording,
): void | Promise<void> {
  const { pipeline } = context.cloud;
  if (plan.split && (context.pending > 0 || !pipeline.idle)) {
    return drained(context).then(goOn =>
      goOn ? executeProtected(context, portal, plan, maxRows, recording) : recording.over(),
    );
  }
  const running = portal.protected!;
  const { copyOut } = running;
  if (copyOut !== undefined) {
    pipeline.own(copyResponse(backendTypes.copyOutResponse, copyOut.format, copyOut.columns));
  }
  // without rows nothing of ours can go wrong after the cloud has answered
  const queued = new QueuedOutcome(context, recording, plan.shape.columns !== undefined);
  return whenKnown(running.execute(maxRows, queued), execution => {
    if (execution.kind === 'pipelined') return queued.wait();
    recording.outcome(execution);
    context.trusted.settle();
    if (copyOut !== undefined) pipeline.own(messages.copyDone);
    pipeline.own(completion(execution));
  });
}
