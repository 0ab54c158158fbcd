/** The simple query protocol (PostgreSQL manual, 54.2.2). */
import { whenKnown } from '../awaitable.js';
import type { Plan } from '../sql/plan.js';
import { missingParameter } from '../sql/raw/parameters.js';
import { decodeFrontend } from '../wire/decode-frontend.js';
import type { FrameReader } from '../wire/frame-reader.js';
import { frontendTypes } from '../wire/protocol.js';
import { mustBePermitted } from './acting-role.js';
import { type ClientText, clientText, split, tellWarnings } from './client-text.js';
import { toCloud } from './cloud-names.js';
import { type CarefulContext, drained } from './context.js';
import { inSession, mustBeDeclarableAlone } from './cursor-execution.js';
import { bind, execute, passCopyIn, refusePortalAsCursor } from './execution.js';
import { expects, forwardedQuery, step } from './expectations.js';
import { refuseInFailed, shapeOf } from './extended.js';
import { shifted } from './failure.js';
import { planned } from './planned.js';
import type { Statement } from './planner-port.js';
import type { ClientPortal } from './prepared.js';
import { type Recording, recorded } from './recording.js';
import { messages, rowDescription } from './shapes.js';
import { beginInternal } from './transaction-control.js';

const nothing = Buffer.alloc(0);

/**
 * Query: one statement or several, in one implicit transaction.
 * @returns whether ReadyForQuery is still to be asked for (true), or comes by itself (false)
 */
export function query(context: CarefulContext, reader: FrameReader): boolean | Promise<boolean> {
  const message = decodeFrontend(reader.type, reader.buffer, reader.body, reader.end);
  if (message.kind !== 'Query') return true;
  context.statements.delete('');
  context.portals.close('');
  return whenKnown(clientText(context, message.sql), text => queryText(context, text));
}

function queryText(context: CarefulContext, sent: ClientText): boolean | Promise<boolean> {
  const { options, port, cloud } = context;
  const text = sent.sql.trimEnd().replace(/;$/, '');
  const isKept = !context.settings.stale && !sent.refused;
  const known = isKept ? options.planner.cached?.(text, [], port) : undefined;
  if (known !== undefined) {
    const statement = { text, start: sent.origin(0) };
    tellWarnings(context, sent);
    refuseInFailed(context, known);
    mustNeedNothing(known, statement);
    return runAlone(context, statement, known);
  }
  const found = split(context, sent);
  if (found instanceof Promise) return found;
  if (found.length === 0) {
    cloud.pipeline.own(messages.emptyQuery);
    return true;
  }
  return found.length === 1 ? planAndRunAlone(context, found[0]!) : runSeveral(context, found);
}

async function planAndRunAlone(context: CarefulContext, statement: Statement): Promise<boolean> {
  return runAlone(context, statement, await plannedWithout(context, statement));
}

/** Plans a statement that brings no values. @throws as planning does; ClarusError 42P02 where it has parameters */
async function plannedWithout(context: CarefulContext, statement: Statement): Promise<Plan> {
  const plan = await planned(context, { statement, parameterTypes: [] }).catch(error => {
    // of a parameter whose type nothing tells
    const missing = (error as { code?: unknown }).code === '42P18' && missingParameter(statement.text);
    throw missing ? shifted(missing, statement.start) : error;
  });
  mustNeedNothing(plan, statement);
  return plan;
}

/** @throws ClarusError 42P02 where a plan has parameters */
function mustNeedNothing(plan: Plan, { text, start }: Statement): void {
  if (!('shape' in plan) || !plan.shape?.parameterTypes.length) return;
  const missing = missingParameter(text);
  if (missing) throw shifted(missing, start);
}

const runAlone = (context: CarefulContext, statement: Statement, plan: Plan): boolean | Promise<boolean> =>
  whenKnown(inSession(context, plan), own => runInSession(context, statement, own));

function runInSession(context: CarefulContext, statement: Statement, plan: Plan): boolean | Promise<boolean> {
  const { pipeline } = context.cloud;
  // behind messages that no Sync has followed, a Query could be skipped by the server
  if (plan.kind !== 'pass' || plan.closes || pipeline.dirty || context.transaction.internal) {
    const ran = run(context, statement, plan);
    return ran === undefined ? true : ran.then(() => true);
  }
  const permitted = mustBePermitted(context, plan);
  if (permitted)
    return permitted.then(() => (context.skipping ? true : runPassAlone(context, statement, plan)));
  return runPassAlone(context, statement, plan);
}

