/** INSERT, UPDATE, DELETE and MERGE of a table whose triggers run on the trusted side. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { hasHeirs, treeOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import { flag, type Node, nodeIn, nodesIn, numberIn, readNodes } from '../analysed/node.js';
import { COMMAND, entry } from '../analysed/query.js';
import { writesMustBeFireable } from '../ddl/fireable.js';
import type { Comparison } from '../exclusions/write.js';
import type { SplitBody, TriggeredWrite } from '../execute/bodies.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, kindOf, type RawNode } from '../raw/node.js';
import { routinesCalled } from '../routines.js';
import type { SplitPlanning } from '../split/plan.js';
import { isPlainRead, mustBeReadable } from '../split/readable.js';
import { planComputedInsert } from '../split/write/computed-insert.js';
import { planComputedMerge } from '../split/write/computed-merge.js';
import { columnsOf, conflictOf, equals, type UniqueIndex } from '../split/write/conflict.js';
import { refuseFlows, refuseLateSight, type Write, writesOf } from '../split/write/flow.js';
import { aliasOfTarget, planGivenRows, writesInWith } from '../split/write/given-rows.js';
import { seesActions } from './acted.js';
import { firedBy } from './catalogue.js';
import { planProposed } from './proposed.js';
import { planReturning } from './returning.js';
import { refuseSightOfTriggers } from './sight.js';
import { type Done, firedBelow } from './tree.js';
import { type FiredTriggers, triggersAt } from './trigger.js';
import { planInsert, planModify, refused } from './writes.js';

const events: Readonly<Record<number, FiredTriggers['event']>> = {
  [COMMAND.insert]: 'INSERT',
  [COMMAND.update]: 'UPDATE',
  [COMMAND.delete]: 'DELETE',
};

/** The order in which a statement of several fires its triggers of statements (fireBSTriggers of nodeModifyTable.c). */
const inOrder: readonly FiredTriggers['event'][] = ['INSERT', 'UPDATE', 'DELETE'];

/**
 * Plans a statement that fires triggers on the trusted side.
 * @param raw the statement
 * @returns undefined: it fires none
 * @throws ClarusError 0A000 for what is not answered yet of tables with triggers
 */
export async function planTriggered(
  raw: RawNode,
  planning: SplitPlanning,
): Promise<ProtectedPlan | undefined> {
  const { analysis, session, touch } = planning;
  const catalog = session.catalog();
  const rewritten = analysis.rewritten.flatMap(readNodes).flatMap(tree => writesOf(tree, catalog));
  for (const { table } of rewritten) if (table) await writesMustBeFireable(table, session);
  // the rewriter leaves out generated columns that are set to DEFAULT, which an UPDATE of them is all the same
  const said = analysis.parsed.flatMap(readNodes).flatMap(tree => writesOf(tree, catalog));
  const found = await Promise.all(
    rewritten.map(write => firedByWrite(write, session, said.find(one => isSame(one, write))?.query)),
  );
  const all = found.flatMap(({ fired, below }) => [...fired, ...below]);
  all.forEach(refuseOfCloud);
  const [first] = all.filter(({ table }) => table.state === 'protected');
  if (!first) return undefined;
  const parsed = analysis.parsed.flatMap(readNodes);
  const [write, ...more] = parsed.flatMap(tree => writesOf(tree, catalog));
  const isAlone = write && write.query === parsed[0] && more.length === 0 && rewritten.length === 1;
  if (!isAlone || !write.table || !(write.command in events || kindOf(raw) === 'MergeStmt'))
    throw refused(first.table, 'views and writes within WITH are not answered yet');
  const { table } = write;
  const [{ fired, below }] = found as [(typeof found)[number]];
  if (isOnly(write) && hasHeirs(catalog, table)) throw refused(table, 'ONLY is not answered yet');
  refuseLateSight([write], touch);
  await refuseSightOfTriggers(all, touch, session);
  for (const tree of analysis.rewritten.flatMap(readNodes))
    refuseFlows(writesOf(tree, catalog), touch, catalog);
  mustBeReadable(
    analysis,
    query => numberIn(query, 'commandType') !== COMMAND.select || isPlainRead(query),
    planning.cause,
  );
  const fields = fieldsOf(raw);
  if (writesInWith(write.query)) throw planning.cause;
  const triggered: TriggeredWrite = {
    table,
    fired,
    below,
    insteadOf: false,
    rowByRow: await seeRows(all, table, session),
    seesActions: await seesActions(all, session),
    returning: await planReturning(fields, write.query, table, aliasOfTarget(fields, table), planning),
  };
  const planned = await planKind(raw, write.query, triggered, planning);
  return { ...planned, shape: analysis.shape };
}

