import { encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import type { ColumnPolicy } from '../policy/policy.js';
import {
  type ColumnEncoding,
  isFilled,
  type LogicalColumn,
  type LogicalTable,
  ROW_COLUMN,
  storedWith,
} from './catalog.js';
import { computedKeysOf } from './computed-keys.js';
import type { DeriveInput, DeriveNotice } from './derive-input.js';
import { checksOf, columnsOfKeys, exclusionsOf, keysOf, numbersOf } from './derive-keys.js';
import { named, namesOfBlocked, physicalName } from './derive-names.js';
import type { DescribedTable } from './description.js';
import { encodingsFor, KEY_ENCODING } from './encodings-for.js';
import { refuseMovingActions } from './foreign-keys.js';
import { physicalNames } from './form-names.js';
import { listedByParent, placeInTree } from './inheritance.js';
import {
  collectedKeysOf,
  domainCollected,
  partitionedAbove,
  referredKeysOf,
  refuseUncollected,
} from './key-tables.js';
import {
  columnListedAs,
  columnPolicies,
  openColumn,
  sameProtection,
  tableListedAs,
  unlistedRefused,
} from './protection.js';
import { holdsAll } from './type-change.js';
import { refuseUnsupported } from './unsupported.js';

/** A derived table and what is to be said about it. */
export interface Derived {
  readonly table: LogicalTable;
  readonly notices: readonly DeriveNotice[];
}

/**
 * Derives the catalogue's table. Columns that existed keep number, policy and encodings; new ones get what the
 * policy says; key constraints add the tags that they need.
 * @throws ClarusError 0A000 for what a protected table cannot have, 42939 for a reserved name
 */
export async function deriveTable(input: DeriveInput): Promise<Derived> {
  const { described, previous, numbers } = input;
  if (previous?.state === 'blocked')
    return { table: deriveBlocked(input, previous.number, previous.reason ?? ''), notices: [] };
  const policies = policiesOf(input);
  const materialised = materialisedAs(input);
  const filled = isFilled({ ...materialised });
  const isProtected = filled || policies.some(column => column.protect === 'encrypt');
  if (isProtected) refuseUnsupported(described, policies, filled);
  const place = placeInTree(described, policies, input.tableOf);
  const number = previous?.number ?? (await numbers.table());
  const keyColumns = new Set([...columnsOfKeys(described), ...(input.referenced ?? [])]);
  const taken = takenNames(described, policies, previous);
  const notices: DeriveNotice[] = [];
  const above = partitionedAbove(place, input.tables.values());
  let last = previous?.columnNumberLast ?? Math.max(0, ...(previous?.columns ?? []).map(c => c.number));
  const bases = described.columns.map((column, i) => {
    const before = previous?.columns.find(c => c.attnum === column.attnum);
    // Under another number its cells have other keys: one of the old type does not open as one of the new.
    const converted =
      before?.protection !== undefined &&
      (!holdsAll(column.type, before.type) || (input.converted?.has(before.name) ?? false));
    const columnNumber = before && !converted ? before.number : ++last;
    const base = {
      number: columnNumber,
      attnum: column.attnum,
      name: column.name,
      ...columnListedAs(input.policy, column.name, previous && before && { table: previous, column: before }),
      type: column.type,
      typeName: column.typeName,
      notNull: column.notNull,
      policy: policies[i]!,
    };
    return { base, standing: { column: before, converted } };
  });
  const columns: LogicalColumn[] = [];
  for (const i of referredFirst(described)) {
    const { base, standing } = bases[i]!;
    const address = { table: number, column: base.number };
    const key: KeyNeed = {
      needed: keyColumns.has(base.attnum),
      domain:
        (base.policy.domain === undefined ? domainCollected(base.name, above) : undefined) ??
        (forKeysOnly(base.policy) ? domainReferred(input, base.attnum, columns) : undefined),
    };
    const protection = await protectionOf(input, base, address, standing, key, taken, notices);
    columns.push({ ...base, protection });
  }
  columns.sort((a, b) => a.attnum - b.attnum);
  const numbered = columns.map(column => ({ ...column, ...generatedFrom(column, described, columns) }));
  const table: LogicalTable = {
    number,
    oid: described.oid,
    schema: described.schema,
    name: described.name,
    ...listedAs(input),
    state: isProtected ? 'protected' : 'open',
    reason: undefined,
    cloud: input.cloud,
    physical: { schema: described.schema, name: physicalName(described, number, materialised) },
    columns: numbered,
    columnNumberLast: last,
    keys: [],
    ...materialised,
    ...place,
  };
  const keys = keysOf(described, table, oid => (oid === described.oid ? table : input.tableOf(oid)));
  const checks = checksOf(described, table);
  const exclusions = exclusionsOf(described, table);
  const computed = isProtected && (await computedKeysOf(table, { ...input, taken, notices }));
  const referring =
    input.referredKeys?.map(attnums => numbersOf(table, attnums)) ??
    previous?.referredKeys?.map(key => key.columns);
  const made = {
    ...table,
    ...(computed || {}),
    keys,
    ...(await referredKeysOf(table, referring ?? [], previous?.referredKeys ?? [], numbers)),
    ...collectedKeysOf(table, above),
    ...(checks.length > 0 ? { checks } : {}),
    ...(exclusions.length > 0 ? { exclusions } : {}),
  };
  if (!isProtected) return { table: made, notices };
  refuseMovingActions(made, described, above);
  const hidden = await named(made, described, input);
  refuseUncollected(hidden, described, above);
  return { table: hidden, notices };
}

/** From which columns a protected one is computed. */
function generatedFrom(
  { attnum, protection }: LogicalColumn,
  described: DescribedTable,
  columns: readonly LogicalColumn[],
): Pick<LogicalColumn, 'generatedFrom'> {
  const own = described.columns.find(column => column.attnum === attnum);
  if (!protection || own?.generated !== 's') return {};
  const read = columns.filter(column => own.generatedFrom.includes(column.attnum));
  return { generatedFrom: read.map(({ number }) => number) };
}

/**
 * A table that is neither served nor written: its columns as they stand, without encodings of their own beyond
 * those they have.
 * @param reason why, in words for `check` and for the error
 */
export function deriveBlocked(input: DeriveInput, number: number, reason: string): LogicalTable {
  const { described, previous, policy } = input;
  const { schema, name } = described;
  const policies = columnPolicies(policy, described, previous);
  let last = previous?.columnNumberLast ?? 0;
  const columns = described.columns.map((column, i): LogicalColumn => {
    const before = previous?.columns.find(c => c.attnum === column.attnum);
    return {
      number: before?.number ?? ++last,
      attnum: column.attnum,
      name: column.name,
      ...columnListedAs(policy, column.name, previous && before && { table: previous, column: before }),
      type: column.type,
      typeName: column.typeName,
      notNull: column.notNull,
      policy: policies[i] ?? openColumn(column.name),
      protection: before?.protection,
    };
  });
  const materialised = materialisedAs(input);
  return {
    number,
    oid: described.oid,
    schema,
    name,
    ...tableListedAs(policy, described, previous),
    state: 'blocked',
    reason,
    cloud: input.cloud,
    ...namesOfBlocked(described, previous, physicalName(described, number, materialised)),
    ...materialised,
    columns,
    columnNumberLast: last,
    keys: [],
  };
}

function materialisedAs({ described, previous, fills }: DeriveInput): Pick<LogicalTable, 'materialised'> {
  if (described.kind !== 'm') return {};
  const filled = previous ? isFilled(previous) : fills === true;
  return { materialised: filled ? (described.populated ? 'populated' : 'unpopulated') : 'cloud' };
}

const listedAs = ({ policy, described, previous, tableOf }: DeriveInput): Pick<LogicalTable, 'listedAs'> =>
  previous ? tableListedAs(policy, described, previous) : listedByParent(policy, described, tableOf);

/** Columns that existed keep their policies under new names; new ones get what the policy says. */
function policiesOf(input: DeriveInput): readonly ColumnPolicy[] {
  const { described, previous, policy, reprotect } = input;
  const listed = listedAs(input);
  const standing = previous ? { ...previous, ...listed } : { columns: [], ...listed };
  const said = columnPolicies(policy, described, standing);
  return described.columns.map((column, i) => {
    const before = previous?.columns.find(c => c.attnum === column.attnum);
    if (before && !reprotect) return { ...before.policy, name: column.name };
    const found = said[i];
    if (found === undefined) throw unlistedRefused(described.schema, described.name);
    return found;
  });
}

/** What keys ask of a column. */
interface KeyNeed {
  readonly needed: boolean;
  /** the domain of the column that a foreign key refers to, where the column has tags for keys only */
  readonly domain: number | undefined;
}

/** Does the policy grant it no tags, so that those it has are there for its keys? */
const forKeysOnly = ({ domain, queries }: ColumnPolicy): boolean =>
  domain === undefined && queries.length === 0;

/**
 * A foreign key compares its columns with those that it refers to: a column that has tags for its keys only takes their
 * domain.
 * @param made columns of the table itself that are derived already
 */
function domainReferred(
  { described, tableOf }: DeriveInput,
  attnum: number,
  made: readonly LogicalColumn[],
): number | undefined {
  for (const { kind, columns, references } of described.constraints) {
    const at = columns.indexOf(attnum);
    if (kind !== 'f' || references === null || at < 0) continue;
    const others = references.table === described.oid ? made : tableOf(references.table)?.columns;
    const other = others?.find(column => column.attnum === references.columns[at]);
    if (other?.protection) return other.protection.domain;
  }
  return undefined;
}

/** Places of columns, those that the table's own foreign keys refer to before those that refer to them. */
function referredFirst({ oid, columns, constraints }: DescribedTable): readonly number[] {
  const order = new Set<number>();
  const seen = new Set<number>();
  const visit = (place: number): void => {
    if (place < 0 || seen.has(place)) return;
    seen.add(place);
    for (const { kind, columns: own, references } of constraints) {
      const at = own.indexOf(columns[place]!.attnum);
      if (kind === 'f' && references?.table === oid && at >= 0)
        visit(columns.findIndex(({ attnum }) => attnum === references.columns[at]));
    }
    order.add(place);
  };
  for (const place of columns.keys()) visit(place);
  return [...order];
}

/** The column as it stood before. */
interface Standing {
  readonly column: LogicalColumn | undefined;
  /** its values are to be converted to another type, so none of its encodings stays */
  readonly converted: boolean;
}

async function protectionOf(
  input: DeriveInput,
  column: Omit<LogicalColumn, 'protection'>,
  address: { readonly table: number; readonly column: number },
  { column: before, converted }: Standing,
  key: KeyNeed,
  taken: Set<string>,
  notices: DeriveNotice[],
): Promise<LogicalColumn['protection']> {
  if (column.policy.protect === 'none') return undefined;
  const { registry, numbers } = input;
  const keep = before?.protection !== undefined && sameProtection(before.policy, column.policy);
  const old = keep ? before.protection : undefined;
  const choice = encodingsFor(column.policy, column.type, registry, key.needed);
  const moves = old !== undefined && key.domain !== undefined && old.domain !== key.domain;
  // An encoding that stands already stays, also when the key that asked for it has gone.
  const kept = converted ? [] : (old?.encodings ?? []).filter(({ kind }) => !moves || kind === 'sealed');
  const standing = moves ? (old?.encodings ?? []).map(({ kind }) => kind) : [];
  const wanted = old && !converted ? [...standing, ...(key.needed ? [KEY_ENCODING] : [])] : choice.encodings;
  const missing = [...new Set(wanted)].filter(kind => !kept.some(encoding => encoding.kind === kind));
  let domain = key.domain ?? old?.domain ?? 0;
  if (domain === 0 && missing.some(kind => kind !== 'sealed'))
    domain = await numbers.domain(column.policy.domain);
  const encodings: ColumnEncoding[] = [...kept];
  for (const kind of missing) {
    const specs = encodingNamed(registry, kind).relations({ name: column.name, type: column.type });
    const made = await physicalNames(column.name, kind, specs, numbers, taken);
    encodings.push({ kind, encoded: { ...address, name: column.name, type: column.type, domain, ...made } });
  }
  if (key.domain !== undefined && missing.includes(KEY_ENCODING))
    notices.push({
      message: `the equality tags of column "${column.name}" are comparable with those of the column that it refers to`,
      detail: 'Both are of one domain, because a foreign key stands between them.',
      hint: 'Name the domain of both columns in the policy to show that this is meant.',
    });
  if (choice.addedForKey && missing.includes(KEY_ENCODING))
    notices.push({
      message: `column "${column.name}" gets equality tags, because a key constraint stands on it`,
      detail: `The cloud learns ${encodingNamed(registry, KEY_ENCODING).leaks({ name: column.name, type: column.type }).atRest}.`,
      hint: `Say "queries: [equality]" for the column in the policy to show that this is meant.`,
    });
  const renamed = encodings.map(({ kind, encoded }) => ({
    kind,
    encoded: { ...encoded, name: column.name, type: column.type },
  }));
  return { domain, encodings: renamed, waiting: choice.waiting };
}

/** Names that the physical table has already; a user's column may not be called like one of ours. */
function takenNames(
  described: DescribedTable,
  policies: readonly ColumnPolicy[],
  previous: LogicalTable | undefined,
): Set<string> {
  const ours = new Set<string>();
  for (const column of previous ? storedWith(previous) : [])
    for (const { encoded } of column.protection?.encodings ?? [])
      for (const name of Object.values(encoded.columns)) ours.add(name);
  const all = new Set(ours);
  for (const [i, { name }] of described.columns.entries()) {
    if (name === ROW_COLUMN || (policies[i]?.protect === 'none' && ours.has(name)))
      throw new ClarusError('42939', `column name "${name}" is reserved for Clarus`, {
        hint: 'Choose another name.',
        column: name,
      });
    all.add(name);
  }
  return all;
}
