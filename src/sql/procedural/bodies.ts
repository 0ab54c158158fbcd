/** What runs bodies. */
import type { PhysicalStatement } from '../plan.js';
import { parseOne } from '../raw/parse.js';
import type { Routine } from './routine.js';
import type { Block } from './syntax.js';

/** DO. */
export interface DoBody {
  readonly kind: 'do';
  readonly block: Block;
}

/** A statement whose calls run first: what they return are parameters of the rest, after those of the client. */
export interface CallsBody {
  readonly kind: 'calls';
  readonly calls: readonly Call[];
  /** types of the parameters: the client's, then a column of a call each, and what `tellsNull` says */
  readonly types: readonly number[];
  /** the trusted side runs it; undefined: nothing is returned */
  readonly rest: PhysicalStatement | undefined;
  /** numbers of the client's parameters, from 1, that may depend on protected columns */
  readonly secrets: ReadonlySet<number>;
  /** the statement is these calls and nothing else */
  readonly alone: boolean;
  /** CALL: places of the arguments that stand for its output parameters */
  readonly outputs: readonly number[] | undefined;
}

/** A call that runs. */
export interface Call {
  readonly routine: Routine;
  /** gives its arguments, a column each; undefined: it has none */
  readonly given: string | undefined;
  /** how many parameters there are before it */
  readonly parameters: number;
}

/** Does a parameter tell whether what a call returns is NULL? A row of NULLs is not. */
export const tellsNull = ({ isRow, isSet, isProcedure }: Routine): boolean => isRow && !isSet && !isProcedure;

/**
 * A void function in SQL returns NULL (fmgr_sql in functions.c), but one whose body is one expression is inlined, and that
 * returns an empty text, as those in PL/pgSQL do.
 */
export function isNullVoid({ body }: Routine): boolean {
  if (body.kind !== 'sql') return false;
  const [only, ...more] = body.statements;
  if (only === undefined || more.length > 0) return true;
  const { targetList, limitOption: _limit, op: _op, ...clauses } = parseOne(only).SelectStmt ?? {};
  return !Array.isArray(targetList) || targetList.length !== 1 || Object.keys(clauses).length > 0;
}
