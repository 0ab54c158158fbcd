/**
 * Partitions as the targets of writes: which of them takes a row is decided by the trusted PostgreSQL, over the bounds
 * that the shadow schema knows. A row that an UPDATE brings out of its partition is deleted there and inserted into the
 * other, where it is protected anew.
 */
import type { Catalog, LogicalTable } from '../../../catalog/catalog.js';
import { partitionedAbove } from '../../../catalog/key-tables.js';
import { quoteName } from '../../../catalog/quote.js';
import { heirsOf } from '../../../catalog/trees.js';
import { columnOf } from '../../../crypto/column.js';
import { ClarusError } from '../../../errors.js';
import { arrayOf } from '../../../wire/arrays.js';
import { typeOids } from '../../../wire/types.js';
import { outOfBounds } from '../../client-error.js';
import { generatedColumns } from '../../defaults.js';
import type { ComputedWrites } from '../../execute/bodies.js';
import { collect, type Row } from '../../execute/collect.js';
import { statement } from '../../execute/convert.js';
import type { SessionPort, StatementPort } from '../../ports.js';
import { columnTypes } from '../delivery.js';
import type { CloudWrites, RowsToWrite } from './cloud-writes.js';

/**
 * Brings what a statement writes to the partitions that take it.
 * @param targets names of the tables that the statement writes
 * @param command that may write a row once only
 * @throws ClarusError 23514 where no partition takes a row; 0A000 where ON CONFLICT DO UPDATE would bring one elsewhere
 */
export async function routeWrites(
  writes: CloudWrites,
  targets: readonly string[],
  command: ComputedWrites['once'] | undefined,
  session: SessionPort,
): Promise<void> {
  if (!writes.batches.some(({ table }) => table.partitioned || table.bounds)) return;
  const routed: RowsToWrite[] = [];
  for (const batch of writes.batches) {
    for (const found of await route(batch, writes, targets, command, session)) routed.push(found);
  }
  writes.reroute(routed);
}

async function route(
  batch: RowsToWrite,
  writes: CloudWrites,
  targets: readonly string[],
  command: ComputedWrites['once'] | undefined,
  session: SessionPort,
): Promise<readonly RowsToWrite[]> {
  const { kind, table, columns } = batch;
  if (kind === 'delete' || (kind === 'insert' && !table.partitioned && table.bounds !== 'trusted'))
    return [batch];
  if (!table.partitioned && !table.bounds) return [batch];
  const named = kind === 'insert' ? table : targetOf(table, targets, session.catalog());
  const bounds = await boundsOf(named, session);
  if (kind === 'insert')
    return inserted(batch, await placesOf(bounds, columns, batch.values, session.trusted), bounds);
  const own = bounds.places.find(place => place.table.number === table.number);
  if (!own || (own.keys && !own.keys.some(key => columns.includes(key)))) return [batch];
  const generated = await generatedColumns(table, session);
  const all = table.columns.map(({ name }) => name).filter(name => !generated.has(name));
  const whole = batch.ctids.map((ctid, i) =>
    writes.fetched(table).values(ctid, all, new Map(columns.map((name, k) => [name, batch.values[i]![k]!]))),
  );
  const found = await placesOf(bounds, all, whole, session.trusted);
  if (command === 'ON CONFLICT DO UPDATE' && found.some(place => place?.table.number !== table.number))
    throw conflictMoves();
  return moved(batch, all, whole, found, bounds, session.catalog());
}

/** The table by which a statement means a partition. */
function targetOf(table: LogicalTable, targets: readonly string[], catalog: Catalog): LogicalTable {
  const named = [...catalog.tables.values()].filter(
    one =>
      targets.includes(`${one.schema}.${one.name}`) &&
      (one.number === table.number || heirsOf(catalog, one).some(heir => heir.number === table.number)),
  );
  const [found, ...more] = named;
  if (!found || more.length > 0)
    throw new ClarusError('0A000', `one statement writes partition "${table.name}" by several names`, {
      hint: 'Write it by one name, or in several statements.',
    });
  return found;
}

