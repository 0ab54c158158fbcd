/**
 * The key store: makes and wraps the keys of tables and domains, and gives encodings what they seal with. All
 * counting goes through leases; while a block has room nothing here does I/O.
 */
import { randomBytes } from 'node:crypto';
import type { ClientBase, Pool } from 'pg';
import { KEY_BYTES, wrapKey } from '../crypto/keys.js';
import type { EncodedColumn, EncodingKeys } from '../encodings/encoding.js';
import { ClarusError } from '../errors.js';
import { Block, type BlockSize } from './block.js';
import { type KeyKind, KeyRing } from './key-ring.js';
import { counterLeaseName, type LeaseBook, seals_max } from './lease-book.js';
import { mustUnwrap } from './root-key.js';

/** Numbers for the catalogue, never given twice; gaps are legal. */
export interface Numbers {
  /** a table's number, with its key made */
  table(): Promise<number>;
  /** catalogue-wide counter in physical names */
  generation(): Promise<number>;
  /** the number of a named domain, or of a new one of its own; with its key made */
  domain(name: string | undefined): Promise<number>;
}

const rowBlock: BlockSize = { start: 1_000, growth: 10, max: 1_000_000 };
const sealBlock: BlockSize = { start: 2 ** 20, growth: 1, max: 2 ** 20 };
const counterBlock: BlockSize = { start: 1_000, growth: 10, max: 1_000_000 };
const never = (): boolean => false;
const always = (): boolean => true;

/** The keys of one trusted database in this process, with the blocks of numbers that it has set aside. */
export class KeyStore implements EncodingKeys {
  readonly #state: Pool;
  readonly #rootKey: Uint8Array;
  readonly #leases: LeaseBook;
  readonly #ring = new KeyRing();
  readonly #rows = new Map<number, Block<undefined>>();
  readonly #seals = new Map<number, Block<number>>();
  readonly #counters = new Map<string, Block<Uint8Array>>();

  constructor(state: Pool, rootKey: Uint8Array, leases: LeaseBook) {
    this.#state = state;
    this.#rootKey = Uint8Array.from(rootKey);
    this.#leases = leases;
  }

  /**
   * Reads the keys that other processes made, and forgets those that they destroyed. To be called before a newer
   * catalogue comes into use.
   */
  async refresh(): Promise<void> {
    const { rows } = await this.#state.query<{ kind: KeyKind; number: number; wrapped: Buffer }>(
      'SELECT kind, number, wrapped FROM clarus.keys',
    );
    const there = { table: new Set<number>(), domain: new Set<number>() };
    for (const { kind, number, wrapped } of rows) {
      there[kind].add(number);
      if (!this.#ring.has(kind, number))
        this.#ring.hold(kind, number, mustUnwrap(this.#rootKey, wrapped, `of ${kind} ${number}`));
    }
    for (const kind of ['table', 'domain'] as const)
      for (const number of [...this.#ring.numbers(kind)])
        if (!there[kind].has(number)) this.#ring.drop(kind, number);
  }

  /** Numbers for the catalogue of a cloud. */
  numbers(cloud: string): Numbers {
    return {
      table: () => this.#createTable(),
      generation: async () => {
        const sql = "SELECT nextval('clarus.generations') AS number";
        return Number((await this.#state.query<{ number: string }>(sql)).rows[0]!.number);
      },
      domain: name => this.createDomain(cloud, name),
    };
  }

  /** Makes the key of a table whose number is known; does nothing when it is there. */
  async createTableKey(number: number): Promise<void> {
    if (this.#ring.has('table', number)) return;
    const { rowCount } = await this.#create(
      'table',
      `INSERT INTO clarus.keys (kind, number, wrapped) VALUES ('table', $2, $1)
       ON CONFLICT DO NOTHING RETURNING number`,
      [number],
    );
    if (rowCount === 0) await this.refresh();
  }

  async #createTable(): Promise<number> {
    const { number } = await this.#create(
      'table',
      `INSERT INTO clarus.keys (kind, number, wrapped) VALUES ('table', nextval('clarus.table_numbers'), $1)
       RETURNING number`,
      [],
    );
    return number;
  }

  /**
   * The number of a domain, made with its key where it is new.
   * @param name as the policy calls it; undefined: a new domain of one column
   */
  async createDomain(cloud: string, name: string | undefined): Promise<number> {
    const known = name === undefined ? undefined : await this.#domainNamed(cloud, name);
    if (known !== undefined) return known;
    const { number, rowCount } = await this.#create(
      'domain',
      `WITH d AS (INSERT INTO clarus.domains (number, cloud, name)
         VALUES (nextval('clarus.domain_numbers'), $2, $3) ON CONFLICT DO NOTHING RETURNING number)
       INSERT INTO clarus.keys (kind, number, wrapped) SELECT 'domain', number, $1 FROM d RETURNING number`,
      [cloud, name ?? null],
    );
    if (rowCount === 1) return number;
    // Another session made it at the same moment.
    const made = name === undefined ? undefined : await this.#domainNamed(cloud, name);
    if (made === undefined) throw new ClarusError('XX000', 'a domain was neither made nor found');
    return made;
  }

  async #domainNamed(cloud: string, name: string): Promise<number | undefined> {
    const { rows } = await this.#state.query<{ number: number }>(
      'SELECT number FROM clarus.domains WHERE cloud = $1 AND name = $2',
      [cloud, name],
    );
    const number = rows[0]?.number;
    if (number !== undefined && !this.#ring.has('domain', number)) await this.refresh();
    return number;
  }

