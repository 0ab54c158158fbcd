import type { SessionSettings } from '../sql/ports.js';
import { physicalQuery } from './own-statements.js';
import type { PipelinePort } from './statement-port.js';

/** Names as ParameterStatus reports them, or as current_setting takes them. */
const reported: Readonly<Record<string, 'dateStyle' | 'intervalStyle' | 'timeZone' | 'searchPath'>> = {
  DateStyle: 'dateStyle',
  IntervalStyle: 'intervalStyle',
  TimeZone: 'timeZone',
  search_path: 'searchPath',
};

/** Settings that only tell whether a literal is read, or a value printed, as before. */
const others = [
  'timezone_abbreviations',
  'transform_null_equals',
  'xmloption',
  'default_text_search_config',
  'quote_all_identifiers',
  'xmlbinary',
  'lc_monetary',
  'lc_time',
  'lc_numeric',
] as const;
/** Settings by which plans are made. The cloud reports some of them, but only with ReadyForQuery. */
const planning = [
  'datestyle',
  'intervalstyle',
  'timezone',
  'search_path',
  'extra_float_digits',
  'bytea_output',
  'array_nulls',
  'statement_timeout',
  'client_min_messages',
  'row_security',
  'standard_conforming_strings',
  'escape_string_warning',
  'backslash_quote',
  ...others,
];
const atOnce = physicalQuery(
  `SELECT ${planning.map(name => `pg_catalog.current_setting('${name}')`).join(', ')}`,
);
/** One by one, by statements that need no snapshot. */
const oneByOne = planning.map(name => physicalQuery(`SHOW ${name}`));

/** The settings of a session by name, as `set_config` takes them. */
export const settingsByName = (settings: SessionSettings): ReadonlyMap<string, string> =>
  new Map([
    ['datestyle', settings.dateStyle],
    ['intervalstyle', settings.intervalStyle],
    ['timezone', settings.timeZone],
    ['search_path', settings.searchPath],
    ['extra_float_digits', String(settings.extraFloatDigits)],
    ['bytea_output', settings.byteaOutput],
    ['array_nulls', settings.arrayNulls ? 'on' : 'off'],
    ['statement_timeout', settings.statementTimeout],
    ['row_security', settings.rowSecurity ? 'on' : 'off'],
    ...settings.literals.split('\n').map((value, i): [string, string] => [others[i]!, value]),
  ]);

/** The settings by which PostgreSQL reads DDL, beside the search path, where the trusted side follows the session's. */
export function readingSettings(settings: SessionSettings): Readonly<Record<string, string>> {
  const all = [...settingsByName(settings)].filter(
    ([name]) =>
      !['search_path', 'statement_timeout', 'row_security'].includes(name) && !name.startsWith('lc_'),
  );
  // texts are kept as they are read with it on
  return Object.fromEntries([...all, ['standard_conforming_strings', 'on']]);
}

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
    escapeStringWarning: true,
    backslashQuote: true,
    searchPath: '"$user", public',
    arrayNulls: true,
    literals: '',
    statementTimeout: '0',
    clientMinMessages: 'notice',
    rowSecurity: true,
  };
  /** bodies have set something: they may be anywhere in a transaction when it is taken back */
  setWithin = false;
  #defaults: ReadonlyMap<string, string> | undefined;
  #hasBeenOff = false;
  #cloudMajor = Infinity;
  #superuser = false;

  constructor(parameters: ReadonlyMap<string, string>) {
    for (const [name, value] of parameters) this.report(name, value);
  }

  get current(): SessionSettings {
    return this.#values;
  }

  /** the cloud's major version; Infinity where it has not said */
  get cloudMajor(): number {
    return this.#cloudMajor;
  }

  /** Was the client told that it is a superuser, which the cloud's user is? */
  get superuser(): boolean {
    return this.#superuser;
  }

  /** Was standard_conforming_strings off at some time? */
  get hasBeenOff(): boolean {
    return this.#hasBeenOff;
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
    } else if (name === 'server_version') this.#cloudMajor = Number.parseInt(value, 10) || Infinity;
    else if (name === 'is_superuser') this.#superuser = value === 'on';
  }

  /**
   * Asks the cloud.
   * @param within a transaction is open: a query could take its snapshot, before the client's first one does
   */
  async refresh(cloud: PipelinePort, within: boolean): Promise<void> {
    const answers = await Promise.all(
      (within ? oneByOne : [atOnce]).map(query => cloud.gather(query, [], false)),
    );
    const [
      dateStyle,
      intervalStyle,
      timeZone,
      searchPath,
      extraFloatDigits,
      byteaOutput,
      arrayNulls,
      statementTimeout,
      clientMinMessages,
      rowSecurity,
      strings,
      escapeWarning,
      backslashQuote,
      ...literals
    ] = answers.flatMap(({ rows }) => rows[0]!.map(text));
    this.#change({
      dateStyle: dateStyle!,
      intervalStyle: intervalStyle!,
      timeZone: timeZone!,
      searchPath: searchPath!,
      extraFloatDigits: Number(extraFloatDigits),
      byteaOutput: byteaOutput!,
      arrayNulls: arrayNulls === 'on',
      literals: literals.join('\n'),
      statementTimeout: statementTimeout!,
      clientMinMessages: clientMinMessages!,
      rowSecurity: rowSecurity === 'on',
      standardConformingStrings: strings === 'on',
      escapeStringWarning: escapeWarning === 'on',
      backslashQuote: backslashQuote !== 'off',
    });
    this.#defaults ??= new Map(
      (await cloud.gather(startingValues, [], false)).rows.map(([name, value]) => [text(name), text(value)]),
    );
    this.stale = false;
  }

  #change(changes: Partial<SessionSettings>): void {
    const next = { ...this.#values, ...changes };
    this.#hasBeenOff ||= !next.standardConformingStrings;
    const keys = Object.keys(changes) as (keyof SessionSettings)[];
    if (keys.some(key => next[key] !== this.#values[key])) this.#values = next;
  }
}

const text = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString();
