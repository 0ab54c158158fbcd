/**
 * Split statements that write: UPDATE and DELETE run on the trusted side as they stand, because a table's carrier takes
 * its place in them.
 */

import type { LogicalTable } from '../../../catalog/catalog.js';
import { heirsOf, treeOf } from '../../../catalog/trees.js';
import { flag, type Node, nodesIn, numberIn, readNodes, walk } from '../../analysed/node.js';
import { COMMAND } from '../../analysed/query.js';
import { allGeneratedOf } from '../../checks/generated.js';
import { generatedColumns } from '../../defaults.js';
import type { SplitBody, SplitWrites } from '../../execute/bodies.js';
import type { ProtectedPlan } from '../../plan.js';
import { deparse } from '../../raw/deparse.js';
import { kindOf, type RawNode } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { policedUpdate, securedRefusal, securedWrite } from '../../row-security/statements.js';
import { touchOf } from '../../touch.js';
import { planTriggered } from '../../triggers/plan.js';
import { isApplied } from '../asks.js';
import { isCause } from '../cloud-alone.js';
import { planSplit, type SplitPlanning, splitBody, withoutOnly } from '../plan.js';
import { isPlainRead, mustBeReadable } from '../readable.js';
import { withoutSamples } from '../samples.js';
import { planComputedInsert } from './computed-insert.js';
import { planComputedMerge } from './computed-merge.js';
import { declassifiedBy, refuseFlows, refuseLateSight, storedBy, type Write, writesOf } from './flow.js';
import { hoistWrites, mustHoist } from './hoist.js';
import { withoutSemiJoins } from './inherited-target.js';
import { planInsertSelect } from './insert.js';
import { isLocking, planLocking, withoutLocking } from './locking.js';
import { xmaxTests } from './returned-rows.js';
import { withoutTargetSchema } from './target-names.js';
import { viewTarget } from './view-target.js';

const commands: Readonly<Record<string, string>> = {
  SelectStmt: 'SELECT',
  UpdateStmt: 'UPDATE',
  DeleteStmt: 'DELETE',
};

/**
 * Plans a statement that no encoding answers.
 * @param raw the statement; its text is `sql`
 * @throws cause where the trusted side cannot finish it either; ClarusError 0A000 where a protected value would flow to
 *   an unprotected column
 */
export async function planSplitStatement(
  raw: RawNode,
  sql: string,
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const sampled = await withoutSamples(raw, planning);
  if (sampled && isApplied(planning.analysis, planning.session)) throw securedRefusal('TABLESAMPLE');
  const planned = await (sampled
    ? planWay(sampled.raw, sampled.sql, sampled.planning)
    : planWay(raw, sql, planning));
  const { analysis, touch, session } = planning;
  const declassifies = declassifiedBy(analysis, touch, session.catalog());
  const stores = storedBy(analysis.rewritten.flatMap(readNodes), session.catalog());
  return {
    ...planned,
    ...(declassifies.length > 0 ? { declassifies } : {}),
    ...(stores.length > 0 ? { stores } : {}),
  };
}

/**
 * Plans a SELECT that the trusted PostgreSQL runs, whatever the cloud could answer.
 * @throws ClarusError of `planSplit`
 */
export async function planSplitQuery(
  raw: RawNode,
  sql: string,
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const sampled = await withoutSamples(raw, planning);
  if (sampled && isApplied(planning.analysis, planning.session)) throw securedRefusal('TABLESAMPLE');
  return sampled ? planSplit(sampled.raw, sampled.sql, sampled.planning) : planSplit(raw, sql, planning);
}

async function planWay(named: RawNode, sql: string, planning: SplitPlanning): Promise<ProtectedPlan> {
  const { cause, session } = planning;
  const raw = withoutTargetSchema(named, session);
  const whole = await withoutOnly(raw, planning);
  if (whole) return planWay(whole.raw, whole.sql, { ...planning, analysis: whole.analysis });
  if (isApplied(planning.analysis, planning.session)) return planSecured(raw, sql, planning);
  const triggered = await planTriggered(raw, planning);
  if (triggered) return triggered;
  if (kindOf(raw) === 'InsertStmt') {
    const copied = await planInsertSelect(raw, planning).catch(refused => {
      if (!isCause(refused, cause)) throw refused;
    });
    if (copied) return copied;
  }
  return planSplitWrite(raw, sql, planning) ?? planSplit(raw, sql, planning);
}

