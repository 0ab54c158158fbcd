/** What Clarus keeps in the shadow database itself is left out of what queries of the catalogue show. */

import { catalogueView, systemColumns } from '../trusted/catalogue-views.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { deparse } from './raw/deparse.js';
import { kindOf, list, type RawFields, type RawNode, stringOf, visit } from './raw/node.js';

/**
 * The text of a catalogue query that reads views without our own objects; the same text where it reads nothing that
 * shows them, or cannot be written anew.
 * @param raw its tree
 */
export function withoutOwnObjects(raw: RawNode, sql: string): string {
  if (kindOf(raw) !== 'SelectStmt') return sql;
  const ctes = new Set<unknown>();
  let withSystem = false;
  /** `schema.table.column`, which no alias answers to */
  let qualified = false;
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') ctes.add(fields.ctename);
    if (kind !== 'ColumnRef') return;
    if (systemColumns.includes(stringOf(list(fields, 'fields').at(-1)))) withSystem = true;
    if (list(fields, 'fields').length > 2) qualified = true;
  });
  let found = false;
  const replaced = replaceRanges(raw, range => {
    const { schemaname, relname, alias } = range as { schemaname?: string; relname: string; alias?: unknown };
    if (schemaname === undefined && ctes.has(relname)) return undefined;
    const view = catalogueView(schemaname ?? 'pg_catalog', relname, withSystem);
    if (view === undefined) return undefined;
    found = true;
    return { ...range, schemaname: OWN_SCHEMA, relname: view, alias: alias ?? { aliasname: relname } };
  });
  return found && !qualified ? deparse(replaced) : sql;
}

/** A copy of a tree with other ranges. */
function replaceRanges<T>(value: T, replace: (range: RawFields) => RawFields | undefined): T {
  if (Array.isArray(value)) return value.map(item => replaceRanges(item, replace)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      (key === 'RangeVar' && replace(field as RawFields)) || replaceRanges(field, replace),
    ]),
  ) as T;
}
