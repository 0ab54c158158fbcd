/**
 * A policy proposed for a whole database, as the file does at start: what it changes of the tables that stand, and
 * what it may not. Tables with rows keep their protection; an empty one is made anew in place.
 */
import { diffPolicy } from '../policy/diff.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import type { Catalog, CatalogChange, LogicalTable } from './catalog.js';
import { isEncoded } from './compare.js';
import { deriveBlocked, deriveTable } from './derive.js';
import type { CatalogNumbers, DeriveInput } from './derive-input.js';
import { named, shownName } from './derive-names.js';
import { describeTables, qualified } from './describe.js';
import type { DescribedTable } from './description.js';
import type { Encodings } from './encodings-for.js';
import { type KeptByLabels, type KeptColumn, keptByLabels, withColumns } from './labelled.js';
import { physicalTable } from './physical.js';
import { changeStatements } from './physical-changes.js';
import type { PhysicalTable, Spelling } from './physical-parts.js';
import { columnPolicies, sameProtection } from './protection.js';
import { quoteQualified } from './quote.js';
import type { Reader } from './reader.js';
import { blockedBecause } from './take-in.js';

/** A proposed policy with what it is held against: the catalogue, the shadow schema and the rows in the cloud. */
export interface AdoptInput {
  readonly catalog: Catalog;
  readonly policy: Policy;
  /** what the file said when it last took effect; undefined: not known */
  readonly filed: Policy | undefined;
  /** where the proposal comes from, in words */
  readonly origin: string;
  readonly cloud: string;
  readonly registry: Encodings;
  readonly numbers: CatalogNumbers;
  /** one connection to the shadow database, inside a transaction */
  readonly shadow: Reader;
  /** does the physical table hold rows, and will it not until `statements` have run? */
  readonly hasRows: RowsQuestion;
  /** how definitions are spelled where names are hidden (sql/opaque/) */
  readonly spellingOf: SpellingOf;
}

/** Gives the spelling of definitions by the tables of a catalogue. */
export type SpellingOf = (tables: Iterable<LogicalTable>) => Spelling;

/** Asks the cloud whether a table holds rows. */
export type RowsQuestion = (table: LogicalTable) => Promise<boolean>;

/** What a proposed policy would do; nothing of it is done yet. */
export interface Adoption {
  /** tables whose protection would change and may not: the policy must not take effect */
  readonly refused: readonly Hindered[];
  /** types of users that unprotected columns need from then on, and that they needed before: OIDs in the shadow */
  readonly types: Readonly<Record<'before' | 'after', readonly number[]>>;
  /** for the cloud, in order, in the same transaction */
  readonly statements: readonly string[];
  /** the policy that would be in force: the proposed one, with the labels that stand */
  readonly policy: Policy;
  /** what security labels have said against it and stands, because the tables may not change */
  readonly kept: readonly KeptColumn[];
  /** the policy and the tables that change with it; empty when it says what holds already */
  readonly changes: readonly CatalogChange[];
  /** what it says otherwise than the policy in force, in words; none where none is in force */
  readonly differences: readonly string[];
}

/** What keeps the protection of a table as it is. */
export type Hindrance = 'rows' | 'counts' | 'triggers';

/** A table whose protection would change and may not. */
export interface Hindered {
  readonly table: LogicalTable;
  /** it holds rows, its sequence has counted in the cloud, or its triggers would be the cloud's */
  readonly hindrance: Hindrance;
}

const HINDRANCES: Readonly<Record<Hindrance, string>> = {
  rows: 'protected tables that hold rows',
  counts: 'tables whose sequences have counted',
  triggers: 'tables that have triggers',
};

/** @returns in words what a refused policy would change */
export function hinderedInWords(refused: readonly Hindered[]): string {
  const kinds = (Object.keys(HINDRANCES) as Hindrance[]).flatMap(kind => {
    const names = refused.flatMap(({ table: { schema, name }, hindrance }) =>
      hindrance === kind ? [`${schema}.${name}`] : [],
    );
    return names.length > 0 ? [`${HINDRANCES[kind]}: ${names.join(', ')}`] : [];
  });
  return `the policy of the file would change ${kinds.join('; ')}`;
}

