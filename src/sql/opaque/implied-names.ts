/** What PostgreSQL calls a column of a select list that is given no name (FigureColnameInternal of parse_target.c). */
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf } from '../raw/node.js';

/** How sure a name is: one of strength 1 gives way to a word of what stands around it. */
interface Implied {
  readonly name: string;
  readonly strength: 1 | 2;
}

const words: Readonly<Record<string, string>> = {
  A_ArrayExpr: 'array',
  RowExpr: 'row',
  CoalesceExpr: 'coalesce',
  GroupingFunc: 'grouping',
  MergeSupportFunc: 'merge_action',
};

/** Nodes that imply no name. */
const nameless: ReadonlySet<string> = new Set([
  'A_Const',
  'ParamRef',
  'BoolExpr',
  'NullTest',
  'BooleanTest',
  'SetToDefault',
]);

/**
 * The name of an entry of a select list without one.
 * @returns undefined for an expression whose name is not known here
 */
export function impliedName(value: RawNode): string | undefined {
  const implied = figure(value);
  return implied === undefined ? undefined : (implied?.name ?? '?column?');
}

/** @returns null where nothing is implied, undefined where that is not known */
function figure(node: RawNode | undefined): Implied | null | undefined {
  if (!node) return undefined;
  const kind = kindOf(node);
  const fields = fieldsOf(node);
  if (words[kind] !== undefined) return { name: words[kind], strength: 2 };
  if (nameless.has(kind)) return null;
  switch (kind) {
    case 'ColumnRef': {
      const last = list(fields, 'fields').at(-1);
      return last?.String ? { name: stringOf(last), strength: 2 } : null;
    }
    case 'A_Indirection':
      return list(fields, 'indirection').every(step => step.A_Indices)
        ? figure(child(fields, 'arg'))
        : undefined;
    case 'FuncCall':
      return { name: stringOf(list(fields, 'funcname').at(-1)), strength: 2 };
    case 'A_Expr':
      return fields.kind === 'AEXPR_NULLIF' ? { name: 'nullif', strength: 2 } : null;
    case 'TypeCast': {
      const inner = figure(child(fields, 'arg'));
      if (inner === undefined || inner?.strength === 2) return inner;
      const type = fields.typeName as RawFields | undefined;
      const name = type && stringOf(list(type, 'names').at(-1));
      return name ? { name, strength: 1 } : undefined;
    }
    case 'CollateClause':
      return figure(child(fields, 'arg'));
    case 'MinMaxExpr':
      return { name: fields.op === 'IS_LEAST' ? 'least' : 'greatest', strength: 2 };
    case 'CaseExpr': {
      const otherwise = child(fields, 'defresult');
      const inner = otherwise ? figure(otherwise) : null;
      if (inner === undefined || inner?.strength === 2) return inner;
      return { name: 'case', strength: 1 };
    }
    case 'SubLink':
      return ofSubLink(fields);
    default:
      return undefined;
  }
}

function ofSubLink(fields: RawFields): Implied | null | undefined {
  switch (fields.subLinkType) {
    case 'EXISTS_SUBLINK':
      return { name: 'exists', strength: 2 };
    case 'ARRAY_SUBLINK':
      return { name: 'array', strength: 2 };
    case 'EXPR_SUBLINK': {
      const select = child(fields, 'subselect')?.SelectStmt;
      const target = select && list(select, 'targetList')[0]?.ResTarget;
      if (!target) return undefined;
      return typeof target.name === 'string'
        ? { name: target.name, strength: 2 }
        : figure(child(target, 'val'));
    }
    default:
      return null;
  }
}
