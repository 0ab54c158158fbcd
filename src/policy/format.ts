/** Writes a policy as YAML: the inverse of reading it. */
import { isMap, isScalar, type Pair, parseDocument, type Scalar, type YAMLMap } from 'yaml';
import { joinName } from './names.js';
import type { ColumnPolicy, Policy } from './policy.js';

/** A comment behind a column's line, without `#`. */
export type ColumnComment = (column: ColumnPolicy) => string | undefined;

/** The keys of a configuration file that are its policy. */
const policyKeys: readonly unknown[] = ['unlisted', 'names', 'declassify', 'tables'];

/**
 * Writes the keys `unlisted`, `names` (where they are hidden), `declassify` and `tables` of a configuration file, a column a line.
 * @param commentOf a comment for each column
 *
 * @example formatPolicy(policy) // 'unlisted: refuse\ndeclassify: []\ntables:\n  public.patient:\n ...'
 */
export function formatPolicy(policy: Policy, commentOf?: ColumnComment): string {
  const lines = [
    `unlisted: ${policy.unlisted}`,
    ...(policy.names === undefined ? [] : [`names: ${policy.names}`]),
    `declassify: [${policy.declassify.map(quote).join(', ')}]`,
  ];
  lines.push(policy.tables.length === 0 ? 'tables: {}' : 'tables:');
  for (const table of policy.tables) {
    lines.push(`  ${quote(joinName([table.schema, table.name]))}:`);
    lines.push(table.columns.length === 0 ? '    columns: {}' : '    columns:');
    for (const column of table.columns) {
      const comment = commentOf?.(column);
      const behind = comment === undefined ? '' : ` # ${comment.replaceAll(/\s+/gu, ' ')}`;
      lines.push(`      ${quote(column.name)}: ${formatColumn(column)}${behind}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** A column as the file says it, without what is the default; `protect` is always said. */
function formatColumn(column: ColumnPolicy): string {
  const settings: string[] = [];
  if (column.class !== undefined) settings.push(`class: ${column.class}`);
  settings.push(`protect: ${column.protect}`);
  if (column.queries.length > 0) settings.push(`queries: [${column.queries.join(', ')}]`);
  if (column.domain !== undefined) settings.push(`domain: ${quote(column.domain)}`);
  return `{ ${settings.join(', ')} }`;
}

/** A word as it is where YAML takes it for text, else in double quotes (a JSON string is a YAML one). */
function quote(text: string): string {
  const isPlain =
    /^[A-Za-z_][A-Za-z0-9_.-]*$/u.test(text) && !/^(null|true|false|yes|no|on|off|y|n)$/iu.test(text);
  return isPlain ? text : JSON.stringify(text);
}

/**
 * Writes a configuration file anew with another policy; all other keys stay as they are, comments too. The policy
 * stands where the first of its keys stood.
 * @param text a configuration file that `parseConfig` takes
 */
export function replacePolicy(text: string, policy: Policy): string {
  const document = parseDocument(text);
  if (document.errors.length > 0 || !isMap(document.contents)) {
    throw new Error('replacePolicy takes a file that parseConfig takes');
  }
  if (document.contents.flow) {
    document.contents.flow = false;
    return replacePolicy(document.toString({ lineWidth: 0 }), policy);
  }
  const spans = (document.contents as YAMLMap).items
    .filter(({ key }) => isScalar(key) && policyKeys.includes(key.value))
    .map(pair => spanOf(text, pair as Pair<Scalar, Scalar | null>));
  const written = formatPolicy(policy);
  const [first] = spans;
  if (!first) return `${text}${text.endsWith('\n') ? '' : '\n'}${written}`;
  let rest = text;
  for (const { start, end } of spans.slice(1).reverse()) rest = rest.slice(0, start) + rest.slice(end);
  return rest.slice(0, first.start) + written + rest.slice(first.end);
}

/** From the first character of an entry to the end of its last line. */
function spanOf(text: string, { key, value }: Pair<Scalar, Scalar | null>): { start: number; end: number } {
  const valueEnd = value?.range?.[1] ?? key.range![1];
  const trimmed = text.slice(0, valueEnd).trimEnd().length;
  const lineEnd = text.indexOf('\n', trimmed);
  return { start: key.range![0], end: lineEnd === -1 ? text.length : lineEnd + 1 };
}
