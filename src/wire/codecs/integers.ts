import { readInt16, readInt32, readUint32, writeInt16, writeInt32 } from './bytes.js';
import type { Codec, TextReader, TextWriter } from './codec.js';
import { readDigits, writeSmall, writeUint64 } from './digits.js';

const minus = 0x2d;

function writeSigned(out: Uint8Array, at: number, value: number): number {
  if (value >= 0) return writeSmall(out, at, value);
  out[at] = minus;
  // -2^31 has no positive counterpart below 2^31
  return value === -2147483648 ? writeUint64(out, at + 1, 0, 2147483648) : writeSmall(out, at + 1, -value);
}

const writeInt2Text: TextWriter = (data, start, end, out, at) =>
  end - start === 2 ? writeSigned(out, at, readInt16(data, start)) : -1;

const writeInt4Text: TextWriter = (data, start, end, out, at) =>
  end - start === 4 ? writeSigned(out, at, readInt32(data, start)) : -1;

const writeOidText: TextWriter = (data, start, end, out, at) =>
  end - start === 4 ? writeUint64(out, at, 0, readUint32(data, start)) : -1;

const writeInt8Text: TextWriter = (data, start, end, out, at) => {
  if (end - start !== 8) return -1;
  const high = readInt32(data, start);
  const low = readUint32(data, start + 4);
  if (high === 0 && low < 0x80000000) return writeSmall(out, at, low);
  if (high >= 0) return writeUint64(out, at, high, low);
  out[at] = minus;
  const negatedLow = -low >>> 0;
  return writeUint64(out, at + 1, (~high + (negatedLow === 0 ? 1 : 0)) >>> 0, negatedLow);
};

/** Optional minus and digits, nothing else; PostgreSQL's further spellings (`+1`, `0x1`, ` 1`, `1_000`) go to it. */
function integerReader(bytes: 2 | 4, min: number, max: number): TextReader {
  return (text, start, end, out, at) => {
    const negative = start < end && text[start] === minus;
    const magnitude = readDigits(text, negative ? start + 1 : start, end);
    const value = negative ? -magnitude : magnitude;
    if (magnitude < 0 || value < min || value > max) return -1;
    return bytes === 4 ? writeInt32(out, at, value) : writeInt16(out, at, value);
  };
}

const readUnsigned = integerReader(4, 0, 4294967295);

/** A leading zero makes an oid octal. */
const readOidText: TextReader = (text, start, end, out, at) =>
  end - start > 1 && text[start] === 0x30 ? -1 : readUnsigned(text, start, end, out, at);

const readInt8Text: TextReader = (text, start, end, out, at) => {
  const negative = start < end && text[start] === minus;
  const first = negative ? start + 1 : start;
  if (end - first > 19) return -1;
  const split = end - first > 15 ? end - 9 : first;
  const high = split === first ? 0 : readDigits(text, first, split);
  const low = readDigits(text, split, end);
  if (high < 0 || low < 0) return -1;
  return writeDecimal64(out, at, negative, high, low, 1e9);
};

/**
 * Writes `high * scale + low`, negated if so wanted, as a signed 64-bit integer.
 * @param high below 2^40
 * @param low below 2^50
 * @param scale at most 10^9
 * @returns the position after, or -1 when the value is out of range
 */
export function writeDecimal64(
  out: Uint8Array,
  at: number,
  negative: boolean,
  high: number,
  low: number,
  scale: number,
): number {
  // a digit of 22 bits and a rest, so that each product stays below 2^53
  const lower = (high % 4194304) * scale + low;
  const upper = Math.floor(high / 4194304) * scale + Math.floor(lower / 4194304);
  const highWord = Math.floor(upper / 1024);
  const lowWord = ((upper % 1024) * 4194304 + (lower % 4194304)) >>> 0;
  if (highWord > 0x7fffffff && !(negative && highWord === 0x80000000 && lowWord === 0)) return -1;
  if (!negative) return writeInt32(out, writeInt32(out, at, highWord), lowWord);
  const negatedLow = -lowWord >>> 0;
  return writeInt32(out, writeInt32(out, at, ~highWord + (negatedLow === 0 ? 1 : 0)), negatedLow);
}

function fixedCodec(size: number, textSize: number, writer: TextWriter, reader: TextReader): Codec {
  const acceptable = (_data: Uint8Array, start: number, end: number) => end - start === size;
  return {
    writer: () => writer,
    reader: modifier => (modifier === -1 ? reader : undefined),
    acceptable: modifier => (modifier === -1 ? acceptable : undefined),
    textSizeMax: () => textSize,
    binarySizeMax: () => size,
  };
}

/** smallint: 2 bytes, signed, big-endian. */
export const int2Codec = fixedCodec(2, 6, writeInt2Text, integerReader(2, -32768, 32767));
/** integer: 4 bytes, signed, big-endian. */
export const int4Codec = fixedCodec(4, 11, writeInt4Text, integerReader(4, -2147483648, 2147483647));
/** bigint: 8 bytes, signed, big-endian. */
export const int8Codec = fixedCodec(8, 20, writeInt8Text, readInt8Text);
/** oid: 4 bytes, unsigned, big-endian. */
export const oidCodec = fixedCodec(4, 10, writeOidText, readOidText);
