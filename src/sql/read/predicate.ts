/**
 * Conditions: a raw boolean tree and the same tree as PostgreSQL analysed it are walked side by side; what reads
 * protected columns becomes the cloud's expression over encodings, everything else stays as it is.
 */
import type { Operator, Question } from '../../encodings/encoding.js';

import { elementType as elementOf } from '../../wire/types.js';
import { flag, isNode, type Node, nodesIn, numberIn, type Value } from '../analysed/node.js';
import type { Scope } from '../analysed/query.js';
import { typeOf } from '../analysed/types.js';
import { aliasOf, asColumn, type ColumnUse, protectedColumns, refuse } from '../columns.js';
import type { Compilation } from '../compilation.js';
import { type ManySource, manySource, type OperandSource, operandSource } from '../operand.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { markAnswered } from './answered.js';

/**
 * @throws ClarusError 0A000 where no encoding answers
 */
export function rewriteCondition(
  raw: RawNode,
  analysed: Value | undefined,
  scope: Scope,
  compilation: Compilation,
): RawNode {
  const uses = protectedColumns(analysed, scope, compilation.catalog);
  if (uses.length === 0) return raw;
  if (!isNode(analysed)) throw new Error('a condition reads columns but is not a node');
  const fields = fieldsOf(raw);
  switch (kindOf(raw)) {
    case 'BoolExpr': {
      const args = list(fields, 'args');
      const analysedArgs = nodesIn(analysed, 'args');
      if (analysed.kind !== 'BOOLEXPR' || args.length !== analysedArgs.length) break;
      return {
        BoolExpr: {
          ...fields,
          args: args.map((arg, i) => rewriteCondition(arg, analysedArgs[i], scope, compilation)),
        },
      };
    }
    case 'NullTest':
      if (analysed.kind === 'NULLTEST')
        return nullTest(analysed, flagNegated(fields), scope, compilation, uses);
      break;
    case 'A_Expr':
      return comparison(raw, analysed, scope, compilation, uses);
  }
  throw refuse('this condition', uses[0]!);
}

const flagNegated = (fields: RawFields): boolean => fields.nulltesttype === 'IS_NOT_NULL';

function nullTest(
  analysed: Node,
  negated: boolean,
  scope: Scope,
  compilation: Compilation,
  uses: readonly ColumnUse[],
): RawNode {
  const use = flag(analysed, 'argisrow')
    ? undefined
    : asColumn(analysed.fields.arg, scope, compilation.catalog);
  if (!use) throw refuse('this test for NULL', uses[0]!);
  return answered(use, { kind: 'null', negated }, 'a test for NULL', analysed, scope, compilation, []);
}

function comparison(
  raw: RawNode,
  analysed: Node,
  scope: Scope,
  compilation: Compilation,
  uses: readonly ColumnUse[],
): RawNode {
  const fields = fieldsOf(raw);
  const left = child(fields, 'lexpr');
  const right = fields.rexpr as RawNode | readonly RawNode[] | undefined;
  const first = uses[0]!;
  const name = stringOf(list(fields, 'name').at(-1));
  switch (fields.kind) {
    case 'AEXPR_OP':
      if (analysed.kind === 'OPEXPR' && left && right && !Array.isArray(right))
        return compare(
          { left, right: right as RawNode, expression: analysed, distinct: false, negated: false, name },
          scope,
          compilation,
          first,
        );
      break;
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT': {
      const negated = fields.kind === 'AEXPR_NOT_DISTINCT';
      if (analysed.kind === 'NULLTEST')
        return nullTest(analysed, numberIn(analysed, 'nulltesttype') === 1, scope, compilation, uses);
      // NOT has one argument; rows that are compared become OR or AND of several
      const parts = analysed.kind === 'BOOLEXPR' ? nodesIn(analysed, 'args') : [analysed];
      const inner = parts.length === 1 ? parts[0] : undefined;
      if (inner?.kind === 'DISTINCTEXPR' && left && right && !Array.isArray(right))
        return compare(
          {
            left,
            right: right as RawNode,
            expression: inner,
            distinct: true,
            negated,
            name: 'IS DISTINCT FROM',
          },
          scope,
          compilation,
          first,
        );
      break;
    }
    case 'AEXPR_IN':
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL':
      return many(fields, analysed, scope, compilation, first);
  }
  throw refuse(`a comparison by "${name}"`, first);
}

