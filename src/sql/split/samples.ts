/**
 * TABLESAMPLE in split statements. PostgreSQL samples no foreign table, so a sample is taken where the rows are: in the
 * cloud, when a carrier is asked for them. The statement that the trusted PostgreSQL runs has in place of a sampled table
 * a subquery with a condition that says the sample (sample-condition.ts).
 */
import type { ClarusError } from '../../errors.js';
import { isNode, type Node, readNodes, walk } from '../analysed/node.js';
import { tellsRowTypes } from '../analysed/query.js';
import { nameText, rangeParts, resolveRelation } from '../ddl/resolve.js';
import { FIRST_USER_OID } from '../functions.js';
import { parametersOf } from '../operand.js';
import type { Shape } from '../plan.js';
import type { Analysis } from '../ports.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import { child, list, type RawFields, type RawNode, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { readerOn } from '../reading.js';
import { touchOf } from '../touch.js';
import { withViewsWritten } from '../view-definitions.js';
import { rounds } from './exact.js';
import { isOfUsers, type SplitPlanning } from './plan.js';
import { sampleCondition, samplingMethods } from './sample-condition.js';
import { orCause } from './write/computed-plan.js';

/** What is left of arguments that PostgreSQL evaluates when it plans a statement. */
const evaluated: ReadonlySet<string> = new Set([
  'A_Const',
  'A_Expr',
  'BoolExpr',
  'CaseExpr',
  'CaseWhen',
  'CoalesceExpr',
  'Integer',
  'NullTest',
  'ParamRef',
  'String',
  'TypeCast',
  'TypeName',
]);

/** A statement without TABLESAMPLE, whose carriers are asked for samples. */
export interface WithoutSamples {
  readonly raw: RawNode;
  readonly sql: string;
  readonly planning: SplitPlanning;
}

/**
 * @param raw a query or write
 * @returns undefined: it samples nothing
 * @throws cause where the arguments are not known before it runs, could be meant for a column, or where it asks for more
 *   of a sampled table than columns
 */
export async function withoutSamples(
  raw: RawNode,
  planning: SplitPlanning,
): Promise<WithoutSamples | undefined> {
  const { analysis, session, homes, cause } = planning;
  const inViews = samples(analysis.rewritten) > samples(analysis.parsed);
  if (!inViews && samples(analysis.parsed) === 0) return undefined;
  if (rounds(session.settings) || tellsRowTypes(analysis.parsed.flatMap(readNodes))) throw cause;
  const expanded = inViews ? await withViewsWritten(raw, session, isOfUsers) : raw;
  if (!expanded) throw cause;
  const found = rangesIn(expanded);
  mustBeApart(expanded, found, cause);
  const conditions = new Map<RawFields, RawNode>();
  for (const range of found) conditions.set(range, await sampled(range, planning));
  const tree = rewriteRanges(expanded, range => conditions.get(range));
  const sql = deparse(tree);
  const again = await session.analyse(sql, analysis.shape.parameterTypes).catch(orCause(cause));
  if (!sameColumns(again.shape, analysis.shape) || samples(again.rewritten) > 0) throw cause;
  const own: Analysis = { ...again, shape: analysis.shape };
  const touch = await touchOf(own, session, homes);
  return { raw: parseOne(sql), sql, planning: { ...planning, analysis: own, touch } };
}

/** Number of sampled tables in analysed queries. */
function samples(trees: Analysis['parsed']): number {
  let count = 0;
  for (const tree of trees.flatMap(readNodes))
    walk(tree, (node: Node) => {
      if (isNode(node.fields.tablesample)) count++;
      return true;
    });
  return count;
}

const sameColumns = ({ columns: ours = [] }: Shape, { columns: theirs = [] }: Shape): boolean =>
  ours.length === theirs.length &&
  ours.every(
    ({ name, typeOid, typeModifier }, i) =>
      name === theirs[i]!.name && typeOid === theirs[i]!.typeOid && typeModifier === theirs[i]!.typeModifier,
  );

/** The fields of sampled tables of a statement. */
function rangesIn(raw: RawNode): readonly RawFields[] {
  const found: RawFields[] = [];
  visit(raw, (kind, fields) => {
    if (kind === 'RangeTableSample') found.push(fields);
  });
  return found;
}

/**
 * The cloud sees the arguments.
 * @throws cause where something else of the statement reads a parameter of theirs: it may be meant for a protected column
 */
function mustBeApart(raw: RawNode, ranges: readonly RawFields[], cause: ClarusError): void {
  const numbers = new Set(ranges.flatMap(range => parametersOf(argumentsOf(range))));
  if (numbers.size === 0) return;
  const rest = rewriteRanges(raw, () => ({ A_Const: { isnull: true } }));
  if (parametersOf(rest).some(number => numbers.has(number))) throw cause;
}

const argumentsOf = (range: RawFields): readonly RawNode[] => [
  ...list(range, 'args'),
  ...(child(range, 'repeatable') ? [child(range, 'repeatable')!] : []),
];

/** Puts something else in place of sampled tables. */
function rewriteRanges(raw: RawNode, change: (fields: RawFields) => RawNode | undefined): RawNode {
  const see = <T>(value: T): T => {
    if (Array.isArray(value)) return value.map(see) as T;
    if (value === null || typeof value !== 'object') return value;
    const { RangeTableSample: range } = value as RawNode;
    const changed = range && change(range);
    if (changed) return changed as T;
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, see(field)])) as T;
  };
  return see(raw);
}

/** A subquery that stands for a sampled table. */
async function sampled(range: RawFields, { session, cause }: SplitPlanning): Promise<RawNode> {
  const relation = child(range, 'relation')?.RangeVar;
  const method = stringOf(list(range, 'method').at(-1));
  const [percentage, ...more] = list(range, 'args');
  const seed = child(range, 'repeatable');
  if (!relation || !samplingMethods.includes(method) || !percentage || more.length > 0) throw cause;
  visit(argumentsOf(range), kind => {
    if (/^[A-Z]/.test(kind) && !evaluated.has(kind)) throw cause;
  });
  const resolved = await resolveRelation(readerOn(session.trusted), rangeParts(relation));
  const table = resolved && session.catalog().tables.get(resolved.oid);
  // postgres_fdw sends on what is of types of PostgreSQL
  const column = table?.columns.find(({ type }) => type.oid < FIRST_USER_OID);
  if (!table || !column) throw cause;
  const condition = sampleCondition(
    column.name,
    method,
    deparseExpression(percentage),
    seed && deparseExpression(seed),
  );
  const only = relation.inh === true ? '' : 'ONLY ';
  const { alias = { aliasname: relation.relname } } = relation;
  return {
    RangeSubselect: {
      subquery: parseOne(`SELECT * FROM ${only}${nameText([table.schema, table.name])} WHERE ${condition}`),
      alias,
    },
  };
}
