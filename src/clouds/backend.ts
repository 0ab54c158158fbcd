import type { Socket } from 'node:net';
import { ClarusError } from '../errors.js';
import { writeFrontend, writeStartup } from '../wire/encode-frontend.js';
import { MessageWriter } from '../wire/message-writer.js';
import { connectError } from './connect-errors.js';
import { greet } from './handshake.js';
import { ConnectError, type ConnectionOptions } from './options.js';
import { openSocket, recordWrites } from './socket.js';

const connectTimeoutDefault_ms = 10_000;
/** How long `close` waits for the server to hang up. */
const closeTimeout_ms = 1_000;

/** Who is told what happens on a backend. */
export interface BackendHandlers {
  /** Bytes came. The chunk belongs to the receiver; nobody writes into it again. */
  chunk(chunk: Buffer): void;
  /** What was written has left: more may be written after a `write` that returned false. */
  drain?(): void;
  /** Told once, last. @param error undefined when we closed it ourselves */
  close(error: ClarusError | undefined): void;
}

/**
 * A connection to a PostgreSQL server, authenticated and ready: raw bytes in both directions. A session forwards
 * slices through it; whoever wants rows puts a BackendClient on it.
 *
 * It reads nothing until `listen` names who takes the bytes. Those who want the socket itself take `socket`
 * instead of `listen`; it is paused, and nothing that came is lost.
 *
 * @example
 * const backend = await Backend.connect({ label: 'cloud "main"', address, user, database, password, tls: 'verify' });
 * backend.listen({ chunk: bytes => reader.push(bytes), close: error => session.end(error) });
 * backend.write(writer.take());
 */
export class Backend {
  readonly options: ConnectionOptions;
  readonly socket: Socket;
  /** what the server reported by ParameterStatus until it was ready */
  readonly parameters: Map<string, string>;
  readonly processId: number;
  readonly secretKey: Uint8Array;
  #handlers: BackendHandlers | undefined;
  #failure: Error | undefined;
  #closing = false;
  #closed: Promise<void>;

  private constructor(
    options: ConnectionOptions,
    socket: Socket,
    greeting: { parameters: Map<string, string>; processId: number; secretKey: Uint8Array; rest: Buffer },
  ) {
    this.options = options;
    this.socket = socket;
    this.parameters = greeting.parameters;
    this.processId = greeting.processId;
    this.secretKey = greeting.secretKey;
    this.#closed = new Promise(resolve => {
      socket.once('close', () => {
        this.#handlers?.close(this.#closing ? undefined : this.#lost());
        resolve();
      });
    });
    socket.on('error', error => {
      this.#failure ??= error;
    });
    if (greeting.rest.length > 0) socket.unshift(greeting.rest);
  }

  /**
   * Connects, authenticates and waits until the server is ready.
   * @throws ConnectError one line, with cause and remedy: 08001, 28P01 (password), or the server's SQLSTATE
   */
  static async connect(options: ConnectionOptions): Promise<Backend> {
    return withDeadline(options, async opened => {
      const socket = await openSocket(options, opened);
      if (options.record !== undefined) recordWrites(socket, options.record);
      return new Backend(options, socket, await greet(socket, options));
    });
  }

  /** Names who takes bytes and events from now on, instead of who did before; reading begins. */
  listen(handlers: BackendHandlers): void {
    const { socket } = this;
    const first = this.#handlers === undefined;
    this.#handlers = handlers;
    if (first) {
      socket.on('data', (chunk: Buffer) => this.#handlers!.chunk(chunk));
      socket.on('drain', () => this.#handlers!.drain?.());
      // a server that hangs up is gone for both directions
      socket.on('end', () => socket.destroy());
    }
    socket.resume();
  }

  /** Sends bytes. @returns false when the socket is full: wait for `drain` */
  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes);
  }

  /** Bytes written that the operating system has not yet taken. */
  get unsent_bytes(): number {
    return this.socket.writableLength;
  }

  /** Stops reading: the server is held up when its client does not read. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** True while the connection can be written to. */
  get open(): boolean {
    return this.socket.writable && !this.#closing;
  }

  /**
   * Asks the server to cancel what this connection does, on a connection of its own, inside TLS if this one is.
   * Resolves when the server has taken note; whether there was anything to cancel is not told.
   * @throws ConnectError 08001
   */
  async cancel(): Promise<void> {
    const writer = new MessageWriter(32);
    writeStartup(writer, { kind: 'CancelRequest', processId: this.processId, secretKey: this.secretKey });
    await withDeadline(this.options, async opened => {
      const socket = await openSocket(this.options, opened);
      if (this.options.record !== undefined) recordWrites(socket, this.options.record);
      socket.on('error', () => socket.destroy());
      const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
      socket.end(writer.take());
      socket.resume();
      await closed;
    });
  }

  /** Ends the session in order. Resolves when the connection is gone. */
  async close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      const { socket } = this;
      const writer = new MessageWriter(16);
      writeFrontend(writer, { kind: 'Terminate' });
      if (socket.writable) socket.end(writer.take());
      socket.resume();
      const deadline = setTimeout(() => socket.destroy(), closeTimeout_ms);
      socket.once('close', () => clearTimeout(deadline));
    }
    await this.#closed;
  }

  /** Ends the connection at once; the server notices when it next reads or writes. */
  destroy(): void {
    this.#closing = true;
    this.socket.destroy();
  }

  #lost(): ClarusError {
    const reason = this.#failure !== undefined && 'code' in this.#failure ? ` (${this.#failure.code})` : '';
    return new ClarusError('08006', `the connection to ${this.options.label} was lost${reason}`);
  }
}

