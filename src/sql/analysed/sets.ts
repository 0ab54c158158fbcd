/** Functions that return sets, in select lists. */
import { flag, type Node, nodesIn, numberIn, type Value, walk } from './node.js';
import { RTE } from './query.js';

/**
 * Are the rows of a query with ORDER BY sorted or grouped by the members of sets that are made of columns? postgres_fdw would
 * send that on, as if it were an expression of one row (get_useful_pathkeys_for_relation, contrib/postgres_fdw); not so
 * a set of constants, which is of no table.
 */
export function sortsBySets(query: Node): boolean {
  if (!flag(query, 'hasTargetSRFs') || nodesIn(query, 'sortClause').length === 0) return false;
  const targets = nodesIn(query, 'targetList').filter(target => numberIn(target, 'ressortgroupref') > 0);
  // of PostgreSQL 18: what is grouped by
  const groups = nodesIn(query, 'rtable').filter(rte => numberIn(rte, 'rtekind') === RTE.group);
  return [
    ...targets.map(target => target.fields.expr),
    ...groups.flatMap(rte => nodesIn(rte, 'groupexprs')),
  ].some(isSetOfColumns);
}

function isSetOfColumns(value: Value | undefined): boolean {
  let returnsSet = false;
  let reads = false;
  walk(value, node => {
    returnsSet ||= flag(node, 'funcretset') || flag(node, 'opretset');
    reads ||= node.kind === 'VAR';
    return true;
  });
  return returnsSet && reads;
}