interface Comparison {
  readonly left: RawNode;
  readonly right: RawNode;
  readonly expression: Node;
  readonly distinct: boolean;
  /** `IS NOT DISTINCT FROM` */
  readonly negated: boolean;
  readonly name: string;
}

function compare(c: Comparison, scope: Scope, compilation: Compilation, first: ColumnUse): RawNode {
  const [a, b] = nodesIn(c.expression, 'args');
  const doing = `a comparison by "${c.name}"`;
  const negatedOperator = c.name === '<>' || c.name === '!=';
  if (!c.distinct && c.name !== '=' && !negatedOperator) throw refuse(doing, first);
  const leftUse = asColumn(a, scope, compilation.catalog);
  const rightUse = asColumn(b, scope, compilation.catalog);
  if (leftUse && rightUse)
    return compareColumns(
      leftUse,
      rightUse,
      {
        kind: 'join',
        negated: c.distinct ? c.negated : negatedOperator,
        distinct: c.distinct,
        operator: operatorOf(c.expression, a, b, c.name),
      },
      c.expression,
      scope,
      compilation,
    );
  // `=` and `<>` of the classes that tags answer are symmetric, so either side may be the column.
  const use = leftUse ?? rightUse;
  if (!use) throw refuse(doing, first);
  const [column, value, rawValue] = leftUse ? [a, b, c.right] : [b, a, c.left];
  if (protectedColumns(value, scope, compilation.catalog).length) throw refuse(doing, first);
  const operator = operatorOf(c.expression, column, value, c.name);
  const question: Question = c.distinct
    ? { kind: 'distinct', negated: c.negated, operator }
    : { kind: 'compare', negated: negatedOperator, operator };
  const source = operandSource(
    rawValue,
    value,
    `the value compared with "${use.column.name}"`,
    compilation.values,
  );
  return answered(use, question, doing, c.expression, scope, compilation, [source]);
}

/** Two protected columns, compared by what an encoding gives both of. */
function compareColumns(
  left: ColumnUse,
  right: ColumnUse,
  asked: Omit<Question & { readonly kind: 'join' }, 'other'>,
  expression: Node,
  scope: Scope,
  compilation: Compilation,
): RawNode {
  for (const { encoded, kind } of right.column.protection?.encodings ?? []) {
    const found = compilation.answer(left.column, { ...asked, other: encoded });
    if (found && found.encoding.kind === kind) {
      markAnswered(expression, compilation);
      return compilation.expression(found.answer, found.encoded, aliasOf(scope, left.varno), [], {
        encoded,
        alias: aliasOf(scope, right.varno),
      });
    }
  }
  throw refuse(
    `a comparison by "${asked.operator.name}"`,
    left,
    'Grant equality on both columns and put them in one domain.',
  );
}

/**
 * The condition that USING and NATURAL stand for, over columns that are all protected.
 * @param quals the analysed condition: an equality for each common column
 * @returns undefined where a column is unprotected: then the cloud has to merge it by its name
 * @throws ClarusError 0A000 where no encoding answers
 */
export function usingCondition(
  quals: Value | undefined,
  scope: Scope,
  compilation: Compilation,
): RawNode | undefined {
  if (!isNode(quals)) return undefined;
  const conjuncts: RawNode[] = [];
  for (const equality of quals.kind === 'BOOLEXPR' ? nodesIn(quals, 'args') : [quals]) {
    const [a, b] = nodesIn(equality, 'args');
    const left = asColumn(a, scope, compilation.catalog);
    const right = asColumn(b, scope, compilation.catalog);
    if (equality.kind !== 'OPEXPR' || !left || !right) return undefined;
    const operator = operatorOf(equality, a, b, '=');
    const question = { kind: 'join', negated: false, distinct: false, operator } as const;
    conjuncts.push(compareColumns(left, right, question, equality, scope, compilation));
  }
  return conjuncts.length === 1 ? conjuncts[0]! : { BoolExpr: { boolop: 'AND_EXPR', args: conjuncts } };
}

