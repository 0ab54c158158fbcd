import type { Socket } from 'node:net';

/** Why an endpoint is not read at the moment; bits, because several reasons may hold at once. */
export const holds = {
  /** the other side takes no more bytes for now */
  full: 1,
  /** a message is being worked on */
  busy: 2,
  /** a cancel request is under way: the next statement must not be hit */
  cancelling: 4,
  /** the client does not read what it has been answered */
  unread: 8,
} as const;

/** Bytes that a connection which is going away may still send before it is cut. */
const discardedBytesMax = 1024 * 1024;
/** How long a client may take to read our last message, milliseconds. */
const farewellTime_ms = 2_000;

/** One side of a session: a socket with reasons to pause it, and with a way to part in good order. */
export class Endpoint {
  readonly socket: Socket;
  #holds = 0;
  #parting = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
  }

  /** No longer part of the session. */
  get parting(): boolean {
    return this.#parting;
  }

  /** True while any reason holds. */
  get held(): boolean {
    return this.#holds !== 0;
  }

  hold(reason: number): void {
    if (this.#holds === 0) this.socket.pause();
    this.#holds |= reason;
  }

  release(reason: number): void {
    if (this.#holds === 0) return;
    this.#holds &= ~reason;
    if (this.#holds === 0 && !this.#parting) this.socket.resume();
  }

  /**
   * Sends last bytes and closes; what the peer still sends is thrown away. The peer gets the bytes even when it
   * is in the middle of sending: closing at once would reset the connection and could take them away.
   * @param time_ms when to cut the connection at the latest; undefined: when the peer closes
   */
  part(bytes: Uint8Array | undefined, time_ms: number | undefined = farewellTime_ms): void {
    if (this.#parting) return;
    this.#parting = true;
    const { socket } = this;
    if (socket.destroyed) return;
    let discarded_bytes = 0;
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => {
      discarded_bytes += chunk.length;
      if (discarded_bytes > discardedBytesMax) socket.destroy();
    });
    socket.resume();
    if (bytes === undefined) socket.end();
    else socket.end(bytes);
    if (time_ms === undefined) return;
    const timer = setTimeout(() => socket.destroy(), time_ms);
    timer.unref();
    socket.once('close', () => clearTimeout(timer));
  }
}
