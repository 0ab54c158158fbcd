import { ClarusError } from '../errors.js';
import { decodeBackend } from '../wire/decode-backend.js';
import { type Diagnostic, PostgresError } from '../wire/diagnostic.js';
import { writeFrontend } from '../wire/encode-frontend.js';
import { FrameReader } from '../wire/frame-reader.js';
import { MessageWriter } from '../wire/message-writer.js';
import type { TransactionStatus } from '../wire/messages.js';
import { backendLimits, backendTypes, messageBytesMax } from '../wire/protocol.js';
import type { Backend } from './backend.js';
import type { Request } from './request.js';

/** What a client is told beside the answers to its questions. */
export interface ClientEvents {
  notice?(diagnostic: Diagnostic): void;
  notification?(channel: string, payload: string, processId: number): void;
  /** the connection is gone. @param error undefined when it was closed by us */
  close?(error: ClarusError | undefined): void;
}

/**
 * Requests on their way over a backend, and the loop that brings each its answer, in order.
 *
 * A request's messages are written to `writer`, then `send` queues it and lets them go.
 */
export class Exchange {
  readonly writer = new MessageWriter();
  readonly #backend: Backend;
  readonly #events: ClientEvents;
  readonly #reader = new FrameReader({ tagged: true, limits: backendLimits(messageBytesMax) });
  readonly #requests: Request[] = [];
  #status: TransactionStatus = 'I';
  /** error after which the server skips everything until Sync */
  #skipping: PostgresError | undefined;
  /** why nothing more can be asked */
  #ended: ClarusError | undefined;
  /** true while a handler of rows has asked for time */
  #waiting = false;
  #drained: (() => void)[] = [];

  constructor(backend: Backend, events: ClientEvents) {
    this.#backend = backend;
    this.#events = events;
    backend.listen({
      chunk: chunk => {
        this.#reader.push(chunk);
        this.#read();
      },
      drain: () => this.#wakeWriters(),
      close: error => this.#end(error),
    });
  }

  /** State of the transaction at the last ReadyForQuery. */
  get transactionStatus(): TransactionStatus {
    return this.#status;
  }

  /** True when nothing more can be asked. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Queues a request whose messages stand in `writer`, and sends them. */
  send(request: Request): void {
    if (this.#ended !== undefined) {
      this.writer.discard();
      request.fail(this.#ended);
      return;
    }
    this.#requests.push(request);
    if (this.#skipping !== undefined) this.#skip(this.#skipping);
    this.flush();
  }

  /** Sends what stands in `writer`. @returns false when the socket is full: await `drained` */
  flush(): boolean {
    return this.#backend.write(this.writer.take());
  }

  /** Resolves when more may be written, or never will. */
  drained(): Promise<void> {
    return new Promise(resolve => {
      this.#drained.push(resolve);
    });
  }

  /** Reads frames until the chunk ends or somebody needs time. */
  #read(): void {
    const reader = this.#reader;
    try {
      while (!this.#waiting && reader.next()) {
        const pause = this.#take(reader);
        if (pause !== undefined) this.#wait(pause);
      }
    } catch (error) {
      // what the server sends cannot be understood any more
      const cause = error instanceof Error ? error.message : String(error);
      this.#backend.destroy();
      this.#end(new ClarusError('08P01', `${this.#backend.options.label} broke the protocol: ${cause}`));
    }
  }

  /** Holds up the server while a handler works. */
  #wait(pause: Promise<void>): void {
    this.#waiting = true;
    this.#backend.pause();
    pause.then(() => {
      this.#waiting = false;
      this.#backend.resume();
      this.#read();
    });
  }

  /** Takes one message. @returns what to wait for before the next, if anything */
  #take(reader: FrameReader): Promise<void> | undefined {
    const { type, buffer, body, end } = reader;
    const request = this.#requests[0];
    if (type === backendTypes.dataRow) return request?.row(buffer, body, end);
    const message = decodeBackend(type, buffer, body, end);
    switch (message.kind) {
      case 'NoticeResponse':
        this.#events.notice?.(message.diagnostic);
        return undefined;
      case 'NotificationResponse':
        this.#events.notification?.(message.channel, message.payload, message.processId);
        return undefined;
      case 'ParameterStatus':
        this.#backend.parameters.set(message.name, message.value);
        return undefined;
      case 'ErrorResponse':
        this.#failed(new PostgresError(message.diagnostic));
        return undefined;
      case 'ReadyForQuery':
        this.#ready(message.status);
        return undefined;
      case 'CommandComplete':
      case 'EmptyQueryResponse':
      case 'PortalSuspended':
        return this.#complete(message.kind === 'CommandComplete' ? message.tag : '');
      case 'RowDescription':
        request?.describe(message.fields);
        return undefined;
      case 'CopyInResponse':
        request?.onCopyIn?.();
        if (request?.onCopyIn === undefined) {
          writeFrontend(this.writer, { kind: 'CopyFail', message: 'no data was prepared' });
          this.flush();
        }
        return undefined;
      case 'CopyData':
        return request?.copyData(message.data);
      default:
        return undefined;
    }
  }

  #complete(tag: string): Promise<void> | undefined {
    const request = this.#requests[0];
    if (request === undefined) return undefined;
    const pause = request.complete(tag);
    if (request.end === 'flush') {
      this.#requests.shift();
      request.succeed(pause);
    }
    return pause;
  }

  #failed(error: PostgresError): void {
    const request = this.#requests[0];
    if (request === undefined) {
      // FATAL, as when an administrator ends the session
      this.#ended ??= new ClarusError(error.code, error.message, { severity: 'FATAL' });
      return;
    }
    request.error ??= error;
    if (request.end === 'flush') this.#skip(error);
  }

  /** After an error the server ignores every request until the next Sync. */
  #skip(error: PostgresError): void {
    this.#skipping = error;
    while (this.#requests[0]?.end === 'flush') this.#requests.shift()!.fail(error);
  }

  #ready(status: TransactionStatus): void {
    this.#status = status;
    const request = this.#requests.shift();
    const skipped = this.#skipping;
    this.#skipping = undefined;
    if (request === undefined) return;
    if (request.error === undefined && skipped !== undefined && !request.bare) request.error = skipped;
    if (request.error !== undefined) request.fail(request.error);
    else request.succeed();
  }

  #end(error: ClarusError | undefined): void {
    this.#ended ??=
      error ?? new ClarusError('08003', `the connection to ${this.#backend.options.label} is closed`);
    for (const request of this.#requests.splice(0)) request.fail(request.error ?? this.#ended);
    this.#wakeWriters();
    this.#events.close?.(error);
  }

  #wakeWriters(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const wake of waiting) wake();
  }
}
