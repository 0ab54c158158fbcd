/** What a cloud reports in opaque names, in the names of the application. */
import { quoteName } from '../../catalog/quote.js';
import type { Diagnostic } from '../../wire/diagnostic.js';
import { within } from '../explained/names.js';
import type { ExplainOptions } from '../explained/options.js';
import { type HiddenNames, relationKey } from './names.js';

/** An error or notice of the cloud; unchanged where it names nothing that is hidden. */
export function ownReport(report: Diagnostic, names: HiddenNames): Diagnostic {
  const own = (name: string | undefined): string | undefined =>
    name === undefined ? undefined : (names.own.get(name) ?? name);
  const relation =
    report.schema !== undefined && report.table !== undefined
      ? names.relations.get(relationKey(report.schema, report.table))
      : undefined;
  const { table, column, constraint, detail, hint, where } = report;
  return {
    ...report,
    message: inQuotes(report.message, names),
    ...(detail === undefined ? {} : { detail: inDetail(detail, names) }),
    ...(hint === undefined ? {} : { hint: inQuotes(hint, names) }),
    ...(where === undefined ? {} : { where: inQuotes(where, names) }),
    ...(table === undefined ? {} : { table: relation?.own ?? own(table)! }),
    ...(column === undefined ? {} : { column: own(column)! }),
    ...(constraint === undefined ? {} : { constraint: own(constraint)! }),
  };
}

/** Opaque names are of letters, digits and underscores (catalog/opaque.ts); what stands before one are its schema and database. */
const inQuotes = (text: string, { own }: HiddenNames): string =>
  text.replace(/"((?:[^".\n]+\.){0,2})([nc]\d\w*)"/g, (whole, before: string, name: string) =>
    own.has(name) ? `"${before}${own.get(name)}"` : whole,
  );

/** `Key (a, b)=(1, 2) ...`: the values are the client's (nbtinsert.c, ri_triggers.c). */
function inDetail(detail: string, names: HiddenNames): string {
  const key = /^(Key \()([^()]*)(\)=.*\))(.*)$/s.exec(detail);
  if (!key) return inQuotes(detail, names);
  const [, before, columns, values, after] = key;
  const named = columns!
    .split(', ')
    .map(name => (names.own.has(name) ? printed(names.own.get(name)!) : name))
    .join(', ');
  return `${before}${named}${values}${inQuotes(after!, names)}`;
}

/** As PostgreSQL prints a name; a keyword in quotes reads the same. */
const printed = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name));

/**
 * A line of a plan of the cloud.
 * @param aliases what stands for the names of the statement (`Spelled`)
 */
export function ownPlan(
  line: string,
  names: HiddenNames,
  aliases: ReadonlyMap<string, string>,
  format: ExplainOptions['format'],
): string {
  return line.replace(/(?<![\w$'])[acn]\d\w*(?![\w$'])/g, name => {
    const own = names.columns.get(name) ?? aliases.get(name) ?? names.own.get(name);
    return own === undefined ? name : within(format, printed(own));
  });
}
