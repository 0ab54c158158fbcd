import type { CatalogChange, Redo } from '../catalog/catalog.js';
import type { SessionSettings } from '../sql/ports.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import type { Cursors } from './cursors.js';
import { readingSettings } from './settings.js';
import type { TemporaryObjects } from './temporary-objects.js';

/** Something that a commit has to make durable on the trusted side. */
interface Recorded {
  readonly ddl: string | undefined;
  /** by which it was read */
  readonly settings: SessionSettings;
  readonly role: string | undefined;
  readonly changes: readonly CatalogChange[];
}

interface Savepoint {
  readonly name: string;
  readonly sql: string;
  /** how much was recorded, and set, when it was made */
  readonly records: number;
  readonly settings: number;
  readonly state: number;
  readonly cursors: number;
  /** number of portals that the client had bound */
  readonly portals: number;
}

/**
 * What a session knows of its transaction beside what the cloud knows: how to put the trusted backend into it,
 * and what its commit carries. The cloud's own state is the truth; this follows it.
 */
export class Transaction {
  /** inside BEGIN ... COMMIT, as far as statements were sent */
  explicit = false;
  /** a statement that begins, ends or marks a transaction was sent since the last Sync */
  controlled = false;
  /** a transaction block that we opened around the client's implicit transaction */
  internal = false;
  /** the trusted backend takes part */
  joined = false;
  /** the cloud has been made to take the snapshot that a statement executed elsewhere would have taken */
  snapshot = false;
  /** number of the batch in whose implicit transaction a query was executed that the cloud did not see */
  queriedIn = -1;
  /** another one for each transaction */
  number = 0;
  #beginSql: string | undefined;
  #savepoints: Savepoint[] = [];
  #records: Recorded[] = [];
  #revision = 0;
  /** settings of this transaction that the trusted backend has not got */
  #settings: string[] = [];
  /** changes of encodings' state; undefined: none are made */
  readonly #state: SessionEncodingState | undefined;
  /** cursors that end with it */
  readonly #cursors: Cursors | undefined;
  readonly #temporary: TemporaryObjects | undefined;

  constructor(state?: SessionEncodingState, cursors?: Cursors, temporary?: TemporaryObjects) {
    this.#state = state;
    this.#cursors = cursors;
    this.#temporary = temporary;
  }

  /** The server is in a transaction block. */
  get block(): boolean {
    return this.explicit || this.internal;
  }

  /** A commit has something to make durable on the trusted side. */
  get recorded(): boolean {
    return this.changesSchema || this.#stateMark > 0;
  }

  /** DDL was run, or the catalogue is to change. */
  get changesSchema(): boolean {
    return this.#records.length > 0;
  }

  /** Another one for each state of what this transaction has changed. */
  get revision(): number {
    return this.#revision;
  }

  /** Changes of this transaction to the catalogue, in order. */
  get changes(): readonly CatalogChange[] {
    return this.#records.flatMap(record => record.changes);
  }

  /** ROLLBACK TO may bring it back when it has failed. */
  get hasSavepoints(): boolean {
    return this.#savepoints.length > 0;
  }

  get settings(): readonly string[] {
    return this.#settings;
  }

  /** @param sql BEGIN as the client wrote it: its modes are repeated on the trusted side */
  begin(sql: string): void {
    this.explicit = true;
    this.internal = false;
    this.#beginSql ??= sql;
  }

  /** @param portals number of portals that the client had bound when it was sent */
  savepoint(name: string, sql: string, portals: number): void {
    this.#savepoints.push({
      name,
      sql,
      records: this.#records.length,
      settings: this.#settings.length,
      state: this.#stateMark,
      cursors: this.#cursors?.mark() ?? 0,
      portals,
    });
  }

  /** Number of portals that the client had bound at a savepoint; undefined: there is none of that name. */
  portalsAt(savepoint: string): number | undefined {
    return this.#savepoints[this.#find(savepoint)]?.portals;
  }

  release(name: string): void {
    const at = this.#find(name);
    if (at >= 0) this.#savepoints.length = at;
  }

  rollbackTo(name: string): void {
    const at = this.#find(name);
    if (at < 0) return;
    this.#savepoints.length = at + 1;
    const { records, settings, state, cursors } = this.#savepoints[at]!;
    if (this.#records.length > records) this.#revision++;
    this.#records.length = records;
    this.#settings.length = Math.min(this.#settings.length, settings);
    this.#state?.rollBackTo(state);
    this.#cursors?.rollBackTo(cursors);
    this.#temporary?.ended();
  }

  /** @param chain a new transaction with the same modes has begun */
  end(chain: boolean): void {
    this.number++;
    this.explicit = chain;
    this.internal = false;
    this.joined = false;
    this.snapshot = false;
    if (!chain) this.#beginSql = undefined;
    this.#savepoints = [];
    this.#records = [];
    this.#settings = [];
    this.#state?.clear();
    this.#cursors?.end();
    this.#temporary?.ended();
  }

  /** @param role of the application that the session acts as */
  record(
    ddl: string | undefined,
    changes: readonly CatalogChange[],
    settings: SessionSettings,
    role?: string,
  ): void {
    this.#revision++;
    this.#records.push({ ddl, changes, settings, role });
  }

  set(sql: string): void {
    this.#settings.push(sql);
  }

  /** What puts the trusted backend where the cloud's is: BEGIN, then settings and savepoints in their order. */
  joinSql(): string[] {
    const sql = [this.#beginSql ?? 'BEGIN'];
    let set = 0;
    for (const savepoint of this.#savepoints) {
      sql.push(...this.#settings.slice(set, savepoint.settings), savepoint.sql);
      set = Math.max(set, savepoint.settings);
    }
    sql.push(...this.#settings.slice(set));
    return sql;
  }

  /** What a client has said in its block may have made it read only. */
  get speaksOfReadOnly(): boolean {
    return this.explicit && this.joinSql().some(sql => /\bread\s+only\b|read_only/i.test(sql));
  }

  redo(user: string): Redo {
    return {
      ddl: this.#records
        .filter(record => record.ddl !== undefined)
        .map(({ ddl, settings, role }) => ({
          user,
          ...(role === undefined ? {} : { role }),
          searchPath: settings.searchPath,
          sql: ddl!,
          settings: readingSettings(settings),
        })),
      changes: this.changes,
      ...(this.#stateMark > 0 ? { state: this.#state!.changes() } : {}),
    };
  }

  get #stateMark(): number {
    return this.#state?.mark() ?? 0;
  }

  #find(name: string): number {
    return this.#savepoints.findLastIndex(savepoint => savepoint.name === name);
  }
}
