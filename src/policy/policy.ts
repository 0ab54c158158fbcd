/**
 * The policy as data (version 1): what `clarus.yaml` says, after parsing and validation.
 * Pure: no secrets in it, only references to them.
 */

/** Classes of statistical disclosure control. */
export type ColumnClass = 'identifier' | 'quasi-identifier' | 'confidential' | 'non-confidential';
/** Kinds of question a policy lets the cloud answer over a protected column. */
export type QueryKind = 'equality' | 'range' | 'order' | 'prefix' | 'substring' | 'words' | 'paths' | 'sum';
export const queryKinds: readonly QueryKind[] = ['equality', 'range', 'order', 'prefix', 'substring', 'words', 'paths', 'sum'];

/** A place in a policy file, for messages. Lines and columns count from 1. */
export interface SourcePosition { readonly file: string; readonly line: number; readonly column: number }

/** A secret by reference: `env:NAME` or `file:PATH`. Never the secret itself. */
export type SecretReference = { readonly kind: 'env'; readonly name: string } | { readonly kind: 'file'; readonly path: string };

/** What the policy says of one column. */
export interface ColumnPolicy {
  readonly name: string;
  readonly class: ColumnClass | undefined;
  readonly protect: 'encrypt' | 'none';
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
  /** targets that protected values may reach in the clear: `schema.table` or `schema.table.column` */
  readonly declassify: readonly string[];
  readonly tables: readonly TablePolicy[];
}

export interface CloudConfig {
  readonly name: string;
  /** host, port, user and database of the cloud's PostgreSQL */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password: SecretReference | { readonly kind: 'url'; readonly password: string } | undefined;
  /** verify (default): TLS with verification; off: plain, allowed for loopback or when the config says so */
  readonly tls: 'verify' | 'off';
  readonly ca: string | undefined;
}

export interface UserConfig {
  readonly name: string;
  readonly password: SecretReference;
  readonly cloud: { readonly user: string; readonly password: SecretReference } | undefined;
}

/** Everything `clarus.yaml` says. Paths are absolute (resolved against the file). */
export interface Config {
  readonly file: string;
  readonly trusted: {
    readonly database: 'embedded' | { readonly url: string; readonly password: SecretReference | undefined };
    readonly directory: string;
    readonly key: { readonly kind: 'file'; readonly path: string } | { readonly kind: 'env'; readonly name: string };
  };
  readonly clouds: readonly CloudConfig[];
  readonly listen: { readonly postgres: { readonly host: string; readonly port: number } };
  readonly tls: { readonly certificate: string; readonly key: string } | 'self-made' | 'off';
  readonly audit: 'acts' | 'statements' | 'rows';
  readonly users: readonly UserConfig[];
  readonly limits: Limits;
  readonly workers: number | undefined;
  readonly policy: Policy;
  /** things to say loudly (a plain remote connection, a password in a URL, unlisted: pass) */
  readonly warnings: readonly { readonly message: string; readonly position: SourcePosition | undefined }[];
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
  /** drain time on SIGTERM */
  readonly drain_timeout_ms: number;
}
