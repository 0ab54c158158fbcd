/** What a policy says of a column, whether it names it or not. */
import { joinName } from './names.js';
import type { ColumnPolicy, Policy, TablePolicy } from './policy.js';

/** The listed table of this name, or undefined. */
export function listedTable(policy: Policy, schema: string, table: string): TablePolicy | undefined {
  return policy.tables.find(listed => listed.schema === schema && listed.name === table);
}

/** What holds for a column that a listed table has and the policy does not name: encrypted, no queries. */
export function unnamedColumn(table: TablePolicy, column: string): ColumnPolicy {
  return {
    name: column,
    class: undefined,
    protect: 'encrypt',
    queries: [],
    domain: undefined,
    position: table.position,
  };
}

/** What a listed table's policy says of a column. */
export function columnOfTable(table: TablePolicy, column: string): ColumnPolicy {
  return table.columns.find(named => named.name === column) ?? unnamedColumn(table, column);
}

/**
 * What holds for a column: what the policy says of it, or for a column that a listed table does not name,
 * `encrypt` with no queries. `'unlisted'` when the table is not listed: then `policy.unlisted` holds.
 */
export function effectiveColumn(
  policy: Policy,
  schema: string,
  table: string,
  column: string,
): ColumnPolicy | 'unlisted' {
  const listed = listedTable(policy, schema, table);
  return listed ? columnOfTable(listed, column) : 'unlisted';
}

/** Does the policy let protected values reach a column of a table in the clear? */
export function isDeclassified(
  { declassify }: Policy,
  table: { readonly schema: string; readonly name: string },
  column: string,
): boolean {
  const target = [table.schema, table.name];
  return declassify.some(name => name === joinName(target) || name === joinName([...target, column]));
}
