/** Reading the text form of arrays (array_in), in the spelling of array_out. */
import {
  arrayBytes,
  dimensionSize,
  dimensionsMax,
  elementsMax,
  headerSize,
  isNullWord,
  needsQuotes,
} from './array-form.js';
import { readInt32, writeInt32 } from './bytes.js';
import type { Codec, TextReader } from './codec.js';
import { isDigit, readDigits } from './digits.js';

const { backslash, close, comma, open, quote } = arrayBytes;
/** Lower and upper bounds that certainly overflow nowhere. */
const boundMax = 1 << 30;

/** One array being read: what the braces told of its dimensions so far. */
interface Dimensions {
  count: number;
  /** elements or rows of each dimension, -1: not known yet */
  readonly lengths: Int32Array;
  /** elements or rows met in the open braces of each dimension */
  readonly met: Int32Array;
  readonly lowerBounds: Int32Array;
}

/**
 * A reader of arrays.
 * @param elementOid OID of the element type
 * @param element its codec
 * @param readElement its reader
 * @param arrayNulls the setting `array_nulls`: whether an unquoted NULL is one
 */
export function arrayReader(
  elementOid: number,
  element: Codec,
  readElement: TextReader,
  arrayNulls: boolean,
): TextReader {
  let unescaped = new Uint8Array(256);

  /** Reads an element in quotes at `start`; returns its end in `text`, the element is `unescaped[0 .. size)`. */
  function readQuoted(
    text: Uint8Array,
    start: number,
    end: number,
  ): { readonly after: number; readonly size: number } {
    if (unescaped.length < end - start) unescaped = new Uint8Array(2 * (end - start));
    let size = 0;
    for (let i = start + 1; i < end; i++) {
      let byte = text[i]!;
      if (byte === quote) return { after: i + 1, size };
      if (byte === backslash && ++i < end) byte = text[i]!;
      unescaped[size++] = byte;
    }
    return { after: -1, size };
  }

  /** Reads the element at `start` to `out[at + 4]` on, its length before it; returns its end in `text`, or -1. */
  function readOne(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
    if (start >= end) return -1;
    let after: number;
    let to: number;
    if (text[start] === quote) {
      const { after: quoteEnd, size } = readQuoted(text, start, end);
      after = quoteEnd;
      if (after < 0 || at + 4 + element.binarySizeMax(size) > out.length) return -1;
      to = readElement(unescaped, 0, size, out, at + 4);
    } else {
      after = plainEnd(text, start, end);
      if (after <= start || at + 4 + element.binarySizeMax(after - start) > out.length) return -1;
      if (isNullWord(text, start, after)) {
        if (!arrayNulls) return -1;
        writeInt32(out, at, -1);
        return after;
      }
      to = readElement(text, start, after, out, at + 4);
    }
    if (to < 0) return -1;
    writeInt32(out, at, to - at - 4);
    return after;
  }

  return (text, start, end, out, at) => {
    if (at + headerSize + dimensionsMax * dimensionSize > out.length) return -1;
    if (end - start === 2 && text[start] === open && text[start + 1] === close) {
      return writeInt32(out, writeInt32(out, writeInt32(out, at, 0), 0), elementOid);
    }
    const dimensions = newDimensions();
    let from = readBounds(text, start, end, dimensions);
    if (from < 0) return -1;
    const hasBounds = from > start;
    const first = from;
    while (from < end && text[from] === open) from++;
    const depth = from - first;
    if (depth === 0 || depth > dimensionsMax || (hasBounds && depth !== dimensions.count)) return -1;
    dimensions.count = depth;
    let to = at + headerSize + depth * dimensionSize;
    let anyNull = false;
    let elements = 0;
    for (;;) {
      from = readOne(text, from, end, out, to);
      if (from < 0 || ++elements > elementsMax) return -1;
      const size = readInt32(out, to);
      if (size < 0) anyNull = true;
      to += 4 + Math.max(0, size);
      dimensions.met[depth - 1]!++;
      from = nextElement(text, from, end, dimensions);
      if (from < 0) return -1;
      if (from === end) break;
    }
    writeHeader(out, at, dimensions, anyNull, elementOid);
    return to;
  };
}

const newDimensions = (): Dimensions => ({
  count: 0,
  lengths: new Int32Array(dimensionsMax).fill(-1),
  met: new Int32Array(dimensionsMax),
  lowerBounds: new Int32Array(dimensionsMax).fill(1),
});

/** Position of the first byte from `start` on that ends or spoils an element without quotes. */
function plainEnd(text: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    const byte = text[i]!;
    if (byte === comma || byte === close) return i;
    // white space around or within an element is for PostgreSQL to judge
    if (needsQuotes[byte] === 1) return -1;
  }
  return -1;
}

/**
 * Goes on behind an element: closes braces, checks that rows are equally long, opens them again.
 * @returns the position of the next element, `end` after the last brace, or -1
 */
function nextElement(text: Uint8Array, start: number, end: number, dimensions: Dimensions): number {
  const { count, lengths, met } = dimensions;
  let at = start;
  let level = count - 1;
  while (at < end && text[at] === close) {
    if (level < 0 || (lengths[level] !== -1 && lengths[level] !== met[level])) return -1;
    lengths[level] = met[level]!;
    met[level] = 0;
    at++;
    level--;
    if (level >= 0) met[level]!++;
  }
  if (level < 0) return at === end ? end : -1;
  if (at >= end || text[at] !== comma) return -1;
  at++;
  for (; level < count - 1; level++, at++) if (at >= end || text[at] !== open) return -1;
  return at < end ? at : -1;
}

/** Reads `[lower:upper]...=`; returns the position after, `start` when there is none, or -1. */
function readBounds(text: Uint8Array, start: number, end: number, dimensions: Dimensions): number {
  let at = start;
  while (at < end && text[at] === 0x5b) {
    if (dimensions.count === dimensionsMax) return -1;
    const colon = boundEnd(text, at + 1, end);
    const bracket = colon < end && text[colon] === 0x3a ? boundEnd(text, colon + 1, end) : end;
    if (bracket >= end || text[bracket] !== 0x5d) return -1;
    const lower = readBound(text, at + 1, colon);
    const upper = readBound(text, colon + 1, bracket);
    if (!(lower >= -boundMax && upper <= boundMax && upper >= lower)) return -1;
    dimensions.lowerBounds[dimensions.count] = lower;
    dimensions.lengths[dimensions.count] = upper - lower + 1;
    dimensions.count++;
    at = bracket + 1;
  }
  if (at === start) return start;
  return at < end && text[at] === 0x3d ? at + 1 : -1;
}

function boundEnd(text: Uint8Array, start: number, end: number): number {
  let at = start < end && text[start] === 0x2d ? start + 1 : start;
  while (at < end && isDigit(text[at]!)) at++;
  return at;
}

function readBound(text: Uint8Array, start: number, end: number): number {
  const isNegative = text[start] === 0x2d;
  const magnitude = readDigits(text, isNegative ? start + 1 : start, end);
  if (magnitude < 0) return Number.NaN;
  return isNegative ? -magnitude : magnitude;
}

function writeHeader(
  out: Uint8Array,
  at: number,
  dimensions: Dimensions,
  anyNull: boolean,
  elementOid: number,
): void {
  let to = writeInt32(out, at, dimensions.count);
  to = writeInt32(out, to, anyNull ? 1 : 0);
  to = writeInt32(out, to, elementOid);
  for (let i = 0; i < dimensions.count; i++) {
    to = writeInt32(out, to, dimensions.lengths[i]!);
    to = writeInt32(out, to, dimensions.lowerBounds[i]!);
  }
}
