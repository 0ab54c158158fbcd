/** Plans in the names of the logical schema. */
import type { Catalog, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import type { ExplainOptions } from './options.js';

type Format = ExplainOptions['format'];

/**
 * A plan of the cloud.
 * @param tables those that the statement touches
 */
export function ofCloud(plan: string, tables: readonly LogicalTable[], format: Format): string {
  const names = new Map<string, string>();
  for (const { schema, name, physical, columns } of tables) {
    names.set(physical.schema, schema);
    names.set(physical.name, name);
    for (const { name: column, protection } of columns)
      for (const { encoded } of protection?.encodings ?? [])
        for (const role of Object.values(encoded.columns)) names.set(role, column);
  }
  const hidden = [...names]
    .filter(([physical, logical]) => physical !== logical)
    .map(([physical]) => physical);
  if (hidden.length === 0) return plan;
  // of two names that begin alike the longer one is meant
  const any = hidden.sort((a, b) => b.length - a.length).map(name => name.replace(/[^\w]/g, '\\$&'));
  return plan.replace(new RegExp(`(?<![\\w$])(?:${any.join('|')})(?![\\w$])`, 'g'), physical =>
    within(format, names.get(physical)!),
  );
}

/** A plan of the trusted PostgreSQL, in which carriers stand for tables (trusted/carriers.ts). */
export function ofCarriers(plan: string, { tables }: Catalog, format: Format): string {
  const named = (oid: string, name: (table: LogicalTable) => string): string | undefined => {
    const table = tables.get(Number(oid));
    return table && within(format, name(table));
  };
  return plan
    .replace(qualified, (whole, carrier, read) => {
      return named(carrier ?? read, ({ schema, name }) => `${printed(schema)}.${printed(name)}`) ?? whole;
    })
    .replace(property, (whole, before, oid, between, schema) => {
      const name = named(oid, table => table.name);
      if (name === undefined) return whole;
      return `${before}${name}${schema === undefined ? between : `${between}${named(oid, table => table.schema)}`}`;
    })
    .replace(/(?<![\w$])t(\d+)(?![\w$])/g, (whole, oid) => named(oid, ({ name }) => printed(name)) ?? whole);
}

/** A carrier as the planner calls it, or what it reads from. */
const qualified = new RegExp(`(?<![\\w$])${OWN_SCHEMA}\\.(?:t(\\d+)|\\\\?"(\\d+)\\\\?")`, 'g');

/** Relation and schema as properties of their own. */
const property = new RegExp(
  `((?:Relation Name"?: "|<Relation-Name>))t(\\d+)((?:",?|</Relation-Name>)(?:\\s+(?:"?Schema"?: "|<Schema>))?)(${OWN_SCHEMA}(?![\\w$]))?`,
  'g',
);

/** As PostgreSQL prints a name in a plan. */
const printed = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name));

/** Text as it stands in a format. */
export const within = (format: Format, text: string): string =>
  format === 'text'
    ? text
    : format === 'xml'
      ? text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
      : JSON.stringify(text).slice(1, -1);
