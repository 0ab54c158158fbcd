/** Changes of a column's type that need nothing of the values that a cloud holds. */
import type { TypeRef } from '../encodings/encoding.js';

const varchar = 1043;
const plainText = 25;
const numeric = 1700;

/** Are all values of a type values of another, in the same bytes and equal under the same tags? */
export function holdsAll(wide: TypeRef, type: TypeRef): boolean {
  if (wide.collation !== type.collation) return false;
  if (wide.oid === type.oid && wide.modifier === type.modifier) return true;
  if (type.oid === varchar)
    return (
      wide.oid === plainText ||
      (wide.oid === varchar &&
        (wide.modifier === -1 || (type.modifier !== -1 && wide.modifier >= type.modifier)))
    );
  if (type.oid !== numeric || wide.oid !== numeric) return false;
  if (wide.modifier === -1) return true;
  // precision and scale (numeric_typmod_precision and _scale, numeric.c): the scale is part of how a value prints
  return (
    type.modifier !== -1 &&
    (wide.modifier - 4) >> 16 >= (type.modifier - 4) >> 16 &&
    ((wide.modifier - 4) & 0x7ff) === ((type.modifier - 4) & 0x7ff)
  );
}
