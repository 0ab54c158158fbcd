import { backslash, CopyLineReader, carriageReturn, newline } from './copy-lines.js';
import type { CopyReaderOptions } from './copy-options.js';
import { defaultMarker } from './copy-words.js';

const period = 0x2e;
const lowerX = 0x78;
/** What a letter after a backslash stands for. */
const letters = new Map(
  [
    ['b', 8],
    ['t', 9],
    ['n', 10],
    ['v', 11],
    ['f', 12],
    ['r', 13],
  ].map(([letter, byte]) => [String(letter).charCodeAt(0), Number(byte)]),
);

/** Reads the text format of COPY (CopyReadLineText and CopyReadAttributesText in copyfromparse.c). */
export class CopyTextReader extends CopyLineReader {
  protected override readonly special = new Uint8Array(256);
  protected override readonly forceNotNull: Uint8Array;
  protected override readonly lineEndWords = {
    adjective: 'literal',
    newline: 'Use "\\n" to represent newline.',
    carriageReturn: 'Use "\\r" to represent carriage return.',
  };
  #scratch = Buffer.alloc(256);

  constructor(options: CopyReaderOptions) {
    super(options);
    this.forceNotNull = new Uint8Array(options.columns.length);
    for (const byte of [this.delimiter, newline, carriageReturn, backslash]) this.special[byte] = 1;
  }

  protected override endMarker(bytes: Uint8Array, start: number, end: number, last: boolean): number {
    if (start + 1 >= end) return last ? 0 : -1;
    if (bytes[start + 1] !== period) return 0;
    const at = start + 2;
    if (at === end && !last) return -1;
    if (at === end || (bytes[at] !== newline && bytes[at] !== carriageReturn)) throw this.#notAlone();
    if (this.lineEnd === 'both' && bytes[at] === newline) throw this.markerEndsOtherwise();
    return this.afterMarker(bytes, at, end, last);
  }

  protected override fieldEnd(bytes: Uint8Array, from: number, end: number, last: boolean): number {
    const { special } = this;
    let at = from;
    while (at < end) {
      const byte = bytes[at]!;
      if (special[byte] === 0) at++;
      else if (byte === backslash) {
        // the byte after a backslash is data, whatever it is; but the end marker may not stand in a line
        if (bytes[at + 1] === period && at + 1 < end) throw this.#notAlone();
        at += 2;
      } else return at;
    }
    return last ? end : -1;
  }

  protected override fieldValue(
    bytes: Uint8Array,
    from: number,
    to: number,
    field: number | undefined,
  ): Uint8Array | null {
    if (this.isNull(bytes, from, to)) return null;
    if (field !== undefined && this.isDefault(bytes, from, to, field)) return defaultMarker;
    if (this.#scratch.length < to - from) this.#scratch = Buffer.alloc(2 * (to - from));
    const out = this.#scratch;
    let length = 0;
    let mayBreakText = false;
    for (let at = from; at < to; ) {
      let byte = bytes[at++]!;
      if (byte === backslash) {
        if (at === to) {
          // a backslash that ends the data is not part of the field
          if (this.isNull(bytes, from, to - 1)) return null;
          if (field !== undefined && this.isDefault(bytes, from, to - 1, field)) return defaultMarker;
          break;
        }
        byte = bytes[at++]!;
        const letter = letters.get(byte);
        if (letter !== undefined) byte = letter;
        else if (isOctal(byte)) {
          byte -= 0x30;
          for (let i = 0; i < 2 && at < to && isOctal(bytes[at]!); i++) byte = byte * 8 + bytes[at++]! - 0x30;
          byte &= 0xff;
          mayBreakText ||= byte === 0 || byte > 0x7f;
        } else if (byte === lowerX && at < to && hexValue(bytes[at]!) >= 0) {
          byte = hexValue(bytes[at++]!);
          if (at < to && hexValue(bytes[at]!) >= 0) byte = byte * 16 + hexValue(bytes[at++]!);
          mayBreakText ||= byte === 0 || byte > 0x7f;
        }
      }
      out[length++] = byte;
    }
    const value = out.subarray(0, length);
    if (mayBreakText) this.mustBeText(value, field);
    return value;
  }

  #notAlone(): Error {
    return this.bad('end-of-copy marker is not alone on its line');
  }
}

const isOctal = (byte: number): boolean => byte >= 0x30 && byte <= 0x37;

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
