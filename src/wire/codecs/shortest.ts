/**
 * Shortest digits of float4 and float8 that read back to the same number, as PostgreSQL chooses them
 * (src/common/f2s.c, d2s.c; Ulf Adams, "Ryu: fast float-to-string conversion", PLDI 2018): the shortest decimal
 * strictly between the midpoints to the neighbours, and of those the closest; a tie goes to the even digit.
 */
import { significant, takeExponential, takeInteger } from './decimal.js';

const twoTo53 = 9007199254740992;

/** Finds the digits of a finite float8 above zero. */
export function takeShortest64(value: number): void {
  // ECMA-262 chooses the shortest and closest too, but takes a midpoint for its own when the number's mantissa is
  // even. A midpoint has at least 54 significant bits, so a decimal of at most 17 digits is one only above 2^53.
  takeExponential(value.toExponential());
  if (value >= twoTo53 && significant.exponent <= 40) avoidMidpoint(value);
}

/** Replaces the digits when they are exactly a midpoint between `value` (2^53 or more) and a neighbour. */
function avoidMidpoint(value: number): void {
  const exact = BigInt(value);
  const { below, above } = midpoints(value);
  let decimal = 0n;
  for (let i = 0; i < significant.count; i++) decimal = decimal * 10n + BigInt(significant.digits[i]! - 0x30);
  // doubled, as the midpoints are
  decimal = 2n * decimal * 10n ** BigInt(Math.max(0, significant.exponent + 1 - significant.count));
  if (decimal !== below && decimal !== above) return;
  for (let count = significant.count; ; count++) {
    const unit = 10n ** BigInt(Math.max(0, significant.exponent + 1 - count));
    const down = exact - (exact % unit);
    const up = down + unit;
    const tie = 2n * exact - down - up;
    const upFirst = tie > 0n || (tie === 0n && (down / unit) % 2n === 1n);
    for (const candidate of upFirst ? [up, down] : [down, up]) {
      if (2n * candidate <= below || 2n * candidate >= above) continue;
      const text = candidate.toString();
      for (let i = 0; i < count; i++) significant.digits[i] = text.charCodeAt(i);
      significant.count = count;
      while (significant.digits[significant.count - 1] === 0x30) significant.count--;
      significant.exponent = text.length - 1;
      return;
    }
  }
}

const double = new Float64Array(1);
const doubleBits = new BigUint64Array(double.buffer);

/** Twice the midpoints between an integral double and its neighbours. */
function midpoints(value: number): { readonly below: bigint; readonly above: bigint } {
  const neighbour = (step: bigint): bigint => {
    double[0] = value;
    doubleBits[0]! += step;
    return BigInt(double[0]);
  };
  const exact = BigInt(value);
  return { below: exact + neighbour(-1n), above: exact + neighbour(1n) };
}

const inverseBitCount = 59;
const bitCount = 61;
/** Bits of 5^exponent. */
const powerOf5Bits = (exponent: number): number => ((exponent * 1217359) >>> 19) + 1;
/** Floor of log10(2^exponent) and log10(5^exponent). */
const log10PowerOf2 = (exponent: number): number => (exponent * 78913) >>> 18;
const log10PowerOf5 = (exponent: number): number => (exponent * 732923) >>> 20;

const low32 = (value: bigint): number => Number(value & 0xffffffffn);
const inverses = Array.from(
  { length: 31 },
  (_, i) => (1n << BigInt(powerOf5Bits(i) - 1 + inverseBitCount)) / 5n ** BigInt(i) + 1n,
);
const powers = Array.from({ length: 47 }, (_, i) => {
  const shift = BigInt(powerOf5Bits(i) - bitCount);
  return shift < 0n ? (5n ** BigInt(i)) << -shift : (5n ** BigInt(i)) >> shift;
});
const inverseLow = Uint32Array.from(inverses, low32);
const inverseHigh = Uint32Array.from(inverses, value => low32(value >> 32n));
const powerLow = Uint32Array.from(powers, low32);
const powerHigh = Uint32Array.from(powers, value => low32(value >> 32n));

