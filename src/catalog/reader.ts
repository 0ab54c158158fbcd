/**
 * How the catalogue asks a server: text parameters in, rows of text out. A session's backend, an administrator's
 * connection and a test's client all fit behind it.
 */
import { ClarusError } from '../errors.js';

/** A row of a result in text form. */
export type TextRow = readonly (string | null)[];

/** Runs one statement with parameters in text form. */
export type Reader = (sql: string, parameters: readonly (string | null)[]) => Promise<readonly TextRow[]>;

/** What of a `pg` client or pool is used here. */
export interface Queryable {
  query(config: {
    readonly text: string;
    readonly values: (string | null)[];
    readonly rowMode: 'array';
    readonly types: { getTypeParser(): (value: string) => string };
  }): Promise<{ readonly rows: unknown[] }>;
}

const asText = { getTypeParser: () => (value: string) => value };

/** A reader over a `pg` client or pool. Every value comes back in PostgreSQL's text form. */
export const readerOf =
  (connection: Queryable): Reader =>
  async (text, values) =>
    (await connection.query({ text, values: [...values], rowMode: 'array', types: asText }))
      .rows as TextRow[];

/** First column of the only row. */
export async function readOne(
  reader: Reader,
  sql: string,
  parameters: readonly (string | null)[] = [],
): Promise<string | null> {
  const rows = await reader(sql, parameters);
  const row = rows[0];
  if (rows.length !== 1 || row === undefined)
    throw new ClarusError('XX000', `${rows.length} rows came where one was expected`);
  return row[0] ?? null;
}

/** Each row's first column as JSON. */
export async function readJson<T>(
  reader: Reader,
  sql: string,
  parameters: readonly (string | null)[] = [],
): Promise<T[]> {
  return (await reader(sql, parameters)).map(row => JSON.parse(row[0] ?? 'null') as T);
}

/** A list of OIDs as the text of an `oid[]` parameter. */
export const oidArray = (oids: Iterable<number>): string => `{${[...oids].join(',')}}`;

/** Texts as the text of a `text[]` parameter. */
export const textArray = (texts: Iterable<string>): string =>
  `{${[...texts].map(text => `"${text.replace(/["\\]/g, '\\$&')}"`).join()}}`;

/** One connection inside a transaction, for reading a schema and for changing it. */
export interface SchemaConnection {
  readonly read: Reader;
  /** runs one statement without parameters */
  run(sql: string): Promise<unknown>;
}
