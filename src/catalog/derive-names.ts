/** What tables are called in a cloud: by their own names, or by those that stand for them (opaque.ts). */
import type { Policy } from '../policy/policy.js';
import type { LogicalTable } from './catalog.js';
import type { DescribedTable } from './description.js';
import { nameInCloud, namesInUse, opaqueNameIn, opaqueNames } from './opaque.js';
import { boundedName } from './quote.js';

/** What the names of a table depend on. */
export interface NamingInput {
  readonly policy: Policy;
  /** gives numbers that stand in no other name */
  readonly numbers: { generation(): Promise<number> };
  /** all tables of the catalogue */
  readonly tables: ReadonlyMap<number, LogicalTable>;
  /** the table as it stood before */
  readonly previous: LogicalTable | undefined;
}

/** What a table is called in a cloud that is shown its name. */
export const shownName = (table: LogicalTable): string => physicalName(table, table.number, table);

/** A protected table with the names that the policy wants its cloud to see. */
export async function named(
  shown: LogicalTable,
  described: DescribedTable,
  { policy, numbers, tables, previous }: NamingInput,
): Promise<LogicalTable> {
  if (policy.names !== 'hidden') return shown;
  const all = [...(previous ? [previous] : []), ...tables.values()];
  const known = (name: string): string | undefined => opaqueNameIn(all, name);
  const opaque = await opaqueNames(described, shown, known, () => numbers.generation(), namesInUse(all));
  const name = nameInCloud({ opaque }, shown.name);
  const physical = physicalName({ name }, shown.number, shown);
  return { ...shown, physical: { schema: shown.schema, name: physical }, opaque };
}

/**
 * A materialised view that cannot be read does not stand under its name: a statement that was planned while it could finds
 * nothing, instead of no rows.
 */
export const physicalName = (
  { name }: Pick<DescribedTable, 'name'>,
  number: number,
  { materialised }: Pick<LogicalTable, 'materialised'>,
): string => (materialised === 'unpopulated' ? boundedName(name, `_unpopulated${number}`) : name);

/** What is hidden stays so while it is withheld; renamed it is shown until it is served again. */
export const namesOfBlocked = (
  { schema, name }: DescribedTable,
  previous: LogicalTable | undefined,
  shown: string,
): Pick<LogicalTable, 'physical' | 'opaque'> =>
  previous?.opaque && previous.name === name
    ? { physical: { schema, name: previous.physical.name }, opaque: previous.opaque }
    : { physical: { schema, name: shown } };
