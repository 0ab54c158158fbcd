/**
 * Sets values aside in blocks: durably in the trusted database, then recorded in the cloud, and only then used.
 * A crash burns what is left of a block; gaps are legal, and nothing is given twice.
 */
import { randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { ClarusError } from '../errors.js';
import { type Lease, sealLease } from './lease-record.js';
import { sqlState } from './server.js';
import { type LeaseWitness, putBack } from './witness.js';

/** Seals that one key may make: nonces are random (NIST SP 800-38D section 8.3). */
export const seals_max = 2 ** 32;
const salt_bytes = 16;

/** Name of a lease of row ids in `clarus.leases`. */
export const rowLeaseName = (table: number): string => `rows/${table}`;
/** Name of a lease of counter values in `clarus.leases` and `clarus.lease_salts`. */
export const counterLeaseName = (table: number, column: number, counter: string): string =>
  `counter/${table}/${column}/${counter}`;

// Each statement takes the row of the installation first: leases get numbers without gaps, in the order in which
// they are committed, and cannot deadlock.
const numbered = 'i AS (UPDATE clarus.installation SET lease_last = lease_last + 1 RETURNING lease_last)';
const moved = `l AS (INSERT INTO clarus.leases AS l (name, next) SELECT $1, $2::bigint + 1 FROM i
  ON CONFLICT (name) DO UPDATE SET next = l.next + $2::bigint RETURNING next)`;
const salted =
  's AS (INSERT INTO clarus.lease_salts (name, first, until, salt) SELECT $1, next - $2::bigint, next, $3 FROM l)';
const reserveRange = `WITH ${numbered}, ${moved} SELECT lease_last AS id, next AS until FROM i, l`;
const reserveSalted = `WITH ${numbered}, ${moved}, ${salted} SELECT lease_last AS id, next AS until FROM i, l`;
const reserveSeals = `WITH ${numbered},
e AS (INSERT INTO clarus.epochs AS e (table_number, column_number, epoch, reserved) SELECT $1, $2, 1, $3 FROM i
  ON CONFLICT (table_number, column_number) DO UPDATE SET
    epoch = e.epoch + (e.reserved + $3::bigint > ${seals_max})::int,
    reserved = CASE WHEN e.reserved + $3::bigint > ${seals_max} THEN $3::bigint ELSE e.reserved + $3::bigint END
  RETURNING epoch, reserved)
SELECT lease_last AS id, epoch, reserved AS until FROM i, e`;

/** Leases of this process. After a failure that leaves the record in doubt every further lease is refused. */
export class LeaseBook {
  readonly #state: Pool;
  readonly #key: Uint8Array;
  readonly #witness: LeaseWitness;
  #broken: ClarusError | undefined;

  /** @param key of the records (`leaseKey`) */
  constructor(state: Pool, key: Uint8Array, witness: LeaseWitness) {
    this.#state = state;
    this.#key = key;
    this.#witness = witness;
  }

  /** Sets row ids aside. */
  async rows(table: number, count: number): Promise<{ readonly first: number; readonly until: number }> {
    const { id, until } = await this.#reserve(reserveRange, [rowLeaseName(table), count]);
    const first = until - count;
    await this.#recorded(id, { kind: 'rows', table, first, until });
    return { first, until };
  }

  /** Sets values of a counter aside, under a salt of their own. */
  async counter(
    table: number,
    column: number,
    counter: string,
    count: number,
  ): Promise<{ readonly first: number; readonly until: number; readonly salt: Uint8Array }> {
    const salt = new Uint8Array(randomBytes(salt_bytes));
    const name = counterLeaseName(table, column, counter);
    const { id, until } = await this.#reserve(reserveSalted, [name, count, Buffer.from(salt)]);
    const first = until - count;
    await this.#recorded(id, { kind: 'counter', table, column, counter, first, until, salt });
    return { first, until, salt };
  }

  /**
   * Sets seals aside; opens the next epoch where the key of this one would make too many.
   * @throws ClarusError 54000 when the column has used all epochs
   */
  async seals(table: number, column: number, count: number): Promise<{ readonly epoch: number }> {
    const { id, until, epoch } = await this.#reserve(reserveSeals, [table, column, count]);
    await this.#recorded(id, { kind: 'seals', table, column, epoch, until });
    return { epoch };
  }

  async #reserve(
    sql: string,
    values: readonly unknown[],
  ): Promise<{ readonly id: number; readonly until: number; readonly epoch: number }> {
    if (this.#broken !== undefined) throw this.#broken;
    try {
      const { rows } = await this.#state.query<{ id: string; until: string; epoch?: number }>(sql, [
        ...values,
      ]);
      const { id, until, epoch = 0 } = rows[0]!;
      return { id: Number(id), until: Number(until), epoch };
    } catch (error) {
      if (sqlState(error) === '23514')
        throw new ClarusError('54000', 'all numbers of this kind are used up', {
          hint: 'Copy the table to a new one, which begins anew.',
        });
      throw error;
    }
  }

  async #recorded(id: number, lease: Lease): Promise<void> {
    try {
      const highest = await this.#witness.record(id, sealLease(this.#key, id, lease));
      // Another process may be ahead of us, but none is ahead of the trusted database.
      if (highest > id && highest > (await this.#last())) throw putBack();
    } catch (error) {
      if (error instanceof ClarusError && error.code === '55000') this.#broken = error;
      throw error;
    }
  }

  async #last(): Promise<number> {
    const { rows } = await this.#state.query<{ last: string }>(
      'SELECT lease_last AS last FROM clarus.installation',
    );
    return Number(rows[0]!.last);
  }
}
