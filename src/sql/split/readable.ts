/** What carriers answer of an analysed statement. */
import type { ClarusError } from '../../errors.js';
import { flag, isNode, type Node, nodesIn, numberIn, readNodes, textIn, walk } from '../analysed/node.js';
import { COMMAND, entry, RTE, scopeOf } from '../analysed/query.js';
import { sortsBySets } from '../analysed/sets.js';
import type { Analysis } from '../ports.js';

/**
 * Rows of a carrier have no system columns of their own, are not locked, and come to the table with what inherits from
 * it only.
 * @param answers can carriers answer a query of the statement?
 * @param carried its tables are foreign ones themselves, which tell their OIDs, and have rows of their own (trusted/carriers.ts)
 * @param otherwise which expressions are answered in another way
 */
export function mustBeReadable(
  { parsed, rewritten }: Analysis,
  answers: (query: Node) => boolean,
  cause: ClarusError,
  carried = false,
  otherwise?: (trees: readonly Node[]) => ReadonlySet<Node>,
): void {
  const inserted = new Set<Node>();
  const trees = [...parsed, ...rewritten].flatMap(readNodes);
  const others = otherwise?.(trees);
  for (const tree of trees)
    walk(tree, node => {
      if (others?.has(node)) return false;
      if (node.kind === 'QUERY') {
        if (!answers(node)) throw cause;
        if (numberIn(node, 'commandType') === COMMAND.insert)
          inserted.add(entry(scopeOf(node), numberIn(node, 'resultRelation')));
      }
      if ((node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') && !inserted.has(node))
        if (!isWhole(node, carried)) throw cause;
      const attribute = node.kind === 'VAR' ? numberIn(node, 'varattno') : 0;
      if (attribute < 0 && !(carried && attribute === TABLEOID)) throw cause;
      return true;
    });
}

/** TableOidAttributeNumber (sysattr.h) */
const TABLEOID = -6;

/** Does a query only read, and in a way that carriers answer? */
export const isPlainRead = (query: Node): boolean => isRead(query) && nodesIn(query, 'rowMarks').length === 0;

/** The same of one that may lock what it reads. */
export const isRead = (query: Node): boolean =>
  numberIn(query, 'commandType') === COMMAND.select && !sortsBySets(query);

function isWhole(rte: Node, carried: boolean): boolean {
  if (numberIn(rte, 'rtekind') !== RTE.relation) return true;
  if (isNode(rte.fields.tablesample)) return false;
  // a table whose rows are carried is a foreign one meanwhile
  return carried || !['r', 'f'].includes(textIn(rte, 'relkind') ?? '') || flag(rte, 'inh');
}
