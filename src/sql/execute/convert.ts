/**
 * Values from PostgreSQL's binary form to the client's format, a column at a time, and how types and casts are
 * written for the trusted PostgreSQL, which converts what a codec is not sure of.
 */
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { verbatim } from '../../wire/codecs/codec.js';
import { codecOf } from '../../wire/codecs/codecs.js';
import { type CodecSettings, codecSettings } from '../../wire/codecs/settings.js';
import { arrayType, typeOids } from '../../wire/types.js';
import { physical } from '../compilation.js';
import { FIRST_USER_OID } from '../functions.js';
import type { PhysicalStatement } from '../plan.js';
import type { SessionPort, SessionSettings } from '../ports.js';
import { exactly, mayRound } from '../split/exact.js';
import { collect } from './collect.js';
import { kept, roomFor } from './scratch.js';

/** A type as values are converted to it. */
export interface TargetType {
  readonly oid: number;
  readonly modifier: number;
}

const cachedSettings = new WeakMap<SessionSettings, CodecSettings>();

/** The session's settings as the codecs take them. */
export function settingsOf(session: SessionPort): CodecSettings {
  const known = cachedSettings.get(session.settings);
  if (known && (known.zone || !session.zones?.known(session.settings.timeZone))) return known;
  const { dateStyle, intervalStyle, timeZone, extraFloatDigits, byteaOutput, arrayNulls } = session.settings;
  const values = new Map([
    ['DateStyle', dateStyle],
    ['IntervalStyle', intervalStyle],
    ['TimeZone', timeZone],
    ['extra_float_digits', String(extraFloatDigits)],
    ['bytea_output', byteaOutput],
    ['array_nulls', arrayNulls ? 'on' : 'off'],
  ]);
  const made = codecSettings(
    name => values.get(name),
    name => session.zones?.known(name),
  );
  cachedSettings.set(session.settings, made);
  return made;
}

/** Values that are worth waiting for a zone to be loaded; fewer are printed by the trusted PostgreSQL meanwhile. */
const ZONE_WAIT_VALUES = 200;

/**
 * Has the session's zone loaded when values depend on it. Where that fails, the trusted PostgreSQL prints them.
 * @returns undefined when there is nothing to wait for
 */
function needZone(type: number, values: number, session: SessionPort): Promise<unknown> | undefined {
  if (type !== typeOids.timestamptz && type !== arrayType(typeOids.timestamptz)) return undefined;
  const settings = settingsOf(session);
  if (settings.zone || !settings.isoDates || values === 0) return undefined;
  const loaded = session.zones?.load(session.settings.timeZone).catch(() => undefined);
  return values >= ZONE_WAIT_VALUES ? loaded : undefined;
}

/**
 * Values in binary form as the client asked for them; at once where no server must be asked.
 * @param format 0 text, 1 binary
 */
export function fromBinary(
  values: PlainColumn,
  type: number,
  format: 0 | 1,
  session: SessionPort,
): ByteColumn | Promise<ByteColumn> {
  if (format === 1) return values;
  const zone = needZone(type, values.length, session);
  if (zone !== undefined) return zone.then(() => printed(values, type, session));
  return printed(values, type, session);
}

function printed(values: PlainColumn, type: number, session: SessionPort): ByteColumn | Promise<ByteColumn> {
  const codec = codecOf(type);
  const writer = codec?.writer(settingsOf(session));
  if (writer === verbatim) return values;
  const unsure: number[] = [];
  const { data, offsets, nulls } = values;
  let room = 64;
  if (codec && writer)
    for (let i = 0; i < values.length; i++) room += codec.textSizeMax(offsets[i + 1]! - offsets[i]!);
  const out = roomFor(room);
  const outOffsets = new Uint32Array(values.length + 1);
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    if (!nulls?.[i]) {
      const end = writer ? writer(data, offsets[i]!, offsets[i + 1]!, out, at) : -1;
      if (end < 0) unsure.push(i);
      else at = end;
    }
    outOffsets[i + 1] = at;
  }
  const column = { length: values.length, data: kept(out, at), offsets: outOffsets, nulls };
  return unsure.length === 0 ? column : printedByServer(column, values, unsure, type, session);
}

/** Has the trusted PostgreSQL print what no codec is sure of. */
async function printedByServer(
  column: ByteColumn,
  values: PlainColumn,
  unsure: readonly number[],
  type: number,
  session: SessionPort,
): Promise<ByteColumn> {
  // The bare value in text format is what its output function prints; a cast to text is not.
  const value = `$1::${await printingTypeOf(type, session)}`;
  const print = statement(`SELECT ${session.settings.exact && mayRound(type) ? exactly(value) : value}`, [0]);
  const rows: (Uint8Array | null)[] = [];
  for (const i of unsure)
    rows.push((await collect(session.trusted, print, [valueAt(values, i)], [1], [0]))[0]?.[0] ?? null);
  return replaced(column, unsure, rows);
}

