import { modifierHeader } from '../types.js';
import { copyBytes } from './bytes.js';
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { textCharacters } from './utf8.js';

const blank = 0x20;
/** NAMEDATALEN - 1. */
const nameBytesMax = 63;

const read: TextReader = (text, start, end, out, at) =>
  textCharacters(text, start, end) < 0 ? -1 : copyBytes(text, start, end, out, at);

const isText: BinaryCheck = (data, start, end) => textCharacters(data, start, end) >= 0;

/** Text of limited length; what is longer, PostgreSQL shortens or refuses. */
function readerOfAtMost(charactersMax: number): TextReader {
  return (text, start, end, out, at) => {
    const characters = textCharacters(text, start, end);
    return characters < 0 || characters > charactersMax ? -1 : copyBytes(text, start, end, out, at);
  };
}

function checkOfAtMost(charactersMax: number): BinaryCheck {
  return (data, start, end) => {
    const characters = textCharacters(data, start, end);
    return characters >= 0 && characters <= charactersMax;
  };
}

/** char(n): padded with blanks to n characters. */
function paddingReader(length: number): TextReader {
  return (text, start, end, out, at) => {
    const characters = textCharacters(text, start, end);
    if (characters < 0 || characters > length) return -1;
    const padding = length - characters;
    if (at + (end - start) + padding > out.length) return -1;
    const to = copyBytes(text, start, end, out, at);
    return padding === 0 ? to : pad(out, to, padding);
  };
}

function pad(out: Uint8Array, at: number, count: number): number {
  out.fill(blank, at, at + count);
  return at + count;
}

function textCodec(reader: Codec['reader'], acceptable: Codec['acceptable']): Codec {
  return {
    writer: () => copyBytes,
    reader,
    acceptable,
    textSizeMax: size => size,
    binarySizeMax: size => size,
  };
}

/** text: any UTF-8 without NUL. */
export const plainTextCodec = textCodec(
  () => read,
  () => isText,
);

/** varchar(n): at most n characters. */
export const varcharCodec = textCodec(
  modifier => (modifier < modifierHeader ? read : readerOfAtMost(modifier - modifierHeader)),
  modifier => (modifier < modifierHeader ? isText : checkOfAtMost(modifier - modifierHeader)),
);

/** bpchar: char(n) holds exactly n characters; bpchar without a length holds what it was given. */
export const bpcharCodec = textCodec(
  modifier => (modifier < modifierHeader ? read : paddingReader(modifier - modifierHeader)),
  modifier => {
    if (modifier < modifierHeader) return isText;
    const length = modifier - modifierHeader;
    return (data, start, end) => textCharacters(data, start, end) === length;
  },
);

/** name: at most 63 bytes; longer input, PostgreSQL truncates. */
export const nameCodec: Codec = {
  writer: (): TextWriter => copyBytes,
  reader: () => (text, start, end, out, at) =>
    end - start > nameBytesMax ? -1 : read(text, start, end, out, at),
  acceptable: () => (data, start, end) => end - start <= nameBytesMax && isText(data, start, end),
  textSizeMax: size => size,
  binarySizeMax: size => size,
};
