/**
 * CALL, and SELECT of functions that cannot run over carriers because they write, ask for the time, run text of their own:
 * each call runs first, and what it returns takes its place.
 */
import { ClarusError } from '../../errors.js';
import { flag, nodeIn, nodesIn, numberIn, readNodes, walk } from '../analysed/node.js';
import { FIRST_USER_OID } from '../functions.js';
import type { ProtectedPlan } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import {
  child,
  fieldsOf,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  stringOf,
  target,
  visit,
} from '../raw/node.js';
import { readerOn } from '../reading.js';
import { argumentsOf, givenBy } from './arguments.js';
import { Calls, Places, type PlanPart } from './call-places.js';
import { isOwnRoutine, isSetval, routineOf } from './routine.js';

/**
 * @param raw a CallStmt; its text is `sql`
 * @throws ClarusError 0A000
 */
export async function planCall(
  raw: RawNode,
  sql: string,
  parameterTypes: readonly number[],
  session: SessionPort,
  planPart: PlanPart,
): Promise<ProtectedPlan> {
  const { shape, parsed } = await session.analyse(sql, parameterTypes);
  const cause = new ClarusError('0A000', 'the procedure cannot be run over protected tables', {
    detail:
      'It is not in SQL or PL/pgSQL, takes arguments of pseudo-types, is SECURITY DEFINER and belongs to another role, or has a SET clause that bodies cannot follow.',
  });
  const routine = await routineOf(await procedureCalled(raw, parsed, session), session);
  if (!routine) throw cause;
  const given = argumentsOf(raw.CallStmt!.funccall as RawFields, routine, cause);
  const calls = new Calls(shape, session, cause, planPart);
  const numbers = await calls.add(routine, given);
  const columns = routine.columns.map((column, i) => ({ ...column, value: paramRef(numbers[i]!) }));
  const rest =
    columns.length > 0 ? selectOf(columns.map(({ value, name }) => target(value, name))) : undefined;
  const written = list(raw.CallStmt!.funccall as RawFields, 'args').map(givenBy);
  const outputs = routine.parameters.flatMap(({ mode }, i) =>
    mode === 'in' ? [] : [written.indexOf(given[i]!)],
  );
  return calls.plan('CALL', rest, true, outputs);
}

const procedures = `SELECT p.oid::pg_catalog.text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.prokind = 'p' AND p.proname = $1 AND CASE WHEN $2::pg_catalog.text IS NULL
    THEN n.nspname = ANY (pg_catalog.current_schemas(true)) ELSE n.nspname = $2 END`;

