/**
 * numeric. Binary form (numeric_send): four 16-bit words (count of base-10000 digits, weight of the first digit,
 * sign, display scale), then the digits. PostgreSQL sends no leading and no trailing zero digit, and zero with no
 * digit, weight 0 and a positive sign.
 */
import { modifierHeader } from '../types.js';
import { isAscii, readInt16, readUint16, writeAscii, writeInt16 } from './bytes.js';
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { isDigit, writeFour, writeSmall } from './digits.js';

/** Bytes before the digits. */
export const numericHeader = 8;
/** Values of the sign word. */
export const numericSign = {
  positive: 0,
  negative: 0x4000,
  nan: 0xc000,
  infinity: 0xd000,
  negativeInfinity: 0xf000,
};

/** Digits before and after the point that a numeric may have (PostgreSQL documentation, table 8.2). */
const wholeDigitsMax = 131072;
const scaleMax = 16383;
/** Display scale that PostgreSQL sends with an infinity. */
const infinityScale = 32;

/** Whether a numeric in binary form has the length that its header says. */
export const isNumericLength = (data: Uint8Array, start: number, end: number): boolean =>
  end - start >= numericHeader && end - start === numericHeader + 2 * readUint16(data, start);

const write: TextWriter = (data, start, end, out, at) => {
  if (!isNumericLength(data, start, end)) return -1;
  const sign = readUint16(data, start + 4);
  if (sign !== numericSign.positive && sign !== numericSign.negative) return writeSpecial(sign, out, at);
  const count = readUint16(data, start);
  const weight = readInt16(data, start + 2);
  const scale = readUint16(data, start + 6);
  // the text of 1e131071 is far longer than its eleven bytes
  if (at + 4 * Math.max(1, weight + 1) + scale + 8 > out.length) return -1;
  const digits = start + numericHeader;
  let to = at;
  if (sign === numericSign.negative) out[to++] = 0x2d;
  if (weight < 0 || count === 0) out[to++] = 0x30;
  else {
    to = writeSmall(out, to, readUint16(data, digits));
    for (let i = 1; i <= weight; i++)
      to = writeFour(out, to, i < count ? readUint16(data, digits + 2 * i) : 0);
  }
  if (scale === 0) return to;
  out[to++] = 0x2e;
  const last = to + scale;
  for (let i = count === 0 ? 0 : weight + 1; to < last; i++) {
    to = writeFour(out, to, i >= 0 && i < count ? readUint16(data, digits + 2 * i) : 0);
  }
  return last;
};

function writeSpecial(sign: number, out: Uint8Array, at: number): number {
  if (sign === numericSign.nan) return writeAscii(out, at, 'NaN');
  if (sign === numericSign.infinity) return writeAscii(out, at, 'Infinity');
  return sign === numericSign.negativeInfinity ? writeAscii(out, at, '-Infinity') : -1;
}

/** What a modifier demands: so many digits before the point, so many after it; undefined: not handled here. */
interface Limits {
  readonly wholeDigits: number;
  /** -1: as many as there are */
  readonly scale: number;
}

function limitsOf(modifier: number): Limits | undefined {
  if (modifier < modifierHeader) return { wholeDigits: wholeDigitsMax, scale: -1 };
  const precision = ((modifier - modifierHeader) >> 16) & 0xffff;
  // 11 bits with a sign since PostgreSQL 15; scales outside 0 to the precision are rare
  const scale = (((modifier - modifierHeader) & 0x7ff) ^ 1024) - 1024;
  return scale < 0 || scale > precision ? undefined : { wholeDigits: precision - scale, scale };
}

function reader(modifier: number): TextReader | undefined {
  const limits = limitsOf(modifier);
  if (limits === undefined) return undefined;
  return (text, start, end, out, at) => {
    let from = start;
    const negative = from < end && text[from] === 0x2d;
    if (negative) from++;
    if (from === end || !isDigit(text[from]!)) return readSpecial(text, start, end, out, at, modifier);
    while (from < end && text[from] === 0x30) from++;
    const whole = from;
    while (from < end && isDigit(text[from]!)) from++;
    const point = from;
    if (from < end && text[from] === 0x2e) {
      from++;
      while (from < end && isDigit(text[from]!)) from++;
      if (from === point + 1) return -1;
    }
    const fraction = from === point ? 0 : from - point - 1;
    const exponent = from === end ? 0 : readExponent(text, from, end);
    if (Number.isNaN(exponent)) return -1;
    return writeNumber(text, whole, point, fraction, exponent, negative, limits, out, at);
  };
}

/** Value of an exponent `e[+-]digits` that fills `text[start .. end)`, or NaN. */
function readExponent(text: Uint8Array, start: number, end: number): number {
  if (text[start] !== 0x65 && text[start] !== 0x45) return Number.NaN;
  let at = start + 1;
  const negative = text[at] === 0x2d;
  if (at < end && (negative || text[at] === 0x2b)) at++;
  if (at === end || end - at > 4) return Number.NaN;
  let value = 0;
  for (; at < end; at++) {
    if (!isDigit(text[at]!)) return Number.NaN;
    value = value * 10 + text[at]! - 0x30;
  }
  return negative ? -value : value;
}

