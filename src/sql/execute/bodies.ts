/** What the executors run: the bodies of protected plans. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import type { EncodedColumn, Encoding } from '../../encodings/encoding.js';
import type { CheckExpression, GeneratedColumns, RowCondition, TableChecks } from '../checks/table-checks.js';
import type { CloudStatement } from '../compilation.js';
import type { DefaultExpression } from '../defaults.js';
import type { SkippedBy } from '../exclusions/write.js';
import type { ExplainOptions } from '../explained/options.js';
import type { OperandPlan, OperandSource } from '../operand.js';
import type { CursorDeclaration, Figures, PhysicalStatement, Plan, ProtectedPlan } from '../plan.js';
import type { RunAs } from '../ports.js';
import type { Output } from '../read/targets.js';
import type { RoutineVersions } from '../routines.js';
import type { PolicyChecks } from '../row-security/policies.js';
import type { Asked } from '../split/asked.js';
import type { Shown } from '../split/shown.js';
import type { FiredTriggers } from '../triggers/trigger.js';
import type { CopyOptions, CopyOutFormat } from './copy-out.js';

/** How the cloud's rows become the client's. */
export interface Answering {
  readonly outputs: readonly Output[];
  /** places of the cloud's columns that must come in binary form */
  readonly binary: ReadonlySet<number>;
  /** number of columns that the cloud returns */
  readonly width: number;
  /** place of the row id of the written table, where side tables must follow */
  readonly written?: number;
}

/** One statement for the cloud whose rows are opened: SELECT, DELETE, and UPDATE of unprotected columns. */
export interface ReadBody {
  readonly kind: 'read';
  readonly cloud: CloudStatement;
  readonly operands: readonly OperandPlan[];
  readonly answering: Answering;
  /** DELETE: the table whose side tables follow */
  readonly deletes: LogicalTable | undefined;
}

/** Where the value of a written protected column comes from. */
export type WrittenSource = OperandSource | ({ readonly kind: 'default' } & DefaultExpression);

/** A protected column that a write fills. */
export interface WrittenColumn {
  readonly column: LogicalColumn;
  readonly forms: readonly WrittenForm[];
  /** INSERT: one a row; UPDATE: exactly one */
  readonly sources: readonly WrittenSource[];
}

/** An encoding of a written column, with the operand number of each of its physical columns. */
export interface WrittenForm {
  readonly encoding: Encoding;
  readonly encoded: EncodedColumn;
  readonly operands: Readonly<Record<string, number>>;
}

/** INSERT ... VALUES. Operand 0 is the row id; `part` of a parameter is the row, or -1 for an array of all rows. */
export interface InsertBody {
  readonly kind: 'insert';
  readonly table: LogicalTable;
  readonly rows: number;
  /** rows whose values travel in one array; 1: each value is a parameter of its own */
  readonly lot: number;
  readonly written: readonly WrittenColumn[];
  /** of protected columns alone; undefined: there are none */
  readonly checks: TableChecks | undefined;
  readonly cloud: CloudStatement;
  readonly answering: Answering;
}

/**
 * UPDATE of protected columns: `lock` finds and locks exactly the rows PostgreSQL would, `cloud` writes them by
 * row id. In `cloud`, operand 0 is the array of row ids and every other operand an array of physical values.
 */
export interface UpdateBody {
  readonly kind: 'update';
  readonly table: LogicalTable;
  readonly lock: CloudStatement;
  readonly operands: readonly OperandPlan[];
  readonly written: readonly WrittenColumn[];
  /** unprotected columns are assigned as well: then no check reads a protected one of `written` */
  readonly assignsOpen: boolean;
  readonly checked: CheckedUpdate | undefined;
  readonly cloud: CloudStatement;
  readonly answering: Answering;
}

/** The checks that an UPDATE may break, and what they read beside the columns that it writes. */
export interface CheckedUpdate {
  readonly of: TableChecks;
  readonly checks: readonly CheckExpression[];
  readonly others: StoredColumns;
}

/** Columns of a table as the cloud is asked for them. */
export interface StoredColumns {
  readonly table: LogicalTable;
  readonly columns: readonly {
    readonly column: LogicalColumn;
    /** what opens it; undefined: it stands in the clear */
    readonly form: { readonly encoding: Encoding; readonly encoded: EncodedColumn } | undefined;
    /** physical names */
    readonly names: readonly string[];
  }[];
}