/** Works out what a policy does to the tables that the catalogue knows. */
export async function adoptPolicy(input: AdoptInput): Promise<Adoption> {
  const { catalog, shadow, policy: file, filed, origin } = input;
  const described = await qualified(shadow, () => describeTables(shadow, catalog.tables.keys()));
  const refused: Hindered[] = [];
  const statements: string[] = [];
  const types = { before: [] as number[], after: [] as number[] };
  const tables: CatalogChange[] = [];
  const kept: KeptColumn[] = [];
  let policy = file;
  const derived = new Map(catalog.tables);
  for (const table of catalog.tables.values()) {
    const own = described.find(({ oid }) => oid === table.oid);
    if (!own) continue;
    const next = await adoptTable(input, table, own, derived);
    if (typeof next === 'string') refused.push({ table, hindrance: next });
    else if (next) {
      if (next.kept) {
        kept.push(...next.kept.columns);
        policy = withColumns(policy, table, next.kept.policies);
      }
      if (!next.table) continue;
      statements.push(...next.statements);
      types.before.push(...openTypes(own, table));
      types.after.push(...openTypes(own, next.table));
      derived.set(table.oid, next.table);
      tables.push({ kind: 'put-table', table: next.table });
    }
  }
  const isFirst = catalog.policyVersion === 0;
  const differences = isFirst ? [] : diffPolicy(catalog.policy, policy).map(({ words }) => words);
  const isFiled = filed === undefined || diffPolicy(filed, file).length === 0;
  const same = !isFirst && differences.length === 0 && tables.length === 0 && isFiled;
  const changes: readonly CatalogChange[] = same
    ? []
    : [{ kind: 'put-policy', policy, origin, file }, ...tables];
  return { refused, types, statements, policy, kept, changes, differences };
}

/** Types of users that unprotected columns have. */
const openTypes = ({ columns }: DescribedTable, table: LogicalTable): readonly number[] =>
  columns.flatMap(({ attnum, userType }) =>
    userType === 0 || table.columns.find(column => column.attnum === attnum)?.protection ? [] : [userType],
  );

interface Next {
  /** undefined: it stays as it is */
  readonly table: LogicalTable | undefined;
  readonly statements: readonly string[];
  readonly kept?: KeptByLabels;
}

async function adoptTable(
  input: AdoptInput,
  table: LogicalTable,
  described: DescribedTable,
  derived: ReadonlyMap<number, LogicalTable>,
): Promise<Next | Hindrance | undefined> {
  const { policy, cloud, registry, numbers } = input;
  const base: DeriveInput = {
    described,
    previous: table,
    policy,
    cloud,
    registry,
    numbers,
    tables: derived,
    tableOf: oid => derived.get(oid),
    reprotect: true,
  };
  const policies = columnPolicies(policy, table, table);
  const listed = policies.every(found => found !== undefined);
  const same = table.columns.every(({ policy: own }, i) => policies[i] && sameProtection(policies[i], own));
  switch (table.state) {
    case 'protected': {
      // A protected table that is no longer listed stays as it is: nothing of it is in the clear.
      if (!listed) return renamed(input, base, table, derived);
      if (same) return renamed(input, base, keepTable(table, policies)?.table ?? table, derived);
      const hindrance = await hindranceOf(input, table, described, policies);
      if (hindrance === undefined) return rebuild(input, base, table, derived);
      const kept = keptByLabels(table, policies, input.filed);
      if (!kept) return hindrance;
      const next = await renamed(input, base, keepTable(table, kept.policies)?.table ?? table, derived);
      return { table: next?.table, statements: next?.statements ?? [], kept };
    }
    case 'open': {
      const reason = blockedBecause(policies);
      if (reason === undefined) return keepTable(table, policies);
      const mayChange =
        listed &&
        table.materialised === undefined &&
        !counted(described, table, policies) &&
        !(await hasTriggers(input.shadow, table));
      if (!mayChange || (await input.hasRows(table)))
        return { table: deriveBlocked(base, table.number, reason), statements: [] };
      return rebuild(input, base, table, derived);
    }
    case 'blocked': {
      if (isEncoded(table)) return undefined;
      const reason = blockedBecause(policies);
      if (reason !== undefined)
        return reason === table.reason
          ? undefined
          : { table: deriveBlocked(base, table.number, reason), statements: [] };
      const previous = { ...table, state: 'open', reason: undefined } as const;
      return { table: (await deriveTable({ ...base, previous })).table, statements: [] };
    }
  }
}

