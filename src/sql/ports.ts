/**
 * The ports of a session: what planning and executors get of it. The gateway makes them (postgres/).
 */
import type { Catalog, CatalogChange, LogicalTable } from '../catalog/catalog.js';
import type { EncodingState } from '../encodings/encoding.js';
import type { ZoneOffsets } from '../wire/codecs/zone.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import type { MessageWriter } from '../wire/message-writer.js';
import type { HiddenNames } from './opaque/names.js';
import type {
  BoundParameters,
  CursorDeclaration,
  PhysicalStatement,
  Plan,
  SettingSides,
  Shape,
} from './plan.js';
import type { RowSource } from './residual.js';

/**
 * Contiguous DataRow messages as they came from a backend. Views into a receive buffer: valid until the
 * sink's promise settles.
 */
export interface DataRows {
  readonly buffer: Buffer;
  /** start of each DataRow's body (at its int16 field count) */
  readonly starts: Uint32Array;
  readonly count: number;
}

/** Takes the rows of one Execute. The backend is paused while a returned promise is pending. */
export interface RowSink {
  rows(rows: DataRows): void | Promise<void>;
}

/** How an Execute ended: CommandComplete with its tag, or PortalSuspended at the limit of rows. */
export type ExecuteOutcome =
  | { readonly kind: 'complete'; readonly tag: string }
  | { readonly kind: 'suspended' };

/** Who hears how an Execute ended: once, while the backend's answer is read. */
export interface OutcomeListener {
  done(outcome: ExecuteOutcome): void;
  failed(error: unknown): void;
}

/** A portal of ours on a backend. */
export interface PortalPort {
  /** Queues Execute; resolves when it completed. Rejects with the backend's error. */
  execute(maxRows: number, sink: RowSink): Promise<ExecuteOutcome>;
  /** Queues Execute; the listener hears what `execute` resolves or rejects with. */
  start(maxRows: number, sink: RowSink, listener: OutcomeListener): void;
  close(): void;
}

/** A COPY ... FROM STDIN running on a backend. */
export interface CopyInPort {
  /** resolves when more may be written */
  write(data: Uint8Array): Promise<void>;
  finish(): Promise<{ readonly tag: string }>;
  fail(reason: string): Promise<void>;
}

/**
 * One backend of the session as executors see it. Everything queues in order and is answered in order, inside
 * the session's transaction; nothing but `flushLast` sends Sync.
 */
export interface StatementPort {
  /** Prepares once a session, binds (parameters and results in the given formats), queues; does not wait. */
  bind(
    statement: PhysicalStatement,
    parameters: readonly (Uint8Array | null)[],
    formats: { readonly parameters: readonly (0 | 1)[]; readonly results: readonly (0 | 1)[] },
    /** client portal whose life it shares; undefined: closed when the execution ends */
    portal?: string,
  ): PortalPort;
  /** bind + execute + gather: all rows as bytes; sends Flush and waits. For small internal steps. */
  gather(
    statement: PhysicalStatement,
    parameters: readonly (Uint8Array | null)[],
    binary: boolean,
  ): Promise<{ readonly rows: readonly (readonly (Uint8Array | null)[])[]; readonly tag: string }>;
  /**
   * Runs SQL without parameters and results (DDL, SET); sends Flush and waits.
   * @param noticed told what the backend notices meanwhile; undefined: nobody is
   */
  run(sql: string, noticed?: (diagnostic: Diagnostic) => void): Promise<string>;
  copyIn(sql: string): Promise<CopyInPort>;
  /** sends what is queued now */
  flush(): void;
  /** The same, with a Sync. Resolves when all of it is answered. @throws what the backend says to the Sync */
  flushLast(): Promise<void>;
}

