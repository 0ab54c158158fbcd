/**
 * Statements over temporary tables of the session and others together. The temporary ones stand on the connection that
 * analyses the session's statements, the others in the cloud. What writes temporary tables runs on that connection, over
 * the rows of the others; everything else is split, over the rows of the temporary ones. Either way these rows are
 * fetched first, and stand in the statement as WITH queries over parameters, an array of texts a column.
 */
import type { ClarusError } from '../../errors.js';
import { arrayOids } from '../../wire/types.js';
import { type Node, readNodes, walk } from '../analysed/node.js';
import { tellsRowTypes } from '../analysed/query.js';
import { physical } from '../compilation.js';
import type { Relation } from '../ddl/resolve.js';
import { rangeParts } from '../ddl/resolve.js';
import type { OutputColumn, PhysicalStatement, ProtectedPlan } from '../plan.js';
import { deparse } from '../raw/deparse.js';
import { kindOf, type RawNode } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { type Asked, withAsked } from '../split/asked.js';
import { withSecrets } from '../split/fetching.js';
import { orCause } from '../split/write/computed-plan.js';
import { declassifiedBy, refuseFlows, writesOf } from '../split/write/flow.js';
import { planSplitStatement } from '../split/write/plan.js';
import { touchOf } from '../touch.js';
import { withViewsWritten } from '../view-definitions.js';
import { writtenRelation } from '../write/target.js';
import { givenRelations, type Part } from './given-relations.js';
import { isOwnTemporary, mustBeOfTrustedSide, type TemporaryPlanning } from './own.js';
import { withSource } from './source.js';

/** Parts, and the statement that is run over what they return: each of their columns is a parameter after the client's. */
export interface PartsBody {
  readonly kind: 'parts';
  readonly first: readonly Part[];
  readonly rest: { readonly plan: ProtectedPlan } | OwnStatement;
  /** shadow OIDs of the tables that parts read, which must be of one snapshot */
  readonly tables: readonly number[];
}

/** A statement that runs on the connection that has the temporary tables. */
export interface OwnStatement {
  readonly statement: PhysicalStatement;
  /** what it asks of the cloud: its last parameters */
  readonly asked: readonly Asked[];
  readonly writes: boolean;
}

const queries: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
]);

/**
 * @param raw a query or write; its text is `sql`
 * @param cause why the trusted side cannot answer it alone
 * @throws cause where its parts cannot be told apart; ClarusError 0A000 where what a temporary table holds would flow to an
 *   unprotected column
 */
export async function planBeside(
  raw: RawNode,
  sql: string,
  planning: TemporaryPlanning,
  cause: ClarusError,
): Promise<ProtectedPlan> {
  if (!queries.has(kindOf(raw))) throw cause;
  const { analysis, touch, session } = planning;
  const isTemporary = ({ schema }: Relation): boolean => schema.startsWith('pg_temp_');
  const statement = await withViewsWritten(raw, session, isTemporary);
  if (!statement) throw cause;
  const trees = analysis.parsed.flatMap(readNodes);
  if (tellsRowTypes(trees)) throw cause;
  const writes = trees.flatMap(tree => writesOf(tree, session.catalog()));
  const targets = writes.map(({ query }) => touch.temporary.has(writtenRelation(query)));
  // one that asks for the time or the like, and nothing else
  const isOwn = touch.tables.length === 0 && writes.length === 0;
  if (!isOwn && !targets.includes(true)) return planOver(statement, planning, cause);
  if (targets.includes(false) || trees.some(locks)) throw cause;
  return planInto(statement, sql, planning, targets.length > 0, cause);
}

const locks = (tree: Node): boolean => {
  let found = false;
  walk(tree, node => {
    found ||= node.kind === 'ROWMARKCLAUSE';
    return !found;
  });
  return found;
};

