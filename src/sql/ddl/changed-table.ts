/** What a statement made of one table, on the logical side. */
import type { LogicalTable } from '../../catalog/catalog.js';
import type { DescribedTable } from '../../catalog/description.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';

/** A table that differs after the statement. */
export interface ChangedTable {
  readonly before: { readonly table: LogicalTable; readonly described: DescribedTable } | undefined;
  readonly after: { readonly table: LogicalTable; readonly described: DescribedTable } | undefined;
}

/** Do queries that were planned before find all that they read? */
export function keepsForms({ before, after }: ChangedTable): boolean {
  const are = new Set(after ? formsOf(after.table) : []);
  return (before ? formsOf(before.table) : []).every(form => are.has(form));
}

const formsOf = ({ physical, columns }: LogicalTable): readonly string[] =>
  columns.flatMap(({ name, protection }) => {
    const forms = protection?.encodings.flatMap(({ encoded }) => Object.values(encoded.columns)) ?? [name];
    return forms.map(form => `${quoteQualified(physical.schema, physical.name)}.${quoteName(form)}`);
  });

/** User-defined types that unprotected columns need. */
export const openTypes = (changed: readonly ChangedTable[]): readonly number[] =>
  changed.flatMap(({ after }) =>
    (after?.described.columns ?? []).flatMap(({ attnum, userType }) =>
      after?.table.columns.find(column => column.attnum === attnum)?.protection ? [] : [userType],
    ),
  );

/** Those that an unprotected column had before, and none of the table has now. */
export const typesLost = (changed: readonly ChangedTable[]): readonly number[] =>
  changed.flatMap(({ before, after }) => {
    const now = openTypes([{ before: undefined, after }]);
    return openTypes([{ before: undefined, after: before }]).filter(type => !now.includes(type));
  });