/** Where the answers of an execution go. Honours backpressure: a returned promise settles when more may come. */
export interface ClientPort {
  /** complete backend messages (DataRow, CopyData ...) in order */
  write(messages: Uint8Array): void | Promise<void>;
  /**
   * For a sink of the cloud's rows while it is given some: where complete messages are written in place, to be
   * followed by `written` in the same turn.
   */
  readonly writer: MessageWriter;
  written(): void | Promise<void>;
  /** @param duringCopy the client has been told that its data may come: nothing of the cloud's is due to it before that */
  notice(
    fields: {
      readonly severity: string;
      readonly code: string;
      readonly message: string;
      readonly detail?: string;
      readonly hint?: string;
      readonly where?: string;
      readonly position?: string;
    },
    duringCopy?: boolean,
  ): void;
}

/** Settings that change how values print or parse, kept in step with the backends' ParameterStatus. */
export interface SessionSettings {
  readonly dateStyle: string;
  readonly intervalStyle: string;
  readonly timeZone: string;
  readonly extraFloatDigits: number;
  /** values are printed as they are, whatever extra_float_digits is on the server (split/exact.ts) */
  readonly exact?: true;
  readonly byteaOutput: string;
  /** how the client's literals are read; all that Clarus keeps and plans is read as with it on */
  readonly standardConformingStrings: boolean;
  /** escape_string_warning: the client hears of backslashes in its literals */
  readonly escapeStringWarning: boolean;
  /** backslash_quote: `\'` may stand in a literal */
  readonly backslashQuote: boolean;
  readonly searchPath: string;
  /** array_nulls: is NULL in the text of an array a null value, or a string */
  readonly arrayNulls: boolean;
  /** values of further settings by which literals and statements are read; compared only */
  readonly literals: string;
  readonly statementTimeout: string;
  /** the least severity that the client hears of */
  readonly clientMinMessages: string;
  /** row_security: a statement that policies would keep rows from is answered, and does not fail */
  readonly rowSecurity: boolean;
}

/** Offsets of time zones by name, as the trusted PostgreSQL knows them. */
export interface ZoneSource {
  /** undefined: not loaded yet */
  known(name: string): ZoneOffsets | undefined;
  load(name: string): Promise<ZoneOffsets>;
}

/** What a statement needs of the backend that runs it, so that policies and functions mean there what they mean to the session. */
export interface RunAs {
  /** the role that the session acts as; undefined: its own */
  readonly role: string | undefined;
  /** names of settings of the session that policies and functions ask for */
  readonly settings: readonly string[];
  /** policies are applied to it */
  readonly secured: boolean;
}

/** What a statement that is finished on the trusted side needs. */
export interface ResidualNeeds {
  /** shadow OIDs of the tables that it reads or writes */
  readonly tables: readonly number[];
  /** it prints or reads values by the session's locale */
  readonly localised: boolean;
  /** what it does goes on in the transaction that it begins */
  readonly writes: boolean;
  /** it meets policies of row level security, or asks for settings; absent: it is run as the session's own role, which meets none */
  readonly as?: RunAs;
}

/** The connection of a session on which statements are finished over rows of a cloud. */
export interface ResidualPort {
  /** abbreviations of time zones are read by the session's zone, as they are printed: since PostgreSQL 18 */
  readonly readsZoneNames: boolean;
  /**
   * Begins a statement: its carriers are there, and its rows will come from one snapshot where that is possible.
   * @throws ClarusError 0A000 inside a transaction that has changed the schema, and for a locale that is not there
   */
  begin(source: RowSource, needs: ResidualNeeds): Promise<Residual>;
  /** the transaction has changed the schema: no carriers are there for its tables */
  readonly changesSchema: boolean;
  /**
   * Makes carriers of tables before the session locks these against it, so that other sessions go on reading. Where
   * there can be none, others find that out.
   * @param tables their OIDs in the shadow
   */
  carry(tables: readonly number[]): Promise<void>;
  /**
   * Begins to read tables one after the other.
   * @param tables their OIDs in the shadow
   */
  reads(
    tables: readonly number[],
  ): Promise<OneSnapshot & Pick<Residual, 'finish' | 'startOver' | 'leavesNothing'>>;
  /**
   * Runs a statement over rows that are given: in a transaction of its own, or, where the session's has changed the
   * schema, in that one.
   * @param work what it queues before it first waits needs no flush
   * @throws ClarusError 0A000 for a locale that is not there; what `work` throws
   */
  given<T>(localised: boolean, work: (port: StatementPort) => Promise<T>): Promise<T>;
  /**
   * Runs what reads no table, in a transaction of its own.
   * @throws ClarusError 0A000 for a locale that is not there; what `work` throws
   */
  alone<T>(localised: boolean, work: (port: StatementPort) => Promise<T>): Promise<T>;
}

