/**
 * The catalogue as data: what the application sees (logical) and what a cloud holds of it (physical).
 *
 * A `Catalog` is an immutable snapshot with a version; a session that has made uncommitted changes works on a
 * snapshot of its own, made by `applyChanges` (changes.ts). Numbers are immutable and never used again; names
 * may change at no cost, because no key and no associated data contains one.
 */
import type { EncodedColumn, TypeRef } from '../encodings/encoding.js';
import type { ColumnPolicy, Policy, QueryKind } from '../policy/policy.js';
import type { EncodingStateChange } from '../trusted/encoding-state.js';

/** One encoding that a protected column really has in its cloud. */
export interface ColumnEncoding {
  /** name of the `Encoding` */
  readonly kind: string;
  readonly encoded: EncodedColumn;
}

/** A column as the application knows it. */
export interface LogicalColumn {
  /** immutable within its table, from 1 */
  readonly number: number;
  /** pg_attribute.attnum in the shadow schema */
  readonly attnum: number;
  readonly name: string;
  /** the name by which the policy says what it says of the column, since that was renamed; absent: its own */
  readonly listedAs?: string;
  readonly type: TypeRef;
  /** as PostgreSQL writes it in DDL, e.g. `character varying(20)` */
  readonly typeName: string;
  readonly notNull: boolean;
  /** numbers of the columns from which the trusted side computes it (GENERATED ... STORED); absent: it is no such column */
  readonly generatedFrom?: readonly number[];
  readonly policy: ColumnPolicy;
  /** undefined: stands in the cloud as it is */
  readonly protection:
    | undefined
    | {
        readonly domain: number;
        readonly encodings: readonly ColumnEncoding[];
        /** query kinds that the policy grants and no encoding of this version answers */
        readonly waiting: readonly QueryKind[];
      };
}

/** A key constraint, by column numbers: what the cloud checks on tags or plain columns. */
export interface KeyConstraint {
  readonly kind: 'primary' | 'unique' | 'foreign';
  readonly name: string;
  readonly columns: readonly number[];
  /** foreign keys: number of the referenced table, its columns, and whether the cloud collects these (key-tables.ts) */
  readonly references?: {
    readonly table: number;
    readonly columns: readonly number[];
    readonly collected?: true;
  };
  /** foreign keys that do more than refuse; absent: NO ACTION and RESTRICT */
  readonly actions?: ForeignKeyActions;
  /** foreign keys of a partition that are part of one of the table whose partition it is */
  readonly inherited?: true;
  /** foreign keys that refer to a partitioned table: their names where a row of a partition is concerned; absent: none */
  readonly parts?: readonly { readonly name: string; readonly schema: string; readonly table: string }[];
}

/** A key of a partitioned table to which foreign keys refer: the cloud collects it in a table (key-tables.ts). */
export interface ReferredKey {
  /** catalogue-wide, in the name of the table in the cloud */
  readonly generation: number;
  /** numbers of its columns, ascending */
  readonly columns: readonly number[];
  /** the domain of the tags of each; null for an unprotected one */
  readonly domains: readonly (number | null)[];
}

/** A key of its own rows that a partition adds to those of an ancestor. */
export interface CollectedKey {
  /** of the `ReferredKey` */
  readonly generation: number;
  /** own numbers of its columns, in the order of the `ReferredKey` */
  readonly columns: readonly number[];
  /** numbers of the columns of the ancestor */
  readonly of: readonly number[];
}

/** What a foreign key does to the rows that refer to one that goes or gets another key. */
export interface ForeignKeyActions {
  /** pg_constraint.confdeltype and confupdtype: a NO ACTION, r RESTRICT, c CASCADE, n SET NULL, d SET DEFAULT */
  readonly onDelete: string;
  readonly onUpdate: string;
  /** numbers of the columns that ON DELETE SET NULL and SET DEFAULT set */
  readonly deleteColumns: readonly number[];
}

/** A CHECK that reads protected columns: the trusted side evaluates it, the cloud has a stand-in (stand-in.ts). */
export interface TrustedCheck {
  readonly name: string;
  /** numbers of the columns that it reads, unprotected ones too */
  readonly columns: readonly number[];
}

