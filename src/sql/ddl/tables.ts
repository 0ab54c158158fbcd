/**
 * The one way in which DDL changes tables: the logical DDL runs in the shadow, the tables are read back from its
 * pg_catalog, the catalogue's tables and the physical ones are derived from that, and the difference runs in the
 * cloud. Nothing of the client's text reaches the cloud for a protected table.
 */
import {
  type CatalogChange,
  type LogicalTable,
  type OpaqueNames,
  tableNumbered,
} from '../../catalog/catalog.js';
import { deriveTable } from '../../catalog/derive.js';
import { describeTables, qualified } from '../../catalog/describe.js';
import type { DescribedTable } from '../../catalog/description.js';
import { refuseHiddenActions } from '../../catalog/foreign-keys.js';
import { readsRows } from '../../catalog/key-table-changes.js';
import { nameInCloud } from '../../catalog/opaque.js';
import { physicalTable } from '../../catalog/physical.js';
import { changePhases, type PhysicalChange, type Refilled } from '../../catalog/physical-changes.js';
import { withoutEffect } from '../../catalog/physical-indexes.js';
import type { PhysicalContext } from '../../catalog/physical-parts.js';
import { ClarusError } from '../../errors.js';
import { hiddenNamesOf, spellingOf } from '../opaque/index.js';
import { type HiddenNames, relationKey } from '../opaque/names.js';
import type { SessionPort } from '../ports.js';
import { readerOn } from '../reading.js';
import { keepsSnapshot } from '../snapshots.js';
import { runInShadow } from './backends.js';
import type { DdlDependencies } from './body.js';
import { requireKnownBounds } from './bounds.js';
import { type ChangedTable, keepsForms, openTypes, typesLost } from './changed-table.js';
import { validateChecks } from './checks.js';
import { keysStay, referringColumns, unseenRows, withCollected } from './collected-keys.js';
import { inOrderOfColumns } from './column-order.js';
import { runPhysical } from './errors.js';
import { validateExclusions } from './exclusions.js';
import { type PreparedRefill, prepareRefill, refillsOf } from './refill/index.js';
import { moveSequences } from './sequences.js';
import type { Conversions } from './table-checks.js';
import { defineInCloud, forgetTypes, makeTypes } from './types.js';
import { makeWaitingFunctions } from './waiting-functions.js';

/** A statement as the pipeline sees it. */
export interface TableStatement {
  /** shadow OIDs of the tables that it may change; undefined: any. New ones are always found. */
  readonly scope: readonly number[] | undefined;
  /** the client's text, run in the shadow and kept for the journal; undefined: nothing runs there */
  readonly text: string | undefined;
  /** runs in the cloud when every table that changes is open; undefined: the derived difference does */
  readonly mirror?: (() => Promise<unknown>) | undefined;
  /** runs in the cloud before the difference, and after it */
  readonly beforehand?: readonly string[];
  readonly afterwards?: readonly string[] | ((result: TableResult) => readonly string[]);
  /** what the values of its columns become where their types change */
  readonly conversions?: Conversions;
  /** a materialised view that it makes is filled by the trusted side */
  readonly fills?: boolean;
  /** DROP ... CASCADE */
  readonly cascade?: boolean;
  /** PostgreSQL lets reads of its tables go on */
  readonly readable?: boolean;
  /** columns that exist take the policy's protection too */
  readonly reprotect?: boolean;
  /** a policy that the statement proposes, in force for it already */
  readonly policy?: Extract<CatalogChange, { kind: 'put-policy' }>;
  /** checks what came of it, before anything reaches the cloud */
  readonly check?: (result: TableResult) => void | Promise<void>;
}

/** The tables that a statement made, changed or dropped. */
export interface TableResult {
  readonly changed: readonly ChangedTable[];
}

/**
 * Runs a statement that changes tables.
 * @returns the command tag that the shadow gave
 * @throws PostgresError of the shadow or the cloud; ClarusError where the policy or an encoding forbids it
 */
