/** Applies changes to a catalogue. Pure: a session's view of its own transaction, and every worker's next snapshot. */
import type { Policy } from '../policy/policy.js';
import type { Catalog, CatalogChange, LogicalTable } from './catalog.js';

/**
 * The catalogue after some changes. Its version grows by one: a plan made before is not used after.
 * @returns the same object when there are no changes
 */
export function applyChanges(catalog: Catalog, changes: readonly CatalogChange[]): Catalog {
  if (changes.length === 0) return catalog;
  const tables = new Map(catalog.tables);
  let { policy, policyVersion } = catalog;
  for (const change of changes) {
    switch (change.kind) {
      case 'put-table':
        removeNumber(tables, change.table.number);
        tables.set(change.table.oid, change.table);
        break;
      case 'drop-table':
        removeNumber(tables, change.number);
        break;
      case 'put-policy':
        policy = change.policy;
        policyVersion++;
        break;
    }
  }
  const passThrough = passesThrough(policy, tables.values());
  return { version: catalog.version + 1, policyVersion, policy, tables, passThrough };
}

/**
 * True when no table is protected or withheld and none could become so by being made: bytes then go through
 * untouched. A listed table counts even when it names no protected column, because those it does not name are.
 */
export function passesThrough(policy: Policy, tables: Iterable<LogicalTable>): boolean {
  if (policy.unlisted !== 'pass' || policy.tables.length > 0) return false;
  for (const table of tables) if (table.state !== 'open') return false;
  return true;
}

/** A table is known by its number: its OID may be another one after recovery. */
function removeNumber(tables: Map<number, LogicalTable>, number: number): void {
  for (const [oid, table] of tables) if (table.number === number) tables.delete(oid);
}
