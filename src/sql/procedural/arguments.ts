/** The arguments of a call, as it is written. */
import type { ClarusError } from '../../errors.js';
import { deparseExpression } from '../raw/deparse.js';
import { list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { Routine } from './routine.js';
import type { Types } from './types.js';

/** The arguments that a call gives, by the place of their parameters. */
export function argumentsOf(
  call: RawFields,
  { parameters, isProcedure }: Routine,
  cause: ClarusError,
): readonly (RawNode | undefined)[] {
  if (call.func_variadic || call.over || call.agg_filter || call.agg_distinct || call.agg_star) throw cause;
  // functions take arguments for their input parameters only
  const taken = parameters.flatMap(({ mode }, i) =>
    isProcedure || mode === 'in' || mode === 'inout' ? [i] : [],
  );
  const found = parameters.map((): RawNode | undefined => undefined);
  for (const [i, argument] of list(call, 'args').entries()) {
    const name = argument.NamedArgExpr && text(argument.NamedArgExpr, 'name');
    const place = name === undefined ? taken[i] : parameters.findIndex(p => p.name === name);
    if (place === undefined || place < 0) throw cause;
    found[place] = givenBy(argument);
  }
  return found;
}

/** A query of the values of the input parameters; undefined: there are none. */
export async function givenQuery(
  given: readonly (RawNode | undefined)[],
  { parameters }: Routine,
  types: Types,
): Promise<string | undefined> {
  const columns: string[] = [];
  for (const [i, { mode, type, value }] of parameters.entries()) {
    if (mode !== 'in' && mode !== 'inout') continue;
    const argument = given[i];
    const expression = argument ? deparseExpression(argument) : value!;
    columns.push(`(${expression})::${(await types.facts(type.oid)).name}`);
  }
  return columns.length > 0 ? `SELECT ${columns.join(', ')}` : undefined;
}

/** The value of an argument, named or not. */
export const givenBy = (argument: RawNode): RawNode =>
  argument.NamedArgExpr ? (argument.NamedArgExpr.arg as RawNode) : argument;

/** The names that an argument of a CALL is, where it could take a value. */
export function writable(sql: string, place: number): readonly string[] | undefined {
  const written = list(parseOne(sql).CallStmt?.funccall as RawFields, 'args')[place];
  const argument = written && givenBy(written);
  const fields = argument?.ColumnRef && list(argument.ColumnRef, 'fields');
  if (argument?.ParamRef) return [`$${(argument.ParamRef.number as number | undefined) ?? 0}`];
  return fields?.every(field => field.String) ? fields.map(stringOf) : undefined;
}
