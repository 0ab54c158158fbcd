import type { SessionSettings } from '../sql/plan.js';
import { physicalQuery } from './own-statements.js';
import type { PipelinePort } from './statement-port.js';

/** Names as ParameterStatus reports them, or as current_setting takes them. */
const reported: Readonly<Record<string, 'dateStyle' | 'intervalStyle' | 'timeZone' | 'searchPath'>> = {
  DateStyle: 'dateStyle',
  IntervalStyle: 'intervalStyle',
  TimeZone: 'timeZone',
  search_path: 'searchPath',
};

/** Settings by which plans are made. The cloud reports some of them, but only with ReadyForQuery. */
const planning = physicalQuery(
  `SELECT pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'),
          pg_catalog.current_setting('timezone'), pg_catalog.current_setting('search_path'), pg_catalog.current_setting('extra_float_digits'),
          pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('array_nulls'),
          pg_catalog.concat_ws(E'\\n', pg_catalog.current_setting('timezone_abbreviations'),
            pg_catalog.current_setting('transform_null_equals'), pg_catalog.current_setting('xmloption'),
            pg_catalog.current_setting('lc_monetary'), pg_catalog.current_setting('default_text_search_config'),
            pg_catalog.current_setting('quote_all_identifiers'), pg_catalog.current_setting('xmlbinary'),
            pg_catalog.current_setting('lc_time'), pg_catalog.current_setting('lc_numeric')),
          pg_catalog.current_setting('statement_timeout')`,
);

/**
 * Settings that the trusted side must begin with as the cloud does, whether its server, database or role sets them.
 * A configuration for text search that is not PostgreSQL's own may stand in the cloud only.
 */
const startingValues = physicalQuery(
  `SELECT name, reset_val FROM pg_catalog.pg_settings
   WHERE pg_catalog.lower(name) IN ('datestyle', 'intervalstyle', 'timezone', 'timezone_abbreviations', 'search_path',
     'extra_float_digits', 'bytea_output', 'array_nulls', 'transform_null_equals', 'xmloption', 'xmlbinary',
     'quote_all_identifiers')
   OR name = 'default_text_search_config' AND reset_val LIKE 'pg\\_catalog.%'`,
);

/** The session's settings as the cloud reports them, or as it says when asked. */
export class SettingsView {
  /** something may have changed that the cloud has not reported */
  stale = true;
  /** immutable: what is derived from it is kept by its identity */
  #values: SessionSettings = {
    dateStyle: 'ISO, MDY',
    intervalStyle: 'postgres',
    timeZone: 'UTC',
    extraFloatDigits: 1,
    byteaOutput: 'hex',
    standardConformingStrings: true,
    searchPath: '"$user", public',
    arrayNulls: true,
    literals: '',
    statementTimeout: '0',
  };
  #defaults: ReadonlyMap<string, string> | undefined;

  constructor(parameters: ReadonlyMap<string, string>) {
    for (const [name, value] of parameters) this.report(name, value);
  }

  get current(): SessionSettings {
    return this.#values;
  }

  /** What RESET goes back to in the cloud, for settings by which values are read and printed. */
  get defaults(): ReadonlyMap<string, string> {
    return this.#defaults ?? new Map();
  }

  /** ParameterStatus came. */
  report(name: string, value: string): void {
    const key = reported[name];
    if (key !== undefined) this.#change({ [key]: value });
    else if (name === 'standard_conforming_strings') {
      this.#change({ standardConformingStrings: value === 'on' });
    }
  }

  /** Asks the cloud. */
  async refresh(cloud: PipelinePort): Promise<void> {
    const { rows } = await cloud.gather(planning, [], false);
    const [
      dateStyle,
      intervalStyle,
      timeZone,
      searchPath,
      extraFloatDigits,
      byteaOutput,
      arrayNulls,
      literals,
      statementTimeout,
    ] = rows[0]!.map(text);
    this.#change({
      dateStyle: dateStyle!,
      intervalStyle: intervalStyle!,
      timeZone: timeZone!,
      searchPath: searchPath!,
      extraFloatDigits: Number(extraFloatDigits),
      byteaOutput: byteaOutput!,
      arrayNulls: arrayNulls === 'on',
      literals: literals!,
      statementTimeout: statementTimeout!,
    });
    this.#defaults ??= new Map(
      (await cloud.gather(startingValues, [], false)).rows.map(([name, value]) => [text(name), text(value)]),
    );
    this.stale = false;
  }

  #change(changes: Partial<SessionSettings>): void {
    const next = { ...this.#values, ...changes };
    const keys = Object.keys(changes) as (keyof SessionSettings)[];
    if (keys.some(key => next[key] !== this.#values[key])) this.#values = next;
  }
}

const text = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString();
