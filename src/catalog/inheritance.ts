/** What a table has from those that it inherits from, or whose partition it is. */
import { ClarusError } from '../errors.js';
import { listedTable } from '../policy/effective.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import type { LogicalTable } from './catalog.js';
import type { DescribedTable } from './description.js';
import { listingOf } from './protection.js';

type TableOf = (oid: number) => LogicalTable | undefined;

const parentsOf = ({ parents }: DescribedTable, tableOf: TableOf): readonly LogicalTable[] =>
  parents.flatMap(oid => tableOf(oid) ?? []);

/**
 * Under which name the policy lists a new table that it does not list by its own: that of the protected table of which
 * it is a partition, or from which it inherits. A column that such a listing does not name is encrypted.
 */
export function listedByParent(
  policy: Policy,
  described: DescribedTable,
  tableOf: TableOf,
): Pick<LogicalTable, 'listedAs'> {
  if (listedTable(policy, described.schema, described.name)) return {};
  for (const parent of parentsOf(described, tableOf)) {
    const listing = parent.state === 'protected' ? listingOf(policy, parent) : undefined;
    if (listing) return { listedAs: { schema: listing.schema, name: listing.name } };
  }
  return {};
}

/**
 * What the catalogue says of a table's place among others.
 * @param policies of its columns, in order
 * @throws ClarusError 0A000 where a column is protected and that of a parent is not, or the other way round: what is
 *   read and written through the parent is that column too
 */
export function placeInTree(
  described: DescribedTable,
  policies: readonly ColumnPolicy[],
  tableOf: TableOf,
): Pick<LogicalTable, 'parents' | 'partitioned' | 'bounds'> {
  const { columns, partition, kind } = described;
  const parents = parentsOf(described, tableOf).filter(({ state }) => state !== 'blocked');
  const isProtected = policies.some(({ protect }) => protect === 'encrypt');
  for (const parent of parents) {
    if (isProtected !== (parent.state === 'protected')) throw protectedOtherwise(described, parent);
    for (const [i, { name }] of columns.entries()) {
      const above = parent.columns.find(column => column.name === name);
      if (above && above.policy.protect !== policies[i]!.protect)
        throw protectedOtherwise(described, parent, name);
    }
  }
  const open = (name: string): boolean =>
    policies[columns.findIndex(column => column.name === name)]?.protect === 'none';
  const known = partition?.plain && partition.columns.every(open);
  return {
    ...(parents.length > 0 ? { parents: parents.map(({ number }) => number) } : {}),
    ...(kind === 'p' ? { partitioned: true as const } : {}),
    ...(partition ? { bounds: known ? ('cloud' as const) : ('trusted' as const) } : {}),
  };
}

const protectedOtherwise = (table: DescribedTable, parent: LogicalTable, column?: string): ClarusError =>
  new ClarusError(
    '0A000',
    column === undefined
      ? `of the tables "${table.name}" and "${parent.name}" one is protected and one is not`
      : `column "${column}" of table "${table.name}" is not protected as that of "${parent.name}" is`,
    {
      detail: 'The rows of the one are rows of the other too.',
      hint: `Say the same of both in the policy, or leave "${table.name}" out of it: then it has what "${parent.name}" has.`,
      table: table.name,
      ...(column === undefined ? {} : { column }),
    },
  );
