/** Reads bodies in PL/pgSQL (src/pl/plpgsql/src/pl_gram.y of PostgreSQL 18). */
import { ClarusError } from '../../errors.js';
import { statesOf } from './conditions.js';
import { parseClose, parseFetch, parseOpen } from './parse-cursors.js';
import { parseDeclarations } from './parse-declarations.js';
import { parseLoop } from './parse-loops.js';
import { parseEndLabel, parseExpressions, parseSource, parseTargets } from './parse-parts.js';
import { parseRaise, stringValue } from './parse-raise.js';
import type { Block, Branch, Handler, Into, Statement, Target } from './syntax.js';
import { Tokens, wrong } from './tokens.js';

/** @throws ClarusError 42601 as PL/pgSQL words it, 0A000 for what is not interpreted */
export function parseBody(source: string): Block {
  const tokens = new Tokens(source);
  if (tokens.is('#'))
    throw new ClarusError('0A000', 'compiler options in a PL/pgSQL body are not answered yet');
  const label = parseLabel(tokens);
  const block = parseBlock(tokens, label);
  tokens.take(';');
  if (!tokens.isOver) throw wrong(tokens.next());
  return block;
}

/** `<<label>>`, where there is one. */
function parseLabel(tokens: Tokens): string | undefined {
  if (!tokens.take('<<')) return undefined;
  const label = tokens.name();
  tokens.expect('>>');
  return label;
}

function parseBlock(tokens: Tokens, label: string | undefined): Block {
  const declarations = parseDeclarations(tokens);
  tokens.expect('begin');
  const body = parseStatements(tokens, 'end', 'exception');
  const handlers = tokens.take('exception') ? parseHandlers(tokens) : undefined;
  tokens.expect('end');
  parseEndLabel(tokens, label);
  return { kind: 'block', label, declarations, body, handlers };
}

function parseHandlers(tokens: Tokens): readonly Handler[] {
  const handlers: Handler[] = [];
  while (tokens.take('when')) {
    const states: string[] = [];
    let others = false;
    do {
      const name = tokens.name();
      if (name === 'others') others = true;
      else if (name === 'sqlstate') states.push(stringValue(tokens));
      else states.push(...conditionStates(name));
    } while (tokens.take('or'));
    tokens.expect('then');
    handlers.push({ states: others ? undefined : states, body: parseStatements(tokens, 'when', 'end') });
  }
  return handlers;
}

/** @throws ClarusError 42704 */
function conditionStates(name: string): readonly string[] {
  const states = statesOf(name);
  if (states.length === 0) throw new ClarusError('42704', `unrecognized exception condition "${name}"`);
  return states;
}

/** Statements up to one of the words, which is not read. */
function parseStatements(tokens: Tokens, ...ends: readonly string[]): readonly Statement[] {
  const statements: Statement[] = [];
  while (!isKeyword(tokens, ends)) statements.push(parseStatement(tokens));
  return statements;
}

/** Is the next word one of these, and not a variable that a value is assigned to? */
const isKeyword = (tokens: Tokens, words: readonly string[]): boolean =>
  tokens.is(...words) && !isAssignment(tokens);

