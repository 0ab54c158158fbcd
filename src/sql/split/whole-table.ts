/** All rows of a table that a statement is given, as the cloud gives them. */
import type { EncodingContext } from '../../encodings/encoding.js';
import { typeOids } from '../../wire/types.js';
import type { BoundParameters } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { fetchColumns } from './fetch.js';
import type { FetchCount } from './fetch-count.js';
import { GivenColumns, type GivenFetch, travelOf } from './given-columns.js';
import type { NameCheck } from './zone-names.js';

/** All rows of a table, as they come. */
export interface WholeTable {
  readonly rows: GivenColumns;
  /** Takes some. @returns 'large': more than are given at once */
  next(): Promise<'complete' | 'more' | 'large'>;
  close(): void;
}

/** Rows that are asked for first: a look-up has no more. */
const firstStep = 256;
/** Bytes that are given at once. */
const givenBytesMax = 32 * 1024 * 1024;

/** Binds the fetch of a table. */
export async function beginWhole(
  { fetch: plan, columns, travels, table, locks }: GivenFetch,
  bound: BoundParameters,
  session: SessionPort,
  context: EncodingContext,
  how: Parameters<typeof fetchColumns>[6],
  { names, count }: { readonly names: NameCheck | undefined; readonly count: FetchCount },
): Promise<WholeTable> {
  const all = locks ? [...travels, travelOf(typeOids.int8)] : travels;
  const rows = new GivenColumns(all, names);
  const formats = all.map(({ format }) => format);
  const fetched = await fetchColumns(plan, formats, rows, session, context, bound, how);
  session.fetched(table, columns, 0, 0);
  return {
    rows,
    async next() {
      const before = { rows: rows.rows, bytes: rows.bytes };
      const outcome = await fetched.next(count.step(firstStep));
      const more = { rows: rows.rows - before.rows, bytes: rows.bytes - before.bytes };
      session.fetched(table, columns, more.rows, more.bytes);
      count.add(more.rows, more.bytes);
      if (outcome.kind === 'complete') return 'complete';
      return rows.bytes > givenBytesMax ? 'large' : 'more';
    },
    close: () => fetched.close(),
  };
}

/** Reads tables to their ends. @returns undefined: one of them has too many rows */
export async function readAll(tables: readonly WholeTable[]): Promise<readonly GivenColumns[] | undefined> {
  // all are asked at once, which is one round trip
  const states = await allOf(tables.map(table => table.next()));
  for (const [i, table] of tables.entries()) {
    let state = states[i];
    while (state === 'more') state = await table.next();
    if (state === 'large') return undefined;
  }
  return tables.map(({ rows }) => rows);
}

/** Waits for all, also where one fails. @throws what the first that failed failed with */
export async function allOf<T extends readonly unknown[]>(
  work: {
    readonly [K in keyof T]: Promise<T[K]>;
  },
): Promise<T> {
  await Promise.allSettled(work);
  return (await Promise.all(work)) as unknown as T;
}
