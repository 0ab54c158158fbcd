/** Relations of a statement as WITH queries over rows that it is given: a parameter a column, an array of texts. */
import { quoteName } from '../../catalog/quote.js';
import type { ClarusError } from '../../errors.js';
import { arrayOids } from '../../wire/types.js';
import { nameText, rangeParts } from '../ddl/resolve.js';
import type { Plan } from '../plan.js';
import {
  child,
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  rewrite,
  stringOf,
  visit,
} from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { columnTypes } from '../split/delivery.js';
import { mustTravelExactly } from '../split/exact.js';
import { columnsNeeded } from '../split/given-table.js';
import { orCause } from '../split/write/computed-plan.js';
import type { TemporaryPlanning } from './own.js';

/** A part of a statement that is run before the rest. */
export interface Part {
  readonly plan: Extract<Plan, { kind: 'pass' | 'trusted' | 'protected' }>;
  /** types of the client's parameters, where it takes them */
  readonly parameterTypes: readonly number[];
  readonly columns: number;
}

/** `clarus_given_1`: a WITH query that stands for a relation. */
const nameOf = (i: number): string => `clarus_given_${i + 1}`;
/** A statement over WITH queries in place of some relations, and what they are given. */
export interface GivenRelations {
  readonly raw: RawNode;
  readonly types: readonly number[];
  readonly first: readonly Part[];
}

/**
 * @param types of the parameters that there are already
 * @param isGiven is a relation to be replaced?
 */
export async function givenRelations(
  raw: RawNode,
  types: readonly number[],
  planning: TemporaryPlanning,
  cause: ClarusError,
  isGiven: (range: RawFields) => Promise<boolean>,
): Promise<GivenRelations> {
  const ranges = relationsOf(raw);
  const chosen: RawFields[] = [];
  for (const range of ranges) if (await isGiven(range)) chosen.push(range);
  const first: Part[] = [];
  const ctes: RawNode[] = [];
  const all = [...types];
  for (const [i, range] of chosen.entries()) {
    const rows = await rowsOf(raw, range, planning, cause);
    first.push(rows.part);
    ctes.push(withQuery(nameOf(i), rows.columns, all.length));
    all.push(...rows.columns.map(() => arrayOids.text));
  }
  const named = rewrite(raw, (kind, range) => {
    if (kind === 'ColumnRef') return withoutSchema(range, chosen);
    if (kind !== 'RangeVar') return undefined;
    const i = chosen.findIndex(other => keyOf(other) === keyOf(range));
    if (i < 0) return undefined;
    const { schemaname: _schema, alias, ...rest } = range;
    const as = alias ?? { aliasname: range.relname };
    return { RangeVar: { ...rest, relname: nameOf(i), inh: true, alias: as } };
  });
  return { raw: withQueries(named, ctes, cause), types: all, first };
}

/** `schema.table.column` of a table that is given, without the schema. */
function withoutSchema(fields: RawFields, chosen: readonly RawFields[]): RawNode | undefined {
  const [schema, table, ...column] = list(fields, 'fields');
  const isGiven = chosen.some(
    ({ schemaname, relname }) => schemaname === stringOf(schema) && relname === stringOf(table),
  );
  return isGiven && column.length > 0 ? { ColumnRef: { ...fields, fields: [table, ...column] } } : undefined;
}

/** The relations that FROM, USING and subqueries name, each once; those that may be WITH queries are none. */
export function relationsOf(raw: RawNode): readonly RawFields[] {
  const ctes = new Set<unknown>();
  visit(raw, (kind, { ctename }) => {
    if (kind === 'CommonTableExpr') ctes.add(ctename);
  });
  const found = new Map<string, RawFields>();
  visit(raw, (kind, range) => {
    if (kind !== 'RangeVar' || (range.schemaname === undefined && ctes.has(range.relname))) return;
    found.set(keyOf(range), range);
  });
  return [...found.values()];
}

/** Tells relations apart by how they are named. */
export const keyOf = ({ schemaname, relname, inh }: RawFields): string =>
  [schemaname ?? '', relname, inh === true].join('\0');

/** A column as a statement is given it. */
interface TypedColumn {
  readonly name: string;
  /** with its collation, where that is not the type's own */
  readonly type: string;
}