/** A statement that reads temporary tables: it is split, over their rows. */
async function planOver(
  raw: RawNode,
  planning: TemporaryPlanning,
  cause: ClarusError,
): Promise<ProtectedPlan> {
  const { analysis, touch, homes, session, planIn } = planning;
  const catalog = session.catalog();
  for (const tree of [...analysis.parsed, ...analysis.rewritten].flatMap(readNodes))
    refuseFlows(writesOf(tree, catalog), touch, catalog);
  const types = [...analysis.shape.parameterTypes];
  const given = await givenRelations(raw, types, planning, cause, async range =>
    isOwnTemporary(session, rangeParts(range)),
  );
  const sql = deparse(given.raw);
  const again = await session.analyse(sql, given.types).catch(orCause(cause));
  if (!hasSameColumns(again.shape.columns, analysis.shape.columns)) throw cause;
  const left = await touchOf(again, session, homes);
  if (left.temporary.size > 0) throw cause;
  const hidden = new Set(given.types.slice(types.length).map((_, i) => types.length + i + 1));
  const plan = await planSplitStatement(parseOne(sql), sql, {
    analysis: again,
    touch: left,
    homes,
    session,
    cause,
    plan: planIn(withSecrets(session, hidden)),
    hides: true,
  });
  const declassifies = declassifiedBy(analysis, touch, catalog);
  const body: PartsBody = { kind: 'parts', first: given.first, rest: { plan }, tables: [] };
  return {
    kind: 'protected',
    command: plan.command,
    shape: analysis.shape,
    split: true,
    ...(plan.writes || plan.command !== 'SELECT' ? { writes: true } : {}),
    ...(declassifies.length > 0 ? { declassifies } : {}),
    body,
  };
}

/** A statement that runs where the temporary tables are, over the rows of all others. */
async function planInto(
  raw: RawNode,
  sql: string,
  planning: TemporaryPlanning,
  writes: boolean,
  cause: ClarusError,
): Promise<ProtectedPlan> {
  const { analysis, touch, homes, session } = planning;
  const types = [...analysis.shape.parameterTypes];
  const source = await withSource(raw, planning, cause);
  const first: Part[] = source ? [source.part] : [];
  const before = [...types, ...new Array<number>(source?.part.columns ?? 0).fill(arrayOids.text)];
  const given = await givenRelations(source?.raw ?? raw, before, planning, cause, async range =>
    (await isOwnTemporary(session, rangeParts(range))) ? false : touch.tables.length > 0,
  );
  first.push(...given.first);
  const { tree, asked } = withAsked(given.raw, given.types.length);
  const own = first.length === 0 && asked.length === 0 ? sql : deparse(tree);
  const all = [...given.types, ...asked.map(({ type }) => type)];
  const again = await session.analyse(own, all).catch(orCause(cause));
  if (!hasSameColumns(again.shape.columns, analysis.shape.columns)) throw cause;
  const left = await touchOf(again, session, homes);
  if (left.tables.length > 0 || left.catalogue) throw cause;
  mustBeOfTrustedSide(left, homes);
  const body: PartsBody = {
    kind: 'parts',
    first,
    rest: { statement: physical(own, all), asked, writes },
    tables: touch.tables.map(({ oid }) => oid),
  };
  return {
    kind: 'protected',
    command: kindOf(raw).replace('Stmt', '').toUpperCase(),
    shape: analysis.shape,
    split: true,
    writes: true,
    body,
  };
}

/** A whole row of WITH queries is a record. */
const RECORD = 2249;

/** Are columns those of a statement, where rows that it is given stand for relations? */
export const hasSameColumns = (
  ours: readonly OutputColumn[] | undefined,
  theirs: readonly OutputColumn[] | undefined,
): boolean =>
  ours?.length === theirs?.length &&
  (ours ?? []).every(
    ({ name, typeOid }, i) =>
      name === theirs![i]!.name && (typeOid === theirs![i]!.typeOid || typeOid === RECORD),
  );
