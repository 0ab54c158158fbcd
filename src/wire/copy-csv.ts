import type { ColumnBuilder } from './column-builder.js';
import { CopyLineReader, carriageReturn, newline } from './copy-lines.js';
import type { CopyReaderOptions } from './copy-options.js';

const period = 0x2e;

/** Reads the csv format of COPY (CopyReadLineText and CopyReadAttributesCSV in copyfromparse.c). */
export class CopyCsvReader extends CopyLineReader {
  protected override readonly special = new Uint8Array(256);
  protected override readonly forceNotNull: Uint8Array;
  protected override readonly lineEndWords = {
    adjective: 'unquoted',
    newline: 'Use quoted CSV field to represent newline.',
    carriageReturn: 'Use quoted CSV field to represent carriage return.',
  };
  readonly #forceNull: Uint8Array;
  readonly #quote: number;
  readonly #escape: number;
  /** bytes at which a run inside quotes ends */
  readonly #quotedSpecial = new Uint8Array(256);
  /** quotes and escapes in the field last found by `fieldEnd` */
  #quotes = 0;
  #scratch = Buffer.alloc(256);

  constructor(options: CopyReaderOptions) {
    super(options);
    const { columns, forceNotNull, forceNull } = options;
    this.forceNotNull = flags(columns, forceNotNull);
    this.#forceNull = flags(columns, forceNull);
    this.#quote = options.quote.charCodeAt(0);
    this.#escape = options.escape.charCodeAt(0);
    for (const byte of [this.delimiter, newline, carriageReturn, this.#quote]) this.special[byte] = 1;
    for (const byte of [this.#quote, this.#escape, newline, carriageReturn]) this.#quotedSpecial[byte] = 1;
  }

  protected override endMarker(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    if (this.options.csvEndMarker !== true) return 0;
    if (end - start < 3 && !last) return -1;
    if (start + 1 >= end || bytes[start + 1] !== period) return 0;
    const at = start + 2;
    if (at === end) return last ? 0 : -1;
    const byte = bytes[at]!;
    if (byte !== newline && byte !== carriageReturn) return 0;
    return this.afterMarker(bytes, at, end, last);
  }

  protected override fieldEnd(bytes: Uint8Array, from: number, end: number, last: boolean): number {
    const { special } = this;
    const lineByte = this.lineEnd === 'newline' ? newline : carriageReturn;
    let lines = 0;
    let quotes = 0;
    let quoted = false;
    let at = from;
    for (;;) {
      const ending = quoted ? this.#quotedSpecial : special;
      while (at < end && ending[bytes[at]!] === 0) at++;
      if (at >= end) {
        if (!last) return -1;
        if (quoted && !this.skipping) throw this.bad('unterminated CSV quoted field');
        break;
      }
      const byte = bytes[at]!;
      if (!quoted) {
        if (byte !== this.#quote) break;
        quoted = true;
        quotes++;
        at++;
      } else if (byte === this.#escape || byte === this.#quote) {
        quotes++;
        if (byte === this.#escape) {
          if (at + 1 === end && !last) return -1;
          const next = at + 1 < end ? bytes[at + 1] : undefined;
          if (next === this.#escape || next === this.#quote) {
            at += 2;
            continue;
          }
        }
        if (byte === this.#quote) quoted = false;
        at++;
      } else {
        if (byte === lineByte) lines++;
        at++;
      }
    }
    this.line += lines;
    this.#quotes = quotes;
    return at;
  }

  protected override appendField(
    column: ColumnBuilder,
    bytes: Uint8Array,
    from: number,
    to: number,
    field: number,
  ): void {
    // one pair of quotes around it all and nothing to take out: the value stands in the data as it is
    const whole = this.#quotes === 2 && bytes[from] === this.#quote && bytes[to - 1] === this.#quote;
    if (!whole || (this.#forceNull[field] === 1 && this.isNull(bytes, from + 1, to - 1))) {
      super.appendField(column, bytes, from, to, field);
    } else column.append(bytes, from + 1, to - 1);
  }

  protected override fieldValue(
    bytes: Uint8Array,
    from: number,
    to: number,
    field: number | undefined,
  ): Uint8Array | null {
    if (this.#scratch.length < to - from) this.#scratch = Buffer.alloc(2 * (to - from));
    const out = this.#scratch;
    let length = 0;
    let quoted = false;
    let anyQuote = false;
    for (let at = from; at < to; ) {
      const byte = bytes[at++]!;
      if (quoted && byte === this.#escape && at < to) {
        const next = bytes[at]!;
        if (next === this.#escape || next === this.#quote) {
          out[length++] = next;
          at++;
          continue;
        }
      }
      if (byte === this.#quote) {
        quoted = !quoted;
        anyQuote = true;
      } else out[length++] = byte;
    }
    const value = out.subarray(0, length);
    const looksNull = this.isNull(value, 0, length);
    if (!looksNull) return value;
    if (field === undefined) return anyQuote ? value : null;
    const isNull = anyQuote ? this.#forceNull[field] === 1 : this.forceNotNull[field] === 0;
    return isNull ? null : value;
  }
}

/** 1 for each column that is named. */
function flags(columns: readonly string[], named: 'all' | readonly string[]): Uint8Array {
  return Uint8Array.from(columns, name => (named === 'all' || named.includes(name) ? 1 : 0));
}
