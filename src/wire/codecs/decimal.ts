import { writeLarge, writePadded, writeSmall } from './digits.js';

/**
 * Significant digits of a floating-point number, between finding them and printing them. One shared scratch: the
 * conversions run to completion and never call back, so no value needs an object of its own.
 */
export const significant = {
  /** ASCII digits, the first and the last not zero */
  digits: new Uint8Array(128),
  count: 0,
  /** the number is d.ddd * 10^exponent */
  exponent: 0,
};

/** Takes the digits from a string as `Number.prototype.toExponential` makes it (`d.ddde+x`). */
export function takeExponential(exponential: string): void {
  const { digits } = significant;
  let count = 0;
  let i = 0;
  for (let code = exponential.charCodeAt(0); code !== 0x65; code = exponential.charCodeAt(++i)) {
    if (code !== 0x2e) digits[count++] = code;
  }
  while (count > 1 && digits[count - 1] === 0x30) count--;
  significant.count = count;
  const isNegative = exponential.charCodeAt(i + 1) === 0x2d;
  let exponent = 0;
  for (i += 2; i < exponential.length; i++) exponent = exponent * 10 + exponential.charCodeAt(i) - 0x30;
  significant.exponent = isNegative ? -exponent : exponent;
}

/** Takes the digits of `mantissa * 10^exponent10`, 0 < mantissa < 2^53. */
export function takeInteger(mantissa: number, exponent10: number): void {
  const count = writeLarge(significant.digits, 0, mantissa);
  significant.exponent = exponent10 + count - 1;
  significant.count = count;
  while (significant.count > 1 && significant.digits[significant.count - 1] === 0x30) significant.count--;
}

const zero = 0x30;
const point = 0x2e;

/**
 * Prints the significant digits as C's `%g` does: exponents from -4 to below `precision` in fixed notation, others
 * in scientific notation with at least two digits of exponent.
 * @returns the position after
 */
export function writeSignificant(out: Uint8Array, at: number, precision: number): number {
  const { digits, count, exponent } = significant;
  let to = at;
  if (exponent < -4 || exponent >= precision) {
    out[to++] = digits[0]!;
    if (count > 1) {
      out[to++] = point;
      for (let i = 1; i < count; i++) out[to++] = digits[i]!;
    }
    out[to++] = 0x65;
    out[to++] = exponent < 0 ? 0x2d : 0x2b;
    const magnitude = Math.abs(exponent);
    return magnitude < 100 ? writePadded(out, to, magnitude, 2) : writeSmall(out, to, magnitude);
  }
  if (exponent < 0) {
    out[to++] = zero;
    out[to++] = point;
    for (let i = -1; i > exponent; i--) out[to++] = zero;
    for (let i = 0; i < count; i++) out[to++] = digits[i]!;
    return to;
  }
  for (let i = 0; i <= exponent; i++) out[to++] = i < count ? digits[i]! : zero;
  if (count > exponent + 1) {
    out[to++] = point;
    for (let i = exponent + 1; i < count; i++) out[to++] = digits[i]!;
  }
  return to;
}
