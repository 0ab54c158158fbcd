/**
 * The journal of commits that change trusted state: written durably before the cloud commits, removed in the
 * transaction that applies the change, and read by recovery in between.
 */
import type { ClientBase, Pool } from 'pg';

/** A commit under way. */
export interface JournalEntry<Redo = unknown> {
  readonly id: number;
  readonly cloud: string;
  /** `pg_current_xact_id()` of the cloud's transaction */
  readonly cloudXid: string;
  /** the same of the shadow's, where it takes part */
  readonly shadowXid: string | undefined;
  /** JSON: what to apply once the cloud has committed */
  readonly redo: Redo;
  /** the worker that wrote it */
  readonly proxy: string;
  readonly createdAt: Date;
}

/** The journal as a table of the state database: `clarus.journal`. */
export interface Journal<Redo = unknown> {
  /** Writes an entry; durable when it returns. @returns its number */
  write(entry: Omit<JournalEntry<Redo>, 'id' | 'createdAt'>): Promise<number>;
  /** entries whose commits are not known to be applied, oldest first */
  pending(cloud: string): Promise<readonly JournalEntry<Redo>[]>;
  /**
   * Removes an entry in the caller's transaction, the one that applies it.
   * @returns false when another process has applied it meanwhile: the caller must not apply it again
   */
  finish(id: number, client: ClientBase): Promise<boolean>;
  /** Removes an entry whose transaction did not commit in the cloud. */
  abandon(id: number): Promise<void>;
}

interface Row {
  readonly id: string;
  readonly cloud: string;
  readonly cloud_xid: string;
  readonly shadow_xid: string | null;
  readonly redo: unknown;
  readonly proxy: string;
  readonly created_at: Date;
}

/** @param state the state database */
export function openJournal<Redo>(state: Pool): Journal<Redo> {
  return {
    async write({ cloud, cloudXid, shadowXid, redo, proxy }) {
      const { rows } = await state.query<{ id: string }>(
        'INSERT INTO clarus.journal (cloud, cloud_xid, shadow_xid, redo, proxy) VALUES ($1, $2, $3, $4, $5) RETURNING id',
        [cloud, cloudXid, shadowXid ?? null, JSON.stringify(redo), proxy],
      );
      return Number(rows[0]!.id);
    },
    async pending(cloud) {
      const { rows } = await state.query<Row>('SELECT * FROM clarus.journal WHERE cloud = $1 ORDER BY id', [
        cloud,
      ]);
      return rows.map(row => ({
        id: Number(row.id),
        cloud: row.cloud,
        cloudXid: row.cloud_xid,
        shadowXid: row.shadow_xid ?? undefined,
        redo: row.redo as Redo,
        proxy: row.proxy,
        createdAt: row.created_at,
      }));
    },
    async finish(id, client) {
      const { rowCount } = await client.query('DELETE FROM clarus.journal WHERE id = $1', [id]);
      return rowCount === 1;
    },
    async abandon(id) {
      await state.query('DELETE FROM clarus.journal WHERE id = $1', [id]);
    },
  };
}