/** `(factor * (high * 2^32 + low)) >> shift` for a factor below 2^27 and a result below 2^32. */
function multiplyShift(factor: number, low: number, high: number, shift: number): number {
  // split so that every product stays below 2^53; the low 32 bits only carry
  const lowProduct = factor * (low & 0xffff);
  const middle = factor * (low >>> 16) + Math.floor(lowProduct / 65536);
  const upper = Math.floor(middle / 65536);
  const sumLow = factor * (high & 0xffff) + upper;
  const sumHigh = factor * (high >>> 16) + Math.floor(sumLow / 65536);
  // sum = sumHigh * 2^16 + sumLow % 2^16, shifted right by shift - 32
  const right = shift - 32;
  if (right >= 16) return Math.floor(sumHigh / 2 ** (right - 16)) >>> 0;
  return (sumHigh * 2 ** (16 - right) + ((sumLow % 65536) >>> right)) >>> 0;
}

const times = (power: number, factor: number, shift: number, inverse: boolean): number =>
  inverse
    ? multiplyShift(factor, inverseLow[power]!, inverseHigh[power]!, shift)
    : multiplyShift(factor, powerLow[power]!, powerHigh[power]!, shift);

const tenth = (value: number): number => Math.floor(value / 10);

function isMultipleOfPowerOf5(value: number, power: number): boolean {
  let rest = value;
  for (let i = 0; i < power; i++) {
    if (rest % 5 !== 0) return false;
    rest /= 5;
  }
  return true;
}

/**
 * Finds the digits of a finite float4 above zero.
 * @param bits its IEEE 754 representation without the sign
 */
export function takeShortest32(bits: number): void {
  const fraction = bits & 0x7fffff;
  const biased = bits >>> 23;
  // two more bits, for the midpoints
  const exponent2 = (biased === 0 ? 1 : biased) - 127 - 23 - 2;
  const mantissa = biased === 0 ? fraction : fraction | 0x800000;
  const middle = 4 * mantissa;
  const upper = middle + 2;
  // below a power of two the neighbour is half as far
  const lower = middle - (fraction !== 0 || biased <= 1 ? 2 : 1);
  const inverse = exponent2 >= 0;
  const q = inverse ? log10PowerOf2(exponent2) : log10PowerOf5(-exponent2);
  const power = inverse ? q : -exponent2 - q;
  const shift = inverse
    ? -exponent2 + q + inverseBitCount + powerOf5Bits(q) - 1
    : q - powerOf5Bits(power) + bitCount;
  let v = times(power, middle, shift, inverse);
  let above = times(power, upper, shift, inverse);
  let below = times(power, lower, shift, inverse);
  let removedDigit = 0;
  let exactSoFar = false;
  if (q !== 0 && tenth(above - 1) <= tenth(below)) {
    // the loop below may remove no digit, so the one before is found here
    const digit = inverse
      ? times(q - 1, middle, -exponent2 + q - 1 + inverseBitCount + powerOf5Bits(q - 1) - 1, true)
      : times(power + 1, middle, q - 1 - (powerOf5Bits(power + 1) - bitCount), false);
    removedDigit = digit % 10;
  }
  if (inverse && q <= 9) {
    if (middle % 5 === 0) exactSoFar = isMultipleOfPowerOf5(middle, q);
    else if (isMultipleOfPowerOf5(upper, q)) above--;
  } else if (!inverse && q <= 1) {
    exactSoFar = true;
    above--;
  } else if (!inverse && q < 31) exactSoFar = middle % 2 ** (q - 1) === 0;
  let removed = 0;
  while (tenth(above) > tenth(below)) {
    exactSoFar &&= removedDigit === 0;
    removedDigit = v % 10;
    v = tenth(v);
    above = tenth(above);
    below = tenth(below);
    removed++;
  }
  if (exactSoFar && removedDigit === 5 && v % 2 === 0) removedDigit = 4;
  const rounded = v + (v === below || removedDigit >= 5 ? 1 : 0);
  takeInteger(rounded, (inverse ? q : q + exponent2) + removed);
}
