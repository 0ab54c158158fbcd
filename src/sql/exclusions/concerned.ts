/** Which EXCLUDE constraints a write may break. */
import type { LogicalTable, TrustedExclusion } from '../../catalog/catalog.js';

/**
 * The constraints of the trusted side that rows may conflict by, in the order in which PostgreSQL checks them.
 * @param columns UPDATE: names of those that get values
 */
export function exclusionsFor(
  { exclusions, columns: all }: LogicalTable,
  event: 'INSERT' | 'UPDATE',
  columns: readonly string[],
): readonly TrustedExclusion[] {
  if (!exclusions || event === 'INSERT') return exclusions ?? [];
  const written = new Set(all.filter(({ name }) => columns.includes(name)).map(({ number }) => number));
  return exclusions.filter(exclusion => exclusion.columns.some(number => written.has(number)));
}
