import { ClarusError } from '../errors.js';
import { type FrameLimits, startupLimits } from './protocol.js';

/** How many bytes an unfinished frame reserves at first; it grows with the bytes that really arrive. */
const firstReserve_bytes = 1024;
const nothing = Buffer.alloc(0);

/**
 * Cuts a byte stream into the frames of the PostgreSQL protocol.
 *
 * Frames that lie whole in a chunk are shown in place; only one that spans chunks is copied together. A frame's
 * length is checked against the limit of its type before any of it is kept, and memory grows with the bytes
 * received, not with the length promised.
 *
 * After `next()` returned true the frame is `buffer[start .. end)`, its body `buffer[body .. end)`. Consecutive
 * frames of one chunk adjoin, so a caller that forwards several may join them into one slice while `buffer` is
 * the same. Views stay valid as long as the caller leaves the chunk alone; the reader never reuses memory.
 *
 * Frames whose type is marked in `streamed` are not collected: they come as *runs*, one view over as many whole
 * and partial streamed frames as adjoin in the chunk. `frames` counts those that begin in the run. That is the
 * way of bytes that are only forwarded: a row of 1 GB passes without being held.
 *
 * @example
 * reader.push(chunk);
 * while (reader.next()) {
 *   if (reader.type === backendTypes.readyForQuery) status = reader.buffer[reader.body]!;
 * }
 */
export class FrameReader {
  /** first byte of the frame; 0 for an untagged frame and for a run that begins inside a frame */
  type = 0;
  /** where the bytes are */
  buffer: Buffer = nothing;
  /** first byte of the frame or run */
  start = 0;
  /** first byte after type and length; in a run equal to `start` */
  body = 0;
  /** one past the last byte */
  end = 0;
  /** true when the view is a run of streamed frames */
  run = false;
  /** frames that begin in the view: 1, or in a run any number */
  frames = 0;

  /** true: frames begin with a type byte; false: startup phase. Change it only between frames. */
  tagged: boolean;
  /** limits in force; change them only between frames */
  limits: FrameLimits;
  /** 1 for types that are streamed; undefined: none. A change holds from the next frame on. */
  streamed: Uint8Array | undefined;

  #chunk: Buffer = nothing;
  #position = 0;
  /** bytes of a frame that the last chunk left unfinished */
  #held: Buffer = nothing;
  #heldLength = 0;
  /** bytes of a streamed frame that are still to come */
  #streaming = 0;

  /** A reader starts in the startup phase unless told otherwise. */
  constructor(options: { tagged?: boolean; limits?: FrameLimits; streamed?: Uint8Array | undefined } = {}) {
    this.tagged = options.tagged ?? false;
    this.limits = options.limits ?? startupLimits;
    this.streamed = options.streamed;
  }

  /**
   * Gives the next chunk of the stream. Frames of the one before must have been read (`next()` returned false);
   * if not, their bytes are kept in front of the chunk.
   */
  push(chunk: Buffer): void {
    if (this.#position < this.#chunk.length) {
      this.#chunk = Buffer.concat([this.#chunk.subarray(this.#position), chunk]);
    } else {
      this.#chunk = chunk;
    }
    this.#position = 0;
  }

