/**
 * Offsets of a time zone. Zones with rules are not taken from this process's own time zone database: it may differ
 * from the one PostgreSQL uses, in version and in how it treats times before 1970. They are loaded from PostgreSQL.
 */
export interface ZoneOffsets {
  /**
   * @param unixSeconds a moment, in seconds since 1970-01-01 00:00:00 UTC
   * @returns seconds east of UTC, or NaN: not known at that moment
   */
  offsetAt(unixSeconds: number): number;
}

const zeroZones = /^(?:(?:Etc\/)?(?:UTC|UCT|GMT|GMT0|Universal|Zulu|Greenwich))$/;
/** What SET TIME ZONE with a number or an interval makes, e.g. `<+03>-03`. */
const posixZone = /^<([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?>([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/;

/**
 * Offsets of a zone whose name says that it has one offset for all times.
 * @param name as SHOW TimeZone prints it
 */
export function fixedZone(name: string): ZoneOffsets | undefined {
  if (zeroZones.test(name)) return { offsetAt: () => 0 };
  const match = posixZone.exec(name);
  if (match === null) return undefined;
  const [, sign, hours, minutes = '00', seconds = '00', posixSign, ...posix] = match;
  const same = posix[0] === hours && (posix[1] ?? '00') === minutes && (posix[2] ?? '00') === seconds;
  // POSIX counts west of UTC, the abbreviation in angle brackets counts east
  if (!same || sign === posixSign) return undefined;
  const offset = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
  const east = sign === '-' ? -offset : offset;
  return { offsetAt: () => east };
}

/** Range that `zoneQuery` covers, in seconds since 1970: 1900-01-01 to 2100-01-01 UTC. */
const firstSeconds = -2208988800;
const lastSeconds = 4102444800;

/**
 * SQL that lists the offsets of the zone named `$1` (text) as PostgreSQL knows them, for `zoneFromRows`: rows of
 * `start` (float8, seconds since 1970) and `east` (int4, seconds), in order of `start`. A change is found to the
 * second when no other one lies within six hours of it. Costs PostgreSQL about a quarter of a second.
 */
export const zoneQuery = `
WITH steps AS (
  SELECT s, lag(s) OVER w AS before, e, lag(e) OVER w AS e_before
  FROM (SELECT s, extract(epoch FROM timezone($1, to_timestamp(s)))::int8 - s AS e
        FROM generate_series(${firstSeconds}::int8, ${lastSeconds}, 21600) s) offsets
  WINDOW w AS (ORDER BY s)),
minutes AS (
  SELECT e_before, e, (SELECT min(m) FROM generate_series(before, s, 60) m
    WHERE extract(epoch FROM timezone($1, to_timestamp(m)))::int8 - m <> e_before) AS m
  FROM steps WHERE e <> e_before)
SELECT ${firstSeconds}::float8 AS start, (SELECT e FROM steps ORDER BY s LIMIT 1)::int4 AS east
UNION ALL
SELECT (SELECT min(s) FROM generate_series(m - 59, m) s
    WHERE extract(epoch FROM timezone($1, to_timestamp(s)))::int8 - s <> e_before)::float8, e::int4
FROM minutes ORDER BY start`;

/**
 * Offsets of a zone as `zoneQuery` listed them.
 * @param rows in order of `start`; outside 1900 to 2100 the offset is not known
 */
export function zoneFromRows(
  rows: readonly { readonly start: number; readonly east: number }[],
): ZoneOffsets {
  const starts = Float64Array.from(rows, row => row.start);
  const offsets = Int32Array.from(rows, row => row.east);
  // values of a column are often near each other in time: remember the last period
  let period = 0;
  return {
    offsetAt(unixSeconds) {
      if (!(unixSeconds >= firstSeconds && unixSeconds < lastSeconds) || starts.length === 0)
        return Number.NaN;
      if (unixSeconds < starts[period]! || unixSeconds >= (starts[period + 1] ?? lastSeconds)) {
        period = periodOf(starts, unixSeconds);
      }
      return offsets[period]!;
    },
  };
}

/** Index of the last start that is not after the moment. */
function periodOf(starts: Float64Array, unixSeconds: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= unixSeconds) low = middle;
    else high = middle - 1;
  }
  return low;
}
