/** UPDATE and DELETE of one table whose rows are given. */
import { columnOf, valueAt } from '../../../crypto/column.js';
import type { SplitBody } from '../../execute/bodies.js';
import { fieldsAt, type Row } from '../../execute/collect.js';
import { convert } from '../../execute/conversion.js';
import type { Bound } from '../../execute/portal.js';
import type { OutcomeListener, ResidualPort, RowSink } from '../../ports.js';
import { CloudRows, type SplitServices } from '../cloud-rows.js';
import { textOf } from '../exact-arithmetic.js';
import type { GivenColumns } from '../given-columns.js';
import { fetchParameters, type GivenTable, needsCarrier } from '../given-table.js';
import { bindGiven } from '../portal.js';
import type { Candidates } from './candidates.js';
import { CloudWrites } from './cloud-writes.js';
import { flushWrites, startUpdate } from './flush.js';
import { isReadOnly, readOnly, saidOf } from './read-only.js';
import { lockRows } from './row-locks.js';

/**
 * What became of the statement: it is done; it is on its way, and the listener hears how it ends; it is to begin anew.
 */
export type GivenWrite =
  | { readonly kind: 'done'; readonly rows: number }
  | { readonly kind: 'pipelined' }
  | { readonly kind: 'anew' };

/**
 * @param candidates are told what there was to lock
 * @param listener may hear how it ends
 */
export async function writeGiven(
  ...[given, body, bound, residual, services, candidates, listener]: Parameters<typeof write>
): Promise<GivenWrite> {
  try {
    return await write(given, body, bound, residual, services, candidates, listener);
  } catch (error) {
    // PreventCommandIfReadOnly of utility.c says it of the query that locks
    throw saidOf(bound.plan.command, error);
  }
}

async function write(
  given: GivenTable,
  body: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  candidates: Candidates | undefined,
  listener: OutcomeListener,
): Promise<GivenWrite> {
  const { session } = bound;
  const { table, columns, locks } = given;
  const writes = new CloudWrites(false, new Map());
  const shows = { shown: body.shown, apart: body.apart, bound: bound.bound };
  const source = new CloudRows(session, services, shows, writes);
  const rows = await source.whole(given, fetchParameters(given, bound.bound));
  if (!rows) {
    needsCarrier(body);
    return { kind: 'anew' };
  }
  if (!locks) writes.fetched(table).note(rows.places(0), rows.transactions(1));
  // without rows too: what is wrong with constants PostgreSQL says when it plans
  const count =
    evaluate(given, bound, rows, writes) ?? (await compute(given, body, bound, residual, rows, writes));
  if (count === 0) {
    // a lock says the same, where there is something to lock
    if (!locks && (await isReadOnly(session))) throw readOnly(bound.plan.command, undefined);
    return { kind: 'done', rows: 0 };
  }
  const choose = locks ? undefined : candidates?.look(writes.batches, writes);
  const locked = locks
    ? new Map([[writes.batches[0]!, identified(rows, columns.length)]])
    : await lockRows(writes, session);
  if (!locked) {
    await choose?.();
    return { kind: 'anew' };
  }
  if (await startUpdate(writes, locked, session, services, listener)) return { kind: 'pipelined' };
  await flushWrites(writes, locked, session, services);
  return { kind: 'done', rows: count };
}

/** @returns number of rows to write */
async function compute(
  given: GivenTable,
  { localised }: SplitBody,
  bound: Bound,
  residual: ResidualPort,
  rows: GivenColumns,
  writes: CloudWrites,
): Promise<number> {
  let count = 0;
  const sink: RowSink = {
    rows(computed) {
      for (let i = 0; i < computed.count; i++) {
        const [ctid, ...values] = fieldsAt(computed.buffer, computed.starts[i]!);
        if (put(given, Buffer.from(ctid!).toString(), values, writes)) count++;
      }
    },
  };
  await residual.given(localised, port => bindGiven(given, rows, bound, [0], port).execute(0, sink));
  return count;
}

/**
 * Works out here what is to be written.
 * @returns number of rows to write; undefined: PostgreSQL has to do it, and nothing has been done
 */
function evaluate(
  given: GivenTable,
  { bound, session }: Bound,
  rows: GivenColumns,
  writes: CloudWrites,
): number | undefined {
  const { evaluated, columns } = given;
  if (!evaluated) return undefined;
  const parameters: (Uint8Array | null)[] = [];
  for (const { place, type } of evaluated.flatMap(e => e.parameters)) {
    const target = { oid: type, modifier: -1 };
    const read = convert(columnOf([bound.values[place]]), bound.formats[place] ?? 0, target, session);
    if (read.unsure.length > 0) return undefined;
    parameters[place] = valueAt(read.column, 0);
  }
  const values = columns.map((_, i) => rows.values(i));
  const computed: Row[] = [];
  for (let row = 0; row < rows.rows; row++) {
    const of = {
      column: (place: number) => values[place]![row]!,
      parameter: (place: number) => parameters[place]!,
    };
    const texts: (Uint8Array | null)[] = [];
    for (const one of evaluated) {
      const value = one.evaluate(of);
      if (value === undefined) return undefined;
      texts.push(value && textOf(value));
    }
    computed.push(texts);
  }
  const places = rows.places(0);
  return computed.filter((texts, i) => put(given, places[i]!, texts, writes)).length;
}

/** @returns false: the statement has written the row already */
const put = ({ table, assigned }: GivenTable, ctid: string, values: Row, writes: CloudWrites): boolean =>
  assigned.length > 0 ? writes.update(table, assigned, ctid, values) : writes.delete(table, ctid);

/** Row ids by ctid. */
function identified(rows: GivenColumns, column: number): ReadonlyMap<string, number> {
  const ids = rows.rowIds(column);
  return new Map(rows.places(0).map((ctid, i) => [ctid, ids[i]!]));
}
