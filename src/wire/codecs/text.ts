import { modifierHeader } from '../types.js';
import { copyBytes } from './bytes.js';
import { type BinaryCheck, type Codec, type TextReader, type TextWriter, verbatim } from './codec.js';
import { isValidText, textCharacters } from './utf8.js';

const blank = 0x20;
/** NAMEDATALEN - 1. */
const nameBytesMax = 63;

/** Below this many bytes, text is checked while it is copied. */
const loopBytesMax = 48;

const read: TextReader = (text, start, end, out, at) => {
  if (end - start <= loopBytesMax) {
    let i = start;
    let to = at;
    for (let byte = 1; i < end; i++) {
      byte = text[i]!;
      if (byte === 0 || byte >= 0x80) break;
      out[to++] = byte;
    }
    if (i === end) return to;
  }
  return isValidText(text, start, end) ? copyBytes(text, start, end, out, at) : -1;
};

/** Whether a valid text is certain to have at most so many characters; bytes are counted first. */
const hasAtMost = (text: Uint8Array, start: number, end: number, charactersMax: number): boolean =>
  end - start <= charactersMax || textCharacters(text, start, end) <= charactersMax;

/** Text of limited length; what is longer, PostgreSQL shortens or refuses. */
function readerOfAtMost(charactersMax: number): TextReader {
  return (text, start, end, out, at) =>
    hasAtMost(text, start, end, charactersMax) ? read(text, start, end, out, at) : -1;
}

const checkOfAtMost =
  (charactersMax: number): BinaryCheck =>
  (data, start, end) =>
    hasAtMost(data, start, end, charactersMax) && isValidText(data, start, end);

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
    writer: () => verbatim,
    reader,
    acceptable,
    textSizeMax: size => size,
    binarySizeMax: size => size,
  };
}

/** text: any UTF-8 without NUL. */
export const plainTextCodec = textCodec(
  () => read,
  () => isValidText,
);

/** varchar(n): at most n characters. */
export const varcharCodec = textCodec(
  modifier => (modifier < modifierHeader ? read : readerOfAtMost(modifier - modifierHeader)),
  modifier => (modifier < modifierHeader ? isValidText : checkOfAtMost(modifier - modifierHeader)),
);

/** bpchar: char(n) holds exactly n characters; bpchar without a length holds what it was given. */
export const bpcharCodec = textCodec(
  modifier => (modifier < modifierHeader ? read : paddingReader(modifier - modifierHeader)),
  modifier => {
    if (modifier < modifierHeader) return isValidText;
    const length = modifier - modifierHeader;
    return (data, start, end) => textCharacters(data, start, end) === length;
  },
);

/** name: at most 63 bytes; longer input, PostgreSQL truncates. */
export const nameCodec: Codec = {
  writer: (): TextWriter => verbatim,
  reader: () => (text, start, end, out, at) =>
    end - start > nameBytesMax ? -1 : read(text, start, end, out, at),
  acceptable: () => (data, start, end) => end - start <= nameBytesMax && isValidText(data, start, end),
  textSizeMax: size => size,
  binarySizeMax: size => size,
};
