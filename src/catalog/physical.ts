/**
 * The physical schema of a table as data (docs/spec/physical-schema.md): what its cloud holds, derived from the
 * description of the logical table and its encodings. Every part has a key that survives renaming, so that two
 * states can be compared (physical-changes.ts).
 */
import type { EncodedColumn, RelationSpec } from '../encodings/encoding.js';
import { encodingNamed } from '../encodings/registry.js';
import { computedColumns, isFilled, type LogicalColumn, type LogicalTable, ROW_COLUMN } from './catalog.js';
import type { DescribedColumn, DescribedTable } from './description.js';
import { exclusionLockOf } from './exclusion-lock.js';
import { physicalCollectors, physicalKeyTables } from './key-tables.js';
import { inOpaqueNames } from './opaque.js';
import { physicalIndexes } from './physical-indexes.js';
import { keyColumnName, physicalKeys } from './physical-keys.js';
import type {
  PhysicalColumn,
  PhysicalConstraint,
  PhysicalContext,
  PhysicalSideTable,
  PhysicalTable,
} from './physical-parts.js';
import { boundedName, quoteName } from './quote.js';

/**
 * Derives the physical table.
 * @throws ClarusError 0A000 for a foreign key between columns of different domains
 */
export function physicalTable(
  described: DescribedTable,
  table: LogicalTable,
  context: PhysicalContext,
): PhysicalTable {
  const { registry } = context;
  const columns: PhysicalColumn[] = [];
  const constraints: PhysicalConstraint[] = [];
  const sideTables: PhysicalSideTable[] = [];
  if (table.state === 'protected') columns.push(rowColumn);
  for (const column of table.columns) {
    const from = described.columns.find(c => c.attnum === column.attnum);
    if (!from) continue;
    if (!column.protection) columns.push(plainColumn(column, from, described.partition !== null));
    for (const { kind, encoded } of column.protection?.encodings ?? []) {
      const specs = encodingNamed(registry, kind).relations(encoded);
      columns.push(...encodedColumns(column, kind, encoded, specs));
      constraints.push(...cellChecks(column, kind, encoded, specs));
      sideTables.push(...sideTablesOf(encoded, specs));
    }
    constraints.push(...nullChecks(column));
  }
  for (const column of computedColumns(table))
    for (const { kind, encoded } of column.protection?.encodings ?? []) {
      const specs = encodingNamed(registry, kind).relations(encoded);
      columns.push(...encodedColumns(column, kind, encoded, specs));
      constraints.push(...cellChecks(column, kind, encoded, specs));
    }
  constraints.push(...boundChecks(described, table));
  const shown: PhysicalTable = {
    schema: table.physical.schema,
    name: table.physical.name,
    relation: isFilled(table) ? 'TABLE' : relationWords[described.kind],
    unlogged: described.persistence === 'u',
    columns,
    // A blocked table is only ever dropped, and keys and indexes go with it.
    constraints:
      table.state === 'blocked' ? [] : [...constraints, ...physicalKeys(described, table, context)],
    indexes: table.state === 'blocked' ? [] : physicalIndexes(described, table, registry),
    sideTables,
    ...(table.exclusions ? { exclusionLock: exclusionLockOf(table) } : {}),
    ...(table.referredKeys ? { keyTables: physicalKeyTables(table, columns, nameInKeys) } : {}),
    ...(table.collectedKeys ? { collectors: physicalCollectors(table, nameInKeys) } : {}),
  };
  return table.opaque ? inOpaqueNames(shown, table.opaque, context.spelling) : shown;
}

const nameInKeys = (column: LogicalColumn): string => keyColumnName(column) ?? '';

const relationWords = { r: 'TABLE', p: 'TABLE', m: 'MATERIALIZED VIEW', f: 'FOREIGN TABLE' } as const;

const rowColumn: PhysicalColumn = {
  key: 'row',
  name: ROW_COLUMN,
  type: 'bigint',
  typeKey: 'bigint',
  notNull: true,
  default: undefined,
  generated: undefined,
  identity: undefined,
  sequence: undefined,
  storage: undefined,
};