async function planKind(
  raw: RawNode,
  query: Node,
  triggered: TriggeredWrite,
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const { table } = triggered;
  switch (kindOf(raw)) {
    case 'InsertStmt':
      return raw.InsertStmt!.onConflictClause
        ? planUpsert(raw, query, triggered, planning)
        : planInsert(await planGivenRows(raw, query, table, planning, undefined, false), triggered, planning);
    case 'MergeStmt':
      // its rows are written when all are known, whatever is done to each
      return withTriggers(await planComputedMerge(raw, query, table, planning, table.columns), triggered);
    default:
      return planModify(fieldsOf(raw), raw.UpdateStmt ? 'UPDATE' : 'DELETE', triggered, planning);
  }
}

/** A plan of computed writes, with the triggers that they fire. */
const withTriggers = (planned: ProtectedPlan, triggered: TriggeredWrite): ProtectedPlan => {
  const body = planned.body as SplitBody;
  return { ...planned, body: { ...body, writes: { ...body.writes!, triggered } } as SplitBody };
};

const isSame = (one: Write, other: Write): boolean =>
  one.command === other.command && one.table === other.table;

/** Does a write say ONLY? */
const isOnly = ({ query, scope, command }: Write): boolean =>
  command !== COMMAND.insert && !flag(entry(scope, numberIn(query, 'resultRelation')), 'inh');

/**
 * What a write fires; of ON CONFLICT DO UPDATE and MERGE there may be several.
 * @param said its query before it was rewritten
 */
async function firedByWrite(
  write: Write,
  session: SessionPort,
  said?: Node,
): Promise<Pick<TriggeredWrite, 'fired' | 'below'>> {
  const { query, command, table } = write;
  if (!table) return { fired: [], below: [] };
  const conflict = nodeIn(query, 'onConflict');
  const own = command === COMMAND.update && said ? nodesIn(said, 'targetList') : [];
  const updated = conflict ? nodesIn(conflict, 'onConflictSet') : [...nodesIn(query, 'targetList'), ...own];
  const actions = nodesIn(query, 'mergeActionList');
  const all = [
    ...(command in events ? [{ command, targets: updated }] : []),
    ...(conflict && updated.length > 0 ? [{ command: COMMAND.update, targets: updated }] : []),
    ...actions.map(action => ({
      command: numberIn(action, 'commandType'),
      targets: nodesIn(action, 'targetList'),
    })),
  ];
  const done = Object.entries(events).flatMap(([number, event]): Done[] => {
    const some = all.filter(({ command: of }) => of === Number(number));
    return some.length > 0
      ? [{ event, columns: some.flatMap(({ targets }) => namesOf(targets, table)) }]
      : [];
  });
  const found: FiredTriggers[] = [];
  for (const { event, columns } of done) {
    const fired = await firedBy(table, event, columns, session);
    if (fired) found.push(fired);
  }
  const fired = found.sort((a, b) => inOrder.indexOf(a.event) - inOrder.indexOf(b.event));
  return { fired, below: isOnly(write) ? [] : await firedBelow(table, done, session) };
}

