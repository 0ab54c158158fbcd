/**
 * The value codecs of PostgreSQL 14 to 18: between the text and the binary form of a value, for the types in
 * `types.ts` and their arrays, in a UTF-8 database.
 *
 * A codec does only what it knows for certain. For everything else (an unusual spelling, an invalid value, a setting
 * it does not know) it says "not sure", and the caller hands the value to a real PostgreSQL, which also words the
 * error.
 */
import { elementType, noModifier, type TypeName, typeName, typeNames, typeOids } from '../types.js';
import { arrayCodec } from './array.js';
import { boolCodec } from './boolean.js';
import { byteaCodec } from './bytea.js';
import type { Codec, TextReader, TextWriter } from './codec.js';
import { dateCodec } from './date.js';
import { float4Codec, float8Codec } from './float.js';
import { cidrCodec, inetCodec } from './inet.js';
import { int2Codec, int4Codec, int8Codec, oidCodec } from './integers.js';
import { intervalCodec } from './interval.js';
import { jsonbCodec, jsonCodec } from './json.js';
import { numericCodec } from './numeric.js';
import type { CodecSettings } from './settings.js';
import { bpcharCodec, nameCodec, plainTextCodec, varcharCodec } from './text.js';
import { timeCodec, timetzCodec } from './time.js';
import { timestampCodec, timestamptzCodec } from './timestamp.js';
import { uuidCodec } from './uuid.js';

export type { BinaryCheck, Codec, TextReader, TextWriter } from './codec.js';
export { type CodecSettings, codecSettings, defaultSettings } from './settings.js';
export { fixedZone, type ZoneOffsets, zoneFromRows, zoneQuery } from './zone.js';

const scalarCodecs: Readonly<Record<TypeName, Codec>> = {
  bool: boolCodec,
  bytea: byteaCodec,
  name: nameCodec,
  int8: int8Codec,
  int2: int2Codec,
  int4: int4Codec,
  text: plainTextCodec,
  oid: oidCodec,
  json: jsonCodec,
  cidr: cidrCodec,
  float4: float4Codec,
  float8: float8Codec,
  inet: inetCodec,
  bpchar: bpcharCodec,
  varchar: varcharCodec,
  date: dateCodec,
  time: timeCodec,
  timestamp: timestampCodec,
  timestamptz: timestamptzCodec,
  interval: intervalCodec,
  timetz: timetzCodec,
  numeric: numericCodec,
  uuid: uuidCodec,
  jsonb: jsonbCodec,
};

const arrayCodecs = new Map<number, Codec>(
  typeNames.map(name => [typeOids[name], arrayCodec(typeOids[name], scalarCodecs[name])]),
);

/** The conversions of a type, a column at a time; undefined: PostgreSQL converts. */
export function codecOf(typeOid: number): Codec | undefined {
  const name = typeName(typeOid);
  if (name !== undefined) return scalarCodecs[name];
  const element = elementType(typeOid);
  return element === undefined ? undefined : arrayCodecs.get(element);
}

/**
 * A function that writes the text form of one value of a type at a time into a buffer. The caller makes room for
 * `maxTextSize` bytes; a numeric whose text is longer, or an array of such, is "not sure" (`encodeText` knows it).
 * @returns undefined: not under these settings, or not this type
 * @example
 * const write = textWriter(typeOids.int4, settings);
 * const next = write(column.data, column.offsets[i], column.offsets[i + 1], out, at); // -1: ask PostgreSQL
 */
export const textWriter = (typeOid: number, settings: CodecSettings): TextWriter | undefined =>
  codecOf(typeOid)?.writer(settings);

/** Bytes that the text form of a value of `size` bytes needs at most, 0 for a type without a codec. */
export const maxTextSize = (typeOid: number, size: number): number =>
  codecOf(typeOid)?.textSizeMax(size) ?? 0;

/**
 * A function that reads the text form of one value of a type at a time into its binary form, the type modifier
 * applied as the type's input function does. The caller makes room for `maxBinarySize` bytes.
 * @returns undefined: not with this modifier or under these settings, or not this type
 */
export const textReader = (
  typeOid: number,
  modifier: number,
  settings: CodecSettings,
): TextReader | undefined => codecOf(typeOid)?.reader(modifier, settings);

/**
 * Bytes that the binary form of a text of `size` bytes needs at most, 0 for a type without a codec. The padding of a
 * char(n) counts in; in an array of char(n) it does not: without room the reader says "not sure".
 */
export function maxBinarySize(typeOid: number, modifier: number, size: number): number {
  const padding = typeOid === typeOids.bpchar && modifier !== noModifier ? modifier : 0;
  return (codecOf(typeOid)?.binarySizeMax(size) ?? 0) + padding;
}

/** Largest text made here; PostgreSQL itself stops at 1 GiB. */
const textBytesMax = 1 << 28;

/** Text that any numeric fits in. */
const longestNumeric = 1 << 18;
/** Buffers above this size are not kept. */
const keptBytesMax = 1 << 20;

/** Where values are converted before their size is known. */
let scratch = new Uint8Array(1 << 16);

function scratchOf(size: number): Uint8Array {
  if (size > keptBytesMax) return new Uint8Array(size);
  if (scratch.length < size) scratch = new Uint8Array(2 * size);
  return scratch;
}

/**
 * The text form of a value, as PostgreSQL's output function prints it under these settings.
 * @param binary the value in PostgreSQL's binary form
 * @returns undefined: not sure
 */
export function encodeText(
  typeOid: number,
  binary: Uint8Array,
  settings: CodecSettings,
): Uint8Array | undefined {
  const write = textWriter(typeOid, settings);
  if (write === undefined) return undefined;
  const isNumeric = (elementType(typeOid) ?? typeOid) === typeOids.numeric;
  let size = maxTextSize(typeOid, binary.length) + (isNumeric ? longestNumeric : 0);
  for (;;) {
    const out = scratchOf(size);
    const end = write(binary, 0, binary.length, out, 0);
    if (end >= 0) return out.slice(0, end);
    // an array may hold many long numerics: their writer refuses a buffer that is too small
    if (!isNumeric || typeOid === typeOids.numeric || size > textBytesMax) return undefined;
    size *= 8;
  }
}

/**
 * The binary form of a value in text form, as PostgreSQL's input function takes it.
 * @param text the value in UTF-8
 * @param modifier the type modifier, -1 for none
 * @returns undefined: not sure; the text may be invalid, or spelled in a way that only PostgreSQL knows
 */
export function decodeText(
  typeOid: number,
  modifier: number,
  text: Uint8Array,
  settings: CodecSettings,
): Uint8Array | undefined {
  const read = textReader(typeOid, modifier, settings);
  if (read === undefined) return undefined;
  const out = scratchOf(maxBinarySize(typeOid, modifier, text.length));
  const end = read(text, 0, text.length, out, 0);
  return end < 0 ? undefined : out.slice(0, end);
}

/**
 * Whether bytes that a client sent as a binary parameter are certainly a valid value of the type and modifier, in
 * the very form in which PostgreSQL would send it.
 * @returns false: not sure
 */
export function binaryAcceptable(typeOid: number, modifier: number, bytes: Uint8Array): boolean {
  return codecOf(typeOid)?.acceptable(modifier)?.(bytes, 0, bytes.length) ?? false;
}
