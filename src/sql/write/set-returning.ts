/**
 * INSERT of one row of VALUES in which a function returns a set: PostgreSQL inserts a row for each of its members
 * (transformInsertStmt in analyze.c makes a target list of it, as of a SELECT).
 */
import { ClarusError } from '../../errors.js';
import { flag, readNodes, walk } from '../analysed/node.js';
import type { Analysis } from '../ports.js';
import { child, list, type RawNode, rewrite, target, visit } from '../raw/node.js';

/**
 * @param raw a statement that may insert
 * @returns the same with SELECT in place of such VALUES; undefined: it has none
 * @throws ClarusError 0A000 where DEFAULT stands beside the set
 */
export function withSetsSelected(raw: RawNode, { parsed }: Analysis): RawNode | undefined {
  if (!returnsSets(parsed)) return undefined;
  let found = false;
  const written = rewrite(raw, (kind, fields) => {
    if (kind !== 'InsertStmt') return undefined;
    const rows = list(child(fields, 'selectStmt')?.SelectStmt ?? {}, 'valuesLists');
    const items = rows.length === 1 ? list(rows[0]!.List ?? {}, 'items') : [];
    if (!holds(items, 'FuncCall')) return undefined;
    if (holds(items, 'SetToDefault'))
      throw new ClarusError('0A000', 'DEFAULT beside a function that may return a set is not answered', {
        hint: 'Leave the column out, and select the set: INSERT INTO ... SELECT.',
      });
    found = true;
    const { valuesLists: _rows, ...rest } = child(fields, 'selectStmt')!.SelectStmt!;
    const selectStmt = { SelectStmt: { ...rest, targetList: items.map(item => target(item)) } };
    return { InsertStmt: { ...fields, selectStmt } };
  });
  return found ? written : undefined;
}

function returnsSets(parsed: Analysis['parsed']): boolean {
  let found = false;
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      found ||= node.kind === 'QUERY' && flag(node, 'hasTargetSRFs');
      return !found;
    });
  return found;
}

function holds(items: readonly RawNode[], kind: string): boolean {
  let found = false;
  visit(items, inner => {
    found ||= inner === kind;
  });
  return found;
}
