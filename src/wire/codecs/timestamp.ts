import { isAscii, writeAscii, writeInt32 } from './bytes.js';
import { cursor, daysOf, firstDay, isBeforeChrist, readDay, writeDay, writeEra } from './calendar.js';
import {
  clock,
  fractionDigits,
  fractionUnit,
  readClock,
  readOffset,
  secondsPerDay,
  writeClock,
  writeOffset,
} from './clock.js';
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { daysIn, infinityOf, setClock, writeMicroseconds } from './int64.js';
import type { ZoneOffsets } from './zone.js';

/** 294276-12-31, the last day of timestamps. */
const lastDay = daysOf(294276, 12, 31);
/** 2000-01-01 in seconds since 1970-01-01. */
const epochUnixSeconds = 946684800;

const isInRange = (days: number): boolean => days >= firstDay && days <= lastDay;

const writePlain: TextWriter = (data, start, end, out, at) => {
  if (end - start !== 8) return -1;
  const days = daysIn(data, start);
  if (!isInRange(days)) return writeInfinity(data, start, out, at);
  setClock(data, start, days);
  const to = writeDay(out, at, days);
  out[to] = 0x20;
  return writeEra(out, writeClock(out, to + 1), days);
};

function zonedWriter(zone: ZoneOffsets): TextWriter {
  return (data, start, end, out, at) => {
    if (end - start !== 8) return -1;
    const utcDays = daysIn(data, start);
    if (!isInRange(utcDays)) return writeInfinity(data, start, out, at);
    setClock(data, start, utcDays);
    const east = zone.offsetAt(utcDays * secondsPerDay + epochUnixSeconds + clock.seconds);
    if (Number.isNaN(east)) return -1;
    const local = clock.seconds + east;
    const carry = local < 0 ? -1 : local >= secondsPerDay ? 1 : 0;
    clock.seconds = local - carry * secondsPerDay;
    const days = utcDays + carry;
    let to = writeDay(out, at, days);
    out[to++] = 0x20;
    to = writeClock(out, to);
    return writeEra(out, writeOffset(out, to, east), days);
  };
}

function writeInfinity(data: Uint8Array, start: number, out: Uint8Array, at: number): number {
  const infinity = infinityOf(data, start);
  if (infinity === 0) return -1;
  return writeAscii(out, at, infinity > 0 ? 'infinity' : '-infinity');
}

function reader(modifier: number, zoned: boolean): TextReader | undefined {
  const precision = fractionDigits(modifier);
  if (precision === undefined) return undefined;
  return (text, start, end, out, at) => {
    const beforeChrist = isBeforeChrist(text, start, end);
    const last = beforeChrist ? end - 3 : end;
    const days = readDay(text, start, last, beforeChrist);
    if (Number.isNaN(days)) return readInfinity(text, start, end, out, at);
    const separator = cursor.at < last ? text[cursor.at] : 0;
    if (separator !== 0x20 && separator !== 0x54) return -1;
    if (!readClock(text, cursor.at + 1, last, precision)) return -1;
    const east = zoned ? readZone(text, cursor.at, last) : 0;
    if (cursor.at !== last || Number.isNaN(east)) return -1;
    const utc = clock.seconds - east;
    // the local day and the moment must both be in range
    if (!isInRange(days) || !isInRange(days + Math.floor(utc / secondsPerDay))) return -1;
    return writeMicroseconds(out, at, days, utc, clock.microseconds);
  };
}

/** An offset or `Z`; without one the session's zone would have to be asked which offset a local time has. */
function readZone(text: Uint8Array, start: number, end: number): number {
  if (start + 1 !== end || text[start] !== 0x5a) return readOffset(text, start, end);
  cursor.at = end;
  return 0;
}

function readInfinity(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  if (isAscii(text, start, end, 'infinity')) return writeInt32(out, writeInt32(out, at, 0x7fffffff), -1);
  if (isAscii(text, start, end, '-infinity')) return writeInt32(out, writeInt32(out, at, -0x80000000), 0);
  return -1;
}

function check(modifier: number): BinaryCheck | undefined {
  const precision = fractionDigits(modifier);
  if (precision === undefined) return undefined;
  const unit = fractionUnit(precision);
  return (data, start, end) => {
    if (end - start !== 8) return false;
    const days = daysIn(data, start);
    if (!isInRange(days)) return infinityOf(data, start) !== 0;
    setClock(data, start, days);
    return clock.microseconds % unit === 0;
  };
}

/** timestamp: `YYYY-MM-DD HH:MM:SS[.ffffff][ BC]`; a `T` between date and time is taken too. */
export const timestampCodec: Codec = {
  writer: settings => (settings.isoDates ? writePlain : undefined),
  reader: modifier => reader(modifier, false),
  acceptable: check,
  textSizeMax: () => 32,
  binarySizeMax: () => 8,
};

/** timestamptz: as timestamp, with the offset of the session's zone after the time. */
export const timestamptzCodec: Codec = {
  writer: settings =>
    settings.isoDates && settings.zone !== undefined ? zonedWriter(settings.zone) : undefined,
  reader: modifier => reader(modifier, true),
  acceptable: check,
  textSizeMax: () => 42,
  binarySizeMax: () => 8,
};