/** EXPLAIN (CLARUS): it tells of a plan. */
export interface ExplainBody {
  readonly kind: 'explain';
  readonly plan: Plan;
  /** of a table that is made of a query: the plan of that */
  readonly query: Plan | undefined;
  readonly options: ExplainOptions;
  /** what ANALYZE runs; undefined: nothing is run */
  readonly runs: ExplainedBody['planned'] | undefined;
}

/** EXPLAIN over protected tables. */
export interface ExplainedBody {
  readonly kind: 'explained';
  readonly options: ExplainOptions;
  /** the statement whose plan is told */
  readonly sql: string;
  readonly planned: Extract<Plan, { kind: 'pass' | 'trusted' | 'protected' }>;
  /** what ANALYZE runs: `planned`, or the statement that makes a table of it */
  readonly runs: ExplainedBody['planned'];
  /** what it touches, and the shadow OIDs of these tables and of what inherits from them */
  readonly tables: readonly LogicalTable[];
  readonly oids: readonly number[];
}

/** COPY ... TO STDOUT: a read whose rows are written in COPY's format. */
export interface CopyOutBody {
  readonly kind: 'copy-out';
  readonly read: ReadBody | SplitBody;
  readonly copy: CopyOutFormat;
}

/** COPY ... FROM STDIN: rows are taken apart here, protected, and sent on as binary COPY. */
export interface CopyInBody {
  readonly kind: 'copy-in';
  readonly table: LogicalTable;
  /** columns of the client's data, in order */
  readonly columns: readonly LogicalColumn[];
  readonly written: readonly WrittenColumn[];
  /** columns that the data lack and that get their default here: protected ones, and those that `where` reads */
  readonly defaults: readonly ({ readonly column: LogicalColumn } & DefaultExpression)[];
  readonly options: CopyOptions;
  /** for each column of the data what the marker of defaults stands for; undefined: there is no such marker */
  readonly markers: readonly (CopyMarker | undefined)[] | undefined;
  /** rows that do not meet it are left out; undefined: there is no condition */
  readonly where: RowCondition | undefined;
  readonly checks: TableChecks | undefined;
  /** protected columns that are computed from the others; they are among `written`, behind those that are given */
  readonly generated: GeneratedColumns | undefined;
  /** bounds of a partition that the cloud does not know */
  readonly bounds: TableChecks | undefined;
  /** the cloud's COPY; its columns are the row id, the unprotected columns, then the physical ones by operand */
  readonly sql: string;
}

/** COPY ... FROM STDIN into a table with triggers: its rows are those of an INSERT whose parameters are the columns of the data. */
export interface TriggeredCopyBody {
  readonly kind: 'triggered-copy';
  readonly table: LogicalTable;
  /** columns of the client's data, in order */
  readonly columns: readonly LogicalColumn[];
  readonly options: CopyOptions;
  readonly markers: CopyInBody['markers'];
  readonly where: CopyInBody['where'];
  readonly insert: ProtectedPlan;
}

/** COPY ... FROM STDIN into a table whose rows stand in several tables of the cloud: each row goes to the one that takes it. */
export interface RoutedCopyBody {
  readonly kind: 'routed-copy';
  /** the table that the statement names */
  readonly table: LogicalTable;
  /** columns of the client's data, in order */
  readonly columns: readonly LogicalColumn[];
  /** columns that the data lack, and what they get here; the cloud knows the defaults of the others */
  readonly fillings: readonly CopyFilling[];
  readonly options: CopyOptions;
  readonly markers: CopyInBody['markers'];
  readonly where: CopyInBody['where'];
  /** the tables that hold rows */
  readonly leaves: readonly CopyLeaf[];
}

/** A column that the data of a COPY lack: the next values of a sequence, or a default. */
export type CopyFilling = { readonly column: LogicalColumn } & (
  | { readonly kind: 'counter'; readonly sequence: string }
  | ({ readonly kind: 'default' } & DefaultExpression)
);

/** What the marker of defaults stands for in a column; refused: only the cloud computes it. */
export type CopyMarker = CopyFilling | { readonly column: LogicalColumn; readonly kind: 'refused' };

