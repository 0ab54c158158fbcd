import { MessageWriter } from '../wire/message-writer.js';
import type { TransactionStatus } from '../wire/messages.js';
import { backendTypes } from '../wire/protocol.js';
import type { Endpoint } from './endpoint.js';
import { Waiters } from './waiters.js';

/** Slices up to this size are copied beside their neighbours; longer ones are written on their own. */
const copiedBytesMax = 8 * 1024;

/** What tells of a statement that it was prepared, bound or described, or closed. */
const isPreparing: ReadonlySet<number> = new Set([
  backendTypes.parseComplete,
  backendTypes.bindComplete,
  backendTypes.closeComplete,
  backendTypes.parameterDescription,
  backendTypes.rowDescription,
  backendTypes.noData,
]);
/** Type and length of a message. */
const head_bytes = 5;
/** Bytes of such messages that are kept back. */
const preparingBytesMax = 4 * 1024;

/**
 * What goes to the client, in order: messages that we word and slices of what servers sent. Gathered while a
 * chunk is worked on and written at once; adjoining slices stay one.
 */
export class ClientOutput {
  /** messages that we word; `add` and `flush` keep the order */
  readonly writer = new MessageWriter();
  /** a message of the client is being worked on that later ones wait for */
  executing = false;
  /** Answers of a server are due, with which what is kept back is written. */
  awaits = (): boolean => false;
  readonly #endpoint: Endpoint;
  readonly #limit_bytes: number;
  readonly #count: (bytes: number) => void;
  #buffer: Buffer | undefined;
  #start = 0;
  #end = 0;
  readonly #waiting = new Waiters();
  #scheduled = false;

  /** @param limit_bytes bytes that may wait for a client that does not read */
  constructor(endpoint: Endpoint, limit_bytes: number, count: (bytes: number) => void) {
    this.#endpoint = endpoint;
    this.#limit_bytes = limit_bytes;
    this.#count = count;
  }

  /** Adds a slice of a buffer that nobody writes into again. */
  add(buffer: Buffer, start: number, end: number): void {
    if (this.#buffer === buffer && this.#end === start && this.writer.length === 0) {
      this.#end = end;
      return;
    }
    this.#settleSlice();
    if (end - start <= copiedBytesMax) this.writer.slice(buffer, start, end);
    else {
      this.#writeOut();
      this.#buffer = buffer;
      this.#start = start;
      this.#end = end;
    }
  }

  /** Adds whole messages. */
  bytes(messages: Uint8Array): void {
    const buffer = Buffer.isBuffer(messages)
      ? messages
      : Buffer.from(messages.buffer, messages.byteOffset, messages.length);
    this.add(buffer, 0, buffer.length);
  }

  /** The writer, with everything before it in order. */
  message(): MessageWriter {
    this.#settleSlice();
    return this.writer;
  }

  /** Adds ReadyForQuery. */
  ready(status: TransactionStatus): void {
    const writer = this.message();
    writer.begin(backendTypes.readyForQuery);
    writer.uint8(status.charCodeAt(0));
    writer.end();
  }

  /** Writes what was gathered to the socket. */
  flush(): void {
    if ((this.executing || this.awaits()) && this.#onlyPreparing) return;
    this.#settleSlice();
    this.#writeOut();
  }

  /**
   * Sees to it that what was added gets written when the work at hand has come to rest: every write is a call of
   * the system, which costs more than all else that a small statement needs.
   */
  flushSoon(): void {
    if (this.writer.length > copiedBytesMax) {
      this.flush();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** More waits for the client than may wait, and the socket will say when it has been taken. */
  get full(): boolean {
    const { socket } = this.#endpoint;
    return socket.writableNeedDrain && socket.writableLength + this.writer.length > this.#limit_bytes;
  }

  /** As `full`, for whoever adds much without a pause: what has been gathered is written before it gets too much. */
  get overfull(): boolean {
    if (this.writer.length > this.#limit_bytes) this.flush();
    return this.full;
  }

  /** Resolves when the client has taken what waits for it. */
  room(): Promise<void> {
    return this.#waiting.wait();
  }

  /** The socket has taken everything. */
  drained(): void {
    this.#waiting.release();
  }

  /**
   * Nothing waits but what tells that statements were prepared: while one is executed PostgreSQL sends that no sooner
   * either (pq_flush in postgres.c comes with Sync and Flush), and a write of its own would wake the client for nothing.
   */
  get #onlyPreparing(): boolean {
    if (this.#buffer !== undefined) return false;
    const { buffer, position, length } = this.writer;
    if (length > preparingBytesMax) return false;
    let at = position - length;
    // parts of long messages are forwarded too, so that a length may be any bytes
    for (; at + head_bytes <= position; at += 1 + buffer.readUInt32BE(at + 1))
      if (!isPreparing.has(buffer[at]!)) return false;
    return at === position;
  }

  #settleSlice(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    this.#buffer = undefined;
    this.#write(buffer.subarray(this.#start, this.#end));
  }

  #writeOut(): void {
    if (this.writer.length > 0) this.#write(this.writer.take());
  }

  #write(bytes: Buffer): void {
    if (this.#endpoint.parting) return;
    this.#count(bytes.length);
    this.#endpoint.socket.write(bytes);
  }
}
