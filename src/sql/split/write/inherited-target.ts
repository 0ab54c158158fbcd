/**
 * UPDATE and DELETE of a table that others inherit from, whose rows are of several tables: from version 17, postgres_fdw looks
 * whether it may send semi-joins (semijoin_target_ok, contrib/postgres_fdw), and fails on the column by which PostgreSQL
 * tells these rows apart. So such a statement has none: OFFSET 0 keeps the planner from making joins of subqueries
 * (is_simple_subquery and simplify_EXISTS_query in the planner), and changes nothing of what they return.
 */
import { hasHeirs } from '../../../catalog/trees.js';
import { type RawFields, type RawNode, rewrite } from '../../raw/node.js';
import { overPlainViews, type SplitPlanning } from '../plan.js';
import type { Write } from './flow.js';

/** @returns the same statement where none of its targets is one of those */
export async function withoutSemiJoins(
  raw: RawNode,
  writes: readonly Write[],
  { analysis, touch, session }: SplitPlanning,
): Promise<RawNode> {
  const catalog = session.catalog();
  if (!writes.some(({ table }) => table && !table.partitioned && hasHeirs(catalog, table))) return raw;
  // views have subqueries too
  const whole = touch.views ? await overPlainViews(raw, analysis.shape, session) : raw;
  return rewrite(whole ?? raw, (kind, fields) =>
    kind === 'SubLink' && joined.has(fields.subLinkType)
      ? { SubLink: { ...fields, subselect: apart(fields.subselect as RawNode) } }
      : undefined,
  );
}

/** EXISTS, and IN or ANY. */
const joined: ReadonlySet<unknown> = new Set(['EXISTS_SUBLINK', 'ANY_SUBLINK']);

function apart({ SelectStmt: select }: RawNode): RawNode {
  const { limitOffset = zero, ...rest } = select as RawFields;
  const limitOption = rest.limitOption === withTies ? withTies : 'LIMIT_OPTION_COUNT';
  return { SelectStmt: { ...rest, limitOffset, limitOption } };
}
const withTies = 'LIMIT_OPTION_WITH_TIES';
const zero = { A_Const: { ival: {} } };