/** Cursors of the session whose rows the trusted PostgreSQL keeps. */
export interface CursorPort {
  /**
   * May it be declared here and now?
   * @throws ClarusError or PostgresError 42P03 when the name is taken, 54000
   */
  check(declaration: Pick<CursorDeclaration, 'name' | 'hold'>): Promise<void>;
  /** Its rows are there; from now on it has the life of its transaction. */
  declared(declaration: CursorDeclaration): Promise<void>;
  /** Is it one of those whose rows are kept, or a portal? The cloud knows the others. */
  has(name: string): boolean;
}

/**
 * Temporary objects of the session. They stand on the connection that analyses its statements, and nowhere else: names
 * mean them there before anything else, and they have the life that PostgreSQL gives them.
 */
export interface TemporaryPort {
  /** there may be some */
  readonly exist: boolean;
  /** another text whenever names may mean something else because of them; empty: there were none */
  readonly state: string;
  /** some were made, changed or dropped */
  changed(): void;
}

/** Tells whether rows that several queries of the cloud gave are of one snapshot. */
export interface OneSnapshot {
  /** the transaction is of READ COMMITTED: each query has a snapshot of its own */
  readonly toBeProven: boolean;
  /**
   * Were all rows of one snapshot? Asked when the last query has been bound.
   * @param queries how many were made
   */
  isOneSnapshot(queries: number): Promise<boolean>;
  /**
   * Lets queries be bound, as the first of those that are to be of one snapshot.
   * @param bind binds them and waits for no answer, so that little time passes
   * @returns do they have one snapshot?
   */
  boundInOne(bind: () => Promise<void>): Promise<boolean>;
}

/** A statement that is being finished on the trusted side. */
export interface Residual extends OneSnapshot {
  readonly port: StatementPort;
  /** the transaction may not write */
  readonly readOnly: boolean;
  /** Ends its transaction on the trusted side, by which cursors WITH HOLD get their rows. @throws what that fails with */
  commit(): Promise<void>;
  /** what it has noticed so far */
  readonly notices: readonly Diagnostic[];
  /** what the cloud said to a carrier's query, which postgres_fdw tells in other words */
  readonly failure: unknown;
  /** Ends its transaction on the trusted side. */
  over(): void;
  /** Waits until that has ended: what sequences gave is durable then. */
  settled(): Promise<void>;
  /** Ends the transaction that was begun in the cloud for it: the next statement of the batch has a snapshot of its own. */
  finish(): Promise<void>;
  /**
   * After `over`: makes ready for the statement to begin anew, because rows have changed that it read.
   * @param error what the cloud said to that; undefined: nothing
   * @throws error where the client's transaction keeps its snapshot, as PostgreSQL throws it
   */
  startOver(error?: unknown): Promise<void>;
  /** The transaction in the cloud is the statement's own: what it has written goes when it begins anew. */
  readonly leavesNothing: boolean;
  /** Does something in the cloud of which nothing remains when it fails; the transaction goes on. */
  undoable<T>(work: () => Promise<T>): Promise<T>;
}