/** A statement to which policies are applied: PostgreSQL applies them to what is read, and Clarus to what is written. */
async function planSecured(raw: RawNode, sql: string, planning: SplitPlanning): Promise<ProtectedPlan> {
  const write = await securedWrite(raw, planning);
  const within: SplitPlanning = { ...planning, secured: true };
  if (kindOf(raw) !== 'SelectStmt' && (await planTriggered(raw, planning)))
    throw securedRefusal('a write that fires triggers, or that exclusion constraints look at,');
  if (!write?.policies) return planSplitWrite(raw, sql, within) ?? planSplit(raw, sql, within);
  const { kind, policies } = write;
  if (kind === 'INSERT') return planSplitWrite(raw, sql, { ...within, policies })!;
  const planned = await planSplitWrite(raw, sql, within)!;
  const body = planned.body as SplitBody;
  const policed = await policedUpdate(policies, within);
  // all columns are kept of the rows that are found
  return { ...planned, body: { ...body, writes: { ...body.writes!, returns: true, policed } } as SplitBody };
}

/**
 * @param raw a statement; its text is `sql`
 * @returns undefined: it writes nothing
 * @throws cause where it cannot be finished on the trusted side; ClarusError 0A000 where a protected value would flow to
 *   an unprotected column
 */
function planSplitWrite(
  raw: RawNode,
  sql: string,
  planning: SplitPlanning,
): Promise<ProtectedPlan> | undefined {
  const catalog = planning.session.catalog();
  const queries = planning.analysis.parsed.flatMap(readNodes);
  const writes = queries.flatMap(tree => writesOf(tree, catalog));
  const locks = queries.some(tree => locksBelow(tree));
  if (locks) {
    // what a locking query returns is a parameter afterwards
    refuseFlows(writes, planning.touch, catalog);
    return planWithLocks(raw, planning);
  }
  const [query] = queries;
  if (query && mustHoist(query)) return planHoisted(raw, query, writes, planning);
  return writes.length === 0 ? undefined : plan(raw, sql, writes, planning, []);
}

function locksBelow(tree: Node): boolean {
  let found = false;
  walk(tree, node => {
    if (node.kind === 'QUERY') found ||= isLocking(node);
    return !found;
  });
  return found;
}

/** A statement that locks rows beside those that it writes. */
async function planWithLocks(raw: RawNode, planning: SplitPlanning): Promise<ProtectedPlan> {
  const without = await withoutLocking(raw, planning);
  if (!without) return planLocking(raw, planning);
  const { session, analysis, cause } = without.planning;
  const [query] = analysis.parsed.flatMap(readNodes);
  if (!query || isLocking(query)) throw cause;
  const planned = await plan(
    without.raw,
    deparse(without.raw),
    writesOf(query, session.catalog()),
    without.planning,
    without.first,
  );
  return { ...planned, shape: planning.analysis.shape };
}

/** A statement whose writes in WITH run first. */
async function planHoisted(
  raw: RawNode,
  query: Node,
  writes: readonly Write[],
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const { session, analysis, cause, homes, touch } = planning;
  const catalog = session.catalog();
  // a function would see what has been written before it is called
  const { routines } = touch;
  if (
    writes.some(({ table }) => table && treeOf(catalog, table).some(({ oid }) => routines?.tables.has(oid)))
  )
    throw cause;
  for (const tree of [...analysis.parsed, ...analysis.rewritten].flatMap(readNodes))
    refuseFlows(writesOf(tree, catalog), touch, catalog);
  const {
    raw: rest,
    planning: left,
    first,
    then,
    together,
  } = await hoistWrites(raw, query, planning, async (part, types, given) => {
    const sql = deparse(part);
    if (!given) {
      const planned = await planning.plan(parseOne(sql), sql, types);
      if (planned.kind === 'protected' || (planned.kind === 'pass' && types.length === 0)) return planned;
    }
    const own = await session.analyse(sql, types);
    const planned = await planSplitWrite(parseOne(sql), sql, {
      ...planning,
      analysis: own,
      touch: await touchOf(own, session, homes),
    });
    if (!planned) throw cause;
    return planned;
  });
  const [main] = left.analysis.parsed.flatMap(readNodes);
  if (!main) throw cause;
  const planned = await plan(rest, deparse(rest), writesOf(main, catalog), left, first, then);
  const body = planned.body as SplitBody;
  const whole = together ? { ...body, writes: { ...body.writes!, together: true as const } } : body;
  return { ...planned, body: whole, shape: analysis.shape };
}

