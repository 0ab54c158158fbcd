import { randomBytes, timingSafeEqual } from 'node:crypto';
import { ClarusError } from '../errors.js';
import { PostgresError } from '../wire/diagnostic.js';
import { writeBackend } from '../wire/encode-backend.js';
import { MessageWriter } from '../wire/message-writer.js';
import { frontendTypes, startupCodes } from '../wire/protocol.js';
import { CarefulMode } from './careful.js';
import { Endpoint, holds } from './endpoint.js';
import { asFatal, describeDefect, errorMessage } from './failure.js';
import type { Mode, ModeHost } from './mode.js';
import type { GatewayOptions, LocalUser, ServerConnection } from './options.js';
import { PassThroughMode } from './pass-through-mode.js';
import type { Greeted } from './startup.js';

/** What a session asks of the gateway that owns it. */
export interface SessionOwner {
  readonly options: GatewayOptions;
  /** the session is over; its number may be used again */
  ended(session: Session): void;
}

/** Length of the cancel key that we tell, bytes: 3.0 knows only 4, for 3.2 PostgreSQL takes 32. */
const secretBytes = (version: number): number => (version >= startupCodes.version_3_2 ? 32 : 4);

/**
 * One client and the servers that work for it. It owns the sockets and their end; what the bytes mean is the
 * matter of its mode: pass-through, or careful once the database has protected tables.
 */
export class Session implements ModeHost {
  /** told to the client as process id */
  readonly processId: number;
  readonly greeted: Greeted;
  readonly client: Endpoint;
  readonly cloud: Endpoint;
  readonly connection: ServerConnection;
  readonly owner: SessionOwner;
  readonly #secretKey: Buffer;
  #mode: Mode;
  /** when the client last sent something, milliseconds */
  #active_ms = Date.now();
  #cancelling: Promise<void> | undefined;
  /** what the client sent while a cancel request was under way */
  #waiting: Buffer[] = [];
  #draining = false;
  #ended = false;

  constructor(owner: SessionOwner, processId: number, greeted: Greeted, connection: ServerConnection) {
    this.owner = owner;
    this.processId = processId;
    this.greeted = greeted;
    this.connection = connection;
    this.client = new Endpoint(greeted.socket);
    this.cloud = new Endpoint(connection.socket);
    this.#secretKey = randomBytes(secretBytes(greeted.version));
    this.#mode = owner.options.catalog().passThrough ? new PassThroughMode(this) : new CarefulMode(this);
  }

  get user(): LocalUser {
    return this.greeted.user;
  }

