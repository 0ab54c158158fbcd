/** What the executors run: the bodies of protected plans. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import type { EncodedColumn, Encoding } from '../../encodings/encoding.js';
import type { CloudStatement } from '../compilation.js';
import type { DefaultExpression } from '../defaults.js';
import type { OperandPlan, OperandSource } from '../operand.js';
import type { PhysicalStatement } from '../plan.js';
import type { Output } from '../read/targets.js';
import type { Shown } from '../split/shown.js';
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
  /** unprotected columns are assigned as well */
  readonly assignsOpen: boolean;
  readonly cloud: CloudStatement;
  readonly answering: Answering;
}

/** Lines of text that the statement answers with (EXPLAIN (CLARUS)). */
export interface ExplainBody {
  readonly kind: 'explain';
  readonly lines: readonly string[];
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
  /** protected columns that the data lack and that have a default */
  readonly defaults: readonly ({ readonly column: LogicalColumn } & DefaultExpression)[];
  readonly options: CopyOptions;
  /** the cloud's COPY; its columns are the row id, the unprotected columns, then the physical ones by operand */
  readonly sql: string;
}

/** A statement that the trusted PostgreSQL runs over rows that the cloud delivers. */
export interface SplitBody {
  readonly kind: 'split';
  /** the client's statement; its parameters are the client's, then the time where `time` says so */
  readonly statement: PhysicalStatement;
  /** it asks for the time of the transaction */
  readonly time: boolean;
  /** shadow OIDs of the tables that it reads, and their names */
  readonly tables: readonly number[];
  readonly names: readonly string[];
  /** protected columns that it reads: number of the table, name of the column */
  readonly columns: readonly { readonly table: number; readonly name: string }[];
  /** what it compares with unprotected columns */
  readonly shown: readonly Shown[];
  /** why the cloud cannot answer it */
  readonly why: readonly string[];
}

/** INSERT ... SELECT: what a split statement returns is copied into the table. */
export interface InsertSelectBody {
  readonly kind: 'insert-select';
  readonly source: SplitBody;
  readonly copy: CopyInBody;
}
