/**
 * Plans: what planning makes of one statement. Immutable, shared by the sessions of a worker, keyed as
 * docs/architecture.md says. The gateway executes `pass`, `trusted`, `transaction`, `setting` and the
 * session-level kinds itself; what touches protected tables is a `ProtectedPlan` that runs through
 * `startExecution` (execute/start.ts) over the ports below.
 */
import type { Catalog, CatalogChange } from '../catalog/catalog.js';
import type { EncodingState } from '../encodings/encoding.js';
import type { ZoneOffsets } from '../wire/codecs/zone.js';
import type { Diagnostic } from '../wire/diagnostic.js';
import type { MessageWriter } from '../wire/message-writer.js';
import type { RowSource } from './residual.js';

/** A field of RowDescription (protocol 54.7). OIDs are the shadow's: what the client may look up. */
export interface OutputColumn {
  readonly name: string;
  readonly tableOid: number;
  readonly attnum: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typeModifier: number;
}

/** What Describe answers; from the shadow schema's own analysis. */
export interface Shape {
  readonly parameterTypes: readonly number[];
  /** undefined: the statement returns no rows (NoData) */
  readonly columns: readonly OutputColumn[] | undefined;
}

/** A statement that a backend executes; prepared once a session under a name of ours. */
export interface PhysicalStatement {
  /** unique in the worker */
  readonly id: number;
  readonly sql: string;
  /** OIDs for Parse; 0 lets the server infer */
  readonly parameterTypes: readonly number[];
}

/** Transaction control, on every side of the session that takes part; `chain` is AND CHAIN. */
export type TransactionAction =
  | { readonly kind: 'begin'; readonly sql: string }
  | { readonly kind: 'commit'; readonly sql: string; readonly chain: boolean }
  | { readonly kind: 'rollback'; readonly sql: string; readonly chain: boolean }
  | { readonly kind: 'savepoint'; readonly name: string; readonly sql: string }
  | { readonly kind: 'release'; readonly name: string; readonly sql: string }
  | { readonly kind: 'rollback-to'; readonly name: string; readonly sql: string };

/** Which servers of the session a setting is for. */
export type SettingSides = 'both' | 'cloud' | 'trusted';

/** Settings whose values are known: what runs, and where. */
export interface KnownSettings {
  readonly sql: string;
  readonly sides: SettingSides;
}

/**
 * What a statement becomes, by who executes it. `once`: it means what it means at the moment at which it is parsed, so
 * it is the plan of that one statement and is not kept for others of the same text.
 */
export type Plan =
  /** the cloud executes `sql` (comments stripped) as it stands */
  | {
      readonly kind: 'pass';
      readonly sql: string;
      /** undefined: only the cloud can describe it (FETCH) */
      readonly shape: Shape | undefined;
      readonly copy?: 'in' | 'out';
      readonly once?: true;
      /** FETCH, MOVE, CLOSE: the cursor that it is about */
      readonly cursor?: string | undefined;
      /** CLOSE; without a cursor: CLOSE ALL */
      readonly closes?: true;
    }
  /** catalogue query: the trusted PostgreSQL executes `sql` on the shadow schema */
  | {
      readonly kind: 'trusted';
      readonly sql: string;
      readonly shape: Shape;
      readonly copy?: 'out';
      readonly once?: true;
      readonly homed?: true;
    }
  | { readonly kind: 'transaction'; readonly action: TransactionAction }
  /** SET, RESET, SET LOCAL, SET SESSION CHARACTERISTICS, SET TRANSACTION: run on both sides, or on one */
  | { readonly kind: 'setting'; readonly sql: string; readonly sides: SettingSides }
  /** `SELECT set_config(...)`: run like `setting` once its values are known */
  | {
      readonly kind: 'set-config';
      readonly sql: string;
      readonly shape: Shape;
      /** @throws ClarusError 0A000 for settings that are refused */
      readonly given: (parameters: BoundParameters) => KnownSettings;
    }
  | {
      readonly kind: 'prepare';
      readonly name: string;
      readonly sql: string;
      readonly parameterTypes: readonly string[];
    }
  | { readonly kind: 'execute'; readonly name: string; readonly arguments: readonly string[] }
  | { readonly kind: 'deallocate'; readonly name: string | undefined }
  | {
      readonly kind: 'discard';
      readonly target: 'all' | 'plans' | 'sequences' | 'temp';
      readonly sql: string;
    }
  | { readonly kind: 'empty' }
  | ProtectedPlan;

