/** What several statements of PL/pgSQL are made of. */
import { ClarusError } from '../../errors.js';
import type { Source, Target } from './syntax.js';
import type { Tokens } from './tokens.js';

/** The label after END, which must be that of the block or loop. */
export function parseEndLabel(tokens: Tokens, label: string | undefined): void {
  if (tokens.isOver || tokens.is(';')) return;
  const given = tokens.name();
  if (label === undefined)
    throw new ClarusError('42601', `end label "${given}" specified for unlabeled block`);
  if (given !== label)
    throw new ClarusError('42601', `end label "${given}" differs from block's label "${label}"`);
}

/** A query, or EXECUTE with USING, up to one of the words. */
export function parseSource(tokens: Tokens, end: string): Source {
  if (!tokens.take('execute')) return { kind: 'query', sql: tokens.textUntil(end) };
  const text = tokens.textUntil('using', end);
  return { kind: 'dynamic', text, using: tokens.take('using') ? parseExpressions(tokens, end) : [] };
}

/** Expressions with commas between them. */
export function parseExpressions(tokens: Tokens, ...ends: readonly string[]): readonly string[] {
  const expressions = [tokens.textUntil(',', ...ends)];
  while (tokens.take(',')) expressions.push(tokens.textUntil(',', ...ends));
  return expressions;
}

/** Variables, or fields of them, with commas between them. */
export function parseTargets(tokens: Tokens): readonly Target[] {
  const targets: Target[] = [];
  do targets.push(tokens.names());
  while (tokens.take(','));
  return targets;
}
