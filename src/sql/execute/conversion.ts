/**
 * Values from the client's format to PostgreSQL's binary form. Codecs convert a column at a time; what they are not
 * sure of, the trusted PostgreSQL decides value by value, in the order in which it would come to them itself: row by
 * row. So the first wrong value is the one that PostgreSQL reports, in its words.
 */
import { type ByteColumn, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { codecOf } from '../../wire/codecs/codecs.js';
import { typeOids } from '../../wire/types.js';
import { refuseMoment } from '../moment.js';
import type { PhysicalStatement } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { queued, type Row } from './collect.js';
import { assignment, replaced, settingsOf, statement, type TargetType, typeNameOf } from './convert.js';
import { kept, roomFor } from './scratch.js';

/** Types from here on are users' own, and a domain may refuse NULL (FirstNormalObjectId in transam.h). */
const FIRST_USER_OID = 16_384;

/** A column converted as far as the codec is sure. */
export interface Converted {
  readonly from: ByteColumn;
  /** 0 text, 1 binary */
  readonly format: 0 | 1;
  readonly to: TargetType;
  /** binary forms; anything in the places of `unsure` */
  readonly column: ByteColumn;
  /** places, rising, that the trusted PostgreSQL has to decide */
  readonly unsure: readonly number[];
}

/** A value that the trusted PostgreSQL has to decide. */
export interface Ask {
  readonly row: number;
  /** place of its column among those of the batch, in the order in which PostgreSQL comes to them */
  readonly column: number;
  /** queues the question on the trusted side without flushing */
  start(): Promise<Uint8Array | null>;
}

/** The first value, row by row, that is refused. */
export interface Refusal extends Pick<Ask, 'row' | 'column'> {
  readonly error: unknown;
}

/** Columns of one batch; after a refusal they hold the rows before it. */
export interface Decided {
  readonly columns: readonly PlainColumn[];
  readonly refusal: Refusal | undefined;
}

/**
 * Converts values of a client as far as a codec is sure of them.
 * @param format 0 text, 1 binary
 */
export function convert(from: ByteColumn, format: 0 | 1, to: TargetType, session: SessionPort): Converted {
  const codec = codecOf(to.oid);
  if (codec && format === 0) return read(from, to, codec, session);
  const acceptable = codec?.acceptable(to.modifier);
  const unsure: number[] = [];
  for (let i = 0; i < from.length; i++)
    if (
      from.nulls?.[i]
        ? from.nulls[i] === 1 && to.oid >= FIRST_USER_OID
        : !acceptable?.(from.data, from.offsets[i]!, from.offsets[i + 1]!)
    )
      unsure.push(i);
  return { from, format, to, column: from, unsure };
}

function read(
  from: ByteColumn,
  to: TargetType,
  codec: NonNullable<ReturnType<typeof codecOf>>,
  session: SessionPort,
): Converted {
  const reader = codec.reader(to.modifier, settingsOf(session));
  const { data, offsets, nulls, length } = from;
  const unsure: number[] = [];
  let room = 64;
  for (let i = 0; i < length; i++) room += codec.binarySizeMax(offsets[i + 1]! - offsets[i]!);
  if (to.modifier > 4 && to.oid === typeOids.bpchar) room += length * to.modifier;
  const out = roomFor(room);
  const outOffsets = new Uint32Array(length + 1);
  let at = 0;
  for (let i = 0; i < length; i++) {
    if (!nulls?.[i]) {
      const end = reader ? reader(data, offsets[i]!, offsets[i + 1]!, out, at) : -1;
      if (end < 0) unsure.push(i);
      else at = end;
    }
    outOffsets[i + 1] = at;
  }
  return {
    from,
    format: 0,
    to,
    column: { length, data: kept(out, at), offsets: outOffsets, nulls },
    unsure,
  };
}

/** Values that are on their way at a time: bounds what waits for the trusted PostgreSQL. */
const ASKED_MAX = 256;

/**
 * Asks row by row, and stops at the first refusal.
 * @returns answers to the asks before the refusal, with the asks in the order in which they were put
 */
export async function askInOrder(
  asks: readonly Ask[],
  session: SessionPort,
): Promise<{ answers: readonly (readonly [Ask, Uint8Array | null])[]; refusal: Refusal | undefined }> {
  const ordered = [...asks].sort((a, b) => a.row - b.row || a.column - b.column);
  const answers: (readonly [Ask, Uint8Array | null])[] = [];
  for (let from = 0; from < ordered.length; from += ASKED_MAX) {
    const started = ordered.slice(from, from + ASKED_MAX).map(ask => ask.start());
    session.trusted.flush();
    // The server skips what stands behind a refusal: of all that failed the first is the one that it refused.
    for (const [k, answer] of (await Promise.allSettled(started)).entries()) {
      const ask = ordered[from + k]!;
      if (answer.status === 'rejected')
        return { answers, refusal: { row: ask.row, column: ask.column, error: answer.reason } };
      answers.push([ask, answer.value]);
    }
  }
  return { answers, refusal: undefined };
}

/** What the codec is not sure of, as asks. @param rowOf row of a value, where that is not its place */
export async function asksOf(
  { from, format, to, unsure }: Converted,
  column: number,
  session: SessionPort,
  rowOf: (place: number) => number = place => place,
): Promise<(Ask & { readonly place: number })[]> {
  if (unsure.length === 0) return [];
  if (format === 0)
    for (const place of unsure) refuseMoment(Buffer.from(valueAt(from, place) ?? []).toString(), to.oid);
  const sql = `SELECT ${assignment(`$1::${await typeNameOf(to.oid, session)}`, to)}`;
  return unsure.map(place => ({
    row: rowOf(place),
    column,
    place,
    start: () => askOne(session, statement(sql, [0]), [valueAt(from, place)], [format]),
  }));
}

/** Queues a statement that returns one value in binary form. */
export async function askOne(
  session: SessionPort,
  asked: PhysicalStatement,
  parameters: Row,
  formats: readonly (0 | 1)[],
): Promise<Uint8Array | null> {
  return (await queued(session.trusted, asked, parameters, formats, [1]))[0]?.[0] ?? null;
}

/**
 * Lets the trusted PostgreSQL decide, row by row, what the codecs are not sure of.
 * @param columns of one batch, in the order in which PostgreSQL converts the values of a row
 */
export async function decide(columns: readonly Converted[], session: SessionPort): Promise<Decided> {
  if (columns.every(c => c.unsure.length === 0))
    return { columns: columns.map(c => plain(c.column)), refusal: undefined };
  const asks = await Promise.all(columns.map((column, i) => asksOf(column, i, session)));
  const { answers, refusal } = await askInOrder(asks.flat(), session);
  const found = columns.map((): (Uint8Array | null)[] => []);
  for (const [{ column }, value] of answers) found[column]!.push(value);
  const end = refusal?.row ?? Number.POSITIVE_INFINITY;
  return {
    refusal,
    columns: columns.map(({ column, unsure }, i) => {
      const before = unsure.filter(row => row < end);
      return slice(replaced(column, before, found[i]!), 0, Math.min(end, column.length));
    }),
  };
}

/** The same of values that must all be right. @throws PostgresError the first refusal */
export async function decided(
  columns: readonly Converted[],
  session: SessionPort,
): Promise<readonly PlainColumn[]> {
  const { columns: values, refusal } = await decide(columns, session);
  if (refusal) throw refusal.error;
  return values;
}

/** Values `from` to `to` of a column. */
export function slice(column: ByteColumn, from: number, to: number): PlainColumn {
  if (from === 0 && to >= column.length) return plain(column);
  const { data, offsets, nulls } = column;
  const start = offsets[from]!;
  return plain({
    length: to - from,
    data: data.subarray(start, offsets[to]!),
    offsets: offsets.slice(from, to + 1).map(offset => offset - start),
    nulls: nulls?.subarray(from, to),
  });
}