/** Runs a task that opens sockets; when it fails or takes too long they are destroyed. */
async function withDeadline<Result>(
  options: ConnectionOptions,
  task: (opened: (socket: Socket) => void) => Promise<Result>,
): Promise<Result> {
  const sockets: Socket[] = [];
  const timeout_ms = options.connectTimeout_ms ?? connectTimeoutDefault_ms;
  const cause = `no answer within ${timeout_ms} ms`;
  let expired = false;
  const deadline = setTimeout(() => {
    expired = true;
    for (const socket of sockets) socket.destroy();
  }, timeout_ms);
  try {
    return await task(socket => {
      sockets.push(socket);
    });
  } catch (error) {
    for (const socket of sockets) {
      socket.on('error', () => socket.destroy());
      socket.destroy();
    }
    if (expired) throw connectError(options, cause, 'check host, port and firewalls', true);
    throw error;
  } finally {
    clearTimeout(deadline);
  }
}

/**
 * Connects, and where trying again may help does so, each time after twice the wait.
 * @param retry.attempts at most so many, at least 1
 * @param retry.firstWait_ms default 100; a wait is at most `longestWait_ms`, default 5,000, and varies by a
 *   quarter, so that many sessions do not come back together
 * @throws ConnectError of the last attempt, or at once one that will not go away
 */
export async function connectWithBackoff(
  options: ConnectionOptions,
  retry: { attempts: number; firstWait_ms?: number; longestWait_ms?: number; signal?: AbortSignal },
): Promise<Backend> {
  let wait_ms = retry.firstWait_ms ?? 100;
  for (let attempt = 1; ; attempt++) {
    try {
      return await Backend.connect(options);
    } catch (error) {
      const again = error instanceof ConnectError && error.transient && attempt < retry.attempts;
      if (!again || retry.signal?.aborted === true) throw error;
    }
    const varied_ms = wait_ms * (0.75 + Math.random() / 2);
    await new Promise<void>(resolve => {
      const done = (): void => {
        clearTimeout(timer);
        retry.signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, varied_ms);
      retry.signal?.addEventListener('abort', done);
    });
    wait_ms = Math.min(2 * wait_ms, retry.longestWait_ms ?? 5_000);
  }
}
