/**
 * 64-bit counts of microseconds as days and a time of day: both are exact doubles where the count is not.
 */
import { readInt32, readUint32, writeInt32 } from './bytes.js';
import { clock, microsecondsPerDay, microsecondsPerSecond } from './clock.js';

/** Microseconds of a day are 2^13 times this: the division is done above the low 13 bits, where it is exact. */
const unitsPerDay = 10546875;
const unit = 8192;

/** Whole days (floor) in the big-endian count of microseconds at `data[at]`. */
export function daysIn(data: Uint8Array, at: number): number {
  const high = readInt32(data, at);
  const low = readUint32(data, at + 4);
  const units = high * 524288 + (low >>> 13);
  return Math.floor(units / unitsPerDay);
}

/** Sets `clock` to what remains of the count at `data[at]` above `days` whole days. */
export function setClock(data: Uint8Array, at: number, days: number): void {
  const high = readInt32(data, at);
  const low = readUint32(data, at + 4);
  const rest = (high * 524288 + (low >>> 13) - days * unitsPerDay) * unit + (low & 0x1fff);
  const seconds = Math.floor(rest / microsecondsPerSecond);
  clock.seconds = seconds;
  clock.microseconds = rest - seconds * microsecondsPerSecond;
}

/**
 * Writes days, seconds and microseconds as a big-endian count of microseconds.
 * @param days at most 2^27 of them in magnitude
 * @param seconds at most 2^33 of them in magnitude
 * @returns the position after
 */
export function writeMicroseconds(
  out: Uint8Array,
  at: number,
  days: number,
  seconds: number,
  microseconds: number,
): number {
  const total = seconds * microsecondsPerSecond + microseconds;
  const carry = Math.floor(total / microsecondsPerDay);
  const rest = total - carry * microsecondsPerDay;
  const units = (days + carry) * unitsPerDay + Math.floor(rest / unit);
  const high = Math.floor(units / 524288);
  return writeInt32(out, writeInt32(out, at, high), (units - high * 524288) * unit + (rest % unit));
}

const isInfinityTail = (data: Uint8Array, at: number, byte: number): boolean => {
  for (let i = at + 1; i < at + 8; i++) if (data[i] !== byte) return false;
  return true;
};

/** 1 for the largest, -1 for the smallest 64-bit integer (infinity of timestamps), else 0. */
export function infinityOf(data: Uint8Array, at: number): 1 | -1 | 0 {
  if (data[at] === 0x7f && isInfinityTail(data, at, 0xff)) return 1;
  return data[at] === 0x80 && isInfinityTail(data, at, 0) ? -1 : 0;
}
