/**
 * Opaque names: what a table whose names are hidden is called in its cloud, and what belongs to it (docs/spec/physical-schema.md,
 * "Hidden names"). One name has one opaque name in all tables of the catalogue, so that a whole statement can be put into
 * them name by name.
 */
import { ClarusError } from '../errors.js';
import { type LogicalTable, type OpaqueNames, storedWith } from './catalog.js';
import type { DescribedTable } from './description.js';
import {
  formSuffixes,
  type PhysicalColumn,
  type PhysicalConstraint,
  type PhysicalIndex,
  type PhysicalTable,
  type Spelling,
} from './physical-parts.js';
import { boundedName } from './quote.js';

/** Names of a catalogue. */
export interface NamesInUse {
  /** is something of the application called so? */
  readonly taken: (name: string) => boolean;
  /** is it the opaque name of something? */
  readonly standsForAnother: (name: string) => boolean;
}

/**
 * Gives a table its opaque names: those that its names have already in the catalogue, and new ones for the others.
 * @param known the opaque name that a name has in any table of the catalogue
 * @param number a number that is never given twice
 * @throws ClarusError 42939 for a name that stands for another one already
 */
export async function opaqueNames(
  described: DescribedTable,
  table: Pick<LogicalTable, 'columns' | 'computedKeys'>,
  known: (name: string) => string | undefined,
  number: () => Promise<number>,
  { taken, standsForAnother }: NamesInUse,
): Promise<OpaqueNames> {
  const { columns } = table;
  const names = new Map<string, string>();
  const give = (name: string, opaque: string): void => {
    names.set(name, known(name) ?? opaque);
  };
  for (const column of storedWith(table))
    for (const { kind, encoded } of column.protection?.encodings ?? [])
      for (const [role, form] of Object.entries(encoded.columns)) {
        const several = Object.keys(encoded.columns).length > 1 ? `_${role}` : '';
        const opaque = `c${column.number}_${kind}${encoded.generation}${several}`;
        give(form, opaque);
        for (const suffix of formSuffixes) give(boundedName(form, suffix), opaque + suffix);
      }
  const sequences = described.columns.flatMap(({ attnum, sequence }) =>
    sequence && !columns.find(column => column.attnum === attnum)?.protection
      ? [{ schema: sequence.schema, name: sequence.name }]
      : [],
  );
  const own = [
    described.name,
    ...columns.flatMap(({ name, protection }) => (protection ? [] : [name])),
    ...described.constraints.map(({ name }) => name),
    ...described.indexes.map(({ name }) => name),
    ...sequences.map(({ name }) => name),
  ];
  for (const name of own) {
    if (names.has(name)) continue;
    if (standsForAnother(name))
      throw new ClarusError('42939', `name "${name}" is reserved for Clarus`, {
        detail: 'It stands for another name, which is hidden.',
        hint: 'Choose another name.',
      });
    let opaque = known(name);
    while (opaque === undefined || (opaque !== known(name) && taken(opaque))) opaque = `n${await number()}`;
    names.set(name, opaque);
  }
  return { names: Object.fromEntries(names), sequences };
}

/** What stands for a name in the cloud, in words of one table: the name itself where it is shown. */
export const nameInCloud = ({ opaque }: Pick<LogicalTable, 'opaque'>, name: string): string =>
  opaque && Object.hasOwn(opaque.names, name) ? opaque.names[name]! : name;

/** The opaque name that a name has in any of the tables, or undefined. */
export function opaqueNameIn(tables: Iterable<LogicalTable>, name: string): string | undefined {
  for (const { opaque } of tables) if (opaque && Object.hasOwn(opaque.names, name)) return opaque.names[name];
  return undefined;
}

/** The names of tables and of what belongs to them. */
export function namesInUse(tables: Iterable<LogicalTable>): NamesInUse {
  const own = new Set<string>();
  const opaque = new Set<string>();
  for (const table of tables) {
    own.add(table.name);
    for (const { name } of table.columns) own.add(name);
    for (const [name, hidden] of Object.entries(table.opaque?.names ?? {})) {
      own.add(name);
      opaque.add(hidden);
    }
  }
  return { taken: name => own.has(name), standsForAnother: name => opaque.has(name) };
}

/** A physical table in the opaque names of its table. */
export function inOpaqueNames(shown: PhysicalTable, opaque: OpaqueNames, spelling: Spelling): PhysicalTable {
  const named = (name: string): string => nameInCloud({ opaque }, name);
  const column = (of: PhysicalColumn): PhysicalColumn => ({
    ...of,
    name: named(of.name),
    default: of.default === undefined ? undefined : spelling.expression(of.default),
    generated: of.generated && {
      ...of.generated,
      expression: spelling.expression(of.generated.expression),
    },
    sequence: of.sequence && { ...of.sequence, name: named(of.sequence.name) },
  });
  const constraint = (of: PhysicalConstraint): PhysicalConstraint => ({
    ...of,
    name: named(of.name),
    definition: spelling.constraint(of.definition),
  });
  const index = (of: PhysicalIndex): PhysicalIndex => ({
    ...of,
    name: named(of.name),
    definition: spelling.index(of.definition),
  });
  return {
    ...shown,
    columns: shown.columns.map(column),
    constraints: shown.constraints.map(constraint),
    indexes: shown.indexes.map(index),
  };
}
