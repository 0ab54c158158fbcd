/**
 * Errors of the cloud about foreign keys of partitions, and of those that refer to partitioned tables, as PostgreSQL words
 * them: in the cloud each partition has a foreign key of its own, and keys are referred to where they are collected
 * (catalog/key-tables.ts).
 */
import type { Catalog, KeyConstraint, LogicalTable } from '../catalog/catalog.js';
import { wholeKey } from '../catalog/foreign-keys.js';
import { keyTableIn, partitionedAbove } from '../catalog/key-tables.js';
import type { Diagnostic } from '../wire/diagnostic.js';

/** What is told anew; `detail` is undefined where it would show what the cloud holds. */
export interface ToldReference extends Pick<Diagnostic, 'message'> {
  readonly detail?: string;
  readonly schema: string;
  readonly table: string;
  readonly constraint: string;
}

/**
 * @param error of a foreign key (ri_ReportViolation of ri_triggers.c)
 * @param child the table that has it
 * @returns undefined where it is as the cloud tells it
 */
export function ofPartitions(
  { message, detail, where, constraint }: Diagnostic,
  child: LogicalTable,
  catalog: Catalog,
): ToldReference | undefined {
  const own = child.keys.find(({ kind, name }) => kind === 'foreign' && name === constraint);
  const generation = keyTableIn(message) ?? keyTableIn(detail ?? '');
  if (!own || (generation === undefined && !own.inherited)) return undefined;
  const tables = [...catalog.tables.values()];
  const collecting = tables.find(one => one.referredKeys?.some(key => key.generation === generation));
  const isOpen = own.columns.every(n => !child.columns.find(c => c.number === n)!.protection);
  // a row that refers to none is told by its own table, a row that is referred to by that of the whole foreign key
  if (!isOfReferred(message)) {
    if (!collecting) return undefined;
    const told = isOpen ? detail?.replace(nameOfCollected, `"${collecting.name}"`) : undefined;
    return {
      message,
      ...(told === undefined ? {} : { detail: told }),
      schema: child.schema,
      table: child.name,
      constraint: own.name,
    };
  }
  const { table, key } = wholeKey(child, own, partitionedAbove(child, tables));
  const partition = collecting && (partitionIn(where, tables) ?? collecting);
  const part = key.parts?.find(one => one.schema === partition?.schema && one.table === partition.name);
  const name = part?.name ?? key.name;
  const said = withNames(
    message.replace(nameOfCollected, () => `"${partition?.name}"`),
    [
      [child.name, table.name],
      [constraint ?? '', name],
    ],
  );
  const told = isOpen ? detail?.replace(`"${child.name}"`, `"${table.name}"`) : undefined;
  return {
    message: said,
    ...(told === undefined ? {} : { detail: collecting ? withColumns(told, key, collecting) : told }),
    schema: table.schema,
    table: table.name,
    constraint: name,
  };
}

const nameOfCollected = /"clarus_keys_\d+"/;

/** Such a message names two tables and a constraint, and one of a row that refers names one table. */
const isOfReferred = (message: string): boolean => (message.match(/"/g) ?? []).length > 4;

/** A message with other names in the place of some, each of which stands there once: the last that is quoted so. */
function withNames(message: string, names: readonly (readonly [string, string])[]): string {
  const parts = message.split(/("[^"]*")/);
  const places = names.map(([name]) => parts.lastIndexOf(`"${name}"`));
  for (const [i, [, name]] of names.entries()) if (places[i]! >= 0) parts[places[i]!] = `"${name}"`;
  return parts.join('');
}

/** The partition whose triggers the cloud ran: they are named by its number. */
function partitionIn(where: string | undefined, tables: readonly LogicalTable[]): LogicalTable | undefined {
  const number = /\bclarus_keys_\d+_(\d+)\(/.exec(where ?? '')?.[1];
  return tables.find(table => table.number === Number(number));
}

/** A key as the partitioned table names its columns. */
const withColumns = (detail: string, { references }: KeyConstraint, { columns }: LogicalTable): string =>
  detail.replace(
    /\((?:k\d+(?:, k\d+)*)\)=/,
    `(${references!.columns.map(n => columns.find(c => c.number === n)!.name).join(', ')})=`,
  );