/** An EXCLUDE constraint that reads protected columns: the trusted side looks for conflicts, and the cloud has a lock. */
export interface TrustedExclusion {
  readonly name: string;
  /** numbers of the columns that it reads, unprotected ones and those of its predicate too */
  readonly columns: readonly number[];
}

/**
 * A unique index of expressions, or with a predicate, that reads protected columns: the cloud holds tags of what the trusted
 * side computes of each row, and keeps them unique.
 */
export interface ComputedKey {
  /** its name and pg_class.oid in the shadow schema */
  readonly name: string;
  readonly index: number;
  /** one a key of the index: the number of an unprotected column that stands in it, or what is computed */
  readonly keys: readonly (number | LogicalColumn)[];
}

/** The opaque names of a table, kept with it in the catalogue. */
export interface OpaqueNames {
  /** of the table, its unprotected columns, forms of protected ones, constraints, indexes and sequences: opaque names by their own */
  readonly names: Readonly<Record<string, string>>;
  /** sequences that its columns own and that count in the cloud, by their own names */
  readonly sequences: readonly { readonly schema: string; readonly name: string }[];
}

/**
 * A table of the logical schema.
 * - `protected`: has `clarus_row` and at least the sealed form of each protected column;
 * - `open`: no column is protected; stands in the cloud as it is;
 * - `blocked`: listed by the policy but standing unprotected in the cloud, or unlisted under `refuse`:
 *   neither served nor written (`reason` says which).
 */
export interface LogicalTable {
  readonly number: number;
  /** pg_class.oid in the shadow schema */
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** the name by which the policy lists the table, since that was renamed; absent: its own */
  readonly listedAs?: { readonly schema: string; readonly name: string };
  readonly state: 'protected' | 'open' | 'blocked';
  readonly reason: string | undefined;
  readonly cloud: string;
  readonly physical: { readonly schema: string; readonly name: string };
  /** its names are hidden from its cloud: what stands for them there; absent: they are shown */
  readonly opaque?: OpaqueNames;
  /** in attnum order, without dropped ones */
  readonly columns: readonly LogicalColumn[];
  /** highest column number ever given, so that a dropped one is not used again; absent: the highest there is */
  readonly columnNumberLast?: number;
  readonly keys: readonly KeyConstraint[];
  /** in the order of their names; absent: there are none */
  readonly checks?: readonly TrustedCheck[];
  /** in the order in which they were made; absent: there are none */
  readonly exclusions?: readonly TrustedExclusion[];
  /** in the order of their indexes; absent: there are none */
  readonly computedKeys?: readonly ComputedKey[];
  /** numbers of the tables that it inherits from, or whose partition it is; absent: none */
  readonly parents?: readonly number[];
  /** it has partitions, and no rows of its own */
  readonly partitioned?: true;
  /** partitioned tables: keys to which foreign keys refer; absent: none */
  readonly referredKeys?: readonly ReferredKey[];
  /** partitions: keys of its rows that are collected with those of other partitions; absent: none */
  readonly collectedKeys?: readonly CollectedKey[];
  /** partitions: who sees to it that it holds its own rows only; `trusted` where the cloud cannot tell */
  readonly bounds?: 'cloud' | 'trusted';
  /**
   * It is a materialised view: one of the cloud's own (`cloud`), or a physical table that the trusted side fills, which
   * is `protected` whatever its columns are. Absent: a table.
   */
  readonly materialised?: 'cloud' | 'populated' | 'unpopulated';
}

/** Is it a materialised view that the trusted side fills? */
export const isFilled = ({ materialised }: Pick<LogicalTable, 'materialised'>): boolean =>
  materialised === 'populated' || materialised === 'unpopulated';

/** Name of the hidden physical column that holds the row id. */
export const ROW_COLUMN = 'clarus_row';
/** Name of the physical column by which rows are told that have their new values, while a statement gives them. */
export const SEEN_COLUMN = 'clarus_refilled';

