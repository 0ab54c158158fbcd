/**
 * Physical columns that the application does not know. PostgreSQL finds a name without a qualifier by all columns in
 * scope, so one of these would be taken for an alias or for a column of a table beside it.
 */
import { type LogicalTable, ROW_COLUMN } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { list, type RawNode, stringOf, visit } from '../raw/node.js';

/** Names of the columns that only the physical tables have. */
export const hiddenNames = (tables: readonly LogicalTable[]): ReadonlySet<string> =>
  new Set([
    ROW_COLUMN,
    ...tables.flatMap(({ columns }) =>
      columns.flatMap(({ protection }) =>
        (protection?.encodings ?? []).flatMap(({ encoded }) => Object.values(encoded.columns)),
      ),
    ),
  ]);

/**
 * @param raw a statement as the client wrote it, whose names the trusted PostgreSQL has found
 * @param tables the protected tables that it uses
 * @throws ClarusError 0A000 for a name without a qualifier that means something else in the cloud
 */
export function refuseHiddenNames(raw: RawNode, tables: readonly LogicalTable[]): void {
  const hidden = hiddenNames(tables);
  visit(raw, (kind, fields) => {
    const names =
      kind === 'ColumnRef' ? list(fields, 'fields') : kind === 'JoinExpr' ? list(fields, 'usingClause') : [];
    if (kind === 'ColumnRef' && names.length > 1) return;
    const found = names.map(stringOf).find(name => hidden.has(name));
    if (found !== undefined) throw refuseHidden(found);
  });
}

/** The refusal of such a name. */
export const refuseHidden = (name: string): ClarusError =>
  new ClarusError(
    '0A000',
    `"${name}" is also the name of a column that Clarus adds to a protected table of the statement`,
    { hint: 'Write the name of its table before it, or choose another alias.' },
  );
