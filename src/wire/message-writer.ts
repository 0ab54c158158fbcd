import type { ByteColumn } from '../crypto/column.js';
import { backendTypes } from './protocol.js';

const slab_bytes = 16 * 1024;
/** Up to so many characters, names for instance, a loop takes less time than a native call. */
const shortText_max = 32;

/**
 * Builds messages one after the other in one growing buffer.
 *
 * Lengths are patched in place when a message or a field ends, so a codec writes straight into the output. The
 * bytes handed out by `take` are never written again: the writer goes on behind them in the same slab, and
 * starts a fresh slab when it is full. So they may be given to a socket without copying.
 *
 * Codecs that write many bytes call `reserve(size)` once, then set `buffer[position++]` themselves.
 *
 * @example
 * writer.begin(backendTypes.commandComplete);
 * writer.cstring('SELECT 1');
 * writer.end();
 * socket.write(writer.take());
 */
export class MessageWriter {
  /** where bytes go; changes when the writer grows, so read it anew after each `reserve` */
  buffer: Buffer;
  /** where the next byte goes */
  position = 0;
  /** first byte not yet taken */
  #from = 0;
  /** where the open message's length field is */
  #lengthAt = -1;
  readonly #slab_bytes: number;

  /** @param size size of a slab, bytes */
  constructor(size = slab_bytes) {
    this.#slab_bytes = size;
    this.buffer = Buffer.allocUnsafeSlow(size);
  }

  /** Bytes written and not yet taken. */
  get length(): number {
    return this.position - this.#from;
  }

  /** Makes room for `size` more bytes at `position`. */
  reserve(size: number): void {
    if (this.position + size > this.buffer.length) this.#grow(size);
  }