async function plan(
  raw: RawNode,
  sql: string,
  writes: readonly Write[],
  planning: SplitPlanning,
  first: SplitWrites['first'],
  then: NonNullable<SplitWrites['then']> = [],
): Promise<ProtectedPlan> {
  const { analysis, touch, session, cause } = planning;
  refuseLateSight(writes, touch);
  if (kindOf(raw) === 'InsertStmt' || kindOf(raw) === 'MergeStmt') {
    const planned = await planComputed(raw, writes, planning);
    const body = planned.body as SplitBody;
    return { ...planned, body: { ...body, writes: { ...body.writes!, first, then } } as SplitBody };
  }
  const command = commands[kindOf(raw)];
  if (command === undefined) throw cause;
  const catalog = session.catalog();
  // also what a view's rule makes of it
  for (const tree of analysis.rewritten.flatMap(readNodes))
    refuseFlows(writesOf(tree, catalog), touch, catalog);
  refuseFlows(writes, touch, catalog);
  mustBeReadable(analysis, answers, cause);
  const expanded = analysis.rewritten.flatMap(readNodes).flatMap(tree => writesOf(tree, catalog));
  for (const { query, table } of [...writes, ...expanded])
    if (
      table &&
      nodesIn(query, 'returningList').length > 0 &&
      returnsAny(query, await generatedColumns(table, session), table)
    )
      // what can be computed when the rows are written
      for (const one of [table, ...heirsOf(catalog, table)]) await allGeneratedOf(one, session);
  const apart = await withoutSemiJoins(raw, [...writes, ...expanded], planning);
  const body = await splitBody(apart, apart === raw ? sql : deparse(apart), planning, {
    names: [...new Set(writes.flatMap(({ table }) => (table ? [`${table.schema}.${table.name}`] : [])))],
    returns: writes.some(({ query }) => nodesIn(query, 'returningList').length > 0),
    arbiters: [],
    computed: undefined,
    locks: [],
    first,
    then,
  });
  return { kind: 'protected', command, shape: analysis.shape, split: true, writes: true, body };
}

/** Does a write return columns of those names of the table that it writes, or whole rows of it? */
function returnsAny(query: Node, names: ReadonlySet<string>, { columns }: LogicalTable): boolean {
  if (names.size === 0 || numberIn(query, 'commandType') === COMMAND.delete) return false;
  const attnums = columns.flatMap(({ name, attnum }) => (names.has(name) ? [attnum] : []));
  let found = false;
  for (const target of nodesIn(query, 'returningList'))
    walk(target, node => {
      if (node.kind === 'QUERY') found = true;
      if (node.kind === 'VAR' && numberIn(node, 'varno') === numberIn(query, 'resultRelation'))
        found ||= numberIn(node, 'varattno') <= 0 || attnums.includes(numberIn(node, 'varattno'));
      return true;
    });
  return found;
}

/** An INSERT or MERGE whose rows are computed first. */
async function planComputed(
  raw: RawNode,
  writes: readonly Write[],
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const { analysis, touch, session, cause } = planning;
  const catalog = session.catalog();
  const [write, ...more] = writes;
  if (!write || more.length > 0) throw cause;
  // views are expanded there
  for (const tree of analysis.rewritten.flatMap(readNodes))
    refuseFlows(writesOf(tree, catalog), touch, catalog);
  mustBeReadable(
    analysis,
    query => numberIn(query, 'commandType') !== COMMAND.select || isPlainRead(query),
    cause,
    false,
    xmaxTests,
  );
  if (kindOf(raw) === 'MergeStmt') {
    if (!write.table) throw cause;
    return planComputedMerge(raw, write.query, write.table, planning);
  }
  if (write.table) return planComputedInsert(raw, write.query, write.table, planning);
  const view = await viewTarget(raw, write.query, planning);
  return planComputedInsert(view.raw, write.query, view.table, planning, view);
}

/** Queries that carriers answer. */
function answers(query: Node): boolean {
  switch (numberIn(query, 'commandType')) {
    case COMMAND.select:
      return isPlainRead(query);
    case COMMAND.update:
    case COMMAND.delete:
      return !flag(query, 'hasTargetSRFs');
    default:
      return false;
  }
}
