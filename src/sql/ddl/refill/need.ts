/** Which protected columns of a table that holds rows get new values or new forms by a statement. */
import {
  type ColumnEncoding,
  computedColumns,
  type LogicalColumn,
  type LogicalTable,
} from '../../../catalog/catalog.js';
import type { DescribedTable } from '../../../catalog/description.js';
import { listingOf } from '../../../catalog/protection.js';
import { quoteQualified } from '../../../catalog/quote.js';
import { ClarusError } from '../../../errors.js';
import { joinName } from '../../../policy/names.js';
import type { Policy } from '../../../policy/policy.js';
import { keySql } from '../../checks/generated.js';
import { type DefaultExpression, type Defaults, defaultsOf } from '../../defaults.js';
import { FIRST_USER_OID } from '../../functions.js';
import type { SessionPort } from '../../ports.js';
import { columnRef, type RawNode } from '../../raw/node.js';
import { parseExpression } from '../../raw/parse.js';
import { readerOn } from '../../reading.js';
import { keepsSnapshot } from '../../snapshots.js';
import type { ChangedTable } from '../changed-table.js';
import type { Conversions } from '../table-checks.js';

/** Where the values of a column come from. */
export type RefillSource =
  /** they stay as they are */
  | { readonly kind: 'value'; readonly of: LogicalColumn }
  /** they are computed from the columns as they were */
  | { readonly kind: 'conversion'; readonly tree: RawNode }
  /** a new column has its default */
  | ({ readonly kind: 'default' } & DefaultExpression);

/** A protected column, as the statement leaves it, with the forms that are to be written. */
export interface RefilledColumn {
  readonly column: LogicalColumn;
  readonly encodings: readonly ColumnEncoding[];
  readonly source: RefillSource;
}

/** What the rows of one table get. */
export interface Refill {
  readonly before: { readonly table: LogicalTable; readonly described: DescribedTable };
  readonly table: LogicalTable;
  readonly columns: readonly RefilledColumn[];
}

/**
 * Finds out for each table that changes; what holds rows is locked.
 * @param conversions what USING says
 * @returns by the table's OID
 * @throws ClarusError 55000 for a change of protection that no statement makes over rows
 */
export async function refillsOf(
  changed: readonly ChangedTable[],
  conversions: Conversions | undefined,
  session: SessionPort,
): Promise<ReadonlyMap<number, Refill>> {
  const refills = new Map<number, Refill>();
  for (const { before, after } of changed) {
    if (!before || !after) continue;
    const error = neededEmpty(before.table, after.table, session.catalog().policy);
    const concerned = columnsConcerned(before.table, after);
    const anyKey = computedColumns(after.table).some(key => !isKnown(before.table, key));
    if ((!error && concerned.length === 0 && !anyKey) || !(await mayHoldRows(session, before.table)))
      continue;
    if (error) throw error;
    const using = conversions?.table === after.table.oid ? conversions.protected : new Map();
    const keys = keysConcerned(before, after);
    const columns = [...(await withSources(concerned, after, using, session)), ...keys];
    if (columns.length > 0) refills.set(after.table.oid, { before, table: after.table, columns });
  }
  return refills;
}

/** A column that lacks forms in the rows that stand. */
interface Concerned extends Pick<RefilledColumn, 'column' | 'encodings'> {
  readonly old: LogicalColumn | undefined;
}

/** A new column without a default has no value in them. */
function columnsConcerned(
  before: LogicalTable,
  { table, described }: NonNullable<ChangedTable['after']>,
): readonly Concerned[] {
  return table.columns.flatMap((column): Concerned[] => {
    const old = before.columns.find(({ attnum }) => attnum === column.attnum);
    const encodings = (column.protection?.encodings ?? []).filter(
      ({ encoded }) => !has(old, encoded.generation),
    );
    const own = described.columns.find(({ attnum }) => attnum === column.attnum);
    const filled = old || own?.default != null || own?.identity || column.type.oid >= FIRST_USER_OID;
    return encodings.length > 0 && filled ? [{ column, encodings, old }] : [];
  });
}

const isKnown = (table: LogicalTable, { number }: LogicalColumn): boolean =>
  computedColumns(table).some(column => column.number === number);

