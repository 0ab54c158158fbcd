/**
 * Row types of protected tables. In a cloud they are those of the physical tables, so a value of one would lose what it
 * holds of protected columns, or take it there in the clear.
 */
import type { LogicalTable } from '../catalog/catalog.js';
import { quoteName } from '../catalog/quote.js';
import { oidArray } from '../catalog/reader.js';
import { ClarusError } from '../errors.js';
import { type Node, type Value, walk } from './analysed/node.js';
import { physical } from './compilation.js';
import { FIRST_USER_OID } from './functions.js';
import type { SessionPort } from './ports.js';
import { type RawFields, type RawNode, stringOf, visit } from './raw/node.js';

/** The relations whose rows are part of a value of a type: of itself, of elements, fields and base types. */
const relationsQuery = physical(
  `WITH RECURSIVE parts (oid) AS (
     SELECT u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u (oid)
     UNION
     SELECT pg_catalog.to_regtype(n.name)::pg_catalog.oid FROM pg_catalog.unnest($2::pg_catalog.text[]) n (name)
     UNION
     SELECT x.oid FROM parts JOIN pg_catalog.pg_type t ON t.oid = parts.oid, LATERAL (
       SELECT t.typbasetype AS oid UNION ALL SELECT t.typelem
       UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0
       UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)) x
     WHERE x.oid >= ${FIRST_USER_OID})
   SELECT DISTINCT t.typrelid::pg_catalog.text FROM parts JOIN pg_catalog.pg_type t ON t.oid = parts.oid
    WHERE t.typrelid <> 0`,
  [1028, 1009],
);

/** Types of users that analysed trees name: OIDs. */
export function typesIn(trees: readonly Node[]): ReadonlySet<number> {
  const found = new Set<number>();
  const see = (value: Value | undefined): void => {
    if (Array.isArray(value)) value.forEach(see);
    else if (typeof value === 'string' && Number(value) >= FIRST_USER_OID) found.add(Number(value));
  };
  for (const tree of trees)
    walk(tree, node => {
      for (const [field, value] of Object.entries(node.fields)) if (/type/i.test(field)) see(value);
      return true;
    });
  return found;
}

/** Types that a raw tree names, as `to_regtype` takes them; arrays by their elements. */
export function typeNamesIn(tree: RawNode | readonly RawNode[]): readonly string[] {
  const found: string[] = [];
  visit(tree, (_kind, fields: RawFields) => {
    if (!Array.isArray(fields.names) || fields.pct_type === true) return;
    const parts = (fields.names as readonly RawNode[]).map(stringOf);
    if (parts[0] !== 'pg_catalog') found.push(parts.map(quoteName).join('.'));
  });
  return found;
}

/** The first table, of those that are not open, whose rows are part of values of some types; undefined: none. */
export async function rowsWithin(
  types: ReadonlySet<number>,
  names: readonly string[],
  session: SessionPort,
): Promise<LogicalTable | undefined> {
  if (types.size + names.length === 0) return undefined;
  const texts = `{${names.map(name => `"${name.replace(/["\\]/g, '\\$&')}"`).join()}}`;
  const parameters = [oidArray(types), texts].map(text => Buffer.from(text));
  const { rows } = await session.trusted.gather(relationsQuery, parameters, false);
  const { tables } = session.catalog();
  for (const [field] of rows) {
    const table = tables.get(Number(Buffer.from(field ?? []).toString()));
    if (table && table.state !== 'open') return table;
  }
  return undefined;
}

/** The refusal of a row type. */
export const rowTypeRefused = ({ schema, name }: LogicalTable): ClarusError =>
  new ClarusError('0A000', `the row type of the protected table "${name}" is not used`, {
    detail:
      'The cloud knows it as the row of encodings, so its values would be lost there or stand in the clear.',
    hint: 'Name the columns one by one, or make a type of your own with CREATE TYPE.',
    schema,
    table: name,
  });
