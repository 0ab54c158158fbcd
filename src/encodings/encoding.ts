/**
 * The central abstraction: an encoding is one protected form of a column (or of several columns of a row) that
 * lets a cloud answer one kind of question. To add a privacy mechanism, write one file that exports an
 * `Encoding` and hand it to the registry.
 *
 * The planner knows questions and exactness, never cryptography; an encoding knows values, never sockets or
 * users; a gateway knows its protocol, never how a value is protected.
 */
import type { Awaitable } from '../awaitable.js';
import type { ByteColumn, PlainColumn } from '../crypto/column.js';
import type { QueryKind } from '../policy/policy.js';

/** A type as the shadow schema knows it. */
export interface TypeRef {
  /** OID in the shadow schema (stable for built-in types) */
  readonly oid: number;
  /** type modifier, -1 for none */
  readonly modifier: number;
  /** collation OID, 0 for none */
  readonly collation: number;
  /** false for a nondeterministic collation: bytes do not decide equality */
  readonly deterministic: boolean;
  /** OID of the built-in type as whose values its own are compared: a domain's base, text for the labels of an enum; absent: its own */
  readonly forms?: number;
}

/** The logical column an encoding stands for. Numbers are immutable; names are for messages only. */
export interface EncodedColumn {
  readonly table: number;
  readonly column: number;
  readonly name: string;
  readonly type: TypeRef;
  /** number of the tag domain */
  readonly domain: number;
  /** catalogue-wide unique; part of every physical name, so that a stale plan fails */
  readonly generation: number;
  /** physical names by role, as `relations` asked for them */
  readonly columns: Readonly<Record<string, string>>;
  /** physical side tables by role: schema-qualified and quoted */
  readonly tables: Readonly<Record<string, string>>;
}

/** A physical column or side table that an encoding owns. */
export type RelationSpec =
  | {
      readonly kind: 'column';
      readonly role: string;
      /** SQL type in the cloud */
      readonly type: string;
      /** storage clause, where it matters (`external` for what does not compress) */
      readonly storage?: 'external';
      /** CHECK expressions; `{role}` stands for a quoted physical name of this encoding */
      readonly checks?: readonly string[];
      /** true: an index that answers equality, made with CREATE TABLE */
      readonly indexed?: boolean;
    }
  | {
      readonly kind: 'table';
      readonly role: string;
      /** the cloud that holds it; undefined: the table's own */
      readonly placement?: string;
      /** columns of the side table, in SQL; a column `clarus_row bigint NOT NULL` is always there and indexed */
      readonly columns: readonly { readonly name: string; readonly type: string }[];
    };

/** Keys, given to an encoding by the trusted side. */
export interface EncodingKeys {
  /** Epoch under which new cells of this column are sealed; reserves `count` seals durably before it returns. */
  sealingEpoch(column: EncodedColumn, count: number): Promise<number>;
  /** 32-byte AES key of the cells of a column under an epoch. Cached: the same object for the same arguments. */
  cellKey(column: EncodedColumn, epoch: number): Uint8Array;
  /** 32-byte key of a domain for a purpose (`tag`, ...). Cached likewise. */
  domainKey(domain: number, purpose: string): Uint8Array;
  /** `count` counter values of a named counter, never given twice (leased, durable before it returns). */
  counters(
    column: EncodedColumn,
    counter: string,
    count: number,
  ): Promise<{ readonly first: number; readonly salt: Uint8Array }>;
  /**
   * The salt that a counter value was given under, for as long as the column stands.
   * @throws ClarusError 55000 when the value was never given
   */
  counterSalt(column: EncodedColumn, counter: string, value: number): Promise<Uint8Array>;
}

/**
 * State that an encoding keeps on the trusted side; it commits and rolls back with the session's transaction. Of two
 * transactions that change an entry at the same time the later commit counts: what must never repeat is a counter.
 */
export interface EncodingState {
  /** What is committed, or what this transaction has put; waits for a commit of the column that is under way. */
  get(column: EncodedColumn, key: string): Promise<Uint8Array | undefined>;
  /**
   * Changes an entry, or takes it away. In `protect` only, and only by an encoding that says `changesState`.
   */
  put(column: EncodedColumn, key: string, value: Uint8Array | undefined): Promise<void>;
}

/** What an encoding is given to work with. */
export interface EncodingContext {
  readonly keys: EncodingKeys;
  readonly state: EncodingState;
}

/** A batch of rows to protect, a column at a time. */
export interface ProtectBatch {
  /** row ids, one a row (integers below 2^53) */
  readonly rows: Float64Array;
  /** values in PostgreSQL's binary form */
  readonly values: PlainColumn;
}

/** What `protect` writes: bytes for columns beside the row, rows for side tables. */
export interface ProtectedWrites {
  /** by role; as many values as rows; in the binary form of the physical type */
  readonly columns: Readonly<Record<string, ByteColumn>>;
  /** by role: rows of a side table, column by column in binary form, with the row id each belongs to */
  readonly tables?: Readonly<
    Record<string, { readonly rows: Float64Array; readonly columns: readonly ByteColumn[] }>
  >;
}