/** A table of a tree, and which rows it takes. */
export interface Place {
  readonly table: LogicalTable;
  /** null: any */
  readonly condition: string | null;
  /** names of the columns that decide it; null: expressions do */
  readonly keys: readonly string[] | null;
}

/** Which rows the tables of a tree take. */
export interface Bounds {
  readonly named: LogicalTable;
  /** the named table and all below it, the deepest first */
  readonly places: readonly Place[];
  /** types of their columns by name */
  readonly types: ReadonlyMap<string, string>;
}

const boundsQuery = `
SELECT c.oid::pg_catalog.text, pg_catalog.pg_get_partition_constraintdef(c.oid),
  (SELECT CASE WHEN pg_catalog.bool_and(u.k <> 0) THEN pg_catalog.array_to_json(pg_catalog.array_agg(a.attname)) END
     FROM pg_catalog.pg_partition_ancestors(c.oid) s
       JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = s.relid AND s.relid <> c.oid
       CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::pg_catalog.int2[]) u (k)
       LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = s.relid AND a.attnum = u.k)::pg_catalog.text,
  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_ancestors(c.oid))::pg_catalog.text
FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])`;

/** @param named the table by which rows are written */
export async function boundsOf(named: LogicalTable, session: SessionPort): Promise<Bounds> {
  const tables = new Map(
    [named, ...heirsOf(session.catalog(), named)].map(table => [String(table.oid), table]),
  );
  const list = Buffer.from(`{${[...tables.keys()].join()}}`);
  const rows = await collect(session.trusted, statement(boundsQuery, []), [list], [0], []);
  const found = rows
    .map(row => row.map(field => (field === null ? null : Buffer.from(field).toString())))
    .map(([oid, condition, keys, depth]) => ({
      table: tables.get(oid!)!,
      condition: condition ?? null,
      keys: keys === null ? null : (JSON.parse(keys!) as readonly string[]),
      depth: Number(depth),
    }));
  return {
    named,
    places: found.sort((a, b) => b.depth - a.depth),
    types: await columnTypes(named, session),
  };
}

/** Names of the columns that bounds read; undefined: they may read any. */
export const keysOf = ({ places }: Pick<Bounds, 'places'>): ReadonlySet<string> | undefined =>
  places.some(({ keys }) => keys === null) ? undefined : new Set(places.flatMap(({ keys }) => keys ?? []));

/**
 * The deepest table that takes each row; undefined: not even the named one.
 * @param columns of the rows
 * @param rows values in text form
 * @param trusted where the bounds are asked
 */
export async function placesOf(
  { named, places: all, types }: Bounds,
  columns: readonly string[],
  rows: readonly Row[],
  trusted: StatementPort,
): Promise<readonly (Place | undefined)[]> {
  if (rows.length === 0) return [];
  const keys = keysOf({ places: all });
  const asked = columns.flatMap((name, i) => (keys === undefined || keys.has(name) ? [{ name, i }] : []));
  const cases = all.map(({ condition }, i) => `WHEN (${condition ?? 'true'}) THEN ${i}`);
  const given = named.columns.map(({ name }) => {
    const at = asked.findIndex(column => column.name === name);
    return `${at < 0 ? 'NULL' : `u.c${at}`}::${types.get(name)} AS ${quoteName(name)}`;
  });
  const arrays = asked.map((_, i) => `pg_catalog.unnest($${i + 1}::pg_catalog.text[])`);
  const series = `pg_catalog.generate_series(1, $${asked.length + 1}::pg_catalog.int4)`;
  const names = [...asked.map((_, i) => `c${i}`), 'clarus_series', 'clarus_place'];
  const sql = `SELECT CASE ${cases.join(' ')} END::pg_catalog.text FROM (SELECT ${given.join(', ')}, u.clarus_place
    FROM ROWS FROM (${[...arrays, series].join(', ')}) WITH ORDINALITY AS u (${names.join(', ')})) AS x ORDER BY x.clarus_place`;
  const values = asked.map(({ i }) => arrayOf(columnOf(rows.map(row => row[i]!)), typeOids.text));
  const found = await collect(
    trusted,
    statement(sql, []),
    [...values, Buffer.from(String(rows.length))],
    [...asked.map(() => 1 as const), 0],
    [],
  );
  return found.map(([place]) => (place ? all[Number(Buffer.from(place).toString())] : undefined));
}

