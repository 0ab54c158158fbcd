/** The policy of the file against the one in force: what may take effect at a start, and what may not. */
import type pg from 'pg';
import type { Catalog } from '../catalog/catalog.js';
import { ROW_COLUMN, tableNamed } from '../catalog/catalog.js';
import { quoteQualified } from '../catalog/quote.js';
import { diffPolicy, touchedTables } from '../policy/diff.js';
import type { Policy } from '../policy/policy.js';

export interface Proposal {
  /** in words; empty: nothing differs */
  readonly differences: readonly string[];
  /** protected tables that hold rows and would change */
  readonly withRows: readonly string[];
  /** true: the proposal becomes the next version */
  readonly takesEffect: boolean;
}

/**
 * Compares the file's policy with the one in force.
 * @param cloud for the question whether a table holds rows
 */
export async function proposePolicy(catalog: Catalog, proposed: Policy, cloud: pg.Pool): Promise<Proposal> {
  if (catalog.policyVersion === 0) return { differences: [], withRows: [], takesEffect: true };
  const differences = diffPolicy(catalog.policy, proposed);
  const withRows: string[] = [];
  const touched = touchedTables(differences);
  const unlistedTables = touched.unlisted
    ? [...catalog.tables.values()].filter(
        t => !proposed.tables.some(p => p.schema === t.schema && p.name === t.name),
      )
    : [];
  const tables = [
    ...touched.tables.map(({ schema, table }) => tableNamed(catalog, schema, table)),
    ...unlistedTables,
  ];
  for (const table of tables) {
    if (table?.state !== 'protected') continue;
    const { rows } = await cloud.query(
      `SELECT ${ROW_COLUMN} FROM ${quoteQualified(table.physical.schema, table.physical.name)} LIMIT 1`,
    );
    if (rows.length > 0) withRows.push(`${table.schema}.${table.name}`);
  }
  return {
    differences: differences.map(d => d.words),
    withRows,
    takesEffect: differences.length > 0 && withRows.length === 0,
  };
}
