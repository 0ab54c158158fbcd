/** What the policy makes of a table as it is described: protected, open or blocked, and each column's policy. */
import { ClarusError } from '../errors.js';
import { columnOfTable, listedTable } from '../policy/effective.js';
import { joinName } from '../policy/names.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import type { LogicalTable } from './catalog.js';

/** A column that stands in the clear. */
export const openColumn = (name: string): ColumnPolicy => ({
  name,
  class: undefined,
  protect: 'none',
  queries: [],
  domain: undefined,
  position: undefined,
});

/** A column that is encrypted because its table is not listed and `unlisted` is `encrypt`. */
const unlistedColumn = (name: string): ColumnPolicy => ({ ...openColumn(name), protect: 'encrypt' });

/**
 * The policy of a column that a table has, gets or would get.
 * @returns undefined when the table is not listed and `unlisted` is `refuse`
 */
export function columnPolicy(
  policy: Policy,
  schema: string,
  table: string,
  column: string,
): ColumnPolicy | undefined {
  const listed = listedTable(policy, schema, table);
  if (listed) return columnOfTable(listed, column);
  switch (policy.unlisted) {
    case 'pass':
      return openColumn(column);
    case 'encrypt':
      return unlistedColumn(column);
    case 'refuse':
      return undefined;
  }
}

/** The refusal of a table that the policy does not list, under `unlisted: refuse`. */
export const unlistedRefused = (schema: string, name: string): ClarusError =>
  new ClarusError('0A000', `table ${joinName([schema, name])} is not listed in the policy`, {
    detail: 'The policy says "unlisted: refuse".',
    hint: `List ${joinName([schema, name])} under "tables" in the policy, or set "unlisted" to encrypt or pass.`,
    schema,
    table: name,
  });

/** The refusal of a statement about a blocked table. */
export const blockedTable = (table: LogicalTable): ClarusError =>
  new ClarusError('55000', `table ${joinName([table.schema, table.name])} is neither served nor written`, {
    ...(table.reason === undefined ? {} : { detail: table.reason }),
    hint: `Make a protected copy with "clarus copy ${joinName([table.schema, table.name])}", or change the policy.`,
    schema: table.schema,
    table: table.name,
  });

/** Do two column policies put the same bytes into the cloud? Class and place in the file do not count. */
export const sameProtection = (a: ColumnPolicy, b: ColumnPolicy): boolean =>
  a.protect === b.protect &&
  (a.protect === 'none' ||
    (a.domain === b.domain &&
      a.queries.length === b.queries.length &&
      a.queries.every(kind => b.queries.includes(kind))));
