/** Options of COPY as data, refused where PostgreSQL refuses them (ProcessCopyOptions of copy.c, PostgreSQL 18). */
import { ClarusError } from '../../errors.js';
import type { CopyOptions } from '../execute/copy-out.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';

/** An option as it was given. */
interface Given {
  readonly name: string;
  readonly arg: RawNode | undefined;
  /** 1-based, in characters of the statement */
  readonly position: number;
}

/**
 * @param statement a CopyStmt
 * @param sql its text, to which locations refer
 * @param major version of the server whose COPY this is
 * @throws ClarusError as PostgreSQL words it; 0A000 for options that are not answered on protected tables
 */
export function copyOptions(statement: RawFields, sql: string, major: number): CopyOptions {
  const from = statement.is_from === true;
  const given = new Map<string, Given>();
  const values: Record<string, string> = {};
  const lists: Record<string, 'all' | readonly string[]> = {};
  let header: CopyOptions['header'] = false;
  let freeze = false;
  for (const node of list(statement, 'options')) {
    const option = givenOf(node, sql);
    const { name, arg, position } = option;
    if (given.has(name)) throw new ClarusError('42601', 'conflicting or redundant options', { position });
    given.set(name, option);
    if (name === 'format') values[name] = formatOf(option);
    else if (name === 'freeze') freeze = booleanOf(option);
    else if (name === 'header') header = headerOf(option, from);
    else if (name === 'encoding') mustBeUtf8(option);
    else if (name === 'delimiter' || name === 'null' || name === 'quote' || name === 'escape')
      values[name] = wordOf(option);
    else if (name === 'force_quote' || name === 'force_not_null' || name === 'force_null') {
      const names = namesOf(arg);
      if (names === undefined)
        throw refused(`argument to option "${name}" must be a list of column names`, { position });
      lists[name] = names;
    } else if (unanswered.has(name))
      throw new ClarusError('0A000', `COPY option "${name}" is not answered on protected tables yet`);
    else throw new ClarusError('42601', `option "${name}" not recognized`, { position });
  }
  const format = (values.format ?? 'text') as CopyOptions['format'];
  const csv = format === 'csv';
  const quote = values.quote ?? '"';
  const options: CopyOptions = {
    format,
    delimiter: values.delimiter ?? (csv ? ',' : '\t'),
    nullString: values.null ?? (csv ? '' : '\\N'),
    header,
    quote,
    escape: values.escape ?? quote,
    forceQuote: lists.force_quote ?? [],
    forceNotNull: lists.force_not_null ?? [],
    forceNull: lists.force_null ?? [],
    defaultString: undefined,
    freeze,
    csvEndMarker: major < 18,
  };
  mustAgree(options, name => given.has(name), from);
  return options;
}

/** Options that go together, in the order in which PostgreSQL looks. */
function mustAgree(options: CopyOptions, has: (name: string) => boolean, from: boolean): void {
  const { format, delimiter, nullString, quote } = options;
  const csv = format === 'csv';
  if (format === 'binary')
    for (const name of ['delimiter', 'null'])
      if (has(name)) throw new ClarusError('42601', `cannot specify ${name.toUpperCase()} in BINARY mode`);
  mustBeOneByte('delimiter', delimiter);
  if (/[\r\n]/.test(delimiter)) throw refused('COPY delimiter cannot be newline or carriage return');
  if (/[\r\n]/.test(nullString))
    throw refused('COPY null representation cannot use newline or carriage return');
  // data characters that are like the delimiter get a backslash, and some mean another thing with one
  if (!csv && /[\\.a-z0-9]/.test(delimiter)) throw refused(`COPY delimiter cannot be "${delimiter}"`);
  if (format === 'binary' && options.header)
    throw new ClarusError('0A000', 'cannot specify HEADER in BINARY mode');
  const ofCsv = (name: string): void => {
    if (!csv && has(name)) throw new ClarusError('0A000', `COPY ${name.toUpperCase()} requires CSV mode`);
  };
  ofCsv('quote');
  if (csv) mustBeOneByte('quote', quote);
  if (csv && delimiter === quote) throw refused('COPY delimiter and quote must be different');
  ofCsv('escape');
  if (csv) mustBeOneByte('escape', options.escape);
  ofCsv('force_quote');
  if (has('force_quote') && from)
    throw new ClarusError('0A000', 'COPY FORCE_QUOTE cannot be used with COPY FROM');
  for (const name of ['force_not_null', 'force_null']) {
    ofCsv(name);
    if (has(name) && !from) throw refused(`COPY ${name.toUpperCase()} cannot be used with COPY TO`);
  }
  if (nullString.includes(delimiter))
    throw refused('COPY delimiter character must not appear in the NULL specification');
  if (csv && nullString.includes(quote))
    throw refused('CSV quote character must not appear in the NULL specification');
  if (options.freeze && !from) throw refused('COPY FREEZE cannot be used with COPY TO');
}

