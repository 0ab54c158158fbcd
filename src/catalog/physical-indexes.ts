/** Indexes of a physical table: on the row id, on tags, and those the application declared where they can stand. */
import { encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import type { ComputedKey, LogicalTable } from './catalog.js';
import type { DescribedIndex, DescribedTable } from './description.js';
import type { Encodings } from './encodings-for.js';
import { keyColumnName, tagNames } from './physical-keys.js';
import { type PhysicalIndex, rowIndexName } from './physical-parts.js';
import { boundedName, quoteName, quoteQualified } from './quote.js';

/**
 * The indexes that the cloud holds: the declared ones that have a physical form and, for a protected table, the unique
 * one on the row id and one on each tag that no declared key or index leads with.
 * @param described the table as the shadow schema has it
 */
export function physicalIndexes(
  described: DescribedTable,
  table: LogicalTable,
  registry: Encodings,
): readonly PhysicalIndex[] {
  const target = quoteQualified(table.physical.schema, table.physical.name);
  const declared = described.indexes.flatMap(index => {
    if (index.inherited && table.state !== 'protected') return [];
    const definition = declaredIndex(index, table, target);
    return definition === undefined
      ? []
      : [
          {
            key: ['index', index.oid, ...standsOn(index, table)].join(':'),
            name: index.name,
            definition,
          },
        ];
  });
  if (table.state !== 'protected') return declared;
  const rowIndex = {
    key: 'row',
    name: rowIndexName(table.number),
    definition: `CREATE UNIQUE INDEX ${quoteName(rowIndexName(table.number))} ON ${target} (clarus_row)`,
  };
  return [rowIndex, ...tagIndexes(described, table, registry, target), ...declared];
}

/** Tags that no declared key or index leads with get an index of their own. */
function tagIndexes(
  described: DescribedTable,
  table: LogicalTable,
  registry: Encodings,
  target: string,
): readonly PhysicalIndex[] {
  const leading = new Set([
    ...described.constraints.filter(c => c.kind === 'p' || c.kind === 'u').map(c => c.columns[0]),
    ...described.indexes.filter(i => canStand(i, table)).map(i => i.columns[0]),
  ]);
  return table.columns.flatMap(column =>
    (column.protection?.encodings ?? []).flatMap(({ kind, encoded }) =>
      encodingNamed(registry, kind)
        .relations(encoded)
        .flatMap(spec => {
          if (spec.kind !== 'column' || !spec.indexed) return [];
          const physical = encoded.columns[spec.role]!;
          if (leading.has(column.attnum) && keyColumnName(column) === physical) return [];
          const name = boundedName(physical, '_index');
          return [
            {
              key: `${column.number}:${kind}${encoded.generation}:${spec.role}`,
              name,
              // as a declared index on it alone, which takes its place
              definition: `CREATE INDEX ${quoteName(name)} ON ${target} USING btree (${quoteName(physical)})`,
            },
          ];
        }),
    ),
  );
}

const isProtected = (table: LogicalTable, attnum: number): boolean =>
  table.columns.some(column => column.attnum === attnum && column.protection !== undefined);

/** Does an index over a protected column have a physical form? */
function canStand(index: DescribedIndex, table: LogicalTable): boolean {
  // the row of the cloud is another one
  if (index.readsRow && table.state === 'protected') return false;
  if (!index.reads.some(attnum => isProtected(table, attnum))) return true;
  if (index.predicate !== null || index.columns.includes(0)) return false;
  if (index.method !== 'btree' && index.method !== 'hash') return false;
  return index.columns.every(attnum => {
    const column = table.columns.find(c => c.attnum === attnum);
    return column !== undefined && keyColumnName(column) !== undefined;
  });
}

/** True when the index stands in the shadow schema only: the cloud has nothing that it could index. */
export const withoutEffect = (index: DescribedIndex, table: LogicalTable): boolean =>
  index.constraint === 0 && !canStand(index, table) && !computedKeyOf(index, table);

const computedKeyOf = ({ name }: DescribedIndex, { computedKeys }: LogicalTable): ComputedKey | undefined =>
  computedKeys?.find(key => key.name === name);

/** The tags that an index stands on: where they are others than before, it is made anew. */
function standsOn(index: DescribedIndex, table: LogicalTable): readonly string[] {
  const computed = computedKeyOf(index, table);
  return computed ? ['computed', ...computedNames(computed, table)] : tagNames(table, index.columns);
}

/** Names of the columns of the cloud that it stands on. */
const computedNames = ({ keys }: ComputedKey, table: LogicalTable): readonly string[] =>
  keys.map(key => keyColumnName(typeof key === 'number' ? table.columns.find(c => c.number === key)! : key)!);

/** The index over the tags of what is computed, and over unprotected columns. */
function computedIndex(
  index: DescribedIndex,
  computed: ComputedKey,
  table: LogicalTable,
  target: string,
): string {
  const names = computedNames(computed, table).map(quoteName);
  const nulls = index.nullsNotDistinct ? ' NULLS NOT DISTINCT' : '';
  return `CREATE UNIQUE INDEX ${quoteName(index.name)} ON ${target} USING btree (${names.join(', ')})${nulls}`;
}

function declaredIndex(index: DescribedIndex, table: LogicalTable, target: string): string | undefined {
  const computed = computedKeyOf(index, table);
  if (computed) return computedIndex(index, computed, table, target);
  if (index.constraint !== 0 || !canStand(index, table)) return undefined;
  if (!index.reads.some(attnum => isProtected(table, attnum)))
    return table.physical.name === table.name ? index.definition : onTarget(index, target);
  const names = index.columns.map(attnum =>
    quoteName(keyColumnName(table.columns.find(c => c.attnum === attnum)!)!),
  );
  const unique = index.unique ? 'UNIQUE ' : '';
  const nulls = index.nullsNotDistinct ? ' NULLS NOT DISTINCT' : '';
  return `CREATE ${unique}INDEX ${quoteName(index.name)} ON ${target} USING ${index.method} (${names.join(', ')})${nulls}`;
}

const name = '(?:"(?:[^"]|"")*"|[^ ".]+)';
const named = new RegExp(`^(CREATE (?:UNIQUE )?INDEX ${name} ON (?:ONLY )?)${name}\\.${name}(?= USING )`);

/** The definition on a table of another name. */
function onTarget({ definition, name: index }: DescribedIndex, target: string): string {
  const [whole, before] = named.exec(definition) ?? [];
  if (whole === undefined)
    throw new ClarusError('XX000', `the definition of index "${index}" is not understood`);
  return `${before}${target}${definition.slice(whole.length)}`;
}
