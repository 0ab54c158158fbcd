/** Reading and writing big-endian numbers without an object a value (a DataView would be one). */

/** Signed 32-bit integer. */
export const readInt32 = (data: Uint8Array, at: number): number =>
  (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!;

/** Unsigned 32-bit integer. */
export const readUint32 = (data: Uint8Array, at: number): number => readInt32(data, at) >>> 0;

/** Signed 16-bit integer. */
export const readInt16 = (data: Uint8Array, at: number): number => ((data[at]! << 24) >> 16) | data[at + 1]!;

/** Unsigned 16-bit integer. */
export const readUint16 = (data: Uint8Array, at: number): number => (data[at]! << 8) | data[at + 1]!;

/**
 * Writes the low 32 bits.
 * @returns the position after
 */
export function writeInt32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

/**
 * Writes the low 16 bits.
 * @returns the position after
 */
export function writeInt16(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 8;
  out[at + 1] = value;
  return at + 2;
}

/** Below this many bytes a loop is faster than the view that `set` needs. */
const loopBytesMax = 48;

/**
 * Copies `data[start .. end)` to `out` from `at` on.
 * @returns the position after
 */
export function copyBytes(data: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  if (end - start > loopBytesMax) out.set(data.subarray(start, end), at);
  else for (let i = start, to = at; i < end; i++, to++) out[to] = data[i]!;
  return at + end - start;
}

/** Writes an ASCII constant; returns the position after. */
export function writeAscii(out: Uint8Array, at: number, ascii: string): number {
  for (let i = 0; i < ascii.length; i++) out[at + i] = ascii.charCodeAt(i);
  return at + ascii.length;
}

/** Whether `data[start .. end)` is this ASCII constant. */
export function isAscii(data: Uint8Array, start: number, end: number, ascii: string): boolean {
  if (end - start !== ascii.length) return false;
  for (let i = 0; i < ascii.length; i++) if (data[start + i] !== ascii.charCodeAt(i)) return false;
  return true;
}

/** Position after an ASCII word at `at`, or -1 when it does not stand there. */
export function wordEnd(data: Uint8Array, at: number, end: number, word: string): number {
  const after = at + word.length;
  return after <= end && isAscii(data, at, after, word) ? after : -1;
}
