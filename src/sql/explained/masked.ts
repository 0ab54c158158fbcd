/** Conditions as they are told: without what they compare with. */
import { deparseExpression } from '../raw/deparse.js';
import { child, list, paramRef, type RawNode, rewrite, stringOf } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';

/** Texts longer than that are cut. */
const shownMax = 300;

/** No client binds a parameter of that number. */
const hidden = 99_999;
const isHidden = (node: RawNode | undefined): boolean => node?.ParamRef?.number === hidden;

/** A condition with `?` for each constant. */
export function masked(tree: RawNode): string {
  const told = rewrite(tree, (kind, fields) => {
    if (kind === 'A_Const') return paramRef(hidden);
    if (kind === 'TypeCast' && isHidden(child(fields, 'arg'))) return paramRef(hidden);
    if (kind === 'A_ArrayExpr' && list(fields, 'elements').every(isHidden)) return paramRef(hidden);
    return undefined;
  });
  const text = deparseExpression(told).replaceAll(`$${hidden}`, '?');
  return text.length > shownMax ? `${text.slice(0, shownMax)} ...` : text;
}

/** @param text an expression of a plan. @returns undefined: it is none by itself, as where it speaks of a subplan */
export function expressionIn(text: string): RawNode | undefined {
  try {
    const [target] = list(parseOne(`SELECT ${text}`).SelectStmt!, 'targetList');
    return child(target!.ResTarget!, 'val');
  } catch {
    return undefined;
  }
}

/** The same with columns that are not qualified. */
export const unqualified = (tree: RawNode): RawNode =>
  rewrite(tree, (kind, fields) => {
    const last = kind === 'ColumnRef' ? list(fields, 'fields').at(-1) : undefined;
    return last?.String ? { ColumnRef: { fields: [{ String: { sval: stringOf(last) } }] } } : undefined;
  });
