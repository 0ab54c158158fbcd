/** Tables that DDL changes because the keys of partitions are collected for foreign keys (catalog/key-tables.ts). */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import type { DescribedTable } from '../../catalog/description.js';
import { collectedKeysOf, domainCollected, partitionedAbove } from '../../catalog/key-tables.js';
import { heirsOf } from '../../catalog/trees.js';
import { ClarusError } from '../../errors.js';

type Tables = Pick<Catalog, 'tables'>;

/**
 * The tables that a statement may change, and those that change with them: partitions of what is partitioned, and what
 * a foreign key ties to a partitioned table or its partitions.
 * @param scope shadow OIDs
 */
export function withCollected(scope: readonly number[], catalog: Tables): readonly number[] {
  const all = [...catalog.tables.values()];
  const found = new Set(scope.flatMap(oid => catalog.tables.get(oid) ?? []));
  for (const table of found) {
    if (table.state !== 'protected') continue;
    for (const { references } of table.keys) {
      const other = references && all.find(({ number }) => number === references.table);
      if (other?.partitioned) found.add(other);
    }
    const above = partitionedAbove(table, all);
    const whole = new Set([...above, ...(table.partitioned ? [table] : [])].map(({ number }) => number));
    for (const other of all)
      if (other.keys.some(({ references }) => references && whole.has(references.table))) found.add(other);
    for (const one of above) found.add(one);
    if (table.partitioned) for (const heir of heirsOf(catalog, table)) found.add(heir);
  }
  return [...new Set([...scope, ...[...found].map(({ oid }) => oid)])];
}

/**
 * The columns of partitioned tables to which foreign keys refer, by attnums, one list a foreign key.
 * @param before the tables that the statement may change
 * @param after these, as it leaves them, and new ones
 * @param tables of the catalogue
 */
export function referringColumns(
  before: readonly DescribedTable[],
  after: readonly DescribedTable[],
  tables: Catalog['tables'],
): ReadonlyMap<number, readonly (readonly number[])[]> {
  const found = new Map<number, (readonly number[])[]>();
  const add = (oid: number, columns: readonly number[]): void => {
    found.set(oid, [...(found.get(oid) ?? []), columns]);
  };
  const described = new Set([...before, ...after].map(({ oid }) => oid));
  for (const { constraints } of after)
    for (const { references } of constraints) if (references) add(references.table, references.columns);
  const all = [...tables.values()];
  for (const { oid, keys } of all) {
    if (described.has(oid)) continue;
    for (const { references } of keys) {
      const table = references && all.find(({ number }) => number === references.table);
      if (!table) continue;
      add(
        table.oid,
        references.columns.map(n => table.columns.find(c => c.number === n)!.attnum),
      );
    }
  }
  return found;
}

/**
 * Are the same keys collected as before, and of the same domains?
 * @param referring columns to which foreign keys refer
 * @param derived the tables as the statement leaves them so far
 */
export function keysStay(
  table: LogicalTable,
  referring: readonly (readonly number[])[] | undefined,
  derived: ReadonlyMap<number, LogicalTable>,
): boolean {
  if (table.state !== 'protected') return true;
  const above = partitionedAbove(table, derived.values());
  for (const { name, policy, protection } of table.columns) {
    const domain = policy.domain === undefined ? domainCollected(name, above) : undefined;
    if (domain !== undefined && protection?.domain !== domain) return false;
  }
  for (const { columns, references } of table.keys)
    if (references?.collected && !sameDomains(table, columns, references, derived)) return false;
  const text = (columns: readonly number[]): string => [...columns].sort((a, b) => a - b).join();
  if (table.partitioned) {
    const numbers = (referring ?? []).map(attnums =>
      text(attnums.map(attnum => table.columns.find(column => column.attnum === attnum)!.number)),
    );
    const are = (table.referredKeys ?? []).map(({ columns }) => text(columns));
    return JSON.stringify([...new Set(numbers)].sort()) === JSON.stringify(are.sort());
  }
  const { collectedKeys } = collectedKeysOf(table, above);
  return JSON.stringify(collectedKeys) === JSON.stringify(table.collectedKeys);
}

function sameDomains(
  table: LogicalTable,
  columns: readonly number[],
  references: { readonly table: number; readonly columns: readonly number[] },
  derived: ReadonlyMap<number, LogicalTable>,
): boolean {
  const other = [...derived.values()].find(({ number }) => number === references.table);
  const domain = (of: LogicalTable | undefined, number: number): number | undefined =>
    of?.columns.find(column => column.number === number)?.protection?.domain;
  return columns.every((number, i) => domain(table, number) === domain(other, references.columns[i]!));
}

/** Keys of rows that another session has inserted since would be missed. */
export const unseenRows = (): ClarusError =>
  new ClarusError('0A000', 'keys of partitions are not collected in a transaction that keeps its snapshot', {
    detail: 'A foreign key refers to a partitioned table, and the keys of all rows that stand are needed.',
    hint: 'Run the statement in READ COMMITTED.',
  });
