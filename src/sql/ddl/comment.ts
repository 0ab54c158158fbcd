/** COMMENT ON: a comment on anything but an open table may tell of protected values, so it stands in the shadow. */
import { quoteLiteral, quoteName, quoteQualified } from '../../catalog/quote.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, runInShadow } from './backends.js';
import type { DdlBody } from './body.js';
import { standsAlone } from './locks.js';
import { listParts, resolveRelation } from './resolve.js';

/** Runs COMMENT ON in the shadow and, for an open table or its column, in the cloud. */
export async function comment(session: SessionPort, { node, text }: DdlBody): Promise<{ tag: string }> {
  const open = await openTarget(session, node);
  if (['OBJECT_TABLE', 'OBJECT_MATVIEW'].includes(textOf(fieldsOf(node), 'objtype') ?? ''))
    await detach(session, node);
  const tag = await runInShadow(session, text);
  if (open !== undefined) {
    const words = textOf(fieldsOf(node), 'comment');
    await session.cloud.run(`COMMENT ON ${open} IS ${words === undefined ? 'NULL' : quoteLiteral(words)}`);
  }
  session.transaction.record(text, []);
  return { tag };
}

/** While its rows are carried, it is a foreign table to the shadow. */
async function detach(session: SessionPort, node: RawNode): Promise<void> {
  const relation = await resolveRelation(
    readerOn(session.trusted),
    listParts(fieldsOf(node).object as RawNode),
  );
  const table = relation && session.catalog().tables.get(relation.oid);
  if (table && !standsAlone(table, session.catalog())) await detachCarriers(session, [table]);
}

/** The open table or column a comment is about, as SQL. */
async function openTarget(session: SessionPort, node: RawNode): Promise<string | undefined> {
  const fields = fieldsOf(node);
  const parts = listParts(fields.object as RawNode);
  const isColumn = fields.objtype === 'OBJECT_COLUMN';
  if (!isColumn && fields.objtype !== 'OBJECT_TABLE') return undefined;
  const relation = await resolveRelation(readerOn(session.trusted), isColumn ? parts.slice(0, -1) : parts);
  const table = relation && session.catalog().tables.get(relation.oid);
  if (table?.state !== 'open') return undefined;
  const name = quoteQualified(table.physical.schema, table.physical.name);
  return isColumn ? `COLUMN ${name}.${quoteName(parts.at(-1) ?? '')}` : `TABLE ${name}`;
}
