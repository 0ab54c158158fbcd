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
