/** What the ways of COPY into protected tables have in common. */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import type { EncodingRegistry } from '../../encodings/registry.js';
import { ClarusError } from '../../errors.js';
import type { GeneratedColumns, RowCondition, TableChecks } from '../checks/table-checks.js';
import type { Compilation } from '../compilation.js';
import type { Defaults } from '../defaults.js';
import type { CopyFilling, CopyLeaf, WrittenColumn } from '../execute/bodies.js';
import type { CopyOptions } from '../execute/copy-out.js';
import type { FunctionHomes } from '../functions.js';
import type { Plan, Shape } from '../plan.js';
import type { Analysis, SessionPort } from '../ports.js';
import { columnRef, type RawNode, target } from '../raw/node.js';
import type { Touch } from '../touch.js';
import { formsIn } from '../write/forms.js';
import { fillingOf } from './markers.js';

/** What COPY needs of planning. */
export interface CopyPlanning {
  plan(query: RawNode): Promise<Plan>;
  /** plans a statement with parameters */
  planWith(sql: string, parameterTypes: readonly number[]): Promise<Plan>;
  touch(query: RawNode): Promise<{ analysis: Analysis; touch: Touch }>;
  compilation(analysis: Analysis): Promise<Compilation>;
  defaults(table: LogicalTable): Promise<Defaults>;
  checks(table: LogicalTable): Promise<TableChecks | undefined>;
  generated(table: LogicalTable): Promise<GeneratedColumns | undefined>;
  /** bounds of a partition, as a check */
  bounds(table: LogicalTable): Promise<TableChecks>;
  readonly homes: FunctionHomes;
}

/** The shape of a statement without parameters and rows. */
export const noRows: Shape = { parameterTypes: [], columns: undefined };

/** `SELECT names FROM table`, so that the trusted PostgreSQL resolves them; all columns where there are none. */
export function selectOf(fields: RawNode[string], names: readonly string[]): RawNode {
  return {
    SelectStmt: {
      targetList: names.length
        ? names.map(name => target(columnRef(name)))
        : [target({ ColumnRef: { fields: [{ A_Star: {} }] } })],
      fromClause: [{ RangeVar: fields.relation as RawNode[string] }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  };
}

/** A COPY FROM into a protected table, as far as it is understood. */
export interface CopyIn {
  /** of the CopyStmt */
  readonly fields: RawNode[string];
  readonly table: LogicalTable;
  /** of the data */
  readonly columns: readonly LogicalColumn[];
  readonly options: CopyOptions;
  readonly where: RowCondition | undefined;
}

/**
 * The unprotected columns that WHERE reads and the data lack, with what they get here.
 * @throws ClarusError 0A000 where only the cloud can compute a default
 */
export async function filledForWhere(
  { table, columns, where }: CopyIn,
  defaults: Defaults,
  homes: FunctionHomes,
  session: SessionPort,
): Promise<readonly Extract<CopyFilling, { kind: 'default' }>[]> {
  const filled: Extract<CopyFilling, { kind: 'default' }>[] = [];
  for (const column of where?.columns ?? []) {
    const found = defaults.get(column.attnum);
    if (!found || column.protection || columns.includes(column)) continue;
    const filling = await fillingOf(table, column, found, homes, session);
    if (filling?.kind !== 'default')
      throw lacking(column, 'WHERE reads it, and the cloud computes its default.');
    filled.push(filling);
  }
  return filled;
}

const lacking = (column: LogicalColumn, detail: string): ClarusError =>
  new ClarusError('0A000', `COPY without the column "${column.name}" is not supported`, {
    detail,
    hint: 'Name the column in the COPY, with its values.',
    column: column.name,
  });

/** The cloud's COPY of columns into a table: the row id, the unprotected ones, then the physical ones by operand. */
export function copyInto(
  table: LogicalTable,
  columns: readonly LogicalColumn[],
  registry: EncodingRegistry,
  { freeze }: Pick<CopyOptions, 'freeze'>,
): Omit<CopyLeaf, 'generated'> {
  const formsOf = formsIn(registry, 0);
  const written = columns
    .filter(c => c.protection)
    .map((column): WrittenColumn => ({ column, sources: [], forms: formsOf(column) }));
  const open = columns.filter(c => !c.protection).map(c => c.name);
  const physical = [
    ROW_COLUMN,
    ...open,
    ...written.flatMap(w =>
      w.forms.flatMap(f => Object.keys(f.operands).map(role => f.encoded.columns[role]!)),
    ),
  ];
  const { schema, name } = table.physical;
  const sql = `COPY ${quoteQualified(schema, name)} (${physical.map(quoteName).join(', ')}) FROM STDIN (FORMAT binary${freeze ? ', FREEZE' : ''})`;
  return { table, written, open, sql };
}

/**
 * @param readers says what reads a column, by the name of the check
 * @throws ClarusError 0A000 where a check reads what the cloud fills in
 */
export function refuseDefaultInChecks(
  checks: TableChecks | undefined,
  columns: readonly LogicalColumn[],
  defaults: Defaults,
  readers: (check: string) => string,
): void {
  const read = (checks?.checks ?? []).map(check => ({ reader: readers(check.name), columns: check.columns }));
  refuseDefaultRead(read, columns, defaults);
}

/**
 * @param readers what reads columns, in words
 * @throws ClarusError 0A000 where one reads what the cloud fills in
 */
export function refuseDefaultRead(
  readers: readonly { readonly reader: string; readonly columns: readonly LogicalColumn[] }[],
  columns: readonly LogicalColumn[],
  defaults: Defaults,
): void {
  for (const { reader, columns: read } of readers)
    for (const column of read)
      if (!column.protection && !columns.includes(column) && defaults.has(column.attnum))
        throw lacking(column, `${reader} it beside protected columns, and the cloud computes its default.`);
}

/** @throws ClarusError 0A000 where a generated column reads what the cloud fills in */
export const refuseDefaultInGenerated = (
  generated: GeneratedColumns | undefined,
  columns: readonly LogicalColumn[],
  defaults: Defaults,
): void =>
  refuseDefaultRead(
    (generated?.expressions ?? []).map(({ column, columns: read }) => ({
      reader: generated!.table.columns.includes(column)
        ? `The expression of the generated column "${column.name}" reads`
        : 'A unique index with an expression or a predicate reads',
      columns: read,
    })),
    columns,
    defaults,
  );

/** A CHECK constraint that reads a column. */
export const checkReads = (name: string): string => `Check constraint "${name}" reads`;