/** What the session gives to planning and execution. */
export interface SessionPort {
  /** number of requests to cancel that came so far: what waits between statements looks whether there is one more */
  readonly cancelRequests: number;
  readonly user: string;
  readonly database: string;
  readonly settings: SessionSettings;
  /** the cloud's major version of PostgreSQL; Infinity where it has not said */
  readonly cloudMajor: number;
  readonly cloud: StatementPort;
  /** opened at first use; joins the transaction when `transaction.touchTrusted` was called */
  readonly trusted: StatementPort;
  readonly client: ClientPort;
  /** absent: what no encoding answers is refused */
  readonly residual?: ResidualPort | undefined;
  readonly cursors: CursorPort;
  /** names of the cloud while a statement changes them; absent: they are those of the catalogue */
  readonly naming?: { names: HiddenNames | undefined };
  readonly temporary: TemporaryPort;
  /** `seeded`: the cloud's random numbers follow from what the session said, so that no other side's take their place */
  readonly randomness: { seeded: boolean };
  /** the catalogue as this session sees it: its own uncommitted changes included */
  catalog(): Catalog;
  /**
   * May what is asked of the cloud next be sent with a Sync (`flushLast`), so that nobody has to wait for one later? It may
   * where nothing else is asked of it in the same implicit transaction.
   */
  asksLast(): boolean;
  readonly transaction: {
    /** puts the trusted backend into the session's transaction (all open savepoints included) */
    touchTrusted(): Promise<void>;
    /** remembers what a commit has to make durable on the trusted side; forgotten by rollback (to savepoint) */
    record(ddl: string | undefined, changes: readonly CatalogChange[]): void;
    /**
     * Makes durable what sequences of the trusted side have given, before the cloud stores it.
     * @param sequences their qualified names, as far as they are known
     */
    keepSequences(sequences: readonly string[]): Promise<void>;
    /** puts the cloud into a transaction block, so that what follows commits with what was recorded */
    begin(): Promise<void>;
    /** state of encodings as this transaction sees it; what is put there commits and rolls back with it */
    readonly encodings: EncodingState;
    /** true inside BEGIN ... COMMIT */
    readonly explicit: boolean;
    /** something that was said in this BEGIN ... COMMIT may have made it read only: the cloud knows */
    readonly speaksOfReadOnly: boolean;
    /** another one for each transaction of the session */
    readonly number: number;
    /** role of the application that the session acts as, as long as the transaction stands; undefined: the session's own */
    readonly acting: string | undefined;
    /** role of the application that is the session's user (SET SESSION AUTHORIZATION); undefined: its own */
    readonly authorized: string | undefined;
    /** what the transaction has changed of the catalogue */
    readonly changes: readonly CatalogChange[];
    /** true inside a transaction block, the client's or ours */
    readonly block: boolean;
    /** the cloud has been sent something since the last Sync, or is in a block */
    readonly begun: boolean;
    /** Does something of which nothing remains on either side when it fails; the transaction goes on. */
    subtransaction<T>(work: () => Promise<T>): Promise<T>;
    /** Does something while names are looked up in another search_path, on both sides. @param path as `set_config` takes it */
    inSearchPath<T>(path: string, work: () => Promise<T>): Promise<T>;
    /** SET and RESET of a body, on the sides that may see the setting. @throws PostgresError what the cloud says to that */
    set(sql: string, sides: SettingSides): Promise<string>;
    /** The cloud has been told a setting within a body. @param sql for the trusted side; undefined: it is none of that */
    follow(sql: string | undefined): Promise<void>;
    /**
     * Does something under settings, on the sides that may see them, and puts them back.
     * @param lasting names of those that are not put back, in lower case, as they are when the work is done
     */
    underSettings<T>(
      settings: readonly { readonly name: string; readonly value: string }[],
      lasting: ReadonlySet<string>,
      work: () => Promise<T>,
    ): Promise<T>;
    /** Ends the block that `begin` has begun, and begins another. @throws PostgresError where it cannot be committed */
    renew(action: 'commit' | 'rollback'): Promise<void>;
  };
  /**
   * Numbers of the parameters, from 1, of the statement that is planned which may depend on protected columns: they may
   * not come to the cloud in the clear. Absent: none.
   */
  readonly secrets?: ReadonlySet<number> | undefined;
  /** time zones with rules; absent: none are known here */
  readonly zones?: ZoneSource | undefined;
  /**
   * Who takes down which rows the statement that is being executed opens and writes; undefined: nobody wants to know. To
   * be asked for when it is executed: others may be executed before its rows come.
   */
  touching?(): Touching | undefined;
  /** Runs a statement of a body, and tells the journal of it as of one of the client's. */
  recorded<T>(plan: Plan, work: () => Promise<T>): Promise<T>;
  /** Takes down that the split statement that is running fetched rows of a table, of so many bytes. */
  fetched(table: LogicalTable, columns: readonly string[], rows: number, bytes: number): void;
  /** From now on: what is fetched. @returns ends it, and tells by table what was */
  watchFetches(): () => readonly FetchedOfTable[];
  /** parse analysis by the trusted PostgreSQL; see postgres/analysis.ts */
  analyse(sql: string, parameterTypes: readonly number[]): Promise<Analysis>;
  /** The same of a statement that may be wrong: an error leaves the transaction as it was. */
  analyseTentatively(sql: string, parameterTypes: readonly number[]): Promise<Analysis>;
  /** its statements are parts of what was sent: the session's own role plans them, whatever role it acts as */
  readonly internal?: true;
  /** its statements are run as the role that it acts as, as where policies are applied */
  readonly asRole?: true;
  /** Does something on the trusted backend as the session's own role; only to read. */
  asOwner<T>(work: () => Promise<T>): Promise<T>;
  /**
   * Runs a statement on the trusted backend, as the role that the session acts as and without parameters' values, and takes
   * it back.
   * @throws PostgresError what is wrong with it, or not permitted
   */
  tries(statement: PhysicalStatement): Promise<void>;
  /**
   * Lets the trusted PostgreSQL bind a statement: it reads the parameters in their order and plans the statement with
   * them. Nothing is executed.
   * @throws PostgresError what it says to that
   */
  check(statement: PhysicalStatement, bound: BoundParameters): Promise<void>;
}

