/** Names and strings as SQL text. Only the catalogue's own names pass here, never a protected value. */

/** An identifier in double quotes; always quoted, so that no keyword list is needed. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** `"schema"."name"`. */
export const quoteQualified = (schema: string, name: string): string =>
  `${quoteName(schema)}.${quoteName(name)}`;

/** A string literal that reads the same under every setting of standard_conforming_strings. */
export const quoteLiteral = (value: string): string => {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return quoted.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
};

/** Bytes that PostgreSQL keeps of an identifier (NAMEDATALEN - 1). */
export const NAME_BYTES_MAX = 63;

/**
 * A name made of a base and a suffix, at most 63 bytes of UTF-8: what is cut is the base, so that a number in
 * the suffix goes on telling names apart.
 * @param bytesMax fewer, where the name is to be the base of others
 */
export function boundedName(base: string, suffix: string, bytesMax = NAME_BYTES_MAX): string {
  const room = bytesMax - Buffer.byteLength(suffix);
  let kept = base;
  while (Buffer.byteLength(kept) > room) kept = [...kept].slice(0, -1).join('');
  return kept + suffix;
}
