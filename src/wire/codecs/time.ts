import { readInt32, writeInt32 } from './bytes.js';
import { cursor } from './calendar.js';
import {
  clock,
  fractionDigits,
  fractionUnit,
  offsetSecondsLimit,
  readClock,
  readOffset,
  secondsPerDay,
  writeClock,
  writeOffset,
} from './clock.js';
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { setClock, writeMicroseconds } from './int64.js';

/** Sets `clock` to the time at `data[at]`; false: outside 0 to 24 hours. */
function takeTime(data: Uint8Array, at: number): boolean {
  // 2^32 microseconds are little more than an hour
  const high = readInt32(data, at);
  if (high < 0 || high > 20) return false;
  setClock(data, at, 0);
  return clock.seconds < secondsPerDay || (clock.seconds === secondsPerDay && clock.microseconds === 0);
}

function timeReader(modifier: number, zoned: boolean): TextReader | undefined {
  const precision = fractionDigits(modifier);
  if (precision === undefined) return undefined;
  return (text, start, end, out, at) => {
    if (!readClock(text, start, end, precision)) return -1;
    const to = writeMicroseconds(out, at, 0, clock.seconds, clock.microseconds);
    if (!zoned) return cursor.at === end ? to : -1;
    const east = readOffset(text, cursor.at, end);
    return cursor.at === end && !Number.isNaN(east) ? writeInt32(out, to, -east) : -1;
  };
}

function timeCheck(modifier: number, zoned: boolean): BinaryCheck | undefined {
  const precision = fractionDigits(modifier);
  if (precision === undefined) return undefined;
  const unit = fractionUnit(precision);
  return (data, start, end) => {
    if (end - start !== (zoned ? 12 : 8)) return false;
    if (!takeTime(data, start) || clock.microseconds % unit !== 0) return false;
    return !zoned || Math.abs(readInt32(data, start + 8)) < offsetSecondsLimit;
  };
}

const writeTime: TextWriter = (data, start, end, out, at) =>
  end - start === 8 && takeTime(data, start) ? writeClock(out, at) : -1;

const writeTimetz: TextWriter = (data, start, end, out, at) =>
  end - start === 12 && takeTime(data, start)
    ? writeOffset(out, writeClock(out, at), -readInt32(data, start + 8))
    : -1;

/** time: `HH:MM:SS[.ffffff]`. */
export const timeCodec: Codec = {
  writer: () => writeTime,
  reader: modifier => timeReader(modifier, false),
  acceptable: modifier => timeCheck(modifier, false),
  textSizeMax: () => 15,
  binarySizeMax: () => 8,
};

/** timetz: `HH:MM:SS[.ffffff]` and the offset, which the binary form counts west of UTC. */
export const timetzCodec: Codec = {
  writer: () => writeTimetz,
  reader: modifier => timeReader(modifier, true),
  acceptable: modifier => timeCheck(modifier, true),
  textSizeMax: () => 24,
  binarySizeMax: () => 12,
};
