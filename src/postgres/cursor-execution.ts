/** Statements about cursors whose rows the trusted PostgreSQL keeps: they share names with those that the cloud has. */
import type { Awaitable } from '../awaitable.js';
import { quoteName } from '../catalog/quote.js';
import { ClarusError } from '../errors.js';
import type { CursorBody } from '../sql/execute/bodies.js';
import { cannotBeRun } from '../sql/execute/given.js';
import { HeldRows } from '../sql/execute/held-rows.js';
import { formatsOf, named } from '../sql/execute/portal.js';
import type { CursorDeclaration, Plan } from '../sql/plan.js';
import type { CursorPort, DataRows, ExecuteOutcome } from '../sql/ports.js';
import type { PartsBody } from '../sql/temporary/beside.js';
import { type CarefulContext, drained, isFailed } from './context.js';
import { planOfFetch, taken } from './cursors.js';
import { expects, internal } from './expectations.js';
import { aborted } from './failure.js';
import { physicalQuery } from './own-statements.js';
import type { ClientPortal } from './prepared.js';
import { type Recording, recorded } from './recording.js';
import { commandComplete, messages } from './shapes.js';
import { beginInternal } from './transaction-control.js';

type CursorPlan = Extract<Plan, { kind: 'cursor' }>;
type PassPlan = Extract<Plan, { kind: 'pass' }>;

/** Bytes of rows that may be kept for a client that takes what it fetches in parts. */
const heldBytesMax = 64 * 1024 * 1024;

/**
 * What a statement becomes in this session: one that fetches from a cursor of ours is no longer the cloud's.
 * @throws ClarusError 0A000 for pg_cursors, which would not list all
 */
export function inSession(context: CarefulContext, plan: Plan): Awaitable<Plan> {
  if (plan.kind !== 'pass' || plan.closes) return plan;
  const { cursors, portals } = context;
  const ofPortal = plan.declares !== undefined && portals.get(plan.declares.name) !== undefined;
  if (cursors.size === 0 && !ofPortal) return plan;
  if (plan.cursor === undefined && plan.declares === undefined && !plan.listsCursors) return plan;
  return drained(context).then(going => (going ? withCursors(context, plan) : plan));
}

function withCursors({ cursors }: CarefulContext, plan: PassPlan): Plan {
  if (plan.listsCursors && cursors.size > 0)
    throw new ClarusError('0A000', 'pg_cursors does not list cursors over protected tables', {
      hint: 'Close them first.',
    });
  const cursor = plan.cursor === undefined ? undefined : cursors.get(plan.cursor);
  return cursor === undefined ? plan : planOfFetch(cursor, plan.sql, plan.moves === true);
}

/** Executes a cursor of ours by message, as a portal of the protocol. @param maxRows 0: no limit */
export function executeBySql(context: CarefulContext, name: string, maxRows: number): void | Promise<void> {
  const cursor = context.cursors.get(name)!;
  const count = maxRows === 0 ? 'ALL' : maxRows;
  const plan = planOfFetch(cursor, `FETCH FORWARD ${count} FROM ${quoteName(name)}`, false);
  return recorded(context, plan, maxRows, recording =>
    recording.watch(async () => {
      if (isFailed(context)) throw aborted();
      const tag = await run(context, plan, [], rows => context.port.client.write(bytesOf(rows)));
      const rows = Number(/\d+$/.exec(tag)?.[0]);
      answer(
        context,
        recording,
        rows === maxRows && maxRows > 0 ? { kind: 'suspended' } : { kind: 'complete', tag: `SELECT ${rows}` },
      );
    }, true),
  );
}

/**
 * FETCH and MOVE.
 * @param maxRows 0: no limit
 */
export async function executeCursor(
  context: CarefulContext,
  portal: ClientPortal,
  plan: CursorPlan,
  maxRows: number,
  recording: Recording,
): Promise<void> {
  if (!(await drained(context))) return recording.over();
  if (isFailed(context)) throw aborted();
  answer(context, recording, await fetched(context, portal, plan, maxRows));
}

function answer({ cloud }: CarefulContext, recording: Recording, outcome: ExecuteOutcome): void {
  recording.outcome(outcome);
  cloud.pipeline.own(outcome.kind === 'suspended' ? messages.suspended : commandComplete(outcome.tag));
}

/** Whole DataRow messages, copied: the client takes them in its time. */
function bytesOf({ buffer, starts, count }: DataRows): Buffer {
  if (count === 0) return Buffer.alloc(0);
  const last = starts[count - 1]! - 4;
  return Buffer.from(buffer.subarray(starts[0]! - 5, last + buffer.readInt32BE(last)));
}

