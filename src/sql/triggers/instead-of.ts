/**
 * INSTEAD OF triggers. A write to a view that has them gives rows of the view to their functions, and what these do is all
 * that is done (ExecIRInsertTriggers and its kin in trigger.c).
 */
import type { Catalog, LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import {
  isNode,
  type Node,
  nodeIn,
  nodesIn,
  numberIn,
  readNodes,
  textIn,
  type Value,
} from '../analysed/node.js';
import { COMMAND, entry, meaningOf, RTE, type Scope, scopeOf } from '../analysed/query.js';
import { inCloud } from '../ddl/backends.js';
import type { TriggeredWrite } from '../execute/bodies.js';
import { planExplained } from '../explained/plan.js';
import { withMoment } from '../moment.js';
import type { ProtectedPlan } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import type { SplitPlanning } from '../split/plan.js';
import { isPlainRead, mustBeReadable } from '../split/readable.js';
import { refuseFlows, type Write, writesOf } from '../split/write/flow.js';
import { aliasOfTarget, planGivenRows, writesInWith } from '../split/write/given-rows.js';
import { writtenRelation } from '../write/target.js';
import { firedBy } from './catalogue.js';
import { planReturning } from './returning.js';
import { refuseSightOfTriggers } from './sight.js';
import type { FiredTriggers } from './trigger.js';
import { planInsert, planModify, refused } from './writes.js';

const events: Readonly<Record<number, FiredTriggers['event']>> = {
  [COMMAND.insert]: 'INSERT',
  [COMMAND.update]: 'UPDATE',
  [COMMAND.delete]: 'DELETE',
};

/** The writes of a statement whose target is a view when rules have been applied: one that triggers stand in for. */
const writesToViews = ({ rewritten }: Analysis, catalog: Catalog): readonly Write[] =>
  rewritten
    .flatMap(readNodes)
    .flatMap(tree => writesOf(tree, catalog))
    .filter(({ query, scope, table }) => {
      const target = numberIn(query, 'resultRelation');
      return !table && target > 0 && textIn(entry(scope, target), 'relkind') === 'v';
    });

/** Does a statement write to a view by INSTEAD OF triggers, in any part of it? */
export const firesInsteadOf = (analysis: Analysis, catalog: Catalog): boolean =>
  writesToViews(analysis, catalog).length > 0;

/**
 * Plans a write to a view whose triggers do what is done, or EXPLAIN of one.
 * @param momentary it holds a literal that means the present moment
 * @throws as `planInsteadOf`
 */
export async function planWriteInsteadOf(
  sql: string,
  planning: Omit<SplitPlanning, 'cause'>,
  momentary: boolean,
): Promise<ProtectedPlan> {
  const raw = parseOne(sql);
  const { analysis, touch, session, plan } = planning;
  const dated = momentary ? await withMoment(raw, analysis, session) : undefined;
  if (dated) {
    const written = deparse(dated);
    return (await plan(parseOne(written), written, analysis.shape.parameterTypes)) as ProtectedPlan;
  }
  if (raw.ExplainStmt) return planExplained(raw, { analysis, touch, session, plan });
  return planInsteadOf(raw, planning);
}

/**
 * Plans a statement that fires INSTEAD OF triggers.
 * @param raw the statement
 * @throws ClarusError 0A000 for what is not answered yet of views with such triggers, and where a protected value would come
 *   to a column of the view that holds unprotected ones
 */
async function planInsteadOf(raw: RawNode, planning: Omit<SplitPlanning, 'cause'>): Promise<ProtectedPlan> {
  const { analysis, session, touch } = planning;
  const catalog = session.catalog();
  const parsed = analysis.parsed.flatMap(readNodes);
  const [write, ...more] = parsed.flatMap(tree => writesOf(tree, catalog));
  const rewritten = analysis.rewritten.flatMap(readNodes).flatMap(tree => writesOf(tree, catalog));
  const [target] = writesToViews(analysis, catalog);
  const view = await viewAsTable(writtenRelation(target!.query), session);
  const event = events[target!.command];
  const isAlone = write && write.query === parsed[0] && more.length === 0 && rewritten.length === 1;
  if (!isAlone || !event) throw refused(view, 'MERGE, and writes within WITH, are not answered yet');
  if (writtenRelation(write.query) !== view.oid)
    throw refused(view, 'a view over a view with INSTEAD OF triggers is not answered yet');
  if (await inCloud(session, 'to_regclass', quoteQualified(view.schema, view.name)))
    throw refused(view, 'the cloud has the view, but not its triggers');
  if (raw.InsertStmt?.onConflictClause)
    throw refused(view, 'ON CONFLICT beside INSTEAD OF triggers is not answered yet');
  // in PostgreSQL it would see what the triggers have done for the rows before
  if (touch.routines?.volatile && touch.routines.tables.size > 0)
    throw refused(view, 'the statement calls a volatile function that reads tables');
  const fired = await firedBy(view, event, [], session);
  if (!fired) throw refused(view, 'none of the triggers fires');
  await refuseSightOfTriggers([fired], touch, session);
  refuseFlows(
    rewritten.map(one => ({ ...one, table: view })),
    touch,
    catalog,
  );
  const cause = refused(view, 'a statement of this form is not answered yet');
  mustBeReadable(
    analysis,
    query => numberIn(query, 'commandType') !== COMMAND.select || isPlainRead(query),
    cause,
  );
  if (writesInWith(write.query)) throw cause;
  const fields = fieldsOf(raw);
  const own: SplitPlanning = { ...planning, cause };
  const triggered: TriggeredWrite = {
    table: view,
    fired: [fired],
    below: [],
    insteadOf: true,
    rowByRow: false,
    seesActions: false,
    returning: await planReturning(fields, write.query, view, aliasOfTarget(fields, view), own),
  };
  const planned =
    kindOf(raw) === 'InsertStmt'
      ? planInsert(await planGivenRows(raw, write.query, view, own, undefined, false), triggered, own)
      : await planModify(fields, raw.UpdateStmt ? 'UPDATE' : 'DELETE', triggered, own);
  return { ...planned, shape: analysis.shape };
}

const viewQuery = `SELECT n.nspname::text, c.relname::text,
    (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, a.atttypid::int8, a.atttypmod, a.attcollation::int8,
         pg_catalog.format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum)
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::pg_catalog.oid`;

/**
 * A view as the table that its triggers take it for. What does not stand for an unprotected column counts as protected.
 * @param oid in the shadow
 */
export async function viewAsTable(oid: number, session: SessionPort): Promise<LogicalTable> {
  const [row] = await readerOn(session.trusted)(viewQuery, [String(oid)]);
  const [schema, name, attributes] = row as [string, string, string];
  const { rewritten } = await session.analyse(`SELECT * FROM ${quoteQualified(schema, name)}`, []);
  const [query] = rewritten.flatMap(readNodes);
  const targets = nodesIn(query!, 'targetList');
  const described = JSON.parse(attributes) as [string, number, number, number, string][];
  const columns = described.map(([column, type, modifier, collation, typeName], i): LogicalColumn => {
    const isOpen = standsForOpen(targets[i]?.fields.expr, scopeOf(query!), session.catalog());
    return {
      number: i + 1,
      attnum: i + 1,
      name: column,
      type: { oid: type, modifier, collation, deterministic: true },
      typeName,
      notNull: false,
      policy: {
        name: column,
        class: undefined,
        protect: isOpen ? 'none' : 'encrypt',
        queries: [],
        domain: undefined,
        position: undefined,
      },
      protection: isOpen ? undefined : { domain: 0, encodings: [], waiting: [] },
    };
  });
  return {
    number: 0,
    oid,
    schema,
    name,
    state: 'protected',
    reason: undefined,
    cloud: '',
    physical: { schema, name },
    columns,
    keys: [],
  };
}

/** Is an expression nothing but an unprotected column of a table? */
function standsForOpen(value: Value | undefined, scope: Scope, catalog: Catalog): boolean {
  if (!isNode(value) || value.kind !== 'VAR') return false;
  const meaning = meaningOf(value, scope);
  switch (meaning.kind) {
    case 'base': {
      const { relid, attnum } = meaning.column;
      const column = catalog.tables.get(relid)?.columns.find(c => c.attnum === attnum);
      return column !== undefined && column.protection === undefined;
    }
    case 'expression':
      return standsForOpen(meaning.value, meaning.scope, catalog);
    case 'derived': {
      const inner =
        numberIn(meaning.rte, 'rtekind') === RTE.subquery ? nodeIn(meaning.rte, 'subquery') : undefined;
      return inner !== undefined && columnIsOpen(inner, meaning.attnum, meaning.scope, catalog);
    }
  }
}

/** Of a UNION and its kin, the column of each query. */
function columnIsOpen(query: Node, attnum: number, outer: Scope, catalog: Catalog): boolean {
  const scope = scopeOf(query, outer);
  if (!nodeIn(query, 'setOperations')) {
    const target = nodesIn(query, 'targetList').find(one => numberIn(one, 'resno') === attnum);
    return standsForOpen(target?.fields.expr, scope, catalog);
  }
  return scope.rtable.every(rte => {
    const part = numberIn(rte, 'rtekind') === RTE.subquery ? nodeIn(rte, 'subquery') : undefined;
    return part !== undefined && columnIsOpen(part, attnum, scope, catalog);
  });
}
