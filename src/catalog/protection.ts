/** What the policy makes of a table as it is described: protected, open or blocked, and each column's policy. */
import { ClarusError } from '../errors.js';
import { columnOfTable, listedTable } from '../policy/effective.js';
import { joinName } from '../policy/names.js';
import type { ColumnPolicy, Policy, TablePolicy } from '../policy/policy.js';
import type { LogicalColumn, LogicalTable } from './catalog.js';

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
  return policyIn(policy, listedTable(policy, schema, table), column);
}

/**
 * What a policy says of a table that stands: by its name, or else by that under which it was listed before it was
 * renamed. A rename takes nothing from the name that was written down: what is made under it anew is protected by it.
 */
export function listingOf(
  policy: Policy,
  { schema, name, listedAs }: Pick<LogicalTable, 'schema' | 'name' | 'listedAs'>,
): TablePolicy | undefined {
  return (
    listedTable(policy, schema, name) ?? (listedAs && listedTable(policy, listedAs.schema, listedAs.name))
  );
}

/**
 * The policies of columns as they are described.
 * @param standing the catalogue's table of that OID, whose columns may have been renamed
 * @returns undefined for a column of a table that is not listed where `unlisted` is `refuse`
 */
export function columnPolicies(
  policy: Policy,
  { schema, name, columns }: NamedColumns,
  standing: Pick<LogicalTable, 'listedAs' | 'columns'> | undefined,
): readonly (ColumnPolicy | undefined)[] {
  const listing = listingOf(policy, { schema, name, ...listedAsOf(standing) });
  return columns.map(column => {
    const before = standing?.columns.find(({ attnum }) => attnum === column.attnum);
    const named = (wanted: string): boolean => !!listing?.columns.some(one => one.name === wanted);
    const follows = before?.listedAs !== undefined && named(before.listedAs) && !named(column.name);
    const found = policyIn(policy, listing, follows ? before.listedAs : column.name);
    return found && { ...found, name: column.name };
  });
}

const listedAsOf = (table: Pick<LogicalTable, 'listedAs'> | undefined): Pick<LogicalTable, 'listedAs'> =>
  table?.listedAs ? { listedAs: table.listedAs } : {};

/** A table as names and places of columns: described, or of the catalogue. */
interface NamedColumns {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly Pick<LogicalColumn, 'attnum' | 'name'>[];
}

/** Under which name the policy lists a table that has this name now. */
export function tableListedAs(
  policy: Policy,
  now: { readonly schema: string; readonly name: string },
  before: LogicalTable | undefined,
): Pick<LogicalTable, 'listedAs'> {
  const listing = before && listingOf(policy, before);
  if (!listing || (listing.schema === now.schema && listing.name === now.name)) return {};
  return { listedAs: { schema: listing.schema, name: listing.name } };
}

/** Under which name the policy says what it says of a column that has this name now. */
export function columnListedAs(
  policy: Policy,
  now: string,
  before: { readonly table: LogicalTable; readonly column: LogicalColumn } | undefined,
): Pick<LogicalColumn, 'listedAs'> {
  const { name, listedAs } = before?.column ?? {};
  const named = before && listingOf(policy, before.table)?.columns.map(column => column.name);
  const known = [name, listedAs].find(one => one !== undefined && named?.includes(one));
  return known === undefined || known === now ? {} : { listedAs: known };
}

/**
 * The policy with what follows from it by other names since renames, written out: what stands is listed by its own
 * names too.
 */
export function writtenOut(
  policy: Policy,
  tables: Iterable<Pick<LogicalTable, 'schema' | 'name' | 'listedAs' | 'columns'>>,
): Policy {
  let listings = policy.tables;
  for (const table of tables) {
    const listing = listingOf(policy, table);
    if (!listing) continue;
    const { schema, name } = table;
    const own = listing.schema === schema && listing.name === name;
    const known = own ? listing.columns : [];
    const columns = table.columns
      .filter(
        column => !known.some(one => one.name === column.name) && (!own || column.listedAs !== undefined),
      )
      .map(column => ({ ...column.policy, name: column.name }));
    if (own && columns.length === 0) continue;
    const written = { ...listing, schema, name, columns: [...known, ...columns] };
    listings = own ? listings.map(one => (one === listing ? written : one)) : [...listings, written];
  }
  return { ...policy, tables: listings };
}

/** The policy of a column by the listing of its table, or where there is none by `unlisted`. */
function policyIn(
  policy: Policy,
  listing: TablePolicy | undefined,
  column: string,
): ColumnPolicy | undefined {
  if (listing) return columnOfTable(listing, column);
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
    hint: `List ${joinName([schema, name])} under "tables" in the policy, or set "unlisted" to encrypt or pass; then restart Clarus.`,
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
