/** PREPARE, EXECUTE, DEALLOCATE and DISCARD: the statements of SQL that act on what the protocol calls its own. */
import { ClarusError } from '../errors.js';
import type { Plan } from '../sql/plan.js';
import { PostgresError } from '../wire/diagnostic.js';
import { mustBePermitted, settledRole } from './acting-role.js';
import { type CarefulContext, drained } from './context.js';
import { inSession } from './cursor-execution.js';
import { physicalQuery } from './own-statements.js';
import type { ClientPortal, PreparedStatement } from './prepared.js';
import { prepareChecked } from './preparing.js';
import { commandComplete } from './shapes.js';

type PlanOf<Kind extends Plan['kind']> = Extract<Plan, { kind: Kind }>;

const oidOfType = physicalQuery(
  'SELECT ($1::pg_catalog.text::pg_catalog.regtype)::pg_catalog.oid::pg_catalog.text',
);
const nameOfType = physicalQuery('SELECT pg_catalog.format_type($1::pg_catalog.text::pg_catalog.oid, -1)');

/** PREPARE name (types) AS statement. */
export async function prepareBySql(context: CarefulContext, plan: PlanOf<'prepare'>): Promise<void> {
  if (!(await drained(context))) return;
  const { statements, options, port, cloud } = context;
  statements.check(plan.name);
  const parameterTypes: number[] = [];
  for (const type of plan.parameterTypes) parameterTypes.push(Number(await ask(context, oidOfType, type)));
  const [statement] = options.planner.statements(plan.sql);
  if (statement === undefined) throw new ClarusError('42601', 'PREPARE without a statement');
  const planned = await options.planner.plan(statement, parameterTypes, port);
  const prepared = { statement, parameterTypes, plan: planned };
  await readNow(context, prepared);
  statements.put(plan.name, prepared);
  cloud.pipeline.own(commandComplete('PREPARE'));
}

/** Literals that mean the present moment are read when a statement is parsed, not when it is first bound. */
export function readNow(context: CarefulContext, prepared: PreparedStatement): Promise<void> | undefined {
  const { statement, plan, parameterTypes } = prepared;
  if (plan.kind !== 'pass' || !plan.once) return undefined;
  const checked = prepareChecked(context, plan, prepared);
  context.cloud.statements.prepare(plan, plan.sql, parameterTypes, true, statement.start);
  return checked;
}

/**
 * EXECUTE name (expressions): the trusted PostgreSQL evaluates the expressions, since they may hold values.
 * @param run binds and executes
 */
export async function executePrepared(
  context: CarefulContext,
  plan: PlanOf<'execute'>,
  portal: ClientPortal,
  run: (portal: ClientPortal) => void | Promise<void>,
): Promise<void> {
  if (!(await drained(context))) return;
  await settledRole(context);
  const prepared = context.statements.get(plan.name);
  const current = await currentPlan(context, prepared.plan, () =>
    context.options.planner.plan(prepared.statement, prepared.parameterTypes, context.port),
  );
  const inner = await inSession(context, current);
  checkSameResult(prepared.plan, inner);
  prepared.plan = inner;
  if (inner.kind === 'execute') throw new ClarusError('0A000', 'EXECUTE of an EXECUTE is not supported');
  if (inner.kind === 'pass' && inner.listsCursors)
    throw new ClarusError('0A000', 'EXECUTE of a statement that reads pg_cursors is not supported', {
      detail: 'It would list the portal by which the cloud runs it.',
      hint: 'Send the statement itself.',
    });
  const types = 'shape' in inner ? (inner.shape?.parameterTypes ?? []) : [];
  if (types.length !== plan.arguments.length) {
    throw new ClarusError('42601', `wrong number of parameters for prepared statement "${plan.name}"`, {
      detail: `Expected ${types.length} parameters but got ${plan.arguments.length}.`,
    });
  }
  const values = await evaluate(context, plan.arguments, types, inner).catch(unplaced);
  const told = plan.explain ? await explained(context, plan.explain.sql, prepared, types) : prepared;
  const bound: ClientPortal = {
    name: portal.name,
    prepared: told,
    plan: told.plan,
    parameters: { values, formats: values.map(() => 0) },
    resultFormats: portal.resultFormats,
    ...(portal.order === undefined ? {} : { order: portal.order }),
    alone: portal.alone,
    protected: undefined,
    trusted: undefined,
  };
  if (portal.name !== '') context.portals.put(bound);
  await run(bound);
}

/** EXPLAIN of a prepared statement, as one of its own. */
async function explained(
  { options, port }: CarefulContext,
  explain: string,
  { statement: { text } }: PreparedStatement,
  parameterTypes: readonly number[],
): Promise<PreparedStatement> {
  const [statement] = options.planner.statements(explain + text);
  const plan = await options.planner.plan(statement!, parameterTypes, port);
  return { statement: statement!, parameterTypes, plan };
}

