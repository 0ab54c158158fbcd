/** Parameters of a statement that brings no values. */
import { ClarusError } from '../../errors.js';
import { visit } from './node.js';
import { parseOne } from './parse.js';

/**
 * A Query has no parameters, so the first that it names is not there (transformParamRef of parse_expr.c). EXPLAIN may
 * have some, with GENERIC_PLAN, and PREPARE has its own.
 * @param text one statement
 * @returns the error 42P02, with its position in the text; undefined: it names none
 */
export function missingParameter(text: string): ClarusError | undefined {
  const node = parseOne(text);
  if (node.ExplainStmt || node.PrepareStmt) return undefined;
  let first: { readonly number: number; readonly location: number } | undefined;
  visit([node], (kind, { number, location = 0 }) => {
    if (kind !== 'ParamRef' || typeof number !== 'number') return;
    if (!first || Number(location) < first.location) first = { number, location: Number(location) };
  });
  if (!first) return undefined;
  const before = Buffer.from(text).subarray(0, first.location).toString();
  return new ClarusError('42P02', `there is no parameter $${first.number}`, {
    position: [...before].length + 1,
  });
}