const namesOf = (targets: readonly Node[], { columns }: LogicalTable): readonly string[] =>
  targets.flatMap(entry => {
    const column = columns.find(({ attnum }) => attnum === numberIn(entry, 'resno'));
    return column && entry.fields.resjunk !== 'true' ? [column.name] : [];
  });

/**
 * The rows of a split statement come to the cloud when all are computed, and in batches.
 * @throws ClarusError 0A000 for an open table with triggers that would notice
 */
function refuseOfCloud({ table, triggers }: FiredTriggers): void {
  const noticing = triggers.find(({ timing, level }) => timing !== 'AFTER' || level === 'STATEMENT');
  if (table.state === 'protected' || !noticing) return;
  throw refused(
    table,
    `its trigger "${noticing.name}" is fired by the cloud, which is given the rows in batches`,
  );
}

/** Do functions that run before a row is written see the rows before it, in the table or by what they write? */
async function seeRows(
  all: readonly FiredTriggers[],
  table: LogicalTable,
  session: SessionPort,
): Promise<boolean> {
  const oids = all.flatMap(fired => triggersAt(fired, 'BEFORE', 'ROW')).map(({ routine }) => routine);
  if (oids.length === 0) return false;
  const { tables, doubt, writes } = await routinesCalled(new Set(oids), session);
  return writes || doubt !== undefined || treeOf(session.catalog(), table).some(({ oid }) => tables.has(oid));
}

/** ON CONFLICT: triggers that come before a row is inserted are fired before conflicts are looked for. */
async function planUpsert(
  raw: RawNode,
  query: Node,
  triggered: TriggeredWrite,
  planning: SplitPlanning,
): Promise<ProtectedPlan> {
  const { table, fired, below } = triggered;
  const { returningClause: _clause, returningList: _list, ...fields } = raw.InsertStmt!;
  const { returningList: _returned, ...own } = query.fields;
  const { analysis } = planning;
  const without: SplitPlanning = {
    ...planning,
    analysis: { ...analysis, shape: { ...analysis.shape, columns: undefined } },
  };
  const insert: RawNode = { InsertStmt: fields };
  const tree: Node = { ...query, fields: own };
  const isProposed = [...fired, ...below].some(
    of => of.event === 'INSERT' && triggersAt(of, 'BEFORE', 'ROW').length > 0,
  );
  const { planned, proposes } = isProposed
    ? await planProposed(insert, tree, table, without)
    : {
        planned: await planComputedInsert(insert, tree, table, without, undefined, table.columns),
        proposes: undefined,
      };
  const making: TriggeredWrite = { ...triggered, ...(proposes && { proposes }) };
  const conflict = table.exclusions && (await conflictOf(raw.InsertStmt!, table, planning));
  if (!conflict?.exclusions.length) return withTriggers(planned, making);
  const keys = conflict.keys.map(key => comparisonOf(key, table));
  return withTriggers(planned, { ...making, skips: { exclusions: conflict.exclusions, keys } });
}

/** Rows with the same key, as EXCLUDE constraints compare rows. */
function comparisonOf(key: UniqueIndex, table: LogicalTable): Comparison {
  const columns = columnsOf(key, table);
  return {
    keys: columns.map(({ name }) => quoteName(name)),
    operators: columns.map(equals),
    predicate: undefined,
    columns,
  };
}

/** @throws ClarusError 0A000 where a write fires triggers: the cloud knows none of them */
export async function refuseTriggered(query: Node, session: SessionPort): Promise<void> {
  const writes = writesOf(query, session.catalog());
  for (const write of writes) {
    const { fired, below } = await firedByWrite(write, session);
    for (const { table } of [...fired, ...below])
      if (table.state === 'protected')
        throw new ClarusError(
          '0A000',
          `the triggers and EXCLUDE constraints of the table "${table.name}" are the trusted side's`,
        );
  }
}