function many(
  fields: RawFields,
  analysed: Node,
  scope: Scope,
  compilation: Compilation,
  first: ColumnUse,
): RawNode {
  const name = stringOf(list(fields, 'name').at(-1));
  const negated = name === '<>' || name === '!=';
  const doing =
    fields.kind === 'AEXPR_IN' ? `${negated ? 'NOT ' : ''}IN` : `a comparison by "${name}" with an array`;
  const rawRight = fields.rexpr as RawNode | readonly RawNode[] | { List?: { items?: readonly RawNode[] } };
  const items = fields.kind === 'AEXPR_IN' ? itemsOf(rawRight) : undefined;
  const left = child(fields, 'lexpr');
  if (items && analysed.kind === 'OPEXPR' && items.length === 1 && left)
    return compare(
      { left, right: items[0]!, expression: analysed, distinct: false, negated: false, name },
      scope,
      compilation,
      first,
    );
  if (analysed.kind !== 'SCALARARRAYOPEXPR') throw refuse(doing, first);
  if (!(name === '=' && flag(analysed, 'useOr')) && !(negated && !flag(analysed, 'useOr')))
    throw refuse(doing, first);
  const [a, b] = nodesIn(analysed, 'args');
  const use = asColumn(a, scope, compilation.catalog);
  if (!use || protectedColumns(b, scope, compilation.catalog).length) throw refuse(doing, first);
  const element = elementTypeOf(b);
  if (element === undefined) throw refuse(doing, first);
  const what = `a value compared with "${use.column.name}"`;
  const source = manySource(items ?? (rawRight as RawNode), b, element, what, compilation.values);
  const operator: Operator = {
    oid: numberIn(analysed, 'opno'),
    name,
    left: typeOf(a) ?? 0,
    right: element,
    collation: numberIn(analysed, 'inputcollid'),
  };
  return answered(use, { kind: 'any', negated, operator }, doing, analysed, scope, compilation, [source]);
}

function itemsOf(raw: unknown): readonly RawNode[] | undefined {
  if (Array.isArray(raw)) return raw as readonly RawNode[];
  const items = (raw as { List?: { items?: readonly RawNode[] } } | undefined)?.List?.items;
  return items;
}

/** Element type of an analysed array expression. */
function elementTypeOf(value: Value | undefined): number | undefined {
  if (!isNode(value)) return undefined;
  if (value.kind === 'ARRAYEXPR' || value.kind === 'ARRAY') return numberIn(value, 'element_typeid');
  const array = typeOf(value);
  return array === undefined ? undefined : elementOf(array);
}

function operatorOf(
  expression: Node,
  column: Value | undefined,
  value: Value | undefined,
  name: string,
): Operator {
  return {
    oid: numberIn(expression, 'opno'),
    name,
    left: typeOf(column) ?? 0,
    right: typeOf(value) ?? 0,
    collation: numberIn(expression, 'inputcollid'),
  };
}

function answered(
  use: ColumnUse,
  question: Question,
  doing: string,
  expression: Node,
  scope: Scope,
  compilation: Compilation,
  sources: readonly (OperandSource | ManySource)[],
): RawNode {
  if (use.scope !== scope) throw refuse(`${doing} from within a subquery`, use);
  if ('operator' in question && !deterministic(question.operator, use))
    throw refuse(`${doing} under this collation`, use);
  const found = compilation.answer(use.column, question);
  if (!found) throw refuse(doing, use, grantHint(use));
  markAnswered(expression, compilation);
  const { answer, encoded, encoding } = found;
  const operands = sources.flatMap(source =>
    compilation.operand(source, answer.operands, answer.operandTypes, answer.lookUps, { encoded, encoding }),
  );
  return compilation.expression(answer, encoded, aliasOf(scope, use.varno), operands);
}

/** `C`, `POSIX` and the database's default are deterministic; of others only the column's own is known. */
function deterministic(operator: Operator, use: ColumnUse): boolean {
  const { collation } = operator;
  if (collation <= 0 || collation === 100 || collation === 950 || collation === 951) return true;
  return collation === use.column.type.collation && use.column.type.deterministic;
}

function grantHint({ column }: ColumnUse): string | undefined {
  const { queries } = column.policy;
  return queries.includes('equality')
    ? undefined
    : `Grant it: "${column.name}": { queries: [${['equality', ...queries].join(', ')}] }; "clarus check" says what the cloud then learns.`;
}