/** A snapshot of the catalogue of one cloud database. */
export interface Catalog {
  readonly version: number;
  readonly policyVersion: number;
  readonly policy: Policy;
  /** by shadow OID; every user table that Clarus knows, unprotected ones too */
  readonly tables: ReadonlyMap<number, LogicalTable>;
  /** true: the policy lists no table, `unlisted` is `pass` and every table is open; bytes go through untouched */
  readonly passThrough: boolean;
}

/** A table by its logical name, or undefined. */
export function tableNamed(catalog: Catalog, schema: string, name: string): LogicalTable | undefined {
  for (const table of catalog.tables.values())
    if (table.schema === schema && table.name === name) return table;
  return undefined;
}

/** A table by its immutable number, or undefined. */
export function tableNumbered(catalog: Catalog, number: number): LogicalTable | undefined {
  for (const table of catalog.tables.values()) if (table.number === number) return table;
  return undefined;
}

/** Is one of the columns protected? @param attnums in the shadow schema */
export const readsProtected = ({ columns }: LogicalTable, attnums: readonly number[]): boolean =>
  columns.some(({ attnum, protection }) => protection !== undefined && attnums.includes(attnum));

/** What the trusted side computes of a row for its unique indexes. No statement can name such a column. */
export const computedColumns = ({ computedKeys }: Pick<LogicalTable, 'computedKeys'>): LogicalColumn[] =>
  (computedKeys ?? []).flatMap(({ keys }) => keys.filter(key => typeof key !== 'number'));

/** All that a row has in the cloud, what is computed for unique indexes too. */
export const storedWith = (
  table: Pick<LogicalTable, 'columns' | 'computedKeys'>,
): readonly LogicalColumn[] =>
  table.computedKeys ? [...table.columns, ...computedColumns(table)] : table.columns;

/** Protected columns that are computed anew when some are written. @param names of those that are written */
export function generatedWith(table: LogicalTable, names: readonly string[]): readonly LogicalColumn[] {
  const written = table.columns.filter(({ name }) => names.includes(name)).map(({ number }) => number);
  return storedWith(table).filter(({ generatedFrom }) =>
    generatedFrom?.some(number => written.includes(number)),
  );
}

/** Has a table protected columns that the trusted side computes from others? */
export const generates = (table: LogicalTable): boolean =>
  storedWith(table).some(({ generatedFrom }) => generatedFrom !== undefined);

/** The encoding of a kind that a column has, or undefined. */
export function encodingOf(column: LogicalColumn, kind: string): EncodedColumn | undefined {
  return column.protection?.encodings.find(e => e.kind === kind)?.encoded;
}

/**
 * A change of the catalogue as data: pure to apply in memory, and stored in the journal as redo.
 * `oid`s are shadow OIDs at the time of the change; recovery resolves them again by name after replaying DDL.
 */
export type CatalogChange =
  | { readonly kind: 'put-table'; readonly table: LogicalTable }
  | { readonly kind: 'drop-table'; readonly number: number }
  | {
      readonly kind: 'put-policy';
      readonly policy: Policy;
      readonly origin: string;
      /** what the file says, where the policy is the file's; labels that stand may say otherwise */
      readonly file?: Policy;
    };

/** Logical DDL as the session's user ran it in the shadow database. */
export interface RedoneDdl {
  readonly user: string;
  /** role of the application that the session acted as; absent: its own */
  readonly role?: string;
  readonly searchPath: string;
  readonly sql: string;
  /** values by name of further settings by which PostgreSQL read it; absent: those that a server begins with */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What a transaction changed on the trusted side: replayed by recovery when the cloud committed and we did not. */
export interface Redo {
  /** in order */
  readonly ddl: readonly RedoneDdl[];
  readonly changes: readonly CatalogChange[];
  /** entries of encodings' state, the last change of each; absent: none */
  readonly state?: readonly EncodingStateChange[];
}

/** Does a commit change the schema, or only the state of encodings? */
export const changesSchema = ({ ddl, changes }: Redo): boolean => ddl.length + changes.length > 0;
