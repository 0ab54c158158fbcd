/** A condition over the values of one row, which the trusted PostgreSQL evaluates over the columns of a batch. */
import { quoteName } from '../../catalog/quote.js';
import { typeOids } from '../../wire/types.js';
import { fieldsAt } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { readingOf } from '../settings.js';
import { type CheckedValues, rowsOver } from './broken.js';
import type { RowCondition } from './table-checks.js';

/** The rows that meet a condition, up to one over which it cannot be evaluated. */
export interface MetRows {
  readonly rows: readonly number[];
  readonly failure: { readonly row: number; readonly error: unknown } | undefined;
}

/**
 * Evaluates a condition row by row.
 * @param values of the columns that it reads; what is not there is NULL
 * @param count of rows
 * @param time of the transaction, where the condition asks for it
 * @param trusted where it is evaluated
 * @throws PostgresError what is wrong with it whatever the rows
 */
export async function rowsMeeting(
  condition: RowCondition,
  values: CheckedValues,
  count: number,
  time: Uint8Array | null,
  session: SessionPort,
  trusted: StatementPort,
): Promise<MetRows> {
  const { columns, sql, table } = condition;
  const { from, arrays } = await rowsOver(columns, condition, values, count, session);
  const source =
    arrays.length > 0 ? from : `FROM pg_catalog.generate_series(1, ${count}) AS ${quoteName(table.name)}`;
  const timed = condition.time;
  const query = statement(
    `SELECT (${sql(arrays.length + 1)}) IS TRUE ${source}`,
    [...arrays.map(() => 0), ...(timed ? [typeOids.timestamptz] : [])],
    readingOf(session.settings),
  );
  const rows: number[] = [];
  let row = 0;
  const parameters = [...arrays, ...(timed ? [time] : [])];
  const port = trusted.bind(query, parameters, { parameters: parameters.map(() => 1), results: [0] });
  const outcome = port.execute(0, {
    rows({ buffer, starts, count: some }): void {
      for (let i = 0; i < some; i++, row++) if (fieldsAt(buffer, starts[i]!)[0]?.[0] === 0x74) rows.push(row);
    },
  });
  trusted.flush();
  try {
    await outcome;
    return { rows, failure: undefined };
  } catch (error) {
    if (count === 0) throw error;
    // rows before the one with the error have come
    return { rows, failure: { row: Math.min(row, count - 1), error } };
  }
}