/** What keeps the protection of a protected table from being changed by a start. */
async function hindranceOf(
  { hasRows, shadow }: AdoptInput,
  table: LogicalTable,
  described: DescribedTable,
  policies: readonly (ColumnPolicy | undefined)[],
): Promise<Hindrance | undefined> {
  if (await hasRows(table)) return 'rows';
  if (counted(described, table, policies)) return 'counts';
  const opens = blockedBecause(policies) === undefined;
  return opens && (await hasTriggers(shadow, table)) ? 'triggers' : undefined;
}

/**
 * Would a column be protected whose sequence has counted in the cloud? Its count moves with the column, which a
 * statement does and a start does not.
 */
const counted = (
  { columns }: DescribedTable,
  table: LogicalTable,
  policies: readonly (ColumnPolicy | undefined)[],
): boolean =>
  columns.some(
    ({ sequence, default: value }, i) =>
      policies[i]?.protect === 'encrypt' &&
      !table.columns[i]?.protection &&
      (sequence !== null || /\bnextval\(/.test(value ?? '')),
  );

/** Those of a protected table stand in the shadow alone, and are not fired by the cloud, which fires those of others. */
async function hasTriggers(shadow: Reader, { oid }: LogicalTable): Promise<boolean> {
  const [row] = await shadow(
    'SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = $1::pg_catalog.oid AND NOT tgisinternal)',
    [String(oid)],
  );
  return row?.[0] === 't';
}

/** Classes may change without any change in the cloud. */
function keepTable(table: LogicalTable, policies: readonly (ColumnPolicy | undefined)[]): Next | undefined {
  if (table.columns.every(({ policy }, i) => policies[i]?.class === policy.class)) return undefined;
  const columns = table.columns.map((column, i) => ({ ...column, policy: policies[i] ?? column.policy }));
  return { table: { ...table, columns }, statements: [] };
}

/**
 * The table under the names that the policy wants its cloud to see; rows are not touched by that.
 * @param kept the table with what else changes of it
 * @returns undefined where nothing changes
 */
async function renamed(
  { registry, spellingOf, policy }: AdoptInput,
  base: DeriveInput,
  kept: LogicalTable,
  derived: ReadonlyMap<number, LogicalTable>,
): Promise<Next | undefined> {
  const before = derived.get(kept.oid)!;
  if ((policy.names === 'hidden') === (before.opaque !== undefined))
    return kept === before ? undefined : { table: kept, statements: [] };
  const { opaque: _, ...shown } = kept;
  const physical = { schema: kept.schema, name: shownName(kept) };
  const next = await named({ ...shown, physical }, base.described, base);
  const tables = new Map(derived).set(next.oid, next);
  const form = (table: LogicalTable, of: ReadonlyMap<number, LogicalTable>): PhysicalTable =>
    physicalTable(base.described, table, {
      registry,
      tableOf: oid => of.get(oid),
      spelling: spellingOf(of.values()),
    });
  const statements = changeStatements([{ before: form(before, derived), after: form(next, tables) }]);
  return { table: next, statements };
}

async function rebuild(
  { registry, spellingOf }: AdoptInput,
  base: DeriveInput,
  table: LogicalTable,
  derived: ReadonlyMap<number, LogicalTable>,
): Promise<Next> {
  const { table: next } = await deriveTable(base);
  const tableOf = (oid: number): LogicalTable | undefined => (oid === next.oid ? next : derived.get(oid));
  const tables = new Map(derived).set(next.oid, next);
  const before = physicalTable(base.described, table, {
    registry,
    tableOf: oid => derived.get(oid),
    spelling: spellingOf(derived.values()),
  });
  const spelling = spellingOf(tables.values());
  const after = physicalTable(base.described, next, { registry, tableOf, spelling });
  return { table: next, statements: changeStatements([{ before, after }]) };
}

/**
 * Looks for rows of a physical table.
 * @param inCloud one connection to the cloud
 */
export const looksForRows =
  (inCloud: Reader): RowsQuestion =>
  async ({ physical }) => {
    const [row] = await inCloud(
      `SELECT EXISTS (SELECT FROM ${quoteQualified(physical.schema, physical.name)})`,
      [],
    );
    return row?.[0] === 't';
  };

/**
 * Locks the physical table until the transaction ends, so that it stays empty, and looks.
 * @param inCloud one connection to the cloud, inside a transaction
 */
export const locksAndLooks = (inCloud: Reader): RowsQuestion => {
  const look = looksForRows(inCloud);
  return async table => {
    const { schema, name } = table.physical;
    await inCloud(`LOCK TABLE ${quoteQualified(schema, name)} IN ACCESS EXCLUSIVE MODE`, []);
    return look(table);
  };
};
