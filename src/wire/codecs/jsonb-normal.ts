/**
 * Whether JSON text is as PostgreSQL prints a jsonb (src/backend/utils/adt/jsonb.c): one blank after each comma and
 * colon, keys unique and in order of length, then bytes, numbers as numeric prints them, strings escaped no more
 * than escape_json does. What is in this form, PostgreSQL reads and prints unchanged.
 */
import { wordEnd } from './bytes.js';
import { isDigit } from './digits.js';
import { isValidText } from './utf8.js';

/** Digits of a number that is certainly within the limits of numeric. */
const numberDigitsMax = 1000;

/** Whether `text[start .. end)` is one normal value, nested at most `depthMax` deep. */
export function isNormalJson(text: Uint8Array, start: number, end: number, depthMax: number): boolean {
  return isValidText(text, start, end) && valueEnd(text, start, end, depthMax) === end;
}

/** Position after the value that begins at `at`, or -1. */
function valueEnd(text: Uint8Array, at: number, end: number, depth: number): number {
  if (at >= end || depth < 0) return -1;
  switch (text[at]) {
    case 0x22:
      return stringEnd(text, at, end);
    case 0x7b:
      return objectEnd(text, at, end, depth);
    case 0x5b:
      return arrayEnd(text, at, end, depth);
    case 0x74:
      return wordEnd(text, at, end, 'true');
    case 0x66:
      return wordEnd(text, at, end, 'false');
    case 0x6e:
      return wordEnd(text, at, end, 'null');
    default:
      return numberEnd(text, at, end);
  }
}

function arrayEnd(text: Uint8Array, at: number, end: number, depth: number): number {
  let next = at + 1;
  if (next < end && text[next] === 0x5d) return next + 1;
  for (;;) {
    next = valueEnd(text, next, end, depth - 1);
    if (next < 0 || next >= end) return -1;
    if (text[next] === 0x5d) return next + 1;
    next = separatorEnd(text, next, end, 0x2c);
    if (next < 0) return -1;
  }
}

function objectEnd(text: Uint8Array, at: number, end: number, depth: number): number {
  let key = at + 1;
  if (key < end && text[key] === 0x7d) return key + 1;
  let previous = 0;
  let previousEnd = -1;
  for (;;) {
    const keyEnd = key < end && text[key] === 0x22 ? plainStringEnd(text, key, end) : -1;
    if (keyEnd < 0 || (previousEnd >= 0 && !isBefore(text, previous, previousEnd, key, keyEnd))) return -1;
    let next = separatorEnd(text, keyEnd, end, 0x3a);
    if (next < 0) return -1;
    next = valueEnd(text, next, end, depth - 1);
    if (next < 0 || next >= end) return -1;
    if (text[next] === 0x7d) return next + 1;
    next = separatorEnd(text, next, end, 0x2c);
    if (next < 0) return -1;
    previous = key;
    previousEnd = keyEnd;
    key = next;
  }
}

/** Position after the separator and a blank, or -1. */
const separatorEnd = (text: Uint8Array, at: number, end: number, separator: number): number =>
  at + 2 <= end && text[at] === separator && text[at + 1] === 0x20 ? at + 2 : -1;

/** lengthCompareJsonbString: shorter keys first, then by bytes. */
function isBefore(text: Uint8Array, a: number, aEnd: number, b: number, bEnd: number): boolean {
  if (aEnd - a !== bEnd - b) return aEnd - a < bEnd - b;
  for (let i = 0; i < aEnd - a; i++) if (text[a + i] !== text[b + i]) return text[a + i]! < text[b + i]!;
  return false;
}

/** As `stringEnd`, without escapes: the order of keys is that of their characters, not of their spelling. */
function plainStringEnd(text: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const byte = text[i]!;
    if (byte === 0x22) return i + 1;
    if (byte < 0x20 || byte === 0x5c) return -1;
  }
  return -1;
}

/** Position after the string that begins at `at`, or -1. */
function stringEnd(text: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    const byte = text[i]!;
    if (byte === 0x22) return i + 1;
    if (byte < 0x20) return -1;
    if (byte === 0x5c) {
      const size = escapeSize(text, i, end);
      if (size === 0) return -1;
      i += size - 1;
    }
  }
  return -1;
}

/** Bytes of an escape that escape_json itself writes, or 0. */
function escapeSize(text: Uint8Array, at: number, end: number): number {
  const letter = at + 1 < end ? text[at + 1]! : 0;
  if (letter !== 0x75) {
    const isShort =
      letter === 0x22 ||
      letter === 0x5c ||
      letter === 0x62 ||
      letter === 0x66 ||
      letter === 0x6e ||
      letter === 0x72 ||
      letter === 0x74;
    return isShort ? 2 : 0;
  }
  // \u00xx for the control characters that have no letter of their own
  if (at + 6 > end || text[at + 2] !== 0x30 || text[at + 3] !== 0x30) return 0;
  const high = text[at + 4]! - 0x30;
  const digit = text[at + 5]!;
  const low = isDigit(digit) ? digit - 0x30 : digit >= 0x61 && digit <= 0x66 ? digit - 0x57 : -1;
  if ((high !== 0 && high !== 1) || low < 0) return 0;
  const character = high * 16 + low;
  const hasLetter = character >= 0x08 && character <= 0x0d && character !== 0x0b;
  return character === 0 || hasLetter ? 0 : 6;
}

/** Position after a number as numeric prints it, or -1. */
function numberEnd(text: Uint8Array, at: number, end: number): number {
  const isNegative = text[at] === 0x2d;
  const first = isNegative ? at + 1 : at;
  let to = first;
  let isZero = true;
  for (; to < end && isDigit(text[to]!); to++) if (text[to] !== 0x30) isZero = false;
  if (to === first || (to > first + 1 && text[first] === 0x30)) return -1;
  if (to < end && text[to] === 0x2e) {
    const fraction = ++to;
    for (; to < end && isDigit(text[to]!); to++) if (text[to] !== 0x30) isZero = false;
    if (to === fraction) return -1;
  }
  if (to - at > numberDigitsMax || (isNegative && isZero)) return -1;
  return to < end && (text[to] === 0x65 || text[to] === 0x45) ? -1 : to;
}
