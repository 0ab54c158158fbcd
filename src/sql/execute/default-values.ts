/** Values of a column that nothing is given for, one a row. */
import { typeOids } from '../../wire/types.js';
import type { DefaultExpression } from '../defaults.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { exactly, mayRound, rounds } from '../split/exact.js';
import { collect, type Row } from './collect.js';
import { assignment, statement, type TargetType, typeNameOf } from './convert.js';

/**
 * Evaluates a default for so many rows.
 * @param time of the transaction, where the default asks for it
 * @param format of the values: 0 text, 1 binary
 * @param trusted where it is evaluated
 */
export async function defaultValues(
  type: TargetType,
  { sql, time: timed, sequences }: DefaultExpression,
  count: number,
  time: Uint8Array | null,
  format: 0 | 1,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<Row> {
  const value = assignment(`(${sql})::${await typeNameOf(type.oid, { trusted })}`, type);
  const isRounded = format === 0 && rounds(session.settings) && mayRound(type.oid);
  const printed = isRounded ? exactly(value) : value;
  const rows = await collect(
    trusted,
    statement(
      `SELECT ${printed} FROM pg_catalog.generate_series(1, ${timed ? '$2' : '$1'})`,
      timed ? [typeOids.timestamptz, typeOids.int4] : [typeOids.int4],
    ),
    [...(timed ? [time] : []), Buffer.from(String(count))],
    [...(timed ? [1 as const] : []), 0],
    [format],
  );
  if (sequences.length > 0) await session.transaction.keepSequences(sequences.filter(name => name !== ''));
  return rows.map(([field]) => field ?? null);
}
