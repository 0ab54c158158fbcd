/** Prints rows as an aligned table, in psql's manner. */
export function formatTable(names: readonly string[], rows: readonly (readonly (string | null)[])[]): string {
  const cells = rows.map(row => row.map(value => (value ?? '').replace(/\p{Cc}/gu, ' ')));
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map(row => row[i]!.length), 0));
  const line = (values: readonly string[]): string =>
    values
      .map((value, i) => ` ${value.padEnd(widths[i]!)} `)
      .join('|')
      .trimEnd();
  return [line(names), widths.map(width => '-'.repeat(width + 2)).join('+'), ...cells.map(line)].join('\n');
}
