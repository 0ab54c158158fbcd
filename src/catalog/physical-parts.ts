/** The parts of a physical table as data. Each has a key that survives renaming, so that two states compare. */
import { type LogicalTable, ROW_COLUMN } from './catalog.js';
import type { DescribedSequence } from './description.js';
import type { Encodings } from './encodings-for.js';
import { NAME_BYTES_MAX } from './quote.js';

/** A column in the cloud: an application's own in the clear, the row id, or one of an encoding. */
export interface PhysicalColumn {
  readonly key: string;
  readonly name: string;
  /** SQL type, with COLLATE where it is not the type's own */
  readonly type: string;
  /** equal where the type is the same under another name */
  readonly typeKey: string;
  readonly notNull: boolean;
  readonly default: string | undefined;
  readonly generated:
    | {
        readonly expression: string;
        readonly kind: 's' | 'v';
        /** the expression as the shadow schema has it, by which two states are compared */
        readonly said: string;
      }
    | undefined;
  readonly identity: 'a' | 'd' | undefined;
  readonly sequence: DescribedSequence | undefined;
  readonly storage: 'external' | undefined;
}

/** A constraint in the cloud: CHECK, PRIMARY KEY or UNIQUE (`key`), FOREIGN KEY. */
export interface PhysicalConstraint {
  readonly key: string;
  readonly name: string;
  readonly kind: 'check' | 'key' | 'foreign';
  /** as it stands after ADD CONSTRAINT name */
  readonly definition: string;
}

/** An index in the cloud that CREATE INDEX makes, not a constraint. */
export interface PhysicalIndex {
  readonly key: string;
  readonly name: string;
  /** the whole CREATE INDEX */
  readonly definition: string;
}

/** A table beside the rows that an encoding owns. */
export interface PhysicalSideTable {
  /** qualified and quoted */
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** A table of the cloud that collects a key of the rows of all partitions, for foreign keys to refer to (key-tables.ts). */
export interface PhysicalKeyTable {
  /** qualified and quoted */
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** What keeps the key of a partition's rows in such a table. */
export interface PhysicalCollector {
  readonly key: string;
  /** name of its function, which its triggers have too */
  readonly name: string;
  /** qualified name of the table */
  readonly keyTable: string;
  /** number of the partition */
  readonly partition: number;
  /** names of the columns of the partition, and of those of the table, in order */
  readonly columns: readonly { readonly own: string; readonly collected: string }[];
}

/** A table as the cloud holds it, with the side tables of its encodings. */
export interface PhysicalTable {
  readonly schema: string;
  readonly name: string;
  /** word of DROP; only tables are made from this form */
  readonly relation: 'TABLE' | 'MATERIALIZED VIEW' | 'FOREIGN TABLE';
  readonly unlogged: boolean;
  readonly columns: readonly PhysicalColumn[];
  readonly constraints: readonly PhysicalConstraint[];
  readonly indexes: readonly PhysicalIndex[];
  readonly sideTables: readonly PhysicalSideTable[];
  /** qualified name of the table whose one row is changed by whoever writes rows that may conflict; absent: none */
  readonly exclusionLock?: string;
  /** of a partitioned table; absent: none */
  readonly keyTables?: readonly PhysicalKeyTable[];
  /** of a partition; absent: none */
  readonly collectors?: readonly PhysicalCollector[];
}

/** SQL of the shadow schema in the names that a cloud knows (opaque.ts). Each throws ClarusError 0A000 for what it cannot spell. */
export interface Spelling {
  /** an expression over columns of one table */
  expression(text: string): string;
  /** a constraint as it stands after ADD CONSTRAINT name */
  constraint(definition: string): string;
  /** a whole CREATE INDEX */
  index(definition: string): string;
}

/** What deriving needs beside the table itself. */
export interface PhysicalContext {
  /** by the tables of the catalogue as the statement leaves them */
  readonly spelling: Spelling;
  readonly registry: Encodings;
  /** another table of the catalogue by its shadow OID */
  readonly tableOf: (oid: number) => LogicalTable | undefined;
}

/** What the names of the checks and indexes of an encoding's column end in (physical.ts, physical-indexes.ts). */
export const formSuffixes = ['_check', '_check1', '_null', '_index'] as const;

/** Bytes of the name of an encoding's column, so that those of its checks and indexes hold the whole of it. */
export const FORM_BYTES_MAX = NAME_BYTES_MAX - Math.max(...formSuffixes.map(({ length }) => length));

/** Name of the unique index on the row id. */
export const rowIndexName = (table: number): string => `${ROW_COLUMN}_${table}`;
