/**
 * inet and cidr. Binary form: family (2 or 3), bits of the network, 1 for cidr, length of the address, address
 * (src/backend/utils/adt/network.c).
 */
import type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
import { digitCount, readDigits, writeSmall } from './digits.js';
import { hexDigits, hexValues } from './hex.js';

const headerSize = 4;
/** The longest: version 6 with a dotted tail, and the bits. */
const textBytesMax = 50;
const family4 = 2;
const family6 = 3;
const point = 0x2e;
const colon = 0x3a;
const slash = 0x2f;

function writer(isCidr: boolean): TextWriter {
  return (data, start, end, out, at) => {
    if (!isWellFormed(data, start, end)) return -1;
    const isVersion4 = data[start] === family4;
    const address = start + headerSize;
    const to = isVersion4 ? writeAddress4(data, address, out, at) : writeAddress6(data, address, out, at);
    const bits = data[start + 1]!;
    if (!isCidr && bits === (isVersion4 ? 32 : 128)) return to;
    out[to] = slash;
    return writeSmall(out, to + 1, bits);
  };
}

function isWellFormed(data: Uint8Array, start: number, end: number): boolean {
  const size = end - start;
  if (size < headerSize || data[start + 3] !== size - headerSize) return false;
  if (data[start] === family4) return size === headerSize + 4 && data[start + 1]! <= 32;
  return data[start] === family6 && size === headerSize + 16 && data[start + 1]! <= 128;
}

function writeAddress4(data: Uint8Array, address: number, out: Uint8Array, at: number): number {
  let to = writeSmall(out, at, data[address]!);
  for (let i = 1; i < 4; i++) {
    out[to] = point;
    to = writeSmall(out, to + 1, data[address + i]!);
  }
  return to;
}

/** The first longest run of two or more zero words, as start * 16 + length; -1: none. */
function longestZeroRun(data: Uint8Array, address: number): number {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && wordAt(data, address, i + length) === 0) length++;
    if (length > bestLength) {
      bestLength = length;
      best = i * 16 + length;
    }
    i += length;
  }
  return best;
}

const wordAt = (data: Uint8Array, address: number, i: number): number =>
  (data[address + 2 * i]! << 8) | data[address + 2 * i + 1]!;

/** src/port/inet_net_ntop.c: `::` for the longest run of zeros, a dotted tail for embedded version 4 addresses. */
function writeAddress6(data: Uint8Array, address: number, out: Uint8Array, at: number): number {
  const run = longestZeroRun(data, address);
  const runStart = run < 0 ? 8 : run >> 4;
  const runLength = run < 0 ? 0 : run & 15;
  const isEmbedded =
    runStart === 0 &&
    (runLength === 6 ||
      (runLength === 7 && wordAt(data, address, 7) !== 1) ||
      (runLength === 5 && wordAt(data, address, 5) === 0xffff));
  let to = at;
  for (let i = 0; i < 8; i++) {
    if (i >= runStart && i < runStart + runLength) {
      if (i === runStart) out[to++] = colon;
      continue;
    }
    if (i > 0) out[to++] = colon;
    if (i === 6 && isEmbedded) return writeAddress4(data, address + 12, out, to);
    to = writeWord(out, to, wordAt(data, address, i));
  }
  if (runStart + runLength === 8 && runLength > 0) out[to++] = colon;
  return to;
}

function writeWord(out: Uint8Array, at: number, word: number): number {
  let to = at;
  for (let shift = 12; shift >= 0; shift -= 4) {
    const digit = (word >> shift) & 15;
    if (digit !== 0 || to > at || shift === 0) out[to++] = hexDigits[digit]!;
  }
  return to;
}

