/**
 * The proleptic Gregorian calendar in days since 2000-01-01, PostgreSQL's epoch. Years are astronomical: year 0
 * is 1 BC (src/backend/utils/adt/datetime.c, date2j; the algorithm is Howard Hinnant's "days_from_civil").
 */
import { isAscii, writeAscii } from './bytes.js';
import { isDigit, readDigits, readTwo, writeFour, writeSmall, writeTwo } from './digits.js';

/** 4714-11-24 BC, Julian day 0: the first date that PostgreSQL takes. */
export const firstDay = -2451545;
/** 5874897-12-31, the last date. */
export const lastDay = 2145031948;
/** 0001-01-01: before it, years are counted BC. */
export const firstDayOfChrist = -730119;
/** Days from 0000-03-01 to 2000-01-01. */
const daysFromMarch0 = 730425;

/**
 * Where a parser of a part of a text stopped. Shared: the parsers run to completion, and a result object would be one
 * a value.
 */
export const cursor = { at: 0 };

/** Days since 2000-01-01 of a date whose parts are in range. */
export function daysOf(year: number, month: number, day: number): number {
  // years begin in March, so that the leap day is the last
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = (((month > 2 ? month - 3 : month + 9) * 153 + 2) / 5) | 0;
  const dayOfEra = yearOfEra * 365 + (yearOfEra >> 2) - ((yearOfEra / 100) | 0) + dayOfYear + day - 1;
  return era * 146097 + dayOfEra - daysFromMarch0;
}

const monthDays = Uint8Array.of(31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31);
const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

/** Writes `YYYY-MM-DD`, the year counted BC before 0001-01-01, without the suffix. Returns the position after. */
export function writeDay(out: Uint8Array, at: number, days: number): number {
  // 32-bit integers throughout: their divisions by constants are multiplications
  const shifted = (days + daysFromMarch0) | 0;
  const era = ((shifted < 0 ? shifted - 146096 : shifted) / 146097) | 0;
  const dayOfEra = (shifted - era * 146097) | 0;
  const yearOfEra =
    ((dayOfEra - ((dayOfEra / 1460) | 0) + ((dayOfEra / 36524) | 0) - ((dayOfEra / 146096) | 0)) / 365) | 0;
  const dayOfYear = dayOfEra - (365 * yearOfEra + (yearOfEra >> 2) - ((yearOfEra / 100) | 0));
  const shiftedMonth = ((5 * dayOfYear + 2) / 153) | 0;
  const day = dayOfYear - (((153 * shiftedMonth + 2) / 5) | 0) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const astronomical = era * 400 + yearOfEra + (month <= 2 ? 1 : 0);
  const year = astronomical > 0 ? astronomical : 1 - astronomical;
  let to = year < 10000 ? writeFour(out, at, year) : writeSmall(out, at, year);
  out[to++] = 0x2d;
  to = writeTwo(out, to, month);
  out[to++] = 0x2d;
  return writeTwo(out, to, day);
}

/** Writes ` BC` for days before 0001-01-01. Returns the position after. */
export const writeEra = (out: Uint8Array, at: number, days: number): number =>
  days < firstDayOfChrist ? writeAscii(out, at, ' BC') : at;

/** Whether a text ends in ` BC`. */
export const isBeforeChrist = (text: Uint8Array, start: number, end: number): boolean =>
  end - start > 3 && isAscii(text, end - 3, end, ' BC');

/**
 * Reads `YYYY-MM-DD` (the year in 4 to 7 digits) at `start` and leaves the position after in the cursor.
 * @returns days since 2000-01-01, or NaN: not such a date
 */
export function readDay(text: Uint8Array, start: number, end: number, beforeChrist: boolean): number {
  let at = start;
  while (at < end && isDigit(text[at]!)) at++;
  const digits = at - start;
  // a longer year must not begin with a zero: such strings of digits can mean something else
  if (digits < 4 || digits > 7 || (digits > 4 && text[start] === 0x30)) return Number.NaN;
  const year = readDigits(text, start, at);
  const month = readTwo(text, at + 1, end);
  const day = readTwo(text, at + 4, end);
  if (text[at] !== 0x2d || text[at + 3] !== 0x2d || year < 1 || month < 1 || month > 12 || day < 1)
    return Number.NaN;
  const astronomical = beforeChrist ? 1 - year : year;
  const last = month === 2 && isLeap(astronomical) ? 29 : monthDays[month - 1]!;
  if (day > last) return Number.NaN;
  cursor.at = at + 6;
  return daysOf(astronomical, month, day);
}
