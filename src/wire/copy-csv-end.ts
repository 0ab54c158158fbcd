/** Where csv data of COPY end at a line of `\.`, as up to PostgreSQL 17, for a server that takes it for data. */
import type { ClarusError } from '../errors.js';
import { badCopyData } from './copy-errors.js';
import { carriageReturn, newline } from './copy-lines.js';

const backslash = 0x5c;
const period = 0x2e;

/** Takes csv data, cut anywhere, up to that line (CopyReadLineText of copyfromparse.c, PostgreSQL 17). */
export class CsvEnd {
  readonly #quote: number;
  readonly #escape: number;
  #quoted = false;
  #escaped = false;
  #atLineStart = true;
  /** how the first line ended */
  #lineEnd: 'unknown' | 'newline' | 'carriageReturn' | 'both' = 'unknown';
  /** the last byte was a carriage return of which it is not known yet whether it ends a line alone */
  #returned = false;
  #line = 1;
  #kept: Uint8Array = new Uint8Array(0);
  #over = false;

  /** The line was there. */
  get over(): boolean {
    return this.#over;
  }

  /** @param table name, for errors */
  constructor(
    quote: string,
    escapes: string,
    private readonly table: string,
  ) {
    this.#quote = quote.charCodeAt(0);
    this.#escape = quote === escapes ? -1 : escapes.charCodeAt(0);
  }

  /**
   * @param last no data follow
   * @returns what goes on to the server; `wrong`, a ClarusError 22P04, comes behind it where the line ends otherwise than
   *   those before it
   */
  push(data: Uint8Array, last = false): { readonly data: Uint8Array; readonly wrong?: ClarusError } {
    if (this.#over) return { data: new Uint8Array(0) };
    const bytes = this.#kept.length === 0 ? data : Buffer.concat([this.#kept, data]);
    this.#kept = new Uint8Array(0);
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#returned) this.#settle(byte);
      if (this.#atLineStart && byte === backslash) {
        const marker = this.#marker(bytes, at, last);
        if (marker === 'unknown') {
          this.#kept = bytes.slice(at);
          return { data: bytes.subarray(0, at) };
        }
        if (marker !== 'data') {
          this.#over = true;
          const before = { data: bytes.subarray(0, at) };
          return marker === 'end' ? before : { ...before, wrong: this.#otherwise() };
        }
      }
      this.#step(byte);
    }
    return { data: bytes };
  }

  #step(byte: number): void {
    this.#atLineStart = false;
    if (this.#quoted && byte === this.#escape) this.#escaped = !this.#escaped;
    if (byte === this.#quote && !this.#escaped) this.#quoted = !this.#quoted;
    if (byte !== this.#escape) this.#escaped = false;
    if (this.#quoted) {
      if (byte === (this.#lineEnd === 'newline' ? newline : carriageReturn)) this.#line++;
      return;
    }
    if (byte === carriageReturn) this.#returned = true;
    else if (byte === newline) {
      if (this.#lineEnd === 'unknown') this.#lineEnd = 'newline';
      this.#newLine();
    }
  }

  /** A carriage return, when the byte behind it is known. */
  #settle(next: number): void {
    this.#returned = false;
    if (this.#lineEnd === 'unknown') this.#lineEnd = next === newline ? 'both' : 'carriageReturn';
    if (next !== newline || this.#lineEnd === 'carriageReturn') this.#newLine();
  }

  #newLine(): void {
    this.#atLineStart = true;
    this.#line++;
  }

  /** Is this the line that ends the data? */
  #marker(bytes: Uint8Array, start: number, last: boolean): 'end' | 'otherwise' | 'data' | 'unknown' {
    const end = this.#lineEnd;
    const missing = last ? 'data' : 'unknown';
    if (start + 1 >= bytes.length) return missing;
    if (bytes[start + 1] !== period) return 'data';
    let at = start + 2;
    if (end === 'both') {
      if (at >= bytes.length) return missing;
      if (bytes[at++] !== carriageReturn) return 'data';
    }
    if (at >= bytes.length) return missing;
    const byte = bytes[at]!;
    if (byte !== newline && byte !== carriageReturn) return 'data';
    const ends = end === 'carriageReturn' ? carriageReturn : end === 'unknown' ? byte : newline;
    return byte === ends ? 'end' : 'otherwise';
  }

  #otherwise(): ClarusError {
    const message = 'end-of-copy marker does not match previous newline style';
    return badCopyData(message, { table: this.table, line: this.#line });
  }
}
