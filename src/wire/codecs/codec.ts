import { copyBytes } from './bytes.js';
import type { CodecSettings } from './settings.js';

/**
 * Writes the text form of one value, in binary form at `data[start .. end)`, to `out` from `at` on.
 * @returns the position after the text, or -1: not sure, what was written to `out` is to be ignored
 */
export type TextWriter = (
  data: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
) => number;

/**
 * Reads the text form of one value at `text[start .. end)` and writes its binary form to `out` from `at` on.
 * @returns the position after the binary form, or -1: not sure, what was written to `out` is to be ignored
 */
export type TextReader = (
  text: Uint8Array,
  start: number,
  end: number,
  out: Uint8Array,
  at: number,
) => number;

/** Whether the bytes `data[start .. end)` are certainly a valid value, as PostgreSQL itself would send it. */
export type BinaryCheck = (data: Uint8Array, start: number, end: number) => boolean;

/** The writer of types whose text form is the binary one: a column of theirs is its own text. */
export const verbatim: TextWriter = copyBytes;

/**
 * One type's conversions between PostgreSQL's text and binary form. Every function says "not sure" (undefined,
 * -1, false) for what it does not know for certain, and PostgreSQL itself is asked instead.
 */
export interface Codec {
  /** undefined: not under these settings */
  writer(settings: CodecSettings): TextWriter | undefined;
  /** @param modifier the type modifier, -1 for none */
  reader(modifier: number, settings: CodecSettings): TextReader | undefined;
  acceptable(modifier: number): BinaryCheck | undefined;
  /**
   * Upper bound of the text of a value of `size` bytes, in bytes. A numeric can be longer than the bound: its
   * writer says "not sure" where `out` has no room.
   */
  textSizeMax(size: number): number;
  /** Upper bound of the binary form of a text of `size` bytes, in bytes; padding of bpchar beside. */
  binarySizeMax(size: number): number;
}
