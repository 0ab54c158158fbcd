/**
 * What DDL of any session is about to change. A statement on such a table waits, as it would in PostgreSQL for the lock
 * of an ALTER TABLE, and is planned by what that leaves. DDL, on its side, asks for its locks when the writes that were
 * planned before have theirs: a write by an old plan would leave out the default of a new column, or a new check.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogicalTable } from '../catalog/catalog.js';
import { quoteQualified } from '../catalog/quote.js';
import { ClarusError } from '../errors.js';
import { pausing } from './pausing.js';
import type { SessionPort } from './ports.js';
import { kindOf, type RawNode, visit } from './raw/node.js';
import { readerOn } from './reading.js';

/** How long another worker's word holds that has not been said again. */
const HEARD_MS = 5_000;
/** How often a worker says again what its sessions change. */
const SAID_AGAIN_MS = 2_000;
/** So many names fit into one announcement, however long they are. */
const NAMES_MAX = 20;
/** How long DDL waits for writes that are on their way, before it looks whether it may be waited for itself. */
const TURN_MS = 500;
/** How long DDL waits for writes while others wait for what its transaction has locked: no server would see a deadlock. */
const DEADLOCK_MS = 5_000;

/** Tables by `schema.table`. */
type Names = ReadonlySet<string>;

/** What a worker tells of the tables that its sessions change. */
export interface Announcement {
  readonly tables: readonly string[];
  /** their locks are going to be asked for; false: they are had */
  readonly asking: boolean;
  /** reads go on: what is changed is what writes do (a trigger) */
  readonly forWrites: boolean;
}

/**
 * Tells the other workers, of this proxy and of others, of at most `NAMES_MAX` tables. Resolves when the writes there have
 * ended that were planned before; to false when they have not after a time.
 */
export type Announce = (announcement: Announcement, timeout_ms: number) => Promise<boolean>;

/** A session's transaction is known by this object, whoever wraps the session. */
type Owner = SessionPort['transaction'];

/** Statements that lock what they name less than DDL does. */
const USES = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt', 'CopyStmt']);

/** Tables of a transaction. */
interface Share {
  readonly tables: Names;
  readonly owner: Owner;
  readonly transaction: number;
}

/** What is changed somewhere. */
interface Change {
  readonly tables: Names;
  /** undefined: in another worker */
  readonly owner: Owner | undefined;
  /** counts changes as they begin */
  readonly sequence: number;
  /** the cloud does not show the lock yet */
  asking: boolean;
  readonly forWrites: boolean;
  readonly isOver: () => boolean;
}

/** The tables that DDL changes at the moment, as one worker knows them. */
export class ChangingTables {
  #changes: Change[] = [];
  #begun = 0;
  /** up to which change a session has seen that nothing is locked against its reads, or its writes */
  readonly #seen = { reads: new WeakMap<Owner, number>(), writes: new WeakMap<Owner, number>() };
  /** what transactions of this worker have locked, so that DDL waits for them */
  readonly #held = new WeakMap<Owner, Share>();
  /** statements that are not answered yet */
  readonly #sent = new Set<{ readonly tables: readonly string[]; readonly owner: Owner }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly announce: Announce) {}

  /** Something may be changing. */
  get any(): boolean {
    return this.#changes.length > 0;
  }

