/** Foreign keys whose actions the trusted side runs: those with a protected column, because the cloud cannot reseal. */
import { ClarusError } from '../errors.js';
import type { Catalog, ComputedKey, ForeignKeyActions, KeyConstraint, LogicalTable } from './catalog.js';
import type { DescribedTable } from './description.js';
import { partitionedAbove } from './key-tables.js';

/** A foreign key that refers to a table. */
export interface ReferringKey {
  readonly child: LogicalTable;
  readonly key: KeyConstraint;
  readonly references: NonNullable<KeyConstraint['references']>;
  readonly actions: ForeignKeyActions;
}

/** Does an action change rows? @param action pg_constraint.confdeltype or confupdtype */
export const acts = (action: string): boolean => 'cnd'.includes(action);

const known = new WeakMap<Catalog, Map<number, readonly ReferringKey[]>>();

/** The foreign keys that refer to a table, or to one whose partition it is, and whose actions the trusted side runs. */
export function actionsOn(catalog: Catalog, table: LogicalTable): readonly ReferringKey[] {
  const found = known.get(catalog) ?? referringKeys(catalog.tables.values());
  known.set(catalog, found);
  return referredAs(catalog, table).flatMap(one =>
    (found.get(one.number) ?? []).map(key => ({ ...key, references: referencesOf(key, table, one) })),
  );
}

const knownAs = new WeakMap<Catalog, Map<LogicalTable, readonly LogicalTable[]>>();

/** The tables by which foreign keys refer to rows of a table: itself, and those whose partition it is. */
export function referredAs(catalog: Catalog, table: LogicalTable): readonly LogicalTable[] {
  if (!table.bounds) return [table];
  const tables = knownAs.get(catalog) ?? new Map<LogicalTable, readonly LogicalTable[]>();
  knownAs.set(catalog, tables);
  const found = tables.get(table) ?? [table, ...partitionedAbove(table, catalog.tables.values())];
  tables.set(table, found);
  return found;
}

/** Does a foreign key of one table refer to rows of another? */
export const refersTo = (catalog: Catalog, { keys }: LogicalTable, table: LogicalTable): boolean =>
  keys.some(({ references }) =>
    referredAs(catalog, table).some(({ number }) => number === references?.table),
  );

/** What a foreign key refers to, by the columns of a partition. @param whole the table that it names */
export function referencesOf(
  { references }: Pick<ReferringKey, 'references'>,
  table: LogicalTable,
  whole: LogicalTable,
): ReferringKey['references'] {
  if (table.number === whole.number) return references;
  const columns = references.columns.map(number => {
    const { name } = whole.columns.find(column => column.number === number)!;
    return table.columns.find(column => column.name === name)!.number;
  });
  return { ...references, table: table.number, columns };
}

const knownChildren = new WeakMap<Catalog, ReadonlyMap<number, ReadonlySet<LogicalTable>>>();

/** Tables with a foreign key that refers to a table and has actions, whoever runs them. */
export function childrenOf(catalog: Catalog, table: LogicalTable): Iterable<LogicalTable> {
  let children = knownChildren.get(catalog);
  if (!children) {
    const found = new Map<number, Set<LogicalTable>>();
    for (const child of catalog.tables.values())
      for (const { references, actions } of child.keys)
        if (references && actions)
          found.set(references.table, (found.get(references.table) ?? new Set()).add(child));
    children = found;
    knownChildren.set(catalog, children);
  }
  return referredAs(catalog, table).flatMap(({ number }) => [...(children.get(number) ?? [])]);
}

function referringKeys(tables: Iterable<LogicalTable>): Map<number, readonly ReferringKey[]> {
  const found = new Map<number, ReferringKey[]>();
  for (const child of tables)
    for (const key of child.keys) {
      const { references, actions } = key;
      // the rows of a partitioned table are those of its partitions, which have its keys
      if (!references || !actions || child.partitioned || !actsHere(child, key)) continue;
      const keys = found.get(references.table) ?? [];
      found.set(references.table, [...keys, { child, key, references, actions }]);
    }
  return found;
}

/** Does the trusted side run the actions of a foreign key? */
export const actsHere = (child: LogicalTable, key: KeyConstraint): boolean =>
  key.references?.collected === true || isProtected(child, key.columns);

const isProtected = ({ columns }: LogicalTable, numbers: readonly number[]): boolean =>
  columns.some(({ number, protection }) => protection !== undefined && numbers.includes(number));

/**
 * What the cloud does by itself, because a foreign key has no protected column, must not change what the trusted side
 * would have to act on.
 * @param tables all of the catalogue
 * @throws ClarusError 0A000
 */
