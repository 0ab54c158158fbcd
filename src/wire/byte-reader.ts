import { isUtf8 } from 'node:buffer';
import { ClarusError } from '../errors.js';

/**
 * Reads the body of one message, never past its end.
 *
 * Every method throws ClarusError 08P01 when the body is too short, as PostgreSQL's pqformat.c does.
 */
export class ByteReader {
  position: number;
  readonly buffer: Buffer;
  readonly end: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.end - this.position;
  }

  uint8(): number {
    this.#need(1);
    return this.buffer[this.position++]!;
  }

  int16(): number {
    this.#need(2);
    const at = this.position;
    this.position = at + 2;
    return ((this.buffer[at]! << 24) >> 16) | this.buffer[at + 1]!;
  }

  uint16(): number {
    return this.int16() & 0xffff;
  }

  int32(): number {
    this.#need(4);
    const at = this.position;
    this.position = at + 4;
    return int32At(this.buffer, at);
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** A view on the next `size` bytes. */
  bytes(size: number): Buffer {
    this.#need(size);
    const at = this.position;
    this.position = at + size;
    return this.buffer.subarray(at, at + size);
  }

  /** A view on all bytes left. */
  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  /** A field: length and value, -1 being NULL. */
  field(): Buffer | null {
    const size = this.int32();
    if (size === -1) return null;
    if (size < 0) throw malformed('insufficient data left in message');
    return this.bytes(size);
  }

  /** Zero-terminated text. @throws ClarusError 22021 when it is not UTF-8 */
  cstring(): string {
    if (this.position < this.end && this.buffer[this.position] === 0) {
      this.position++;
      return '';
    }
    const [start, end] = this.#terminated();
    const text = this.buffer.toString('utf8', start, end);
    if (text.includes('\ufffd') && !isUtf8(this.buffer.subarray(start, end))) {
      throw new ClarusError('22021', 'invalid byte sequence for encoding "UTF8"');
    }
    return text;
  }

  /** Zero-terminated text; bytes that are not UTF-8 become U+FFFD. */
  lenientCstring(): string {
    const [start, end] = this.#terminated();
    return this.buffer.toString('utf8', start, end);
  }

  /** Asserts that the whole body was read. */
  finish(): void {
    if (this.position !== this.end) throw malformed('invalid message format');
  }

  #terminated(): [number, number] {
    const start = this.position;
    const zero = this.buffer.indexOf(0, start);
    if (zero < 0 || zero >= this.end) throw malformed('invalid string in message');
    this.position = zero + 1;
    return [start, zero];
  }

  #need(size: number): void {
    if (size > this.end - this.position) throw malformed('insufficient data left in message');
  }
}

/** The signed big-endian integer at `at`; the caller has checked the bounds. */
export const int32At = (buffer: Uint8Array, at: number): number =>
  (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;

/** A message whose body does not keep to the protocol. */
export const malformed = (message: string): ClarusError => new ClarusError('08P01', message);
