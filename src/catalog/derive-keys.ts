/** The keys and checks of a table of the catalogue, from what the shadow schema says of it. */
import { ClarusError } from '../errors.js';
import {
  type KeyConstraint,
  type LogicalTable,
  readsProtected,
  type TrustedCheck,
  type TrustedExclusion,
} from './catalog.js';
import type { DescribedConstraint, DescribedTable } from './description.js';
import { acts } from './foreign-keys.js';

/** attnums on which uniqueness or a foreign key stands. */
export function columnsOfKeys(described: DescribedTable): Set<number> {
  const columns = new Set<number>();
  for (const constraint of described.constraints)
    if ('puf'.includes(constraint.kind)) for (const attnum of constraint.columns) columns.add(attnum);
  for (const index of described.indexes)
    if (index.unique && index.keys === null)
      for (const attnum of index.columns) if (attnum > 0) columns.add(attnum);
  return columns;
}

/**
 * Key constraints by column numbers; unique indexes without predicate and expressions count as such.
 * @throws ClarusError 0A000 for a reference to a table that is not known
 */
export function keysOf(
  described: DescribedTable,
  table: LogicalTable,
  tableOf: (oid: number) => LogicalTable | undefined,
): readonly KeyConstraint[] {
  const keys: KeyConstraint[] = [];
  for (const constraint of described.constraints) {
    const { kind, name, columns, references } = constraint;
    if (kind === 'p' || kind === 'u')
      keys.push({ kind: kind === 'p' ? 'primary' : 'unique', name, columns: numbersOf(table, columns) });
    if (kind !== 'f' || references === null) continue;
    const referenced = tableOf(references.table);
    if (referenced === undefined)
      throw new ClarusError('0A000', `foreign key "${name}" refers to a table that Clarus does not know`, {
        constraint: name,
      });
    keys.push({
      kind: 'foreign',
      name,
      columns: numbersOf(table, columns),
      references: {
        table: referenced.number,
        columns: numbersOf(referenced, references.columns),
        ...(referenced.partitioned && referenced.state === 'protected' ? { collected: true as const } : {}),
      },
      ...actionsOf(constraint, table),
      ...(constraint.inherited ? { inherited: true as const } : {}),
      ...(constraint.parts.length > 0 ? { parts: constraint.parts } : {}),
    });
  }
  for (const index of described.indexes)
    if (index.unique && index.constraint === 0 && index.predicate === null && !index.columns.includes(0))
      keys.push({ kind: 'unique', name: index.name, columns: numbersOf(table, index.columns) });
  return keys;
}

function actionsOf(
  { onDelete, onUpdate, columns, deleteColumns }: DescribedConstraint,
  table: LogicalTable,
): Pick<KeyConstraint, 'actions'> {
  if (!acts(onDelete) && !acts(onUpdate)) return {};
  const set = deleteColumns.length > 0 ? deleteColumns : columns;
  return { actions: { onDelete, onUpdate, deleteColumns: numbersOf(table, set) } };
}

/** Checks that the cloud cannot evaluate, in PostgreSQL's order (CheckConstraintFetch in relcache.c). */
export const checksOf = (described: DescribedTable, table: LogicalTable): readonly TrustedCheck[] =>
  described.constraints
    .filter(({ kind, columns }) => kind === 'c' && readsProtected(table, columns))
    .map(({ name, columns }) => ({ name, columns: numbersOf(table, columns) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));

/** attnums that an EXCLUDE constraint reads, those of its expressions and its predicate included. */
export const readByExclusion = (
  { oid, columns }: DescribedConstraint,
  { indexes }: DescribedTable,
): readonly number[] => indexes.find(({ constraint }) => constraint === oid)?.reads ?? columns;

/** EXCLUDE constraints that the cloud cannot check, in the order in which PostgreSQL checks them: that of their indexes. */
export function exclusionsOf(described: DescribedTable, table: LogicalTable): readonly TrustedExclusion[] {
  const place = ({ oid }: DescribedConstraint): number =>
    described.indexes.find(({ constraint }) => constraint === oid)?.oid ?? 0;
  return described.constraints
    .filter(constraint => constraint.kind === 'x')
    .filter(constraint => readsProtected(table, readByExclusion(constraint, described)))
    .sort((a, b) => place(a) - place(b))
    .map(constraint => ({
      name: constraint.name,
      columns: numbersOf(table, readByExclusion(constraint, described)),
    }));
}

/** Numbers of columns. @param attnums in the shadow schema */
export function numbersOf(table: LogicalTable, attnums: readonly number[]): readonly number[] {
  return attnums.map(attnum => {
    const column = table.columns.find(c => c.attnum === attnum);
    if (!column) throw new ClarusError('XX000', `table "${table.name}" has no column with attnum ${attnum}`);
    return column.number;
  });
}
