/** Which DDL makes temporary objects. */
import type { SessionPort } from '../ports.js';
import { fieldsOf, kindOf, type RawFields, type RawNode } from '../raw/node.js';

/** By the kind of a statement, the field that holds what it makes. */
const made: Readonly<Record<string, string>> = {
  CreateStmt: 'relation',
  ViewStmt: 'view',
  CreateSeqStmt: 'sequence',
};

/** Does a statement make something temporary? */
export function makesTemporary(node: RawNode, { settings }: SessionPort): boolean {
  const fields = fieldsOf(node);
  const field = made[kindOf(node)];
  const into = kindOf(node) === 'CreateTableAsStmt' ? (fields.into as RawFields).rel : undefined;
  const relation = (into ?? (field && fields[field])) as RawFields | undefined;
  if (!relation || fields.objtype === 'OBJECT_MATVIEW') return false;
  if (relation.relpersistence === 't') return true;
  const schema =
    relation.schemaname ??
    settings.searchPath
      .split(',')[0]
      ?.trim()
      .replace(/^"(.*)"$/, '$1');
  return typeof schema === 'string' && /^pg_temp(_\d+)?$/.test(schema);
}
