/**
 * The cloud as a witness of leases: what it remembers tells whether the trusted database was put back to an
 * earlier state. It sees numbers and sealed records only.
 */
import { ClarusError } from '../errors.js';

/** A record as the cloud keeps it. */
export interface WitnessedLease {
  readonly id: number;
  readonly sealed: Uint8Array;
}

/** Keeps records of leases outside the trusted database. */
export interface LeaseWitness {
  /**
   * Stores a record durably, on a connection of its own: outside every session's transaction.
   * @returns the highest number that is stored now
   * @throws ClarusError 55000 when the number is taken by another record
   */
  record(id: number, sealed: Uint8Array): Promise<number>;
  /** every record; none where nothing was ever recorded */
  all(): Promise<readonly WitnessedLease[]>;
  /** forgets records that later ones stand for */
  forget(ids: readonly number[]): Promise<void>;
}

/**
 * Runs one statement in autocommit on an administrator's connection to the cloud.
 * @param parameters in PostgreSQL's text form
 * @returns rows in text form
 */
export type WitnessQuery = (
  sql: string,
  parameters: readonly string[],
) => Promise<readonly (readonly (string | null)[])[]>;

const insert = `WITH taken AS (
  INSERT INTO clarus.leases (id, sealed) VALUES ($1::bigint, pg_catalog.decode($2, 'hex'))
  ON CONFLICT (id) DO NOTHING RETURNING id)
SELECT COALESCE(pg_catalog.max(id), 0)::text, (SELECT pg_catalog.count(*) FROM taken)::text FROM clarus.leases`;
const same = `SELECT id::text FROM clarus.leases WHERE id = $1::bigint AND sealed = pg_catalog.decode($2, 'hex')`;
const list = `SELECT id::text, pg_catalog.encode(sealed, 'hex') FROM clarus.leases ORDER BY id`;
const remove = 'DELETE FROM clarus.leases WHERE id = ANY ($1::bigint[])';
const create = [
  'CREATE SCHEMA IF NOT EXISTS clarus',
  'CREATE TABLE IF NOT EXISTS clarus.leases (id bigint PRIMARY KEY, sealed bytea NOT NULL)',
];

/** The witness in a PostgreSQL cloud: table `clarus.leases`, made at the first record. */
export function cloudWitness(query: WitnessQuery): LeaseWitness {
  return {
    async record(id, sealed) {
      const parameters = [String(id), Buffer.from(sealed).toString('hex')];
      const rows = await withTable(query, () => query(insert, parameters));
      // A retry after a lost connection finds its own record; the sealed bytes are random, so equal means own.
      const taken = rows[0]?.[1] === '1' || (await query(same, parameters)).length === 1;
      if (!taken) throw putBack();
      // The snapshot of the statement does not hold its own row.
      return Math.max(id, Number(rows[0]?.[0] ?? 0));
    },
    async all() {
      try {
        const rows = await query(list, []);
        return rows.map(([id, sealed]) => ({ id: Number(id), sealed: Buffer.from(sealed ?? '', 'hex') }));
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },
    async forget(ids) {
      if (ids.length > 0) await query(remove, [`{${ids.join(',')}}`]);
    },
  };
}

/** What a lease meets when the trusted database was put back, or copied, under a running Clarus. */
export const putBack = (): ClarusError =>
  new ClarusError(
    '55000',
    'the cloud knows a later state of the trusted database than the trusted database',
    {
      severity: 'FATAL',
      detail: 'The trusted database was put back to an earlier state, or a copy of it is in use.',
      hint: 'Stop every Clarus but one and start that again: it then opens new key epochs and goes on.',
    },
  );

async function withTable<T>(query: WitnessQuery, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  for (const sql of create)
    await query(sql, []).catch((error: unknown) => {
      // IF NOT EXISTS does not see what another connection is making at this moment.
      if (!isThere.has(codeOf(error))) throw error;
    });
  return work();
}

/** unique_violation of the catalogue, duplicate_schema, duplicate_table, duplicate_object (its row type) */
const isThere: ReadonlySet<unknown> = new Set(['23505', '42P06', '42P07', '42710']);

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

/** undefined_table or invalid_schema_name */
const isMissing = (error: unknown): boolean => codeOf(error) === '42P01' || codeOf(error) === '3F000';
