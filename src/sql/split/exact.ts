/**
 * Values on their way between the sides, as text, where the session has PostgreSQL print floating-point numbers rounded
 * (extra_float_digits below 1). What the client sees is printed by its setting, and so is what its statement makes a text
 * of; between the sides every value is printed as it is.
 */
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { typeOids } from '../../wire/types.js';
import { physical } from '../compilation.js';
import { FIRST_USER_OID } from '../functions.js';
import type { OutputColumn, PhysicalStatement } from '../plan.js';
import type { SessionPort, SessionSettings } from '../ports.js';

/** Does PostgreSQL print floating-point numbers rounded? */
export const rounds = ({ extraFloatDigits }: Pick<SessionSettings, 'extraFloatDigits'>): boolean =>
  extraFloatDigits < 1;

/** Types of PostgreSQL whose values hold floating-point numbers, with their arrays (pg_type.dat). */
const withFloats: ReadonlySet<number> = new Set([
  ...[typeOids.float4, typeOids.float8, 1021, 1022],
  // point, lseg, path, box, polygon, line, circle
  ...[600, 601, 602, 603, 604, 628, 718],
  ...[1017, 1018, 1019, 1020, 1027, 629, 719],
  // record
  ...[2249, 2287],
]);

/** May a value of a type be printed rounded? A type of users may hold anything. */
export const mayRound = (type: number): boolean => type >= FIRST_USER_OID || withFloats.has(type);

/** An expression, for the trusted PostgreSQL, as the text of its value. */
export const exactly = (sql: string): string => `${OWN_SCHEMA}.exactly(${sql})`;

/**
 * A query of the trusted side whose rows go on to another side.
 * @param types of its columns
 */
export function printingExactly(
  statement: PhysicalStatement,
  types: readonly number[],
  settings: SessionSettings,
): PhysicalStatement {
  if (!rounds(settings) || !types.some(mayRound)) return statement;
  const names = types.map((_, i) => `c${i}`);
  const targets = types.map((type, i) => (mayRound(type) ? exactly(`s.c${i}`) : `s.c${i}`));
  return physical(
    `SELECT ${targets.join(', ')} FROM (${statement.sql}) AS s (${names.join(', ')})`,
    statement.parameterTypes,
  );
}

/**
 * Rows of a part of a statement that the rest takes as parameters, and values of variables, are printed by the setting of
 * the session.
 * @throws ClarusError 0A000
 */
export function mustTravelExactly(
  columns: readonly Pick<OutputColumn, 'typeOid'>[],
  { settings }: SessionPort,
): void {
  if (rounds(settings) && columns.some(({ typeOid }) => mayRound(typeOid)))
    throw new ClarusError(
      '0A000',
      'floating-point numbers that one part of a statement gives to another need extra_float_digits of 1 or more',
      { hint: "SET extra_float_digits = 1, which is PostgreSQL's default." },
    );
}

const exact = new WeakMap<SessionSettings, SessionSettings>();

/** Settings under which values are printed as they are. */
export function exactSettings(settings: SessionSettings): SessionSettings {
  if (!rounds(settings)) return settings;
  const known = exact.get(settings) ?? { ...settings, extraFloatDigits: 1, exact: true };
  exact.set(settings, known);
  return known;
}

/**
 * Values travel as texts, which must be read as what was printed, and carriers are asked in words of pg_catalog.
 * @throws ClarusError 0A000
 */
export function mustPrintExactly({ settings: { arrayNulls, searchPath } }: SessionPort): void {
  if (!arrayNulls)
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs array_nulls to be on',
      { hint: 'SET array_nulls = on.' },
    );
  if (/,\s*"?pg_catalog"?\s*(,|$)/.test(searchPath))
    throw new ClarusError(
      '0A000',
      'a statement that is finished on the trusted side needs pg_catalog first in search_path',
      {
        hint: 'Leave it out of search_path: then it is searched first.',
      },
    );
}
