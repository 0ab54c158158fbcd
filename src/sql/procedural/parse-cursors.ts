/** Cursor variables in PL/pgSQL: declarations, OPEN, FETCH, MOVE and CLOSE (pl_gram.y). */
import { ClarusError } from '../../errors.js';
import { parseSource, parseTargets } from './parse-parts.js';
import type { CursorArguments, CursorDeclaration, Direction, Scrolls, Source, Statement } from './syntax.js';
import { Tokens, wrong } from './tokens.js';

/** The rest of a declaration, after its name, where it is one of a cursor; @returns undefined: it is not */
export function parseCursor(tokens: Tokens, name: string): CursorDeclaration | undefined {
  if (!tokens.is('cursor', 'no', 'scroll')) return undefined;
  const scrolls = parseScrolls(tokens);
  tokens.expect('cursor');
  const parameters: { name: string; type: string }[] = [];
  if (tokens.take('(')) {
    do parameters.push({ name: tokens.name(), type: tokens.textUntil(',', ')', 'default', ':=', '=') });
    while (tokens.take(','));
    tokens.expect(')');
  }
  tokens.expect('is', 'for');
  const query = tokens.textUntil(';');
  tokens.expect(';');
  return { kind: 'cursor', name, scrolls, parameters, query };
}

function parseScrolls(tokens: Tokens): Scrolls {
  const no = tokens.take('no');
  if (!no && !tokens.is('scroll')) return undefined;
  tokens.expect('scroll');
  return !no;
}

/** OPEN. */
export function parseOpen(tokens: Tokens): Statement {
  tokens.next();
  const cursor = tokens.names();
  if (tokens.is(';', '('))
    return { kind: 'open', cursor, scrolls: undefined, source: undefined, arguments: parseArguments(tokens) };
  const scrolls = parseScrolls(tokens);
  tokens.expect('for');
  return { kind: 'open', cursor, scrolls, source: parseSource(tokens, ';'), arguments: undefined };
}

/** Arguments in parentheses, where there are any (read_cursor_args). */
function parseArguments(tokens: Tokens): CursorArguments {
  if (!tokens.take('(')) return undefined;
  const found: { name: string | undefined; expression: string }[] = [];
  do {
    const isNamed = [':=', '=>'].includes(tokens.peek(1)?.text ?? '');
    const name = isNamed ? tokens.name() : undefined;
    if (isNamed) tokens.next();
    found.push({ name, expression: tokens.textUntil(',', ')') });
  } while (tokens.take(','));
  tokens.expect(')');
  return found;
}

/** What a loop over rows reads, as a cursor; @returns undefined: it cannot be one */
export function asCursor(sql: string): Extract<Source, { kind: 'query' }>['cursor'] {
  if (!/^\s*("(?:[^"]|"")*"|[A-Za-z_\u0080-\uffff][^\s(]*)\s*(\(|$)/.test(sql)) return undefined;
  try {
    const tokens = new Tokens(sql);
    const name = tokens.name();
    const given = parseArguments(tokens);
    return tokens.isOver ? { name, arguments: given } : undefined;
  } catch (error) {
    if (error instanceof ClarusError) return undefined;
    throw error;
  }
}

/** FETCH and MOVE. @throws ClarusError 0A000 for FETCH of several rows, as PL/pgSQL words it */
export function parseFetch(tokens: Tokens): Statement {
  const moves = tokens.next().word === 'move';
  const { direction, several } = parseDirection(tokens);
  const cursor = tokens.names();
  if (moves) return { kind: 'fetch', cursor, direction, targets: undefined };
  if (several) throw new ClarusError('0A000', 'FETCH statement cannot return multiple rows');
  tokens.expect('into');
  return { kind: 'fetch', cursor, direction, targets: parseTargets(tokens) };
}

const alone: Readonly<Record<string, Direction>> = {
  next: { kind: 'forward', count: 1 },
  prior: { kind: 'backward', count: 1 },
  first: { kind: 'absolute', count: 1 },
  last: { kind: 'absolute', count: -1 },
};

/** A direction, up to the cursor (read_fetch_direction). */
function parseDirection(tokens: Tokens): { readonly direction: Direction; readonly several: boolean } {
  const one = { direction: { kind: 'forward', count: 1 } as const, several: false };
  const after = tokens.peek(1);
  if (tokens.take('from', 'in') || after?.word === 'into' || after?.text === ';' || after?.text === '.')
    return one;
  const word = tokens.peek()?.word ?? '';
  const known = alone[word];
  if (known) {
    tokens.next();
    tokens.expect('from', 'in');
    return { direction: known, several: false };
  }
  if (tokens.take('all')) {
    tokens.expect('from', 'in');
    return { direction: { kind: 'forward', count: Number.POSITIVE_INFINITY }, several: true };
  }
  if (word === 'absolute' || word === 'relative') {
    tokens.next();
    return { direction: { kind: word, count: parseCount(tokens) }, several: false };
  }
  if (word !== 'forward' && word !== 'backward')
    return { direction: { kind: 'forward', count: parseCount(tokens) }, several: true };
  tokens.next();
  if (tokens.take('from', 'in')) return { direction: { kind: word, count: 1 }, several: false };
  if (!tokens.is('all')) return { direction: { kind: word, count: parseCount(tokens) }, several: true };
  tokens.next();
  tokens.expect('from', 'in');
  return { direction: { kind: word, count: Number.POSITIVE_INFINITY }, several: true };
}

function parseCount(tokens: Tokens): string {
  const count = tokens.textUntil('from', 'in');
  tokens.next();
  return count;
}

/** CLOSE. */
export function parseClose(tokens: Tokens): Statement {
  tokens.next();
  const cursor = tokens.names();
  if (!tokens.is(';')) throw wrong(tokens.next());
  return { kind: 'close', cursor };
}
