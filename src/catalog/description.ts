/**
 * A database's schema as its own pg_catalog tells it: what the shadow schema or a cloud really holds. Names in
 * SQL texts are qualified (read under an empty search_path), so that the texts mean the same anywhere.
 */
import type { TypeRef } from '../encodings/encoding.js';

/** Parameters of a sequence that a column owns. */
export interface DescribedSequence {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly type: string;
  readonly start: string;
  readonly increment: string;
  readonly minimum: string;
  readonly maximum: string;
  readonly cache: string;
  readonly cycle: boolean;
}

/** A column that is not dropped (pg_attribute with pg_attrdef). */
export interface DescribedColumn {
  readonly attnum: number;
  readonly name: string;
  readonly type: TypeRef;
  /** as format_type writes it, qualified */
  readonly typeName: string;
  /** OID of a user-defined type that the column needs (element type of an array), or 0 */
  readonly userType: number;
  /** qualified, where it is not the type's own */
  readonly collation: string | null;
  readonly notNull: boolean;
  /** expression of DEFAULT or of the generated column */
  readonly default: string | null;
  readonly identity: '' | 'a' | 'd';
  readonly generated: '' | 's' | 'v';
  /** attnums that a generated column's expression reads */
  readonly generatedFrom: readonly number[];
  /** the sequence of a serial or identity column */
  readonly sequence: DescribedSequence | null;
}

/** A constraint of a table (pg_constraint). */
export interface DescribedConstraint {
  readonly oid: number;
  readonly name: string;
  /** pg_constraint.contype: primary key, unique, foreign key, check, exclusion, constraint trigger */
  readonly kind: 'p' | 'u' | 'f' | 'c' | 'x' | 't';
  /** attnums, in the constraint's order; 0 stands for the whole row */
  readonly columns: readonly number[];
  /** as ALTER TABLE ... ADD CONSTRAINT takes it */
  readonly definition: string;
  readonly references: {
    readonly table: number;
    readonly columns: readonly number[];
    /** the equality operator of each pair: referenced column on the left, referencing one on the right */
    readonly operators: readonly {
      readonly oid: number;
      readonly name: string;
      readonly left: number;
      readonly right: number;
    }[];
  } | null;
  /** pg_constraint.confupdtype, confdeltype, confmatchtype */
  readonly onUpdate: string;
  readonly onDelete: string;
  readonly match: string;
  /** attnums that ON DELETE SET NULL and SET DEFAULT set, since PostgreSQL 15; empty: all of the key */
  readonly deleteColumns: readonly number[];
  readonly deferrable: boolean;
  readonly deferred: boolean;
  readonly validated: boolean;
  readonly nullsNotDistinct: boolean;
  /** WITHOUT OVERLAPS or PERIOD (PostgreSQL 18) */
  readonly period: boolean;
  /** inherited from a partitioned parent: not made by itself */
  readonly inherited: boolean;
  /** foreign keys that refer to a partitioned table: what PostgreSQL calls them where a row of a partition is concerned */
  readonly parts: readonly { readonly name: string; readonly schema: string; readonly table: string }[];
}

/** An index (pg_index), that of a constraint included. */
export interface DescribedIndex {
  readonly oid: number;
  readonly name: string;
  readonly unique: boolean;
  readonly method: string;
  /** key columns: attnums, 0 for an expression */
  readonly columns: readonly number[];
  /** every column that the index reads: keys, expressions, predicate, INCLUDE */
  readonly reads: readonly number[];
  readonly predicate: string | null;
  /** an expression or the predicate reads the whole row, or a column of the system */
  readonly readsRow: boolean;
  /** false: an operator class of users, or a nondeterministic collation, decides what is equal */
  readonly usualEquality: boolean;
  readonly nullsNotDistinct: boolean;
  /** one a key, of a unique index of expressions or with a predicate; null: it is none */
  readonly keys: readonly DescribedIndexKey[] | null;
  /** CREATE INDEX as pg_get_indexdef writes it */
  readonly definition: string;
  /** 0 where no constraint owns the index */
  readonly constraint: number;
  /** part of an index of a partitioned table: not made by itself */
  readonly inherited: boolean;
}

/** A key of an index. */
export interface DescribedIndexKey {
  /** a column or an expression, as pg_get_indexdef writes it */
  readonly sql: string;
  readonly type: TypeRef;
  readonly typeName: string;
  /** it is a label of an enum */
  readonly isEnum: boolean;
}

/** What rows a partition may hold. */
export interface DescribedPartition {
  /** a condition on its columns, of all its ancestors' bounds; null: any row */
  readonly constraint: string | null;
  /** names of the columns by which its ancestors are partitioned */
  readonly columns: readonly string[];
  /** false: some ancestor is partitioned by hash or by an expression */
  readonly plain: boolean;
  /** some ancestor is partitioned by an expression */
  readonly computed: boolean;
}

/** What holds rows: a table, partitioned or foreign table, or materialised view (pg_class). */
export interface DescribedTable {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relkind: table, partitioned table, foreign table, materialised view */
  readonly kind: 'r' | 'p' | 'f' | 'm';
  /** pg_class.relpersistence: permanent, unlogged, temporary */
  readonly persistence: 'p' | 'u' | 't';
  readonly parents: readonly number[];
  readonly hasChildren: boolean;
  readonly partitionKey: string | null;
  readonly partitionBound: string | null;
  readonly partition: DescribedPartition | null;
  readonly rowSecurity: boolean;
  /** pg_class.relispopulated: false for a materialised view that cannot be read yet */
  readonly populated: boolean;
  /** a materialised view's query, a foreign table's server: what CREATE needs beyond columns */
  readonly query: string | null;
  readonly columns: readonly DescribedColumn[];
  readonly constraints: readonly DescribedConstraint[];
  readonly indexes: readonly DescribedIndex[];
}

/** Anything that is not a table: its identity, and the DDL that makes it. */
export interface DescribedObject {
  readonly kind:
    | 'schema'
    | 'extension'
    | 'enum'
    | 'domain'
    | 'composite'
    | 'range'
    | 'sequence'
    | 'function'
    | 'view'
    | 'trigger'
    | 'rule';
  readonly oid: number;
  readonly schema: string;
  /** quoted and qualified, with argument types where there are any */
  readonly identity: string;
  /** undefined: no DDL can be derived (`reason` says why) */
  readonly ddl: string | null;
  readonly reason: string | null;
  /** triggers and rules: OID of their table */
  readonly table: number;
}

/** A whole database, without its rows. */
export interface DatabaseDescription {
  readonly serverVersion: number;
  readonly tables: readonly DescribedTable[];
  readonly objects: readonly DescribedObject[];
}
