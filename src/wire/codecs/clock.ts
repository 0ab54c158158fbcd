/** Times of day in microseconds, and offsets from UTC in seconds. */
import { cursor } from './calendar.js';
import { digitCount, isDigit, readTwo, writePadded, writeTwo } from './digits.js';

/** PostgreSQL counts time in microseconds. */
export const microsecondsPerSecond = 1_000_000;
/** A day of 24 hours, which is all that time and timestamp know. */
export const secondsPerDay = 86_400;
/** The same in microseconds. */
export const microsecondsPerDay = 86_400_000_000;
/** PostgreSQL takes offsets below 16 hours (TZDISP_LIMIT). */
export const offsetSecondsLimit = 16 * 3600;

const colon = 0x3a;
const point = 0x2e;

/** A time of day as two small integers; shared, as the cursor is. */
export const clock = { seconds: 0, microseconds: 0 };

/** Writes the time of day in `clock` as `HH:MM:SS[.ffffff]`. Returns the position after. */
export function writeClock(out: Uint8Array, at: number): number {
  const seconds = clock.seconds | 0;
  const minutes = (seconds / 60) | 0;
  const hours = (minutes / 60) | 0;
  writeTwo(out, at, hours);
  out[at + 2] = colon;
  writeTwo(out, at + 3, minutes - hours * 60);
  out[at + 5] = colon;
  writeTwo(out, at + 6, seconds - minutes * 60);
  return writeFraction(out, at + 8, clock.microseconds);
}

/** Writes a fraction of a second without trailing zeros, nothing for 0. Returns the position after. */
export function writeFraction(out: Uint8Array, at: number, microseconds: number): number {
  if (microseconds === 0) return at;
  out[at] = point;
  let to = writePadded(out, at + 1, microseconds, 6);
  while (out[to - 1] === 0x30) to--;
  return to;
}

/** Writes `+HH[:MM[:SS]]`. Returns the position after. */
export function writeOffset(out: Uint8Array, at: number, secondsEast: number): number {
  out[at] = secondsEast < 0 ? 0x2d : 0x2b;
  const magnitude = Math.abs(secondsEast);
  const minutes = (magnitude / 60) | 0;
  const hours = (minutes / 60) | 0;
  let to = writePadded(out, at + 1, hours, Math.max(2, digitCount(hours)));
  if (magnitude % 3600 === 0) return to;
  out[to++] = colon;
  to = writeTwo(out, to, minutes % 60);
  if (magnitude % 60 === 0) return to;
  out[to++] = colon;
  return writeTwo(out, to, magnitude % 60);
}

/**
 * Reads `HH:MM:SS[.ffffff]` at `start`, 24:00:00 at most, into `clock` and leaves the position after in the cursor.
 * @param precision digits of the fraction that may be other than zero, 0 to 6
 * @returns false: not such a time
 */
export function readClock(text: Uint8Array, start: number, end: number, precision: number): boolean {
  const hours = readTwo(text, start, end);
  const minutes = readTwo(text, start + 3, end);
  const seconds = readTwo(text, start + 6, end);
  if (hours < 0 || minutes < 0 || seconds < 0) return false;
  if (text[start + 2] !== colon || text[start + 5] !== colon) return false;
  if (hours > 24 || minutes > 59 || seconds > 59) return false;
  const fraction = readFraction(text, start + 8, end, precision);
  clock.seconds = (hours * 60 + minutes) * 60 + seconds;
  clock.microseconds = fraction;
  return fraction >= 0 && (hours < 24 || (clock.seconds === secondsPerDay && fraction === 0));
}

const fractionUnits = Uint32Array.of(1_000_000, 100_000, 10_000, 1_000, 100, 10, 1);

/** Reads an optional `.f` to `.ffffff` and leaves the position after in the cursor; -1: would have to be rounded. */
export function readFraction(text: Uint8Array, start: number, end: number, precision: number): number {
  cursor.at = start;
  if (start >= end || text[start] !== point) return 0;
  let at = start + 1;
  let value = 0;
  for (; at < end && isDigit(text[at]!); at++) value = value * 10 + text[at]! - 0x30;
  const digits = at - start - 1;
  if (digits === 0 || digits > 6) return -1;
  cursor.at = at;
  const microseconds = value * fractionUnits[digits]!;
  return microseconds % fractionUnits[precision]! === 0 ? microseconds : -1;
}

/**
 * Reads `+HH[:MM[:SS]]` and leaves the position after in the cursor.
 * @returns seconds east of UTC, or NaN: not such an offset
 */
export function readOffset(text: Uint8Array, start: number, end: number): number {
  const sign = start < end ? text[start] : 0;
  const hours = readTwo(text, start + 1, end);
  if ((sign !== 0x2b && sign !== 0x2d) || hours < 0) return Number.NaN;
  let seconds = hours * 3600;
  let at = start + 3;
  for (let unit = 60; unit >= 1 && at < end && text[at] === colon; unit /= 60) {
    const part = readTwo(text, at + 1, end);
    if (part < 0 || part > 59) return Number.NaN;
    seconds += part * unit;
    at += 3;
  }
  cursor.at = at;
  if (seconds >= offsetSecondsLimit) return Number.NaN;
  return sign === 0x2d ? -seconds : seconds;
}

/** Precision of a modifier of time, timetz, timestamp or timestamptz; undefined for a modifier without meaning. */
export const fractionDigits = (modifier: number): number | undefined =>
  modifier < 0 ? 6 : modifier <= 6 ? modifier : undefined;

/** Microseconds of the last digit that a precision keeps. */
export const fractionUnit = (precision: number): number => fractionUnits[precision]!;
