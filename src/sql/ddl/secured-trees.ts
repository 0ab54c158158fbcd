/** Row level security of tables that share rows with others. */
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import type { SessionPort } from '../ports.js';
import type { RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';

/** PostgreSQL applies no policies to foreign tables, which these are made while their rows are carried. */
const inTreesQuery = `SELECT c.relname::text FROM pg_catalog.pg_class c
  WHERE c.relrowsecurity AND c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i
    JOIN pg_catalog.pg_class h ON h.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = h.relnamespace
   WHERE c.oid IN (i.inhrelid, i.inhparent) AND n.nspname <> '${OWN_SCHEMA}') LIMIT 1`;

/** @throws ClarusError 0A000 where a table with row security has become a partition or heir, or has some */
export async function refuseInTrees(session: SessionPort): Promise<void> {
  const [row] = await readerOn(session.trusted)(inTreesQuery, []);
  if (row)
    throw new ClarusError('0A000', `row security of table "${row[0]}" is not supported`, {
      detail: 'It is a partition, or takes part in inheritance.',
      hint: 'A partitioned table may have row security: it counts for what is done by its name.',
    });
}

/** Does a command of ALTER TABLE make a table a partition or heir? */
export const joinsTree = ({ AlterTableCmd: command }: RawNode): boolean =>
  command?.subtype === 'AT_AttachPartition' || command?.subtype === 'AT_AddInherit';
