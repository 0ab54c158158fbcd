/**
 * The proof that a rewritten statement left nothing out: what stands beside a protected column may be a value of it,
 * so every place that reads one must have been answered by an encoding. Whatever the rewriters did not come by is
 * refused, wherever the statement holds it.
 */
import { isNode, type Node, nodesIn, numberIn, type Value, walk } from '../analysed/node.js';
import { RTE, type Scope, scopeOf } from '../analysed/query.js';
import { type ColumnUse, protectedColumns, refuse } from '../columns.js';
import type { Compilation } from '../compilation.js';

/** Fields of a range table entry that only name what other places read. */
const names: ReadonlySet<string> = new Set(['joinaliasvars', 'alias', 'eref']);

/**
 * @param query the analysed query, before views were expanded
 * @throws ClarusError 0A000 for a protected column that is read where nothing answered for it
 */
export function refuseUnanswered(query: Node, compilation: Compilation): void {
  search(query, undefined, compilation, 'the statement');
}

function search(query: Node, outer: Scope | undefined, compilation: Compilation, doing: string): void {
  const scope = scopeOf(query, outer);
  const see = (value: Value | undefined, place: string): void =>
    walk(value, node => {
      if (node.kind === 'QUERY') {
        search(node, scope, compilation, place);
        return false;
      }
      if (node.kind !== 'VAR') return true;
      const use = unanswered(node, scope, compilation);
      if (use) throw refuse(place, use);
      return false;
    });
  for (const [field, value] of Object.entries(query.fields))
    if (field !== 'rtable') see(value, field === 'onConflict' ? 'a conflict target' : doing);
  for (const rte of nodesIn(query, 'rtable')) {
    const place = numberIn(rte, 'rtekind') === RTE.group ? 'GROUP BY' : 'an item of FROM';
    for (const [field, value] of Object.entries(rte.fields)) if (!names.has(field)) see(value, place);
  }
}

function unanswered(variable: Node, scope: Scope, compilation: Compilation): ColumnUse | undefined {
  if (compilation.answered.has(variable)) return undefined;
  return protectedColumns(variable, scope, compilation.catalog)[0];
}

/** Notes that an encoding answers for a whole analysed expression. */
export function markAnswered(value: Value | undefined, compilation: Compilation): void {
  walk(isNode(value) ? value : undefined, node => {
    if (node.kind === 'VAR') compilation.answered.add(node);
    return true;
  });
}