/** How two values are compared, as PostgreSQL resolved it. */
export interface Operator {
  readonly oid: number;
  readonly name: string;
  /** types on both sides, after implicit casts within the statement */
  readonly left: number;
  readonly right: number;
  /** collation the comparison uses, 0 for none */
  readonly collation: number;
}

/** What the planner may ask of an encoding. */
export type Question =
  /** `column op value`, op being `=` or `<>`; the value's type is `operator.right` */
  | { readonly kind: 'compare'; readonly negated: boolean; readonly operator: Operator }
  /** `column = ANY (values)`, or its negation `<> ALL` */
  | { readonly kind: 'any'; readonly negated: boolean; readonly operator: Operator }
  /** `column IS [NOT] DISTINCT FROM value` */
  | { readonly kind: 'distinct'; readonly negated: boolean; readonly operator: Operator }
  /** `column IS [NOT] NULL` */
  | { readonly kind: 'null'; readonly negated: boolean }
  /** `column op other column` */
  | {
      readonly kind: 'join';
      readonly negated: boolean;
      readonly distinct: boolean;
      readonly operator: Operator;
      readonly other: EncodedColumn;
    }
  /** an aggregate over the column, by PostgreSQL's function OID and name */
  | {
      readonly kind: 'aggregate';
      readonly name: string;
      readonly functionOid: number;
      readonly distinct: boolean;
      readonly resultType: number;
    }
  /** a key constraint (PRIMARY KEY, UNIQUE, ON CONFLICT target, FOREIGN KEY) */
  | { readonly kind: 'constraint'; readonly constraint: 'unique' | 'foreign-key' };

/**
 * How the cloud answers a question.
 * In `sql`, `{role}` is a physical column of the encoding (qualified by the planner), `{table:role}` a side
 * table, `{row}` the row id of the row, `{other:role}` a column of the other side of a join, `{1}`, `{2}` ...
 * the protected operands.
 */
export interface Answer {
  /** superset: the rows that come back must be filtered again on this side */
  readonly exactness: 'exact' | 'superset';
  /** rounds that run first, each a statement for the cloud (`{table:role}`, `{1}` ...); their rows go to `operands` */
  readonly lookUps?: readonly LookUp[];
  readonly sql: string;
  /** physical types of `{1}`, `{2}` ... (SQL names), e.g. `['uuid']` or `['uuid[]']` */
  readonly operandTypes: readonly string[];
  readonly operands: OperandEncoder;
  /** for aggregates: makes the logical value of the cloud's one */
  readonly finish?: (cloudValues: ByteColumn, context: EncodingContext) => Promise<PlainColumn>;
}

/** A round that runs before the statement itself: a SELECT over side tables. */
export interface LookUp {
  readonly sql: string;
  readonly operandTypes: readonly string[];
  readonly operands: OperandEncoder;
}

/** Rows of a look-up, values in binary form. */
export type FoundRows = readonly (readonly (Uint8Array | null)[])[];

/**
 * Protects the operands of a question.
 * @param values the values compared with (one for `compare`, all elements for `any`), in binary form
 * @param type their type's OID
 * @param found what the look-ups before found, one entry a look-up
 * @returns one physical parameter an entry of `operandTypes`, in binary form; null is SQL NULL. At once where it is
 *   at hand
 */
export type OperandEncoder = (
  values: PlainColumn,
  type: number,
  context: EncodingContext,
  found: readonly FoundRows[],
) => Awaitable<readonly (Uint8Array | null)[]>;

/** What a cloud learns, in words an expert would sign and as facts for tools. */
export interface Leakage {
  /** from holding it */
  readonly atRest: string;
  /** from the queries over it */
  readonly fromQueries: string;
  readonly facts: {
    readonly length: boolean;
    readonly nulls: boolean;
    readonly equality: boolean;
    readonly frequency: boolean;
    readonly order: boolean;
  };
}

/** One protected form of a column: what it stores, which questions it answers, and what the cloud learns by it. */
export interface Encoding {
  /** stable name, stored in the catalogue and in physical names */
  readonly kind: string;
  /** query kinds of the policy that ask for this encoding; `sealed` is there for every protected column */
  readonly queries: readonly QueryKind[];
  /** undefined when the encoding can stand for values of this type, else the reason in words */
  rejects(type: TypeRef): string | undefined;
  relations(column: Pick<EncodedColumn, 'name' | 'type'>): readonly RelationSpec[];
  /** true: `protect` may change the state, so that COPY must begin a transaction before its first row */
  readonly changesState?: boolean;
  protect(column: EncodedColumn, batch: ProtectBatch, context: EncodingContext): Promise<ProtectedWrites>;
  /**
   * Only for encodings that can give the value back. Bytes by role as the cloud returned them. What is at hand is
   * returned at once: waiting for a promise holds the cloud up, batch by batch.
   */
  open?(
    column: EncodedColumn,
    rows: Float64Array,
    columns: Readonly<Record<string, ByteColumn>>,
    context: EncodingContext,
  ): PlainColumn | Promise<PlainColumn>;
  answers(column: EncodedColumn, question: Question): Answer | undefined;
  leaks(column: Pick<EncodedColumn, 'name' | 'type'>): Leakage;
}