/** @returns the OID of the procedure that a CALL has been found to call; 0: it is not known */
async function procedureCalled(
  raw: RawNode,
  parsed: Analysis['parsed'],
  session: SessionPort,
): Promise<number> {
  // the raw call stands in it too, with constants that are no nodes; in literals blanks and braces are escaped
  const [, oid] = /:funcexpr\s+\{FUNCEXPR\s+:funcid\s+(\d+)/.exec(parsed.join(' ')) ?? [];
  if (oid !== undefined) return Number(oid);
  // up to version 15 PostgreSQL does not print it: it is the only one of its name, or not known
  const names = list(raw.CallStmt!.funccall as RawFields, 'funcname').map(stringOf);
  const rows = await readerOn(session.trusted)(procedures, [names.at(-1)!, names.at(-2) ?? null]);
  return rows.length === 1 ? Number(rows[0]![0]) : 0;
}

/**
 * @param raw a SelectStmt
 * @param cause why it cannot be run otherwise
 * @throws cause where a call does not stand alone: it would not be run once, or not be run at all
 */
export async function planSelectCalls(
  raw: RawNode,
  analysis: Analysis,
  session: SessionPort,
  cause: ClarusError,
  planPart: PlanPart,
): Promise<ProtectedPlan> {
  const select = ofOneRow(raw.SelectStmt, analysis);
  if (!select || !isPlain(select) || !runsOnce(analysis)) throw cause;
  const called = callsIn(analysis);
  const calls = new Calls(analysis.shape, session, cause, planPart);
  const places = new Places(called, calls, session, cause);
  const from = list(select, 'fromClause');
  const rows = from.length > 0 ? { fromClause: [await places.inFrom(from[0]!, analysis)] } : {};
  const names = (analysis.shape.columns ?? []).map(({ name }) => name);
  const targets =
    from.length > 0 ? list(select, 'targetList') : await places.targets(list(select, 'targetList'), names);
  if (!places.found) throw cause;
  const alone = list(select, 'sortClause').length === 0 && isOfCalls(select, targets);
  return calls.plan('SELECT', { SelectStmt: { ...select, targetList: targets, ...rows } }, alone);
}

/** Is it nothing but calls that are run before it? @param targets what its select list has become */
function isOfCalls(select: RawFields, targets: readonly RawNode[]): boolean {
  const asked = list(select, 'targetList').map(entry => child(fieldsOf(entry), 'val')!);
  if (list(select, 'fromClause').length > 0) return asked.every(value => value.ColumnRef);
  let computes = !asked.every(value => value.FuncCall);
  visit(targets, (kind, fields) => {
    if (kind === 'FuncCall') computes ||= stringOf(list(fields, 'funcname').at(-1)) !== 'unnest';
  });
  return !computes;
}

/**
 * `SELECT setval(s, max(a), ...) FROM t`: what aggregates without GROUP BY make is one row, so each argument can be a query
 * of its own.
 */
function ofOneRow(select: RawFields | undefined, { parsed }: Analysis): RawFields | undefined {
  const [query] = parsed.flatMap(readNodes);
  const [only, ...more] = list(select ?? {}, 'targetList');
  const call = only && child(fieldsOf(only), 'val')?.FuncCall;
  const { fromClause, whereClause, ...rest } = select ?? {};
  const oneRow = query !== undefined && flag(query, 'hasAggs') && !flag(query, 'hasTargetSRFs');
  if (
    !select ||
    !call ||
    more.length > 0 ||
    !oneRow ||
    !isPlain({ ...rest, fromClause }) ||
    list(select, 'sortClause').length > 0
  )
    return select;
  const target = query && nodesIn(query, 'targetList')[0];
  const value = target && nodeIn(target, 'expr');
  if (value?.kind !== 'FUNCEXPR' || !isSetval(numberIn(value, 'funcid'))) return select;
  const analysedArgs = nodesIn(value, 'args');
  if (holds(analysedArgs, 'SUBLINK')) return select;
  const args = list(call, 'args').map((argument, i) => {
    // what holds no aggregate reads no column
    if (!holds(analysedArgs[i], 'AGGREF')) return argument;
    const targetList = [{ ResTarget: { val: argument } }];
    const subselect = {
      SelectStmt: { ...rest, targetList, fromClause, ...(whereClause ? { whereClause } : {}) },
    };
    return { SubLink: { subLinkType: 'EXPR_SUBLINK', subselect } };
  });
  const val = { FuncCall: { ...call, args } };
  return { ...rest, targetList: [{ ResTarget: { ...fieldsOf(only!), val } }] };
}

function holds(value: unknown, kind: string): boolean {
  let found = false;
  walk(value as Parameters<typeof walk>[0], node => {
    found ||= node.kind === kind;
    return !found;
  });
  return found;
}

/** What a call in another place than the select list, or alone in FROM, would make of it is not known. */
const isPlain = (select: RawFields): boolean =>
  Object.keys(select).every(key =>
    ['targetList', 'fromClause', 'limitOption', 'op', 'sortClause'].includes(key),
  ) &&
  list(select, 'fromClause').length <= 1 &&
  (list(select, 'fromClause').length > 0 || list(select, 'sortClause').length === 0);

/** Is each call of the select list run once? Beside what returns sets, it is run for each row of theirs. */
function runsOnce({ parsed }: Analysis): boolean {
  const [query] = parsed.flatMap(readNodes);
  if (!query) return false;
  if (!flag(query, 'hasTargetSRFs') || nodesIn(query, 'rtable').length > 0) return true;
  const [only, ...more] = nodesIn(query, 'targetList');
  let sets = 0;
  walk(query.fields.targetList, node => {
    if (flag(node, 'funcretset') || flag(node, 'opretset')) sets++;
    return true;
  });
  const value = only && nodeIn(only, 'expr');
  return more.length === 0 && sets === 1 && value !== undefined && flag(value, 'funcretset');
}

/** Functions of users by where their calls stand, in bytes. */
function callsIn({ parsed }: Analysis): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'FUNCEXPR' && isCalled(numberIn(node, 'funcid')))
        found.set(numberIn(node, 'location'), numberIn(node, 'funcid'));
      return true;
    });
  return found;
}

/** Functions of users, and those of PostgreSQL's that Clarus runs in their place. */
const isCalled = (oid: number): boolean => oid >= FIRST_USER_OID || isOwnRoutine(oid);

const selectOf = (targetList: readonly RawNode[]): RawNode => ({
  SelectStmt: { targetList, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' },
});
