/**
 * Where bodies are while they run: the context of what they tell (plpgsql_exec_error_callback of pl_exec.c,
 * sql_exec_error_callback of functions.c, _SPI_error_callback of spi.c).
 */
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import type { Statement } from './syntax.js';

/** One body that is running. */
export type Place = BodyPlace | { readonly kind: 'sql'; readonly name: string; statement: number };

/** A body in PL/pgSQL. */
export interface BodyPlace {
  readonly kind: 'plpgsql';
  /** its name with the types of its parameters, as the search path shows it */
  readonly signature: string;
  line: number | undefined;
  /** what it is at, e.g. `at RAISE` */
  at: string;
  /** the statement of SQL that it runs */
  sql: string | undefined;
}

/** A body in PL/pgSQL before its first statement. */
export const bodyPlace = (signature: string): BodyPlace => ({
  kind: 'plpgsql',
  signature,
  line: undefined,
  at: '',
  sql: undefined,
});

/** @param places the outermost first */
export const contextOf = (places: readonly Place[]): string =>
  [...places].reverse().flatMap(linesOf).join('\n');

function linesOf(place: Place): readonly string[] {
  if (place.kind === 'sql') return [`SQL function "${place.name}" statement ${place.statement}`];
  const { signature, line, at, sql } = place;
  const words = [`PL/pgSQL function ${signature}`, ...(line === undefined ? [] : [`line ${line}`])];
  const itself = [...words, ...(at === '' ? [] : [at])].join(' ');
  return sql === undefined ? [itself] : [`SQL statement "${sql}"`, itself];
}

const names: Readonly<Record<Statement['kind'], string>> = {
  block: 'statement block',
  null: 'NULL',
  assign: 'assignment',
  if: 'IF',
  case: 'CASE',
  loop: 'LOOP',
  while: 'WHILE',
  'for-integer': 'FOR with integer loop variable',
  'for-rows': 'FOR over SELECT rows',
  foreach: 'FOREACH over array',
  exit: 'EXIT',
  return: 'RETURN',
  'return-next': 'RETURN NEXT',
  'return-query': 'RETURN QUERY',
  raise: 'RAISE',
  assert: 'ASSERT',
  sql: 'SQL statement',
  execute: 'EXECUTE',
  diagnostics: 'GET DIAGNOSTICS',
  open: 'OPEN',
  fetch: 'FETCH',
  close: 'CLOSE',
  perform: 'PERFORM',
  call: 'CALL',
  'end-transaction': 'COMMIT',
};

/** What a statement is called (plpgsql_stmt_typename of pl_funcs.c). */
export function nameOf(statement: Statement): string {
  switch (statement.kind) {
    case 'exit':
      return statement.goesOn ? 'CONTINUE' : 'EXIT';
    case 'for-rows':
      if (statement.source.kind === 'dynamic') return 'FOR over EXECUTE statement';
      return statement.source.cursor ? 'FOR over cursor' : names['for-rows'];
    case 'diagnostics':
      return statement.stacked ? 'GET STACKED DIAGNOSTICS' : names.diagnostics;
    case 'fetch':
      return statement.targets ? 'FETCH' : 'MOVE';
    case 'end-transaction':
      return statement.action.toUpperCase();
    default:
      return names[statement.kind];
  }
}

/** Where errors arose, for as long as bodies pass them on. */
const contexts = new WeakMap<object, string>();
/** Errors that tell it. */
const telling = new WeakSet<object>();

/** Notes where an error arose, unless a body within has. */
export function located(error: unknown, places: readonly Place[]): unknown {
  if (typeof error !== 'object' || error === null || contexts.has(error)) return error;
  const place = places.at(-1);
  if (!place) return error;
  if (place.kind === 'plpgsql' && casts.has(error)) {
    place.line = undefined;
    place.at = "while casting return value to function's return type";
  }
  contexts.set(error, contextOf(places));
  return error;
}

/** Errors that tell a place in the text of their statement, which PostgreSQL tells with the text (spi.c). */
const placed = new WeakSet<object>();

/** Notes that an error tells a place in the text of the statement. */
export const noteText = (error: object): void => void placed.add(error);
/** Does an error tell a place in the text of the statement? */
export const tellsText = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && placed.has(error);

/** Errors of converting what a function returns, which is done when its statements are over (plpgsql_exec_function). */
const casts = new WeakSet<object>();
/** Notes that an error is of such a conversion. */
export const noteCast = (error: object): void => void casts.add(error);

/** An error that stands for another has arisen where that one has. */
export function standsFor<T extends object>(error: T, other: object): T {
  const context = contexts.get(other);
  if (context !== undefined) contexts.set(error, context);
  return error;
}

/** An error that PostgreSQL tells before the body runs. */
export function beforehand<T extends object>(error: T): T {
  contexts.set(error, '');
  return error;
}

/** The error as the client is told it: with where it arose. */
export function withContext(error: unknown): unknown {
  const where = typeof error === 'object' && error !== null ? contexts.get(error) : undefined;
  if (where === undefined || where === '') return error;
  const told =
    error instanceof PostgresError
      ? new PostgresError({ ...error.diagnostic, where })
      : error instanceof ClarusError && error.constructor === ClarusError
        ? new ClarusError(error.code, error.message, { ...error.fields, severity: error.severity, where })
        : undefined;
  if (!told) return error;
  telling.add(told);
  return told;
}

/** Is what an error says of where it arose our own? */
export const tellsContext = (error: object): boolean => telling.has(error);