function runPassAlone(
  context: CarefulContext,
  statement: Statement,
  plan: Extract<Plan, { kind: 'pass' }>,
): boolean | Promise<boolean> {
  const { options, port } = context;
  if (context.pending > 0) {
    return context.settled().then(() => {
      if (context.skipping) return true;
      // the catalogue may have changed meanwhile
      return (options.planner.current?.(plan, port) ?? true)
        ? runPassAlone(context, statement, plan)
        : planAndRunAlone(context, statement);
    });
  }
  refusePortalAsCursor(context, plan);
  mustBeDeclarableAlone(context, plan);
  return recorded(context, plan, 0, recording => sendPassAlone(context, statement, plan, recording));
}

function sendPassAlone(
  context: CarefulContext,
  statement: Statement,
  plan: Extract<Plan, { kind: 'pass' }>,
  recording: Recording,
): boolean | Promise<boolean> {
  const { pipeline } = context.cloud;
  const sql = toCloud(plan.sql, context.port);
  pipeline.writer.begin(frontendTypes.query);
  pipeline.writer.cstring(sql);
  pipeline.writer.end();
  const columns = plan.shape?.columns;
  const description =
    plan.shape === undefined ? undefined : columns === undefined ? nothing : rowDescription(columns, []);
  if (plan.copy === 'in') {
    return passCopyIn(context, recording, handler => {
      pipeline.expect(forwardedQuery(description, handler, statement.start));
      context.sentQuery();
    }).then(() => false);
  }
  pipeline.expect(forwardedQuery(description, recording, statement.start));
  context.sentQuery();
  return false;
}

async function runSeveral(context: CarefulContext, found: readonly Statement[]): Promise<boolean> {
  for (const statement of found) {
    const plan = await inSession(context, await plannedWithout(context, statement));
    // PostgreSQL's implicit block: what may not stand in a block is refused, and an error takes everything back
    if (plan.kind !== 'transaction' && !context.transaction.block) {
      if (!(await drained(context))) break;
      await beginInternal(context);
    }
    const ran = run(context, statement, plan);
    if (ran !== undefined) await ran;
    if (context.skipping) break;
  }
  return true;
}

/** Runs one statement by the extended protocol, answered as the simple one is. */
function run(context: CarefulContext, statement: Statement, plan: Plan): void | Promise<void> {
  // described when the arguments, or the planning, have proven right
  const late = plan.kind === 'execute' || plan.kind === 'trusted' || plan.kind === 'cursor';
  const resultFormats = plan.kind === 'cursor' && plan.binary ? ([1] as const) : [];
  const portal: ClientPortal = {
    name: '',
    prepared: { statement, parameterTypes: [], plan },
    plan,
    parameters: { values: [], formats: [] },
    resultFormats,
    protected: undefined,
    trusted: undefined,
    alone: !context.cloud.pipeline.dirty && !context.transaction.block,
    ...(late ? { announce: (inner: Plan) => describe(context, inner, resultFormats) } : {}),
  };
  const go = (): void | Promise<void> => {
    if (!late) describe(context, plan);
    return execute(context, portal, 0);
  };
  const bound = bind(context, portal);
  return bound === undefined ? go() : bound.then(() => (context.skipping ? undefined : go()));
}

function describe(context: CarefulContext, plan: Plan, resultFormats: readonly (0 | 1)[] = []): void {
  const { pipeline } = context.cloud;
  const shape = shapeOf(context, plan);
  if (shape !== undefined) {
    if (shape.columns === undefined) return;
    const description = rowDescription(shape.columns, resultFormats);
    // the trusted side's rows do not queue up behind what the cloud is still asked for
    if (plan.kind === 'trusted') context.output.bytes(description);
    else pipeline.own(description);
    return;
  }
  pipeline.writer.begin(frontendTypes.describe);
  pipeline.writer.uint8(0x50);
  pipeline.writer.cstring('');
  pipeline.writer.end();
  pipeline.expect(
    step(expects.describe, {
      message: (_type, buffer, body, end) => {
        // NoData has no body and no place in the simple protocol
        if (end > body) context.output.add(buffer, body - 5, end);
      },
    }),
  );
}
