/** Words that stand for something in the data of COPY: NULL, the default of a column, names in a header. */

/** The value of a field that is the default of its column. */
export const defaultMarker = new Uint8Array(0);

/** Is what stands in `bytes[start .. end)` a word? */
export function isThere(word: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) if (bytes[start + i] !== word[i]) return false;
  return true;
}

/**
 * What is wrong with a header line that must name the columns; undefined: nothing is. The words do not repeat what was found:
 * where a header is missing that is a value.
 */
export function headerMismatch(
  fields: readonly (string | null)[],
  columns: readonly string[],
): string | undefined {
  if (fields.length !== columns.length)
    return `wrong number of fields in header line: got ${fields.length}, expected ${columns.length}`;
  const other = fields.findIndex((field, i) => field !== columns[i]);
  if (other < 0) return undefined;
  return `column name mismatch in header line field ${other + 1}: expected "${columns[other]}"`;
}