export function refuseHiddenActions(tables: readonly LogicalTable[]): void {
  const referring = referringKeys(tables);
  for (const table of tables) {
    if (table.state !== 'protected') continue;
    const others = [table, ...partitionedAbove(table, tables)].flatMap(one =>
      (referring.get(one.number) ?? []).map(key => ({ ...key, references: referencesOf(key, table, one) })),
    );
    for (const { key, references, actions } of others) {
      const computed = table.columns.find(c => c.generatedFrom && references.columns.includes(c.number));
      if (computed && acts(actions.onUpdate))
        throw new ClarusError(
          '0A000',
          `foreign key "${key.name}" has an action on the generated column "${computed.name}"`,
          {
            detail: 'Its new values are known when the row is written.',
            hint: 'Leave ON UPDATE at NO ACTION.',
            constraint: key.name,
          },
        );
    }
    for (const { name, columns, actions, references } of table.keys) {
      if (!actions || isProtected(table, columns) || references?.collected) continue;
      const changed = changedBy(actions, columns);
      const behind =
        (actions.onDelete === 'c' && others.find(other => acts(other.actions.onDelete))?.key.name) ||
        others.find(
          other => acts(other.actions.onUpdate) && other.references.columns.some(n => changed.has(n)),
        )?.key.name ||
        table.checks?.find(check => check.columns.some(n => changed.has(n)))?.name ||
        table.columns.find(column => column.generatedFrom?.some(n => changed.has(n)))?.name ||
        table.computedKeys?.find(({ keys }) => keys.some(key => reads(key).some(n => changed.has(n))))?.name;
      if (behind)
        throw new ClarusError(
          '0A000',
          `an action of foreign key "${name}" of table "${table.name}" would be missed by "${behind}"`,
          {
            detail: `The cloud runs the action, because the key has no protected column; what follows of "${behind}" is for the trusted side.`,
            hint: 'Protect the column of the foreign key, or leave its actions out.',
            table: table.name,
            constraint: name,
          },
        );
    }
  }
}

const reads = (key: ComputedKey['keys'][number]): readonly number[] =>
  typeof key === 'number' ? [key] : (key.generatedFrom ?? []);

/** Numbers of the columns that actions of a foreign key change. */
const changedBy = (
  { onDelete, onUpdate, deleteColumns }: ForeignKeyActions,
  columns: readonly number[],
): ReadonlySet<number> =>
  new Set([...(acts(onUpdate) ? columns : []), ...('nd'.includes(onDelete) ? deleteColumns : [])]);

/** The foreign key of which one of a partition is part. @param above the partitioned tables above it */
export function wholeKey(
  child: LogicalTable,
  own: KeyConstraint,
  above: readonly LogicalTable[],
): { readonly table: LogicalTable; readonly key: KeyConstraint } {
  const names = ({ columns }: LogicalTable, key: KeyConstraint): string =>
    key.columns.map(number => columns.find(column => column.number === number)!.name).join();
  let found = { table: child, key: own };
  for (const table of above) {
    const { key } = found;
    if (!key.inherited) break;
    const same = table.keys.find(
      one =>
        one.references?.table === key.references?.table &&
        one.references?.columns.join() === key.references?.columns.join() &&
        names(table, one) === names(found.table, key),
    );
    if (!same) break;
    found = { table, key: same };
  }
  return found;
}

/**
 * Actions bring rows to other partitions of the outermost table, for which the foreign key must have been declared.
 * @param above the partitioned tables above it
 * @throws ClarusError 0A000
 */
export function refuseMovingActions(
  table: LogicalTable,
  { partition }: DescribedTable,
  above: readonly LogicalTable[],
): void {
  if (!partition || table.partitioned) return;
  for (const key of table.keys) {
    if (!key.actions || !actsHere(table, key)) continue;
    if (wholeKey(table, key, above).table.number === above.at(-1)?.number) continue;
    const changed = changedBy(key.actions, key.columns);
    const moves = table.columns.some(
      ({ number, name, generatedFrom }) =>
        (changed.has(number) || generatedFrom?.some(n => changed.has(n))) && partition.columns.includes(name),
    );
    if (changed.size > 0 && (moves || partition.computed))
      throw new ClarusError(
        '0A000',
        `an action of foreign key "${key.name}" would bring rows of table "${table.name}" to other partitions`,
        {
          detail:
            'It changes columns by which the rows are partitioned, and is not of the outermost partitioned table.',
          hint: 'Declare the foreign key on that, or leave ON UPDATE at NO ACTION, and ON DELETE at NO ACTION or CASCADE.',
          table: table.name,
          constraint: key.name,
        },
      );
  }
}