/** A table of the cloud that takes rows of a COPY. */
export interface CopyLeaf {
  readonly table: LogicalTable;
  readonly written: readonly WrittenColumn[];
  /** protected columns that are computed from the others; they are among `written` */
  readonly generated: GeneratedColumns | undefined;
  /** unprotected columns that are sent, in order */
  readonly open: readonly string[];
  /** the cloud's COPY: the row id, the unprotected columns, then the physical ones by operand */
  readonly sql: string;
}

/** A statement that the trusted PostgreSQL runs over rows that the cloud delivers. */
export interface SplitBody {
  readonly kind: 'split';
  /** the client's statement; its parameters are the client's, then what is asked of the cloud */
  readonly statement: PhysicalStatement;
  /** values that are asked of the cloud when it runs */
  readonly asked: readonly Asked[];
  /** figures of relations that are asked of it before */
  readonly figures?: Figures;
  /** it prints or reads values by the session's locale */
  readonly localised: boolean;
  /** functions of users that it calls, as they were when it was planned; undefined: none */
  readonly routines: RoutineVersions | undefined;
  /** they read tables; absent: they do not */
  readonly routinesRead?: true;
  /** shadow OIDs of the tables that it reads, and their names */
  readonly tables: readonly number[];
  readonly names: readonly string[];
  /** protected columns that it reads: number of the table, name of the column */
  readonly columns: readonly { readonly table: number; readonly name: string }[];
  /** what it compares with unprotected columns */
  readonly shown: readonly Shown[];
  /** its conditions keep protected and unprotected columns apart */
  readonly apart: boolean;
  /** why the cloud cannot answer it */
  readonly why: readonly string[];
  /** it reads one table and nothing else, to its end */
  readonly oneTable: boolean;
  /** it joins a few tables, each once, and reads nothing else, to its end */
  readonly joins: boolean;
  /** what it writes; undefined: it only reads */
  readonly writes: SplitWrites | undefined;
  /** policies of row level security are applied, or functions read settings: it is run by carriers, so; absent: neither */
  readonly as?: RunAs;
}

/** What a split statement writes. */
export interface SplitWrites {
  /** names of the tables that it writes */
  readonly names: readonly string[];
  /** one of its writes has RETURNING */
  readonly returns: boolean;
  /**
   * INSERT ... ON CONFLICT: names of the key constraints by which a row conflicts. Another session may insert such a
   * row after the statement has looked.
   */
  readonly arbiters: readonly string[];
  /** the statement is not run as it stands: it gives rows that say what is written; undefined: carriers say it */
  readonly computed: ComputedWrites | undefined;
  /** rows that it locks: the last fields of what it returns are their ctids and the OIDs of their tables, in turn */
  readonly locks: readonly RowLock[];
  /** it returns some of the rows that it finds (LIMIT, OFFSET) */
  readonly limited?: boolean;
  /** EXPLAIN of the statement with its locks, which PostgreSQL refuses where it cannot plan them; absent: it can */
  readonly planned?: PhysicalStatement;
  /** queries that run first; each of their columns is a parameter after those of the client */
  readonly first: readonly FirstQuery[];
  /** writes that run when it has run, with these parameters too; absent: there are none */
  readonly then?: readonly FirstQuery[];
  /** all parts are computed before any is written, because some read what others write; absent: each is written at once */
  readonly together?: true;
  /** triggers that it fires on the trusted side; absent: none */
  readonly triggered?: TriggeredWrite;
  /** policies that updated rows must meet; absent: none */
  readonly policed?: PolicedUpdate;
}

/** What policies say of the rows of an UPDATE. */
export interface PolicedUpdate {
  readonly policies: PolicyChecks;
  /** over columns of new rows, as arrays of text: for each row the place of the first policy that it breaks, or -1 */
  readonly body: SplitBody;
}

