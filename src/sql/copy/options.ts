/**
 * Options of COPY as data, refused where PostgreSQL refuses them (ProcessCopyOptions of copy.c, PostgreSQL 14 to 18), in the
 * words of the version whose COPY it is.
 */
import { ClarusError } from '../../errors.js';
import type { CopyOptions } from '../execute/copy-out.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';
import { mustAgree } from './option-rules.js';

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
  let onError: CopyOptions['onError'] = 'stop';
  let logVerbosity: CopyOptions['logVerbosity'] = 'default';
  let rejectLimit: number | undefined;
  for (const node of list(statement, 'options')) {
    const option = givenOf(node, sql);
    const { name, position } = option;
    if (since(name) > major) throw new ClarusError('42601', `option "${name}" not recognized`, { position });
    if (given.has(name))
      throw new ClarusError('42601', 'conflicting or redundant options', {
        // it was forgotten there up to version 14
        ...(name === 'force_null' && major < 15 ? {} : { position }),
      });
    given.set(name, option);
    switch (name) {
      case 'format':
        values[name] = formatOf(option);
        break;
      case 'freeze':
        freeze = booleanOf(option);
        break;
      case 'header':
        header = headerOf(option, from, major);
        break;
      case 'encoding':
        mustBeUtf8(option);
        break;
      case 'delimiter':
      case 'null':
      case 'default':
      case 'quote':
      case 'escape':
        values[name] = wordOf(option);
        break;
      case 'force_quote':
      case 'force_not_null':
      case 'force_null':
        lists[name] = columnsOf(option, name === 'force_quote' || major >= 17);
        break;
      case 'on_error':
        onError = onErrorOf(option, from);
        break;
      case 'log_verbosity':
        logVerbosity = verbosityOf(option, major);
        break;
      case 'reject_limit':
        rejectLimit = limitOf(option);
        break;
      case 'convert_selectively':
        throw new ClarusError('0A000', `COPY option "${name}" is not answered on protected tables`);
      default:
        throw new ClarusError('42601', `option "${name}" not recognized`, { position });
    }
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
    defaultString: values.default,
    onError,
    logVerbosity,
    rejectLimit,
    freeze,
    csvEndMarker: major < 18,
  };
  mustAgree(options, name => given.has(name), from, major);
  return options;
}

/** The version since which PostgreSQL knows an option. */
function since(name: string): number {
  if (name === 'default') return 16;
  if (name === 'reject_limit') return 18;
  return name === 'on_error' || name === 'log_verbosity' ? 17 : 0;
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

function headerOf(option: Given, from: boolean, major: number): CopyOptions['header'] {
  if (major < 15) return booleanOf(option);
  const value = truth(option);
  if (value !== undefined) return value;
  const word = wordOf(option);
  if (option.arg?.Integer || word.toLowerCase() !== 'match')
    throw new ClarusError('42601', `${option.name} requires a Boolean value or "match"`);
  if (!from) throw new ClarusError('0A000', `cannot use "${word}" with HEADER in COPY TO`);
  return 'match';
}

/** defGetCopyOnErrorChoice */
function onErrorOf(option: Given, from: boolean): CopyOptions['onError'] {
  const { position } = option;
  const word = wordOf(option);
  if (!from) throw refused('COPY ON_ERROR cannot be used with COPY TO', { position });
  const choice = word.toLowerCase();
  if (choice === 'stop' || choice === 'ignore') return choice;
  throw refused(`COPY ON_ERROR "${word}" not recognized`, { position });
}

/** defGetCopyLogVerbosityChoice */
function verbosityOf(option: Given, major: number): CopyOptions['logVerbosity'] {
  const word = wordOf(option);
  const choice = word.toLowerCase();
  if (choice === 'default' || choice === 'verbose' || (choice === 'silent' && major >= 18)) return choice;
  throw refused(`COPY LOG_VERBOSITY "${word}" not recognized`, { position: option.position });
}

/** defGetCopyRejectLimitOption */
function limitOf(option: Given): number {
  const { arg, name } = option;
  if (!arg || !['Integer', 'Float', 'String', 'Boolean', 'TypeName'].includes(kindOf(arg)))
    throw new ClarusError('42601', `${name} requires a numeric value`);
  const word = wordOf(option);
  const digits =
    /^\s*([+-]?)(0x[0-9a-f](?:_?[0-9a-f])*|0o[0-7](?:_?[0-7])*|0b[01](?:_?[01])*|\d(?:_?\d)*)\s*$/i.exec(
      word,
    );
  if (!digits) throw new ClarusError('22P02', `invalid input syntax for type bigint: "${word}"`);
  const size = BigInt(digits[2]!.replaceAll('_', ''));
  const limit = digits[1] === '-' ? -size : size;
  if (BigInt.asIntN(64, limit) !== limit)
    throw new ClarusError('22003', `value "${word}" is out of range for type bigint`);
  if (limit <= 0n) throw refused(`REJECT_LIMIT (${limit}) must be greater than zero`);
  return Number(limit);
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

/** The columns of FORCE_QUOTE and its like. @param mayBeAll `*` stands for all of them */
function columnsOf({ name, arg, position }: Given, mayBeAll: boolean): 'all' | readonly string[] {
  const names = namesOf(arg);
  if (names === undefined || (names === 'all' && !mayBeAll))
    throw refused(`argument to option "${name}" must be a list of column names`, { position });
  return names;
}

function namesOf(arg: RawNode | undefined): 'all' | readonly string[] | undefined {
  if (arg?.A_Star) return 'all';
  return arg?.List ? list(arg.List, 'items').map(stringOf) : undefined;
}
