/**
 * What postgres_fdw asks a carrier to write (deparse.c of postgres_fdw): one row that it has computed, or all rows that
 * meet conditions, with expressions that it leaves to the other side. It is never asked to insert.
 */
import { OWN_SCHEMA } from '../../../trusted/own-schema.js';
import {
  child,
  fieldsOf,
  kindOf,
  list,
  type RawFields,
  type RawNode,
  stringOf,
  text,
} from '../../raw/node.js';
import { returningList } from '../../write/returning.js';
import { type Condition, condition, conjuncts, parseCarried } from '../carrier-query.js';

/** A write over one carrier. */
export type CarrierWrite = {
  /** shadow OID of the table */
  readonly table: number;
  /** names of the columns that it asks for */
  readonly returning: readonly string[];
} /** of the row whose ctid is the first parameter; new values are the others */ & (
  | { readonly kind: 'update'; readonly columns: readonly string[] }
  | { readonly kind: 'delete' }
  | {
      readonly kind: 'update-where';
      readonly columns: readonly string[];
      readonly expressions: readonly RawNode[];
      readonly conditions: readonly Condition[];
    }
  | { readonly kind: 'delete-where'; readonly conditions: readonly Condition[] }
);

/** @throws Error for what postgres_fdw does not ask of one table */
export function readCarrierWrite(sql: string): CarrierWrite {
  const raw = parseCarried(sql);
  const fields = fieldsOf(raw);
  const common = {
    table: tableOf(fields),
    returning: returningList(fields).map(target => columnOf(child(fieldsOf(target), 'val'))),
  };
  const where = child(fields, 'whereClause');
  switch (kindOf(raw)) {
    case 'UpdateStmt': {
      if (fields.fromClause !== undefined) break;
      // generated columns are said to be DEFAULT
      const targets = list(fields, 'targetList')
        .map(fieldsOf)
        .filter(target => child(target, 'val')?.SetToDefault === undefined);
      const columns = targets.map(target => text(target, 'name')!);
      if (isByRow(where)) return { ...common, kind: 'update', columns };
      const expressions = targets.map(target => child(target, 'val')!);
      return { ...common, kind: 'update-where', columns, expressions, conditions: conditionsOf(where) };
    }
    case 'DeleteStmt':
      if (fields.usingClause !== undefined) break;
      if (isByRow(where)) return { ...common, kind: 'delete' };
      return { ...common, kind: 'delete-where', conditions: conditionsOf(where) };
  }
  throw new Error('a carrier is asked to write something else than its rows');
}

const conditionsOf = (where: RawNode | undefined): readonly Condition[] =>
  where === undefined ? [] : conjuncts(where).map(condition);

function tableOf(fields: RawFields): number {
  const { schemaname, relname } = (fields.relation ?? {}) as { schemaname?: string; relname?: string };
  if (schemaname !== OWN_SCHEMA || !/^\d+$/.test(relname ?? ''))
    throw new Error('a carrier is asked to write something else than its rows');
  return Number(relname);
}

/** `ctid = $1` */
function isByRow(where: RawNode | undefined): boolean {
  const { lexpr, rexpr } = (where?.A_Expr ?? {}) as { lexpr?: RawNode; rexpr?: RawNode };
  return (
    lexpr?.ColumnRef !== undefined &&
    stringOf(list(lexpr.ColumnRef, 'fields').at(-1)) === 'ctid' &&
    rexpr?.ParamRef?.number === 1
  );
}

function columnOf(value: RawNode | undefined): string {
  const [name, ...more] = value?.ColumnRef ? list(value.ColumnRef, 'fields') : [];
  if (!name?.String || more.length > 0) throw new Error('a carrier is asked for something else than columns');
  return stringOf(name);
}