  /** Hands out everything written since the last `take`. No message may be open. */
  take(): Buffer {
    if (this.#lengthAt >= 0) throw new Error('a message is open');
    const taken = this.buffer.subarray(this.#from, this.position);
    this.#from = this.position;
    return taken;
  }

  /** Throws away what was written since the last `take`, an open message included. */
  discard(): void {
    this.position = this.#from;
    this.#lengthAt = -1;
  }

  /** Bytes written since the last `take`; the start of a message can be given to `truncate`. */
  mark(): number {
    return this.position - this.#from;
  }

  /** Goes back to a `mark`, closing an open message without a trace. */
  truncate(mark: number): void {
    this.position = this.#from + mark;
    this.#lengthAt = -1;
  }

  /** Begins a message. @param type its first byte */
  begin(type: number): void {
    this.reserve(5);
    this.buffer[this.position] = type;
    this.#lengthAt = this.position + 1 - this.#from;
    this.position += 5;
  }

  /** Begins an untagged message of the startup phase. */
  beginUntagged(): void {
    this.reserve(4);
    this.#lengthAt = this.position - this.#from;
    this.position += 4;
  }

  /** Ends the message: its length is now known. */
  end(): void {
    const at = this.#from + this.#lengthAt;
    this.#patch(at, this.position - at);
    this.#lengthAt = -1;
  }

  /** Writes a whole message without a body, such as ParseComplete. */
  empty(type: number): void {
    this.reserve(5);
    const buffer = this.buffer;
    const at = this.position;
    buffer[at] = type;
    buffer[at + 1] = 0;
    buffer[at + 2] = 0;
    buffer[at + 3] = 0;
    buffer[at + 4] = 4;
    this.position = at + 5;
  }

  /**
   * Begins a field (of DataRow, Bind, binary COPY): four bytes of length, then the value.
   * @returns what `endField` needs
   */
  beginField(): number {
    this.reserve(4);
    this.position += 4;
    return this.position - this.#from;
  }

  /** Ends a field. @param field what `beginField` returned */
  endField(field: number): void {
    const at = this.#from + field;
    this.#patch(at - 4, this.position - at);
  }

  /** A field that is NULL: length -1. */
  nullField(): void {
    this.int32(-1);
  }

  /** A field with its length in front. @param value null is NULL */
  field(value: Uint8Array | null): void {
    if (value === null) this.int32(-1);
    else {
      this.int32(value.length);
      this.bytes(value);
    }
  }

  uint8(value: number): void {
    this.reserve(1);
    this.buffer[this.position++] = value;
  }

  int16(value: number): void {
    this.reserve(2);
    const at = this.position;
    this.buffer[at] = value >> 8;
    this.buffer[at + 1] = value;
    this.position = at + 2;
  }

  /** Signed or unsigned: the low 32 bits of `value`. */
  int32(value: number): void {
    this.reserve(4);
    this.#patch(this.position, value);
    this.position += 4;
  }

  int64(value: bigint): void {
    this.reserve(8);
    this.buffer.writeBigInt64BE(BigInt.asIntN(64, value), this.position);
    this.position += 8;
  }

  /** Raw bytes, no length in front. */
  bytes(value: Uint8Array): void {
    this.slice(value, 0, value.length);
  }

  /** Part of a buffer. */
  slice(source: Uint8Array, start: number, end: number): void {
    const size = end - start;
    this.reserve(size);
    if (size < 32) {
      const buffer = this.buffer;
      for (let i = start, at = this.position; i < end; ) buffer[at++] = source[i++]!;
    } else {
      this.buffer.set(source.subarray(start, end), this.position);
    }
    this.position += size;
  }

  /** Text as UTF-8, no length and no terminator. */
  text(value: string): void {
    // three bytes hold any UTF-16 unit in UTF-8
    this.reserve(value.length * 3);
    if (this.#shortAscii(value)) return;
    this.position += this.buffer.write(value, this.position, 'utf8');
  }

  /**
   * Text as UTF-8 with the terminating zero of the protocol.
   * @throws RangeError when the text holds a zero character, which would end it early
   */
  cstring(value: string): void {
    this.reserve(value.length + 1);
    if (this.#shortAscii(value)) {
      this.buffer[this.position++] = 0;
      return;
    }
    if (value.includes('\0')) throw new RangeError('a string of the protocol cannot hold a zero character');
    this.text(value);
    this.uint8(0);
  }

  /** Writes rows `from` to `to` of a batch as DataRow messages. @param columns one a field, in the format declared */
  dataRows(columns: readonly ByteColumn[], from: number, to: number): void {
    const width = columns.length;
    for (let row = from; row < to; row++) {
      let size = 7 + 4 * width;
      for (const column of columns) size += column.offsets[row + 1]! - column.offsets[row]!;
      this.reserve(size);
      const buffer = this.buffer;
      let at = this.position;
      buffer[at] = backendTypes.dataRow;
      this.#patch(at + 1, size - 1);
      buffer[at + 5] = width >> 8;
      buffer[at + 6] = width;
      at += 7;
      for (const column of columns) {
        if (column.nulls !== undefined && column.nulls[row] === 1) {
          this.#patch(at, -1);
          at += 4;
          continue;
        }
        const start = column.offsets[row]!;
        const end = column.offsets[row + 1]!;
        this.#patch(at, end - start);
        at += 4;
        if (end - start < 32) for (let i = start; i < end; ) buffer[at++] = column.data[i++]!;
        else {
          buffer.set(column.data.subarray(start, end), at);
          at += end - start;
        }
      }
      this.position = at;
    }
  }

  /** Writes a text for which there is room. @returns false when it is long or has other than ASCII, or a zero */
  #shortAscii(value: string): boolean {
    const { length } = value;
    if (length > shortText_max) return false;
    const { buffer, position } = this;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code === 0 || code >= 0x80) return false;
      buffer[position + i] = code;
    }
    this.position = position + length;
    return true;
  }

  #patch(at: number, value: number): void {
    const buffer = this.buffer;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
  }

  /** Moves what is not yet taken into a slab with room for `size` more bytes. */
  #grow(size: number): void {
    const kept = this.position - this.#from;
    const needed = kept + size;
    const grown = Buffer.allocUnsafeSlow(
      needed > this.#slab_bytes ? Math.max(needed, kept * 2) : this.#slab_bytes,
    );
    this.buffer.copy(grown, 0, this.#from, this.position);
    this.buffer = grown;
    this.position = kept;
    this.#from = 0;
  }
}
