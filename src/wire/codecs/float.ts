import { Buffer } from 'node:buffer';
import { isAscii, writeAscii } from './bytes.js';
import type { Codec, TextReader, TextWriter } from './codec.js';
import { significant, takeExponential, takeInteger, writeSignificant } from './decimal.js';
import { isDigit, writeLarge } from './digits.js';
import type { CodecSettings } from './settings.js';
import { takeShortest32, takeShortest64 } from './shortest.js';

/** One number as bits and as value. */
const double = new Float64Array(1);
const single = new Float32Array(1);
const doubleBytes = new Uint8Array(double.buffer);
const singleBytes = new Uint8Array(single.buffer);
const singleBits = new Uint32Array(single.buffer);
const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The big-endian double at `data[at]`. */
export function readDouble(data: Uint8Array, at: number): number {
  for (let i = 0; i < 8; i++) doubleBytes[littleEndian ? 7 - i : i] = data[at + i]!;
  return double[0]!;
}

/** Writes a big-endian double; returns the position after. */
export function writeDouble(out: Uint8Array, at: number, value: number): number {
  double[0] = value;
  for (let i = 0; i < 8; i++) out[at + i] = doubleBytes[littleEndian ? 7 - i : i]!;
  return at + 8;
}

/** The big-endian single at `data[at]`. */
export function readSingle(data: Uint8Array, at: number): number {
  for (let i = 0; i < 4; i++) singleBytes[littleEndian ? 3 - i : i] = data[at + i]!;
  return single[0]!;
}

function writeSingle(out: Uint8Array, at: number, value: number): number {
  single[0] = value;
  for (let i = 0; i < 4; i++) out[at + i] = singleBytes[littleEndian ? 3 - i : i]!;
  return at + 4;
}

/** 10^0 to 10^22, all exact. */
const powersOfTen = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));
/** FLT_DIG and DBL_DIG: decimal digits that a float certainly keeps, and the border to scientific notation. */
const singleDigits = 6;
const doubleDigits = 15;
/** Decimals tried before the general algorithm; most stored numbers have few. */
const decimalsTried = 6;

/** Writes a zero, an infinity or NaN; returns the position after. */
function writeSpecial(out: Uint8Array, at: number, value: number): number {
  if (Number.isNaN(value)) return writeAscii(out, at, 'NaN');
  if (value === 0) return writeAscii(out, at, Object.is(value, -0) ? '-0' : '0');
  return writeAscii(out, at, value > 0 ? 'Infinity' : '-Infinity');
}

const isSpecial = (value: number): boolean => value === 0 || !Number.isFinite(value);

const writeShortestDouble: TextWriter = (data, start, end, out, at) => {
  if (end - start !== 8) return -1;
  const signed = readDouble(data, start);
  if (isSpecial(signed)) return writeSpecial(out, at, signed);
  const value = Math.abs(signed);
  let to = at;
  if (signed < 0) out[to++] = 0x2d;
  if (value < 1e15 && value >= 1e-4) {
    if (Math.floor(value) === value) return writeLarge(out, to, value);
    // A decimal of at most 15 digits that rounds to the number is its shortest form: two such decimals are never
    // the same double. The quotient of two exact doubles is the correctly rounded value of the decimal.
    for (let decimals = 1; decimals <= decimalsTried; decimals++) {
      const scaled = Math.round(value * powersOfTen[decimals]!);
      if (scaled >= 1e15) break;
      if (scaled / powersOfTen[decimals]! === value) {
        takeInteger(scaled, -decimals);
        return writeSignificant(out, to, doubleDigits);
      }
    }
  }
  takeShortest64(value);
  return writeSignificant(out, to, doubleDigits);
};

const writeShortestSingle: TextWriter = (data, start, end, out, at) => {
  if (end - start !== 4) return -1;
  const value = readSingle(data, start);
  if (isSpecial(value)) return writeSpecial(out, at, value);
  let to = at;
  if (value < 0) out[to++] = 0x2d;
  const magnitude = Math.abs(value);
  if (magnitude < 1e6 && magnitude >= 1e-4) {
    // as for doubles; with so few digits, rounding by way of a double cannot differ from rounding at once
    for (let decimals = 0; decimals <= decimalsTried; decimals++) {
      const scaled = Math.round(magnitude * powersOfTen[decimals]!);
      if (scaled >= 1e6) break;
      if (Math.fround(scaled / powersOfTen[decimals]!) === magnitude) {
        takeInteger(scaled, -decimals);
        return writeSignificant(out, to, singleDigits);
      }
    }
  }
  takeShortest32(singleBits[0]! & 0x7fffffff);
  return writeSignificant(out, to, singleDigits);
};

/** `extra_float_digits <= 0`: `%.*g` with so many significant digits. */
function roundedWriter(size: 4 | 8, precision: number): TextWriter {
  return (data, start, end, out, at) => {
    if (end - start !== size) return -1;
    const value = size === 8 ? readDouble(data, start) : readSingle(data, start);
    if (isSpecial(value)) return writeSpecial(out, at, value);
    let to = at;
    if (value < 0) out[to++] = 0x2d;
    takeRounded(Math.abs(value), precision);
    return writeSignificant(out, to, precision);
  };
}

/** Rounds to so many significant digits; a tie goes to the even digit, as in C, where ECMA-262 goes up. */
function takeRounded(value: number, precision: number): void {
  takeExponential(value.toExponential(100));
  if (significant.count === precision + 1 && significant.digits[precision] === 0x35) {
    const even = (significant.digits[precision - 1]! & 1) === 0;
    if (even) {
      significant.count = precision;
      while (significant.digits[significant.count - 1] === 0x30) significant.count--;
      return;
    }
  }
  takeExponential(value.toExponential(precision - 1));
}

