/** What a table of the catalogue is derived from. */
import type { Policy } from '../policy/policy.js';
import type { LogicalTable } from './catalog.js';
import type { DescribedTable } from './description.js';
import type { Encodings } from './encodings-for.js';

/** Numbers that are never given twice, reserved durably on the trusted side; gaps are legal. */
export interface CatalogNumbers {
  /** a table's number, with its key made */
  table(): Promise<number>;
  /** catalogue-wide counter in physical names */
  generation(): Promise<number>;
  /** the number of a named domain, or of a new one of its own; with its key made */
  domain(name: string | undefined): Promise<number>;
}

/** Something to tell the client with what was done. */
export interface DeriveNotice {
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** What one table of the catalogue is derived from. */
export interface DeriveInput {
  readonly described: DescribedTable;
  /** the catalogue's table of this OID, before the statement */
  readonly previous: LogicalTable | undefined;
  readonly policy: Policy;
  readonly cloud: string;
  readonly registry: Encodings;
  readonly numbers: CatalogNumbers;
  /** all tables of the catalogue, as this statement leaves them so far */
  readonly tables: ReadonlyMap<number, LogicalTable>;
  /** another table of the catalogue by its shadow OID, as this statement leaves it */
  readonly tableOf: (oid: number) => LogicalTable | undefined;
  /** attnums of this table that foreign keys of other tables refer to */
  readonly referenced?: readonly number[];
  /** columns of a partitioned table to which each foreign key refers, by attnums; absent: those that are known already */
  readonly referredKeys?: readonly (readonly number[])[];
  /** true: columns that exist take the policy's protection too (an empty table whose policy changes) */
  readonly reprotect?: boolean;
  /** true: a new materialised view is filled by the trusted side, and not the cloud's own */
  readonly fills?: boolean;
  /** names of columns of which the statement computes new values, also where their types stay */
  readonly converted?: ReadonlySet<string>;
}
