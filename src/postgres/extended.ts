/** The extended query protocol: Parse, Bind, Describe, Execute and Close (PostgreSQL manual, 54.2.3). */
import { whenKnown } from '../awaitable.js';
import { ClarusError } from '../errors.js';
import type { Plan, Shape } from '../sql/plan.js';
import { isPortalName } from '../sql/portal-names.js';
import { decodeFrontend } from '../wire/decode-frontend.js';
import type { FrameReader } from '../wire/frame-reader.js';
import type { FrontendMessage } from '../wire/messages.js';
import { frontendTypes } from '../wire/protocol.js';
import { type ClientText, clientText, split, tellWarnings } from './client-text.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { executeBySql, inSession } from './cursor-execution.js';
import { bind, execute } from './execution.js';
import { type AnswerHandler, expects, forwarded } from './expectations.js';
import { aborted } from './failure.js';
import { planned, refreshSettings } from './planned.js';
import type { ClientPortal, PreparedStatement } from './prepared.js';
import { writeClose, writeDescribe, writeExecute } from './server-statements.js';
import {
  messages,
  parameterDescription,
  resultDescription,
  rowDescription,
  statementDescription,
} from './shapes.js';
import { checkSameResult, currentPlan, readNow } from './sql-statements.js';

/** Parse. */
export function parse(context: CarefulContext, reader: FrameReader): void | Promise<void> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Parse') return;
  const { statements, cloud } = context;
  statements.check(message.name);
  if (context.unseen) {
    // PostgreSQL counts commands on with each Parse (exec_parse_message); the cloud does not get all of the client's
    cloud.statements.parseNothing();
    context.unseen = false;
  }
  return whenKnown(clientText(context, message.sql), text => parseText(context, message, text));
}

function parseText(
  context: CarefulContext,
  { name, parameterTypes }: Extract<FrontendMessage, { kind: 'Parse' }>,
  text: ClientText,
): void | Promise<void> {
  const { statements, options, port, cloud } = context;
  const { sql } = text;
  const put = (prepared: PreparedStatement): void | Promise<void> => {
    const done = (): void => {
      statements.put(name, prepared);
      cloud.pipeline.own(messages.parseComplete);
    };
    const read = readNow(context, prepared);
    return read === undefined ? done() : read.then(done);
  };
  const isKept = !context.settings.stale && !text.refused;
  const known = isKept ? options.planner.cached?.(sql, parameterTypes, port) : undefined;
  if (known !== undefined) {
    tellWarnings(context, text);
    refuseInFailed(context, known);
    return put({ statement: { text: sql, start: text.origin(0) }, parameterTypes, plan: known });
  }
  const found = split(context, text);
  if (found instanceof Promise) return found;
  if (found.length > 1) {
    throw new ClarusError('42601', 'cannot insert multiple commands into a prepared statement');
  }
  const [statement] = found;
  if (statement === undefined) {
    return put({ statement: { text: sql, start: text.origin(0) }, parameterTypes, plan: { kind: 'empty' } });
  }
  return planned(context, { statement, parameterTypes }).then(plan =>
    put({ statement, parameterTypes, plan }),
  );
}

/** @throws ClarusError 25P02 for what a failed transaction does not take */
export function refuseInFailed(context: CarefulContext, plan: Plan): void {
  if (!isFailed(context)) return;
  if (plan.kind === 'transaction' && ['commit', 'rollback', 'rollback-to'].includes(plan.action.kind)) return;
  if (plan.kind !== 'empty') throw aborted();
}

/** Bind. */
export function bindMessage(context: CarefulContext, reader: FrameReader): void | Promise<void> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Bind') return;
  const prepared = context.statements.get(message.statement);
  refuseInFailed(context, prepared.plan);
  context.portals.check(message.portal);
  if (context.cursors.has(message.portal))
    return drained(context).then(going =>
      going ? bindNamed(context, message, prepared, reader) : undefined,
    );
  return bindNamed(context, message, prepared, reader);
}

function bindNamed(
  context: CarefulContext,
  message: Extract<FrontendMessage, { kind: 'Bind' }>,
  prepared: PreparedStatement,
  reader: FrameReader,
): void | Promise<void> {
  context.cursors.checkName(message.portal);
  const bound = (): void | Promise<void> => bindPrepared(context, message, prepared, reader);
  if (context.settings.stale && !isFailed(context) && bySettings(prepared.plan))
    return refreshSettings(context).then(bound);
  return bound();
}

/** Plans whose names and values the settings decide on. */
const bySettings = ({ kind }: Plan): boolean => kind === 'pass' || kind === 'trusted' || kind === 'protected';

