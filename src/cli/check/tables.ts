/** What the check says of tables and columns: their protection, and what the cloud still learns of them. */
import type { Catalog, LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { compareWithCloud } from '../../catalog/compare.js';
import type { DatabaseDescription, DescribedTable } from '../../catalog/description.js';
import { encodingsFor } from '../../catalog/encodings-for.js';
import { columnPolicies, listingOf, openColumn } from '../../catalog/protection.js';
import { blockedBecause } from '../../catalog/take-in.js';
import type { TypeRef } from '../../encodings/encoding.js';
import { type EncodingRegistry, encodingNamed } from '../../encodings/registry.js';
import { joinName } from '../../policy/names.js';
import type { ColumnPolicy, Policy, QueryKind } from '../../policy/policy.js';

/** What a cloud learns of one column by one encoding. */
export interface Learned {
  readonly encoding: string;
  readonly atRest: string;
  readonly fromQueries: string;
}

/** A column: what the policy says of it, and what the cloud learns of it. */
export interface CheckedColumn {
  readonly name: string;
  /** the name by which the policy names it, since it was renamed */
  readonly listedAs?: string;
  /** undefined: the table is not made yet */
  readonly type: string | undefined;
  readonly class: string | undefined;
  readonly protect: 'encrypt' | 'none';
  readonly queries: readonly QueryKind[];
  /** columns whose equality tags are comparable with this one's, itself left out */
  readonly comparable: readonly string[];
  /** the tag stands for a key constraint, though the policy grants no equality */
  readonly tagForKey: boolean;
  /** empty: in the clear */
  readonly learned: readonly Learned[];
  /** query kinds that are granted and that no encoding of this version answers */
  readonly waiting: readonly QueryKind[];
}

/**
 * - protected: served, with at least one protected column;
 * - open: served, in the clear;
 * - blocked: stands in the cloud and is neither served nor written (`reason`);
 * - absent: named by the policy, not made yet.
 */
export interface CheckedTable {
  readonly name: string;
  readonly listed: boolean;
  /** the name by which the policy lists it, since it was renamed */
  readonly listedAs?: string;
  readonly state: LogicalTable['state'] | 'absent';
  readonly reason: string | undefined;
  /** true: what the cloud holds of it is in the clear */
  readonly plaintext: boolean;
  /** its name in the cloud, where that stands for it; absent: its own */
  readonly hiddenAs?: string;
  readonly columns: readonly CheckedColumn[];
}

/** Policy, catalogue and both schemas, as they are read. */
export interface TablesInput {
  readonly catalog: Catalog;
  /** the policy that the next start makes the one in force */
  readonly policy: Policy;
  readonly cloud: DatabaseDescription;
  readonly shadow: DatabaseDescription;
  readonly registry: EncodingRegistry;
}

/** Every table that the policy names or the cloud holds, as the next start would see it. */
export function checkTables({
  catalog,
  policy,
  cloud,
  shadow,
  registry,
}: TablesInput): readonly CheckedTable[] {
  const compared = compareWithCloud(cloud, shadow, catalog.tables.values(), registry);
  const gone = new Set(
    [...compared.missing, ...compared.changed.map(({ table }) => table)].map(({ number }) => number),
  );
  const damaged = new Map(compared.damaged.map(({ table, reason }) => [table.number, reason]));
  const known = [...catalog.tables.values()].filter(({ number }) => !gone.has(number));
  const tables = [
    ...known.map(table => ofCatalog(table, known, damaged.get(table.number), registry, policy)),
    ...[...compared.unknown, ...compared.changed.map(({ described }) => described)].map(table =>
      ofCloud(table, policy, registry),
    ),
  ];
  const there = new Set(tables.map(({ name }) => name));
  const absent = policy.tables.filter(({ schema, name }) => !there.has(joinName([schema, name])));
  return [...tables, ...absent.map(table => ofPolicy(table, registry))].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}

function ofCatalog(
  table: LogicalTable,
  all: readonly LogicalTable[],
  damage: string | undefined,
  registry: EncodingRegistry,
  policy: Policy,
): CheckedTable {
  const encoded = table.columns.some(({ protection }) => protection !== undefined);
  const policies = columnPolicies(policy, table, table);
  return {
    name: joinName([table.schema, table.name]),
    listed: listingOf(policy, table) !== undefined,
    ...(table.listedAs ? { listedAs: joinName([table.listedAs.schema, table.listedAs.name]) } : {}),
    state: damage === undefined ? table.state : 'blocked',
    reason: damage ?? table.reason,
    plaintext: !encoded,
    ...(table.opaque ? { hiddenAs: joinName([table.physical.schema, table.physical.name]) } : {}),
    columns: [
      ...table.columns.map((column, i) => {
        const to = encoded || table.state === 'open' ? undefined : policies[i];
        return to ? planned(to, registry, column) : ofColumn(table, column, all, registry);
      }),
      ...(table.computedKeys ?? []).flatMap(({ name, keys }) =>
        keys.flatMap(key =>
          typeof key === 'number'
            ? []
            : { ...ofColumn(table, key, all, registry), name: `unique index ${joinName([name])}` },
        ),
      ),
    ],
  };
}

function ofColumn(
  table: LogicalTable,
  column: LogicalColumn,
  all: readonly LogicalTable[],
  registry: EncodingRegistry,
): CheckedColumn {
  const { protection, policy } = column;
  const kinds = protection?.encodings.map(({ kind }) => kind) ?? [];
  const tagged = kinds.includes('equality');
  return {
    name: column.name,
    ...(column.listedAs === undefined ? {} : { listedAs: column.listedAs }),
    type: column.typeName,
    class: policy.class,
    protect: protection ? 'encrypt' : 'none',
    queries: policy.queries,
    comparable: tagged ? sameDomain(table, column, all) : [],
    tagForKey: tagged && !policy.queries.includes('equality'),
    learned: learnedBy(kinds, column, registry),
    waiting: protection?.waiting ?? [],
  };
}

function sameDomain(
  table: LogicalTable,
  column: LogicalColumn,
  all: readonly LogicalTable[],
): readonly string[] {
  return all.flatMap(other =>
    other.columns.flatMap(c =>
      c.protection?.domain === column.protection?.domain &&
      c.protection?.encodings.some(e => e.kind === 'equality') &&
      !(other.number === table.number && c.number === column.number)
        ? [joinName([other.schema, other.name, c.name])]
        : [],
    ),
  );
}

const learnedBy = (
  kinds: readonly string[],
  column: { readonly name: string; readonly type: TypeRef },
  registry: EncodingRegistry,
): readonly Learned[] =>
  kinds.map(kind => {
    const { atRest, fromQueries } = encodingNamed(registry, kind).leaks(column);
    return { encoding: kind, atRest, fromQueries };
  });

/** A table that the catalogue does not know yet: what the next start makes of it. */
function ofCloud(table: DescribedTable, policy: Policy, registry: EncodingRegistry): CheckedTable {
  const policies = columnPolicies(policy, table, undefined);
  const reason = blockedBecause(policies);
  return {
    name: joinName([table.schema, table.name]),
    listed: listingOf(policy, table) !== undefined,
    state: reason === undefined ? 'open' : 'blocked',
    reason,
    plaintext: true,
    columns: table.columns.map((column, i) =>
      planned(policies[i] ?? openColumn(column.name), registry, column),
    ),
  };
}

const ofPolicy = (table: Policy['tables'][number], registry: EncodingRegistry): CheckedTable => ({
  name: joinName([table.schema, table.name]),
  listed: true,
  state: 'absent',
  reason: undefined,
  plaintext: false,
  columns: table.columns.map(column => planned(column, registry, undefined)),
});

/** The type of a column that is not made yet: text stands for it. */
const unknownType: TypeRef = { oid: 25, modifier: -1, collation: 100, deterministic: true };

/** What a policy will give to a column. */
function planned(
  policy: ColumnPolicy,
  registry: EncodingRegistry,
  described: { readonly type: TypeRef; readonly typeName: string } | undefined,
): CheckedColumn {
  const type = described?.type ?? unknownType;
  const chosen = policy.protect === 'encrypt' ? encodingsFor(policy, type, registry, false) : undefined;
  return {
    name: policy.name,
    type: described?.typeName,
    class: policy.class,
    protect: policy.protect,
    queries: policy.queries,
    comparable: [],
    tagForKey: false,
    learned: learnedBy(chosen?.encodings ?? [], { name: policy.name, type }, registry),
    waiting: chosen?.waiting ?? [],
  };
}
