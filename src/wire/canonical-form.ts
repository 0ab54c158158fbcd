import { type ByteColumn, type CanonicalColumn, canonical } from '../crypto/column.js';
import { ClarusError } from '../errors.js';

/** First byte of every canonical form, by class. Stored tags depend on these: they never change. */
export const classCodes = {
  number: 1,
  float: 2,
  text: 3,
  bytes: 4,
  bool: 5,
  uuid: 6,
  date: 7,
  time: 8,
  timetz: 9,
  timestamp: 10,
  timestamptz: 11,
  interval: 12,
  network: 13,
  oid: 14,
  char: 15,
} as const;

/** Types whose values can be equal to each other by an operator of the class. */
export type CanonicalClass = keyof typeof classCodes;

/** Writes the form of the value `data[start .. end)` at `out[at]` on; returns the position after. */
type FormWriter = (data: Uint8Array, start: number, end: number, out: Uint8Array, at: number) => number;

/**
 * Makes the forms of a column one after the other.
 * @param room upper bound of the bytes of all forms
 */
export function formsOf(values: ByteColumn, room: number, write: FormWriter): CanonicalColumn {
  const { length, data, offsets, nulls } = values;
  const out = new Uint8Array(room);
  const outOffsets = new Uint32Array(length + 1);
  let at = 0;
  for (let i = 0; i < length; i++) {
    if (!nulls?.[i]) at = write(data, offsets[i]!, offsets[i + 1]!, out, at);
    outOffsets[i + 1] = at;
  }
  return canonical({ length, data: out, offsets: outOffsets, nulls });
}

/** Bytes of all values of a column together. */
export const bytesOf = ({ offsets, length }: ByteColumn): number => offsets[length]! - offsets[0]!;

/** Asserts the length of a value in binary form. */
export function assertSize(start: number, end: number, size: number): void {
  if (end - start !== size) throw malformed();
}

/** The error for bytes that are not the binary form of their type. */
export const malformed = (): ClarusError => new ClarusError('22P03', 'incorrect binary data format');