/** @param counted the values of an identity column are counted by the table whose partition it is */
function plainColumn(column: LogicalColumn, from: DescribedColumn, counted: boolean): PhysicalColumn {
  const { oid, modifier, collation } = from.type;
  return {
    key: `${column.number}`,
    name: column.name,
    type: from.collation === null ? from.typeName : `${from.typeName} COLLATE ${from.collation}`,
    typeKey: `${oid}:${modifier}:${collation}`,
    notNull: from.notNull,
    default: from.generated === '' ? (from.default ?? undefined) : undefined,
    generated:
      from.generated === ''
        ? undefined
        : { expression: from.default ?? 'NULL', kind: from.generated, said: from.default ?? 'NULL' },
    identity: from.identity === '' || counted ? undefined : from.identity,
    sequence: from.sequence ?? undefined,
    storage: undefined,
  };
}

function encodedColumns(
  column: LogicalColumn,
  kind: string,
  encoded: EncodedColumn,
  specs: readonly RelationSpec[],
): readonly PhysicalColumn[] {
  return specs.flatMap(spec => {
    if (spec.kind !== 'column') return [];
    return {
      ...rowColumn,
      key: `${column.number}:${kind}${encoded.generation}:${spec.role}`,
      name: encoded.columns[spec.role]!,
      type: spec.type,
      typeKey: spec.type,
      notNull: column.notNull,
      storage: spec.storage,
    };
  });
}

/** CHECKs of the encoding itself: what is no cell fails before any key could tell. */
function cellChecks(
  column: LogicalColumn,
  kind: string,
  encoded: EncodedColumn,
  specs: readonly RelationSpec[],
): readonly PhysicalConstraint[] {
  return specs.flatMap(spec => {
    if (spec.kind !== 'column') return [];
    return (spec.checks ?? []).map((check, i) => ({
      key: `${column.number}:${kind}${encoded.generation}:${spec.role}:check${i}`,
      name: boundedName(encoded.columns[spec.role]!, i === 0 ? '_check' : `_check${i}`),
      kind: 'check' as const,
      definition: `CHECK (${withNames(check, encoded)})`,
    }));
  });
}

/** All forms of a value are NULL together: a statement that writes one without the other fails. */
function nullChecks(column: LogicalColumn): readonly PhysicalConstraint[] {
  const [first, ...others] = (column.protection?.encodings ?? []).flatMap(({ kind, encoded }) =>
    Object.entries(encoded.columns).map(([role, name]) => ({
      key: `${column.number}:${kind}${encoded.generation}:${role}:null`,
      name,
    })),
  );
  if (!first) return [];
  return others.map(other => ({
    key: other.key,
    name: boundedName(other.name, '_null'),
    kind: 'check' as const,
    definition: `CHECK ((${quoteName(first.name)} IS NULL) = (${quoteName(other.name)} IS NULL))`,
  }));
}

/** A partitioned table has no rows of its own, and a partition those within its bounds. */
function boundChecks(described: DescribedTable, table: LogicalTable): readonly PhysicalConstraint[] {
  if (table.state !== 'protected') return [];
  if (table.partitioned) return [{ key: 'rows', name: NO_ROWS, kind: 'check', definition: 'CHECK (false)' }];
  const condition = described.partition?.constraint ?? null;
  if (table.bounds !== 'cloud' || condition === null) return [];
  return [{ key: `bounds:${condition}`, name: BOUNDS, kind: 'check', definition: `CHECK (${condition})` }];
}

/** Constraint of the physical form of a partitioned table. */
const NO_ROWS = 'clarus_no_rows';
/** Constraint of that of a partition. */
export const BOUNDS = 'clarus_bounds';

/** `{role}` becomes the physical name. */
const withNames = (text: string, encoded: EncodedColumn): string =>
  text.replace(/\{(\w+)\}/g, (whole, role: string) => {
    const name = encoded.columns[role];
    return name === undefined ? whole : quoteName(name);
  });

function sideTablesOf(encoded: EncodedColumn, specs: readonly RelationSpec[]): readonly PhysicalSideTable[] {
  return specs.flatMap(spec =>
    spec.kind === 'table' ? [{ name: encoded.tables[spec.role]!, columns: spec.columns }] : [],
  );
}
