/** RAISE in PL/pgSQL. */
import { ClarusError } from '../../errors.js';
import { parseExpression } from '../raw/parse.js';
import { statesOf } from './conditions.js';
import type { Raise } from './syntax.js';
import { type Tokens, wrong } from './tokens.js';

const levels: readonly Raise['level'][] = ['debug', 'log', 'info', 'notice', 'warning', 'exception'];
const options: readonly string[] = [
  'message',
  'detail',
  'hint',
  'errcode',
  'column',
  'constraint',
  'datatype',
  'table',
  'schema',
];

/** The value of a literal. @throws ClarusError 42601 where the next word is none */
export function stringValue(tokens: Tokens): string {
  const token = tokens.next();
  if (!/['$]/.test(token.text)) throw wrong(token);
  return literalOf(token.text);
}

const literalOf = (text: string): string => {
  const value = parseExpression(text).A_Const?.sval as { readonly sval?: string } | undefined;
  return value?.sval ?? '';
};

const isLiteral = (text: string | undefined): boolean =>
  text !== undefined && /^([eEnN]|[uU]&)?'|^\$[^0-9]/.test(text);

/** @throws ClarusError 42601 for a number of arguments that the format does not take */
export function parseRaise(tokens: Tokens): Raise {
  tokens.next();
  const again = tokens.is(';');
  const named = levels.find(l => tokens.take(l));
  const level = named ?? 'exception';
  if (named && tokens.is(';')) throw wrong(tokens.next());
  let message: string | undefined;
  let condition: string | undefined;
  const given: string[] = [];
  if (isLiteral(tokens.peek()?.text)) {
    message = stringValue(tokens);
    while (tokens.take(',')) given.push(tokens.textUntil(',', 'using', ';'));
  } else if (tokens.take('sqlstate')) {
    condition = stringValue(tokens);
    if (!/^[0-9A-Z]{5}$/.test(condition)) throw new ClarusError('42601', 'invalid SQLSTATE code');
  } else if (!tokens.is('using', ';')) {
    condition = tokens.name();
    if (statesOf(condition).length === 0)
      throw new ClarusError('42704', `unrecognized exception condition "${condition}"`);
  }
  if (message !== undefined) mustMatch(message, given.length);
  return { kind: 'raise', level, condition, message, arguments: given, options: parseOptions(tokens), again };
}

function mustMatch(message: string, given: number): void {
  const wanted = message.replaceAll('%%', '').split('%').length - 1;
  if (given > wanted) throw new ClarusError('42601', 'too many parameters specified for RAISE');
  if (given < wanted) throw new ClarusError('42601', 'too few parameters specified for RAISE');
}

function parseOptions(tokens: Tokens): Raise['options'] {
  if (!tokens.take('using')) return [];
  const found: { name: string; expression: string }[] = [];
  do {
    const name = tokens.name();
    if (!options.includes(name))
      throw new ClarusError('42601', `unrecognized RAISE statement option at or near "${name}"`);
    tokens.expect(':=', '=');
    found.push({ name, expression: tokens.textUntil(',', ';') });
  } while (tokens.take(','));
  return found;
}