/**
 * The partition that takes a row.
 * @param found the deepest table that does
 * @throws ClarusError 23514 where none does
 */
export function partitionOf(found: Place | undefined, { named }: Bounds): LogicalTable {
  if (!found) throw named.bounds ? outside(named) : noPartition(named);
  if (found.table.partitioned) throw noPartition(found.table);
  return found.table;
}

/** Rows of an INSERT, by the partitions that take them. */
function inserted(
  batch: RowsToWrite,
  found: readonly (Place | undefined)[],
  bounds: Bounds,
): readonly RowsToWrite[] {
  const batches = new Map<LogicalTable, Row[]>();
  for (const [i, place] of found.entries()) {
    const table = partitionOf(place, bounds);
    const rows = batches.get(table);
    if (rows) rows.push(batch.values[i]!);
    else batches.set(table, [batch.values[i]!]);
  }
  return [...batches].map(([table, values]) => ({ ...batch, table, values }));
}

/** Rows of an UPDATE: those that stay, and those that go elsewhere. */
export function moved(
  batch: RowsToWrite,
  columns: readonly string[],
  whole: readonly Row[],
  found: readonly (Place | undefined)[],
  bounds: Bounds,
  catalog: Catalog,
): readonly RowsToWrite[] {
  const stays = (i: number): boolean => found[i]?.table.number === batch.table.number;
  const pick = <T>(items: readonly T[], keep: boolean): T[] => items.filter((_, i) => stays(i) === keep);
  const gone: RowsToWrite = {
    kind: 'delete',
    table: batch.table,
    columns: [],
    ctids: pick(batch.ctids, false),
    values: [],
    leaves: true,
  };
  if (gone.ctids.length > 0) mustMayLeave(batch.table, bounds.named, catalog);
  const arriving = inserted(
    { kind: 'insert', table: batch.table, columns, ctids: [], values: pick(whole, false) },
    pick(found, false),
    bounds,
  );
  const left = { ...batch, ctids: pick(batch.ctids, true), values: pick(batch.values, true) };
  return [left, ...(gone.ctids.length > 0 ? [gone] : []), ...arriving].filter(
    ({ ctids, values }) => ctids.length + values.length > 0,
  );
}

/**
 * @param named the table by which the rows are written
 * @throws ClarusError 0A000 where a foreign key refers to a table between a partition that rows leave and the named one
 *   (ExecCrossPartitionUpdateForeignKey of nodeModifyTable.c)
 */
export function mustMayLeave(table: LogicalTable, named: LogicalTable, catalog: Catalog): void {
  const above = partitionedAbove(table, catalog.tables.values());
  const between = above.slice(
    0,
    Math.max(
      0,
      above.findIndex(({ number }) => number === named.number),
    ),
  );
  for (const one of between)
    for (const other of catalog.tables.values())
      if (other.keys.some(({ references }) => references?.table === one.number))
        throw new ClarusError(
          '0A000',
          'cannot move tuple across partitions when a non-root ancestor of the source partition is directly referenced in a foreign key',
          {
            detail: `A foreign key points to ancestor "${one.name}" but not the root ancestor "${named.name}".`,
            hint: `Consider defining the foreign key on table "${named.name}".`,
          },
        );
}

/** ExecCrossPartitionUpdate of nodeModifyTable.c */
export const conflictMoves = (): ClarusError =>
  new ClarusError('0A000', 'invalid ON UPDATE specification', {
    detail: 'The result tuple would appear in a different partition than the original tuple.',
  });

const fields = ({ schema, name }: LogicalTable) => ({ schema, table: name });

const outside = (table: LogicalTable): ClarusError =>
  new ClarusError('23514', outOfBounds(table.name), fields(table));

/** ExecFindPartition of execPartition.c */
const noPartition = (table: LogicalTable): ClarusError =>
  new ClarusError('23514', `no partition of relation "${table.name}" found for row`, fields(table));
