/** The catalogue in the state database: read as one snapshot, changed in the transaction that ends a commit. */
import type { ClientBase, Pool } from 'pg';
import { policyFromJson, policyToJson } from '../policy/json.js';
import { joinName } from '../policy/names.js';
import type { Policy } from '../policy/policy.js';
import { bumpCatalogueVersion } from '../trusted/catalogue-version.js';
import { type Catalog, type CatalogChange, type LogicalTable, storedWith } from './catalog.js';
import { passesThrough } from './changes.js';
import type { KeptColumn, LabelOrigin } from './labelled.js';

/** What of the key store a change of the catalogue touches (trusted/keys.ts). */
export interface TableKeys {
  destroyTableKey(number: number, client: ClientBase): Promise<void>;
  forgetTable(number: number): void;
}

/** What holds before the first policy: nothing is listed, so nothing is served. */
const noPolicy: Policy = { unlisted: 'refuse', declassify: [], tables: [] };

interface Row {
  readonly version: string | null;
  readonly number: number | null;
  readonly policy: string | null;
  readonly tables: readonly LogicalTable[] | null;
}

/**
 * Loads the catalogue of a cloud. Before the first policy is stored its `policyVersion` is 0.
 * @param state the state database
 */
export async function loadCatalog(state: Pool | ClientBase, cloud: string): Promise<Catalog> {
  // One statement is one snapshot.
  const { rows } = await (state as Pool).query<Row>(
    `SELECT (SELECT version FROM clarus.catalogue_version WHERE cloud = $1) AS version, p.number, p.policy::text AS policy,
       (SELECT json_agg(definition ORDER BY number) FROM clarus.tables WHERE cloud = $1) AS tables
     FROM (VALUES (1)) one LEFT JOIN LATERAL
       (SELECT number, policy FROM clarus.policy_versions ORDER BY number DESC LIMIT 1) p ON true`,
    [cloud],
  );
  const row = rows[0]!;
  const policy = row.policy === null ? noPolicy : policyFromJson(row.policy);
  const tables = row.tables ?? [];
  return {
    version: Number(row.version ?? 0),
    policyVersion: row.number ?? 0,
    policy,
    tables: new Map(tables.map(table => [table.oid, table])),
    passThrough: passesThrough(policy, tables),
  };
}

/**
 * What the file said when it last took effect.
 * @param state the state database
 * @returns undefined before the first start
 */
export async function filedPolicy(state: Pool | ClientBase): Promise<Policy | undefined> {
  const { rows } = await (state as Pool).query<{ file: string }>(
    'SELECT file::text FROM clarus.policy_versions WHERE file IS NOT NULL ORDER BY number DESC LIMIT 1',
  );
  return rows[0] && policyFromJson(rows[0].file);
}

/**
 * Which label last spoke of a column, or of its whole table.
 * @param state the state database
 * @returns undefined where none is known by these names
 */
export async function labelOn(
  state: Pool | ClientBase,
  { table: { schema, name }, column }: KeptColumn,
): Promise<LabelOrigin | undefined> {
  const { rows } = await (state as Pool).query<{ origin: string; day: string }>(
    `SELECT origin, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day FROM clarus.policy_versions
     WHERE starts_with(origin, 'SECURITY LABEL by ') AND (right(origin, length($1)) = $1 OR right(origin, length($2)) = $2)
     ORDER BY number DESC LIMIT 1`,
    [` on ${joinName([schema, name, column])}`, ` on ${joinName([schema, name])}`],
  );
  const [, user] = /^SECURITY LABEL by (.*) on [^\n]*$/s.exec(rows[0]?.origin ?? '') ?? [];
  return user === undefined ? undefined : { user, day: rows[0]!.day };
}

/**
 * Stores changes in the caller's transaction and counts the catalogue's version up; workers hear of it when that
 * commits. The keys of dropped tables are destroyed with them.
 * @returns the new version; the caller calls `forgetTable` for dropped tables after its commit
 */
export async function saveChanges(
  client: ClientBase,
  cloud: string,
  changes: readonly CatalogChange[],
  keys: Pick<TableKeys, 'destroyTableKey'>,
): Promise<number> {
  // First, so that changes of one cloud wait for each other here.
  const version = await bumpCatalogueVersion(client, cloud);
  for (const change of changes) {
    switch (change.kind) {
      case 'put-table':
        await client.query(
          `INSERT INTO clarus.tables (number, cloud, shadow_oid, definition, state) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (number) DO UPDATE SET shadow_oid = excluded.shadow_oid, definition = excluded.definition, state = excluded.state`,
          [change.table.number, cloud, change.table.oid, JSON.stringify(change.table), change.table.state],
        );
        await forgetState(client, change.table);
        break;
      case 'drop-table':
        await client.query('DELETE FROM clarus.tables WHERE number = $1', [change.number]);
        await keys.destroyTableKey(change.number, client);
        break;
      case 'put-policy':
        await client.query(
          `INSERT INTO clarus.policy_versions (number, policy, origin, file)
           SELECT coalesce(max(number), 0) + 1, $1, $2, $3 FROM clarus.policy_versions`,
          [
            policyToJson(change.policy, { positions: true }),
            change.origin,
            change.file ? policyToJson(change.file) : null,
          ],
        );
        break;
    }
  }
  return version;
}

/** State of encodings that a table does not have any more goes. */
async function forgetState(client: ClientBase, table: LogicalTable): Promise<void> {
  const generations = storedWith(table).flatMap(
    column => column.protection?.encodings.map(({ encoded }) => encoded.generation) ?? [],
  );
  await client.query('DELETE FROM clarus.encoding_state WHERE table_number = $1 AND generation <> ALL ($2)', [
    table.number,
    generations,
  ]);
}