async function fetched(
  context: CarefulContext,
  portal: ClientPortal,
  plan: CursorPlan,
  maxRows: number,
): Promise<ExecuteOutcome> {
  const { client } = context.port;
  const { columns } = plan.shape;
  if (portal.completed !== undefined) {
    if (columns === undefined) throw new ClarusError('55000', cannotBeRun(portal.name));
    return (await portal.fetched?.give(maxRows, client, 'FETCH')) ?? { kind: 'complete', tag: 'FETCH 0' };
  }
  // it runs to its end at once, whatever part of the rows is asked for (PORTAL_UTIL_SELECT in pquery.c)
  const held = maxRows > 0 && columns !== undefined ? new HeldRows(heldBytesMax, 'FETCH') : undefined;
  let announced = false;
  const announce = (): void => {
    if (!announced) portal.announce?.(plan);
    announced = true;
  };
  const give = (rows: DataRows): void | Promise<void> => {
    announce();
    if (held === undefined) return client.write(bytesOf(rows));
    held.writer.bytes(bytesOf(rows));
    held.written();
  };
  const tag = await run(context, plan, portal.resultFormats, give);
  announce();
  portal.completed = tag;
  if (held === undefined) return { kind: 'complete', tag };
  portal.fetched = held;
  return held.give(maxRows, client, 'FETCH');
}

async function run(
  { residual, cursors }: CarefulContext,
  { sql, cursor, shape, localised }: CursorPlan,
  resultFormats: readonly (0 | 1)[],
  rows: (rows: DataRows) => void | Promise<void>,
): Promise<string> {
  if (residual === undefined || !cursors.has(cursor))
    throw new ClarusError('34000', `cursor "${cursor}" does not exist`);
  const formats = { parameters: [], results: formatsOf(resultFormats, shape.columns?.length ?? 0) };
  return residual.alone(localised, async port => {
    const portal = port.bind(physicalQuery(sql), [], formats, named);
    const outcome = portal.execute(0, { rows });
    port.flush();
    const done = await outcome;
    return done.kind === 'complete' ? done.tag : '';
  });
}

/** Cursors of the session as DECLARE sees them. */
export const cursorPort = (context: CarefulContext): CursorPort => ({
  check: declaration => mustBePossible(context, declaration),
  async declared(declaration) {
    // it goes where the rest of the batch fails, and its end must be seen
    await beginInternal(context);
    context.cursors.put(declaration);
  },
  has: name => context.cursors.has(name) || context.portals.get(name) !== undefined,
});

/**
 * What must hold before a cursor is declared. The first statement of an implicit transaction is in no block
 * (RequireTransactionBlock in xact.c); the cloud cannot tell which one that is, because it does not see all that the
 * client executes, and we ask it things too. Nor does it know all names.
 * @throws ClarusError 25P01 for DECLARE without HOLD outside of a block; 42P03 for the name of a cursor of ours
 */
export function mustBeDeclarable(context: CarefulContext, plan: Plan): void {
  const { transaction, executed, executedBefore } = context;
  const declares = plan.kind === 'pass' ? plan.declares : declarationOf(plan);
  if (declares === undefined) return;
  if (!declares.hold && !transaction.block && executed <= executedBefore + 1)
    throw new ClarusError('25P01', 'DECLARE CURSOR can only be used in transaction blocks');
  if (plan.kind === 'pass') mustBeFree(context, declares.name);
}

/** The same of one that the cloud is sent as it stands, which says itself that it is outside of a block. */
export function mustBeDeclarableAlone(context: CarefulContext, { declares }: PassPlan): void {
  if (declares === undefined || isFailed(context)) return;
  if (declares.hold || context.transaction.block) mustBeFree(context, declares.name);
}

function mustBeFree({ cursors, portals }: CarefulContext, name: string): void {
  cursors.checkName(name);
  const portal = portals.get(name);
  // the cloud knows the others
  if (portal !== undefined && portal.plan.kind !== 'pass') throw taken(name);
}

function declarationOf(plan: Plan): CursorDeclaration | undefined {
  if (plan.kind !== 'protected') return undefined;
  if (plan.body.kind === 'cursor') return (plan.body as CursorBody).declaration;
  const { rest } = plan.body.kind === 'parts' ? (plan.body as PartsBody) : { rest: undefined };
  return rest && 'plan' in rest ? declarationOf(rest.plan) : undefined;
}

/** The cloud has cursors of its own: it is asked to declare one, too. */
async function mustBePossible(
  context: CarefulContext,
  { name, hold }: Pick<CursorDeclaration, 'name' | 'hold'>,
): Promise<void> {
  const { cursors, portals, cloud, transaction } = context;
  cursors.check(name);
  if (portals.get(name) !== undefined) throw taken(name);
  // the cloud has not seen all that the client executed
  if (!hold) await beginInternal(context);
  const alone = !transaction.block && !cloud.pipeline.dirty;
  const quoted = quoteName(name);
  await Promise.all([
    cloud.run(`DECLARE ${quoted} CURSOR ${hold ? 'WITH HOLD ' : ''}FOR SELECT 1`),
    cloud.run(`CLOSE ${quoted}`),
  ]);
  if (alone) cloud.pipeline.sync(internal(expects.sync));
}
