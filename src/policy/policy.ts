/**
 * The policy as data (version 1): what `clarus.yaml` says, after parsing and validation.
 * Pure: no secrets in it, only references to them (but for a loopback server's password inside its URL).
 */

/** Classes of statistical disclosure control. */
export type ColumnClass = 'identifier' | 'quasi-identifier' | 'confidential' | 'non-confidential';
/** All classes, the most identifying first. */
export const columnClasses: readonly ColumnClass[] = [
  'identifier',
  'quasi-identifier',
  'confidential',
  'non-confidential',
];

/** Kinds of question a policy lets the cloud answer over a protected column. */
export type QueryKind = 'equality' | 'range' | 'order' | 'prefix' | 'substring' | 'words' | 'paths' | 'sum';
/** All query kinds, in the order in which policies are written and compared. */
export const queryKinds: readonly QueryKind[] = [
  'equality',
  'range',
  'order',
  'prefix',
  'substring',
  'words',
  'paths',
  'sum',
];

/** How a column is protected. */
export type Protection = 'encrypt' | 'none';
/** All protections. */
export const protections: readonly Protection[] = ['encrypt', 'none'];

/** A place in a policy file, for messages. Lines and columns count from 1. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A secret by reference: `env:NAME` or `file:PATH`. Never the secret itself. */
export type SecretReference =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string };

/** What the policy says of one column. */
export interface ColumnPolicy {
  readonly name: string;
  readonly class: ColumnClass | undefined;
  readonly protect: Protection;
  readonly queries: readonly QueryKind[];
  /** the tag domain; undefined: the column is its own domain */
  readonly domain: string | undefined;
  readonly position: SourcePosition | undefined;
}

/** What the policy says of one table, by its logical name. */
export interface TablePolicy {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly ColumnPolicy[];
  readonly position: SourcePosition | undefined;
}

/** What happens to a table that the policy does not list. */
export type Unlisted = 'refuse' | 'encrypt' | 'pass';

/** The part of the file that is a numbered policy version in the trusted database. */
export interface Policy {
  readonly unlisted: Unlisted;
  /** the cloud sees opaque names of protected tables and of what belongs to them; absent: their own */
  readonly names?: 'hidden';
  /** targets that protected values may reach in the clear: `schema.table` or `schema.table.column` */
  readonly declassify: readonly string[];
  readonly tables: readonly TablePolicy[];
}

/** A password by reference, or the one that stood in the URL of a loopback server. */
export type ServerPassword = SecretReference | { readonly kind: 'url'; readonly password: string };

/** How a PostgreSQL server is reached. */
export interface ServerConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: ServerPassword | undefined;
  /** verify (default): TLS with verification; off: plain, allowed for loopback or when the config says so */
  readonly tls: 'verify' | 'off';
  /** file of certificates (PEM) to verify the server with; undefined: those the system trusts */
  readonly ca: string | undefined;
}

/** An untrusted PostgreSQL. */
export interface CloudConfig extends ServerConfig {
  readonly name: string;
}

/** Who may connect to the proxy. */
export interface UserConfig {
  readonly name: string;
  readonly password: SecretReference;
  /** a cloud user of its own; undefined: the user of the cloud's URL */
  readonly cloud: { readonly user: string; readonly password: SecretReference } | undefined;
}

/** Something to say loudly at start and in `check`. */
export interface ConfigWarning {
  readonly message: string;
  readonly position: SourcePosition | undefined;
}

/** Everything `clarus.yaml` says. Paths are absolute (resolved against the file). */
export interface Config {
  readonly file: string;
  readonly trusted: {
    /** `url` never holds a password */
    readonly database: 'embedded' | (ServerConfig & { readonly url: string });
    readonly directory: string;
    readonly key:
      | { readonly kind: 'file'; readonly path: string }
      | { readonly kind: 'env'; readonly name: string };
  };
  readonly clouds: readonly CloudConfig[];
  readonly listen: { readonly postgres: { readonly host: string; readonly port: number } };
  readonly tls: { readonly certificate: string; readonly key: string } | 'self-made' | 'off';
  readonly audit: 'acts' | 'statements' | 'rows';
  readonly users: readonly UserConfig[];
  readonly limits: Limits;
  /** worker processes; undefined: one a core */
  readonly workers: number | undefined;
  readonly policy: Policy;
  /** things to say loudly (a plain remote connection, a password in a URL, unlisted: pass) */
  readonly warnings: readonly ConfigWarning[];
}

/** Every limit has a default (docs/configuration.md) and is configurable under `limits:`. */
export interface Limits {
  /** largest message taken from a client, bytes */
  readonly message_bytes_max: number;
  readonly connections_max: number;
  readonly prepared_statements_max: number;
  readonly portals_max: number;
  /** 0: never */
  readonly idle_timeout_ms: number;
  readonly authentication_timeout_ms: number;
  /** plans kept in a worker */
  readonly plans_max: number;
  /** bytes buffered for one client that does not read, before its cloud connection is paused */
  readonly client_buffer_bytes_max: number;
  /** rows that one statement may fetch to be finished on the trusted side */
  readonly split_rows_max: number;
  /** bytes of those rows */
  readonly split_bytes_max: number;
  /** drain time on SIGTERM */
  readonly drain_timeout_ms: number;
}

/** The limits of a file that sets none. */
export const defaultLimits: Limits = {
  message_bytes_max: 256 * 1024 * 1024,
  connections_max: 100,
  prepared_statements_max: 10_000,
  portals_max: 1_000,
  idle_timeout_ms: 0,
  authentication_timeout_ms: 60_000,
  plans_max: 5_000,
  client_buffer_bytes_max: 1024 * 1024,
  split_rows_max: 1_000_000,
  split_bytes_max: 1024 * 1024 * 1024,
  drain_timeout_ms: 30_000,
};
