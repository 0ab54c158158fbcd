/**
 * Plans: what planning makes of one statement. Immutable, shared by the sessions of a worker, keyed as
 * docs/architecture.md says. The gateway executes `pass`, `trusted`, `transaction`, `setting` and the
 * session-level kinds itself; what touches protected tables is a `ProtectedPlan`, which `Sql.bind` (index.ts) makes a
 * portal of that runs over the session's ports (ports.ts).
 */

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

/**
 * What the role that the session acts as must be allowed, where others than a backend that acts as it run the plan
 * (acting/needs.ts).
 */
export interface RightsNeeded {
  /** the trusted PostgreSQL starts them, and says what is not permitted */
  readonly tries: readonly PhysicalStatement[];
  /** shadow OIDs of functions that it must be allowed to call */
  readonly functions: readonly number[];
  /** sequences by their shadow OIDs, with rights of which it must have one */
  readonly sequences: readonly { readonly oid: number; readonly rights: string }[];
}

/** SET ROLE, SET SESSION AUTHORIZATION and their kin. */
export interface RoleChange {
  readonly setting: 'role' | 'session_authorization';
  /** undefined: back to the session's own */
  readonly to: string | undefined;
  /** SET LOCAL */
  readonly local: boolean;
}

/** Which servers of the session a setting is for. */
export type SettingSides = 'both' | 'cloud' | 'trusted';

/** Settings whose values are known: what runs, and where. */
export interface KnownSettings {
  readonly sql: string;
  readonly sides: SettingSides;
  readonly set: readonly { readonly name: string; readonly local: boolean }[];
  /** what of it the trusted side is to follow, where that is not all; absent: all */
  readonly followed?: string;
}

/** Figures of relations that a query of the catalogue tells, of which the cloud is asked before it runs (figures.ts). */
export interface Figures {
  /** names of functions of the server */
  readonly functions: readonly string[];
  /** columns of pg_class, as reltuples */
  readonly estimates: boolean;
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
      /** MOVE: it returns no rows */
      readonly moves?: true;
      /** CLOSE; without a cursor: CLOSE ALL */
      readonly closes?: true;
      /** DECLARE: the cursor that it makes */
      readonly declares?: Pick<CursorDeclaration, 'name' | 'hold'>;
      /** it reads pg_cursors */
      readonly listsCursors?: true;
      readonly needs?: RightsNeeded;
    }
  /**
   * FETCH and MOVE in a cursor whose rows the trusted PostgreSQL keeps: what `pass` becomes in a session that has it.
   * `binary`: the simple protocol gives its rows in binary form.
   */
  | {
      readonly kind: 'cursor';
      readonly sql: string;
      readonly shape: Shape;
      readonly cursor: string;
      readonly binary: boolean;
      readonly localised: boolean;
    }
  /** catalogue query: the trusted PostgreSQL executes `sql` on the shadow schema */
  | {
      readonly kind: 'trusted';
      readonly sql: string;
      readonly shape: Shape;
      readonly copy?: 'out';
      readonly once?: true;
      readonly homed?: true;
      readonly figures?: Figures;
      /** it is about temporary tables of the session; what writes them commits with the session's transaction */
      readonly temporary?: 'reads' | 'writes';
      /** it changes what the catalogue estimates of relations */
      readonly estimates?: true;
    }
  | { readonly kind: 'transaction'; readonly action: TransactionAction }
  /** SET, RESET, SET LOCAL, SET SESSION CHARACTERISTICS, SET TRANSACTION: run on both sides, or on one */
  | {
      readonly kind: 'setting';
      readonly sql: string;
      readonly sides: SettingSides;
      /** it says which role the session acts as: the trusted side's, for the cloud has one user for all */
      readonly role?: RoleChange;
    }
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
  | {
      readonly kind: 'execute';
      readonly name: string;
      readonly arguments: readonly string[];
      /** EXPLAIN EXECUTE: `EXPLAIN (...) `, and what it returns */
      readonly explain?: { readonly sql: string; readonly columns: readonly OutputColumn[] };
    }
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
  /** a SELECT that writes */
  readonly writes?: true;
  /** what a split statement stores, beside what its body tells: columns by the number of their table */
  readonly stores?: readonly { readonly table: number; readonly columns: readonly string[] }[];
  /** columns that the policy declassifies and that protected values come to, as `schema.table.column` */
  readonly declassifies?: readonly string[];
  /**
   * What the trusted PostgreSQL binds to say what PostgreSQL says at Bind: the statement itself where it writes,
   * else one that only takes the same parameters
   */
  readonly check?: PhysicalStatement;
  /** absent: it was planned for the session's own role */
  readonly needs?: RightsNeeded;
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

/** A cursor whose rows the trusted PostgreSQL keeps. */
export interface CursorDeclaration {
  readonly name: string;
  /** WITH HOLD */
  readonly hold: boolean;
  readonly binary: boolean;
  /** what it returns is printed by the session's locale */
  readonly localised: boolean;
  readonly columns: readonly OutputColumn[];
}
