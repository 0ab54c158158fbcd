import type { Endpoint } from './endpoint.js';
import type { GatewayOptions, LocalUser, ServerConnection } from './options.js';
import type { Greeted } from './startup.js';

/** What both modes of a session can do. */
export interface Mode {
  /** nothing asked is unanswered */
  readonly idle: boolean;
  /** transaction status as the client sees it; counts when idle */
  readonly status: 'I' | 'T' | 'E';
  /** the server has told the client itself that it ends the connection */
  readonly fatalTold: boolean;
  /** the sockets are about to be read */
  start(): void;
  /** @throws ClarusError FATAL */
  clientData(chunk: Buffer): void;
  /** @throws ClarusError FATAL */
  serverData(chunk: Buffer): void;
  /** the cloud's socket takes bytes again */
  serverDrained(): void;
  /** the client's socket takes bytes again */
  clientDrained(): void;
  /** the catalogue changed */
  catalogChanged(): void;
  /** asks the servers to cancel what is running; resolves when a new statement cannot be hit */
  cancel(): Promise<void>;
  /** the session ends: lets go of what it holds beside the sockets */
  close(): void;
}

/** The session that a mode works for. */
export interface ModeHost {
  readonly options: GatewayOptions;
  readonly user: LocalUser;
  readonly processId: number;
  readonly greeted: Greeted;
  readonly client: Endpoint;
  readonly cloud: Endpoint;
  readonly connection: ServerConnection;
  readonly ended: boolean;
  /** goes over to careful mode. @param unread bytes of the client that belong to it */
  becomeCareful(unread: Buffer): void;
  /** goes back to pass-through. @param unread bytes of the client, and of the server, that belong to it */
  becomePassThrough(unread: Buffer, unreadOfServer: Buffer): void;
  /** everything asked is answered */
  becameIdle(): void;
  /** the client said Terminate: what it sent before still happens */
  clientLeft(): void;
  /** ends the session with a last word to the client */
  terminate(error: unknown): void;
  /** does work in the name of the session: what it throws ends the session */
  guard(work: () => void): void;
}