export async function changeTables(
  session: SessionPort,
  deps: DdlDependencies,
  statement: TableStatement,
): Promise<{ readonly tag: string; readonly result: TableResult }> {
  const shadow = readerOn(session.trusted);
  const catalog = session.catalog();
  const known = [...catalog.tables.keys()];
  const scope = statement.scope && withCollected(statement.scope, catalog);
  const before = await qualified(shadow, () => describeTables(shadow, scope ?? known));
  const tag = statement.text === undefined ? '' : await runInShadow(session, statement.text);
  const after = await qualified(shadow, async () => {
    const still = await describeTables(shadow, scope ?? known);
    return [...still, ...(await describeTables(shadow, undefined, known))];
  });
  const changed = await deriveChanges(session, deps, statement, before, after);
  const result = { changed };
  await statement.check?.(result);
  const standing = [
    ...changed.flatMap(({ before: was }) => (was ? [was.table] : [])),
    ...newlyReferenced(changed, session),
  ];
  const forWrites = statement.readable === true && changed.every(keepsForms);
  const asked = await deps.changing.begin(session, standing, { forWrites });
  const sequences = await changeCloud(session, deps, statement, changed).finally(asked);
  await forgetTypes(session, typesLost(changed));
  const changes = catalogChanges(changed);
  const policy = statement.policy ? [statement.policy] : [];
  if (statement.text !== undefined || changes.length + policy.length > 0)
    session.transaction.record(statement.text, [...policy, ...changes]);
  if (sequences.length > 0) await session.transaction.keepSequences(sequences);
  await validateChecks(session, deps, changed);
  await validateExclusions(session, deps, changed);
  return { tag, result };
}

/** Tables to which a foreign key refers that was not there: what is written there goes by it. */
function newlyReferenced(changed: readonly ChangedTable[], session: SessionPort): readonly LogicalTable[] {
  const names = changed.flatMap(({ before, after }) => {
    const were = new Set(before?.table.keys.map(({ name }) => name));
    const keys = after?.table.keys.filter(({ name }) => !were.has(name)) ?? [];
    return keys.flatMap(({ references }) => (references ? [references.table] : []));
  });
  const tables = names.map(number => tableNumbered(session.catalog(), number));
  return tables.filter(table => table !== undefined);
}

async function deriveChanges(
  session: SessionPort,
  deps: DdlDependencies,
  statement: TableStatement,
  before: readonly DescribedTable[],
  after: readonly DescribedTable[],
): Promise<readonly ChangedTable[]> {
  const { registry, numbers, cloud } = deps;
  const { tables, policy } = session.catalog();
  const { conversions } = statement;
  const derived = new Map(tables);
  const old = new Map(before.map(described => [described.oid, described]));
  const changed: ChangedTable[] = [];
  const referenced = referencedColumns(after);
  const referring = referringColumns(before, after, tables);
  for (const described of inOrder(after)) {
    const was = old.get(described.oid);
    const table = tables.get(described.oid);
    const computed = conversions?.table === described.oid ? conversions.computed : undefined;
    const stays =
      !statement.reprotect && !computed?.size && JSON.stringify(was) === JSON.stringify(described);
    if (was && table && stays && keysStay(table, referring.get(described.oid), derived)) continue;
    const { table: made, notices } = await deriveTable({
      described,
      previous: table,
      policy: statement.policy?.policy ?? policy,
      cloud,
      registry,
      numbers,
      tables: derived,
      tableOf: oid => derived.get(oid),
      referenced: referenced.get(described.oid) ?? [],
      referredKeys: referring.get(described.oid) ?? [],
      ...(statement.reprotect ? { reprotect: true } : {}),
      ...(statement.fills ? { fills: true } : {}),
      ...(computed ? { converted: computed } : {}),
    });
    derived.set(described.oid, made);
    for (const notice of notices) session.client.notice({ severity: 'NOTICE', code: '00000', ...notice });
    changed.push({
      before: was && table && { table, described: was },
      after: { table: made, described },
    });
  }
  const standing = new Set(after.map(({ oid }) => oid));
  for (const described of before) {
    const table = tables.get(described.oid);
    if (!standing.has(described.oid) && table)
      changed.push({ before: { table, described }, after: undefined });
  }
  return changed;
}

