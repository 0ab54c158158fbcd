import type { Codec, TextReader, TextWriter } from './codec.js';
import { hexDigits, hexValues } from './hex.js';

const hyphen = 0x2d;
const textSize = 36;
const binarySize = 16;
/** Where hyphens stand between the 8-4-4-4-12 digits, as bits by the index of the byte after. */
const hyphensBefore = (1 << 4) | (1 << 6) | (1 << 8) | (1 << 10);

const write: TextWriter = (data, start, end, out, at) => {
  if (end - start !== binarySize) return -1;
  let to = at;
  for (let i = 0; i < binarySize; i++) {
    const byte = data[start + i]!;
    if ((hyphensBefore >> i) & 1) out[to++] = hyphen;
    out[to] = hexDigits[byte >> 4]!;
    out[to + 1] = hexDigits[byte & 15]!;
    to += 2;
  }
  return to;
};

const read: TextReader = (text, start, end, out, at) => {
  if (end - start !== textSize) return -1;
  let from = start;
  for (let i = 0; i < binarySize; i++) {
    if ((hyphensBefore >> i) & 1 && text[from++] !== hyphen) return -1;
    const high = hexValues[text[from]!]!;
    const low = hexValues[text[from + 1]!]!;
    if ((high | low) > 15) return -1;
    out[at + i] = (high << 4) | low;
    from += 2;
  }
  return at + binarySize;
};

/** uuid: 8-4-4-4-12 hexadecimal digits, upper case taken too. */
export const uuidCodec: Codec = {
  writer: () => write,
  reader: () => read,
  acceptable: () => (_data, start, end) => end - start === binarySize,
  textSizeMax: () => textSize,
  binarySizeMax: () => binarySize,
};