/** DEALLOCATE name, DEALLOCATE ALL. */
export function deallocate(context: CarefulContext, plan: PlanOf<'deallocate'>): void {
  const { statements, cloud } = context;
  if (plan.name === undefined) statements.clear();
  else {
    statements.get(plan.name);
    statements.delete(plan.name);
  }
  cloud.pipeline.own(commandComplete(plan.name === undefined ? 'DEALLOCATE ALL' : 'DEALLOCATE'));
}

/** DISCARD, on both sides. */
export async function discard(context: CarefulContext, plan: PlanOf<'discard'>): Promise<void> {
  if (!(await drained(context))) return;
  const { cloud, trusted, statements, cursors, settings } = context;
  const tag = await cloud.run(plan.sql);
  if (context.temporary.exist && (plan.target === 'all' || plan.target === 'temp'))
    context.temporary.changed();
  if (plan.target === 'all') {
    statements.clear();
    cursors.clear();
    cloud.statements.forget();
    trusted.forgetSettings();
    settings.stale = true;
  }
  if (trusted.isOpen) {
    trusted.settle();
    // what DISCARD ALL ran for is done one by one: it may not run behind other statements of a batch
    const sql =
      plan.target === 'all'
        ? ['RESET role', 'RESET ALL', 'DISCARD PLANS', 'DISCARD TEMP', 'DISCARD SEQUENCES']
        : [plan.sql];
    for (const statement of sql) await trusted.port.run(statement);
    trusted.settle();
  }
  cloud.pipeline.own(commandComplete(tag));
}

/** The plan, or a new one when the catalogue or the settings have changed since. */
export function currentPlan(
  context: CarefulContext,
  plan: Plan,
  again: () => Promise<Plan>,
): Plan | Promise<Plan> {
  const { planner } = context.options;
  return planner.current === undefined || planner.current(plan, context.port) ? plan : again();
}

/** A client that described a statement relies on what it was told. */
export function checkSameResult(before: Plan, after: Plan): void {
  const columns = (plan: Plan): string =>
    'shape' in plan
      ? (plan.shape?.columns?.map(c => `${c.name} ${c.typeOid} ${c.typeModifier}`).join() ?? '')
      : '';
  if (columns(before) !== columns(after)) {
    throw new ClarusError('0A000', 'cached plan must not change result type');
  }
}

/**
 * Evaluates the arguments where they may be seen and where their functions have their home. They are given to a
 * statement that only returns them: that converts them as EXECUTE does, which is more than an implicit cast and less
 * than an explicit one.
 */
async function evaluate(
  context: CarefulContext,
  expressions: readonly string[],
  types: readonly number[],
  inner: Plan,
): Promise<(Uint8Array | null)[]> {
  if (expressions.length === 0) return [];
  const { trusted, cloud, options, port } = context;
  const given = expressions.map(expression => `(${expression})`).join(', ');
  const [statement] = options.planner.statements(`SELECT ${given}`);
  const plan = await options.planner.plan(statement!, [], port);
  await mustBePermitted(context, plan);
  const isTrusted = plan.kind === 'trusted' && !plan.figures;
  if (!isTrusted && !(plan.kind === 'pass' && inner.kind === 'pass'))
    throw new ClarusError(
      '0A000',
      'arguments of EXECUTE call a function whose answer only the cloud can give',
      {
        hint: 'Compute the value first, then give it as a constant.',
      },
    );
  const parameters: string[] = [];
  for (const [i, type] of types.entries())
    parameters.push(`$${i + 1}::${await ask(context, nameOfType, String(type))}`);
  const returning = `SELECT ${parameters.join(', ')}`;
  const side = isTrusted ? trusted.port : cloud;
  if (side !== cloud) await trusted.ready();
  const name = side.statements.prepare(returning, returning, types);
  const { rows } = await side.gather(physicalQuery(`EXECUTE ${name}(${given})`), [], false);
  if (side !== cloud) trusted.settle();
  return [...rows[0]!];
}

/** Positions in what we wrote say nothing to the client. @throws always */
function unplaced(error: unknown): never {
  if (!(error instanceof PostgresError)) throw error;
  const { position: _, ...diagnostic } = error.diagnostic;
  throw new PostgresError(diagnostic);
}

async function ask(
  { trusted }: CarefulContext,
  question: ReturnType<typeof physicalQuery>,
  value: string,
): Promise<string> {
  await trusted.ready();
  const { rows } = await trusted.port.gather(question, [Buffer.from(value)], false);
  trusted.settle();
  return Buffer.from(rows[0]![0]!).toString();
}
