/**
 * What a body in PL/pgSQL holds of SQL, as the parser of bodies that Clarus runs reads it (procedural/parse.ts): it knows
 * that variables may be rows of types of users, whose fields are assigned.
 */
import { parseBody } from './procedural/parse.js';
import type { Block } from './procedural/syntax.js';

/** Texts of a body. */
export interface BlockTexts {
  readonly statements: readonly string[];
  readonly expressions: readonly string[];
  /** types of variables as they are written */
  readonly types: readonly string[];
  /** it runs SQL text that it makes itself */
  readonly isDynamic: boolean;
  /** it commits or rolls back */
  readonly endsTransactions: boolean;
}

/** @throws ClarusError where the body cannot be read */
export function textsOf(source: string): BlockTexts {
  const texts = {
    statements: [] as string[],
    expressions: [] as string[],
    types: [] as string[],
    isDynamic: false,
    endsTransactions: false,
  };
  look(parseBody(source), texts);
  return texts;
}

type Collected = { -readonly [K in keyof BlockTexts]: BlockTexts[K] extends boolean ? boolean : string[] };

/** Fields of syntax.ts that hold SQL, by what it is; `text` is a text that makes some. */
const statements: ReadonlySet<string> = new Set(['sql', 'query']);
const expressions: ReadonlySet<string> = new Set([
  ...['expression', 'condition', 'value', 'subject', 'when', 'from', 'to', 'by', 'array', 'text', 'count'],
  ...['target', 'message'],
]);
const listsOfExpressions: ReadonlySet<string> = new Set(['using', 'arguments']);

function look(value: unknown, texts: Collected): void {
  if (Array.isArray(value)) {
    for (const item of value) look(item, texts);
    return;
  }
  if (value === null || typeof value !== 'object') return;
  const { kind } = value as Partial<Block>;
  if (/^(dynamic|execute)$/.test(String(kind))) texts.isDynamic = true;
  if (String(kind) === 'end-transaction') texts.endsTransactions = true;
  for (const [field, part] of Object.entries(value)) {
    if (typeof part !== 'string') {
      if (listsOfExpressions.has(field) && Array.isArray(part))
        texts.expressions.push(...part.filter((text): text is string => typeof text === 'string'));
      look(part, texts);
    } else if (field === 'type') texts.types.push(part);
    else if (statements.has(field)) texts.statements.push(part);
    else if (expressions.has(field) && !isWord(String(kind), field)) texts.expressions.push(part);
  }
}

/** RAISE says a condition by its name, and a message that is no expression. */
const isWord = (kind: string, field: string): boolean =>
  kind === 'raise' && (field === 'condition' || field === 'message');
