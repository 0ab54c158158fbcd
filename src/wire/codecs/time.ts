import { readInt32, readUint32, writeInt32 } from './bytes.js';
import { cursor } from './calendar.js';
import {
  fractionDigits,
  fractionUnit,
  microsecondsPerDay,
  offsetSecondsLimit,
  readClock,
  readOffset,
  writeClock,
  writeOffset,
} from './clock.js';
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { writeMicroseconds } from './int64.js';

/** Microseconds since midnight at `data[at]`, or -1 outside 0 to 24 hours. */
function readMicroseconds(data: Uint8Array, at: number): number {
  const value = readInt32(data, at) * 4294967296 + readUint32(data, at + 4);
  return value >= 0 && value <= microsecondsPerDay ? value : -1;
}

function timeReader(modifier: number, zoned: boolean): TextReader | undefined {
  const precision = fractionDigits(modifier);
  if (precision === undefined) return undefined;
  return (text, start, end, out, at) => {
    const microseconds = readClock(text, start, end, precision);
    if (microseconds < 0) return -1;
    const to = writeMicroseconds(out, at, 0, microseconds);
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
    const microseconds = readMicroseconds(data, start);
    if (microseconds < 0 || microseconds % unit !== 0) return false;
    return !zoned || Math.abs(readInt32(data, start + 8)) < offsetSecondsLimit;
  };
}

const writeTime: TextWriter = (data, start, end, out, at) => {
  const microseconds = end - start === 8 ? readMicroseconds(data, start) : -1;
  return microseconds < 0 ? -1 : writeClock(out, at, microseconds);
};

const writeTimetz: TextWriter = (data, start, end, out, at) => {
  const microseconds = end - start === 12 ? readMicroseconds(data, start) : -1;
  if (microseconds < 0) return -1;
  return writeOffset(out, writeClock(out, at, microseconds), -readInt32(data, start + 8));
};

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
