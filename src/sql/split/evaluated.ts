/**
 * Expressions that are worked out here, without the trusted PostgreSQL: what `exact-arithmetic.ts` knows, over the columns
 * of one row and parameters. In doubt, a value is left to PostgreSQL, and with it the statement.
 */
import { flag, isNode, type Node, nodeIn, nodesIn, numberIn, type Value } from '../analysed/node.js';
import { constantValue, typeOf } from '../analysed/types.js';
import { type Exact, exactFunctions, exactOf, isExactType } from './exact-arithmetic.js';

/** What an expression is worked out from: binary forms, null for NULL. */
export interface RowValues {
  /** @param place of the column, from 0 */
  column(place: number): Uint8Array | null;
  /** @param place of the parameter, from 0 */
  parameter(place: number): Uint8Array | null;
}

/** @returns null for NULL; undefined: PostgreSQL is to be asked */
type Evaluate = (values: RowValues) => Exact | null | undefined;

/** An expression that can be worked out here. */
export interface Evaluated {
  readonly evaluate: Evaluate;
  /** places and types of the parameters that it reads */
  readonly parameters: readonly { readonly place: number; readonly type: number }[];
}

/** A part of an expression. */
interface Part extends Evaluated {
  /**
   * PostgreSQL does not make another value of it than NULL when it plans (eval_const_expressions of clauses.c), so that
   * what is computed of it cannot fail without any row.
   */
  readonly varies: boolean;
  /** it is a column as it stands */
  readonly isColumn: boolean;
}

/**
 * @param value of an analysed query over one relation
 * @param parameters how many may be read
 * @returns undefined: PostgreSQL has to work it out
 */
export function evaluatedHere(value: Value | undefined, parameters: number): Evaluated | undefined {
  return part(value, parameters);
}

function part(value: Value | undefined, parameters: number): Part | undefined {
  if (!isNode(value)) return undefined;
  const type = typeOf(value);
  if (type === undefined || !isExactType(type)) return undefined;
  switch (value.kind) {
    case 'VAR':
      return variable(value, type);
    case 'CONST':
      return constant(value, type);
    case 'PARAM':
      return parameter(value, type, parameters);
    case 'RELABELTYPE':
      // text and varchar are the same bytes
      return part(value.fields.arg, parameters);
    case 'OPEXPR':
      return call(numberIn(value, 'opfuncid'), value, parameters);
    case 'FUNCEXPR':
      return flag(value, 'funcretset') || flag(value, 'funcvariadic')
        ? undefined
        : call(numberIn(value, 'funcid'), value, parameters);
    case 'COALESCEEXPR':
    case 'COALESCE':
      return firstPresent(value, parameters);
    default:
      return undefined;
  }
}

const read = (binary: Uint8Array | null, type: number): Exact | null | undefined =>
  binary === null ? null : exactOf(binary, type);

function variable(node: Node, type: number): Part | undefined {
  const place = numberIn(node, 'varattno') - 1;
  if (numberIn(node, 'varno') !== 1 || numberIn(node, 'varlevelsup') !== 0 || place < 0) return undefined;
  return {
    evaluate: values => read(values.column(place), type),
    parameters: [],
    varies: true,
    isColumn: true,
  };
}

function constant(node: Node, type: number): Part | undefined {
  const binary = constantValue(node);
  const known = binary === undefined ? undefined : read(binary, type);
  return known === undefined
    ? undefined
    : { evaluate: () => known, parameters: [], varies: false, isColumn: false };
}

function parameter(node: Node, type: number, parameters: number): Part | undefined {
  const place = numberIn(node, 'paramid') - 1;
  // PARAM_EXTERN of primnodes.h
  if (numberIn(node, 'paramkind') !== 0 || place < 0 || place >= parameters) return undefined;
  return {
    evaluate: values => read(values.parameter(place), type),
    parameters: [{ place, type }],
    varies: false,
    isColumn: false,
  };
}

function parts(node: Node, parameters: number): readonly Part[] | undefined {
  const made = nodesIn(node, 'args').map(arg => part(arg, parameters));
  return made.every(p => p !== undefined) ? made : undefined;
}

function call(oid: number, node: Node, parameters: number): Part | undefined {
  const known = exactFunctions.get(oid);
  const args = known && parts(node, parameters);
  if (!known || !args) return undefined;
  const varies = args.some(arg => arg.varies);
  if (!known.total && !varies) return undefined;
  const { compute } = known;
  return {
    evaluate: values => {
      const given: Exact[] = [];
      let isNull = false;
      for (const arg of args) {
        const one = arg.evaluate(values);
        if (one === undefined) return undefined;
        if (one === null) isNull = true;
        else given.push(one);
      }
      return isNull ? null : compute(...given);
    },
    parameters: args.flatMap(arg => arg.parameters),
    varies,
    isColumn: false,
  };
}

function firstPresent(node: Node, parameters: number): Part | undefined {
  const args = parts(node, parameters);
  return (
    args && {
      evaluate: values => {
        for (const arg of args) {
          const one = arg.evaluate(values);
          if (one !== null) return one;
        }
        return null;
      },
      parameters: args.flatMap(arg => arg.parameters),
      // it becomes its first constant, where all before that are NULL
      varies: args[0]?.isColumn ?? false,
      isColumn: false,
    }
  );
}

/** The expressions of an analysed query's select list. */
export const selectList = (query: Node): readonly Value[] =>
  nodesIn(query, 'targetList')
    .filter(target => !flag(target, 'resjunk'))
    .map(target => nodeIn(target, 'expr') ?? null);
