/**
 * Names of tables and columns as a policy writes them. A name is taken as PostgreSQL's catalogue shows it: no
 * case is folded. A part that holds a dot or a double quote is written in double quotes, as in SQL:
 * `public."a.b"`.
 */

/** Bytes of UTF-8 that PostgreSQL keeps of a name (NAMEDATALEN - 1); a longer one could name two things. */
export const nameBytesMax = 63;

/** Name of the hidden row id that every protected table has in a cloud. */
export const rowIdColumn = 'clarus_row';

/** Why a word cannot be the name of a schema, table, column, user or domain, or undefined when it can. */
export function rejectName(name: string): string | undefined {
  if (name === '') return 'the name is empty';
  if (name.includes('\0')) return 'the name holds a NUL character';
  if (/\p{Surrogate}/u.test(name)) return 'the name is not well-formed Unicode';
  const size = new TextEncoder().encode(name).length;
  if (size > nameBytesMax) return `the name has ${size} bytes, PostgreSQL keeps ${nameBytesMax}`;
  return undefined;
}

/** Splits `schema.table` (or more parts) at its dots, or undefined when the quoting is wrong. */
export function splitName(text: string): readonly string[] | undefined {
  const parts: string[] = [];
  const part = /(?:"((?:[^"]|"")+)"|([^."]+))(\.|$)/suy;
  for (let end = 0; end < text.length || end === 0; end = part.lastIndex) {
    part.lastIndex = end;
    const match = part.exec(text);
    if (!match) return undefined;
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === '') return parts;
  }
  return undefined;
}

/** Writes the parts of a name so that `splitName` gives them back. */
export function joinName(parts: readonly string[]): string {
  return parts.map(part => (/[."]/u.test(part) ? `"${part.replaceAll('"', '""')}"` : part)).join('.');
}

/** What a domain may be called: one word, the same in a file and in a label. */
export const domainPattern = /^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/u;