/**
 * Checks the columns that FORCE_QUOTE, FORCE_NOT_NULL and FORCE_NULL name.
 * @param known says what PostgreSQL says of a list of columns, by throwing
 * @param copied names of the columns that are copied
 */
export function checkForced(
  { forceQuote, forceNotNull, forceNull }: CopyOptions,
  known: (names: readonly string[]) => void,
  copied: readonly string[],
): void {
  for (const [option, names] of [
    ['FORCE_QUOTE', forceQuote],
    ['FORCE_NOT_NULL', forceNotNull],
    ['FORCE_NULL', forceNull],
  ] as const) {
    if (names === 'all') continue;
    known(names);
    const missing = names.find(name => !copied.includes(name));
    if (missing !== undefined)
      throw new ClarusError('42P10', `${option} column "${missing}" not referenced by COPY`);
  }
}

const unanswered = new Set(['default', 'on_error', 'log_verbosity', 'reject_limit', 'convert_selectively']);

const refused = (message: string, fields: { position?: number } = {}): ClarusError =>
  new ClarusError('22023', message, fields);

function givenOf(node: RawNode, sql: string): Given {
  const fields = fieldsOf(node);
  const before = Buffer.from(sql).subarray(0, (fields.location as number | undefined) ?? 0);
  return {
    name: text(fields, 'defname') ?? '',
    arg: fields.arg as RawNode | undefined,
    position: [...before.toString()].length + 1,
  };
}

function formatOf(option: Given): string {
  const format = wordOf(option);
  if (format === 'text' || format === 'csv' || format === 'binary') return format;
  throw refused(`COPY format "${format}" not recognized`, { position: option.position });
}

/** defGetString of define.c */
function wordOf({ name, arg }: Given): string {
  if (!arg) throw new ClarusError('42601', `${name} requires a parameter`);
  switch (kindOf(arg)) {
    case 'Boolean':
      return String(arg.Boolean!.boolval === true);
    case 'Integer':
      return String(arg.Integer!.ival ?? 0);
    case 'Float':
      return String(arg.Float!.fval);
    case 'A_Star':
      return '*';
    case 'List':
      return (namesOf(arg) as readonly string[]).join('.');
    default:
      return stringOf(arg);
  }
}

/** defGetBoolean of define.c; undefined for what is no boolean */
function truth(option: Given): boolean | undefined {
  if (!option.arg) return true;
  const word = wordOf(option).toLowerCase();
  if (option.arg.Integer) return word === '1' ? true : word === '0' ? false : undefined;
  if (word === 'true' || word === 'on') return true;
  return word === 'false' || word === 'off' ? false : undefined;
}

function booleanOf(option: Given): boolean {
  const value = truth(option);
  if (value === undefined) throw new ClarusError('42601', `${option.name} requires a Boolean value`);
  return value;
}

function headerOf(option: Given, from: boolean): CopyOptions['header'] {
  const value = truth(option);
  if (value !== undefined) return value;
  const word = wordOf(option);
  if (option.arg?.Integer || word.toLowerCase() !== 'match')
    throw new ClarusError('42601', `${option.name} requires a Boolean value or "match"`);
  if (!from) throw new ClarusError('0A000', `cannot use "${word}" with HEADER in COPY TO`);
  return 'match';
}

/** Names of encodings without what PostgreSQL passes over in them (pg_encname_tbl of encnames.c). */
const encodingNames =
  /^(abc|alt|big5|euc(cn|jis2004|jp|kr|tw)|gb18030|gbk|iso8859([1-9]|10|13|14|15|16)|johab|koi8[ru]?|latin([1-9]|10)|mskanji|muleinternal|shiftjis(2004)?|sjis|sqlascii|tcvn(5712)?|uhc|vscii|win(dows)?(125[0-8]|866|874|932|936|949|950)|win)$/;

function mustBeUtf8(option: Given): void {
  const name = wordOf(option)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '');
  if (name === 'utf8' || name === 'unicode') return;
  if (!encodingNames.test(name))
    throw refused('argument to option "encoding" must be a valid encoding name', {
      position: option.position,
    });
  throw new ClarusError('0A000', 'COPY of a protected table takes the encoding UTF8 only');
}

function mustBeOneByte(name: string, value: string): void {
  if (Buffer.byteLength(value) !== 1)
    throw new ClarusError('0A000', `COPY ${name} must be a single one-byte character`);
}

function namesOf(arg: RawNode | undefined): 'all' | readonly string[] | undefined {
  if (arg?.A_Star) return 'all';
  return arg?.List ? list(arg.List, 'items').map(stringOf) : undefined;
}
