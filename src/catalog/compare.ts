/** What stands in a cloud, held against the catalogue and the shadow schema: what was made or changed past Clarus. */
import { encodingNamed } from '../encodings/registry.js';
import { isFilled, type LogicalTable, ROW_COLUMN, storedWith } from './catalog.js';
import type { DatabaseDescription, DescribedObject, DescribedTable } from './description.js';
import type { Encodings } from './encodings-for.js';
import { nameInCloud } from './opaque.js';

/** A table of the catalogue with what its cloud holds under its name. */
export interface TableInCloud {
  readonly table: LogicalTable;
  readonly described: DescribedTable;
}

/** Where cloud and catalogue differ. A table is in at most one of the lists of tables. */
export interface Comparison {
  /** in the cloud, unknown to the catalogue */
  readonly unknown: readonly DescribedTable[];
  /** unprotected tables that look otherwise in the cloud than in the shadow */
  readonly changed: readonly TableInCloud[];
  /** in the catalogue, not in the cloud */
  readonly missing: readonly LogicalTable[];
  /** protected tables whose physical form lacks something that answers depend on */
  readonly damaged: readonly { readonly table: LogicalTable; readonly reason: string }[];
  /** protected tables withheld for such a reason that are whole again */
  readonly mended: readonly LogicalTable[];
  /** objects that are no tables and that the shadow lacks */
  readonly objects: readonly DescribedObject[];
}

/**
 * Compares. Pure.
 * @param tables the catalogue's, of this cloud
 */
export function compareWithCloud(
  cloud: DatabaseDescription,
  shadow: DatabaseDescription,
  tables: Iterable<LogicalTable>,
  registry: Encodings,
): Comparison {
  const inCloud = new Map(cloud.tables.map(table => [keyOf(table.schema, table.name), table]));
  const inShadow = new Map(shadow.tables.map(table => [table.oid, table]));
  const known = new Set<string>();
  const changed: TableInCloud[] = [];
  const missing: LogicalTable[] = [];
  const damaged: { table: LogicalTable; reason: string }[] = [];
  const mended: LogicalTable[] = [];
  for (const table of tables) {
    const key = keyOf(table.physical.schema, table.physical.name);
    known.add(key);
    const described = inCloud.get(key);
    const encoded = isEncoded(table);
    const reason = encoded ? damage(table, described, registry) : undefined;
    if (reason !== undefined) damaged.push({ table, reason });
    else if (encoded && table.state === 'blocked') mended.push(table);
    else if (!encoded && !described) missing.push(table);
    else if (!encoded && described && !sameShape(described, cloud, inShadow.get(table.oid), shadow))
      changed.push({ table, described });
  }
  const inShadowAlready = new Set(shadow.objects.map(({ kind, identity }) => `${kind} ${identity}`));
  return {
    unknown: cloud.tables.filter(table => !known.has(keyOf(table.schema, table.name))),
    changed,
    missing,
    damaged,
    mended,
    objects: cloud.objects.filter(({ kind, identity }) => !inShadowAlready.has(`${kind} ${identity}`)),
  };
}

const keyOf = (schema: string, name: string): string => JSON.stringify([schema, name]);

/** Has the table a protected form in its cloud, served or not? */
export const isEncoded = (table: LogicalTable): boolean =>
  isFilled(table) || table.columns.some(column => column.protection !== undefined);

/** What a protected table lacks: a column, or a constraint without which answers could be wrong. */
function damage(
  table: LogicalTable,
  described: DescribedTable | undefined,
  registry: Encodings,
): string | undefined {
  if (!described) return 'its physical table is not in the cloud any more';
  const columns = new Set(described.columns.map(column => column.name));
  const expected = [ROW_COLUMN];
  for (const column of storedWith(table)) {
    if (!column.protection) expected.push(column.name);
    for (const { kind, encoded } of column.protection?.encodings ?? [])
      for (const spec of encodingNamed(registry, kind).relations(encoded))
        if (spec.kind === 'column') expected.push(encoded.columns[spec.role]!);
  }
  const named = (name: string): string => nameInCloud(table, name);
  const lost = expected.filter(name => !columns.has(named(name)));
  if (lost.length > 0) return `its physical table lacks the column ${lost.join(', ')}`;
  const names = new Set([...described.constraints, ...described.indexes].map(({ name }) => name));
  const keys = [...table.keys, ...(table.checks ?? []), ...(table.computedKeys ?? [])]
    .map(({ name }) => name)
    .filter(name => !names.has(named(name)));
  if (keys.length > 0) return `its physical table lacks the constraint ${keys.join(', ')}`;
  return undefined;
}

/** Compares what decides answers; texts of expressions differ between versions of PostgreSQL and do not count. */
function sameShape(
  a: DescribedTable,
  databaseA: DatabaseDescription,
  b: DescribedTable | undefined,
  databaseB: DatabaseDescription,
): boolean {
  return b !== undefined && shape(a, databaseA) === shape(b, databaseB);
}

function shape(table: DescribedTable, { tables }: DatabaseDescription): string {
  const named = (of: DescribedTable | undefined, attnums: readonly number[]): readonly string[] =>
    attnums.map(attnum => of?.columns.find(column => column.attnum === attnum)?.name ?? '');
  const byName = (a: readonly unknown[], b: readonly unknown[]): number => (`${a[0]}` < `${b[0]}` ? -1 : 1);
  const columns = table.columns.map(c => [
    c.name,
    c.typeName,
    c.notNull,
    c.generated,
    c.identity,
    c.default !== null,
  ]);
  const keys = table.constraints
    .filter(({ kind }) => 'puf'.includes(kind))
    .map(({ name, kind, columns, references, onDelete, onUpdate }) => {
      const referenced = tables.find(({ oid }) => oid === references?.table);
      const to = references && [
        referenced?.schema,
        referenced?.name,
        ...named(referenced, references.columns),
      ];
      return [name, kind, named(table, columns), to, onDelete, onUpdate];
    });
  const unique = table.indexes
    .filter(index => index.unique && index.constraint === 0)
    .map(({ name, columns }) => [name, named(table, columns)]);
  return JSON.stringify([columns.sort(byName), keys.sort(byName), unique.sort(byName)]);
}
