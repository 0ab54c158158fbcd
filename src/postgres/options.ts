/** What the gateway is made of: configuration and the ports that proxy.ts hands in. */
import type { Socket } from 'node:net';
import type { FetchedRows } from '../audit/events.js';
import type { Catalog } from '../catalog/catalog.js';
import type { Payloads } from '../crypto/payloads.js';
import type { Limits } from '../policy/policy.js';
import type { Plan } from '../sql/plan.js';
import type { RowAction, ZoneSource } from '../sql/ports.js';
import type { SessionEncodingState } from '../trusted/encoding-state.js';
import type { ScramVerifier } from '../wire/scram.js';
import type { ResidualOptions } from './carriers.js';
import type { CommitCoordinator, Planner } from './planner-port.js';

/** A user who may log in to the proxy. */
export interface LocalUser {
  readonly name: string;
  readonly verifier: ScramVerifier;
}

/** An authenticated connection to a PostgreSQL server that has sent its first ReadyForQuery. */
export interface ServerConnection {
  readonly socket: Socket;
  /** what the server reported by ParameterStatus */
  readonly parameters: ReadonlyMap<string, string>;
  /** of its BackendKeyData */
  readonly processId: number;
  /** Sends a CancelRequest on a connection of its own; resolves when the server has closed that one. */
  cancel(): Promise<void>;
}

/**
 * Opens a connection for a user.
 * @param settings run-time settings for the startup message, `options` among them
 * @throws ClarusError or PostgresError in one line
 */
export type Connect = (user: LocalUser, settings: ReadonlyMap<string, string>) => Promise<ServerConnection>;

/** Brings a CancelRequest to the worker whose session it names. */
export interface CancelRouter {
  /** @param worker number taken from the process id */
  forward(worker: number, processId: number, secretKey: Uint8Array): void | Promise<void>;
}

/** Events worth counting. */
export type GatewayCounter =
  | 'connections_accepted'
  | 'connections_refused'
  | 'authentications_failed'
  | 'sessions_opened'
  | 'sessions_closed'
  | 'statements'
  | 'errors'
  | 'cancels'
  | 'bytes_from_clients'
  | 'bytes_to_clients';

/** What the gateway tells the audit journal. No statement text and no values. */
export type GatewayEvent =
  | {
      readonly kind: 'session-opened';
      readonly session: number;
      readonly user: string;
      readonly address: string;
    }
  | { readonly kind: 'session-closed'; readonly session: number; readonly user: string }
  | { readonly kind: 'login-refused'; readonly user: string; readonly code: string; readonly address: string }
  | {
      readonly kind: 'statement';
      readonly session: number;
      readonly user: string;
      /** counts the statements of the session */
      readonly number: number;
      readonly plan: Plan;
    }
  | {
      readonly kind: 'statement-end';
      readonly session: number;
      readonly user: string;
      readonly number: number;
      /** returned or written */
      readonly rows: number;
      /** SQLSTATE when it failed */
      readonly code: string | undefined;
      /** by a split statement; undefined: it was none */
      readonly fetched: readonly FetchedRows[] | undefined;
      readonly duration_ms: number;
    }
  | {
      readonly kind: 'rows';
      readonly session: number;
      readonly user: string;
      readonly number: number;
      /** schema.table */
      readonly table: string;
      readonly action: RowAction;
      readonly rows: readonly number[];
    };

/** Structured log lines; never with values. */
export type Logger = (
  level: 'info' | 'warning' | 'error',
  message: string,
  fields?: Readonly<Record<string, string | number | boolean>>,
) => void;

/** What a gateway is made with: where it listens, whom it lets in, and the ports behind it. */
export interface GatewayOptions {
  /** number of this worker, 0 to 2046; part of every process id told to clients */
  readonly worker: number;
  readonly host: string;
  /** 0: a free one is picked */
  readonly port: number;
  /** the one database served; a client that names another gets 3D000 */
  readonly database: string;
  /** PEM texts; `off` answers SSLRequest with N */
  readonly tls: { readonly certificate: string; readonly key: string } | 'self-made' | 'off';
  readonly users: ReadonlyMap<string, LocalUser>;
  readonly limits: Limits;
  readonly planner: Planner;
  readonly commits: CommitCoordinator;
  /** payloads of notifications */
  readonly payloads: Payloads;
  /** time zones, for all sessions; absent: the trusted database is asked value by value */
  readonly zones?: ZoneSource;
  /** state of encodings for one session; absent: no encoding has any */
  readonly encodingState?: () => SessionEncodingState;
  /** the catalogue in force in this worker */
  catalog(): Catalog;
  /** tells of each new catalogue; returns what ends the telling */
  onCatalogChanged(listener: () => void): () => void;
  readonly connectCloud: Connect;
  readonly connectTrusted: Connect;
  readonly cancels?: CancelRouter;
  /** absent: what no encoding answers is refused */
  readonly residual?: ResidualOptions | undefined;
  readonly count?: (counter: GatewayCounter, amount?: number) => void;
  /**
   * Takes events for the audit journal, without waiting where it can.
   * @returns a promise when nothing more may be served before it resolves: the journal has no room. It rejects
   *   with the error to tell when the journal cannot be written
   */
  readonly audit?: (event: GatewayEvent) => Promise<void> | undefined;
  /** the journal wants to know which rows are opened and written */
  readonly auditsRows?: boolean;
  readonly log?: Logger;
}