function reader(isCidr: boolean): TextReader {
  const write = writer(isCidr);
  const printed = new Uint8Array(64);
  return (text, start, end, out, at) => {
    if (end - start > textBytesMax) return -1;
    const addressEnd = positionOf(slash, text, start, end);
    const hasBits = addressEnd < end;
    // cidr without bits goes by the classes of old
    if (!hasBits && isCidr) return -1;
    const isVersion4 = positionOf(colon, text, start, addressEnd) === addressEnd;
    const address = at + headerSize;
    const size = isVersion4 ? 4 : 16;
    const isRead = isVersion4
      ? readAddress4(text, start, addressEnd, out, address)
      : readAddress6(text, start, addressEnd, out, address);
    const bits = hasBits ? readDigits(text, addressEnd + 1, end) : size * 8;
    if (!isRead || bits < 0 || bits > size * 8) return -1;
    out[at] = isVersion4 ? family4 : family6;
    out[at + 1] = bits;
    out[at + 2] = isCidr ? 1 : 0;
    out[at + 3] = size;
    if (isCidr && !areHostBitsZero(out, address, size, bits)) return -1;
    // certain is what PostgreSQL would print the same
    const printedEnd = write(out, at, address + size, printed, 0);
    const expectedEnd = !isCidr && bits === size * 8 ? addressEnd : end;
    if (printedEnd !== expectedEnd - start) return -1;
    for (let i = 0; i < printedEnd; i++) if (printed[i] !== text[start + i]) return -1;
    return address + size;
  };
}

/** Position of a byte, `end` when it does not stand there. */
function positionOf(byte: number, text: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && text[at] !== byte) at++;
  return at;
}

function readAddress4(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): boolean {
  let from = start;
  for (let i = 0; i < 4; i++) {
    const to = positionOf(point, text, from, end);
    const octet = readDigits(text, from, to);
    if (octet < 0 || octet > 255 || to - from !== digitCount(octet)) return false;
    if (i < 3 ? to === end : to !== end) return false;
    out[at + i] = octet;
    from = to + 1;
  }
  return true;
}

/** Reads words and `::`, taking more than is printed: the caller compares. */
function readAddress6(text: Uint8Array, start: number, end: number, out: Uint8Array, at: number): boolean {
  out.fill(0, at, at + 16);
  let from = start;
  let words = 0;
  let gap = -1;
  while (from < end) {
    if (text[from] === colon) {
      if (from + 1 >= end || text[from + 1] !== colon || gap >= 0) return false;
      gap = words;
      from += 2;
      continue;
    }
    let to = from;
    let word = 0;
    for (; to < end && hexValues[text[to]!]! <= 15; to++) word = word * 16 + hexValues[text[to]!]!;
    if (to < end && text[to] === point) {
      if (words > 6 || !readAddress4(text, from, end, out, at + 2 * words)) return false;
      words += 2;
      break;
    }
    if (to === from || to - from > 4 || words === 8) return false;
    out[at + 2 * words] = word >> 8;
    out[at + 2 * words + 1] = word;
    words++;
    from = to;
    // one colon separates; two stay for the next round
    if (from < end && text[from] !== colon) return false;
    if (from + 1 < end && text[from + 1] !== colon) from++;
    else if (from + 1 === end) return false;
  }
  if (gap < 0) return words === 8;
  if (words === 8) return false;
  out.copyWithin(at + 16 - 2 * (words - gap), at + 2 * gap, at + 2 * words);
  out.fill(0, at + 2 * gap, at + 16 - 2 * (words - gap));
  return true;
}

function areHostBitsZero(data: Uint8Array, address: number, size: number, bits: number): boolean {
  for (let i = bits >> 3; i < size; i++) {
    const mask = i === bits >> 3 ? 0xff >> (bits & 7) : 0xff;
    if ((data[address + i]! & mask) !== 0) return false;
  }
  return true;
}

function check(isCidr: boolean): BinaryCheck {
  return (data, start, end) =>
    isWellFormed(data, start, end) &&
    data[start + 2] === (isCidr ? 1 : 0) &&
    (!isCidr || areHostBitsZero(data, start + headerSize, end - start - headerSize, data[start + 1]!));
}

function networkCodec(isCidr: boolean): Codec {
  const write = writer(isCidr);
  const read = reader(isCidr);
  const acceptable = check(isCidr);
  return {
    writer: () => write,
    reader: () => read,
    acceptable: () => acceptable,
    textSizeMax: () => textBytesMax,
    binarySizeMax: () => headerSize + 16,
  };
}

/** inet: an address, with `/bits` unless the network is the address alone. */
export const inetCodec = networkCodec(false);
/** cidr: a network, always with `/bits`, no bit set behind them. */
export const cidrCodec = networkCodec(true);
