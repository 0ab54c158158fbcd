/**
 * Takes in what was made or changed in a cloud past Clarus: the shadow schema follows, and the catalogue says of
 * each table whether it is open or, when the policy wants it protected or does not list it, blocked.
 */
import { type Catalog, type CatalogChange, type LogicalTable, tableNamed } from './catalog.js';
import { compareWithCloud } from './compare.js';
import { lockDdl } from './ddl-lock.js';
import { deriveBlocked, deriveTable } from './derive.js';
import type { CatalogNumbers } from './derive-input.js';
import { describeDatabase, describeTables, qualified } from './describe.js';
import type { DatabaseDescription, DescribedTable } from './description.js';
import type { Encodings } from './encodings-for.js';
import { fallsWith } from './gone.js';
import { type KeptPolicies, missingOf, policiesIn } from './kept-policies.js';
import { columnPolicies } from './protection.js';
import { quoteQualified } from './quote.js';
import type { Reader, SchemaConnection } from './reader.js';
import { reattach } from './reattach.js';
import { originalsIn, withoutOriginals } from './set-aside.js';
import { applyItems, shadowDdl, type Underived } from './shadow-ddl.js';

/** Cloud, shadow and catalogue, each as one transaction sees it. */
export interface TakeInInput {
  /** loaded under the lock of `lockDdl`, with no commit under way */
  readonly catalog: Catalog;
  readonly cloud: string;
  readonly registry: Encodings;
  readonly numbers: CatalogNumbers;
  /** one connection to the cloud, inside a transaction */
  readonly readCloud: Reader;
  /** one connection to the shadow database, inside the transaction that is to hold the DDL */
  readonly shadow: SchemaConnection;
}

/** What became of what was made past Clarus. The shadow holds it already; `changes` are still to be committed. */
export interface TakenIn {
  readonly changes: readonly CatalogChange[];
  /** what the shadow could not be given */
  readonly underived: readonly Underived[];
  /** DDL that ran in the shadow, for the journal */
  readonly ddl: readonly string[];
}

/** Compares, builds what the shadow lacks, and returns the changes of the catalogue. */
export async function takeIn(input: TakeInInput): Promise<TakenIn> {
  const { catalog, readCloud, registry } = input;
  await lockDdl(input.shadow.read);
  const ddl: string[] = [];
  const shadow: SchemaConnection = {
    read: input.shadow.read,
    run: async sql => {
      await input.shadow.run(sql);
      if (!/^(SAVEPOINT|RELEASE|ROLLBACK|SET LOCAL)/.test(sql)) ddl.push(sql);
    },
  };
  const cloud = withoutOriginals(await describeDatabase(readCloud), await originalsIn(readCloud));
  const before = await describeDatabase(shadow.read);
  const compared = compareWithCloud(cloud, before, catalog.tables.values(), registry);
  const changes: CatalogChange[] = [];
  for (const { table, reason } of compared.damaged)
    changes.push({ kind: 'put-table', table: { ...table, state: 'blocked', reason } });
  for (const table of compared.mended)
    changes.push({ kind: 'put-table', table: { ...table, state: 'protected', reason: undefined } });
  for (const table of compared.missing) changes.push({ kind: 'drop-table', number: table.number });
  const isGone = await fallsWith(shadow.read, catalog, new Set(compared.missing.map(({ oid }) => oid)));
  const policies = await qualified(shadow.read, () => policiesIn(shadow.read));
  const { now, changed } = await dropStale(input, shadow, cloud, before, compared.missing);
  const wanted = [...compared.unknown, ...changed];
  // What fell with a table is made again with it: from the cloud, or as it stood in the shadow alone.
  const { objects } = compareWithCloud(cloud, now, catalog.tables.values(), registry);
  const there = new Set([...now.objects, ...objects].map(({ kind, identity }) => `${kind} ${identity}`));
  const lost = before.objects.filter(({ kind, identity }) => !there.has(`${kind} ${identity}`));
  const { items, underived } = shadowDdl({ tables: wanted, objects: [...objects, ...lost] });
  const gone = new Set(lost.filter(isGone).map(({ kind, identity }) => `${kind} ${identity}`));
  const failed = (await applyItems(shadow, items)).filter(({ what }) => !gone.has(what));
  // a table that is made again has the policies that it had, or is not served; those that read one fall with it
  const lostPolicies = await qualified(shadow.read, () => missingOf(policies, shadow.read));
  const unsecured = await applyItems(shadow, lostPolicies);
  const open = lostPolicies.filter(({ what }) => unsecured.some(one => one.what === what));
  changes.push(...(await tableChanges(input, wanted, open)));
  for (const { schema, name } of open) {
    const table = tableNamed(catalog, schema, name);
    if (table && !wanted.some(one => one.schema === schema && one.name === name))
      changes.push({ kind: 'put-table', table: { ...table, state: 'blocked', reason: policiesLost } });
  }
  return { changes, underived: [...underived, ...failed, ...unsecured], ddl };
}