/** What was fetched of a table, as `limits.split_rows_max` and `split_bytes_max` count it. */
export interface FetchedOfTable {
  /** schema and name */
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: number;
  readonly bytes: number;
}

/** What was done to rows: `opened` for a reader, or `written` with protected values. */
export type RowAction = 'opened' | 'written';

/**
 * Takes down row ids of a table, 0 where there is no row, before the rows are given on.
 * @param table its number
 * @returns a promise where the rows must wait for it
 */
export type Touching = (table: number, action: RowAction, rows: Float64Array) => Promise<void> | undefined;

/** The trusted PostgreSQL's analysis of one statement. */
export interface Analysis {
  readonly shape: Shape;
  /** node trees as `debug_print_parse` prints them, before rewriting: one (none for utility statements without) */
  readonly parsed: readonly string[];
  /** the same after views and rules were expanded */
  readonly rewritten: readonly string[];
}

/** What became of an execution: it is over, or queued, so that later messages may be sent before it is. */
export type Execution = ExecuteOutcome | { readonly kind: 'pipelined' };

/** A COPY FROM STDIN that executes on our side. */
export interface CopyInExecution {
  /** column formats for CopyInResponse: overall format and one a column */
  readonly format: 0 | 1;
  readonly columns: number;
  /** payload of CopyData messages, in any pieces */
  write(data: Uint8Array): Promise<void>;
  finish(): Promise<{ readonly tag: string }>;
  fail(reason: string): Promise<void>;
}
