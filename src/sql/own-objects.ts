/** What Clarus keeps in the shadow database itself is left out of what queries of the catalogue show. */
import { quoteName, quoteQualified } from '../catalog/quote.js';
import { catalogueView, systemColumns } from '../trusted/catalogue-views.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { list, type RawFields, stringOf, visit } from './raw/node.js';
import { parseOne } from './raw/parse.js';

/** A name in the text of a statement, and what stands in its place. */
interface Replacement {
  /** bytes */
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/**
 * The text of a catalogue query that reads views without our own objects; the same text where it reads nothing that
 * shows them, or spells names in a way that is not understood here.
 */
export function withoutOwnObjects(sql: string): string {
  const raw = parseOne(sql);
  if (!raw.SelectStmt) return sql;
  const ctes = new Set<unknown>();
  let withSystem = false;
  let star = false;
  /** `schema.table.column`, which no alias answers to */
  let qualified = false;
  visit(raw, (kind, fields) => {
    if (kind === 'CommonTableExpr') ctes.add(fields.ctename);
    if (kind === 'A_Star') star = true;
    if (kind !== 'ColumnRef') return;
    if (systemColumns.includes(stringOf(list(fields, 'fields').at(-1)))) withSystem = true;
    if (list(fields, 'fields').length > 2) qualified = true;
  });
  // `*` means all columns of a table, and no more
  if (qualified || (withSystem && star)) return sql;
  const bytes = Buffer.from(sql);
  const replacements: Replacement[] = [];
  visit(raw, (kind, fields) => {
    if (kind !== 'RangeVar' || (fields.schemaname === undefined && ctes.has(fields.relname))) return;
    const found = replacement(fields, bytes, withSystem);
    if (found) replacements.push(found);
  });
  replacements.sort((a, b) => b.from - a.from);
  let text = bytes;
  for (const { from, to, text: view } of replacements)
    text = Buffer.concat([text.subarray(0, from), Buffer.from(view), text.subarray(to)]);
  return text.toString();
}

function replacement(range: RawFields, bytes: Buffer, withSystem: boolean): Replacement | undefined {
  const {
    schemaname,
    relname,
    alias,
    location = 0,
  } = range as {
    schemaname?: string;
    relname: string;
    alias?: unknown;
    location?: number;
  };
  const view = catalogueView(schemaname ?? 'pg_catalog', relname, withSystem);
  if (view === undefined) return undefined;
  const schema = schemaname === undefined ? '' : `"?${schemaname}"?\\s*\\.\\s*`;
  const spelt = new RegExp(`^${schema}"?${relname}"?(?![\\w$"])`, 'i').exec(
    bytes.subarray(location, location + 256).toString('latin1'),
  );
  if (!spelt) return undefined;
  return {
    from: location,
    to: location + spelt[0].length,
    text: quoteQualified(OWN_SCHEMA, view) + (alias === undefined ? ` AS ${quoteName(relname)}` : ''),
  };
}
