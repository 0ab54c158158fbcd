/**
 * What PostgreSQL demands of text in a UTF-8 database: RFC 3629 without surrogates and nothing above U+10FFFF
 * (pg_utf8_islegal), and no zero byte.
 */
import { isUtf8 } from 'node:buffer';

/** Above this many bytes the native checks are faster, for all that they need a view. */
const loopBytesMax = 64;

/** Whether `text[start .. end)` is valid text. */
export function isValidText(text: Uint8Array, start: number, end: number): boolean {
  if (end - start > loopBytesMax) {
    const view = text.subarray(start, end);
    return isUtf8(view) && !view.includes(0);
  }
  return textCharacters(text, start, end) >= 0;
}

/**
 * Counts the characters of `text[start .. end)` while it checks them.
 * @returns the number of characters, or -1: not valid
 */
export function textCharacters(text: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    const byte = text[at]!;
    if (byte === 0) return -1;
    if (byte >= 0x80) return nonAscii(text, at, end, at - start);
  }
  return end - start;
}

/** Goes on from `start`, before which there are `characters` characters. */
function nonAscii(text: Uint8Array, start: number, end: number, characters: number): number {
  let count = characters;
  let at = start;
  while (at < end) {
    const size = characterSize(text, at, end);
    if (size === 0) return -1;
    at += size;
    count++;
  }
  return count;
}

/** Bytes of the character at `at`, or 0 when it is not valid. */
function characterSize(text: Uint8Array, at: number, end: number): number {
  const first = text[at]!;
  if (first < 0x80) return first === 0 ? 0 : 1;
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + size > end) return 0;
  const second = text[at + 1]!;
  // table 3-7 of the Unicode standard: the second byte is narrower after E0, ED, F0 and F4
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let i = 2; i < size; i++) if ((text[at + i]! & 0xc0) !== 0x80) return 0;
  return size;
}
