import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ClarusError } from '../errors.js';
import { FrameReader } from '../wire/frame-reader.js';
import type { CancelRequest } from '../wire/messages.js';
import { startupLimits } from '../wire/protocol.js';
import { Endpoint } from './endpoint.js';
import { asFatal, describeCause, describeDefect, errorMessage } from './failure.js';
import { ConnectionClosed, FrameSource } from './frame-source.js';
import type { GatewayOptions, ServerConnection } from './options.js';
import { ProcessIds } from './process-ids.js';
import { adminShutdown, Session, type SessionOwner } from './session.js';
import { type Attempt, type Greeted, greet } from './startup.js';
import { loadIdentity, type ServerIdentity } from './tls.js';

/** Connections that the system keeps until they are accepted. */
export const backlog = 511;
/** How often idle times are looked at, milliseconds. */
const sweepInterval_ms = 1_000;

/** The PostgreSQL gateway: what clients connect to. */
export interface Gateway {
  /** Begins to accept connections. @throws Error of the operating system: EADDRINUSE, EACCES ... */
  listen(): Promise<void>;
  /** Begins to serve what `accept` is given, without a port of its own. */
  serve(): void;
  /** where it listens */
  address(): { readonly host: string; readonly port: number };
  /** sessions that are open now */
  readonly sessions: number;
  /**
   * Takes a connection that another process accepted.
   * @param elsewhere connections that other workers have; they count towards `connections_max`
   */
  accept(socket: Socket, elsewhere?: number): void;
  /** a CancelRequest that names a session of this worker, from another worker */
  cancel(processId: number, secretKey: Uint8Array): void;
  /**
   * Stops accepting, ends each session with 57P01 as soon as it is between transactions, and all that are left
   * when the time is over.
   */
  drain(timeout_ms: number): Promise<void>;
}

/** Makes a gateway. Nothing listens until `listen`. */
export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  return new PostgresGateway(options, await loadIdentity(options.tls, options.host));
}

class PostgresGateway implements Gateway, SessionOwner {
  readonly options: GatewayOptions;
  readonly #identity: ServerIdentity | undefined;
  readonly #server: Server;
  readonly #sessions = new Map<number, Session>();
  readonly #processIds: ProcessIds;
  /** connections in their startup phase */
  readonly #greeting = new Set<Socket>();
  #sweeper: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #drained: (() => void) | undefined;
  #draining = false;

