/**
 * SELECT ... FOR UPDATE and its kin, where no encoding answers the query: the rows that it returns are locked in the
 * cloud, in the versions in which they were read. A locking query within another statement runs first, by itself.
 */
import { hasHeirs } from '../../../catalog/trees.js';
import { arrayOids } from '../../../wire/types.js';
import { type Node, nodesIn, numberIn, readNodes } from '../../analysed/node.js';
import { entry, RTE, scopeOf } from '../../analysed/query.js';
import { aliasOf } from '../../columns.js';
import { physical } from '../../compilation.js';
import type { FirstQuery, RowLock } from '../../execute/bodies.js';
import type { ProtectedPlan } from '../../plan.js';
import { deparse } from '../../raw/deparse.js';
import { columnRef, list, type RawFields, type RawNode, rewrite, target, visit } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { touchOf } from '../../touch.js';
import { mustTravelExactly } from '../exact.js';
import { type SplitPlanning, splitBody } from '../plan.js';
import { isRead, mustBeReadable } from '../readable.js';
import { orCause } from './computed-plan.js';
import { collationsOf, givenQuery } from './given-query.js';

const strengths: Readonly<Record<number, RowLock['strength']>> = {
  1: 'KEY SHARE',
  2: 'SHARE',
  3: 'NO KEY UPDATE',
  4: 'UPDATE',
};
const waits: Readonly<Record<number, RowLock['wait']>> = { 0: '', 1: 'SKIP LOCKED', 2: 'NOWAIT' };

/** Does an analysed query lock rows itself? */
export const isLocking = (query: Node): boolean => nodesIn(query, 'rowMarks').length > 0;

/**
 * @param raw a SelectStmt that locks rows of tables
 * @throws cause where it locks rows of a view or a subquery
 */
export async function planLocking(raw: RawNode, planning: SplitPlanning): Promise<ProtectedPlan> {
  const { analysis, cause, homes, session } = planning;
  const [query] = analysis.parsed.flatMap(readNodes);
  if (!query) throw cause;
  mustBeReadable(analysis, isRead, cause);
  const catalog = session.catalog();
  const scope = scopeOf(query);
  const locks = nodesIn(query, 'rowMarks').map((mark): RowLock & { alias: string } => {
    const rti = numberIn(mark, 'rti');
    const rte = entry(scope, rti);
    const table = catalog.tables.get(numberIn(rte, 'relid'));
    const isTable = numberIn(rte, 'rtekind') === RTE.relation && table !== undefined;
    if (!isTable || table.state === 'blocked') throw cause;
    return {
      table,
      alias: aliasOf(scope, rti),
      strength: strengths[numberIn(mark, 'strength')]!,
      wait: waits[numberIn(mark, 'waitPolicy')]!,
    };
  });
  const { lockingClause: _locking, ...fields } = raw.SelectStmt!;
  const text = deparse({
    SelectStmt: {
      ...fields,
      targetList: [
        ...list(fields, 'targetList'),
        ...locks.flatMap(({ alias, table }) => [
          target(columnRef(alias, 'ctid')),
          target(hasHeirs(catalog, table) ? columnRef(alias, 'tableoid') : { A_Const: { isnull: true } }),
        ]),
      ],
    },
  });
  const inner = await session.analyse(text, analysis.shape.parameterTypes);
  const touch = await touchOf(inner, session, homes);
  const body = await splitBody(
    parseOne(text),
    text,
    { ...planning, analysis: inner, touch },
    {
      names: [],
      returns: false,
      arbiters: [],
      computed: undefined,
      locks,
      limited: fields.limitCount !== undefined || fields.limitOffset !== undefined,
      ...(joinsOuter(fields)
        ? { planned: physical(`EXPLAIN (COSTS off) ${deparse(raw)}`, analysis.shape.parameterTypes) }
        : {}),
      first: [],
    },
  );
  return { kind: 'protected', command: 'SELECT', shape: analysis.shape, split: true, writes: true, body };
}

/** An outer join keeps rows of one side from being locked, unless a condition makes it an inner one (initsplan.c). */
function joinsOuter(select: RawFields): boolean {
  let found = false;
  visit([select], (kind, { jointype }) => {
    found ||= kind === 'JoinExpr' && jointype !== 'JOIN_INNER';
  });
  return found;
}

/** A statement without the locking queries within it. */
export interface WithoutLocking {
  readonly raw: RawNode;
  readonly planning: SplitPlanning;
  /** they run first; what they return are parameters after those of the client */
  readonly first: readonly FirstQuery[];
}

/**
 * Takes locking queries out of a statement.
 * @returns undefined: there are none
 * @throws cause where one depends on the statement around it
 */
export async function withoutLocking(
  raw: RawNode,
  planning: SplitPlanning,
): Promise<WithoutLocking | undefined> {
  const found: RawFields[] = [];
  replaceLocking(raw, fields => {
    found.push(fields);
    return undefined;
  });
  if (found.length === 0) return undefined;
  const { analysis, cause, homes, session } = planning;
  const { parameterTypes } = analysis.shape;
  const ctes = new Set<unknown>();
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') ctes.add(fields.ctename);
  });
  visit(found, (kind, fields) => {
    // by itself it would mean a table of that name
    if (kind === 'RangeVar' && fields.schemaname === undefined && ctes.has(fields.relname)) throw cause;
  });
  const first: FirstQuery[] = [];
  const replacements: RawNode[] = [];
  const types = [...parameterTypes];
  for (const fields of found) {
    const text = deparse({ SelectStmt: fields });
    const own = await session.analyse(text, parameterTypes).catch(orCause(cause));
    const plan = await planLocking(parseOne(text), {
      ...planning,
      analysis: own,
      touch: await touchOf(own, session, homes),
    });
    const columns = own.shape.columns ?? [];
    if (columns.length === 0) throw cause;
    mustTravelExactly(columns, session);
    const collations = await collationsOf(text, parameterTypes, session);
    replacements.push(await givenQuery(columns, collations, types.length, session));
    first.push({ plan, columns: columns.length });
    types.push(...columns.map(() => arrayOids.text));
  }
  const rest = replaceLocking(raw, () => replacements.shift());
  const text = deparse(rest);
  const again = await session.analyse(text, types);
  return {
    raw: rest,
    planning: { ...planning, analysis: again, touch: await touchOf(again, session, homes), hides: true },
    first,
  };
}

/** Visits the locking queries below the top of a statement, in order. */
function replaceLocking(raw: RawNode, change: (fields: RawFields) => RawNode | undefined): RawNode {
  const [kind, fields] = Object.entries(raw)[0]!;
  const inner = Object.entries(fields).map(([name, value]) => [
    name,
    rewrite(value, (of, below) =>
      of === 'SelectStmt' && list(below, 'lockingClause').length > 0 ? change(below) : undefined,
    ),
  ]);
  return { [kind]: Object.fromEntries(inner) };
}