function bindPrepared(
  context: CarefulContext,
  message: Extract<FrontendMessage, { kind: 'Bind' }>,
  prepared: PreparedStatement,
  reader: FrameReader,
): void | Promise<void> {
  const { parameters, parameterFormats } = message;
  const formats =
    parameterFormats.length === parameters.length
      ? parameterFormats
      : parameters.map(() => parameterFormats[0] ?? 0);
  const make = (plan: Plan): ClientPortal => {
    const needed = 'shape' in plan ? (plan.shape?.parameterTypes.length ?? parameters.length) : 0;
    if (parameters.length !== needed)
      throw new ClarusError(
        '08P01',
        `bind message supplies ${parameters.length} parameters, but prepared statement "${message.statement}" requires ${needed}`,
      );
    const portal: ClientPortal = {
      name: message.portal,
      prepared,
      plan,
      parameters: { values: parameters, formats },
      resultFormats: message.resultFormats,
      alone: false,
      protected: undefined,
      trusted: undefined,
    };
    return portal;
  };
  const made = (plan: Plan): void | Promise<void> =>
    whenKnown(inSession(context, plan), own => finish(context, make(own), reader));
  const current = currentPlan(context, prepared.plan, () => planned(context, prepared));
  if (current instanceof Promise) {
    return current.then(plan => {
      checkSameResult(prepared.plan, plan);
      prepared.plan = plan;
      return made(plan);
    });
  }
  return made(current);
}

function finish(context: CarefulContext, portal: ClientPortal, reader: FrameReader): void | Promise<void> {
  const { pipeline } = context.cloud;
  // also where the server skips it
  const refused = { failed: () => context.portals.remove(portal) };
  if (portal.plan.kind === 'pass') {
    const { buffer, body, end } = reader;
    context.portals.put(portal);
    const bound = bind(context, portal, statement => {
      // the client's own message, with the name under which the cloud knows the statement
      const afterPortal = buffer.indexOf(0, body) + 1;
      const afterStatement = buffer.indexOf(0, afterPortal) + 1;
      const { writer } = pipeline;
      writer.begin(frontendTypes.bind);
      writer.slice(buffer, body, afterPortal);
      writer.cstring(statement);
      writer.slice(buffer, afterStatement, end);
      writer.end();
      pipeline.expect(forwarded(expects.bind, refused, portal.prepared.statement.start));
    });
    return bound;
  }
  const done = (): void => {
    if (context.skipping) return;
    context.portals.put(portal);
    pipeline.own(messages.bindComplete, refused);
  };
  const bound = bind(context, portal);
  return bound === undefined ? done() : bound.then(done);
}

/** Describe. */
export function describeMessage(context: CarefulContext, reader: FrameReader): void | Promise<void> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Describe') return;
  if (message.target === 'statement') {
    const prepared = context.statements.get(message.name);
    if (context.settings.stale && !isFailed(context) && bySettings(prepared.plan))
      return refreshSettings(context).then(() => describeCurrent(context, prepared));
    return describeCurrent(context, prepared);
  }
  const portal = context.portals.get(message.name);
  if (portal === undefined) return describeCursor(context, message.name);
  const shape = shapeOf(context, portal.plan);
  if (isFailed(context) && shape?.columns !== undefined) throw aborted();
  if (shape !== undefined) context.cloud.pipeline.own(resultDescription(shape, portal.resultFormats));
  else describeInCloud(context, 0x50, message.name);
}

/** Describes a statement as it is now: what it returns must not have changed since it was parsed. */
function describeCurrent(context: CarefulContext, prepared: PreparedStatement): void | Promise<void> {
  if (isFailed(context)) {
    // only what returns no rows can be described without looking at tables
    if (shapeOf(context, prepared.plan)?.columns !== undefined) throw aborted();
    return describeStatement(context, prepared);
  }
  const current = currentPlan(context, prepared.plan, () => planned(context, prepared));
  if (!(current instanceof Promise)) return describeStatement(context, prepared);
  return current.then(plan => {
    try {
      checkSameResult(prepared.plan, plan);
    } catch (error) {
      // PostgreSQL looks at the result when it has told the parameters
      const parameterTypes = shapeOf(context, plan)?.parameterTypes ?? [];
      context.cloud.pipeline.own(parameterDescription(parameterTypes));
      throw error;
    }
    prepared.plan = plan;
    return describeStatement(context, prepared);
  });
}

