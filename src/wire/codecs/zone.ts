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

/** How far the session's zone is ahead of UTC at a moment, in seconds. */
const east = (moment: string): string => `extract(timezone FROM ${moment})::int4`;

/**
 * SQL that lists the offsets of the session's `TimeZone` as PostgreSQL knows them, for `zoneFromRows`. The setting is
 * not a parameter of functions, because some names (`CET`) are there an abbreviation with one offset. Rows of
 * `start` (float8, seconds since 1970) and `east` (int4, seconds), in order of `start`. A change is found to the
 * second when no other one lies within twelve hours of it.
 */
export const zoneQuery = `
WITH steps AS MATERIALIZED (
  SELECT t, e, lag(e) OVER (ORDER BY t) AS before
  FROM (SELECT t, ${east('t')} AS e
        FROM generate_series(to_timestamp(${firstSeconds}), to_timestamp(${lastSeconds}), '12 hours') t) offsets),
minutes AS MATERIALIZED (
  SELECT e, before, (SELECT min(m) FROM generate_series(t - interval '12 hours', t, '1 minute') m
    WHERE ${east('m')} <> before) AS m
  FROM steps WHERE e <> before)
SELECT ${firstSeconds}::float8 AS start, e AS east FROM steps WHERE before IS NULL
UNION ALL
SELECT extract(epoch FROM (SELECT min(s) FROM generate_series(m - interval '59 seconds', m, '1 second') s
    WHERE ${east('s')} <> before))::float8, e
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
