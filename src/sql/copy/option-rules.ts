/** Which options of COPY go together (ProcessCopyOptions of copy.c, PostgreSQL 14 to 18). */
import { ClarusError } from '../../errors.js';
import type { CopyOptions } from '../execute/copy-out.js';

/**
 * Looks in the order in which PostgreSQL looks.
 * @param has was an option given?
 * @param from COPY FROM
 * @param major version of the server whose COPY this is
 * @throws ClarusError as that version words it
 */
export function mustAgree(
  options: CopyOptions,
  has: (name: string) => boolean,
  from: boolean,
  major: number,
): void {
  const { format, delimiter, nullString, quote, defaultString } = options;
  const csv = format === 'csv';
  if (format === 'binary')
    for (const name of ['delimiter', 'null', 'default'])
      if (has(name)) throw new ClarusError('42601', `cannot specify ${name.toUpperCase()} in BINARY mode`);
  mustBeOneByte('delimiter', delimiter);
  if (/[\r\n]/.test(delimiter)) throw refused('COPY delimiter cannot be newline or carriage return');
  for (const [name, value] of [
    ['null', nullString],
    ['default', defaultString ?? ''],
  ])
    if (/[\r\n]/.test(value!))
      throw refused(`COPY ${name} representation cannot use newline or carriage return`);
  // data characters that are like the delimiter get a backslash, and some mean another thing with one
  if (!csv && /[\\.a-z0-9]/.test(delimiter)) throw refused(`COPY delimiter cannot be "${delimiter}"`);
  if (options.header && !csv && major < 15) throw unsupported('COPY HEADER available only in CSV mode');
  if (options.header && format === 'binary') throw unsupported('cannot specify HEADER in BINARY mode');
  const ofCsv = (name: string): void => {
    if (csv || !has(name)) return;
    throw unsupported(
      major < 17
        ? `COPY ${name.replaceAll('_', ' ')} available only in CSV mode`
        : `COPY ${name.toUpperCase()} requires CSV mode`,
    );
  };
  ofCsv('quote');
  if (csv) mustBeOneByte('quote', quote);
  if (csv && delimiter === quote) throw refused('COPY delimiter and quote must be different');
  ofCsv('escape');
  if (csv) mustBeOneByte('escape', options.escape);
  ofCsv('force_quote');
  if (has('force_quote') && from) throw onlyTo('force_quote', major);
  for (const name of ['force_not_null', 'force_null']) {
    ofCsv(name);
    if (has(name) && !from) throw onlyFrom(name, major);
  }
  mustNotHold('NULL', nullString, options, major);
  if (options.freeze && !from && major >= 17) throw refused('COPY FREEZE cannot be used with COPY TO');
  if (defaultString !== undefined) {
    if (!from) throw onlyDefault(major);
    mustNotHold('DEFAULT', defaultString, options, major);
    if (defaultString === nullString)
      throw unsupported('NULL specification and DEFAULT specification cannot be the same');
  }
  if (format === 'binary' && options.onError !== 'stop')
    throw new ClarusError('42601', 'only ON_ERROR STOP is allowed in BINARY mode');
  if (options.rejectLimit !== undefined && options.onError === 'stop')
    throw refused('COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE');
}

/** The string of NULL or DEFAULT holds nothing that ends it. */
function mustNotHold(
  what: 'NULL' | 'DEFAULT',
  value: string,
  { format, delimiter, quote }: CopyOptions,
  major: number,
): void {
  const error = what === 'NULL' && major >= 17 ? refused : unsupported;
  if (value.includes(delimiter))
    throw error(
      `COPY delimiter ${major < 17 ? '' : 'character '}must not appear in the ${what} specification`,
    );
  if (format === 'csv' && value.includes(quote))
    throw error(`CSV quote character must not appear in the ${what} specification`);
}

const onlyTo = (name: string, major: number): ClarusError =>
  unsupported(
    major < 17
      ? `COPY ${name.replaceAll('_', ' ')} only available using COPY TO`
      : `COPY ${name.toUpperCase()} cannot be used with COPY FROM`,
  );

const onlyFrom = (name: string, major: number): ClarusError =>
  major < 17
    ? unsupported(`COPY ${name.replaceAll('_', ' ')} only available using COPY FROM`)
    : refused(`COPY ${name.toUpperCase()} cannot be used with COPY TO`);

const onlyDefault = (major: number): ClarusError =>
  unsupported(
    major < 17 ? 'COPY DEFAULT only available using COPY FROM' : 'COPY DEFAULT cannot be used with COPY TO',
  );

function mustBeOneByte(name: string, value: string): void {
  if (Buffer.byteLength(value) !== 1) throw unsupported(`COPY ${name} must be a single one-byte character`);
}

const refused = (message: string): ClarusError => new ClarusError('22023', message);
const unsupported = (message: string): ClarusError => new ClarusError('0A000', message);
