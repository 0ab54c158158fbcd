/** interval in IntervalStyle `postgres`. Binary form: microseconds (int64), days (int32), months (int32). */
import { readInt32, readUint32, wordEnd, writeAscii, writeInt32 } from './bytes.js';
import { cursor } from './calendar.js';
import { fractionDigits, microsecondsPerSecond, readFraction, writeFraction } from './clock.js';
import type { Codec, TextReader, TextWriter } from './codec.js';
import { digitCount, isDigit, readDigits, readTwo, writeLarge, writePadded, writeTwo } from './digits.js';
import { infinityOf, writeMicroseconds } from './int64.js';

const binarySize = 16;
const int32Max = 0x7fffffff;
/** Microseconds of an hour are 2^10 times this. */
const unitsPerHour = 3515625;
/** Beyond it PostgreSQL 14 reports an error, later versions do not. */
const hoursMax = int32Max;
/** Seconds whose microseconds are exact as a double. */
const secondsMax = 9e9;
/** Modifier of an interval without fields, low half: the precision, or 0xffff. */
const allFields = 0x7fff;

const space = 0x20;
const minus = 0x2d;
const plus = 0x2b;

/** Writes `[ ][+]N unit[s]`, with a plus when the part before was negative. Returns the position after. */
function writePart(
  out: Uint8Array,
  at: number,
  first: number,
  value: number,
  signed: boolean,
  unit: string,
): number {
  let to = at;
  if (to > first) out[to++] = space;
  if (value < 0) out[to++] = minus;
  else if (signed) out[to++] = plus;
  to = writeLarge(out, to, Math.abs(value));
  out[to++] = space;
  to = writeAscii(out, to, unit);
  if (value !== 1) out[to++] = 0x73;
  return to;
}

const write: TextWriter = (data, start, end, out, at) => {
  if (end - start !== binarySize) return -1;
  const days = readInt32(data, start + 8);
  const months = readInt32(data, start + 12);
  // infinite since PostgreSQL 17, finite before
  if (infinityOf(data, start) !== 0) return -1;
  const years = Math.trunc(months / 12);
  let to = at;
  let signed = false;
  if (years !== 0) {
    to = writePart(out, to, at, years, signed, 'year');
    signed = years < 0;
  }
  if (months % 12 !== 0) {
    to = writePart(out, to, at, months % 12, signed, 'mon');
    signed = months < 0;
  }
  if (days !== 0) {
    to = writePart(out, to, at, days, signed, 'day');
    signed = days < 0;
  }
  return writeDuration(data, start, out, to, to === at, signed);
};

/** Writes `[ ][+-]HH:MM:SS[.ffffff]`, nothing for zero when something stands before. Returns the position after. */
function writeDuration(
  data: Uint8Array,
  start: number,
  out: Uint8Array,
  at: number,
  first: boolean,
  signed: boolean,
): number {
  let high = readInt32(data, start);
  let low = readUint32(data, start + 4);
  if (high === 0 && low === 0 && !first) return at;
  const negative = high < 0;
  if (negative) {
    high = ~high + (low === 0 ? 1 : 0);
    low = -low >>> 0;
  }
  const units = (high >>> 0) * 4194304 + (low >>> 10);
  const hours = Math.floor(units / unitsPerHour);
  if (hours > hoursMax) return -1;
  const rest = (units - hours * unitsPerHour) * 1024 + (low & 0x3ff);
  const seconds = Math.floor(rest / microsecondsPerSecond);
  let to = at;
  if (!first) out[to++] = space;
  if (negative) out[to++] = minus;
  else if (signed) out[to++] = plus;
  to = writePadded(out, to, hours, Math.max(2, digitCount(hours)));
  out[to] = 0x3a;
  to = writeTwo(out, to + 1, (seconds / 60) | 0);
  out[to] = 0x3a;
  to = writeTwo(out, to + 1, seconds % 60);
  return writeFraction(out, to, rest - seconds * microsecondsPerSecond);
}

/** Units in the order in which they are printed. */
const units = ['year', 'mon', 'day'] as const;

/** Whether `unit` or its plural stands at `at`; the cursor is left after it. */
function isUnit(text: Uint8Array, at: number, end: number, unit: string): boolean {
  const after = wordEnd(text, at, end, unit);
  if (after < 0) return false;
  cursor.at = after < end && text[after] === 0x73 ? after + 1 : after;
  return true;
}

/** Reads what `write` prints; every other spelling goes to PostgreSQL. */
function reader(precision: number): TextReader {
  return (text, start, end, out, at) => {
    let from = start;
    let months = 0;
    let days = 0;
    let seconds = 0;
    let microseconds = 0;
    for (let next = 0; ; ) {
      const sign = from < end ? text[from] : 0;
      const number = sign === minus || sign === plus ? from + 1 : from;
      let after = number;
      while (after < end && isDigit(text[after]!)) after++;
      const value = readDigits(text, number, after);
      if (value < 0 || value > int32Max || after >= end) return -1;
      if (text[after] === 0x3a) {
        const minutes = readTwo(text, after + 1, end);
        const rest = readTwo(text, after + 4, end);
        if (minutes < 0 || minutes > 59 || rest < 0 || rest > 59 || text[after + 3] !== 0x3a) return -1;
        microseconds = readFraction(text, after + 6, end, precision);
        seconds = (value * 60 + minutes) * 60 + rest;
        if (microseconds < 0 || cursor.at !== end || seconds > secondsMax) return -1;
        if (sign === minus) {
          seconds = -seconds;
          microseconds = -microseconds;
        }
        break;
      }
      if (text[after] !== space) return -1;
      while (next < units.length && !isUnit(text, after + 1, end, units[next]!)) next++;
      const signed = sign === minus ? -value : value;
      if (next === 0) months = signed * 12;
      else if (next === 1) months += signed;
      else if (next === 2) days = signed;
      else return -1;
      next++;
      if (Math.abs(months) > int32Max) return -1;
      if (cursor.at === end) break;
      if (text[cursor.at] !== space) return -1;
      from = cursor.at + 1;
    }
    const to = writeMicroseconds(out, at, 0, seconds, microseconds);
    return writeInt32(out, writeInt32(out, to, days), months);
  };
}

/** Precision of a modifier without fields (`interval(p)`), else undefined. */
function precisionOf(modifier: number): number | undefined {
  if (modifier < 0) return 6;
  if (modifier >> 16 !== allFields) return undefined;
  return (modifier & 0xffff) === 0xffff ? 6 : fractionDigits(modifier & 0xffff);
}

/** interval; nothing is read or written here in another IntervalStyle, or where a modifier leaves fields out. */
export const intervalCodec: Codec = {
  writer: settings => (settings.postgresIntervals ? write : undefined),
  reader(modifier, settings) {
    // sql_standard applies a leading minus to every field
    const precision = settings.postgresIntervals ? precisionOf(modifier) : undefined;
    return precision === undefined ? undefined : reader(precision);
  },
  // the three fields of an infinity must agree, and a modifier rounds: only what is free of both is certain
  acceptable: modifier =>
    modifier < 0
      ? (data, start, end) => end - start === binarySize && infinityOf(data, start) === 0
      : undefined,
  textSizeMax: () => 80,
  binarySizeMax: () => binarySize,
};
