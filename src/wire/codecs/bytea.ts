import type { Codec, TextReader, TextWriter } from './codec.js';
import { hexDigits, hexValues } from './hex.js';
import { isValidText } from './utf8.js';

const backslash = 0x5c;
const letterX = 0x78;

const writeHex: TextWriter = (data, start, end, out, at) => {
  out[at] = backslash;
  out[at + 1] = letterX;
  let to = at + 2;
  for (let i = start; i < end; i++) {
    const byte = data[i]!;
    out[to] = hexDigits[byte >> 4]!;
    out[to + 1] = hexDigits[byte & 15]!;
    to += 2;
  }
  return to;
};

/** `bytea_output = escape`: a backslash doubled, other bytes outside 0x20 to 0x7e as three octal digits. */
const writeEscape: TextWriter = (data, start, end, out, at) => {
  let to = at;
  for (let i = start; i < end; i++) {
    const byte = data[i]!;
    if (byte === backslash) {
      out[to++] = backslash;
      out[to++] = backslash;
    } else if (byte >= 0x20 && byte <= 0x7e) out[to++] = byte;
    else {
      out[to] = backslash;
      out[to + 1] = 0x30 | (byte >> 6);
      out[to + 2] = 0x30 | ((byte >> 3) & 7);
      out[to + 3] = 0x30 | (byte & 7);
      to += 4;
    }
  }
  return to;
};

const read: TextReader = (text, start, end, out, at) => {
  if (end - start >= 2 && text[start] === backslash && text[start + 1] === letterX) {
    return readHex(text, start + 2, end, out, at);
  }
  return isValidText(text, start, end) ? readEscape(text, start, end, out, at) : -1;
};

/** Pairs of hexadecimal digits; PostgreSQL takes white space between them too, which goes to it. */
function readHex(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  if ((end - start) & 1) return -1;
  let to = at;
  for (let from = start; from < end; from += 2) {
    const high = hexValues[text[from]!]!;
    const low = hexValues[text[from + 1]!]!;
    if ((high | low) > 15) return -1;
    out[to++] = (high << 4) | low;
  }
  return to;
}

function readEscape(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let to = at;
  for (let from = start; from < end; ) {
    const byte = text[from]!;
    if (byte !== backslash) {
      out[to++] = byte;
      from++;
    } else if (from + 1 < end && text[from + 1] === backslash) {
      out[to++] = backslash;
      from += 2;
    } else {
      if (from + 4 > end) return -1;
      const first = text[from + 1]! - 0x30;
      const second = text[from + 2]! - 0x30;
      const third = text[from + 3]! - 0x30;
      if (first >>> 0 > 3 || second >>> 0 > 7 || third >>> 0 > 7) return -1;
      out[to++] = (first << 6) | (second << 3) | third;
      from += 4;
    }
  }
  return to;
}

/** bytea: `\x` and hexadecimal digits, or the escape format. */
export const byteaCodec: Codec = {
  writer: settings => (settings.byteaOutput === 'hex' ? writeHex : writeEscape),
  reader: () => read,
  acceptable: () => () => true,
  textSizeMax: size => 2 + 4 * size,
  binarySizeMax: size => size,
};
