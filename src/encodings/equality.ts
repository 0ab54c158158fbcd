/**
 * Equality tags: AES-CMAC over the canonical form of the value (docs/spec/tag.md), under the key of the column's
 * domain. Equal values have equal tags, in every column of the domain, and only there.
 */
import { valueAt } from '../crypto/column.js';
import { tagColumn } from '../crypto/tags.js';
import { arrayOf } from '../wire/arrays.js';
import { canonicalClass, canonicalColumn, equalityOperators } from '../wire/canonical.js';
import { typeOids } from '../wire/types.js';
import type {
  Answer,
  EncodedColumn,
  Encoding,
  EncodingContext,
  OperandEncoder,
  Operator,
  Question,
  TypeRef,
} from './encoding.js';

/** The tag beside the cell. It answers =, <>, ANY, DISTINCT FROM, joins in its domain, counts and keys. */
export const equality: Encoding = {
  kind: 'equality',
  queries: ['equality'],

  rejects(type: TypeRef) {
    if (classOf(type) === undefined) return 'no canonical form is proven equal to this type’s = operator';
    if (!type.deterministic) return 'its collation is nondeterministic, so bytes do not decide equality';
    return undefined;
  },

  relations: () => [{ kind: 'column', role: 'tag', type: 'uuid', indexed: true }],

  async protect(column, { values }, { keys }) {
    return {
      columns: {
        tag: tagColumn(keys.domainKey(column.domain, 'tag'), canonicalColumn(formsOf(column.type), values)),
      },
    };
  },

  answers(column, question) {
    switch (question.kind) {
      case 'null':
        return { ...none, sql: `{tag} IS ${question.negated ? 'NOT ' : ''}NULL` };
      case 'compare':
        if (!answersOperator(column, question.operator)) return undefined;
        return one(column, `{tag} ${question.negated ? '<>' : '='} {1}`);
      case 'distinct':
        if (!answersOperator(column, question.operator)) return undefined;
        return one(column, `{tag} IS ${question.negated ? 'NOT ' : ''}DISTINCT FROM {1}`);
      case 'any':
        if (!answersOperator(column, question.operator)) return undefined;
        return {
          ...none,
          sql: question.negated ? '{tag} <> ALL ({1})' : '{tag} = ANY ({1})',
          operandTypes: ['uuid[]'],
          operands: tagArray(column),
        };
      case 'join':
        if (column.domain !== question.other.domain || !answersOperator(column, question.operator))
          return undefined;
        if (classOf(column.type) !== classOf(question.other.type)) return undefined;
        if (isOfEnums(question.operator) && column.type.oid !== question.other.type.oid) return undefined;
        return { ...none, sql: join(question) };
      case 'aggregate':
        if (question.name !== 'count') return undefined;
        return {
          ...none,
          sql: question.distinct ? 'pg_catalog.count(DISTINCT {tag})' : 'pg_catalog.count({tag})',
        };
      case 'constraint':
        return { ...none, sql: '{tag}' };
    }
  },

  leaks: () => ({
    atRest:
      'which rows hold equal values, and how often each value occurs, also across the columns of its domain',
    fromQueries: 'which stored values are asked for, and when the same value is asked for again',
    facts: { length: false, nulls: true, equality: true, frequency: true, order: false },
  }),
};

const none = {
  exactness: 'exact',
  operandTypes: [],
  operands: () => [],
} as const satisfies Partial<Answer>;

const join = (question: Extract<Question, { kind: 'join' }>): string =>
  question.distinct
    ? `{tag} IS ${question.negated ? 'NOT ' : ''}DISTINCT FROM {other:tag}`
    : `{tag} ${question.negated ? '<>' : '='} {other:tag}`;

/** As values of which built-in type values of a type are compared. */
const formsOf = ({ oid, forms }: TypeRef): number => forms ?? oid;

const classOf = (type: TypeRef) => canonicalClass(formsOf(type));

/** `=` and `<>` of anyenum (pg_operator) */
const ofEnums = [3516, 3517];
const anyEnum = 3500;

const isOfEnums = ({ oid }: Pick<Operator, 'oid'>): boolean => ofEnums.includes(oid);

/**
 * An operator is answered when the canonical form of its class is proven equal to it, on both sides; that of enums where both
 * sides are the column's own type.
 */
function answersOperator({ type }: EncodedColumn, { oid, left, right }: Operator): boolean {
  if (isOfEnums({ oid })) {
    const isOwn = (operand: number): boolean => operand === type.oid || operand === anyEnum;
    return type.forms === typeOids.text && isOwn(left) && isOwn(right);
  }
  const known = equalityOperators.get(oid);
  const own = classOf(type);
  return known !== undefined && own !== undefined && known.class === own && type.deterministic;
}

const one = (column: EncodedColumn, sql: string): Answer => ({
  ...none,
  sql,
  operandTypes: ['uuid'],
  operands: (values, type, context) => [valueAt(tag(column, values, type, context), 0)],
});

const tag = (
  column: EncodedColumn,
  values: Parameters<OperandEncoder>[0],
  type: number,
  { keys }: EncodingContext,
) =>
  tagColumn(
    keys.domainKey(column.domain, 'tag'),
    canonicalColumn(type === column.type.oid ? formsOf(column.type) : type, values),
  );

const tagArray =
  (column: EncodedColumn): OperandEncoder =>
  (values, type, context) => [arrayOf(tag(column, values, type, context), typeOids.uuid)];
