/** Columns of the target of a write by the name of the table alone, where a statement writes the schema too. */
import type { SessionPort } from '../../ports.js';
import {
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  text,
  visit,
} from '../../raw/node.js';

const writing = ['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'];

/**
 * Rows that are computed stand under the name of the target, and so its columns must be named by that: `schema.table.column` becomes
 * `table.column`. Where something else of the statement has the name too, nothing is changed.
 * @param raw a statement
 */
export function withoutTargetSchema(raw: RawNode, session: Pick<SessionPort, 'catalog'>): RawNode {
  if (!writing.includes(kindOf(raw))) return raw;
  const relation = fieldsOf(raw).relation as RawFields;
  const name = text(relation, 'relname');
  if (name === undefined || relation.alias !== undefined) return raw;
  const names: string[] = [];
  visit(raw, (kind, fields) => {
    const alias = fields.alias as { readonly aliasname?: string } | undefined;
    if (kind === 'RangeVar' && fields !== relation)
      names.push(alias?.aliasname ?? text(fields, 'relname') ?? '');
    else if (kind.startsWith('Range') || kind === 'JoinExpr') names.push(alias?.aliasname ?? '');
    else if (kind === 'CommonTableExpr') names.push(text(fields, 'ctename') ?? '');
  });
  if (names.includes(name)) return raw;
  const schemas = new Set(
    [...session.catalog().tables.values()].filter(table => table.name === name).map(({ schema }) => schema),
  );
  const said = text(relation, 'schemaname');
  return rewrite(raw, (kind, fields) => {
    if (kind !== 'ColumnRef') return undefined;
    const parts = list(fields, 'fields');
    if (parts.length < 3) return undefined;
    const [schema, table] = parts.map(stringOf);
    const isTarget = table === name && (said === undefined ? schemas.has(schema!) : schema === said);
    return isTarget ? { ColumnRef: { ...fields, fields: parts.slice(1) } } : undefined;
  });
}