/** Value of a plain decimal number; NaN when it is none or its value is out of range. */
function readNumber(text: Uint8Array, start: number, end: number): number {
  const negative = start < end && text[start] === 0x2d;
  const first = negative ? start + 1 : start;
  let at = first;
  // the significant digits without the point: the first 15 and up to four more, both exact
  let high = 0;
  let low = 0;
  let count = 0;
  let point = -1;
  for (; at < end; at++) {
    const digit = text[at]! - 0x30;
    if (digit >>> 0 <= 9) {
      if (count < 15) high = high * 10 + digit;
      else if (count < 19) low = low * 10 + digit;
      if (high > 0) count++;
    } else if (text[at] === 0x2e && point < 0 && at > first) point = at;
    else break;
  }
  const decimals = point < 0 ? 0 : at - point - 1;
  if (at === first || (point >= 0 && decimals === 0)) return Number.NaN;
  if (at === end && count <= 19 && decimals < powersOfTen.length) {
    const divisor = powersOfTen[decimals]!;
    const magnitude = count <= 15 ? high / divisor : quotient(high, powersOfTen[count - 15]!, low, divisor);
    if (magnitude >= 0) return negative ? -magnitude : magnitude;
  }
  if (at < end) at = exponentEnd(text, at, end);
  if (at !== end || end - start > 1000) return Number.NaN;
  const value = Number(Buffer.from(text.buffer, text.byteOffset + start, end - start).toString('latin1'));
  return !Number.isFinite(value) || (value === 0 && count > 0) ? Number.NaN : value;
}

/**
 * `(high * scale + low) / divisor`, correctly rounded, for a numerator below 2^64 and powers of ten, by arithmetic on
 * unevaluated sums of two doubles (T. J. Dekker, "A floating-point technique for extending the available precision",
 * 1971).
 * @returns NaN when the quotient is too close to a midpoint between two doubles
 */
function quotient(high: number, scale: number, low: number, divisor: number): number {
  const product = high * scale;
  const numerator = product + low;
  const added = numerator - product;
  const rest = product - (numerator - added) + (low - added) + errorOfProduct(high, scale, product);
  const first = numerator / divisor;
  const back = first * divisor;
  const second = (numerator - back - errorOfProduct(first, divisor, back) + rest) / divisor;
  // far more than the rounding errors of the second part
  const slack = first * 2 ** -95;
  const rounded = first + (second - slack);
  return rounded === first + (second + slack) ? rounded : Number.NaN;
}

/** What the rounded product of two doubles lacks, exactly. */
function errorOfProduct(a: number, b: number, product: number): number {
  const aScaled = a * 134217729;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = b * 134217729;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
}

/** Position after an exponent (`e+10`) that starts at `at`, or `at` when there is none. */
function exponentEnd(text: Uint8Array, at: number, end: number): number {
  if (text[at]! !== 0x65 && text[at]! !== 0x45) return at;
  let to = at + 1;
  if (to < end && (text[to] === 0x2b || text[to] === 0x2d)) to++;
  const digits = to;
  while (to < end && isDigit(text[to]!)) to++;
  return to > digits ? to : at;
}

/** The value of the special spellings that PostgreSQL itself prints, else of a plain decimal, else undefined. */
function readFloat(text: Uint8Array, start: number, end: number): number | undefined {
  const last = text[end - 1];
  if (last === 0x4e) return isAscii(text, start, end, 'NaN') ? Number.NaN : undefined;
  if (last === 0x79) {
    if (isAscii(text, start, end, 'Infinity')) return Number.POSITIVE_INFINITY;
    return isAscii(text, start, end, '-Infinity') ? Number.NEGATIVE_INFINITY : undefined;
  }
  const value = readNumber(text, start, end);
  return Number.isNaN(value) ? undefined : value;
}

const readDoubleText: TextReader = (text, start, end, out, at) => {
  const value = readFloat(text, start, end);
  return value === undefined ? -1 : writeDouble(out, at, value);
};

const readSingleText: TextReader = (text, start, end, out, at) => {
  const value = readFloat(text, start, end);
  if (value === undefined) return -1;
  if (Number.isFinite(value) && !roundsOnce(value)) return -1;
  return writeSingle(out, at, value);
};

/**
 * Whether rounding to float4 by way of float8 certainly gives what rounding at once gives (PostgreSQL uses strtof):
 * not when the double lies exactly between two floats, out of range or below the smallest.
 */
function roundsOnce(value: number): boolean {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded) || (rounded === 0 && value !== 0)) return false;
  if (rounded === value) return true;
  // the distance to a float is exact; at a midpoint the reflection is a float too
  const other = 2 * value - rounded;
  return Math.fround(other) !== other;
}

function floatCodec(size: 4 | 8, digits: number, shortest: TextWriter, reader: TextReader): Codec {
  const writer = ({ extraFloatDigits }: CodecSettings): TextWriter =>
    extraFloatDigits > 0 ? shortest : roundedWriter(size, Math.max(1, digits + extraFloatDigits));
  return {
    writer,
    reader: () => reader,
    acceptable: () => (_data, start, end) => end - start === size,
    textSizeMax: () => 24,
    binarySizeMax: () => size,
  };
}

/** real: 4 bytes, IEEE 754 single precision, big-endian. */
export const float4Codec = floatCodec(4, singleDigits, writeShortestSingle, readSingleText);
/** double precision: 8 bytes, IEEE 754 double precision, big-endian. */
export const float8Codec = floatCodec(8, doubleDigits, writeShortestDouble, readDoubleText);