/** The SQL of an assignment cast to a type with a modifier: what is too long is an error, not cut. */
export function assignment(sql: string, { oid, modifier }: TargetType): string {
  if (modifier < 0) return sql;
  switch (oid) {
    case typeOids.varchar:
      return `pg_catalog."varchar"(${sql}, ${modifier}, false)`;
    case typeOids.bpchar:
      return `pg_catalog.bpchar(${sql}, ${modifier}, false)`;
    case 1560:
      return `pg_catalog."bit"(${sql}, ${modifier}, false)`;
    case 1562:
      return `pg_catalog.varbit(${sql}, ${modifier}, false)`;
    case typeOids.numeric:
      return `pg_catalog."numeric"(${sql}, ${modifier})`;
    case typeOids.timestamp:
      return `pg_catalog."timestamp"(${sql}, ${modifier})`;
    case typeOids.timestamptz:
      return `pg_catalog.timestamptz(${sql}, ${modifier})`;
    case typeOids.time:
      return `pg_catalog."time"(${sql}, ${modifier})`;
    case typeOids.timetz:
      return `pg_catalog.timetz(${sql}, ${modifier})`;
    case typeOids.interval:
      return `pg_catalog."interval"(${sql}, ${modifier})`;
    default:
      return arraysWithLength[oid] === undefined ? sql : ofArray(sql, arraysWithLength[oid], modifier);
  }
}

/** Types of elements that have a length, by their arrays, and what the modifier of a type is more than its length. */
const arraysWithLength: Readonly<
  Record<number, { readonly name: string; readonly more: number } | undefined>
> = {
  1015: { name: 'pg_catalog."varchar"', more: 4 },
  1014: { name: 'pg_catalog.bpchar', more: 4 },
  1561: { name: 'pg_catalog."bit"', more: 0 },
  1563: { name: 'pg_catalog.varbit', more: 0 },
};

/** What an array that is assigned is called meanwhile: it is no column of a table. */
export const ASSIGNED = 'clarus_assigned';

/** A cast would cut elements in silence: each is assigned first, and what is too long is an error. */
function ofArray(sql: string, { name, more }: { name: string; more: number }, modifier: number): string {
  const [element, whole] = [`${ASSIGNED}.e`, `${ASSIGNED}.a`];
  const assigned = `SELECT pg_catalog.count(${name}(${element}, ${modifier}, false)) FROM pg_catalog.unnest(${whole}) AS ${ASSIGNED} (e)`;
  return `(SELECT CASE WHEN (${assigned}) >= 0 THEN ${whole}::${name}(${modifier - more})[] END FROM (SELECT ${sql} AS a OFFSET 0) AS ${ASSIGNED})`;
}

const statements = new Map<string, PhysicalStatement>();
/**
 * The one physical statement of a text.
 * @param reading `readingOf` the settings by which its literals are read; a server reads them once
 */
export function statement(sql: string, parameterTypes: readonly number[], reading = ''): PhysicalStatement {
  const key = `${reading} ${parameterTypes.join()} ${sql}`;
  let known = statements.get(key);
  if (!known) {
    if (statements.size > 1000) statements.clear();
    known = physical(sql, parameterTypes);
    statements.set(key, known);
  }
  return known;
}

const builtinNames = new Map<number, string>();
const baseQuery = statement(
  `WITH RECURSIVE b AS (SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE oid = $1
      UNION ALL SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t JOIN b ON t.oid = b.typbasetype)
   SELECT oid::pg_catalog.text, pg_catalog.format_type(oid, NULL) FROM b WHERE typbasetype = 0`,
  [26],
);

const nameQuery = statement('SELECT pg_catalog.format_type($1::pg_catalog.oid, NULL)', [typeOids.oid]);

/** Name of a type, as SQL takes it on the trusted side. */
export async function typeNameOf(oid: number, session: Pick<SessionPort, 'trusted'>): Promise<string> {
  const known = builtinNames.get(oid);
  if (known) return known;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(oid);
  const rows = await collect(session.trusted, nameQuery, [number], [1], [0]);
  const name = Buffer.from(rows[0]?.[0] ?? []).toString();
  // Names of user-defined types may change; those of built-in ones may not.
  if (oid < 16384) builtinNames.set(oid, quotedType(oid, name));
  return quotedType(oid, name);
}

/**
 * The name of the type that prints values of a type: of a domain, what it is over. What stands need not meet its checks, which
 * may have come later (ADD CONSTRAINT ... NOT VALID).
 */
async function printingTypeOf(oid: number, session: SessionPort): Promise<string> {
  if (oid < FIRST_USER_OID) return typeNameOf(oid, session);
  const number = Buffer.alloc(4);
  number.writeUInt32BE(oid);
  const [[base, name] = []] = await collect(session.trusted, baseQuery, [number], [1], [0]);
  return quotedType(Number(Buffer.from(base!).toString()), Buffer.from(name!).toString());
}

/** `character` without a length means character(1), `bit` bit(1): their internal names do not. */
export const quotedType = (oid: number, name: string): string =>
  oid === typeOids.bpchar
    ? 'pg_catalog.bpchar'
    : oid === 1560
      ? 'pg_catalog."bit"'
      : oid === arrayType(typeOids.bpchar)
        ? 'pg_catalog.bpchar[]'
        : oid === 1561
          ? 'pg_catalog."bit"[]'
          : oid === 18
            ? 'pg_catalog."char"'
            : name;

/** A column with other values in some places. */
export function replaced(
  column: ByteColumn,
  which: readonly number[],
  by: readonly (Uint8Array | null)[],
): PlainColumn {
  if (which.length === 0) return plain(column);
  const values = Array.from({ length: column.length }, (_, i) => valueAt(column, i));
  which.forEach((i, k) => {
    values[i] = by[k] ?? null;
  });
  return plain(columnOf(values));
}
