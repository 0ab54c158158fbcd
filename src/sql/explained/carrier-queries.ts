/** In a plan of the trusted PostgreSQL: what it asks carriers for, and what the cloud is asked for because of that. */

import type { SessionPort } from '../ports.js';
import { parseOne } from '../raw/parse.js';
import { type CarrierQuery, readCarrierQuery } from '../split/carrier-query.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { deliveryOf, type ShowsItself } from '../split/delivery.js';
import { asSampled } from '../split/sample-condition.js';
import { within } from './names.js';
import type { ExplainOptions } from './options.js';

type Format = ExplainOptions['format'];

/** How the property stands on its line: what is before its name, name, and value. */
const lineOf: Readonly<Record<Format, RegExp>> = {
  text: /^( *)Remote SQL: (.*)$/,
  json: /^( *)"Remote SQL": "(.*)"(,?)$/,
  xml: /^( *)<Remote-SQL>(.*)<\/Remote-SQL>$/,
  yaml: /^( *)Remote SQL: "(.*)"$/,
};

/**
 * postgres_fdw tells what it asks as `Remote SQL`. It asks Clarus, so it is `Carrier SQL` here; `Cloud SQL` is what
 * fetches the rows, with those conditions only that the cloud may see.
 * @param plan one row of the answer
 */
export async function withCloudSql(
  plan: string,
  format: Format,
  session: SessionPort,
  services: Pick<SplitServices, 'plan'>,
  shows: ShowsItself,
): Promise<string> {
  const lines: string[] = [];
  for (const line of plan.split('\n')) {
    const [, indent, value, comma = ''] = lineOf[format].exec(line) ?? [];
    if (indent === undefined || value === undefined) {
      lines.push(line);
      continue;
    }
    const carried = carriedBy(plainText(value, format));
    if (!carried) {
      lines.push(line);
      continue;
    }
    const cloud = await cloudSql(carried, session, services, shows);
    const more = cloud === undefined ? [] : [{ name: 'Cloud SQL', value: within(format, cloud) }];
    const asked = carried.query?.sample ? within(format, asSampled(carried.sql)) : value;
    const properties = [{ name: 'Carrier SQL', value: asked }, ...more];
    for (const [i, property] of properties.entries())
      lines.push(indent + written(property, format) + (format === 'json' && i < more.length ? ',' : comma));
  }
  return lines.join('\n');
}

function written({ name, value }: { readonly name: string; readonly value: string }, format: Format): string {
  switch (format) {
    case 'text':
      return `${name}: ${value}`;
    case 'json':
      return `"${name}": "${value}"`;
    case 'xml':
      return `<${name.replace(' ', '-')}>${value}</${name.replace(' ', '-')}>`;
    case 'yaml':
      return `${name}: "${value}"`;
  }
}

/** What `within` has made of a text. */
function plainText(value: string, format: Format): string {
  if (format === 'text') return value;
  if (format !== 'xml') return JSON.parse(`"${value}"`) as string;
  return value.replace(/&(lt|gt|quot|amp|#x0d);/g, (_, name: string) => entities[name]!);
}
const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', amp: '&', '#x0d': '\r' };

/** What is asked of a carrier, and the same as a query where rows are read. */
interface Carried {
  readonly sql: string;
  readonly query: CarrierQuery | undefined;
}

/** @returns undefined: the line is part of a text of the statement */
function carriedBy(sql: string): Carried | undefined {
  try {
    parseOne(sql);
    return { sql, query: /^SELECT\b/.test(sql) ? readCarrierQuery(sql) : undefined };
  } catch {
    return undefined;
  }
}

/** @returns undefined where rows are not read, or where that depends on values of other rows */
async function cloudSql(
  { sql, query }: Carried,
  session: SessionPort,
  { plan }: Pick<SplitServices, 'plan'>,
  shows: ShowsItself,
): Promise<string | undefined> {
  const table = query && session.catalog().tables.get(query.table);
  if (!table) return undefined;
  const columns = query.columns.includes('ctid') ? [...query.columns, 'xmin'] : query.columns;
  return (await deliveryOf(sql, { ...query, columns }, table, session, plan, shows)).sql;
}
