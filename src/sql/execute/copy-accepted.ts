/**
 * ON_ERROR ignore: which rows of COPY data hold values of their columns' types. Errors of a type's input function that
 * PostgreSQL calls soft leave a row out (InputFunctionCallSafe of fmgr.c); of others the COPY dies.
 */
import { columnOf, valueAt } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { arrayOf } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { readingOf } from '../settings.js';
import { collect, fieldsAt } from './collect.js';
import type { Converted } from './conversion.js';
import { statement, type TargetType, typeNameOf } from './convert.js';

/** A row that is left out, because of the value of a column. */
export interface UnacceptedRow {
  readonly row: number;
  /** place of the column among those of the data */
  readonly column: number;
}

/**
 * Asks the trusted PostgreSQL about the values of which no codec is sure: row by row, each row up to its first value that is
 * none of its column's.
 * @param columns of the data, in order
 * @returns the rows that are left out, up to the first row with an error that is not soft
 */
export async function unaccepted(
  columns: readonly Converted[],
  session: SessionPort,
): Promise<{
  readonly rows: readonly UnacceptedRow[];
  readonly hard: { readonly row: number; readonly error: unknown } | undefined;
}> {
  const places = [...new Set(columns.flatMap(({ unsure }) => unsure))].sort((a, b) => a - b);
  if (places.length === 0) return { rows: [], hard: undefined };
  const { sql, arrays } = await question(columns, places, session);
  const { residual, trusted } = session;
  const ask = (port: StatementPort): Promise<Answers> => answers(sql, arrays, session, port);
  // an error there does no harm to the session's transaction; but that knows its own new types alone
  const found = await (residual && !residual.changesSchema ? residual.alone(false, ask) : ask(trusted));
  const rows = found.columns.flatMap((column, i) => (column < 0 ? [] : [{ row: places[i]!, column }]));
  if (found.error === undefined) return { rows, hard: undefined };
  if (!residual || residual.changesSchema) throw found.error;
  return { rows, hard: { row: places[found.columns.length]!, error: found.error } };
}

/** `SELECT` the number of the first column whose value is refused, or -1, for each row. */
async function question(
  columns: readonly Converted[],
  places: readonly number[],
  session: SessionPort,
): Promise<{ readonly sql: string; readonly arrays: readonly Uint8Array[] }> {
  const arrays: Uint8Array[] = [];
  const cases: string[] = [];
  const refusing = (
    values: readonly (Uint8Array | null)[],
    valid: (value: string) => string,
    column: number,
  ) => {
    const value = `u.c${arrays.length}`;
    arrays.push(arrayOf(columnOf(values), typeOids.text));
    cases.push(`WHEN ${value} IS NOT NULL AND NOT ${valid(value)} THEN ${column}`);
  };
  for (const [column, { from, to, unsure }] of columns.entries()) {
    if (unsure.length === 0) continue;
    const among = new Set(unsure);
    const type = await inputTypeName(to, session);
    const values = places.map(place => (among.has(place) ? valueAt(from, place) : null));
    refusing(values, value => `pg_catalog.pg_input_is_valid(${value}, ${literal(type)})`, column);
    const nulls = places.map((place, i) => (among.has(place) && values[i] === null ? yes : null));
    if (nulls.every(is => is === null)) continue;
    mustReadNull(session);
    // a domain may refuse NULL, and the function returns NULL for it; but not for an element
    refusing(nulls, () => `pg_catalog.pg_input_is_valid('{NULL}', ${literal(`${type}[]`)})`, column);
  }
  const unnested = arrays.map((_, i) => `pg_catalog.unnest($${i + 1}::pg_catalog.text[])`);
  const names = arrays.map((_, i) => `c${i}`);
  const sql = `SELECT CASE ${cases.join(' ')} ELSE -1 END FROM ROWS FROM (${unnested.join(', ')}) AS u (${names.join(', ')})`;
  return { sql, arrays };
}

const yes = Buffer.from('t');

/** What was answered, up to an error. */
interface Answers {
  readonly columns: readonly number[];
  readonly error: unknown;
}

async function answers(
  sql: string,
  arrays: readonly Uint8Array[],
  session: SessionPort,
  port: StatementPort,
): Promise<Answers> {
  const columns: number[] = [];
  const query = statement(
    sql,
    arrays.map(() => 0),
    readingOf(session.settings),
  );
  const outcome = port.bind(query, arrays, { parameters: arrays.map(() => 1), results: [0] }).execute(0, {
    rows({ buffer, starts, count }): void {
      for (let i = 0; i < count; i++) {
        const [column] = fieldsAt(buffer, starts[i]!);
        columns.push(Number(Buffer.from(column ?? []).toString()));
      }
    },
  });
  port.flush();
  try {
    await outcome;
    return { columns, error: undefined };
  } catch (error) {
    // rows before the one with the error have come
    return { columns, error };
  }
}

const nameQuery = statement('SELECT pg_catalog.format_type($1::pg_catalog.oid, $2::pg_catalog.int4)', [
  typeOids.oid,
  typeOids.int4,
]);

/** A type with its modifier, as `pg_input_is_valid` takes it. */
async function inputTypeName({ oid, modifier }: TargetType, session: SessionPort): Promise<string> {
  if (modifier < 0) return typeNameOf(oid, session);
  const parameters = [Buffer.from(String(oid)), Buffer.from(String(modifier))];
  const [row] = await collect(session.trusted, nameQuery, parameters, [0, 0], [0]);
  return Buffer.from(row?.[0] ?? []).toString();
}

const literal = (text: string): string =>
  `${text.includes('\\') ? ' E' : ''}'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

/** @throws ClarusError 0A000 where NULL is a string in the text of an array */
function mustReadNull({ settings }: SessionPort): void {
  if (settings.arrayNulls) return;
  throw new ClarusError('0A000', 'ON_ERROR ignore is not answered while array_nulls is off', {
    detail: 'The data hold a NULL for a column of a domain.',
    hint: 'SET array_nulls = on.',
  });
}