  async #create(
    kind: KeyKind,
    sql: string,
    values: readonly unknown[],
  ): Promise<{ readonly number: number; readonly rowCount: number }> {
    const key = new Uint8Array(randomBytes(KEY_BYTES));
    const { rows } = await this.#state.query<{ number: number }>(sql, [
      wrapKey(this.#rootKey, key),
      ...values,
    ]);
    const number = rows[0]?.number;
    if (number === undefined) return { number: 0, rowCount: 0 };
    this.#ring.hold(kind, number, key);
    return { number, rowCount: 1 };
  }

  /**
   * Destroys the key of a dropped table and all that was kept for it, in the caller's transaction. Other
   * processes forget it at their next `refresh`; this one when `forgetTable` is called after the commit.
   */
  async destroyTableKey(number: number, client: ClientBase): Promise<void> {
    await client.query("DELETE FROM clarus.keys WHERE kind = 'table' AND number = $1", [number]);
    await client.query('DELETE FROM clarus.epochs WHERE table_number = $1', [number]);
    await client.query('DELETE FROM clarus.encoding_state WHERE table_number = $1', [number]);
    for (const table of ['leases', 'lease_salts'])
      await client.query(`DELETE FROM clarus.${table} WHERE name = $1 OR starts_with(name, $2)`, [
        `rows/${number}`,
        `counter/${number}/`,
      ]);
  }

  /** Wipes the keys of a table from this process's memory. */
  forgetTable(number: number): void {
    this.#ring.drop('table', number);
    this.#rows.delete(number);
    for (const id of [...this.#seals.keys()]) if (tableOf(id) === number) this.#seals.delete(id);
    for (const name of [...this.#counters.keys()])
      if (name.startsWith(`${number}/`)) this.#counters.delete(name);
  }

  /** Rewrites the files of the keys, so that a destroyed one does not stand there until its place is used again. */
  async expungeDestroyedKeys(): Promise<void> {
    await this.#state.query('VACUUM (FULL) clarus.keys');
  }

  /** @throws ClarusError 54000 for more seals at once than a key may make */
  async sealingEpoch(column: EncodedColumn, count: number): Promise<number> {
    const known = this.#seals.get(columnId(column.table, column.column));
    if (known?.takeNow(count) !== undefined) return known.extra;
    if (count > seals_max) throw new ClarusError('54000', `${count} cells are too many for one statement`);
    return (await this.#sealBlock(column.table, column.column).take(count)).extra;
  }

  /** Leases of seals have no first value, so none continues another. */
  #sealBlock(table: number, column: number): Block<number> {
    return blockOf(this.#seals, columnId(table, column), sealBlock, never, async seals => {
      const { epoch } = await this.#leases.seals(table, column, seals);
      return { first: 0, until: seals, extra: epoch };
    });
  }

  cellKey(column: EncodedColumn, epoch: number): Uint8Array {
    return this.#ring.cellKey(column.table, column.column, epoch);
  }

  domainKey(domain: number, purpose: string): Uint8Array {
    return this.#ring.domainKey(domain, purpose);
  }

  async counters(
    column: EncodedColumn,
    counter: string,
    count: number,
  ): Promise<{ readonly first: number; readonly salt: Uint8Array }> {
    const { table, column: number } = column;
    const name = `${table}/${number}/${counter}`;
    const block = blockOf(this.#counters, name, counterBlock, never, async values => {
      const { first, until, salt } = await this.#leases.counter(table, number, counter, values);
      return { first, until, extra: salt };
    });
    const { first, extra } = await block.take(count);
    return { first, salt: extra };
  }

  /**
   * The salt of the lease that a counter value was given under.
   * @throws ClarusError 55000 when no lease holds it
   */
  async counterSalt(column: EncodedColumn, counter: string, value: number): Promise<Uint8Array> {
    const { rows } = await this.#state.query<{ salt: Buffer }>(
      'SELECT salt FROM clarus.lease_salts WHERE name = $1 AND first <= $2 AND until > $2',
      [counterLeaseName(column.table, column.column, counter), value],
    );
    if (rows[0] === undefined)
      throw new ClarusError('55000', `no lease holds value ${value} of counter "${counter}"`);
    return Uint8Array.from(rows[0].salt);
  }

  /**
   * Row ids for new rows.
   * @param table number of the table
   * @returns the first of `count` ids that follow each other, all below 2^53
   */
  async rowIds(table: number, count: number): Promise<number> {
    return this.rowIdsNow(table, count) ?? (await this.#rowBlock(table).take(count)).first;
  }

  /** As `rowIds` where that needs no I/O, else undefined. */
  rowIdsNow(table: number, count: number): number | undefined {
    return this.#rows.get(table)?.takeNow(count);
  }

  #rowBlock(table: number): Block<undefined> {
    return blockOf(this.#rows, table, rowBlock, always, async ids => ({
      ...(await this.#leases.rows(table, ids)),
      extra: undefined,
    }));
  }

  /** Wipes every key from memory. */
  close(): void {
    this.#ring.clear();
    this.#rootKey.fill(0);
  }
}

/** A table's and a column's number in one: 24 and 16 bits. */
const columnId = (table: number, column: number): number => table * 0x10000 + column;
const tableOf = (id: number): number => Math.floor(id / 0x10000);

function blockOf<Name, Extra>(
  blocks: Map<Name, Block<Extra>>,
  name: Name,
  size: BlockSize,
  continues: (a: Extra, b: Extra) => boolean,
  reserve: (
    count: number,
  ) => Promise<{ readonly first: number; readonly until: number; readonly extra: Extra }>,
): Block<Extra> {
  let block = blocks.get(name);
  if (block === undefined) {
    block = new Block(reserve, continues, size);
    blocks.set(name, block);
  }
  return block;
}
