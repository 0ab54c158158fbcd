/**
 * Names of time zones in values that travel as text. Under any DateStyle but ISO, timestamptz is printed with the
 * abbreviation that was in use in the session's zone. Since version 18 PostgreSQL reads it by that zone; earlier ones read
 * it by timezone_abbreviations, where `IST` is Israel's whoever printed it, and `PWT` Palau's.
 */
import { ClarusError } from '../../errors.js';
import type { MessageWriter } from '../../wire/message-writer.js';
import { physical } from '../compilation.js';
import type { SessionPort } from '../ports.js';

/**
 * Abbreviations that the session's zone prints and that are read with another offset. Those that cannot be read at all
 * end a statement with PostgreSQL's own error.
 */
const misread = physical(
  `SELECT DISTINCT abbrev
     FROM (SELECT DISTINCT pg_catalog.to_char(t, 'TZ') AS abbrev, pg_catalog.date_part('timezone', t) AS east
             FROM pg_catalog.generate_series('1800-01-01 00:00+0'::pg_catalog.timestamptz, '2100-01-01 00:00+0'::pg_catalog.timestamptz,
               '24 hours'::pg_catalog.interval) t) printed
     JOIN pg_catalog.pg_timezone_abbrevs USING (abbrev)
    WHERE pg_catalog.date_part('epoch', utc_offset) <> east`,
  [],
);

/** By zone and by the settings that literals are read by. */
const known = new Map<string, readonly string[]>();
const known_max = 64;

/** Looks whether bytes hold a name that would be read as another time. @throws ClarusError 0A000 where they do */
export type NameCheck = (bytes: Buffer) => void;

/** @returns undefined where every name is read as it was printed */
export async function nameCheck(
  session: SessionPort,
  readsZoneNames: boolean,
): Promise<NameCheck | undefined> {
  const { dateStyle, timeZone, literals } = session.settings;
  if (readsZoneNames || dateStyle.startsWith('ISO')) return undefined;
  const key = `${timeZone}\n${literals}`;
  let names = known.get(key);
  if (names === undefined) {
    const { rows } = await session.trusted.gather(misread, [], false);
    names = rows.map(([name]) => ` ${Buffer.from(name ?? []).toString()}`);
    if (known.size >= known_max) known.delete(known.keys().next().value!);
    known.set(key, names);
  }
  const found = names;
  if (found.length === 0) return undefined;
  return bytes => {
    for (const name of found) if (bytes.includes(name)) throw readOtherwise(name);
  };
}

/** Looks at what was written since `before`, a length of the writer. */
export function checkWritten(check: NameCheck | undefined, writer: MessageWriter, before: number): void {
  if (!check) return;
  const { buffer, position, length } = writer;
  check(buffer.subarray(position - (length - before), position));
}

const readOtherwise = (name: string): ClarusError =>
  new ClarusError(
    '0A000',
    `a time with the zone's abbreviation "${name.trim()}" would be read as another time on the trusted side`,
    {
      detail:
        'A trusted PostgreSQL before version 18 reads abbreviations by timezone_abbreviations, not by the session’s zone.',
      hint: 'SET DateStyle = ISO, or use a trusted PostgreSQL 18.',
    },
  );
