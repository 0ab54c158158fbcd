/** Decimal digits to and from ASCII, without strings. */

/** '00' '01' ... '99', one after the other. */
const pairs = new Uint8Array(200);
for (let i = 0; i < 100; i++) {
  pairs[2 * i] = 0x30 + Math.floor(i / 10);
  pairs[2 * i + 1] = 0x30 + (i % 10);
}

/** Number of decimal digits of an integer `0 <= value < 2^31`. */
export function digitCount(value: number): number {
  if (value < 100000) {
    if (value < 100) return value < 10 ? 1 : 2;
    return value < 1000 ? 3 : value < 10000 ? 4 : 5;
  }
  if (value < 10000000) return value < 1000000 ? 6 : 7;
  return value < 100000000 ? 8 : value < 1000000000 ? 9 : 10;
}

/**
 * Writes an integer `0 <= value < 2^31` of at most `width` digits, padded with zeros.
 * @returns the position after
 */
export function writePadded(out: Uint8Array, at: number, value: number, width: number): number {
  let rest = value | 0;
  let to = at + width;
  while (to - at >= 2) {
    const quotient = (rest / 100) | 0;
    const pair = (rest - quotient * 100) << 1;
    out[--to] = pairs[pair + 1]!;
    out[--to] = pairs[pair]!;
    rest = quotient;
  }
  if (to > at) out[at] = 0x30 + rest;
  return at + width;
}

/** Writes an integer `0 <= value < 2^31`. Returns the position after. */
export const writeSmall = (out: Uint8Array, at: number, value: number): number =>
  writePadded(out, at, value, digitCount(value));

/** Writes two digits. Returns the position after. */
export function writeTwo(out: Uint8Array, at: number, value: number): number {
  out[at] = pairs[value << 1]!;
  out[at + 1] = pairs[(value << 1) + 1]!;
  return at + 2;
}

/** Writes four digits. Returns the position after. */
export function writeFour(out: Uint8Array, at: number, value: number): number {
  const high = (value / 100) | 0;
  writeTwo(out, at, high);
  return writeTwo(out, at + 2, value - high * 100);
}

const billion = 1e9;

/** Writes an integer `0 <= value <= 2^53`. Returns the position after. */
export function writeLarge(out: Uint8Array, at: number, value: number): number {
  if (value < billion) return writeSmall(out, at, value);
  let high = Math.floor(value / billion);
  let low = value - high * billion;
  // the division rounds; the remainder is exact and tells
  if (low < 0) {
    high--;
    low += billion;
  }
  return writePadded(out, writeLarge(out, at, high), low, 9);
}

/**
 * Writes the unsigned 64-bit integer `high * 2^32 + low`.
 * @returns the position after
 */
export function writeUint64(out: Uint8Array, at: number, high: number, low: number): number {
  if (high < 0x200000) return writeLarge(out, at, high * 4294967296 + low);
  // schoolbook division by 10^9 in digits of 16 bits: remainder * 2^16 stays below 2^53
  let remainder = high % billion;
  let quotient = Math.floor(high / billion);
  const middle = remainder * 65536 + (low >>> 16);
  const middleQuotient = Math.floor(middle / billion);
  remainder = middle - middleQuotient * billion;
  const last = remainder * 65536 + (low & 0xffff);
  const lastQuotient = Math.floor(last / billion);
  remainder = last - lastQuotient * billion;
  quotient = (quotient * 65536 + middleQuotient) * 65536 + lastQuotient;
  return writePadded(out, writeLarge(out, at, quotient), remainder, 9);
}

/** Value of the two ASCII digits at `at`, or -1 when they are not digits or reach beyond `end`. */
export function readTwo(text: Uint8Array, at: number, end: number): number {
  if (at + 2 > end) return -1;
  const high = text[at]! - 0x30;
  const low = text[at + 1]! - 0x30;
  return high >>> 0 > 9 || low >>> 0 > 9 ? -1 : high * 10 + low;
}

/** Whether a byte is an ASCII digit. */
export const isDigit = (byte: number): boolean => (byte - 0x30) >>> 0 <= 9;

/**
 * Value of the ASCII digits `text[start .. end)`, at most 15 of them.
 * @returns -1 when there is none, there are more, or one is no digit
 */
export function readDigits(text: Uint8Array, start: number, end: number): number {
  const count = end - start;
  if (count <= 9) return readFew(text, start, end);
  if (count > 15) return -1;
  const high = readFew(text, start, end - 9);
  const low = readFew(text, end - 9, end);
  return high < 0 || low < 0 ? -1 : high * billion + low;
}

/** As `readDigits` for at most 9 digits, in 32-bit arithmetic. */
function readFew(text: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = text[i]! - 0x30;
    if (digit >>> 0 > 9) return -1;
    value = (value * 10 + digit) | 0;
  }
  return end > start ? value : -1;
}