/** The columns of a relation that a statement may read, and the query that gives them. */
async function rowsOf(
  raw: RawNode,
  range: RawFields,
  { session, plan }: TemporaryPlanning,
  cause: ClarusError,
): Promise<{ readonly part: Part; readonly columns: readonly TypedColumn[] }> {
  const relation = `${range.inh === true ? '' : 'ONLY '}${nameText(rangeParts(range))}`;
  const { shape } = await session.analyse(`SELECT * FROM ${relation}`, []).catch(orCause(cause));
  const all = shape.columns ?? [];
  const [{ tableOid: oid } = { tableOid: 0 }] = all;
  if (oid === 0) throw cause;
  const needed = new Set(
    namesAll(raw, range)
      ? all.map(c => c.name)
      : columnsNeeded(
          [raw],
          all.map(c => c.name),
        ),
  );
  // how many rows there are matters too
  const columns = needed.size > 0 ? all.filter(c => needed.has(c.name)) : all.slice(0, 1);
  mustTravelExactly(columns, session);
  const types = await columnTypes({ oid }, session);
  const sql = `SELECT ${columns.map(c => quoteName(c.name)).join(', ')} FROM ${relation}`;
  const part = await plan(parseOne(sql), sql, []);
  return {
    part: partOf(part, [], columns.length, cause),
    columns: columns.map(({ name }) => ({ name, type: types.get(name)! })),
  };
}

/** A plan as a part. @throws cause for what is no query */
export function partOf(
  plan: Plan,
  parameterTypes: readonly number[],
  columns: number,
  cause: ClarusError,
): Part {
  if (plan.kind !== 'pass' && plan.kind !== 'trusted' && plan.kind !== 'protected') throw cause;
  return { plan, parameterTypes, columns };
}

/** May a statement read all columns of a relation, by a whole row, by place or by names that it does not say? */
export function namesAll(raw: RawNode, { relname, alias }: RawFields): boolean {
  const names = [relname, (alias as RawFields | undefined)?.aliasname];
  let all = list((alias as RawFields | undefined) ?? {}, 'colnames').length > 0;
  visit(raw, (kind, fields) => {
    if (kind === 'ColumnRef') all ||= names.includes(stringOf(list(fields, 'fields').at(-1)));
    if (kind === 'RangeVar' && fields.relname === relname) all ||= hasOtherNames(fields, names);
    if (kind === 'JoinExpr')
      all ||=
        fields.isNatural === true || list(fields, 'usingClause').length > 0 || fields.alias !== undefined;
  });
  return all;
}

const hasOtherNames = ({ alias }: RawFields, names: readonly unknown[]): boolean =>
  alias !== undefined &&
  (!names.includes((alias as RawFields).aliasname) || list(alias as RawFields, 'colnames').length > 0);

/** @param before number of the parameters before its columns */
function withQuery(name: string, columns: readonly TypedColumn[], before: number): RawNode {
  const select = parseOne(`WITH x AS (${selectOf(columns, before)}) SELECT`).SelectStmt!
    .withClause as RawFields;
  const [cte] = list(select, 'ctes');
  return { CommonTableExpr: { ...fieldsOf(cte!), ctename: name } };
}

/** A query of given rows. @param before number of the parameters before its columns */
export function selectOf(columns: readonly TypedColumn[], before: number): string {
  const targets = columns.map(({ name, type }, i) => `u.c${i}::${type} AS ${quoteName(name)}`);
  const arrays = columns.map((_, i) => `pg_catalog.unnest($${before + i + 1}::pg_catalog.text[])`);
  return `SELECT ${targets.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${columns.map((_, i) => `c${i}`).join(', ')})`;
}

/** A statement with further WITH queries before its own. */
function withQueries(raw: RawNode, ctes: readonly RawNode[], cause: ClarusError): RawNode {
  if (ctes.length === 0) return raw;
  const fields = fieldsOf(raw);
  const select = child(fields, 'selectStmt')?.SelectStmt;
  if (select?.withClause && fields.withClause) throw cause;
  // a source with a WITH of its own is the place where INSERT ... SELECT takes them
  if (select?.withClause)
    return { InsertStmt: { ...fields, selectStmt: { SelectStmt: added(select, ctes) } } };
  return { [kindOf(raw)]: added(fields, ctes) };
}

function added(fields: RawFields, ctes: readonly RawNode[]): RawFields {
  const own = (fields.withClause ?? {}) as RawFields;
  return { ...fields, withClause: { ...own, ctes: [...ctes, ...list(own, 'ctes')] } };
}
