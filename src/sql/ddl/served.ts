/** The tables that statements of DDL are about, as the catalogue knows them. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { blockedTable } from '../../catalog/protection.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import type { Relation } from './resolve.js';

/** The catalogue's table of a relation or of the index or sequence it owns. */
export function tableOfRelation(session: SessionPort, relation: Relation): LogicalTable | undefined {
  const { tables } = session.catalog();
  return tables.get(relation.oid) ?? tables.get(relation.table);
}

/**
 * The table of a relation.
 * @throws ClarusError 55000 when it is blocked, 0A000 when the catalogue does not know it
 */
export function servedTable(session: SessionPort, relation: Relation): LogicalTable {
  const table = tableOfRelation(session, relation);
  if (!table)
    throw new ClarusError('0A000', `"${relation.name}" is not a table that Clarus knows`, {
      schema: relation.schema,
      table: relation.name,
    });
  return refuseBlocked(table);
}

/** @throws ClarusError 55000 for a table that is neither served nor written */
export function refuseBlocked(table: LogicalTable): LogicalTable {
  if (table.state === 'blocked') throw blockedTable(table);
  return table;
}
