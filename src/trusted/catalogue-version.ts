/** The version of each cloud's catalogue: grows with every change, and every worker is told when it does. */
import type { ClientBase, Pool } from 'pg';

/** Channel on which new catalogue versions are told; payload: `version cloud`. */
export const CATALOGUE_CHANNEL = 'clarus_catalogue';

/**
 * Counts a change of the catalogue, in the transaction that makes it; workers hear of it when that commits.
 * Changes of one cloud wait for each other here.
 * @returns the new version
 */
export async function bumpCatalogueVersion(client: ClientBase, cloud: string): Promise<number> {
  const { rows } = await client.query<{ version: string }>(
    `INSERT INTO clarus.catalogue_version AS c (cloud, version) VALUES ($1, 1)
     ON CONFLICT (cloud) DO UPDATE SET version = c.version + 1 RETURNING version`,
    [cloud],
  );
  const version = Number(rows[0]!.version);
  await client.query('SELECT pg_notify($1, $2)', [CATALOGUE_CHANNEL, `${version} ${cloud}`]);
  return version;
}

/** The version in force; 0 before the first change. */
export async function catalogueVersion(connection: Pool | ClientBase, cloud: string): Promise<number> {
  const sql = 'SELECT version FROM clarus.catalogue_version WHERE cloud = $1';
  const { rows } = await (connection as Pool).query<{ version: string }>(sql, [cloud]);
  return Number(rows[0]?.version ?? 0);
}
