/**
 * The turn of conditions. PostgreSQL comes to the cheap ones first, and else to those that stand first (order_qual_clauses,
 * createplan.c), so that one may keep rows from another that would fail for them: `coalesce(m, 0) <> 0 AND 12 / m > 1`.
 * postgres_fdw takes those that it can say to the carrier, which answers them before PostgreSQL comes to any that is left.
 * So where several conditions are more than comparisons, those that may fail become arguments of a function that
 * postgres_fdw does not know.
 */
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { deparse } from '../raw/deparse.js';
import {
  child,
  list,
  paramRef,
  type RawFields,
  type RawNode,
  rewrite,
  str,
  stringOf,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { conjuncts } from './carrier-query.js';
import { comparisonsOnly } from './comparisons.js';
import { isSample } from './sample-condition.js';

/** Fields that hold conditions: of a statement, of a join, of groups. */
const places: ReadonlySet<string> = new Set(['whereClause', 'quals', 'havingClause']);

/**
 * @param sql a statement that carriers answer
 * @param views it reads views: they have conditions too
 * @returns the same, or one whose conditions are evaluated in PostgreSQL's order
 */
export function inTurn(sql: string, views: boolean): string {
  const raw = parseOne(sql);
  const found = moreThanComparisons(raw);
  const others = views ? 1 : 0;
  if (found.length + others < 2) return sql;
  return inTurnOf(
    sql,
    raw,
    found.filter(tree => isAlone(tree) && !neverFails(tree) && !joins(tree)),
  );
}

/**
 * @param sql a statement to which policies of row level security are applied
 * @returns the same, or one whose conditions that may fail come behind those of policies, whatever they are about
 */
export function behindPolicies(sql: string): string {
  const raw = parseOne(sql);
  return inTurnOf(
    sql,
    raw,
    moreThanComparisons(raw).filter(tree => !neverFails(besideSubqueries(tree))),
  );
}

const moreThanComparisons = (raw: RawNode): readonly RawNode[] =>
  conditionsIn(raw).filter(tree => !comparisonsOnly(tree) && !isSample(tree));

const inTurnOf = (sql: string, raw: RawNode, mayFail: readonly RawNode[]): string =>
  mayFail.length === 0 ? sql : deparse(replaced(raw, new Set(mayFail)));

/** What a subquery gives is to the condition around it as a parameter is; the subquery has conditions of its own. */
const besideSubqueries = (tree: RawNode): RawNode =>
  rewrite(tree, (kind, { testexpr, operName }) => {
    if (kind !== 'SubLink') return undefined;
    if (testexpr === undefined) return paramRef(1);
    return {
      A_Expr: { kind: 'AEXPR_OP', name: operName ?? [str('=')], lexpr: testexpr, rexpr: paramRef(1) },
    };
  });

function conditionsIn(value: unknown): readonly RawNode[] {
  const found: RawNode[] = [];
  const look = (field: unknown): void => {
    if (Array.isArray(field)) for (const item of field) look(item);
    if (field === null || typeof field !== 'object' || Array.isArray(field)) return;
    for (const [name, inner] of Object.entries(field)) {
      if (places.has(name)) found.push(...conjuncts(inner as RawNode));
      look(inner);
    }
  };
  look(value);
  return found;
}

const operators: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=', '~~', '!~~', '~~*', '!~~*']);
const kinds: ReadonlySet<unknown> = new Set([
  'AEXPR_OP',
  'AEXPR_OP_ANY',
  'AEXPR_OP_ALL',
  'AEXPR_LIKE',
  'AEXPR_ILIKE',
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
  'AEXPR_IN',
]);
/** One of users that has such a name goes to no carrier. */
const functions: ReadonlySet<string> = new Set(['lower', 'upper', 'length', 'btrim', 'ltrim', 'rtrim']);
const parts: ReadonlySet<string> = new Set([
  'A_ArrayExpr',
  'A_Const',
  'BoolExpr',
  'BooleanTest',
  'CaseExpr',
  'CaseWhen',
  'CoalesceExpr',
  'ColumnRef',
  'Integer',
  'List',
  'MinMaxExpr',
  'NullTest',
  'ParamRef',
  'String',
]);

/** Is a condition of such a kind that PostgreSQL can evaluate it for every row? */
export function neverFails(tree: RawNode): boolean {
  let safe = true;
  visit(tree, (kind, fields) => {
    // fields are visited too
    if (!/^[A-Z]/.test(kind)) return;
    if (kind === 'A_Expr') safe &&= kinds.has(fields.kind) && isSafe(fields);
    else if (kind === 'TypeCast') safe &&= isSafeCast(fields);
    else if (kind === 'FuncCall') safe &&= functions.has(stringOf(list(fields, 'funcname').at(-1)));
    else safe &&= parts.has(kind);
  });
  return safe;
}

/** A pattern may end in the midst of an escape, and one of a column may be any. */
function isSafe(comparison: RawFields): boolean {
  const operator = stringOf(list(comparison, 'name').at(-1));
  if (!operators.has(operator)) return false;
  if (!operator.includes('~')) return true;
  const right = child(comparison, 'rexpr');
  const constant = right?.TypeCast ? child(right.TypeCast, 'arg') : right;
  const pattern = constant?.A_Const?.sval as { readonly sval?: string } | undefined;
  return pattern !== undefined && !(pattern.sval ?? '').includes('\\');
}

/** What is cast is the same for every row, or may become a text. */
function isSafeCast(cast: RawFields): boolean {
  const arg = child(cast, 'arg');
  if (arg?.A_Const || arg?.ParamRef) return true;
  const { names, typmods, arrayBounds } = cast.typeName as RawFields;
  return (
    stringOf((names as readonly RawNode[]).at(-1)) === 'text' &&
    typmods === undefined &&
    arrayBounds === undefined
  );
}

/** Has a condition no subquery? One that has goes to no carrier. */
function isAlone(tree: RawNode): boolean {
  let alone = true;
  visit(tree, kind => {
    if (kind === 'SubLink') alone = false;
  });
  return alone;
}

/** May joins be made by it: does it say that two things are equal that may be of different tables? */
function joins({ A_Expr: comparison }: RawNode): boolean {
  if (comparison?.kind !== 'AEXPR_OP' || stringOf(list(comparison, 'name').at(-1)) !== '=') return false;
  const [left, right] = [qualifiersIn(comparison.lexpr), qualifiersIn(comparison.rexpr)];
  if (left.size === 0 || right.size === 0) return false;
  const all = new Set([...left, ...right]);
  return all.size > 1 || all.has('');
}

/** What columns are called by; '' stands for nothing. */
function qualifiersIn(value: unknown): ReadonlySet<string> {
  const found = new Set<string>();
  visit(value, (kind, fields) => {
    if (kind === 'ColumnRef') found.add(list(fields, 'fields').slice(0, -1).map(stringOf).join('.'));
  });
  return found;
}

function replaced<T>(value: T, wrapped: ReadonlySet<unknown>): T {
  if (Array.isArray(value)) return value.map(item => replaced(item, wrapped)) as T;
  if (value === null || typeof value !== 'object') return value;
  if (wrapped.has(value)) return call(value as unknown as RawNode) as T;
  return Object.fromEntries(
    Object.entries(value as RawFields).map(([name, field]) => [name, replaced(field, wrapped)]),
  ) as T;
}

const call = (condition: RawNode): RawNode => ({
  FuncCall: {
    funcname: [str(OWN_SCHEMA), str('in_turn')],
    args: [condition],
    funcformat: 'COERCE_EXPLICIT_CALL',
  },
});

/** A line of a plan without the function: its conditions as the client has said them. */
export function withoutTurns(line: string): string {
  const at = line.indexOf(called);
  if (at < 0) return line;
  const from = at + called.length;
  const to = closing(line, from);
  return line.slice(0, at) + withoutTurns(line.slice(from, to) + line.slice(to + 1));
}

const called = `${OWN_SCHEMA}.in_turn(`;

/** Where the parenthesis is closed within which a text begins: those in literals and names do not count. */
function closing(text: string, from: number): number {
  let depth = 0;
  let quote = '';
  for (let i = from; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') quote = c === quote ? '' : quote;
    else if (c === "'" || c === '"') quote = c;
    else if (c === '(') depth++;
    else if (c === ')' && depth-- === 0) return i;
  }
  return text.length;
}
