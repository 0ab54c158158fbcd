/** The hidden names of a catalogue: what stands for which, both ways (catalog/opaque.ts). */
import type { LogicalTable } from '../../catalog/catalog.js';
import { nameInCloud } from '../../catalog/opaque.js';
import { quoteQualified } from '../../catalog/quote.js';

/** A relation whose name is hidden. */
export interface HiddenRelation {
  readonly schema: string;
  /** as the application knows it, and as the cloud does */
  readonly own: string;
  readonly opaque: string;
  readonly kind: 'table' | 'sequence';
}

/** All names that some table of the catalogue hides. */
export interface HiddenNames {
  /** opaque names by the names that they stand for */
  readonly opaque: ReadonlyMap<string, string>;
  /** names by the opaque ones that stand for them */
  readonly own: ReadonlyMap<string, string>;
  /** columns of the application that they stand for, or forms of which they are: by opaque names */
  readonly columns: ReadonlyMap<string, string>;
  /** by either name, under `relationKey` */
  readonly relations: ReadonlyMap<string, HiddenRelation>;
  /** what may be an index, as constraints are that have one: opaque names under `relationKey` of the name */
  readonly indexes: ReadonlyMap<string, string>;
  /** columns of the open tables of the catalogue, under `relationKey` */
  readonly open: ReadonlyMap<string, readonly string[]>;
}

/** A relation's place in `HiddenNames.relations`. */
export const relationKey = (schema: string, name: string): string => JSON.stringify([schema, name]);

type Tables = ReadonlyMap<number, LogicalTable>;

const known = new WeakMap<Tables, HiddenNames | false>();

/**
 * The hidden names of a catalogue.
 * @param tables those of a snapshot of the catalogue
 * @returns undefined where nothing is hidden
 */
export function hiddenNames(tables: Tables): HiddenNames | undefined {
  let found = known.get(tables);
  if (found === undefined) {
    found = hiddenNamesOf(tables.values()) ?? false;
    known.set(tables, found);
  }
  return found || undefined;
}

/** As `hiddenNames`, of any tables; of two that tell of one relation the later one counts. */
export function hiddenNamesOf(tables: Iterable<LogicalTable>): HiddenNames | undefined {
  const all = [...tables];
  if (all.every(({ opaque }) => opaque === undefined)) return undefined;
  const opaque = new Map<string, string>();
  const own = new Map<string, string>();
  const columns = new Map<string, string>();
  const relations = new Map<string, HiddenRelation>();
  const indexes = new Map<string, string>();
  const open = new Map<string, readonly string[]>();
  for (const table of all) {
    if (!table.opaque) {
      open.set(
        relationKey(table.physical.schema, table.physical.name),
        table.columns.map(({ name }) => name),
      );
      continue;
    }
    const { names, sequences } = table.opaque;
    for (const [name, hidden] of Object.entries(names)) {
      opaque.set(name, hidden);
      own.set(hidden, name);
    }
    for (const { name, protection } of table.columns)
      for (const form of protection?.encodings.flatMap(e => Object.values(e.encoded.columns)) ?? [name])
        columns.set(nameInCloud(table, form), name);
    const others = new Set([
      table.name,
      ...table.columns.map(({ name }) => name),
      ...sequences.map(s => s.name),
    ]);
    for (const [name, hidden] of Object.entries(names))
      if (!others.has(name)) indexes.set(relationKey(table.schema, name), hidden);
    const add = (relation: HiddenRelation): void => {
      for (const name of [relation.own, relation.opaque])
        relations.set(relationKey(relation.schema, name), relation);
    };
    add({ schema: table.schema, own: table.name, opaque: table.physical.name, kind: 'table' });
    for (const { schema, name } of sequences)
      add({ schema, own: name, opaque: nameInCloud(table, name), kind: 'sequence' });
  }
  return { opaque, own, columns, relations, indexes, open };
}

/** What a cloud calls a relation, an index included, where it is told of it by another name. */
export function opaqueRelation(
  { relations, indexes, open }: HiddenNames,
  schema: string,
  name: string,
): string | undefined {
  const key = relationKey(schema, name);
  return relations.get(key)?.opaque ?? (open.has(key) ? undefined : indexes.get(key));
}

/**
 * A table or sequence as its cloud calls it, qualified and quoted.
 * @param schema its schema and name as the application knows them
 */
export function inCloudsWords({ tables }: { readonly tables: Tables }, schema: string, name: string): string {
  const relation = hiddenNames(tables)?.relations.get(relationKey(schema, name));
  return quoteQualified(schema, relation?.opaque ?? name);
}