/** A plan over protected tables. `body` is the executor's own; the gateway looks at the rest only. */
export interface ProtectedPlan {
  readonly kind: 'protected';
  /** command tag word, e.g. `SELECT`, `INSERT`, `UPDATE`, `CREATE TABLE` */
  readonly command: string;
  readonly shape: Shape;
  readonly copy?: 'in' | 'out';
  readonly once?: true;
  readonly homed?: true;
  /** the trusted side finishes it: it runs when all before it has been answered */
  readonly split?: true;
  /**
   * What the trusted PostgreSQL binds to say what PostgreSQL says at Bind: the statement itself where it writes,
   * else one that only takes the same parameters
   */
  readonly check?: PhysicalStatement;
  readonly body: ProtectedBody;
}

/** Filled by the executors: a discriminated union declared in execute/bodies.ts. */
export interface ProtectedBody {
  readonly kind: string;
}

/** Parameters as Bind brought them. */
export interface BoundParameters {
  readonly values: readonly (Uint8Array | null)[];
  /** 0 text, 1 binary; one a value */
  readonly formats: readonly (0 | 1)[];
}

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
 * the session's transaction; nothing sends Sync.
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
  notice(fields: {
    readonly severity: string;
    readonly code: string;
    readonly message: string;
    readonly detail?: string;
    readonly hint?: string;
  }): void;
}

/** Settings that change how values print or parse, kept in step with the backends' ParameterStatus. */
export interface SessionSettings {
  readonly dateStyle: string;
  readonly intervalStyle: string;
  readonly timeZone: string;
  readonly extraFloatDigits: number;
  readonly byteaOutput: string;
  readonly standardConformingStrings: boolean;
  readonly searchPath: string;
  /** array_nulls: is NULL in the text of an array a null value, or a string */
  readonly arrayNulls: boolean;
  /** values of further settings by which literals and statements are read; compared only */
  readonly literals: string;
  readonly statementTimeout: string;
}

/** Offsets of time zones by name, as the trusted PostgreSQL knows them. */
export interface ZoneSource {
  /** undefined: not loaded yet */
  known(name: string): ZoneOffsets | undefined;
  load(name: string): Promise<ZoneOffsets>;
}

/** The connection of a session on which statements are finished over rows of a cloud. */
export interface ResidualPort {
  /**
   * Begins a statement: its carriers are there, and its rows will come from one snapshot where that is possible.
   * @param tables shadow OIDs of those that it reads
   * @throws ClarusError 0A000 inside a transaction that has changed the schema
   */
  begin(source: RowSource, tables: readonly number[]): Promise<Residual>;
}

/** A statement that is being finished on the trusted side. */
export interface Residual {
  readonly port: StatementPort;
  /** what the cloud said to a carrier's query, which postgres_fdw tells in other words */
  readonly failure: unknown;
  /**
   * Were all rows of one snapshot? Asked when the last row has come.
   * @param queries how many were made
   */
  isOneSnapshot(queries: number): Promise<boolean>;
  /** Ends its transaction on the trusted side. */
  over(): void;
  /** Ends the transaction that was begun in the cloud for it: the next statement of the batch has a snapshot of its own. */
  finish(): Promise<void>;
}

/** What the session gives to planning and execution. */
export interface SessionPort {
  /** number of requests to cancel that came so far: what waits between statements looks whether there is one more */
  readonly cancelRequests: number;
  readonly user: string;
  readonly database: string;
  readonly settings: SessionSettings;
  readonly cloud: StatementPort;
  /** opened at first use; joins the transaction when `transaction.touchTrusted` was called */
  readonly trusted: StatementPort;
  readonly client: ClientPort;
  /** absent: what no encoding answers is refused */
  readonly residual?: ResidualPort | undefined;
  /** the catalogue as this session sees it: its own uncommitted changes included */
  catalog(): Catalog;
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
  };
  /** time zones with rules; absent: none are known here */
  readonly zones?: ZoneSource | undefined;
  /** parse analysis by the trusted PostgreSQL; see analyse.ts */
  analyse(sql: string, parameterTypes: readonly number[]): Promise<Analysis>;
  /**
   * Lets the trusted PostgreSQL bind a statement: it reads the parameters in their order and plans the statement with
   * them. Nothing is executed.
   * @throws PostgresError what it says to that
   */
  check(statement: PhysicalStatement, bound: BoundParameters): Promise<void>;
}

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
