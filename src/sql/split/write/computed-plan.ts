/** What INSERT and MERGE share that are computed first: the statement of ours in place of the client's. */
import type { Catalog, LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import { quoteQualified } from '../../../catalog/quote.js';
import { hasHeirs } from '../../../catalog/trees.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { typeOids } from '../../../wire/types.js';
import { defaultsOf } from '../../defaults.js';
import type { SplitBody, SplitWrites } from '../../execute/bodies.js';
import { assignment } from '../../execute/convert.js';
import type { ProtectedPlan, Shape } from '../../plan.js';
import { deparse, deparseExpression } from '../../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../../raw/node.js';
import { parseOne } from '../../raw/parse.js';
import { touchOf } from '../../touch.js';
import { printingExactly } from '../exact.js';
import { type SplitPlanning, splitBody } from '../plan.js';
import { castNames } from '../typed-source.js';
import { expressionOf } from './given-rows.js';

/** `schema.name` of a table. */
export const nameOf = ({ schema, name }: LogicalTable): string => quoteQualified(schema, name);

/** Not an action: the key of the row has been given before. */
export const again = -1;
/** Not an action: the row that stands there is not changed, but must not have been changed either. */
export const untouched = -2;

/** Not an action: the row that stands there keeps the given one out, unless another session is deleting it. */
export const keptOut = -3;

/** Fields of a computed row before the values: what is done, to which row, the place of the given row, and the row's table. */
export const prefix = 4;

/** The OID of the table that holds a row, where it may be one of several; else NULL. */
export const tableOf = (alias: string, catalog: Catalog, table: LogicalTable): string =>
  hasHeirs(catalog, table) ? `${alias}.tableoid` : 'NULL::pg_catalog.oid';

/**
 * The plan of a statement of ours in place of the client's.
 * @throws cause where PostgreSQL does not take it, or it returns other columns than the client's
 */
export async function computedPlan(
  sql: string,
  parameterTypes: readonly number[],
  { command, planning, writes }: { command: string; planning: SplitPlanning; writes: SplitWrites },
): Promise<ProtectedPlan> {
  const { analysis, cause, homes, session } = planning;
  const inner = await session.analyse(sql, parameterTypes).catch(orCause(cause));
  const { width } = writes.computed!;
  if (typesOf(inner.shape.columns?.slice(width)) !== typesOf(analysis.shape.columns)) throw cause;
  const touch = await touchOf(inner, session, homes);
  const body = await splitBody(parseOne(sql), sql, { ...planning, analysis: inner, touch }, writes);
  // what the client gets is printed as it says
  const types = (inner.shape.columns ?? []).map((c, i) => (i < width ? c.typeOid : typeOids.text));
  const statement = printingExactly(body.statement, types, session.settings);
  return {
    kind: 'protected',
    command,
    shape: analysis.shape,
    split: true,
    writes: true,
    body: { ...body, statement } as SplitBody,
  };
}

/** What is wrong with a statement of ours is not the client's to hear; what else happens is. */
export const orCause =
  (cause: Error) =>
  (error: unknown): never => {
    throw error instanceof PostgresError && /^(42|0A|22)/.test(error.code) ? cause : error;
  };

const typesOf = (columns: Shape['columns']): string => (columns ?? []).map(c => c.typeOid).join();

/**
 * What SET assigns, each value of its column's type.
 * @throws cause for a part of a column, for several columns that take a subquery, and for DEFAULT of a sequence
 */
export async function assignments(
  targets: readonly RawNode[],
  table: LogicalTable,
  planning: SplitPlanning,
): Promise<readonly { readonly column: LogicalColumn; readonly sql: string }[]> {
  const { cause, session } = planning;
  const found = targets.map(fieldsOf).map(target => {
    const column = table.columns.find(c => c.name === text(target, 'name'));
    const value = child(target, 'val');
    if (!column || !value || list(target, 'indirection').length > 0) throw cause;
    return { column, value: assigned(value, cause) };
  });
  const casts = await castNames(
    found.map(({ column }) => column),
    session,
  );
  const isDefault = (value: RawNode): boolean => kindOf(value) === 'SetToDefault';
  const defaults = found.some(({ value }) => isDefault(value)) ? await defaultsOf(table, session) : new Map();
  return found.map(({ column, value }, i) => {
    const sql = isDefault(value)
      ? expressionOf(defaults.get(column.attnum), planning)
      : deparseExpression(value);
    return { column, sql: assignment(`(${sql})::${casts[i]}`, column.type) };
  });
}

function assigned(value: RawNode, cause: Error): RawNode {
  const { source, colno } = (value.MultiAssignRef ?? {}) as { source?: RawNode; colno?: number };
  if (!value.MultiAssignRef) return value;
  const args = source?.RowExpr ? list(source.RowExpr, 'args') : [];
  const found = args[(colno ?? 1) - 1];
  if (!found) throw cause;
  return found;
}

/**
 * The WITH of a statement as SQL, with further queries at its end; it ends with a space where it is not empty.
 */
export function deparseWith(fields: RawFields, further: readonly string[]): string {
  const own = fields.withClause as { recursive?: boolean; ctes?: readonly RawNode[] } | undefined;
  const ctes = [...(own?.ctes ?? []).map(deparseCte), ...further];
  return ctes.length > 0 ? `WITH ${own?.recursive ? 'RECURSIVE ' : ''}${ctes.join(', ')} ` : '';
}

function deparseCte(cte: RawNode): string {
  const whole = deparse({
    SelectStmt: {
      targetList: [{ ResTarget: { val: { A_Const: { isnull: true } } } }],
      withClause: { ctes: [cte] },
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  });
  return whole.replace(/^WITH\s+/, '').replace(/\s*SELECT\s+NULL\s*$/, '');
}

/** An entry of FROM as SQL. */
export function fromItem(item: RawNode): string {
  const whole = deparse({
    SelectStmt: {
      targetList: [{ ResTarget: { val: { A_Const: { isnull: true } } } }],
      fromClause: [item],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  });
  return whole.replace(/^SELECT\s+NULL\s+FROM\s+/, '');
}
