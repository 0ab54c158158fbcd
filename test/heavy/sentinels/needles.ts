/** The byte strings to look for: every form in which a sentinel could lie in a file or on a wire. */
import { createHash } from 'node:crypto';
import type { Sentinel } from './values.js';

/** One form of one sentinel. */
export interface Needle {
  readonly sentinel: string;
  /** Says what the form is, for example `base64 of the text`. */
  readonly form: string;
  readonly bytes: Buffer;
  /** How rare it is among random characters of its alphabet: one position in 2^bits holds it by chance. */
  readonly bits: number;
}

/** Commoner needles are left out: half a gigabyte of noise would hold them by chance, again and again. */
const bitsLeast = 30;
/** A window of so many bytes of each needle is looked up by the scan. */
const bytesLeast = 4;

/** All forms of the sentinels, without repetitions. */
export function needlesOf(sentinels: readonly Sentinel[]): Needle[] {
  const needles = new Map<string, Needle>();
  for (const value of sentinels)
    for (const needle of formsOf(value)) {
      if (needle.bits < bitsLeast || needle.bytes.length < bytesLeast) continue;
      const key = `${needle.sentinel} ${needle.bytes.toString('hex')}`;
      if (!needles.has(key)) needles.set(key, needle);
    }
  return [...needles.values()];
}

function formsOf(value: Sentinel): Needle[] {
  const needles: Needle[] = [];
  const add = (form: string, bytes: Buffer, bitsACharacter: number) =>
    needles.push({ sentinel: value.name, form, bytes, bits: bytes.length * bitsACharacter });
  for (const text of value.texts) {
    const bytes = Buffer.from(text);
    for (const [form, spelling] of spellings(text)) add(form, Buffer.from(spelling), 5);
    encoded(bytes, 'the text', add);
    for (const hash of ['md5', 'sha1', 'sha256'] as const) {
      const digest = createHash(hash).update(bytes).digest();
      add(`${hash} of the text`, digest, 8);
      encoded(digest, `the ${hash} of the text`, add);
    }
  }
  for (const bytes of value.network) {
    add('network order', bytes, 8);
    if (bytes.length < 8) add('network order after its length', Buffer.concat([length(bytes), bytes]), 8);
    encoded(bytes, 'network order', add);
  }
  for (const bytes of value.onDisk) {
    add('little-endian', bytes, 8);
    encoded(bytes, 'little-endian', add);
  }
  return needles;
}

function spellings(text: string): [string, string][] {
  return [
    ['text', text],
    ['text in lower case', text.toLowerCase()],
    ['text in upper case', text.toUpperCase()],
    ['text reversed', [...text].reverse().join('')],
    ['text without punctuation', text.replace(/[-.:]/g, '')],
  ];
}

function encoded(
  bytes: Buffer,
  what: string,
  add: (form: string, bytes: Buffer, bits: number) => void,
): void {
  const hex = bytes.toString('hex');
  add(`hex of ${what}`, Buffer.from(hex), 4);
  add(`upper case hex of ${what}`, Buffer.from(hex.toUpperCase()), 4);
  for (const alignment of [0, 1, 2])
    for (const alphabet of ['base64', 'base64url'] as const)
      add(`${alphabet} of ${what}, alignment ${alignment}`, base64Inside(bytes, alignment, alphabet), 6);
}

/**
 * The characters of base64 that a value fixes when `alignment` unknown bytes (modulo 3) come before it: those
 * that hold bits of neighbours are left out at both ends.
 */
export function base64Inside(bytes: Buffer, alignment: number, alphabet: 'base64' | 'base64url'): Buffer {
  const padded = Buffer.concat([Buffer.alloc(alignment), bytes]);
  const first = Math.ceil((alignment * 8) / 6);
  const end = Math.floor((padded.length * 8) / 6);
  return Buffer.from(padded.toString(alphabet).slice(first, end));
}

function length(bytes: Buffer): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(bytes.length);
  return prefix;
}
