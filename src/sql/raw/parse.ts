/**
 * PostgreSQL's own grammar (libpg-query, WASM) behind two functions. One grammar, PostgreSQL 18's, reads every
 * statement; the trusted database's own parser remains the judge, since every statement is analysed there.
 */
import { ClarusError, ofDepth } from '../../errors.js';
import { grammar } from './grammar.js';
import type { RawNode } from './node.js';

/** One statement of a query string. */
export interface RawStatement {
  readonly node: RawNode;
  /** its own text, without the semicolon */
  readonly text: string;
  /** byte offset of `text` in the query string; locations in `node` count from the query string's start */
  readonly offset: number;
}

const utf8 = new TextEncoder();
const decode = new TextDecoder();

/**
 * Splits and parses a query string.
 * @throws ClarusError 42601 with PostgreSQL's message and position
 */
export function parseStatements(query: string): readonly RawStatement[] {
  let tree: ReturnType<typeof grammar.parseSync>;
  if (query.includes('\0')) throw new ClarusError('22021', 'invalid byte sequence for encoding "UTF8": 0x00');
  try {
    tree = query.trim() === '' ? {} : grammar.parseSync(query);
  } catch (error) {
    const depth = ofDepth(error);
    throw depth === error ? syntaxError(error) : depth;
  }
  const stmts = tree.stmts ?? [];
  if (stmts.length === 1 && !stmts[0]!.stmt_location && !stmts[0]!.stmt_len)
    return [{ node: stmts[0]!.stmt, text: query, offset: 0 }];
  const bytes = utf8.encode(query);
  return stmts.map(({ stmt, stmt_location: offset = 0, stmt_len: length }) => ({
    node: stmt,
    text: decode.decode(bytes.subarray(offset, length ? offset + length : undefined)),
    offset,
  }));
}

/** Parses text that must be one statement and returns its node, locations relative to that text. */
export function parseOne(sql: string): RawNode {
  const [statement, ...more] = parseStatements(sql);
  if (!statement || more.length) throw new ClarusError('42601', 'exactly one statement is expected here');
  return statement.node;
}

/** Parses an SQL expression, as it would stand in a select list. */
export function parseExpression(sql: string): RawNode {
  const node = parseOne(`SELECT ${sql}`);
  const [target] = (node.SelectStmt?.targetList as readonly RawNode[] | undefined) ?? [];
  return target?.ResTarget?.val as RawNode;
}

function syntaxError(error: unknown): ClarusError {
  const details = (error as { sqlDetails?: { message: string; cursorPosition: number } }).sqlDetails;
  const message = details?.message ?? 'syntax error';
  const position = details && details.cursorPosition >= 0 ? { position: details.cursorPosition + 1 } : {};
  return new ClarusError('42601', message, position);
}
