/** Names, resolved by the shadow database under the session's search_path; never guessed. */
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import type { Reader } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { type RawFields, type RawNode, stringOf, text } from '../raw/node.js';

/** A relation as the shadow knows it. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relkind */
  readonly kind: string;
  /** indexes: OID of their table; sequences: of the table that owns them; else 0 */
  readonly table: number;
}

/** The parts of a name as SQL, e.g. `"s"."t"`. */
export const nameText = (parts: readonly string[]): string => parts.map(quoteName).join('.');

/** The parts of a RangeVar. */
export function rangeParts(range: RawFields): readonly string[] {
  const schema = text(range, 'schemaname');
  const name = text(range, 'relname') ?? '';
  return schema === undefined ? [name] : [schema, name];
}

/** The parts of a name that the grammar gives as a list of String nodes. */
export function listParts(node: RawNode | undefined): readonly string[] {
  const items = (node?.List?.items as readonly RawNode[] | undefined) ?? (node?.String ? [node] : []);
  return items.map(stringOf);
}

/** The parts of a TypeName. */
export const typeParts = (node: RawNode | undefined): readonly string[] =>
  ((node?.TypeName?.names as readonly RawNode[] | undefined) ?? []).map(stringOf);

const relationQuery = `
SELECT c.oid::text, n.nspname::text, c.relname::text, c.relkind::text, coalesce(i.indrelid,
   (SELECT o.refobjid FROM pg_catalog.pg_depend o WHERE c.relkind = 'S' AND o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND o.objid = c.oid AND o.deptype IN ('a', 'i') LIMIT 1), 0)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.oid = pg_catalog.to_regclass($1)`;

/** What a name resolves to, or undefined. */
export async function resolveRelation(read: Reader, parts: readonly string[]): Promise<Relation | undefined> {
  const [row] = await read(relationQuery, [nameText(parts)]);
  if (!row) return undefined;
  return {
    oid: Number(row[0]),
    schema: row[1] ?? '',
    name: row[2] ?? '',
    kind: row[3] ?? '',
    table: Number(row[4]),
  };
}

/** The schema in which a relation is created: the one that is named, else the first of the search path. */
export async function creationSchema(read: Reader, range: RawFields = {}): Promise<string> {
  const named = text(range, 'schemaname');
  if (named !== undefined) return named;
  const [row] = await read('SELECT pg_catalog.current_schema()::text', []);
  const schema = row?.[0];
  if (schema == null) throw new ClarusError('3F000', 'no schema has been selected to create in');
  return schema;
}

/** Which of the objects exist, as qualified SQL names; types by `to_regtype`. */
export async function resolveType(read: Reader, parts: readonly string[]): Promise<string | undefined> {
  const [row] = await read(
    `SELECT n.nspname::text, t.typname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
     WHERE t.oid = pg_catalog.to_regtype($1)`,
    [nameText(parts)],
  );
  return row ? quoteQualified(row[0] ?? '', row[1] ?? '') : undefined;
}

/**
 * The statement with the schema put to every relation name outside of queries, as the shadow resolves it; a name
 * that is not there yet is one that the statement makes.
 */
export async function qualifyRelations(read: Reader, node: RawNode): Promise<RawNode> {
  const walk = async (value: unknown, key: string): Promise<unknown> => {
    if (Array.isArray(value)) return Promise.all(value.map(item => walk(item, '')));
    if (value === null || typeof value !== 'object') return value;
    if (key === 'SelectStmt') return value;
    const fields = value as RawFields;
    if (typeof fields.relname === 'string' && fields.schemaname === undefined) {
      const found = await resolveRelation(read, [fields.relname]);
      return { schemaname: found?.schema ?? (await creationSchema(read)), ...fields };
    }
    const copy: Record<string, unknown> = {};
    for (const [name, field] of Object.entries(fields)) copy[name] = await walk(field, name);
    return copy;
  };
  return (await walk(node, '')) as RawNode;
}
