/** TRUNCATE: rows are the cloud's; the shadow checks rights and foreign keys, and restarts sequences of its own. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteQualified } from '../../catalog/quote.js';
import { heirsOf, isInTree } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, lockInCloud, runInShadow } from './backends.js';
import type { DdlBody } from './body.js';
import { rangeParts, resolveRelation } from './resolve.js';
import { servedTable } from './table-statements.js';

/**
 * Empties tables in the cloud with their side tables.
 * @throws ClarusError 55000 for a blocked table; PostgresError of the shadow for missing rights or foreign keys
 */
export async function truncate(session: SessionPort, { node, text }: DdlBody): Promise<{ tag: string }> {
  const fields = fieldsOf(node);
  const names: string[] = [];
  const tables: LogicalTable[] = [];
  const heirsOfAll: LogicalTable[] = [];
  const relations = list(fields, 'relations');
  for (const { RangeVar: range } of relations) {
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range as RawFields));
    if (!relation) continue;
    const table = servedTable(session, relation);
    if (table.materialised !== undefined) throw new ClarusError('42809', `"${table.name}" is not a table`);
    tables.push(table);
    const only = range?.inh === true ? '' : 'ONLY ';
    const heirs = only === '' && table.state === 'protected' ? heirsOf(session.catalog(), table) : [];
    heirsOfAll.push(...heirs);
    for (const { physical, columns } of [table, ...heirs]) {
      names.push(only + quoteQualified(physical.schema, physical.name));
      // Side tables refer to the row ids of their table, so they are emptied with it.
      for (const { protection } of columns)
        for (const { encoded } of protection?.encodings ?? []) names.push(...Object.values(encoded.tables));
    }
  }
  await lockInCloud(session, [...tables, ...heirsOfAll]);
  const catalog = session.catalog();
  const inTree = tables.filter(table => table.state === 'protected' && isInTree(catalog, table));
  if (inTree.length > 0) await detachCarriers(session, [...tables, ...heirsOfAll]);
  const restart = fields.restart_seqs === true ? ' RESTART IDENTITY' : '';
  const cascade = fields.behavior === 'DROP_CASCADE' ? ' CASCADE' : '';
  // Without ONLY it would reach for the rows of their carriers. A table that is not there is for PostgreSQL to tell.
  const logical = tables.map(({ schema, name }) => quoteQualified(schema, name));
  const shadowText =
    tables.length === relations.length && inTree.length === 0
      ? `TRUNCATE ONLY ${logical.join(', ONLY ')}${restart}${cascade}`
      : text;
  const tag = await runInShadow(session, shadowText);
  await session.cloud.run(`TRUNCATE ${names.join(', ')}${restart}${cascade}`);
  if (restart !== '') session.transaction.record(shadowText, []);
  return { tag };
}
