/** Values of columns that the data of a COPY lack, or leave to the default. */
import { columnOf, type PlainColumn, plain, valueAt } from '../../../crypto/column.js';
import { ClarusError } from '../../../errors.js';
import type { CopyFilling, CopyInBody } from '../../execute/bodies.js';
import { convert, decided } from '../../execute/conversion.js';
import { ofField } from '../../execute/copy-failure.js';
import type { ReadRows } from '../../execute/copy-input.js';
import { defaultColumns, defaultValues } from '../../execute/default-values.js';
import type { SessionPort, StatementPort } from '../../ports.js';
import { nextValues } from './computed-writes.js';

/**
 * Computes what columns get, in binary form. Values of a sequence of the cloud are asked there.
 * @param time of the transaction, where the default asks for it
 * @param trusted where a default is evaluated, and asked about sequences
 */
export async function fillingValues(
  filling: CopyFilling,
  count: number,
  time: Uint8Array | null,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<PlainColumn> {
  const { type } = filling.column;
  if (filling.kind === 'default')
    return plain(columnOf(await defaultValues(type, filling, count, time, 1, session, trusted)));
  const next = columnOf(await nextValues(filling.sequence, count, session, trusted));
  return (await decided([convert(next, 0, type, session)], session))[0]!;
}

/**
 * Computes what several columns get: defaults row by row, because one may depend on what another has done.
 * @param beforeCounter is called before the cloud is asked for values of a sequence
 */
export async function fillingColumns(
  fillings: readonly CopyFilling[],
  count: number,
  time: Uint8Array | null,
  session: SessionPort,
  trusted: StatementPort,
  beforeCounter: () => void = () => undefined,
): Promise<readonly PlainColumn[]> {
  const defaults = fillings.flatMap(filling =>
    filling.kind === 'default' ? [{ type: filling.column.type, expression: filling }] : [],
  );
  const computed =
    defaults.length === 0 ? [] : await defaultColumns(defaults, count, time, 1, session, trusted);
  let next = 0;
  const columns: PlainColumn[] = [];
  for (const filling of fillings) {
    if (filling.kind === 'default') {
      columns.push(plain(columnOf(computed[next++]!)));
      continue;
    }
    beforeCounter();
    columns.push(await fillingValues(filling, count, time, session, trusted));
  }
  return columns;
}

/** Do rows leave values to sequences, which live in the cloud or here? */
export const asksSequence = ({ markers }: Pick<CopyInBody, 'markers'>, { defaulted }: ReadRows): boolean =>
  defaulted.some((places, i) => places.length > 0 && markers?.[i]?.kind === 'counter');

/**
 * Puts the defaults of columns where the data mean them.
 * @throws ClarusError 0A000 for a default that only the cloud computes
 */
export async function withDefaulted(
  { table, markers, options }: Pick<CopyInBody, 'table' | 'markers' | 'options'>,
  { columns, defaulted, lines }: ReadRows,
  time: Uint8Array | null,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<readonly PlainColumn[]> {
  const filled: PlainColumn[] = [];
  for (const [i, column] of columns.entries()) {
    const places = defaulted[i]!;
    if (places.length === 0) {
      filled.push(column);
      continue;
    }
    const marker = markers![i]!;
    if (marker.kind === 'refused') throw ofCloud(marker.column.name);
    const value = Buffer.from(options.defaultString ?? '');
    const field = { table: table.name, line: lines[places[0]!]!, column: marker.column.name, value };
    const values = await fillingValues(marker, places.length, time, session, trusted).catch(error => {
      throw ofField(error, field);
    });
    const all = Array.from({ length: column.length }, (_, row) => valueAt(column, row));
    for (const [k, place] of places.entries()) all[place] = valueAt(values, k);
    filled.push(plain(columnOf(all)));
  }
  return filled;
}

const ofCloud = (column: string): ClarusError =>
  new ClarusError('0A000', `the default of the column "${column}" in the data of a COPY is not answered`, {
    detail: 'Only the cloud computes it.',
    hint: 'Leave the column out of the COPY, or give its values.',
    column,
  });
