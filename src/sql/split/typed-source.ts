/** The query that gives INSERT its rows, with values of the types of the columns that take them. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { type Node, nodesIn } from '../analysed/node.js';
import { physical } from '../compilation.js';
import { collect } from '../execute/collect.js';
import { assignment, quotedType } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import { parseExpression } from '../raw/parse.js';

/** Columns in the order of the query's; those that are not named are the first ones. */
export function targetColumns(
  cols: readonly RawNode[],
  query: Node,
  table: LogicalTable,
  cause: ClarusError,
): readonly LogicalColumn[] {
  if (cols.length === 0) {
    const subquery = nodesIn(query, 'rtable')
      .flatMap(rte => (rte.fields.subquery ? [rte.fields.subquery as Node] : []))
      .at(-1);
    const width = subquery
      ? nodesIn(subquery, 'targetList').filter(t => t.fields.resjunk !== 'true').length
      : nodesIn(query, 'targetList').length;
    return table.columns.slice(0, width);
  }
  return cols.map(col => {
    const column = table.columns.find(c => c.name === text(fieldsOf(col), 'name'));
    if (!column || list(fieldsOf(col), 'indirection').length > 0) throw cause;
    return column;
  });
}

/** With whether a cast to it could cut: a domain over a type with a length. */
const typeNames = physical(
  `WITH RECURSIVE base (i, oid, base, cuts) AS (
     SELECT u.i, u.oid, t.typbasetype, t.typtype = 'd' AND t.typtypmod >= 0
       FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS u (oid, i) JOIN pg_catalog.pg_type t ON t.oid = u.oid
     UNION ALL
     SELECT b.i, b.oid, t.typbasetype, t.typtype = 'd' AND t.typtypmod >= 0
       FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.base WHERE b.base <> 0)
   SELECT pg_catalog.format_type(oid, NULL), pg_catalog.bool_or(cuts) FROM base GROUP BY i, oid ORDER BY i`,
  [1028],
);

/** The columns' types without their modifiers: what does not fit is refused when it is stored, and never cut. */
export async function castNames(
  columns: readonly { readonly name: string; readonly type: Pick<LogicalColumn['type'], 'oid'> }[],
  session: SessionPort,
): Promise<readonly string[]> {
  const oids = Buffer.from(`{${columns.map(c => c.type.oid).join()}}`);
  const rows = await collect(session.trusted, typeNames, [oids], [0], [0]);
  return rows.map(([name, cuts], i) => {
    const { type, name: column } = columns[i]!;
    const { oid } = type;
    if (Buffer.from(cuts ?? []).toString() === 't')
      throw new ClarusError(
        '0A000',
        `a computed value for column "${column}" of a domain over a type with a length is not answered`,
        { hint: 'Give the value as a constant or parameter.' },
      );
    return quotedType(oid, Buffer.from(name ?? []).toString());
  });
}

const arraysQuery = physical(
  `SELECT t.typarray FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS u (oid, i)
     JOIN pg_catalog.pg_type t ON t.oid = u.oid ORDER BY u.i`,
  [1028],
);

/** Array types of types, by OID; 0: it has none. */
export async function arrayTypesOf(
  types: readonly number[],
  session: SessionPort,
): Promise<readonly number[]> {
  const rows = await collect(session.trusted, arraysQuery, [Buffer.from(`{${types.join()}}`)], [0], [0]);
  return rows.map(([oid]) => Number(Buffer.from(oid ?? []).toString()));
}

/** Literals and parameters of the select list take the type of their column, as they do in the INSERT itself. */
export function typedLiterals(select: RawFields, casts: readonly string[]): RawFields {
  const targets = list(select, 'targetList');
  if (list(select, 'valuesLists').length > 0 || select.larg || targets.length !== casts.length) return select;
  return {
    ...select,
    targetList: targets.map((target, i) => {
      const value = child(fieldsOf(target), 'val');
      const isLiteral =
        value !== undefined &&
        (kindOf(value) === 'ParamRef' || (value.A_Const !== undefined && value.A_Const.sval !== undefined));
      return isLiteral ? { ResTarget: { ...fieldsOf(target), val: castOf(value, casts[i]!) } } : target;
    }),
  };
}

/** A value as it is assigned to a column: what is too long is an error, and not cut. @param cast of `castNames` */
export const assignedTo = (value: RawNode, cast: string, { type }: LogicalColumn): RawNode =>
  parseExpression(assignment(deparseExpression(castOf(value, cast)), type));

/** `arg::type`, with any type. */
export const castOf = (arg: RawNode, type: string): RawNode => {
  const cast = parseExpression(`NULL::${type}`).TypeCast!;
  return { TypeCast: { ...cast, arg } };
};
