/**
 * Canonical forms of integers and numeric. An integer of 64 bits has the same form whatever its type; every other
 * number is its digits, without the display scale, which does not count.
 */
import type { CanonicalColumn, PlainColumn } from '../crypto/column.js';
import { assertSize, bytesOf, formsOf, malformed } from './canonical-form.js';
import { readInt16, readInt32, readUint16, writeInt16, writeInt32 } from './codecs/bytes.js';
import { writeDecimal64 } from './codecs/integers.js';
import { isNumericLength, numericHeader, numericSign } from './codecs/numeric.js';

type Forms = (code: number, values: PlainColumn) => CanonicalColumn;

/** Second byte of a form of the class. */
const kinds = { integer: 0, positive: 1, negative: 2, nan: 3, infinity: 4, negativeInfinity: 5 } as const;
const integerFormSize = 10;

/** Forms of int2, int4 or int8: code, kind, 64 bits in two's complement. */
export const integerForms =
  (size: 2 | 4 | 8): Forms =>
  (code, values) =>
    formsOf(values, values.length * integerFormSize, (data, start, end, out, at) => {
      assertSize(start, end, size);
      const low = size === 2 ? readInt16(data, start) : readInt32(data, size === 8 ? start + 4 : start);
      const high = size === 8 ? readInt32(data, start) : low >> 31;
      out[at] = code;
      out[at + 1] = kinds.integer;
      return writeInt32(out, writeInt32(out, at + 2, high), low);
    });

/** Forms of numeric. */
export const numericForms: Forms = (code, values) =>
  formsOf(values, bytesOf(values) + values.length * 2, (data, start, end, out, at) => {
    if (!isNumericLength(data, start, end)) throw malformed();
    out[at] = code;
    const sign = readUint16(data, start + 4);
    const isNegative = sign === numericSign.negative;
    if (sign !== numericSign.positive && !isNegative) {
      out[at + 1] = specialKind(sign);
      return at + 2;
    }
    const count = readUint16(data, start);
    const weight = count === 0 ? 0 : readInt16(data, start + 2);
    const digits = start + numericHeader;
    if (count > 0 && (readUint16(data, digits) === 0 || readUint16(data, end - 2) === 0)) throw malformed();
    if (count <= weight + 1 && weight <= 4) {
      const integerEnd = writeInteger(data, digits, count, weight, isNegative, out, at + 2);
      if (integerEnd >= 0) {
        out[at + 1] = kinds.integer;
        return integerEnd;
      }
    }
    out[at + 1] = isNegative ? kinds.negative : kinds.positive;
    let to = writeInt16(out, at + 2, weight);
    for (let i = digits; i < end; i++) out[to++] = data[i]!;
    return to;
  });

function specialKind(sign: number): number {
  if (sign === numericSign.nan) return kinds.nan;
  if (sign === numericSign.infinity) return kinds.infinity;
  if (sign === numericSign.negativeInfinity) return kinds.negativeInfinity;
  throw malformed();
}

/** Writes an integer of at most five base-10000 digits as 64 bits; -1: it has more. */
function writeInteger(
  data: Uint8Array,
  digits: number,
  count: number,
  weight: number,
  isNegative: boolean,
  out: Uint8Array,
  at: number,
): number {
  let high = 0;
  let low = 0;
  for (let i = 0; i <= weight; i++) {
    const digit = i < count ? readUint16(data, digits + 2 * i) : 0;
    // the last two digits make up `low`, at most three make up `high`
    if (i < weight - 1) high = high * 10000 + digit;
    else low = low * 10000 + digit;
  }
  return writeDecimal64(out, at, isNegative, high, low, 1e8);
}
