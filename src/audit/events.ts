/** What the journal records. Names are logical; no event holds a literal, a parameter or any other value. */

/** How much is recorded: each level holds those before it. */
export type AuditLevel = 'acts' | 'statements' | 'rows';

/** Who is behind an event. */
export interface Actor {
  /** user of the proxy */
  readonly user: string;
  /** number of the session, unique within the origin */
  readonly session: number;
}

/** Which way values went. */
export type Direction = 'to-cloud' | 'from-cloud';

/** What of a column left, or came back, and in which form. */
export interface ColumnUse {
  /** `schema.table.column` */
  readonly column: string;
  readonly direction: Direction;
  /** kinds of encoding, such as `sealed` and `equality`; `none`: in the clear */
  readonly protection: readonly string[];
}

/**
 * What is the same each time a statement runs. Keep one object a plan: it is encoded once, however often the
 * statement runs.
 */
export interface StatementFacts {
  /** of the statement with its literals taken out */
  readonly fingerprint: string;
  /** SELECT, INSERT, COPY ... */
  readonly command: string;
  /** pass, push or split */
  readonly plan: string;
  /** `schema.table` */
  readonly tables: readonly string[];
  readonly columns: readonly ColumnUse[];
}

/** Recorded at every level, and on disk before `flush` resolves. */
export type Act =
  | { readonly kind: 'started'; readonly version: string; readonly policyVersion: number }
  | { readonly kind: 'stopped' }
  | ({ readonly kind: 'session-opened'; readonly address: string } & Actor)
  | ({ readonly kind: 'session-closed' } & Actor)
  | {
      readonly kind: 'login-refused';
      readonly user: string;
      readonly address: string;
      /** SQLSTATE */
      readonly code: string;
    }
  | ({
      readonly kind: 'policy-changed';
      readonly from: number;
      readonly to: number;
      /** one line a difference */
      readonly changes: readonly string[];
    } & Partial<Actor>)
  | ({
      readonly kind: 'ddl';
      readonly command: string;
      readonly objects: readonly string[];
    } & Actor)
  | ({
      readonly kind: 'key-changed';
      /** created, destroyed, re-wrapped, new epoch ... */
      readonly action: string;
      /** the table or domain it belongs to */
      readonly subject: string;
    } & Partial<Actor>)
  /** written by the journal itself when it found its file damaged */
  | {
      readonly kind: 'journal-repaired';
      readonly file: string;
      /** where the damage begins */
      readonly offset_bytes: number;
      /** bytes cut off; 0: the file was left as it is and a new one begun */
      readonly cut_bytes: number;
    };

/** A statement that is about to run: recorded before anything of it leaves. */
export type StatementEvent = {
  readonly kind: 'statement';
  /** number of the statement within its session */
  readonly number: number;
  readonly statement: StatementFacts;
} & Actor;

/** What a split statement fetched of a table, all its fetches together. */
export interface FetchedRows {
  /** schema.table */
  readonly table: string;
  /** names of the columns */
  readonly columns: readonly string[];
  readonly rows: number;
}

/** What became of a statement: recorded before the client is told. */
export type StatementEndEvent = {
  readonly kind: 'statement-end';
  /** number of the statement within its session */
  readonly number: number;
  /** rows returned or written, as its command tag says */
  readonly rows: number;
  /** SQLSTATE when it failed */
  readonly code?: string;
  /** present when it was split */
  readonly fetched?: readonly FetchedRows[];
  /** since its `statement` event */
  readonly duration_ms: number;
} & Actor;

/** Which rows of a table a statement opened or wrote. */
export type RowsEvent = {
  readonly kind: 'rows';
  /** number of the statement within its session */
  readonly number: number;
  /** `schema.table` */
  readonly table: string;
  readonly action: 'opened' | 'written';
  /** row ids */
  readonly rows: readonly number[] | Float64Array;
} & Actor;

/** Everything a journal can hold. */
export type AuditEvent = Act | StatementEvent | StatementEndEvent | RowsEvent;

const depth: Readonly<Record<AuditLevel, number>> = { acts: 0, statements: 1, rows: 2 };

/** The level at which an event begins to be recorded. */
export const levelOf = (event: AuditEvent): AuditLevel =>
  event.kind === 'statement' || event.kind === 'statement-end'
    ? 'statements'
    : event.kind === 'rows'
      ? 'rows'
      : 'acts';

/** True when a journal of level `recorded` holds events of level `asked`. */
export const includes = (recorded: AuditLevel, asked: AuditLevel): boolean => depth[asked] <= depth[recorded];

/** The kinds of events, each once. */
const kinds: Readonly<Record<AuditEvent['kind'], true>> = {
  started: true,
  stopped: true,
  'session-opened': true,
  'session-closed': true,
  'login-refused': true,
  'policy-changed': true,
  ddl: true,
  'key-changed': true,
  'journal-repaired': true,
  statement: true,
  'statement-end': true,
  rows: true,
};

/** What an event may be, in the words of the journal. */
export const auditKinds = Object.keys(kinds) as readonly AuditEvent['kind'][];