/** A table after those that it inherits from and its foreign keys refer to, as far as that is possible. */
function inOrder(all: readonly DescribedTable[]): readonly DescribedTable[] {
  const known = new Map(all.map(table => [table.oid, table]));
  const tables: DescribedTable[] = [];
  const add = (table: DescribedTable): void => {
    if (!known.delete(table.oid)) return;
    for (const parent of table.parents) if (known.has(parent)) add(known.get(parent)!);
    tables.push(table);
  };
  for (const table of all) add(table);
  const targets = new Set(
    tables.flatMap(table =>
      table.constraints.flatMap(c =>
        c.references && c.references.table !== table.oid ? [c.references.table] : [],
      ),
    ),
  );
  return [...tables.filter(({ oid }) => targets.has(oid)), ...tables.filter(({ oid }) => !targets.has(oid))];
}

function referencedColumns(tables: readonly DescribedTable[]): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  for (const { constraints } of tables)
    for (const { references } of constraints)
      if (references)
        found.set(references.table, [...(found.get(references.table) ?? []), ...references.columns]);
  return found;
}

/** @returns sequences of which rows that stand took values */
async function changeCloud(
  session: SessionPort,
  deps: DdlDependencies,
  statement: TableStatement,
  changed: readonly ChangedTable[],
): Promise<readonly string[]> {
  const after = new Map(session.catalog().tables);
  for (const { before, after: now } of changed) {
    if (before) after.delete(before.table.oid);
    if (now) after.set(now.table.oid, now.table);
  }
  refuseHiddenActions([...after.values()]);
  const standing = session.catalog().tables;
  const context: PhysicalContext = {
    registry: deps.registry,
    tableOf: oid => after.get(oid),
    spelling: spellingOf(after.values()),
  };
  const old: PhysicalContext = {
    ...context,
    tableOf: oid => standing.get(oid),
    spelling: spellingOf(standing.values()),
  };
  // Deriving the physical form also refuses what cannot stand, for open tables too.
  const differences: PhysicalChange[] = changed.map(({ before, after: now }) => ({
    before: before && physicalTable(before.described, before.table, old),
    after: now && physicalTable(now.described, now.table, context),
    using:
      before?.table.oid === statement.conversions?.table
        ? spelledUsing(statement.conversions?.open, before?.table, now?.table, old)
        : undefined,
  }));
  const names = hiddenNamesOf([...standing.values(), ...after.values()]);
  return withNames(session, names && withoutNew(names, changed), async () =>
    runDifferences(session, deps, statement, changed, differences),
  );
}

/** Conversions of unprotected columns, where a table's names are hidden: by their physical names, over these. */
function spelledUsing(
  using: ReadonlyMap<string, string> | undefined,
  before: LogicalTable | undefined,
  after: LogicalTable | undefined,
  { spelling }: PhysicalContext,
): ReadonlyMap<string, string> | undefined {
  if (!using || !after?.opaque || !before?.opaque) return using;
  return new Map([...using].map(([column, sql]) => [nameInCloud(after, column), spelling.expression(sql)]));
}

/** What is hidden from now on, or shown, is called as it is at that moment: by the statements that rename it. */
function withoutNew(names: HiddenNames, changed: readonly ChangedTable[]): HiddenNames {
  const relations = new Map(names.relations);
  for (const { before, after } of changed) {
    if (!before || !after || !before.table.opaque === !after.table.opaque) continue;
    const { schema, name, opaque } = before.table.opaque ? before.table : after.table;
    for (const one of [{ schema, name }, ...opaque!.sequences])
      relations.delete(relationKey(one.schema, one.name));
  }
  for (const { schema, name } of newSequences(changed)) relations.delete(relationKey(schema, name));
  return { ...names, relations };
}

/** Sequences that get a column of a hidden table as their owner, or get another one. */
function newSequences(changed: readonly ChangedTable[]): OpaqueNames['sequences'] {
  const owned = (table: LogicalTable | undefined): OpaqueNames['sequences'] => table?.opaque?.sequences ?? [];
  const had = new Set(
    changed.flatMap(({ before }) => owned(before?.table)).map(s => relationKey(s.schema, s.name)),
  );
  const made = changed.flatMap(({ before, after }) => (before ? owned(after?.table) : []));
  return made.filter(({ schema, name }) => !had.has(relationKey(schema, name)));
}

