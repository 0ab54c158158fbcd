/** Which statements mean rows of several tables of a cloud by one name, so that it does not run them by itself. */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import { hasHeirs } from '../catalog/trees.js';
import { ClarusError } from '../errors.js';
import { flag, type Node, numberIn, walk } from './analysed/node.js';
import { COMMAND, entry, RTE, scopeOf } from './analysed/query.js';

/**
 * @param query as it was analysed
 * @throws ClarusError 0A000 where a protected table stands in it for its partitions or heirs too, and where it could
 *   bring rows into a partition that are not within its bounds
 */
export function refuseTrees(query: Node, catalog: Catalog): void {
  walk(query, node => {
    if (node.kind === 'QUERY') mustStayWithinBounds(node, catalog);
    if (
      (node.kind === 'RANGETBLENTRY' || node.kind === 'RTE') &&
      numberIn(node, 'rtekind') === RTE.relation
    ) {
      const table = catalog.tables.get(numberIn(node, 'relid'));
      if (
        table?.state === 'protected' &&
        (table.partitioned || (flag(node, 'inh') && hasHeirs(catalog, table)))
      )
        throw ofSeveral(table);
    }
    return true;
  });
}

function mustStayWithinBounds(query: Node, catalog: Catalog): void {
  const command = numberIn(query, 'commandType');
  if (command === COMMAND.select || command === COMMAND.delete || command === COMMAND.utility) return;
  const target = numberIn(query, 'resultRelation');
  const table = target > 0 ? catalog.tables.get(numberIn(entry(scopeOf(query), target), 'relid')) : undefined;
  if (table?.state === 'protected' && table.bounds === 'trusted') throw ofUnknownBounds(table);
}

/** A table whose rows stand in several tables of the cloud. */
export const ofSeveral = (table: LogicalTable): ClarusError =>
  new ClarusError('0A000', `the rows of table "${table.name}" stand in several tables of the cloud`, {
    detail: 'It is partitioned or inherited from; in the cloud each protected table stands by itself.',
    hint: 'Name the partition, or ONLY the table.',
    schema: table.schema,
    table: table.name,
  });

/** A partition of which the cloud cannot tell what rows it may hold. */
export const ofUnknownBounds = (table: LogicalTable): ClarusError =>
  new ClarusError(
    '0A000',
    `the cloud cannot tell whether a row is within the bounds of partition "${table.name}"`,
    {
      detail: 'It is partitioned by a protected column, by hash or by an expression.',
      schema: table.schema,
      table: table.name,
    },
  );
