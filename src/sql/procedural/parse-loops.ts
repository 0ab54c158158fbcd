/** Loops in PL/pgSQL. */
import { ClarusError } from '../../errors.js';
import { asCursor } from './parse-cursors.js';
import { parseEndLabel, parseSource, parseTargets } from './parse-parts.js';
import type { Loop, Statement } from './syntax.js';
import type { Tokens } from './tokens.js';

/**
 * A loop, up to the semicolon after it.
 * @param parseBody reads statements up to END
 */
export function parseLoop(
  tokens: Tokens,
  label: string | undefined,
  parseBody: () => readonly Statement[],
): Loop {
  const head = parseHead(tokens);
  tokens.expect('loop');
  const body = parseBody();
  tokens.expect('end');
  tokens.expect('loop');
  parseEndLabel(tokens, label);
  return { ...head, label, body };
}

type Head<T extends Loop = Loop> = T extends Loop ? Omit<T, 'label' | 'body'> : never;

function parseHead(tokens: Tokens): Head {
  if (tokens.is('loop')) return { kind: 'loop' };
  if (tokens.take('while')) return { kind: 'while', condition: tokens.textUntil('loop') };
  return tokens.take('foreach') ? parseForEach(tokens) : parseFor(tokens);
}

function parseForEach(tokens: Tokens): Head {
  const targets = parseTargets(tokens);
  const slice = tokens.take('slice') ? Number(tokens.next().text) : 0;
  tokens.expect('in');
  tokens.expect('array');
  return { kind: 'foreach', targets, slice, array: tokens.textUntil('loop') };
}

function parseFor(tokens: Tokens): Head {
  tokens.expect('for');
  const targets = parseTargets(tokens);
  tokens.expect('in');
  if (tokens.is('execute')) return { kind: 'for-rows', targets, source: parseSource(tokens, 'loop') };
  const reverse = tokens.is('reverse') && tokens.peek(1)?.text !== '..' && tokens.take('reverse');
  const from = tokens.textUntil('..', 'loop');
  if (!tokens.take('..')) {
    if (reverse) throw new ClarusError('42601', 'cannot specify REVERSE in query FOR loop');
    const cursor = asCursor(from);
    return { kind: 'for-rows', targets, source: { kind: 'query', sql: from, ...(cursor && { cursor }) } };
  }
  const [[variable, ...fields] = [], ...more] = targets;
  if (variable === undefined || fields.length > 0 || more.length > 0)
    throw new ClarusError('42601', 'integer FOR loop must have only one target variable');
  const to = tokens.textUntil('by', 'loop');
  const by = tokens.take('by') ? tokens.textUntil('loop') : undefined;
  return { kind: 'for-integer', variable, reverse, from, to, by };
}
