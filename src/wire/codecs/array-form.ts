/** Constants of the binary and text form of arrays. */

/** Bytes of dimensions, flag and element type. */
export const headerSize = 12;
/** Bytes of the length and lower bound of a dimension. */
export const dimensionSize = 8;
/** MAXDIM. */
export const dimensionsMax = 6;
/** Elements that certainly fit in an array (MaxArraySize is twice as many). */
export const elementsMax = 1 << 26;

/** ASCII codes with a meaning in the text form. */
export const arrayBytes = { comma: 0x2c, quote: 0x22, backslash: 0x5c, open: 0x7b, close: 0x7d } as const;

/** Bytes that array_out puts an element in quotes for: white space of array_isspace and those with a meaning. */
export const needsQuotes = new Uint8Array(256);
for (const byte of [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, ...Object.values(arrayBytes)]) needsQuotes[byte] = 1;

/** Whether an element without quotes means NULL, which it does in any case of letters. */
export const isNullWord = (text: Uint8Array, start: number, end: number): boolean =>
  end - start === 4 &&
  (text[start]! | 0x20) === 0x6e &&
  (text[start + 1]! | 0x20) === 0x75 &&
  (text[start + 2]! | 0x20) === 0x6c &&
  (text[start + 3]! | 0x20) === 0x6c;