  get options(): GatewayOptions {
    return this.owner.options;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Tells the client that it is in, and begins. @param rest bytes that it sent already */
  start(rest: Buffer): void {
    const { socket: client } = this.client;
    const { socket: cloud } = this.cloud;
    client.write(this.#welcome());
    this.#mode.start();
    client.on('data', chunk => this.#onClientData(chunk));
    client.on('drain', () => this.guard(() => this.#mode.clientDrained()));
    client.on('close', () => this.#end(undefined));
    client.on('error', () => this.#end(undefined));
    cloud.on('data', chunk => this.guard(() => this.#mode.serverData(chunk)));
    cloud.on('drain', () => this.guard(() => this.#mode.serverDrained()));
    cloud.on('end', () => this.#serverLost());
    cloud.on('close', () => this.#serverLost());
    if (rest.length > 0) this.#onClientData(rest);
    if (!this.client.held) client.resume();
    if (!this.cloud.held) cloud.resume();
  }

  /** Is this the key that the client was told? Takes the same time for every wrong one. */
  owns(secretKey: Uint8Array): boolean {
    return secretKey.length === this.#secretKey.length && timingSafeEqual(secretKey, this.#secretKey);
  }

  /**
   * Cancels the request that is running now, if one is. The client's next bytes wait until the servers have
   * taken note, so that a late cancel cannot hit the next statement.
   */
  cancel(): void {
    if (this.#ended || this.#mode.idle || this.#cancelling !== undefined) return;
    this.options.count?.('cancels');
    this.client.hold(holds.cancelling);
    this.#cancelling = this.#mode
      .cancel()
      .catch(() => this.options.log?.('warning', 'a cancel request could not be delivered'))
      .then(() => {
        this.#cancelling = undefined;
        const waiting = this.#waiting;
        this.#waiting = [];
        for (const chunk of waiting) this.#onClientData(chunk);
        this.client.release(holds.cancelling);
      });
  }

  /** Goes over to careful mode. @param unread bytes of the client that belong to it */
  becomeCareful(unread: Buffer): void {
    const careful = new CarefulMode(this);
    this.#mode = careful;
    careful.start();
    careful.adopt();
    if (unread.length > 0) this.#onClientData(unread);
  }

  /** Goes back to pass-through: the database still has no protected table. */
  becomePassThrough(unread: Buffer, unreadOfServer: Buffer): void {
    this.#mode.close();
    this.#mode = new PassThroughMode(this);
    this.#mode.start();
    if (unreadOfServer.length > 0) this.#mode.serverData(unreadOfServer);
    this.#onClientData(unread);
  }

  catalogChanged(): void {
    this.guard(() => this.#mode.catalogChanged());
  }

  /** Ends as soon as nothing would be lost: between transactions. */
  drain(): void {
    this.#draining = true;
    this.becameIdle();
  }

  /** A mode tells that everything asked is answered. */
  becameIdle(): void {
    this.#active_ms = Date.now();
    if (this.#draining && this.#mode.idle && this.#mode.status === 'I') this.terminate(adminShutdown());
  }

  /** Ends sessions that have been idle for too long. @param now_ms the clock */
  sweep(now_ms: number): void {
    const limit_ms = this.options.limits.idle_timeout_ms;
    if (limit_ms === 0 || !this.#mode.idle || now_ms - this.#active_ms < limit_ms) return;
    this.terminate(
      new ClarusError('57P05', 'terminating connection due to idle-session timeout', { severity: 'FATAL' }),
    );
  }

  /** Ends the session with a last word to the client. */
  terminate(error: unknown): void {
    this.#end(error);
  }

  /** The client said Terminate: what it sent before still happens. */
  clientLeft(): void {
    this.#end(undefined);
  }

  #onClientData(chunk: Buffer): void {
    if (this.#ended) return;
    this.#active_ms = Date.now();
    this.options.count?.('bytes_from_clients', chunk.length);
    if (this.#cancelling !== undefined) {
      this.#waiting.push(chunk);
      return;
    }
    this.guard(() => this.#mode.clientData(chunk));
  }

  /** Does work in the name of the session: what it throws ends the session. */
  guard(work: () => void): void {
    if (this.#ended) return;
    try {
      work();
    } catch (error) {
      this.terminate(error);
    }
  }

  #serverLost(): void {
    if (this.#mode.fatalTold) {
      this.#end(undefined);
      return;
    }
    this.#end(
      new ClarusError('08006', 'the connection to the cloud was lost', {
        severity: 'FATAL',
        hint: 'Connect again; a transaction that was running there has been rolled back.',
      }),
    );
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#waiting = [];
    const lastWord = error === undefined ? undefined : errorMessage(asFatal(error));
    if (error !== undefined) this.options.count?.('errors');
    if (error !== undefined && !(error instanceof ClarusError) && !(error instanceof PostgresError)) {
      this.options.log?.('error', 'a session ended by a defect', {
        session: this.processId,
        what: describeDefect(error),
      });
    }
    this.client.part(lastWord);
    const writer = new MessageWriter(16);
    writer.empty(frontendTypes.terminate);
    this.cloud.part(writer.take(), undefined);
    this.#mode.close();
    this.owner.ended(this);
  }

  #welcome(): Buffer {
    const writer = new MessageWriter();
    writeBackend(writer, { kind: 'Authentication', method: 'ok' });
    const { applicationName = '' } = this.greeted.settings;
    for (const [name, value] of this.connection.parameters) {
      const told = name === 'application_name' ? applicationName : value;
      writeBackend(writer, { kind: 'ParameterStatus', name, value: told });
    }
    writeBackend(writer, {
      kind: 'BackendKeyData',
      processId: this.processId,
      secretKey: this.#secretKey,
    });
    writeBackend(writer, { kind: 'ReadyForQuery', status: 'I' });
    return writer.take();
  }
}

/** What a client is told when the proxy stops. */
export const adminShutdown = (): ClarusError =>
  new ClarusError('57P01', 'terminating connection due to administrator command', { severity: 'FATAL' });
