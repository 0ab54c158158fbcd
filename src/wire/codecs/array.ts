/**
 * Arrays of any type with a codec. Binary form (array_send): dimensions, 1 if any element is NULL, OID of the element
 * type; for each dimension its length and lower bound; then the elements, each behind its length (-1: NULL).
 */

import {
  arrayBytes,
  dimensionSize,
  dimensionsMax,
  elementsMax,
  headerSize,
  isNullWord,
  needsQuotes,
} from './array-form.js';
import { arrayReader } from './array-reader.js';
import { readInt32, readUint32, writeAscii } from './bytes.js';
import type { BinaryCheck, Codec, TextWriter } from './codec.js';
import { writeLarge } from './digits.js';

/** Number of elements by the header at `start`, or -1 when the header is not one of this element type. */
function elementCount(data: Uint8Array, start: number, end: number, elementOid: number): number {
  if (end - start < headerSize || readUint32(data, start + 8) !== elementOid) return -1;
  const dimensions = readInt32(data, start);
  if (dimensions < 0 || dimensions > dimensionsMax || end - start < headerSize + dimensions * dimensionSize)
    return -1;
  if (dimensions === 0) return end - start === headerSize ? 0 : -1;
  let count = 1;
  for (let i = 0; i < dimensions; i++) {
    const length = readInt32(data, start + headerSize + i * dimensionSize);
    if (length <= 0) return -1;
    count *= length;
    if (count > elementsMax) return -1;
  }
  return count;
}

const { backslash, close, comma, open, quote } = arrayBytes;

/** Writes `[lower:upper]...=` when a lower bound is not 1; returns the position after, -1 when a bound overflows. */
function writeBounds(
  data: Uint8Array,
  start: number,
  dimensions: number,
  out: Uint8Array,
  at: number,
): number {
  let isDefault = true;
  for (let i = 0; i < dimensions; i++) {
    if (readInt32(data, start + headerSize + i * dimensionSize + 4) !== 1) isDefault = false;
  }
  if (isDefault) return at;
  let to = at;
  for (let i = 0; i < dimensions; i++) {
    const dimension = start + headerSize + i * dimensionSize;
    const lower = readInt32(data, dimension + 4);
    const upper = lower + readInt32(data, dimension) - 1;
    if (upper > 0x7fffffff) return -1;
    out[to] = 0x5b;
    to = writeBound(out, to + 1, lower);
    out[to] = 0x3a;
    to = writeBound(out, to + 1, upper);
    out[to++] = 0x5d;
  }
  out[to] = 0x3d;
  return to + 1;
}

function writeBound(out: Uint8Array, at: number, bound: number): number {
  if (bound >= 0) return writeLarge(out, at, bound);
  out[at] = 0x2d;
  return writeLarge(out, at + 1, -bound);
}

function arrayWriter(elementOid: number, writeElement: TextWriter): TextWriter {
  return (data, start, end, out, at) => {
    const count = elementCount(data, start, end, elementOid);
    if (count < 0) return -1;
    if (count === 0) return writeAscii(out, at, '{}');
    const dimensions = readInt32(data, start);
    let to = writeBounds(data, start, dimensions, out, at);
    let from = start + headerSize + dimensions * dimensionSize;
    for (let i = 0; i < count && to >= 0; i++) {
      if (from + 4 > end) return -1;
      const size = readInt32(data, from);
      from += 4;
      if (size < -1 || from + size > end) return -1;
      if (i > 0) out[to++] = comma;
      const braces = bracesAt(data, start, dimensions, i);
      for (let brace = 0; brace < braces; brace++) out[to++] = open;
      to =
        size < 0 ? writeAscii(out, to, 'NULL') : writeQuoted(writeElement, data, from, from + size, out, to);
      if (to < 0) return -1;
      from += Math.max(0, size);
      const closing = bracesAt(data, start, dimensions, i + 1);
      for (let brace = 0; brace < closing; brace++) out[to++] = close;
    }
    return from === end && to <= out.length ? to : -1;
  };
}

/** Number of dimensions of which a row begins at element `index`, which is as many as end before it. */
function bracesAt(data: Uint8Array, start: number, dimensions: number, index: number): number {
  let braces = 0;
  let size = 1;
  for (let i = dimensions - 1; i >= 0; i--) {
    size *= readInt32(data, start + headerSize + i * dimensionSize);
    if (index % size !== 0) break;
    braces++;
  }
  return braces;
}

/** Writes one element, in quotes where array_out has them. Returns the position after, or -1. */
function writeQuoted(
  write: TextWriter,
  data: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
): number {
  // behind the place of a quote that may be needed
  const first = at + 1;
  const last = write(data, start, end, out, first);
  if (last < 0 || last > out.length) return -1;
  let isQuoted = last === first || isNullWord(out, first, last);
  let escapes = 0;
  for (let i = first; i < last; i++) {
    const byte = out[i]!;
    if (needsQuotes[byte] === 0) continue;
    isQuoted = true;
    if (byte === quote || byte === backslash) escapes++;
  }
  if (!isQuoted) {
    out.copyWithin(at, first, last);
    return last - 1;
  }
  if (last + escapes + 1 > out.length) return -1;
  out[at] = quote;
  for (let i = last - 1, to = i + escapes; to > i; i--) {
    const byte = out[i]!;
    out[to--] = byte;
    if (byte === quote || byte === backslash) out[to--] = backslash;
  }
  out[last + escapes] = quote;
  return last + escapes + 1;
}

function arrayCheck(elementOid: number, isElement: BinaryCheck): BinaryCheck {
  return (data, start, end) => {
    const count = elementCount(data, start, end, elementOid);
    if (count < 0) return false;
    const dimensions = readInt32(data, start);
    for (let i = 0; i < dimensions; i++) {
      const dimension = start + headerSize + i * dimensionSize;
      if (readInt32(data, dimension + 4) + readInt32(data, dimension) > 0x7fffffff) return false;
    }
    let nulls = 0;
    let from = start + headerSize + dimensions * dimensionSize;
    for (let i = 0; i < count; i++) {
      if (from + 4 > end) return false;
      const size = readInt32(data, from);
      from += 4;
      if (size < -1 || from + size > end) return false;
      if (size < 0) nulls = 1;
      else if (!isElement(data, from, from + size)) return false;
      from += Math.max(0, size);
    }
    return from === end && readInt32(data, start + 4) === nulls;
  };
}

/**
 * The codec of the arrays of a type.
 * @param elementOid OID of the element type
 * @param element its codec
 */
export function arrayCodec(elementOid: number, element: Codec): Codec {
  return {
    writer(settings) {
      const write = element.writer(settings);
      return write && arrayWriter(elementOid, write);
    },
    reader(modifier, settings) {
      const read = element.reader(modifier, settings);
      return read && arrayReader(elementOid, element, read, settings.arrayNulls);
    },
    acceptable(modifier) {
      const check = element.acceptable(modifier);
      return check && arrayCheck(elementOid, check);
    },
    // NULL is 4 bytes and prints as up to 17 with comma and braces; an escaped byte of bytea as up to 5
    textSizeMax: size => 6 * size + 256,
    // the shortest elements are one character and a comma; in binary each has a length before it
    binarySizeMax: size =>
      headerSize +
      dimensionsMax * dimensionSize +
      (Math.ceil(size / 2) + 1) * (4 + element.binarySizeMax(0)) +
      size,
  };
}
