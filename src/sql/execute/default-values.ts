/** Values of a column that nothing is given for, one a row. */
import { typeOids } from '../../wire/types.js';
import type { DefaultExpression } from '../defaults.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { exactly, mayRound, rounds } from '../split/exact.js';
import { collect, type Row } from './collect.js';
import { assignment, statement, type TargetType, typeNameOf } from './convert.js';

/** A column with what it has when nothing is given for it. */
export interface Defaulted {
  readonly type: TargetType;
  readonly expression: DefaultExpression;
}

/**
 * Evaluates a default for so many rows.
 * @param time of the transaction, where the default asks for it
 * @param format of the values: 0 text, 1 binary
 * @param trusted where it is evaluated
 */
export async function defaultValues(
  type: TargetType,
  expression: DefaultExpression,
  count: number,
  time: Uint8Array | null,
  format: 0 | 1,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<Row> {
  const [values] = await defaultColumns([{ type, expression }], count, time, format, session, trusted);
  return values!;
}

/**
 * Evaluates defaults for so many rows, row by row as PostgreSQL does: one may ask for the value that another has taken from a
 * sequence (currval).
 * @returns one row a default, with its values
 */
export async function defaultColumns(
  defaults: readonly Defaulted[],
  count: number,
  time: Uint8Array | null,
  format: 0 | 1,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<readonly Row[]> {
  const printed: string[] = [];
  for (const { type, expression } of defaults) {
    const value = assignment(`(${expression.sql})::${await typeNameOf(type.oid, { trusted })}`, type);
    const isRounded = format === 0 && rounds(session.settings) && mayRound(type.oid);
    printed.push(isRounded ? exactly(value) : value);
  }
  const timed = defaults.some(({ expression }) => expression.time);
  const rows = await collect(
    trusted,
    statement(
      `SELECT ${printed.join(', ')} FROM pg_catalog.generate_series(1, ${timed ? '$2' : '$1'})`,
      timed ? [typeOids.timestamptz, typeOids.int4] : [typeOids.int4],
    ),
    [...(timed ? [time] : []), Buffer.from(String(count))],
    [...(timed ? [1 as const] : []), 0],
    [format],
  );
  const sequences = defaults.flatMap(({ expression }) => expression.sequences);
  if (sequences.length > 0) await session.transaction.keepSequences(sequences.filter(name => name !== ''));
  return defaults.map((_, column) => rows.map(row => row[column] ?? null));
}
