import { fixedZone, type ZoneOffsets } from './zone.js';

/** The settings of a session that the text forms depend on. */
export interface CodecSettings {
  /** true for `DateStyle = ISO, ...`; the order of day and month does not matter to the ISO forms */
  readonly isoDates: boolean;
  /** true for `IntervalStyle = postgres` */
  readonly postgresIntervals: boolean;
  /** offsets of the session's `TimeZone`; undefined: not known here, timestamptz then goes to PostgreSQL */
  readonly zone: ZoneOffsets | undefined;
  /** `extra_float_digits`, -15 to 3 */
  readonly extraFloatDigits: number;
  /** `bytea_output` */
  readonly byteaOutput: 'hex' | 'escape';
  /** `array_nulls` */
  readonly arrayNulls: boolean;
}

/** PostgreSQL's built-in defaults, with TimeZone UTC. */
export const defaultSettings: CodecSettings = {
  isoDates: true,
  postgresIntervals: true,
  zone: fixedZone('UTC'),
  extraFloatDigits: 1,
  byteaOutput: 'hex',
  arrayNulls: true,
};

/**
 * Codec settings of a session.
 * @param setting the value of a setting as SHOW prints it; undefined: never set, PostgreSQL's default
 * @param namedZone offsets of a zone that has no fixed offset, loaded from the trusted PostgreSQL (`zoneQuery`)
 * @example codecSettings(name => parameters.get(name), zone => loadedZones.get(zone))
 */
export function codecSettings(
  setting: (name: string) => string | undefined,
  namedZone: (name: string) => ZoneOffsets | undefined = () => undefined,
): CodecSettings {
  const zoneName = setting('TimeZone');
  const output = setting('bytea_output');
  return {
    isoDates: /^iso\b/i.test(setting('DateStyle') ?? 'ISO'),
    postgresIntervals: (setting('IntervalStyle') ?? 'postgres').toLowerCase() === 'postgres',
    zone: zoneName === undefined ? undefined : (fixedZone(zoneName) ?? namedZone(zoneName)),
    extraFloatDigits: Number(setting('extra_float_digits') ?? 1),
    byteaOutput: output?.toLowerCase() === 'escape' ? 'escape' : 'hex',
    arrayNulls: (setting('array_nulls') ?? 'on') === 'on',
  };
}