/** Does what changes names in the cloud, while statements may use those before and those after. */
async function withNames<T>(
  { naming }: SessionPort,
  names: HiddenNames | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!naming) return work();
  naming.names = names;
  try {
    return await work();
  } finally {
    naming.names = undefined;
  }
}

/** @returns sequences of which rows that stand took values */
async function runDifferences(
  session: SessionPort,
  deps: DdlDependencies,
  statement: TableStatement,
  changed: readonly ChangedTable[],
  differences: readonly PhysicalChange[],
): Promise<readonly string[]> {
  const cloud = (sql: string): Promise<string> => defineInCloud(session, sql);
  const concerned = changed.flatMap(({ before, after: now }) =>
    [before?.table, now?.table].filter(t => t !== undefined),
  );
  let refills: ReadonlyMap<number, PreparedRefill> = new Map();
  for (const sql of statement.beforehand ?? []) await cloud(sql);
  if (await makeTypes(session, { types: openTypes(changed) }))
    await makeWaitingFunctions({ session, homes: deps.homes });
  const moves = await moveSequences(session, changed);
  if (statement.mirror && concerned.every(table => table.state === 'open')) {
    await statement.mirror();
  } else {
    await requireKnownBounds(session, changed);
    refills = await prepareRefills(session, deps, statement, changed);
    const changes = differences.map((difference, i) => ({
      ...difference,
      refill: inOpaqueNames(refills.get(changed[i]!.after?.table.oid ?? 0)?.physical, changed[i]!),
    }));
    const ordered = await inOrderOfColumns(session, changed, changes);
    if (ordered.some(readsRows) && (await keepsSnapshot(session))) throw unseenRows();
    const { first, last } = changePhases(ordered, statement.cascade);
    await runPhysical(cloud, first, concerned);
    for (const refill of refills.values()) await refill.run();
    await runPhysical(cloud, last, concerned);
    sayWithoutEffect(session, changed);
  }
  for (const finish of moves) await finish();
  const { afterwards = [] } = statement;
  for (const sql of typeof afterwards === 'function' ? afterwards({ changed }) : afterwards) await cloud(sql);
  return [...refills.values()].flatMap(({ sequences }) => sequences);
}

async function prepareRefills(
  session: SessionPort,
  deps: DdlDependencies,
  { conversions }: TableStatement,
  changed: readonly ChangedTable[],
): Promise<ReadonlyMap<number, PreparedRefill>> {
  const prepared = new Map<number, PreparedRefill>();
  for (const [oid, refill] of await refillsOf(changed, conversions, session))
    prepared.set(oid, await prepareRefill(refill, session, deps));
  return prepared;
}

/** The columns that are filled and read, as the cloud calls them. */
function inOpaqueNames(
  refilled: Refilled | undefined,
  { before, after }: ChangedTable,
): Refilled | undefined {
  if (!refilled) return undefined;
  const named = (names: ReadonlySet<string>, table: LogicalTable | undefined): ReadonlySet<string> =>
    table ? new Set([...names].map(name => nameInCloud(table, name))) : names;
  return {
    columns: named(refilled.columns, after?.table),
    sources: named(refilled.sources, before?.table),
  };
}

/** Indexes that stand in the shadow only. */
function sayWithoutEffect(session: SessionPort, changed: readonly ChangedTable[]): void {
  for (const { before, after } of changed) {
    if (!after) continue;
    const known = new Set(before?.described.indexes.map(({ oid }) => oid));
    for (const index of after.described.indexes)
      if (!known.has(index.oid) && withoutEffect(index, after.table))
        session.client.notice({
          severity: 'NOTICE',
          code: '00000',
          message: `index "${index.name}" has no effect in the cloud`,
          detail: 'It reads a protected column that has no equality tags, or an expression over one.',
          hint: 'Grant "equality" to the column in the policy if the cloud may search it.',
        });
  }
}

function catalogChanges(changed: readonly ChangedTable[]): readonly CatalogChange[] {
  return changed.map(({ before, after }) => {
    if (after) return { kind: 'put-table', table: after.table };
    if (!before) throw new ClarusError('XX000', 'a table that was never there cannot change');
    return { kind: 'drop-table', number: before.table.number };
  });
}