/** What a write does beside writing, where the table that it writes has triggers. */
export interface TriggeredWrite {
  /** with INSTEAD OF triggers it is a view (`viewAsTable` of triggers/) */
  readonly table: LogicalTable;
  /** by event: an INSERT with ON CONFLICT DO UPDATE may fire those of both */
  readonly fired: readonly FiredTriggers[];
  /** triggers of rows of its partitions and heirs, also of those that leave one partition for another */
  readonly below: readonly FiredTriggers[];
  /** RETURNING, over the rows that were written: its parameters are the client's, then a column of the table each */
  readonly returning: SplitBody | undefined;
  /** triggers do all that is done: nothing is written beside */
  readonly insteadOf: boolean;
  /** a row is written before the function of the next one runs, which may look for it */
  readonly rowByRow: boolean;
  /** functions of rows see what foreign keys do because of the rows */
  readonly seesActions: boolean;
  /** ON CONFLICT beside BEFORE INSERT triggers of rows: what the statement gives, of which these make what is proposed */
  readonly proposes?: GivenRows;
  /** ON CONFLICT DO NOTHING: by which EXCLUDE constraints of the trusted side, and keys beside them, rows are left out */
  readonly skips?: SkippedBy;
}

/** The rows of one table that a statement locks beside those that it writes. */
export interface RowLock {
  /** the one that is named, whose rows may stand in partitions and heirs */
  readonly table: LogicalTable;
  readonly strength: 'UPDATE' | 'NO KEY UPDATE' | 'SHARE' | 'KEY SHARE';
  readonly wait: '' | 'SKIP LOCKED' | 'NOWAIT';
}

/** A part of a statement that runs before the rest, or after it. */
export interface FirstQuery {
  readonly plan: Extract<Plan, { kind: 'pass' | 'protected' }>;
  readonly columns: number;
  /** OIDs of the tables that later parts write: what a foreign key says of this one may be mended by them; absent: none */
  readonly later?: ReadonlySet<number>;
}

/** The rows that an INSERT gives. */
export interface GivenRows {
  readonly table: LogicalTable;
  /** computes them; a last field is the place of the first rule that the row breaks */
  readonly body: SplitBody;
  /** policies, CHECK constraints, then what views check (WITH CHECK OPTION), in the order in which PostgreSQL asks them */
  readonly rules: readonly (
    | { readonly kind: 'policy'; readonly name: string | undefined }
    | { readonly kind: 'check' | 'view'; readonly name: string }
  )[];
  /** its columns, and their types by name */
  readonly columns: readonly LogicalColumn[];
  readonly types: readonly string[];
  /** what constraints say of them is looked at when they are given, not only when they are written */
  readonly checked: boolean;
  /** further columns, which take the next values of sequences */
  readonly counters: readonly { readonly column: LogicalColumn; readonly sequence: string }[];
}

/**
 * A statement whose rows say what is to be done: the number of an action (NULL: nothing), the ctid of the row that it is
 * done to, the place of a given row (from 1), the OID of the row's table (NULL: the one that is named), then the values of all actions, then what the client gets.
 */
export interface ComputedWrites {
  readonly table: LogicalTable;
  /** computed first: each column is a parameter, after those of the client; undefined: there are none */
  readonly given: GivenRows | undefined;
  /** given columns whose values, without NULLs, are a further parameter each, as an array of their type */
  readonly keys: readonly number[];
  readonly actions: readonly ComputedAction[];
  /** fields before those of the client */
  readonly width: number;
  /** command that may write a row once only; undefined: what comes later does nothing */
  readonly once: 'ON CONFLICT DO UPDATE' | 'MERGE' | undefined;
}

/** Something that is done to a row. */
export interface ComputedAction {
  readonly kind: 'insert' | 'update' | 'delete';
  readonly columns: readonly string[];
  /** field of the first value; undefined: the given row is inserted */
  readonly from: number | undefined;
  /** columns that take the next values of sequences */
  readonly counters: GivenRows['counters'];
  /** field of the first of the values that the row has so far, all its columns; absent: they are not asked for */
  readonly old?: number;
}

/** DECLARE: a split statement whose rows the trusted PostgreSQL keeps. */
export interface CursorBody {
  readonly kind: 'cursor';
  /** its statement is the DECLARE that runs there */
  readonly source: SplitBody;
  readonly declaration: CursorDeclaration;
}

/** INSERT ... SELECT: what a split statement returns is copied into the table. */
export interface InsertSelectBody {
  readonly kind: 'insert-select';
  readonly source: SplitBody;
  /** EXPLAIN of the client's statement, which has PostgreSQL plan it */
  readonly explain: PhysicalStatement;
  readonly copy: CopyInBody;
}