/**
 * Writes the number whose digits stand at `text[whole .. point)` and, after the point, in the next `fraction`
 * bytes, times 10^exponent.
 */
function writeNumber(
  text: Uint8Array,
  whole: number,
  point: number,
  fraction: number,
  exponent: number,
  negative: boolean,
  limits: Limits,
  out: Uint8Array,
  at: number,
): number {
  const wholeDigits = point - whole;
  const total = wholeDigits + fraction;
  let scale = Math.max(0, fraction - exponent);
  if (limits.scale >= 0) {
    if (scale > limits.scale) return -1;
    scale = limits.scale;
  }
  if (scale > scaleMax) return -1;
  // powers of ten: digit i of the sequence without the point has 10^(top - i)
  const top = wholeDigits - 1 + exponent;
  let first = 0;
  while (first < total && digitAt(text, whole, wholeDigits, first) === 0) first++;
  if (first === total) {
    writeHeader(out, at, 0, 0, numericSign.positive, scale);
    return at + numericHeader;
  }
  if (top - first + 1 > limits.wholeDigits) return -1;
  const weight = (top - first) >> 2;
  let group = first - (4 * weight + 3 - (top - first));
  let to = at + numericHeader;
  let end = to;
  for (; group < total; group += 4) {
    let digit = 0;
    for (let i = group; i < group + 4; i++) {
      digit = digit * 10 + (i < first || i >= total ? 0 : digitAt(text, whole, wholeDigits, i));
    }
    to = writeInt16(out, to, digit);
    if (digit !== 0) end = to;
  }
  const count = (end - at - numericHeader) >> 1;
  writeHeader(out, at, count, weight, negative ? numericSign.negative : numericSign.positive, scale);
  return end;
}

/** Digit i of a sequence of digits with a point after the first `wholeDigits`. */
const digitAt = (text: Uint8Array, whole: number, wholeDigits: number, i: number): number =>
  text[whole + i + (i < wholeDigits ? 0 : 1)]! - 0x30;

function writeHeader(
  out: Uint8Array,
  at: number,
  count: number,
  weight: number,
  sign: number,
  scale: number,
): void {
  writeInt16(out, at, count);
  writeInt16(out, at + 2, weight);
  writeInt16(out, at + 4, sign);
  writeInt16(out, at + 6, scale);
}

/** The spellings that PostgreSQL prints for NaN and the infinities; these do not fit a precision. */
function readSpecial(
  text: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
  modifier: number,
): number {
  if (isAscii(text, start, end, 'NaN')) writeHeader(out, at, 0, 0, numericSign.nan, 0);
  else if (modifier >= modifierHeader) return -1;
  else if (isAscii(text, start, end, 'Infinity'))
    writeHeader(out, at, 0, 0, numericSign.infinity, infinityScale);
  else if (isAscii(text, start, end, '-Infinity')) {
    writeHeader(out, at, 0, 0, numericSign.negativeInfinity, infinityScale);
  } else return -1;
  return at + numericHeader;
}

function acceptable(modifier: number): BinaryCheck | undefined {
  const limits = limitsOf(modifier);
  if (limits === undefined) return undefined;
  return (data, start, end) => {
    if (!isNumericLength(data, start, end)) return false;
    const count = readUint16(data, start);
    const weight = readInt16(data, start + 2);
    const sign = readUint16(data, start + 4);
    const scale = readUint16(data, start + 6);
    if (sign === numericSign.nan) return count === 0 && weight === 0 && scale === 0;
    if (sign !== numericSign.positive && sign !== numericSign.negative) {
      const isInfinity = sign === numericSign.infinity || sign === numericSign.negativeInfinity;
      return isInfinity && count === 0 && weight === 0 && scale === infinityScale && limits.scale < 0;
    }
    if (limits.scale >= 0 ? scale !== limits.scale : scale > scaleMax) return false;
    if (count === 0) return weight === 0 && sign === numericSign.positive;
    return isNormal(data, start + numericHeader, count, weight, scale, limits.wholeDigits);
  };
}

/** Whether digits stand in normal form, none beyond the scale, and not too many before the point. */
function isNormal(
  data: Uint8Array,
  digits: number,
  count: number,
  weight: number,
  scale: number,
  wholeDigits: number,
): boolean {
  const first = readUint16(data, digits);
  const last = readUint16(data, digits + 2 * (count - 1));
  if (first === 0 || last === 0) return false;
  for (let i = 0; i < count; i++) if (readUint16(data, digits + 2 * i) > 9999) return false;
  const firstDigits = first < 10 ? 1 : first < 100 ? 2 : first < 1000 ? 3 : 4;
  if (4 * weight + firstDigits > wholeDigits) return false;
  const lastZeros = last % 1000 === 0 ? 3 : last % 100 === 0 ? 2 : last % 10 === 0 ? 1 : 0;
  return 4 * (count - 1 - weight) - lastZeros <= scale;
}

/** numeric of any precision, NaN and the infinities included. */
export const numericCodec: Codec = {
  writer: () => write,
  reader,
  acceptable,
  textSizeMax: size => 2 * size + 64,
  binarySizeMax: size => numericHeader + 4 + Math.ceil(size / 2) + 4,
};
