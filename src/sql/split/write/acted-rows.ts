/**
 * Rows that the actions of foreign keys bring to other partitions: PostgreSQL runs an action as an UPDATE of the partitioned
 * table that has the foreign key, and so the row goes where its new values belong.
 */
import { partitionedAbove } from '../../../catalog/key-tables.js';
import { type ByteColumn, valueAt } from '../../../crypto/column.js';
import { storedColumns, storedValues } from '../../checks/stored.js';
import { generatedColumns } from '../../defaults.js';
import type { Row } from '../../execute/collect.js';
import { fromBinary } from '../../execute/convert.js';
import type { ExecutionServices } from '../../execute/portal.js';
import { newRowIds } from '../../execute/protecting.js';
import type { SessionPort } from '../../ports.js';
import { printingFetched } from '../fetching.js';
import type { BatchServices } from './batch-statement.js';
import { type IdentifiedBatch, mustNotLeaveActions } from './referential-actions.js';
import { boundsOf, moved, placesOf } from './routing.js';

type Services = BatchServices & Pick<ExecutionServices, 'rowIds'>;

/**
 * @param batches what a statement and the actions of foreign keys write; their rows are locked
 * @throws ClarusError 23514 where no partition takes a row, 0A000 where another action would have to follow it there
 */
export async function routeActedRows(
  batches: readonly IdentifiedBatch[],
  session: SessionPort,
  services: Services,
): Promise<readonly IdentifiedBatch[]> {
  const routed: IdentifiedBatch[] = [];
  for (const batch of batches) routed.push(...(await route(batch, session, services)));
  return routed;
}

async function route(
  given: IdentifiedBatch,
  session: SessionPort,
  services: Services,
): Promise<readonly IdentifiedBatch[]> {
  const { batch, rows } = given;
  const { table, kind, columns } = batch;
  const catalog = session.catalog();
  const root = partitionedAbove(table, catalog.tables.values()).at(-1);
  if (kind !== 'update' || !table.bounds || !root) return [given];
  const bounds = await boundsOf(root, session);
  const own = bounds.places.find(place => place.table.number === table.number);
  if (!own || (own.keys && !own.keys.some(key => columns.includes(key)))) return [given];
  const { names, values } = await wholeRows(given, session, services);
  const found = await placesOf(bounds, names, values, session.trusted);
  if (found.every(place => place?.table.number === table.number)) return [given];
  const ids = new Map(batch.ctids.map((ctid, i) => [ctid, rows[i]!]));
  const result: IdentifiedBatch[] = [];
  for (const part of moved(batch, names, values, found, bounds, catalog)) {
    mustNotLeaveActions(part, session);
    const stand = part.kind !== 'insert';
    result.push({
      batch: part,
      rows: stand
        ? Float64Array.from(part.ctids, ctid => ids.get(ctid)!)
        : await newRowIds(part.table, part.values.length, services),
    });
  }
  return result;
}

/** All that the rows hold, with their new values, as text. */
async function wholeRows(
  { batch, rows }: IdentifiedBatch,
  session: SessionPort,
  { registry, context }: Services,
): Promise<{ readonly names: readonly string[]; readonly values: readonly Row[] }> {
  const { table, columns } = batch;
  const generated = await generatedColumns(table, session);
  const all = table.columns.filter(({ name }) => !generated.has(name));
  const standing = all.filter(({ name }) => !columns.includes(name));
  const stored = await storedValues(storedColumns(table, standing, registry), rows, session, context);
  const printing = printingFetched(session, session.client);
  const texts = new Map<string, ByteColumn>();
  for (const { name, number, type } of standing)
    texts.set(name, await fromBinary(stored.get(number)!, type.oid, 0, printing));
  return {
    names: all.map(({ name }) => name),
    values: batch.ctids.map((_, row) =>
      all.map(({ name }) => {
        const at = columns.indexOf(name);
        return at < 0 ? valueAt(texts.get(name)!, row) : batch.values[row]![at]!;
      }),
    ),
  };
}
