/** Options of COPY as data (ProcessCopyOptions of copy.c). */
import { ClarusError } from '../../errors.js';
import type { CopyOptions } from '../execute/copy-out.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';

/**
 * @throws ClarusError 0A000 for options that are not answered on protected tables, 22023 for wrong values
 */
export function copyOptions(statement: RawFields): CopyOptions {
  const values = new Map<string, RawNode | undefined>();
  for (const option of list(statement, 'options')) {
    const fields = fieldsOf(option);
    const name = (text(fields, 'defname') ?? '').toLowerCase();
    if (values.has(name)) throw new ClarusError('42601', 'conflicting or redundant options');
    values.set(name, fields.arg as RawNode | undefined);
  }
  const word = (name: string): string | undefined =>
    values.has(name) ? wordOf(values.get(name)) : undefined;
  const format = word('format') ?? 'text';
  if (format !== 'text' && format !== 'csv' && format !== 'binary')
    throw new ClarusError('22023', `COPY format "${format}" not recognized`);
  for (const name of values.keys())
    if (!known.has(name))
      throw new ClarusError('0A000', `COPY option "${name}" is not answered on protected tables yet`);
  const encoding = word('encoding');
  if (encoding !== undefined && !/^utf-?8$/i.test(encoding))
    throw new ClarusError('0A000', 'COPY of a protected table takes the encoding UTF8 only');
  const csv = format === 'csv';
  const quote = word('quote') ?? '"';
  const header = word('header');
  return {
    format,
    delimiter: oneByte('delimiter', word('delimiter') ?? (csv ? ',' : '\t')),
    nullString: word('null') ?? (csv ? '' : '\\N'),
    header: header === undefined ? false : header.toLowerCase() === 'match' ? 'match' : isTrue(header),
    quote: oneByte('quote', quote),
    escape: oneByte('escape', word('escape') ?? quote),
    forceQuote: columns(values, 'force_quote'),
    forceNotNull: columns(values, 'force_not_null'),
    forceNull: columns(values, 'force_null'),
    defaultString: word('default'),
    freeze: values.has('freeze') && isTrue(word('freeze')!),
  };
}

const known = new Set([
  'format',
  'delimiter',
  'null',
  'header',
  'quote',
  'escape',
  'force_quote',
  'force_not_null',
  'force_null',
  'encoding',
  'freeze',
]);

function wordOf(arg: RawNode | undefined): string {
  if (!arg) return 'true';
  if (arg.Boolean) return String(arg.Boolean.boolval === true);
  if (arg.Integer) return String(arg.Integer.ival ?? 0);
  return stringOf(arg);
}

const isTrue = (value: string): boolean => /^(true|on|1)$/i.test(value);

function oneByte(name: string, value: string): string {
  if (Buffer.byteLength(value) !== 1)
    throw new ClarusError('22023', `COPY ${name} must be a single one-byte character`);
  return value;
}

function columns(values: ReadonlyMap<string, RawNode | undefined>, name: string): 'all' | readonly string[] {
  const arg = values.get(name);
  if (!arg) return [];
  if (arg.A_Star) return 'all';
  return list(arg.List ?? {}, 'items').map(stringOf);
}
