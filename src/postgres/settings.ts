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

const notReported = physicalQuery(
  `SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('extra_float_digits'),
          pg_catalog.current_setting('bytea_output')`,
);

/** The session's settings as the cloud reports them, or as it says when asked. */
export class SettingsView {
  /** something may have changed that the cloud does not report */
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
  };

  constructor(parameters: ReadonlyMap<string, string>) {
    for (const [name, value] of parameters) this.report(name, value);
  }

  get current(): SessionSettings {
    return this.#values;
  }

  /** ParameterStatus came. */
  report(name: string, value: string): void {
    const key = reported[name];
    if (key !== undefined) this.#change({ [key]: value });
    else if (name === 'standard_conforming_strings') {
      this.#change({ standardConformingStrings: value === 'on' });
    }
  }

  /** Asks the cloud for what it does not report. */
  async refresh(cloud: PipelinePort): Promise<void> {
    const { rows } = await cloud.gather(notReported, [], false);
    const [searchPath, extraFloatDigits, byteaOutput] = rows[0]!.map(value =>
      Buffer.from(value ?? []).toString(),
    );
    this.#change({
      searchPath: searchPath!,
      extraFloatDigits: Number(extraFloatDigits),
      byteaOutput: byteaOutput!,
    });
    this.stale = false;
  }

  #change(changes: Partial<SessionSettings>): void {
    const next = { ...this.#values, ...changes };
    const keys = Object.keys(changes) as (keyof SessionSettings)[];
    if (keys.some(key => next[key] !== this.#values[key])) this.#values = next;
  }
}
