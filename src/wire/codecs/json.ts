/**
 * json and jsonb. json keeps the text as it was given, if it is valid (RFC 8259; src/common/jsonapi.c). jsonb is
 * sent as its text behind a version byte; only text that is already as PostgreSQL prints jsonb is taken here.
 */
import { copyBytes, wordEnd } from './bytes.js';
import { type BinaryCheck, type Codec, type TextReader, type TextWriter, verbatim } from './codec.js';
import { isDigit } from './digits.js';
import { hexValues } from './hex.js';
import { isNormalJson } from './jsonb-normal.js';
import { isValidText } from './utf8.js';

/** Nesting that is certainly within PostgreSQL's stack. */
const jsonDepthMax = 200;
const jsonbVersion = 1;
/** Strings and containers of jsonb are limited to 2^28 bytes; well below, nothing is near the limit. */
const jsonbBytesMax = 1 << 27;

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

function skipBlanks(text: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(text[at]!)) at++;
  return at;
}

/** Whether `text[start .. end)` is one JSON value that PostgreSQL takes as json. */
export function isJson(text: Uint8Array, start: number, end: number): boolean {
  if (!isValidText(text, start, end)) return false;
  const after = valueEnd(text, skipBlanks(text, start, end), end, 0);
  return after >= 0 && skipBlanks(text, after, end) === end;
}

/** Position after the value that begins at `at`, or -1. */
function valueEnd(text: Uint8Array, at: number, end: number, depth: number): number {
  if (at >= end || depth > jsonDepthMax) return -1;
  switch (text[at]) {
    case 0x22:
      return stringEnd(text, at, end);
    case 0x7b:
      return containerEnd(text, at, end, depth, true);
    case 0x5b:
      return containerEnd(text, at, end, depth, false);
    case 0x74:
      return wordEnd(text, at, end, 'true');
    case 0x66:
      return wordEnd(text, at, end, 'false');
    case 0x6e:
      return wordEnd(text, at, end, 'null');
    default:
      return numberEnd(text, at, end);
  }
}

/** Position after an object or array that begins at `at`, or -1. */
function containerEnd(text: Uint8Array, at: number, end: number, depth: number, isObject: boolean): number {
  const close = isObject ? 0x7d : 0x5d;
  let next = skipBlanks(text, at + 1, end);
  if (next < end && text[next] === close) return next + 1;
  for (;;) {
    if (isObject) {
      if (next >= end || text[next] !== 0x22) return -1;
      next = stringEnd(text, next, end);
      if (next < 0) return -1;
      next = skipBlanks(text, next, end);
      if (next >= end || text[next] !== 0x3a) return -1;
      next = skipBlanks(text, next + 1, end);
    }
    next = valueEnd(text, next, end, depth + 1);
    if (next < 0) return -1;
    next = skipBlanks(text, next, end);
    if (next >= end) return -1;
    if (text[next] === close) return next + 1;
    if (text[next] !== 0x2c) return -1;
    next = skipBlanks(text, next + 1, end);
  }
}

/** Position after the string that begins at `at`, or -1. */
function stringEnd(text: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const byte = text[i]!;
    if (byte === 0x22) return i + 1;
    if (byte < 0x20) return -1;
    if (byte !== 0x5c) continue;
    if (++i >= end) return -1;
    if (text[i] === 0x75) {
      if (i + 4 >= end) return -1;
      for (let digit = 0; digit < 4; digit++) if (hexValues[text[++i]!]! > 15) return -1;
    } else if (!isEscape(text[i]!)) return -1;
  }
  return -1;
}

/** Whether a backslash and this letter stand for a character: `"` `\` `/` b f n r t. */
const isEscape = (letter: number): boolean =>
  letter === 0x22 ||
  letter === 0x5c ||
  letter === 0x2f ||
  letter === 0x62 ||
  letter === 0x66 ||
  letter === 0x6e ||
  letter === 0x72 ||
  letter === 0x74;

/** Position after the number that begins at `at`, or -1. */
function numberEnd(text: Uint8Array, at: number, end: number): number {
  const first = text[at] === 0x2d ? at + 1 : at;
  let to = first < end && text[first] === 0x30 ? first + 1 : digitsEnd(text, first, end);
  if (to >= 0 && to < end && text[to] === 0x2e) to = digitsEnd(text, to + 1, end);
  if (to < 0 || to >= end || (text[to] !== 0x65 && text[to] !== 0x45)) return to;
  to++;
  if (to < end && (text[to] === 0x2b || text[to] === 0x2d)) to++;
  return digitsEnd(text, to, end);
}

/** Position after one or more digits, or -1. */
function digitsEnd(text: Uint8Array, at: number, end: number): number {
  let to = at;
  while (to < end && isDigit(text[to]!)) to++;
  return to === at ? -1 : to;
}

const readJson: TextReader = (text, start, end, out, at) =>
  isJson(text, start, end) ? copyBytes(text, start, end, out, at) : -1;

/** json: the text, in both forms. */
export const jsonCodec: Codec = {
  writer: (): TextWriter => verbatim,
  reader: () => readJson,
  acceptable: (): BinaryCheck => isJson,
  textSizeMax: size => size,
  binarySizeMax: size => size,
};

const isNormalJsonb = (text: Uint8Array, start: number, end: number): boolean =>
  end - start <= jsonbBytesMax && isNormalJson(text, start, end, jsonDepthMax);

const writeJsonb: TextWriter = (data, start, end, out, at) =>
  end > start && data[start] === jsonbVersion ? copyBytes(data, start + 1, end, out, at) : -1;

const readJsonb: TextReader = (text, start, end, out, at) => {
  if (!isNormalJsonb(text, start, end)) return -1;
  out[at] = jsonbVersion;
  return copyBytes(text, start, end, out, at + 1);
};

/** jsonb: normal text, behind a version byte in binary. */
export const jsonbCodec: Codec = {
  writer: () => writeJsonb,
  reader: () => readJsonb,
  acceptable: () => (data, start, end) =>
    end > start && data[start] === jsonbVersion && isNormalJsonb(data, start + 1, end),
  textSizeMax: size => size,
  binarySizeMax: size => size + 1,
};