/**
 * Drops from the shadow what is not so any more. A table that loses a foreign key by that is made again too.
 * @returns the shadow as it is then, and the tables to make again as the cloud has them
 */
async function dropStale(
  { catalog, registry }: TakeInInput,
  shadow: SchemaConnection,
  cloud: DatabaseDescription,
  before: DatabaseDescription,
  missing: readonly LogicalTable[],
): Promise<{ readonly now: DatabaseDescription; readonly changed: readonly DescribedTable[] }> {
  let now = before;
  for (;;) {
    const { changed } = compareWithCloud(cloud, now, catalog.tables.values(), registry);
    const gone = new Set([...missing, ...changed.map(({ table }) => table)].map(({ oid }) => oid));
    // A table that the catalogue does not know is left over from a start that was cut short.
    const stale = now.tables.filter(({ oid }) => gone.has(oid) || !catalog.tables.has(oid));
    if (stale.length === 0) return { now, changed: changed.map(({ described }) => described) };
    for (const { schema, name, kind } of stale) {
      const relation = kind === 'm' ? 'MATERIALIZED VIEW' : 'TABLE';
      await shadow.run(`DROP ${relation} IF EXISTS ${quoteQualified(schema, name)} CASCADE`);
    }
    now = await describeDatabase(shadow.read);
  }
}

const policiesLost =
  'It, or what its policies read, was changed past Clarus, and its row level security, or owner, cannot be given to it again.';

async function tableChanges(
  { catalog, cloud, registry, numbers, shadow }: TakeInInput,
  wanted: readonly DescribedTable[],
  unsecured: readonly KeptPolicies[],
): Promise<readonly CatalogChange[]> {
  if (wanted.length === 0) return [];
  const names = new Set(wanted.map(({ schema, name }) => JSON.stringify([schema, name])));
  const all = await qualified(shadow.read, () => describeTables(shadow.read, undefined));
  const taken = all.filter(({ schema, name }) => names.has(JSON.stringify([schema, name])));
  const made = new Map<number, LogicalTable>(catalog.tables);
  const { policy } = catalog;
  const derive = async (described: DescribedTable, withKeys: boolean): Promise<void> => {
    const { schema, name } = described;
    const known = made.get(described.oid) ?? tableNamed(catalog, schema, name);
    const previous = known && reattach(known, described);
    const base = {
      described,
      policy,
      cloud,
      registry,
      numbers,
      tables: made,
      tableOf: (oid: number) => made.get(oid),
    };
    const lost = unsecured.some(kept => kept.schema === schema && kept.name === name);
    const reason = lost ? policiesLost : blockedBecause(columnPolicies(policy, described, previous));
    if (reason !== undefined) {
      const number = previous?.number ?? (await numbers.table());
      made.set(described.oid, deriveBlocked({ ...base, previous }, number, reason));
      return;
    }
    const constraints = withKeys ? described.constraints : described.constraints.filter(c => c.kind !== 'f');
    const served = previous && { ...previous, state: 'open' as const, reason: undefined };
    const input = { ...base, described: { ...described, constraints }, previous: served, reprotect: true };
    made.set(described.oid, (await deriveTable(input)).table);
  };
  // Numbers first, then foreign keys between them.
  for (const described of taken) await derive(described, false);
  for (const described of taken) await derive(described, true);
  return taken.flatMap(({ oid }) => {
    const table = made.get(oid);
    return table ? [{ kind: 'put-table' as const, table }] : [];
  });
}

/**
 * Why a table that stands in the clear may not be served, or undefined.
 * @param policies of its columns
 */
export function blockedBecause(policies: ReturnType<typeof columnPolicies>): string | undefined {
  if (policies.some(found => found === undefined))
    return 'It was made past Clarus, and the policy does not list it ("unlisted: refuse").';
  const protectedOnes = policies.flatMap(found => (found?.protect === 'encrypt' ? [found.name] : []));
  if (protectedOnes.length === 0) return undefined;
  return `The policy protects ${protectedOnes.join(', ')}, but the table stands unprotected in the cloud.`;
}
