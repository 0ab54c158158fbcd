/**
 * What security labels have said of tables that a start cannot change: where the file says of a column what it said
 * before the label, the label stands, because the file did not ask for another protection.
 */
import { listedTable } from '../policy/effective.js';
import { joinName } from '../policy/names.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import type { LogicalTable } from './catalog.js';
import { columnPolicies, sameProtection } from './protection.js';

/** A column whose protection is that of a label, and not what the file says. */
export interface KeptColumn {
  readonly table: LogicalTable;
  readonly column: string;
}

/** The policies that a table keeps, with the columns that a label has changed. */
export interface KeptByLabels {
  /** in the order of the table's columns */
  readonly policies: readonly ColumnPolicy[];
  readonly columns: readonly KeptColumn[];
}

/**
 * @param table a table whose protection may not change by a start
 * @param wanted of its columns, by the file
 * @param filed what the file said when it last took effect; undefined: not known
 * @returns undefined where the file itself asks for a change
 */
export function keptByLabels(
  table: LogicalTable,
  wanted: readonly (ColumnPolicy | undefined)[],
  filed: Policy | undefined,
): KeptByLabels | undefined {
  if (!filed) return undefined;
  const before = columnPolicies(filed, table, table);
  const policies: ColumnPolicy[] = [];
  const columns: KeptColumn[] = [];
  for (const [i, { name, policy: own }] of table.columns.entries()) {
    const [now, then] = [wanted[i], before[i]];
    if (now && sameProtection(now, own)) policies.push({ ...now, name });
    else if (now && then && sameProtection(now, then)) {
      policies.push({ ...own, name });
      columns.push({ table, column: name });
    } else return undefined;
  }
  return { policies, columns };
}

/** A policy that says of a table's columns what `policies` do. */
export function withColumns(
  policy: Policy,
  { schema, name }: Pick<LogicalTable, 'schema' | 'name'>,
  policies: readonly ColumnPolicy[],
): Policy {
  const listed = listedTable(policy, schema, name);
  const others = (listed?.columns ?? []).filter(column => !policies.some(own => own.name === column.name));
  const table = { schema, name, columns: [...policies, ...others], position: listed?.position };
  return {
    ...policy,
    tables: listed ? policy.tables.map(one => (one === listed ? table : one)) : [...policy.tables, table],
  };
}

/** Who said it and when, of the last label on a column or its table. */
export interface LabelOrigin {
  readonly user: string;
  /** YYYY-MM-DD, UTC */
  readonly day: string;
}

/** In words that a label stands, and what to do about it. @param origin undefined: not known */
export function keptInWords({ table, column }: KeptColumn, origin: LabelOrigin | undefined): string {
  const title = joinName([table.schema, table.name, column]);
  const label = origin ? `the security label of ${origin.day} by "${origin.user}"` : 'a security label';
  return `${label} stands: it changed ${title} since the file last did, and a start changes no protection of rows that stand. Take it into the file ("clarus policy export" prints it), or label the column as the file says`;
}
