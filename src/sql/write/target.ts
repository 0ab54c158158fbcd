/** The table that a statement writes. */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { type Node, numberIn } from '../analysed/node.js';
import { entry, scopeOf } from '../analysed/query.js';

/** OID of the relation that an analysed query writes; 0: none. */
export function writtenRelation(query: Node): number {
  const result = numberIn(query, 'resultRelation');
  return result > 0 ? numberIn(entry(scopeOf(query), result), 'relid') : 0;
}

/** The table that an analysed INSERT, UPDATE, DELETE or MERGE writes. */
export const writtenTable = (query: Node, catalog: Catalog): LogicalTable | undefined =>
  catalog.tables.get(writtenRelation(query));

/** The refusal of a write by which values of a protected table would come to another. */
export const flow = (from: LogicalTable, to: LogicalTable | undefined): ClarusError =>
  new ClarusError(
    '0A000',
    to
      ? `values of protected table "${from.name}" would flow to "${to.name}", which is not protected`
      : `protected table "${from.name}" is used in a statement of a kind that is not answered yet`,
    {
      schema: from.schema,
      table: from.name,
    },
  );
