/**
 * Compares rows by an EXCLUDE constraint: one query of the trusted PostgreSQL over the columns of both sides as arrays. Rows
 * with a NULL key conflict with none, for no operator holds of it, and rows that do not meet the predicate with none either.
 */
import { columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { arrayOf } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import { type CheckedValues, rowsOver } from '../checks/broken.js';
import type { ColumnTypes } from '../checks/table-checks.js';
import { collect, type Row } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import type { SessionPort } from '../ports.js';
import { readingOf } from '../settings.js';
import type { Comparison } from './write.js';

/** Rows as columns in binary form, by column number. */
export interface Rows {
  readonly values: CheckedValues;
  readonly count: number;
}

/** Two rows that conflict. */
export interface Conflict {
  /** the later one: place among the rows that are looked at */
  readonly row: number;
  /** the one that is there: place among the others */
  readonly other: number;
  /** their keys as they print for the client */
  readonly keys: readonly (string | null)[];
  readonly otherKeys: readonly (string | null)[];
}

/** Name of the column that counts rows, beside those of users. */
const PLACE = 'clarus_place';

/**
 * Which rows conflict with rows that are there?
 * @param gone for each of these the place of the row by whose writing it goes, or gets other values; null: it stays
 * @param all for each row the first that it conflicts with; else only for the first row that does
 */
export async function conflictsWith(
  comparison: Comparison,
  of: ColumnTypes,
  rows: Rows,
  others: Rows,
  gone: readonly (number | null)[],
  all: boolean,
  session: SessionPort,
): Promise<readonly Conflict[]> {
  if (rows.count === 0 || others.count === 0) return [];
  const { keys, columns } = comparison;
  const mine = await relation(comparison, of, rows, 1, session);
  const theirs = await relation(comparison, of, others, columns.length + 1, session);
  const stays = `$${2 * columns.length + 1}`;
  const sql = `WITH n AS MATERIALIZED (${mine.sql}), e AS MATERIALIZED (${theirs.sql})
    SELECT ${all ? 'DISTINCT ON (n.place) ' : ''}n.place, e.place, ${shown(keys)} FROM n JOIN e ON ${conflict(comparison)}
       AND coalesce((${stays}::pg_catalog.int8[])[e.place] > n.place, true)
     ORDER BY n.place, e.place${all ? '' : ' LIMIT 1'}`;
  const goes = arrayOf(columnOf(gone.map(int8)), typeOids.int8);
  return ask(sql, [...mine.arrays, ...theirs.arrays, goes], keys.length, session);
}

/**
 * Which of some rows conflict with each other?
 * @param pairs `later`: each of them with those before it; `first`: the first of them that conflicts, with whichever
 * @param all all pairs; else the first alone
 */
export async function conflictsAmong(
  comparison: Comparison,
  of: ColumnTypes,
  rows: Rows,
  pairs: 'later' | 'first',
  all: boolean,
  session: SessionPort,
): Promise<readonly Conflict[]> {
  if (rows.count < 2) return [];
  const { keys } = comparison;
  const mine = await relation(comparison, of, rows, 1, session);
  const sql = `WITH n AS MATERIALIZED (${mine.sql})
    SELECT n.place, e.place, ${shown(keys)} FROM n JOIN n AS e ON ${conflict(comparison)}
       AND e.place ${pairs === 'later' ? '<' : '<>'} n.place ORDER BY n.place, e.place${all ? '' : ' LIMIT 1'}`;
  return ask(sql, mine.arrays, keys.length, session);
}

async function relation(
  { keys, predicate, columns }: Comparison,
  of: ColumnTypes,
  { values, count }: Rows,
  first: number,
  session: SessionPort,
): Promise<{ readonly sql: string; readonly arrays: readonly Uint8Array[] }> {
  const { from, arrays } = await rowsOver(columns, of, values, count, session, { first, place: PLACE });
  const named = keys.map((key, i) => `${key} AS k${i}`);
  const where = predicate === undefined ? '' : ` WHERE ${predicate}`;
  return { sql: `SELECT ${named.join(', ')}, ${PLACE} AS place ${from}${where}`, arrays };
}

/** The key that is there stands on the left (check_exclusion_or_unique_constraint of execIndexing.c). */
const conflict = ({ operators }: Comparison): string =>
  operators.map((operator, i) => `e.k${i} ${operator} n.k${i}`).join(' AND ');

const shown = (keys: readonly string[]): string =>
  [...keys.map((_, i) => `n.k${i}`), ...keys.map((_, i) => `e.k${i}`)].join(', ');

async function ask(
  sql: string,
  parameters: Row,
  keys: number,
  session: SessionPort,
): Promise<readonly Conflict[]> {
  const query = statement(
    sql,
    parameters.map(() => 0),
    readingOf(session.settings),
  );
  const found = await collect(
    session.trusted,
    query,
    parameters,
    parameters.map(() => 1),
    [0],
  );
  return found.map(row => {
    const [place, other, ...values] = row.map(field => (field ? Buffer.from(field).toString() : null));
    return {
      row: Number(place) - 1,
      other: Number(other) - 1,
      keys: values.slice(0, keys),
      otherKeys: values.slice(keys),
    };
  });
}

/** @param place from 0 */
function int8(place: number | null): Uint8Array | null {
  if (place === null) return null;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(place + 1));
  return bytes;
}

/** Rows one after the other. */
export function together(all: readonly Rows[]): Rows {
  const numbers = [...new Set(all.flatMap(({ values }) => [...values.keys()]))];
  const joined = numbers.map((number): readonly [number, PlainColumn] => {
    const fields = all.flatMap(({ values, count }) =>
      Array.from({ length: count }, (_, i) => valueAt(values.get(number)!, i)),
    );
    return [number, plain(columnOf(fields))];
  });
  return { values: new Map(joined), count: all.reduce((sum, { count }) => sum + count, 0) };
}
