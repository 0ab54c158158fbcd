import { ClarusError } from '../errors.js';

/** What a startup message asks for. */
export interface StartupSettings {
  readonly user: string;
  readonly database: string;
  readonly applicationName: string | undefined;
  /** run-time settings for the servers' startup messages; never application_name */
  readonly settings: ReadonlyMap<string, string>;
}

/**
 * Sorts the parameters of a startup message. application_name is set apart: it is the client's text, and clouds
 * do not get it, whichever way it came.
 * @throws ClarusError FATAL 0A000 for replication
 */
export function startupSettings(parameters: ReadonlyMap<string, string>): StartupSettings {
  const user = parameters.get('user')!;
  const settings = new Map<string, string>();
  let applicationName: string | undefined;
  for (const [name, value] of parameters) {
    const lower = name.toLowerCase();
    if (lower === 'user' || lower === 'database' || lower.startsWith('_pq_.')) continue;
    if (lower === 'replication') {
      if (['false', 'off', 'no', '0'].includes(value.toLowerCase())) continue;
      throw new ClarusError('0A000', 'replication connections are not supported', { severity: 'FATAL' });
    }
    if (lower === 'application_name') applicationName = value;
    else if (lower === 'options') {
      const kept: string[] = [];
      for (const word of optionWords(value)) {
        const name = /^application[_-]name=(.*)$/is.exec(word.setting);
        if (name === null) kept.push(word.text);
        else applicationName ??= name[1]!;
      }
      if (kept.length > 0) settings.set('options', kept.join(' '));
    } else settings.set(name, value);
  }
  return { user, database: parameters.get('database') || user, applicationName, settings };
}

/** Words of `options`, split at blanks that no backslash protects (pg_split_opts in PostgreSQL). */
function optionWords(options: string): { text: string; setting: string }[] {
  const words = options.match(/(?:\\[\s\S]|[^\s\\])+/g) ?? [];
  const result: { text: string; setting: string }[] = [];
  for (let i = 0; i < words.length; i++) {
    let text = words[i]!;
    let setting = text.replace(/^(-c|--)/, '');
    // "-c name=value" as two words
    if (text === '-c' && i + 1 < words.length) {
      setting = words[++i]!;
      text = `-c ${setting}`;
    }
    result.push({ text, setting: setting.replace(/\\([\s\S])/g, '$1') });
  }
  return result;
}