/** What new unique indexes stand on. */
function keysConcerned(
  before: NonNullable<ChangedTable['before']>,
  { table, described }: NonNullable<ChangedTable['after']>,
): readonly RefilledColumn[] {
  return (table.computedKeys ?? []).flatMap(({ index, keys }) => {
    if (keys.every(column => typeof column === 'number' || isKnown(before.table, column))) return [];
    const said = described.indexes.find(({ oid }) => oid === index)!;
    // one that was there has been made anew, because columns that it reads get other values
    if (before.described.indexes.some(({ name }) => name === said.name))
      throw new ClarusError(
        '0A000',
        `what the unique index "${said.name}" of table "${table.name}" reads cannot be altered so`,
        {
          detail:
            'What the index stands on would have to be computed of values that the same statement computes.',
          hint: 'Drop the index, alter the table, and make the index again.',
          table: table.name,
          constraint: said.name,
        },
      );
    return keys.flatMap((column, i): RefilledColumn[] => {
      if (typeof column === 'number' || isKnown(before.table, column)) return [];
      const tree = parseExpression(keySql(said.keys![i]!.sql, said.predicate ?? ''));
      return [{ column, encodings: column.protection!.encodings, source: { kind: 'conversion', tree } }];
    });
  });
}

async function withSources(
  concerned: readonly Concerned[],
  { table, described }: NonNullable<ChangedTable['after']>,
  using: ReadonlyMap<string, RawNode>,
  session: SessionPort,
): Promise<readonly RefilledColumn[]> {
  const isNew = concerned.some(({ old }) => old === undefined);
  const defaults: Defaults = isNew ? await defaultsOf(table, session) : new Map();
  return concerned.flatMap(({ column, encodings, old }): RefilledColumn[] => {
    if (old && old.number === column.number)
      return [{ column, encodings, source: { kind: 'value', of: old } }];
    const own = described.columns.find(({ attnum }) => attnum === column.attnum);
    if (column.generatedFrom && own?.default != null)
      return [{ column, encodings, source: { kind: 'conversion', tree: parseExpression(own.default) } }];
    if (old) {
      const tree = using.get(old.name) ?? columnRef(old.name);
      return [{ column, encodings, source: { kind: 'conversion', tree } }];
    }
    const found = defaults.get(column.attnum);
    return found ? [{ column, encodings, source: { kind: 'default', ...found } }] : [];
  });
}

/** Generations are given once in a catalogue. */
const has = (column: LogicalColumn | undefined, generation: number): boolean =>
  column?.protection?.encodings.some(({ encoded }) => encoded.generation === generation) ?? false;

/**
 * Locks the physical table, so that nothing is written between the look and the change, and looks. A transaction that
 * keeps its snapshot does not see every row.
 */
export async function mayHoldRows(session: SessionPort, { physical }: LogicalTable): Promise<boolean> {
  const name = quoteQualified(physical.schema, physical.name);
  await session.cloud.run(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`);
  if (await keepsSnapshot(session)) return true;
  const [row] = await readerOn(session.cloud)(`SELECT EXISTS (SELECT FROM ${name})`, []);
  return row?.[0] === 't';
}

/** What is sealed or opened where it stands goes through `clarus copy`: what was in the clear must not stay behind. */
function neededEmpty(before: LogicalTable, after: LogicalTable, policy: Policy): ClarusError | undefined {
  const name = joinName([before.schema, before.name]);
  const fields = { schema: before.schema, table: before.name };
  if (before.state === 'open' && after.state === 'protected')
    return new ClarusError('55000', `table ${name} holds unprotected rows`, {
      hint: hintForOpen(name, before, after, policy),
      ...fields,
    });
  for (const column of after.columns) {
    const old = before.columns.find(({ attnum }) => attnum === column.attnum);
    if (old && (old.protection === undefined) !== (column.protection === undefined))
      return new ClarusError(
        '55000',
        `table ${name} holds rows, so the protection of "${column.name}" cannot change here`,
        {
          hint: `Columns are made protected or open while a table is empty: copy the rows of ${name} into a new table.`,
          column: column.name,
          ...fields,
        },
      );
  }
  return undefined;
}

/** A table in the clear would get a column that is not. */
function hintForOpen(name: string, before: LogicalTable, after: LogicalTable, policy: Policy): string {
  const [added] = after.columns.filter(
    ({ attnum, protection }) => protection && !before.columns.some(column => column.attnum === attnum),
  );
  const listing = listingOf(policy, after);
  if (!added || !listing)
    return `This version changes the protection of empty tables only: list ${name} in clarus.yaml as it should be, stop Clarus and run "clarus copy ${name}".`;
  const column = joinName([added.name]);
  const toEncrypt = `stop Clarus, add the column in the cloud itself and run "clarus copy ${name}"`;
  return listing.columns.some(one => one.name === added.name)
    ? `The policy encrypts column ${column}: ${toEncrypt}.`
    : `The policy does not name column ${column}, so it would be encrypted: add "${column}: { protect: none }" under ${joinName([listing.schema, listing.name])} in clarus.yaml and restart Clarus. To encrypt it, ${toEncrypt}.`;
}