  constructor(options: GatewayOptions, identity: ServerIdentity | undefined) {
    this.options = options;
    this.#identity = identity;
    this.#processIds = new ProcessIds(options.worker);
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, socket => this.accept(socket));
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  async listen(): Promise<void> {
    const { host, port } = this.options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port, backlog }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', error =>
      this.options.log?.('error', 'the listener failed', { what: describeDefect(error) }),
    );
    this.serve();
  }

  serve(): void {
    this.#sweeper = setInterval(() => {
      const now_ms = Date.now();
      for (const session of this.#sessions.values()) session.sweep(now_ms);
    }, sweepInterval_ms);
    this.#sweeper.unref();
    this.#unsubscribe = this.options.onCatalogChanged(() => {
      for (const session of this.#sessions.values()) session.catalogChanged();
    });
  }

  address(): { host: string; port: number } {
    const { address, port } = this.#server.address() as AddressInfo;
    return { host: address, port };
  }

  accept(socket: Socket, elsewhere = 0): void {
    this.options.count?.('connections_accepted');
    if (this.#greeting.size > this.options.limits.connections_max) {
      // a flood of connections that never log in must not fill memory
      socket.destroy();
      return;
    }
    void this.#welcome(socket, elsewhere);
  }

  cancel(processId: number, secretKey: Uint8Array): void {
    const session = this.#sessions.get(processId);
    if (session?.owns(secretKey)) session.cancel();
  }

  ended(session: Session): void {
    this.#sessions.delete(session.processId);
    this.#processIds.free(session.processId);
    this.options.count?.('sessions_closed');
    this.#recordEnd(session.processId, session.user.name);
    if (this.#sessions.size === 0) this.#drained?.();
  }

  async drain(timeout_ms: number): Promise<void> {
    this.#draining = true;
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()));
    for (const socket of this.#greeting) socket.destroy();
    const empty = new Promise<void>(resolve => {
      this.#drained = resolve;
    });
    for (const session of [...this.#sessions.values()]) session.drain();
    if (this.#sessions.size > 0) {
      const timer = setTimeout(() => {
        for (const session of [...this.#sessions.values()]) session.terminate(adminShutdown());
      }, timeout_ms);
      await empty;
      clearTimeout(timer);
    }
    clearInterval(this.#sweeper);
    this.#unsubscribe?.();
    await closed;
  }

  /** The life of a connection until it is a session, or not. */
  async #welcome(accepted: Socket, elsewhere: number): Promise<void> {
    let socket = accepted;
    socket.on('error', () => socket.destroy());
    this.#greeting.add(accepted);
    const attempt: Attempt = { user: '' };
    const frames = new FrameSource(socket, new FrameReader({ limits: startupLimits }));
    const timeout = setTimeout(
      () => frames.fail(new ConnectionClosed('authentication took too long')),
      this.options.limits.authentication_timeout_ms,
    );
    try {
      const greeted = await greet(socket, frames, this.options, this.#identity, attempt, secured => {
        socket = secured;
        secured.on('error', () => secured.destroy());
      });
      clearTimeout(timeout);
      if (greeted.kind === 'CancelRequest') {
        this.#route(greeted);
        new Endpoint(socket).part(undefined);
      } else await this.#open(greeted, frames, elsewhere);
    } catch (error) {
      this.#refuse(socket, attempt.user, error);
    } finally {
      clearTimeout(timeout);
      this.#greeting.delete(accepted);
    }
  }

  async #open(greeted: Greeted, frames: FrameSource, elsewhere: number): Promise<void> {
    const { limits } = this.options;
    if (this.#draining) throw adminShutdown();
    if (this.#sessions.size + this.#opening + elsewhere >= limits.connections_max) {
      throw new ClarusError('53300', 'sorry, too many clients already', {
        severity: 'FATAL',
        hint: 'Raise limits.connections_max, or keep fewer connections open.',
      });
    }
    this.#opening++;
    const processId = this.#processIds.take();
    try {
      const connection = await this.options.connectCloud(greeted.user, greeted.settings.settings);
      await this.#recordOpening(processId, greeted, connection);
      if (greeted.socket.destroyed || this.#draining) {
        connection.socket.destroy();
        this.#recordEnd(processId, greeted.user.name);
        throw adminShutdown();
      }
      const session = new Session(this, processId, greeted, connection);
      this.#sessions.set(processId, session);
      this.options.count?.('sessions_opened');
      session.start(frames.release());
    } catch (error) {
      this.#processIds.free(processId);
      throw error;
    } finally {
      this.#opening--;
    }
  }

  #opening = 0;

  /** No session begins that cannot be recorded. */
  async #recordOpening(session: number, greeted: Greeted, connection: ServerConnection): Promise<void> {
    try {
      const address = greeted.socket.remoteAddress ?? '';
      await this.options.audit?.({ kind: 'session-opened', session, user: greeted.user.name, address });
    } catch (error) {
      connection.socket.destroy();
      throw error;
    }
  }

  #recordEnd(session: number, user: string): void {
    void this.options.audit?.({ kind: 'session-closed', session, user })?.catch(() => undefined);
  }

  #route(request: CancelRequest): void {
    const worker = this.#processIds.workerOf(request.processId);
    if (worker === this.options.worker) this.cancel(request.processId, request.secretKey);
    else void this.options.cancels?.forward(worker, request.processId, request.secretKey);
  }

  #refuse(socket: Socket, user: string, error: unknown): void {
    this.options.count?.('connections_refused');
    if (error instanceof ConnectionClosed) {
      socket.destroy();
      return;
    }
    if (error instanceof ClarusError) {
      if (error.code === '28P01') this.options.count?.('authentications_failed');
      const address = socket.remoteAddress ?? '';
      void this.options
        .audit?.({ kind: 'login-refused', user, code: error.code, address })
        ?.catch(() => undefined);
      this.options.log?.('warning', 'a connection was refused', { code: error.code, reason: error.message });
    } else this.options.log?.('warning', 'a connection failed', { what: describeCause(error) });
    new Endpoint(socket).part(errorMessage(asFatal(error)));
  }
}
