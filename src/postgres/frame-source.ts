import type { Socket } from 'node:net';
import { FrameReader } from '../wire/frame-reader.js';

/** The peer went away before what was awaited came. */
export class ConnectionClosed extends Error {
  override readonly name: string = 'ConnectionClosed';
}

/**
 * Frames of a socket by awaiting them, one at a time: for the startup phase, where nothing is fast and
 * everything is in order. The socket is paused while nobody waits, so a peer cannot fill memory.
 */
export class FrameSource {
  readonly reader: FrameReader;
  #socket: Socket;
  #wake: (() => void) | undefined;
  #closed: Error | undefined;
  #first: number | undefined;
  readonly #onData = (chunk: Buffer): void => {
    this.#socket.pause();
    this.#first ??= chunk[0];
    this.reader.push(chunk);
    this.#wake?.();
  };
  readonly #onClose = (): void => {
    this.#closed ??= new ConnectionClosed('connection closed');
    this.#wake?.();
  };

  constructor(socket: Socket, reader = new FrameReader()) {
    this.#socket = socket;
    this.reader = reader;
    this.#attach();
  }

  /**
   * Waits for the next frame; afterwards it stands in `reader`.
   * @throws ConnectionClosed when the peer is gone; ClarusError of the reader
   */
  async next(): Promise<FrameReader> {
    for (;;) {
      if (this.reader.next()) return this.reader;
      await this.#more();
    }
  }

  /** Waits for the first byte of the stream without taking it. */
  async firstByte(): Promise<number> {
    while (this.#first === undefined) await this.#more();
    return this.#first;
  }

  /** Goes on with another socket over the first, as after a TLS handshake. */
  switchTo(socket: Socket): void {
    this.#detach();
    this.#socket = socket;
    this.#attach();
  }

  /** Ends an awaited `next` with an error. */
  fail(error: Error): void {
    this.#closed ??= error;
    this.#wake?.();
  }

  /** Lets go of the socket, paused. @returns bytes that came and were not read */
  release(): Buffer {
    this.#socket.pause();
    this.#detach();
    return this.reader.takeRest();
  }

  async #more(): Promise<void> {
    if (this.#closed) throw this.#closed;
    await new Promise<void>(resolve => {
      this.#wake = resolve;
      this.#socket.resume();
    });
    this.#wake = undefined;
  }

  #attach(): void {
    this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onClose);
    this.#socket.on('close', this.#onClose);
    this.#socket.pause();
  }

  #detach(): void {
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onClose);
    this.#socket.off('close', this.#onClose);
  }
}
