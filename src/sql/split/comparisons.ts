import { list, type RawNode, stringOf, visit } from '../raw/node.js';

const operators: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=']);
const betweens: ReadonlySet<string> = new Set(['AEXPR_BETWEEN', 'AEXPR_NOT_BETWEEN']);
const kinds: ReadonlySet<string> = new Set([
  'AEXPR_OP',
  'AEXPR_OP_ANY',
  'AEXPR_OP_ALL',
  'AEXPR_IN',
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
]);
/** What comparisons consist of, beside operators and casts. */
const parts: ReadonlySet<string> = new Set([
  'A_ArrayExpr',
  'A_Const',
  'BoolExpr',
  'ColumnRef',
  'Integer',
  'List',
  'NullTest',
  'ParamRef',
  'String',
]);

/**
 * Is a condition made of nothing but comparisons of columns with each other, constants and parameters? Then it fails for
 * no row.
 * @returns undefined: there is more in it
 */
export function comparisonsOnly(tree: RawNode): { readonly equality: boolean } | undefined {
  let only = true;
  let equality = true;
  visit(tree, (kind, fields) => {
    if (kind === 'A_Expr') {
      const [operator, ...more] = list(fields, 'name');
      const name = stringOf(operator);
      const isComparison = kinds.has(String(fields.kind)) && more.length === 0 && operators.has(name);
      if (!isComparison && !betweens.has(String(fields.kind))) only = false;
      if (name !== '=' && name !== '<>') equality = false;
    } else if (kind === 'TypeCast') {
      const arg = fields.arg as RawNode;
      if (!arg.A_Const && !arg.ParamRef) only = false;
    } else if (isNode(kind) && !parts.has(kind)) only = false;
  });
  return only ? { equality } : undefined;
}

/** Fields are visited too, by names that begin with a small letter. */
const isNode = (kind: string): boolean => /^[A-Z]/.test(kind);
