/**
 * What a statement itself compares with unprotected columns. PostgreSQL's planner concludes further comparisons from
 * equalities, so a value that a carrier is asked to compare with an unprotected column may have been meant for a
 * protected one; the cloud is shown only what the statement compares with that very column.
 */
import type { Catalog } from '../../catalog/catalog.js';
import { isNode, type Node, nodeIn, nodesIn, numberIn, readNodes, walk } from '../analysed/node.js';
import { meaningOf, type Scope, scopeOf } from '../analysed/query.js';
import { constantValue } from '../analysed/types.js';
import type { BoundParameters } from '../plan.js';
import type { Analysis } from '../ports.js';
import { type RawNode, text } from '../raw/node.js';

/** A comparison of an unprotected column with a constant or a parameter. */
export interface Shown {
  /** shadow OID of the table */
  readonly table: number;
  readonly attnum: number;
  /** pg_operator OID */
  readonly operator: number;
  /** binary form of the constant, as hexadecimal digits; undefined: it is a parameter */
  readonly constant: string | undefined;
  /** number of the parameter */
  readonly parameter: number;
}

/**
 * Comparisons that the analysed statement holds, views expanded. None where it merges columns (USING, NATURAL): a
 * comparison with a merged column may mean a protected one.
 */
export function comparisonsShown({ rewritten }: Analysis, catalog: Catalog): readonly Shown[] {
  const found: Shown[] = [];
  let merges = false;
  const search = (query: Node, outer: Scope | undefined): void => {
    const scope = scopeOf(query, outer);
    for (const value of Object.values(query.fields))
      walk(value, node => {
        if (node.kind === 'QUERY') {
          search(node, scope);
          return false;
        }
        if (numberIn(node, 'joinmergedcols') > 0) merges = true;
        const shown = comparison(node, scope, catalog);
        if (shown) found.push(shown);
        return true;
      });
  };
  for (const tree of rewritten.flatMap(readNodes)) if (tree.kind === 'QUERY') search(tree, undefined);
  return merges ? [] : found;
}

/** paramkind of a parameter of the client (PARAM_EXTERN in primnodes.h) */
const ofClient = 0;

function comparison(node: Node, scope: Scope, catalog: Catalog): Shown | undefined {
  if (node.kind !== 'OPEXPR') return undefined;
  const [column, value, ...more] = nodesIn(node, 'args');
  if (column?.kind !== 'VAR' || !value || more.length > 0) return undefined;
  const meaning = meaningOf(column, scope);
  if (meaning.kind !== 'base' || meaning.column.attnum <= 0) return undefined;
  const { relid, attnum } = meaning.column;
  const open = catalog.tables.get(relid)?.columns.find(c => c.attnum === attnum);
  if (!open || open.protection) return undefined;
  const operator = numberIn(node, 'opno');
  // others stand for what a subquery gives, by numbers of their own
  if (value.kind === 'PARAM' && numberIn(value, 'paramkind') === ofClient)
    return { table: relid, attnum, operator, constant: undefined, parameter: numberIn(value, 'paramid') };
  const constant = value.kind === 'CONST' ? constantValue(value) : undefined;
  return constant
    ? { table: relid, attnum, operator, constant: hexadecimal(constant), parameter: 0 }
    : undefined;
}

const hexadecimal = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The comparison that is the whole condition of an analysed query over one table; undefined: it is something else. */
export function comparisonAsked({ rewritten }: Analysis, catalog: Catalog): Shown | undefined {
  const [query] = rewritten.flatMap(readNodes);
  const condition = query && nodeIn(query, 'jointree')?.fields.quals;
  return query && isNode(condition) ? comparison(condition, scopeOf(query), catalog) : undefined;
}

/**
 * Is a condition of a carrier one that the statement shows itself?
 * @param asked the comparison that it is, analysed alone
 * @param raw the condition
 */
export function isShown(
  asked: Shown | undefined,
  raw: RawNode,
  shown: readonly Shown[],
  bound: BoundParameters,
): boolean {
  if (!asked || raw.A_Expr?.kind !== 'AEXPR_OP' || !(raw.A_Expr.lexpr as RawNode | undefined)?.ColumnRef)
    return false;
  const literal = literalText(raw.A_Expr.rexpr as RawNode);
  return shown.some(
    ({ table, attnum, operator, constant, parameter }) =>
      table === asked.table &&
      attnum === asked.attnum &&
      operator === asked.operator &&
      (constant === undefined
        ? isBound(bound, parameter, asked.constant, literal)
        : constant === asked.constant),
  );
}

function isBound(
  { values, formats }: BoundParameters,
  parameter: number,
  constant: string | undefined,
  literal: string | undefined,
): boolean {
  const value = values[parameter - 1];
  if (!value) return false;
  if (formats[parameter - 1] === 1) return constant !== undefined && hexadecimal(value) === constant;
  return literal !== undefined && Buffer.from(value).toString() === literal;
}

/** The text of a literal, perhaps with a cast. */
function literalText(node: RawNode): string | undefined {
  if (node.TypeCast) return literalText(node.TypeCast.arg as RawNode);
  const constant = node.A_Const;
  if (!constant) return undefined;
  if (constant.sval) return text(constant.sval as Record<string, unknown>, 'sval') ?? '';
  if (constant.ival) return String((constant.ival as { ival?: number }).ival ?? 0);
  if (constant.fval) return (constant.fval as { fval: string }).fval;
  return undefined;
}
