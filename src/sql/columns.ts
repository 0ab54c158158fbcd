/** Which columns an analysed expression means, in the words of the catalogue. */
import type { Catalog, LogicalColumn, LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import type { SourcePosition } from '../policy/policy.js';
import { typeOids } from '../wire/types.js';
import { flag, isNode, type Node, nodesIn, numberIn, type Value } from './analysed/node.js';
import { type BaseColumn, columnsRead, entry, meaningOf, type Scope } from './analysed/query.js';
import { typeOf } from './analysed/types.js';

/** The shadow has committed a change that the catalogue of this worker does not show yet: plan again when it does. */
export class CatalogueBehind extends ClarusError {
  /** @param what is not there yet, or not any more */
  constructor(what: string) {
    super('40001', 'the schema changes while the statement is planned', { detail: what, hint: 'Try again.' });
  }
}

/** A protected column at a place in a query. */
export interface ColumnUse {
  readonly table: LogicalTable;
  readonly column: LogicalColumn;
  readonly varno: number;
  readonly scope: Scope;
}

/** The protected columns that an expression reads; a whole row reads all of a table's. */
export function protectedColumns(value: Value | undefined, scope: Scope, catalog: Catalog): ColumnUse[] {
  return columnsRead(value, scope).flatMap(base => usesOf(base, catalog));
}

function usesOf(base: BaseColumn, catalog: Catalog): ColumnUse[] {
  const table = catalog.tables.get(base.relid);
  if (table?.state !== 'protected') return [];
  const use = (column: LogicalColumn): ColumnUse => ({ table, column, varno: base.varno, scope: base.scope });
  if (base.attnum === 0) return table.columns.filter(c => c.protection).map(use);
  const column = table.columns.find(c => c.attnum === base.attnum);
  if (base.attnum > 0 && !column)
    throw new CatalogueBehind(`the catalogue lacks column ${base.attnum} of a protected table`);
  return column?.protection ? [use(column)] : [];
}

/** True where an expression reads a whole row or a system column (other than ctid, xmin, xmax) of a protected table. */
export function readsWholeRow(value: Value | undefined, scope: Scope, catalog: Catalog): boolean {
  return columnsRead(value, scope).some(
    base =>
      catalog.tables.get(base.relid)?.state === 'protected' && (base.attnum === 0 || base.attnum === -6),
  );
}

/** Widening casts that keep equality: source type -> target types. */
const widening: ReadonlyMap<number, readonly number[]> = new Map([
  [typeOids.int2, [typeOids.int4, typeOids.int8, typeOids.numeric]],
  [typeOids.int4, [typeOids.int8, typeOids.numeric]],
  [typeOids.int8, [typeOids.numeric]],
  [typeOids.float4, [typeOids.float8]],
  [typeOids.varchar, [typeOids.text]],
  [typeOids.name, [typeOids.text]],
  [typeOids.bpchar, [typeOids.text]],
]);

/**
 * The protected column that an expression is, seen through casts that do not change what it equals; undefined
 * for anything else.
 */
export function asColumn(value: Value | undefined, scope: Scope, catalog: Catalog): ColumnUse | undefined {
  if (!isNode(value)) return undefined;
  if (value.kind === 'VAR') {
    const meaning = meaningOf(value, scope);
    if (meaning.kind === 'expression') return asColumn(meaning.value, meaning.scope, catalog);
    if (meaning.kind !== 'base' || meaning.column.attnum <= 0) return undefined;
    return usesOf(meaning.column, catalog)[0];
  }
  if (value.kind === 'RELABELTYPE' && numberIn(value, 'resulttypmod') === -1)
    return (
      widened(value.fields.arg, typeOf(value), scope, catalog) ??
      ofBase(value.fields.arg, value, scope, catalog)
    );
  if (value.kind === 'FUNCEXPR' && !flag(value, 'funcretset')) {
    const args = nodesIn(value, 'args');
    // funcformat: 1 explicit cast, 2 implicit cast (CoercionForm)
    if (args.length === 1 && ['1', '2'].includes(String(value.fields.funcformat)))
      return widened(args[0], typeOf(value), scope, catalog);
  }
  return undefined;
}

/** A column of a domain as a value of its base (coerce_type of parse_coerce.c). */
function ofBase(
  arg: Value | undefined,
  relabelled: Node,
  scope: Scope,
  catalog: Catalog,
): ColumnUse | undefined {
  const use = asColumn(arg, scope, catalog);
  if (!use || typeOf(arg) !== use.column.type.oid) return undefined;
  const { forms } = use.column.type;
  const to = typeOf(relabelled);
  if (forms === undefined || to === undefined) return undefined;
  return forms === to || widening.get(forms)?.includes(to) ? use : undefined;
}

function widened(
  arg: Value | undefined,
  to: number | undefined,
  scope: Scope,
  catalog: Catalog,
): ColumnUse | undefined {
  const from = typeOf(arg);
  if (from === undefined || to === undefined) return undefined;
  if (from !== to && !widening.get(from)?.includes(to)) return undefined;
  return asColumn(arg, scope, catalog);
}

/** Name of a range table entry as the statement spells it. */
export const aliasOf = (scope: Scope, varno: number): string => {
  const eref = entry(scope, varno).fields.eref;
  return isNode(eref) ? String(eref.fields.aliasname) : '';
};

/**
 * The refusal of something that no encoding answers: 0A000 with the reason, the policy line and a hint.
 * @param doing what the statement does with the column, e.g. `a comparison by "<"`
 */
export function refuse(
  doing: string,
  { table, column }: Pick<ColumnUse, 'table' | 'column'>,
  hint?: string,
): ClarusError {
  const { queries, position } = column.policy;
  return new ClarusError(
    '0A000',
    `${doing} needs protected column "${column.name}", and no encoding of it answers that`,
    {
      detail: `Policy: ${table.schema}.${table.name}.${column.name}: encrypt${queries.length ? `, queries ${queries.join(', ')}` : ', no queries'}${placeOf(position)}.`,
      hint: hint ?? `${waitingFor(column)}${COMPUTE_YOURSELF}`,
      schema: table.schema,
      table: table.name,
      column: column.name,
    },
  );
}

/** What an application can do about a statement that is refused. */
export const COMPUTE_YOURSELF = 'Select the column itself and compute in the application.';

/** Granting another kind would not help: none that has an encoding answers this. */
const waitingFor = ({ protection }: ColumnUse['column']): string =>
  protection?.waiting.length
    ? `${protection.waiting.join(', ')} waits for an encoding of a later version. `
    : 'No query kind of this version answers it. ';

const placeOf = (position: SourcePosition | undefined): string =>
  position ? ` (${position.file.split('/').pop()}:${position.line}:${position.column})` : '';
