/** DECLARE in PL/pgSQL (decl_sect in pl_gram.y). */
import { ClarusError } from '../../errors.js';
import { parseCursor } from './parse-cursors.js';
import type { Declaration } from './syntax.js';
import type { Tokens } from './tokens.js';

/** Declarations up to BEGIN, which is not read. */
export function parseDeclarations(tokens: Tokens): readonly Declaration[] {
  const found: Declaration[] = [];
  while (tokens.take('declare')) while (!tokens.is('begin', 'declare')) found.push(declaration(tokens));
  const names = found.map(({ name }) => name);
  if (new Set(names).size < names.length) throw new ClarusError('42601', 'duplicate declaration');
  return found;
}

function declaration(tokens: Tokens): Declaration {
  const { line } = tokens;
  const name = tokens.name();
  if (tokens.take('alias')) {
    tokens.expect('for');
    const of = tokens.peek()?.text.startsWith('$') ? tokens.next().text : tokens.name();
    tokens.expect(';');
    return { kind: 'alias', name, of };
  }
  const cursor = parseCursor(tokens, name);
  if (cursor) return cursor;
  const constant = tokens.take('constant');
  const type = tokens.textUntil(';', ':=', '=', 'default', 'not', 'collate');
  if (tokens.is('collate'))
    throw new ClarusError('0A000', 'a variable with a collation is not answered yet', {
      hint: 'Write COLLATE where the variable is compared.',
    });
  const notNull = tokens.take('not');
  if (notNull) tokens.expect('null');
  const value = tokens.take(':=', '=', 'default') ? tokens.textUntil(';') : undefined;
  tokens.expect(';');
  if (notNull && value === undefined)
    throw new ClarusError(
      '22004',
      `variable "${name}" must have a default value, since it's declared NOT NULL`,
    );
  return { kind: 'variable', name, type, constant, notNull, value, line };
}