  /**
   * DDL of a session is about to lock tables. Resolves when it may: writes that were planned before have ended, which wait
   * in PostgreSQL for nobody, because they lock their tables first.
   * @param forWrites reads need not wait
   * @returns what to call when it has the locks, or has failed
   * @throws ClarusError 40P01, 55P03, 57014
   */
  async begin(
    session: SessionPort,
    tables: Iterable<LogicalTable>,
    { forWrites = false } = {},
  ): Promise<() => void> {
    const all = [...tables];
    const { transaction: owner } = session;
    const names = new Set(all.map(({ schema, name }) => `${schema}.${name}`));
    const isKnown = this.#current().some(
      change =>
        change.owner === owner &&
        (forWrites || !change.forWrites) &&
        [...names].every(name => change.tables.has(name)),
    );
    if (names.size === 0 || (isKnown && (await holdsAll(session, all)))) return () => undefined;
    const { number } = owner;
    const change = this.#add({
      tables: names,
      owner,
      asking: true,
      forWrites,
      isOver: () => owner.number !== number,
    });
    this.#timer ??= setInterval(() => this.#sayAgain(), SAID_AGAIN_MS).unref();
    const asked = (): void => {
      change.asking = false;
      this.#say(change, 0).catch(() => undefined);
    };
    try {
      await this.#awaitWrites(change, session);
    } catch (error) {
      asked();
      throw error;
    }
    return asked;
  }

  async #awaitWrites(change: Change, session: SessionPort): Promise<void> {
    const pause = pausing(session);
    for (const began_ms = performance.now(); ; ) {
      const [here, elsewhere] = await Promise.all([
        this.#written(change.tables, session.transaction, TURN_MS),
        this.#say(change, TURN_MS),
      ]);
      if (here && elsewhere) return;
      if (performance.now() - began_ms > DEADLOCK_MS && (await holdsUpOthers(session)))
        throw new ClarusError('40P01', 'deadlock detected', {
          detail: 'Writes to the table do not end while other sessions wait for this transaction.',
          hint: 'Try again.',
        });
      await pause(2);
    }
  }

  /**
   * Another worker tells of what its sessions change.
   * @returns whether the writes that were planned before have ended; false: some have not after a while
   */
  async hear({ tables, asking, forWrites }: Announcement): Promise<boolean> {
    const names = new Set(tables);
    for (const change of this.#changes)
      if (change.owner === undefined && tables.every(name => change.tables.has(name))) change.asking = false;
    const until_ms = performance.now() + HEARD_MS;
    this.#add({
      tables: names,
      owner: undefined,
      asking,
      forWrites,
      isOver: () => performance.now() > until_ms,
    });
    return !asking || (await this.#written(names, undefined, TURN_MS));
  }

  /**
   * @param writes the tables are to be written
   * @returns those of `tables` that another session changes
   */
  among(tables: readonly string[], session: SessionPort, writes: boolean): readonly string[] {
    const changing = this.#ofOthers(session, writes);
    return tables.filter(name => changing.has(name));
  }

  /**
   * @param node a statement that is not analysed yet; a name without a schema may be of any
   * @returns tables that another session changes and that a query or a write names
   */
  namedIn(node: RawNode, session: SessionPort): readonly string[] {
    if (!USES.has(kindOf(node))) return [];
    const changing = [...this.#ofOthers(session, !onlyReads(node))];
    const found = new Set<string>();
    visit([node], (_kind, { relname, schemaname }) => {
      if (typeof relname !== 'string') return;
      const end = `${schemaname ?? ''}.${relname}`;
      for (const name of changing) if (schemaname ? name === end : name.endsWith(end)) found.add(name);
    });
    return [...found];
  }

  /**
   * A statement is about to be sent that would do something else after a change.
   * @returns what to call when it is answered
   * @throws ClarusError 40001 where its plan is of before a change that has begun
   */
  sending(tables: readonly string[], session: SessionPort, writes: boolean): () => void {
    if (this.any && this.among(tables, session, writes).length > 0)
      throw new ClarusError('40001', 'could not serialize access due to concurrent update', {
        hint: 'Another session changes the table: try again.',
      });
    const sent = { tables, owner: session.transaction };
    this.#sent.add(sent);
    return () => this.#sent.delete(sent);
  }

  /**
   * Waits until no DDL has locked the tables, or waits for their locks. Inside a transaction by a lock in the cloud,
   * which sees deadlocks; outside by looking, asleep in the cloud, as long as the session's timeouts allow.
   * @param tables `schema.table`
   * @param writes they are to be written
   * @throws PostgresError 40P01, 42P01; ClarusError 55P03, 57014
   */
  async wait(tables: readonly string[], session: SessionPort, writes: boolean): Promise<void> {
    const wanted = new Set(tables);
    const names = [...session.catalog().tables.values()].flatMap(({ schema, name, physical }) =>
      wanted.has(`${schema}.${name}`) ? [quoteQualified(physical.schema, physical.name)] : [],
    );
    if (names.length === 0) return;
    const { transaction: owner } = session;
    if (owner.block) {
      const mode = writes ? 'ROW EXCLUSIVE' : 'ACCESS SHARE';
      await session.cloud.run(`LOCK TABLE ${names.join(', ')} IN ${mode} MODE`);
      const all = new Set([...this.#heldBy(owner), ...tables]);
      this.#held.set(owner, { tables: all, owner, transaction: owner.number });
      return;
    }
    const pause = pausing(session);
    const cloud = readerOn(session.cloud);
    for (let wait_ms = 2; ; wait_ms = Math.min(wait_ms * 2, 100)) {
      const begun = this.#begun;
      const isAsked = this.#current().some(
        change =>
          change.asking &&
          change.owner !== owner &&
          (writes || !change.forWrites) &&
          tables.some(name => change.tables.has(name)),
      );
      if (!isAsked) {
        const [row] = await cloud(lockedTable, [JSON.stringify(names), String(writes)]);
        if (row?.[0] !== 't') {
          this.#seen.reads.set(owner, begun);
          if (writes) this.#seen.writes.set(owner, begun);
          return;
        }
      }
      await pause(wait_ms);
    }
  }

  #ofOthers({ transaction: owner }: SessionPort, writes: boolean): Names {
    const held = this.#heldBy(owner);
    const seen = this.#seen[writes ? 'writes' : 'reads'].get(owner) ?? 0;
    const others = this.#current().filter(
      change =>
        change.owner !== owner && (writes || !change.forWrites) && (change.asking || change.sequence > seen),
    );
    return new Set(others.flatMap(({ tables }) => [...tables]).filter(name => !held.has(name)));
  }

  /** Tables for which DDL waits for a session: what its transaction has locked, and what it is writing. */
  #heldBy(owner: Owner): Names {
    const share = this.#held.get(owner);
    const written = [...this.#sent].flatMap(write => (write.owner === owner ? write.tables : []));
    return new Set([...(share?.transaction === owner.number ? share.tables : []), ...written]);
  }

  #add(change: Omit<Change, 'sequence'>): Change {
    const added = { ...change, sequence: ++this.#begun };
    this.#changes.push(added);
    return added;
  }

  #current(): readonly Change[] {
    if (this.#changes.some(({ isOver }) => isOver()))
      this.#changes = this.#changes.filter(({ isOver }) => !isOver());
    if (this.#timer && !this.#changes.some(({ owner }) => owner)) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    return this.#changes;
  }

  /** @returns false: some writes have not ended after a time */
  async #written(tables: Names, owner: Owner | undefined, timeout_ms: number): Promise<boolean> {
    const before = [...this.#sent].filter(
      write => write.owner !== owner && write.tables.some(name => tables.has(name)),
    );
    for (const late_ms = performance.now() + timeout_ms; performance.now() < late_ms; await sleep(2))
      if (!before.some(write => this.#sent.has(write))) return true;
    return false;
  }

  #sayAgain(): void {
    for (const change of this.#current()) if (change.owner) this.#say(change, 0).catch(() => undefined);
  }

  async #say(
    { tables, asking, forWrites }: Pick<Change, 'tables' | 'asking' | 'forWrites'>,
    timeout_ms: number,
  ): Promise<boolean> {
    const names = [...tables];
    let all = true;
    for (let at = 0; at < names.length; at += NAMES_MAX)
      all =
        (await this.announce({ tables: names.slice(at, at + NAMES_MAX), asking, forWrites }, timeout_ms)) &&
        all;
    return all;
  }
}

