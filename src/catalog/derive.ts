/**
 * From what the shadow schema says of a table and what the policy says, the table of the catalogue: the numbers
 * of columns, their encodings with physical names, and the key constraints.
 */
import type { EncodedColumn, RelationSpec } from '../encodings/encoding.js';
import { encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import type { ColumnPolicy, Policy } from '../policy/policy.js';
import {
  type ColumnEncoding,
  type KeyConstraint,
  type LogicalColumn,
  type LogicalTable,
  ROW_COLUMN,
} from './catalog.js';
import type { DescribedTable } from './description.js';
import { type Encodings, encodingsFor, KEY_ENCODING } from './encodings-for.js';
import { HELPER_SCHEMA } from './object-queries.js';
import {
  columnListedAs,
  columnPolicies,
  openColumn,
  sameProtection,
  tableListedAs,
  unlistedRefused,
} from './protection.js';
import { boundedName, quoteQualified } from './quote.js';
import { refuseUnsupported } from './unsupported.js';

/** Numbers that are never given twice, reserved durably on the trusted side; gaps are legal. */
export interface CatalogNumbers {
  /** a table's number, with its key made */
  table(): Promise<number>;
  /** catalogue-wide counter in physical names */
  generation(): Promise<number>;
  /** the number of a named domain, or of a new one of its own; with its key made */
  domain(name: string | undefined): Promise<number>;
}

/** Something to tell the client with what was done. */
export interface DeriveNotice {
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** What one table of the catalogue is derived from. */
export interface DeriveInput {
  readonly described: DescribedTable;
  /** the catalogue's table of this OID, before the statement */
  readonly previous: LogicalTable | undefined;
  readonly policy: Policy;
  readonly cloud: string;
  readonly registry: Encodings;
  readonly numbers: CatalogNumbers;
  /** another table of the catalogue by its shadow OID, as this statement leaves it */
  readonly tableOf: (oid: number) => LogicalTable | undefined;
  /** attnums of this table that foreign keys of other tables refer to */
  readonly referenced?: readonly number[];
  /** true: columns that exist take the policy's protection too (an empty table whose policy changes) */
  readonly reprotect?: boolean;
}

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
  const isProtected = policies.some(column => column.protect === 'encrypt');
  if (isProtected) refuseUnsupported(described, policies);
  const number = previous?.number ?? (await numbers.table());
  const keyColumns = new Set([...columnsOfKeys(described), ...(input.referenced ?? [])]);
  const taken = takenNames(described, policies, previous);
  const notices: DeriveNotice[] = [];
  const columns: LogicalColumn[] = [];
  let last = previous?.columnNumberLast ?? Math.max(0, ...(previous?.columns ?? []).map(c => c.number));
  for (const [i, column] of described.columns.entries()) {
    const before = previous?.columns.find(c => c.attnum === column.attnum);
    const columnNumber = before?.number ?? ++last;
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
    const address = { table: number, column: columnNumber };
    const needsKey = keyColumns.has(column.attnum);
    columns.push({
      ...base,
      protection: await protectionOf(input, base, address, before, needsKey, taken, notices),
    });
  }
  const table: LogicalTable = {
    number,
    oid: described.oid,
    schema: described.schema,
    name: described.name,
    ...tableListedAs(input.policy, described, previous),
    state: isProtected ? 'protected' : 'open',
    reason: undefined,
    cloud: input.cloud,
    physical: { schema: described.schema, name: described.name },
    columns,
    columnNumberLast: last,
    keys: [],
  };
  const keys = keysOf(described, table, oid => (oid === described.oid ? table : input.tableOf(oid)));
  return { table: { ...table, keys }, notices };
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
  return {
    number,
    oid: described.oid,
    schema,
    name,
    ...tableListedAs(policy, described, previous),
    state: 'blocked',
    reason,
    cloud: input.cloud,
    physical: { schema, name },
    columns,
    columnNumberLast: last,
    keys: [],
  };
}

/** Columns that existed keep their policies under new names; new ones get what the policy says. */
function policiesOf({ described, previous, policy, reprotect }: DeriveInput): readonly ColumnPolicy[] {
  const standing = previous && { ...previous, ...tableListedAs(policy, described, previous) };
  const said = columnPolicies(policy, described, standing);
  return described.columns.map((column, i) => {
    const before = previous?.columns.find(c => c.attnum === column.attnum);
    if (before && !reprotect) return { ...before.policy, name: column.name };
    const found = said[i];
    if (found === undefined) throw unlistedRefused(described.schema, described.name);
    return found;
  });
}

async function protectionOf(
  input: DeriveInput,
  column: Omit<LogicalColumn, 'protection'>,
  address: { readonly table: number; readonly column: number },
  before: LogicalColumn | undefined,
  needsKey: boolean,
  taken: Set<string>,
  notices: DeriveNotice[],
): Promise<LogicalColumn['protection']> {
  if (column.policy.protect === 'none') return undefined;
  const { registry, numbers } = input;
  const keep = before?.protection !== undefined && sameProtection(before.policy, column.policy);
  const old = keep ? before.protection : undefined;
  const choice = encodingsFor(column.policy, column.type, registry, needsKey);
  // An encoding that stands already stays, also when the key that asked for it has gone.
  const kept = old?.encodings ?? [];
  const missing = (old ? (needsKey ? [KEY_ENCODING] : []) : choice.encodings).filter(
    kind => !kept.some(encoding => encoding.kind === kind),
  );
  let domain = old?.domain ?? 0;
  if (domain === 0 && missing.some(kind => kind !== 'sealed'))
    domain = await numbers.domain(column.policy.domain);
  const encodings: ColumnEncoding[] = [...kept];
  for (const kind of missing) {
    const specs = encodingNamed(registry, kind).relations({ name: column.name, type: column.type });
    const made = await physicalNames(column.name, kind, specs, numbers, taken);
    encodings.push({ kind, encoded: { ...address, name: column.name, type: column.type, domain, ...made } });
  }
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

/** Names no other column of the table has: the generation is catalogue-wide unique, user columns are avoided. */
async function physicalNames(
  column: string,
  kind: string,
  specs: readonly RelationSpec[],
  numbers: CatalogNumbers,
  taken: Set<string>,
): Promise<Pick<EncodedColumn, 'generation' | 'columns' | 'tables'>> {
  const ofColumns = specs.filter(spec => spec.kind === 'column');
  for (;;) {
    const generation = await numbers.generation();
    const columns: Record<string, string> = {};
    const tables: Record<string, string> = {};
    for (const spec of specs) {
      const role = spec.kind === 'column' && ofColumns.length === 1 ? '' : `_${spec.role}`;
      if (spec.kind === 'column') columns[spec.role] = boundedName(column, `_${kind}${generation}${role}`);
      else tables[spec.role] = quoteQualified(HELPER_SCHEMA, boundedName(kind, `${generation}${role}`));
    }
    if (Object.values(columns).some(name => taken.has(name))) continue;
    for (const name of Object.values(columns)) taken.add(name);
    return { generation, columns, tables };
  }
}

/** Names that the physical table has already; a user's column may not be called like one of ours. */
function takenNames(
  described: DescribedTable,
  policies: readonly ColumnPolicy[],
  previous: LogicalTable | undefined,
): Set<string> {
  const ours = new Set<string>();
  for (const column of previous?.columns ?? [])
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

/** attnums on which uniqueness or a foreign key stands. */
export function columnsOfKeys(described: DescribedTable): Set<number> {
  const columns = new Set<number>();
  for (const constraint of described.constraints)
    if ('puf'.includes(constraint.kind)) for (const attnum of constraint.columns) columns.add(attnum);
  for (const index of described.indexes)
    if (index.unique) for (const attnum of index.columns) if (attnum > 0) columns.add(attnum);
  return columns;
}

/** Key constraints by column numbers; unique indexes without predicate and expressions count as such. */
function keysOf(
  described: DescribedTable,
  table: LogicalTable,
  tableOf: (oid: number) => LogicalTable | undefined,
): readonly KeyConstraint[] {
  const keys: KeyConstraint[] = [];
  for (const { kind, name, columns, references } of described.constraints) {
    if (kind === 'p' || kind === 'u')
      keys.push({ kind: kind === 'p' ? 'primary' : 'unique', name, columns: numbersOf(table, columns) });
    if (kind !== 'f' || references === null) continue;
    const referenced = tableOf(references.table);
    if (referenced === undefined)
      throw new ClarusError('0A000', `foreign key "${name}" refers to a table that Clarus does not know`, {
        constraint: name,
      });
    keys.push({
      kind: 'foreign',
      name,
      columns: numbersOf(table, columns),
      references: { table: referenced.number, columns: numbersOf(referenced, references.columns) },
    });
  }
  for (const index of described.indexes)
    if (index.unique && index.constraint === 0 && index.predicate === null && !index.columns.includes(0))
      keys.push({ kind: 'unique', name: index.name, columns: numbersOf(table, index.columns) });
  return keys;
}

function numbersOf(table: LogicalTable, attnums: readonly number[]): readonly number[] {
  return attnums.map(attnum => {
    const column = table.columns.find(c => c.attnum === attnum);
    if (!column) throw new ClarusError('XX000', `table "${table.name}" has no column with attnum ${attnum}`);
    return column.number;
  });
}
