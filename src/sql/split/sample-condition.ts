/**
 * A condition that says that rows of a table are a sample. postgres_fdw sends it with what it asks of the table, wherever
 * the planner puts that, and the planner has evaluated its arguments, as those of TABLESAMPLE. A carrier's query holds it
 * as a sample then. It divides by zero, so that it cannot be evaluated unnoticed.
 */
import { randomInt } from 'node:crypto';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { rangeParts } from '../ddl/resolve.js';
import { deparse, deparseExpression } from '../raw/deparse.js';
import { child, list, type RawNode, stringOf, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';

/** A sample that a carrier is asked for. */
export interface Sample {
  readonly method: string;
  /** number of the place in the statement that says it */
  readonly place: number;
  /** evaluated, of type real */
  readonly percentage: RawNode;
  /** REPEATABLE, evaluated, of type double precision; undefined: any sample will do */
  readonly seed: RawNode | undefined;
}

/** Seeds of samples that may be any, by place, for one execution: a table that is read again gives the same rows. */
export type Seeds = Map<number, number>;

/** Methods whose samples stay the same while a statement runs: those that PostgreSQL has built in. */
export const samplingMethods: readonly string[] = ['bernoulli', 'system'];

/** What tells the condition from those of clients. */
const mark = String(randomInt(2 ** 40, 2 ** 47));
let places = 0;

/**
 * @param column of the table, of a type of PostgreSQL
 * @param percentage SQL of the argument, and `seed` that of REPEATABLE
 */
export function sampleCondition(
  column: string,
  method: string,
  percentage: string,
  seed: string | undefined,
): string {
  const values = [
    quoteName(column),
    `${mark}::pg_catalog.int8`,
    String(samplingMethods.indexOf(method)),
    String(++places),
    `(${percentage})::pg_catalog.float4`,
    ...(seed === undefined ? [] : [`(${seed})::pg_catalog.float8`]),
  ];
  return `pg_catalog.num_nulls(${values.join(', ')}) / 0 > 0`;
}

/** Could a statement hold such a condition? */
export const saysSample = (sql: string): boolean => sql.includes(mark);

/** The tables that a statement samples so, as it names them. */
export function tablesSampled(sql: string): readonly string[] {
  if (!saysSample(sql)) return [];
  const found = new Set<string>();
  visit(parseOne(sql), (kind, fields) => {
    const where = kind === 'SelectStmt' ? child(fields, 'whereClause') : undefined;
    const range = list(fields, 'fromClause')[0]?.RangeVar;
    if (where && range && isSample(where)) found.add(rangeParts(range).join('.'));
  });
  return [...found];
}

/** @throws ClarusError 0A000 for a statement that holds one and would go to the cloud as it stands */
export function refuseSample(raw: RawNode): void {
  visit(raw, (kind, fields) => {
    if (kind === 'A_Const' && literal({ A_Const: fields }) === mark)
      throw new ClarusError('0A000', 'a sample that was taken apart is not one of the cloud');
  });
}

/**
 * @param tree a condition
 * @returns undefined: it is another one
 * @throws ClarusError 0A000 for arguments that depend on rows, or on what is known only when the statement runs
 */
export function sampleOf(tree: RawNode): Sample | undefined {
  const [, , method, place, percentage, seed] = argumentsOf(tree) ?? [];
  if (!percentage) return undefined;
  visit([percentage, seed], kind => {
    if (kind === 'ParamRef' || kind === 'ColumnRef' || kind === 'FuncCall') throw unknown();
  });
  return {
    method: samplingMethods[Number(literal(method))]!,
    place: Number(literal(place)),
    percentage,
    seed,
  };
}

/** Does a condition say that rows are a sample? */
export const isSample = (tree: RawNode): boolean => argumentsOf(tree) !== undefined;

/** @returns undefined: it is another condition */
function argumentsOf(tree: RawNode): readonly RawNode[] | undefined {
  const quotient = child(tree.A_Expr ?? {}, 'lexpr')?.A_Expr;
  const call = quotient && child(quotient, 'lexpr')?.FuncCall;
  if (!call || stringOf(list(call, 'funcname').at(-1)) !== 'num_nulls') return undefined;
  const values = list(call, 'args');
  return literal(values[1]) === mark ? values : undefined;
}

/** A query of a carrier as it would be if carriers could be sampled. @param sql of postgres_fdw, with such a condition */
export function asSampled(sql: string): string {
  const select = parseOne(sql).SelectStmt!;
  const where = child(select, 'whereClause')!;
  const { args = [where] } = (where.BoolExpr ?? {}) as { readonly args?: readonly RawNode[] };
  const sample = args.flatMap(tree => sampleOf(tree) ?? [])[0];
  const rest = args.filter(tree => !isSample(tree));
  const [relation] = list(select, 'fromClause');
  if (!sample || !relation) return sql;
  const clause = sampleClause(sample, undefined);
  const sampled = list(parseOne(`SELECT FROM x${clause}`).SelectStmt!, 'fromClause')[0]!;
  const { whereClause: _where, ...others } = select;
  const left = rest.length > 1 ? { BoolExpr: { ...where.BoolExpr, args: rest } } : rest[0];
  return deparse({
    SelectStmt: {
      ...others,
      fromClause: [{ RangeTableSample: { ...sampled.RangeTableSample, relation } }],
      ...(left ? { whereClause: left } : {}),
    },
  });
}

const printed = new RegExp(
  `\\(\\(num_nulls\\((?:(?!num_nulls\\().)*?'${mark}'::bigint, (\\d), \\d+, (.*?)\\) / 0\\) (?:>|&gt;) 0\\)`,
  'g',
);

/** A plan of PostgreSQL that says samples as what they are. */
export const withSamplesNamed = (plan: string): string =>
  plan.replace(printed, (_all, method: string, values: string) => {
    const [percentage, seed] = values.split(', ');
    const clause = `(TABLESAMPLE ${samplingMethods[Number(method)]} (${percentage})`;
    return seed === undefined ? `${clause})` : `${clause} REPEATABLE (${seed}))`;
  });

/** The clause that the cloud is asked with. @param seeds undefined: nothing is read again */
export function sampleClause({ method, place, percentage, seed }: Sample, seeds: Seeds | undefined): string {
  const clause = ` TABLESAMPLE ${method} (${deparseExpression(percentage)})`;
  if (seed) return `${clause} REPEATABLE (${deparseExpression(seed)})`;
  if (!seeds) return clause;
  const any = seeds.get(place) ?? randomInt(2 ** 47);
  seeds.set(place, any);
  return `${clause} REPEATABLE (${any})`;
}

/** The text of a number, perhaps with a cast. */
function literal(node: RawNode | undefined): string | undefined {
  const { A_Const: constant, TypeCast: cast } = node ?? {};
  if (cast) return literal(child(cast, 'arg'));
  const { ival, fval, sval } = (constant ?? {}) as {
    readonly ival?: { readonly ival?: number };
    readonly fval?: { readonly fval: string };
    readonly sval?: { readonly sval: string };
  };
  return ival ? String(ival.ival ?? 0) : (fval?.fval ?? sval?.sval);
}

const unknown = (): ClarusError =>
  new ClarusError('0A000', 'a sample whose size depends on rows is not answered', {
    hint: 'Give TABLESAMPLE constants or parameters.',
  });
