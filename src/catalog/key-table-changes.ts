/** How the tables that collect the keys of partitions follow from one state of physical tables to another (key-tables.ts). */
import {
  collectStanding,
  dropCollector,
  forgetPartition,
  makeCollector,
  makeKeyTable,
} from './key-tables.js';
import type { PhysicalCollector, PhysicalTable } from './physical-parts.js';
import { quoteQualified } from './quote.js';

/** A table before and after; undefined where it is not there. */
interface Change {
  readonly before: PhysicalTable | undefined;
  readonly after: PhysicalTable | undefined;
}

const nameOf = ({ schema, name }: PhysicalTable): string => quoteQualified(schema, name);

/** What keeps keys of the first, and not of the second. */
const without = (
  table: PhysicalTable | undefined,
  other: PhysicalTable | undefined,
): readonly PhysicalCollector[] =>
  (table?.collectors ?? []).filter(({ key }) => !other?.collectors?.some(one => one.key === key));

/** Tables that collect keys, by their names. */
const keyTablesOf = (table: PhysicalTable | undefined): readonly string[] =>
  table?.keyTables?.map(({ name }) => name) ?? [];

const keyTablesGone = (changes: readonly Change[]): ReadonlySet<string> =>
  new Set(
    changes.flatMap(({ before, after }) =>
      keyTablesOf(before).filter(name => !keyTablesOf(after).includes(name)),
    ),
  );

/** Triggers of partitions that keep keys no more, or otherwise. */
export const dropCollectors = ({ before, after }: Change): readonly string[] =>
  without(before, after).flatMap(collector => dropCollector(collector, nameOf(before!)));

/** A partition that goes takes its keys with it. */
export function forgetPartitions(changes: readonly Change[]): readonly string[] {
  const gone = keyTablesGone(changes);
  return changes.flatMap(({ before, after }) =>
    without(before, after)
      .filter(({ keyTable }) => !gone.has(keyTable) && !isCollecting(after, { keyTable }))
      .map(forgetPartition),
  );
}

/** Tables that collect keys to which no foreign key refers any more. */
export const dropKeyTables = (changes: readonly Change[]): readonly string[] =>
  [...keyTablesGone(changes)].map(name => `DROP TABLE ${name}`);

/** Tables for keys to which foreign keys come to refer. */
export const makeKeyTables = ({ before, after }: Change): readonly string[] =>
  (after?.keyTables ?? []).filter(({ name }) => !keyTablesOf(before).includes(name)).flatMap(makeKeyTable);

/** Where the rows of a partition are to be added, nothing is written there from its triggers on. */
export const makeCollectors = ({ before, after }: Change): readonly string[] =>
  without(after, before).flatMap(collector => {
    const collects = isCollecting(before, collector);
    const standing = before && !collects ? [collectStanding(collector, nameOf(after!))] : [];
    return [...makeCollector(collector, nameOf(after!)), ...standing];
  });

const isCollecting = (
  before: PhysicalTable | undefined,
  { keyTable }: Pick<PhysicalCollector, 'keyTable'>,
): boolean => before?.collectors?.some(other => other.keyTable === keyTable) ?? false;

/** Does a change read the rows of a partition, so that it must see all that have been committed? */
export const readsRows = ({ before, after }: Change): boolean =>
  before !== undefined && (after?.collectors ?? []).some(collector => !isCollecting(before, collector));
