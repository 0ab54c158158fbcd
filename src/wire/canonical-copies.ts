/** Canonical forms that are the code of the class and the value's binary form, or nearly. */
import type { CanonicalColumn, PlainColumn } from '../crypto/column.js';
import { assertSize, bytesOf, formsOf } from './canonical-form.js';
import { copyBytes, writeInt32 } from './codecs/bytes.js';
import { readDouble, readSingle, writeDouble } from './codecs/float.js';

type Forms = (code: number, values: PlainColumn) => CanonicalColumn;

/** The code and all bytes of a value of so many bytes. */
export const fixedForms =
  (size: number): Forms =>
  (code, values) =>
    formsOf(values, values.length * (size + 1), (data, start, end, out, at) => {
      assertSize(start, end, size);
      out[at] = code;
      for (let i = 0; i < size; i++) out[at + 1 + i] = data[start + i]!;
      return at + 1 + size;
    });

const blank = 0x20;

/** The code and the bytes; for bpchar without the trailing blanks, which do not count. */
export const textForms =
  (isPadded: boolean): Forms =>
  (code, values) =>
    formsOf(values, bytesOf(values) + values.length, (data, start, end, out, at) => {
      let last = end;
      if (isPadded) while (last > start && data[last - 1] === blank) last--;
      out[at] = code;
      return copyBytes(data, start, last, out, at + 1);
    });

/** The code and 0 or 1. */
export const boolForms: Forms = (code, values) =>
  formsOf(values, values.length * 2, (data, start, end, out, at) => {
    assertSize(start, end, 1);
    out[at] = code;
    out[at + 1] = data[start] === 0 ? 0 : 1;
    return at + 2;
  });

/** The code and the double; one zero and one NaN stand for all. */
function writeForm(out: Uint8Array, at: number, code: number, value: number): number {
  out[at] = code;
  if (Number.isNaN(value)) return writeInt32(out, writeInt32(out, at + 1, 0x7ff80000), 0);
  return writeDouble(out, at + 1, value === 0 ? 0 : value);
}

/** Forms of float8. */
export const floatForms: Forms = (code, values) =>
  formsOf(values, values.length * 9, (data, start, end, out, at) => {
    assertSize(start, end, 8);
    return writeForm(out, at, code, readDouble(data, start));
  });

/** Forms of float4, widened to float8 as PostgreSQL does to compare the two. */
export const widenedForms: Forms = (code, values) =>
  formsOf(values, values.length * 9, (data, start, end, out, at) => {
    assertSize(start, end, 4);
    return writeForm(out, at, code, readSingle(data, start));
  });