/** Does a statement that is not analysed yet only read, as far as its kind says? */
export const onlyReads = ({ SelectStmt, CopyStmt }: RawNode): boolean =>
  SelectStmt !== undefined || (CopyStmt !== undefined && CopyStmt.is_from !== true);

/** Does the session hold the locks of its DDL? What a savepoint took back it does not. */
async function holdsAll({ cloud }: SessionPort, tables: readonly LogicalTable[]): Promise<boolean> {
  const names = tables.map(({ physical }) => quoteQualified(physical.schema, physical.name));
  const [row] = await readerOn(cloud)(heldTables, [JSON.stringify(names)]);
  return row?.[0] === 't';
}

/** Does a session of the cloud wait for what the session's transaction has locked? */
async function holdsUpOthers({ cloud }: SessionPort): Promise<boolean> {
  const [row] = await readerOn(cloud)(waitingForUs, []);
  return row?.[0] === 't';
}

const waitingForUs = `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
  WHERE NOT granted AND pg_catalog.pg_backend_pid() = ANY (pg_catalog.pg_blocking_pids(pid)))`;

const heldTables = `SELECT pg_catalog.bool_and(EXISTS (SELECT FROM pg_catalog.pg_locks WHERE relation = pg_catalog.to_regclass(t.name)
  AND locktype = 'relation' AND mode IN ('AccessExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock') AND granted AND pid = pg_catalog.pg_backend_pid()
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())))
  FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS t(name)`;

/** A name that is none any more is of nothing that is locked. */
const lockedTable = `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks JOIN pg_catalog.json_array_elements_text($1::pg_catalog.json) AS t(name)
  ON relation = pg_catalog.to_regclass(t.name) WHERE locktype = 'relation'
  AND (mode = 'AccessExclusiveLock' OR mode IN ('ShareRowExclusiveLock', 'ShareLock') AND $2::pg_catalog.bool)
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))`;
