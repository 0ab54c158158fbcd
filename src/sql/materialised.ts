/** What PostgreSQL refuses to do with the rows of materialised views, of those that the trusted side fills. */
import { type Catalog, isFilled, type LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import { type Node, nodesIn, numberIn, readNodes, walk } from './analysed/node.js';
import { entry, scopeOf } from './analysed/query.js';
import type { Analysis } from './ports.js';
import { writtenRelation } from './write/target.js';

/**
 * @param tables that a statement touches
 * @throws ClarusError 42809 where the statement writes or locks rows of a materialised view, 55000 where one of those that it
 *   touches has not been populated (CheckValidResultRel, CheckValidRowMarkRel of execMain.c, ExecOpenScanRelation of
 *   execUtils.c)
 */
export function mustOnlyRead(
  { parsed, rewritten }: Analysis,
  tables: readonly LogicalTable[],
  catalog: Catalog,
): void {
  if (!tables.some(isFilled)) return;
  for (const tree of [...parsed, ...rewritten].flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'QUERY') mustNotChange(node, catalog);
      return true;
    });
  const empty = tables.find(({ materialised }) => materialised === 'unpopulated');
  if (empty) throw notPopulated(`materialized view "${empty.name}" has not been populated`, '55000');
}

function mustNotChange(query: Node, catalog: Catalog): void {
  const target = catalog.tables.get(writtenRelation(query));
  if (target && isFilled(target)) throw wrongKind(`cannot change materialized view "${target.name}"`);
  for (const mark of nodesIn(query, 'rowMarks')) {
    const locked = catalog.tables.get(numberIn(entry(scopeOf(query), numberIn(mark, 'rti')), 'relid'));
    if (locked && isFilled(locked)) throw wrongKind(`cannot lock rows in materialized view "${locked.name}"`);
  }
}

/**
 * COPY of a materialised view by its name.
 * @param major version of PostgreSQL: since 18 its rows are copied out
 * @throws ClarusError 42809, 0A000 (BeginCopyTo of copyto.c, CopyFrom of copyfrom.c)
 */
export function mustBeCopied(view: LogicalTable, direction: 'in' | 'out', major: number): void {
  if (direction === 'in') throw wrongKind(`cannot copy to materialized view "${view.name}"`);
  if (major < 18)
    throw wrongKind(
      `cannot copy from materialized view "${view.name}"`,
      'Try the COPY (SELECT ...) TO variant.',
    );
  if (view.materialised === 'unpopulated')
    throw notPopulated(`cannot copy from unpopulated materialized view "${view.name}"`, '0A000');
}

const wrongKind = (message: string, hint?: string): ClarusError =>
  new ClarusError('42809', message, hint === undefined ? {} : { hint });

const notPopulated = (message: string, code: string): ClarusError =>
  new ClarusError(code, message, { hint: 'Use the REFRESH MATERIALIZED VIEW command.' });