  /**
   * Moves to the next frame or run.
   * @returns false when more bytes are needed
   * @throws ClarusError FATAL 08P01 (type unknown in this state, length impossible) or 54000 (above the limit);
   *   the stream cannot be read on after that
   */
  next(): boolean {
    if (this.#heldLength > 0) return this.#nextHeld();
    if (this.#streaming > 0) return this.#nextRun(this.#position, 0);
    const chunk = this.#chunk;
    const start = this.#position;
    const header = this.tagged ? 5 : 4;
    const available = chunk.length - start;
    if (available < header) {
      if (available > 0) this.#hold(header);
      return false;
    }
    const type = this.tagged ? chunk[start]! : 0;
    const size = this.#frameSize(chunk, start, header, type);
    if (this.streamed !== undefined && this.streamed[type] === 1) return this.#nextRun(start, type);
    if (size > available) {
      this.#hold(size);
      return false;
    }
    this.#show(type, chunk, start, start + header, start + size);
    this.#position = start + size;
    return true;
  }

  /** Type of the frame behind the one that is shown; undefined: nothing of it has come. */
  get nextType(): number | undefined {
    return this.#heldLength === 0 && this.#streaming === 0 ? this.#chunk[this.#position] : undefined;
  }

  /** Bytes pushed and not yet shown. More than 0 after SSLRequest means bytes slipped in before the TLS handshake. */
  get pending_bytes(): number {
    return this.#heldLength + this.#chunk.length - this.#position;
  }

  /** True between frames: nothing of an unfinished frame has been kept or streamed. */
  get atBoundary(): boolean {
    return this.#heldLength === 0 && this.#streaming === 0;
  }

  /** Takes the bytes not yet shown out of the reader, as when a connection changes hands. */
  takeRest(): Buffer {
    const rest = Buffer.concat([
      this.#held.subarray(0, this.#heldLength),
      this.#chunk.subarray(this.#position),
    ]);
    this.#held = nothing;
    this.#heldLength = 0;
    this.#chunk = nothing;
    this.#position = 0;
    return rest;
  }

  #show(type: number, buffer: Buffer, start: number, body: number, end: number): void {
    this.type = type;
    this.buffer = buffer;
    this.start = start;
    this.body = body;
    this.end = end;
    this.run = false;
    this.frames = 1;
  }

  /** Size of the frame with its header, checked. */
  #frameSize(buffer: Buffer, start: number, header: number, type: number): number {
    const at = start + header - 4;
    const length = (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;
    const limit = this.limits[type]!;
    if (limit === 0) throw this.#unknownType(type);
    if (length < 4) throw this.#impossibleLength();
    if (length > limit && !(this.streamed !== undefined && this.streamed[type] === 1)) {
      throw this.#tooLong(type, length, limit);
    }
    return length + header - 4;
  }

  /** Joins adjoining streamed frames from `start` on. */
  #nextRun(start: number, type: number): boolean {
    const chunk = this.#chunk;
    const chunkEnd = chunk.length;
    if (start === chunkEnd) return false;
    let at = start;
    let frames = 0;
    if (this.#streaming > 0) {
      const taken = Math.min(this.#streaming, chunkEnd - at);
      this.#streaming -= taken;
      at += taken;
    }
    const streamed = this.streamed;
    const header = this.tagged ? 5 : 4;
    while (streamed !== undefined && this.#streaming === 0 && chunkEnd - at >= header) {
      const next = this.tagged ? chunk[at]! : 0;
      if (streamed[next] !== 1) break;
      const size = this.#frameSize(chunk, at, header, next);
      const taken = Math.min(size, chunkEnd - at);
      this.#streaming = size - taken;
      at += taken;
      frames++;
    }
    this.#show(type, chunk, start, start, at);
    this.run = true;
    this.frames = frames;
    this.#position = at;
    return true;
  }

  /** Keeps what is left of the chunk as the beginning of a frame of `size` bytes (or of its header). */
  #hold(size: number): void {
    const available = this.#chunk.length - this.#position;
    this.#held = Buffer.allocUnsafe(Math.min(size, Math.max(firstReserve_bytes, 2 * available)));
    this.#chunk.copy(this.#held, 0, this.#position);
    this.#heldLength = available;
    this.#position = this.#chunk.length;
  }

  /** Goes on with a frame begun in an earlier chunk. */
  #nextHeld(): boolean {
    const header = this.tagged ? 5 : 4;
    if (!this.#fill(header)) return false;
    const type = this.tagged ? this.#held[0]! : 0;
    const size = this.#frameSize(this.#held, 0, header, type);
    if (this.streamed !== undefined && this.streamed[type] === 1) {
      const held = this.#held;
      const end = this.#heldLength;
      this.#held = nothing;
      this.#heldLength = 0;
      this.#streaming = size - end;
      this.#show(type, held, 0, 0, end);
      this.run = true;
      return true;
    }
    if (!this.#fill(size)) return false;
    this.#show(type, this.#held, 0, header, size);
    this.#held = nothing;
    this.#heldLength = 0;
    return true;
  }

  /** Moves bytes from the chunk until `size` bytes are held; false when the chunk ends before. */
  #fill(size: number): boolean {
    const missing = size - this.#heldLength;
    if (missing <= 0) return true;
    const taken = Math.min(missing, this.#chunk.length - this.#position);
    const needed = this.#heldLength + taken;
    if (needed > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.min(size, Math.max(firstReserve_bytes, 2 * needed)));
      this.#held.copy(grown, 0, 0, this.#heldLength);
      this.#held = grown;
    }
    this.#chunk.copy(this.#held, this.#heldLength, this.#position, this.#position + taken);
    this.#heldLength = needed;
    this.#position += taken;
    return needed === size;
  }

  #unknownType(type: number): ClarusError {
    return new ClarusError('08P01', `invalid message type ${type} in this state`, { severity: 'FATAL' });
  }

  #impossibleLength(): ClarusError {
    const message = this.tagged ? 'invalid message length' : 'invalid length of startup packet';
    return new ClarusError('08P01', message, { severity: 'FATAL' });
  }

  #tooLong(type: number, length: number, limit: number): ClarusError {
    if (!this.tagged) return this.#impossibleLength();
    return new ClarusError('54000', `message of ${length} bytes is longer than the limit of ${limit} bytes`, {
      severity: 'FATAL',
      detail: `The message's type is '${String.fromCharCode(type)}'.`,
      hint: 'Send less data in one message, or raise limits.message_bytes_max.',
    });
  }
}
