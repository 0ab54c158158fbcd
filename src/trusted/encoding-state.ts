/**
 * State that encodings keep on the trusted side. A session's changes are its own until its transaction commits:
 * they stand in the journal's redo, and are applied with it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientBase, Pool } from 'pg';
import type { EncodedColumn, EncodingState } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';

/** How long a look waits for a commit under way, and how often it looks again. */
const wait_ms_max = 15_000;
const poll_ms = 5;

/** A change of state as JSON. */
export interface EncodingStateChange {
  readonly table: number;
  readonly column: number;
  readonly generation: number;
  readonly key: string;
  /** base64; null takes the entry away */
  readonly value: string | null;
}

/** The state as one session sees it: what is committed, and its own changes above. */
export class SessionEncodingState implements EncodingState {
  readonly #state: Pool;
  /** in the order in which they were made */
  #changes: EncodingStateChange[] = [];

  /** @param state the state database */
  constructor(state: Pool) {
    this.#state = state;
  }

  async get(column: EncodedColumn, key: string): Promise<Uint8Array | undefined> {
    const own = this.#changes.findLast(
      change =>
        change.key === key &&
        change.generation === column.generation &&
        change.table === column.table &&
        change.column === column.column,
    );
    if (own !== undefined) return own.value === null ? undefined : decode(own.value);
    // A row that was read may be of a commit that the cloud has made and the state database has not yet.
    for (const deadline_ms = performance.now() + wait_ms_max; ; await sleep(poll_ms)) {
      const { value, pending } = await this.#committed(column, key);
      if (!pending) return value === null ? undefined : Uint8Array.from(value);
      if (performance.now() > deadline_ms)
        throw new ClarusError('55P03', `a commit that changes what protects "${column.name}" has not ended`, {
          hint: 'Try again; if it goes on, a worker has died in the middle of a commit: start Clarus again.',
        });
    }
  }

  async #committed(
    { table, column, generation }: EncodedColumn,
    key: string,
  ): Promise<{ readonly value: Buffer | null; readonly pending: boolean }> {
    const { rows } = await this.#state.query<{ value: Buffer | null; pending: boolean }>(
      `SELECT (SELECT value FROM clarus.encoding_state
          WHERE table_number = $1 AND column_number = $2 AND generation = $3 AND key = $4) AS value,
        EXISTS (SELECT FROM clarus.journal WHERE (redo -> 'state')::jsonb @> $5) AS pending`,
      [table, column, generation, key, JSON.stringify([{ table, column, generation, key }])],
    );
    return rows[0]!;
  }

  async put(column: EncodedColumn, key: string, value: Uint8Array | undefined): Promise<void> {
    const { table, column: number, generation } = column;
    const text = value === undefined ? null : Buffer.from(value).toString('base64');
    this.#changes.push({ table, column: number, generation, key, value: text });
  }

  /** A point to roll back to: where a savepoint stands, or 0 for the whole transaction. */
  mark(): number {
    return this.#changes.length;
  }

  /** Forgets the changes made after `mark`. */
  rollBackTo(mark: number): void {
    this.#changes.length = Math.min(mark, this.#changes.length);
  }

  /** What a commit has to apply: the last change of each entry. */
  changes(): readonly EncodingStateChange[] {
    const last = new Map<string, EncodingStateChange>();
    for (const change of this.#changes)
      last.set(JSON.stringify([change.table, change.column, change.generation, change.key]), change);
    return [...last.values()];
  }

  /** The transaction is over. */
  clear(): void {
    this.#changes = [];
  }
}

/** Applies changes, in the transaction that also finishes their journal entry. */
export async function applyEncodingState(
  client: ClientBase,
  changes: readonly EncodingStateChange[],
): Promise<void> {
  for (const { table, column, generation, key, value } of changes)
    if (value === null)
      await client.query(
        `DELETE FROM clarus.encoding_state
          WHERE table_number = $1 AND column_number = $2 AND generation = $3 AND key = $4`,
        [table, column, generation, key],
      );
    else
      await client.query(
        `INSERT INTO clarus.encoding_state (table_number, column_number, generation, key, value)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (table_number, column_number, generation, key) DO UPDATE SET value = excluded.value`,
        [table, column, generation, key, Buffer.from(value, 'base64')],
      );
}

const decode = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