function describeStatement(context: CarefulContext, prepared: PreparedStatement): void | Promise<void> {
  return whenKnown(inSession(context, prepared.plan), plan =>
    describePlan(context, plan, prepared.parameterTypes),
  );
}

function describePlan(context: CarefulContext, plan: Plan, parameterTypes: readonly number[]): void {
  const { pipeline, statements } = context.cloud;
  const shape = shapeOf(context, plan);
  if (shape !== undefined) {
    pipeline.own(statementDescription(shape));
    return;
  }
  if (plan.kind !== 'pass') return;
  describeInCloud(context, 0x53, statements.prepare(plan, plan.sql, parameterTypes, true));
}

/** A cursor that SQL declared is a portal too, which may be one that only the cloud knows. */
function describeCursor(context: CarefulContext, name: string): void | Promise<void> {
  mustBeCursor(name);
  if (!context.cursors.has(name)) return describeInCloud(context, 0x50, name);
  return drained(context).then(going => {
    if (!going) return;
    const cursor = context.cursors.get(name);
    if (cursor === undefined) return describeInCloud(context, 0x50, name);
    if (isFailed(context)) throw aborted();
    context.cloud.pipeline.own(rowDescription(cursor.columns, []));
  });
}

/** @throws ClarusError 34000 for the names of portals of ours, which the cloud knows too */
function mustBeCursor(name: string): void {
  if (isPortalName(name)) throw new ClarusError('34000', `portal "${name}" does not exist`);
}

/** Execute. */
export function executeMessage(context: CarefulContext, reader: FrameReader): void | Promise<void> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Execute') return;
  const portal = context.portals.get(message.portal);
  if (portal !== undefined) {
    refuseInFailed(context, portal.plan);
    return execute(context, portal, message.maxRows);
  }
  mustBeCursor(message.portal);
  if (!context.cursors.has(message.portal)) return executeInCloud(context, message);
  return drained(context).then(going => {
    if (!going) return;
    const ours = context.cursors.has(message.portal);
    return ours ? executeBySql(context, message.portal, message.maxRows) : executeInCloud(context, message);
  });
}

/** Executes a cursor that SQL declared, in the cloud. */
function executeInCloud(
  { cloud: { pipeline } }: CarefulContext,
  { portal, maxRows }: Extract<FrontendMessage, { kind: 'Execute' }>,
): void {
  writeExecute(pipeline.writer, portal, maxRows);
  pipeline.expect(forwarded(expects.execute));
}

/** Close. */
export function closeMessage(context: CarefulContext, reader: FrameReader): void | Promise<void> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Close') return;
  const { pipeline, portals } = context.cloud;
  if (message.target === 'portal' && context.cursors.has(message.name))
    return drained(context).then(going => {
      if (!going) return;
      context.cursors.close(message.name);
      pipeline.own(messages.closeComplete);
    });
  let skipped: Pick<AnswerHandler, 'failed'> | undefined;
  if (message.target === 'portal') {
    const portal = context.portals.close(message.name);
    // the server may skip it
    if (portal !== undefined) skipped = { failed: () => context.portals.restore(portal) };
    const ofCloud = portal === undefined ? !isPortalName(message.name) : portal.plan.kind === 'pass';
    if (ofCloud) {
      if (message.name === '') portals.unnamedTaken = false;
      writeClose(pipeline.writer, 0x50, message.name);
      pipeline.expect(forwarded(expects.close, skipped));
      return;
    }
  } else context.statements.delete(message.name);
  pipeline.own(messages.closeComplete, skipped);
}

/** What a plan returns; undefined when only the cloud can tell. */
export function shapeOf(context: CarefulContext, plan: Plan): Shape | undefined {
  switch (plan.kind) {
    case 'pass':
      return plan.copy === undefined ? plan.shape : noShape();
    case 'set-config':
    case 'cursor':
      return plan.shape;
    case 'trusted':
    case 'protected':
      return plan.copy === undefined ? plan.shape : noShape();
    case 'execute': {
      if (plan.explain) return { parameterTypes: [], columns: plan.explain.columns };
      const inner = context.statements.get(plan.name).plan;
      return inner.kind === 'execute'
        ? noShape()
        : { parameterTypes: [], columns: shapeOf(context, inner)?.columns };
    }
    default:
      return noShape();
  }
}

const noShape = (): Shape => ({ parameterTypes: [], columns: undefined });

function describeInCloud(context: CarefulContext, target: number, name: string): void {
  const { pipeline } = context.cloud;
  writeDescribe(pipeline.writer, target, name);
  pipeline.expect(forwarded(expects.describe));
}