function isAssignment(tokens: Tokens): boolean {
  const first = tokens.peek();
  if (!first || (first.word === undefined && !/^["$]/.test(first.text))) return false;
  if (!/^["$A-Za-z_\u0080-\uffff]/.test(first.text)) return false;
  for (let i = 1, depth = 0; ; i++) {
    const token = tokens.peek(i);
    if (!token || token.text === ';') return false;
    if (token.text === '[') depth++;
    else if (token.text === ']') depth--;
    else if (depth === 0 && (token.text === ':=' || token.text === '=')) return true;
    else if (depth === 0 && token.text !== '.' && tokens.peek(i - 1)?.text !== '.') return false;
  }
}

type Parse = (tokens: Tokens) => Statement;

const statements: Readonly<Record<string, Parse>> = {
  if: parseIf,
  case: parseCase,
  exit: parseExit,
  continue: parseExit,
  return: parseReturn,
  raise: parseRaise,
  assert: parseAssert,
  perform: parsePerform,
  call: parseCall,
  execute: parseExecute,
  get: parseDiagnostics,
  commit: parseEnd,
  rollback: parseEnd,
  open: parseOpen,
  fetch: parseFetch,
  move: parseFetch,
  close: parseClose,
  null: tokens => {
    tokens.next();
    return { kind: 'null' };
  },
};
const loops = ['loop', 'while', 'for', 'foreach'];

/** The line on which each statement stands. */
const lines = new WeakMap<Statement, number>();
/** The line of the body on which a statement stands; undefined: it is of none. */
export const lineOf = (statement: Statement): number | undefined => lines.get(statement);

function parseStatement(tokens: Tokens): Statement {
  const label = parseLabel(tokens);
  const { line } = tokens;
  const statement = parseLabelled(tokens, label);
  lines.set(statement, line);
  return statement;
}

function parseLabelled(tokens: Tokens, label: string | undefined): Statement {
  if (tokens.is('declare', 'begin') && !isAssignment(tokens))
    return closed(tokens, parseBlock(tokens, label));
  if (isKeyword(tokens, loops))
    return closed(
      tokens,
      parseLoop(tokens, label, () => parseStatements(tokens, 'end')),
    );
  if (label !== undefined) throw wrong(tokens.next());
  if (isAssignment(tokens)) return closed(tokens, parseAssignment(tokens));
  const parse = statements[tokens.peek()?.word ?? ''];
  return closed(tokens, parse ? parse(tokens) : parseSql(tokens));
}

function closed<T>(tokens: Tokens, statement: T): T {
  tokens.expect(';');
  return statement;
}

function parseAssignment(tokens: Tokens): Statement {
  const target = tokens.textUntil(':=', '=');
  tokens.next();
  return { kind: 'assign', target, expression: tokens.textUntil(';') };
}

function parseIf(tokens: Tokens): Statement {
  tokens.next();
  const branches: Branch[] = [];
  do {
    const condition = tokens.textUntil('then');
    tokens.next();
    branches.push({ condition, body: parseStatements(tokens, 'elsif', 'elseif', 'else', 'end') });
  } while (tokens.take('elsif', 'elseif'));
  const otherwise = tokens.take('else') ? parseStatements(tokens, 'end') : undefined;
  tokens.expect('end');
  tokens.expect('if');
  return { kind: 'if', branches, otherwise };
}

function parseCase(tokens: Tokens): Statement {
  tokens.next();
  const subject = tokens.is('when') ? undefined : tokens.textUntil('when');
  const branches: Branch[] = [];
  while (tokens.take('when')) {
    const condition = tokens.textUntil('then');
    tokens.next();
    branches.push({ condition, body: parseStatements(tokens, 'when', 'else', 'end') });
  }
  const otherwise = tokens.take('else') ? parseStatements(tokens, 'end') : undefined;
  tokens.expect('end');
  tokens.expect('case');
  return { kind: 'case', subject, branches, otherwise };
}

function parseExit(tokens: Tokens): Statement {
  const goesOn = tokens.next().word === 'continue';
  const label = tokens.is(';', 'when') ? undefined : tokens.name();
  const when = tokens.take('when') ? tokens.textUntil(';') : undefined;
  return { kind: 'exit', goesOn, label, when };
}

function parseReturn(tokens: Tokens): Statement {
  tokens.next();
  if (tokens.take('next'))
    return { kind: 'return-next', expression: tokens.is(';') ? undefined : tokens.textUntil(';') };
  if (tokens.take('query')) return { kind: 'return-query', source: parseSource(tokens, ';') };
  return { kind: 'return', expression: tokens.is(';') ? undefined : tokens.textUntil(';') };
}

function parseAssert(tokens: Tokens): Statement {
  tokens.next();
  const condition = tokens.textUntil(',', ';');
  return { kind: 'assert', condition, message: tokens.take(',') ? tokens.textUntil(';') : undefined };
}

function parsePerform(tokens: Tokens): Statement {
  tokens.next();
  return { kind: 'perform', sql: `SELECT ${tokens.textUntil(';')}` };
}

function parseCall(tokens: Tokens): Statement {
  return { kind: 'call', sql: tokens.textUntil(';') };
}

function parseExecute(tokens: Tokens): Statement {
  tokens.next();
  const text = tokens.textUntil('into', 'using', ';');
  let into: Into | undefined;
  let using: readonly string[] | undefined;
  while (!tokens.is(';')) {
    const repeated = tokens.is('into') ? into : using;
    if (repeated) throw wrong(tokens.next());
    if (tokens.take('into')) into = parseInto(tokens);
    else {
      tokens.expect('using');
      using = parseExpressions(tokens, 'into', ';');
    }
  }
  return { kind: 'execute', text, into, using: using ?? [] };
}

function parseInto(tokens: Tokens): Into {
  const strict = tokens.take('strict');
  return { strict, targets: parseTargets(tokens) };
}

const items: ReadonlySet<string> = new Set(['row_count', 'pg_routine_oid', 'pg_context']);
const stackedItems: ReadonlySet<string> = new Set([
  'returned_sqlstate',
  'message_text',
  'pg_exception_detail',
  'pg_exception_hint',
  'pg_exception_context',
  'column_name',
  'constraint_name',
  'pg_datatype_name',
  'table_name',
  'schema_name',
]);

function parseDiagnostics(tokens: Tokens): Statement {
  tokens.next();
  const stacked = tokens.take('stacked');
  if (!stacked) tokens.take('current');
  tokens.expect('diagnostics');
  const found: { target: Target; item: string }[] = [];
  do {
    const target = tokens.names();
    tokens.expect(':=', '=');
    const item = tokens.name();
    if (!(stacked ? stackedItems : items).has(item))
      throw new ClarusError('42601', `unrecognized GET DIAGNOSTICS item at or near "${item}"`);
    found.push({ target, item });
  } while (tokens.take(','));
  return { kind: 'diagnostics', stacked, items: found };
}

function parseEnd(tokens: Tokens): Statement {
  const action = tokens.next().word === 'commit' ? 'commit' : 'rollback';
  const no = tokens.take('and') && (tokens.take('no') ? tokens.expect('chain') : undefined);
  const chain = no === undefined && tokens.expect('chain') !== undefined;
  return { kind: 'end-transaction', action, chain };
}

/** A statement of SQL; INTO is taken out of it (make_execsql_stmt). */
function parseSql(tokens: Tokens): Statement {
  const first = tokens.peek();
  if (!first || !/^[a-z_\u0080-\uffff]/.test(first.word ?? '')) throw wrong(tokens.next());
  let into: Into | undefined;
  let sql = '';
  let from = first.start;
  let end = first.start;
  let before = '';
  for (let depth = 0; ; ) {
    const token = tokens.next();
    if (token.text === '(') depth++;
    if (token.text === ')') depth--;
    end = token.end;
    if (token.word === 'into' && before !== 'insert' && before !== 'merge' && before !== 'import') {
      if (into) throw new ClarusError('42601', 'INTO specified more than once');
      sql += tokens.slice(from, token.start);
      into = parseInto(tokens);
      from = tokens.peek()?.start ?? token.end;
      end = from;
    }
    before = token.word ?? '';
    if (tokens.is(';') && depth === 0) break;
    if (tokens.is(';')) throw new ClarusError('42601', 'mismatched parentheses');
  }
  return { kind: 'sql', sql: `${sql} ${tokens.slice(from, end)}`.trim(), into };
}
