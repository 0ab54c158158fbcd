/** Puts sentinels into a database in every way that a client has. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import postgres from 'postgres';
import { arraySentinel, largeText, type Sentinel, scalarTypes, sentinel } from './values.js';

/** Where a client connects. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** What planting did. */
export interface Planted {
  readonly sentinels: readonly Sentinel[];
  /** SQLSTATE of each statement that was refused, by its place. */
  readonly refused: ReadonlyMap<string, string>;
  /** Texts of the values as a client reads them back, by column, in the order of `id`. */
  readonly readBack: ReadonlyMap<string, readonly (string | null)[]>;
}

/** The policy under which nothing may be found. */
export const protectingPolicy = `unlisted: refuse
tables:
  public.vault:
    columns:
      id: { protect: none }
      c_int4: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      c_int8: { class: identifier, protect: encrypt, queries: [equality] }
      c_text: { class: identifier, protect: encrypt, queries: [equality] }
      c_varchar: { class: identifier, protect: encrypt, queries: [equality] }
      c_uuid: { class: identifier, protect: encrypt, queries: [equality] }
      c_numeric: { class: confidential, protect: encrypt, queries: [equality] }
      c_date: { class: quasi-identifier, protect: encrypt, queries: [equality] }
  public.place:
    columns:
      id: { protect: none }
      unique_text: { class: identifier, protect: encrypt, queries: [equality] }
`;

/** The policy under which every sentinel must be found. */
export const openPolicy = 'unlisted: pass\ntables: {}';

/** Short values are planted in many rows: the scan reports them only where chance does not explain them. */
const copies = 40;

const columns: { name: string; type: string; of: (place: string) => Sentinel }[] = [
  ...scalarTypes.map(type => ({
    name: `c_${type.replace(/\W.*/, '')}`,
    type,
    of: (place: string) => sentinel(type, place),
  })),
  ...[...scalarTypes, 'bool' as const].map(type => ({
    name: `a_${type.replace(/\W.*/, '')}`,
    type: `${type}[]`,
    of: (place: string) => arraySentinel(type, place),
  })),
  { name: 'large_noise', type: 'text', of: place => largeText('noise', place) },
  { name: 'large_repeated', type: 'text', of: place => largeText('repeated', place) },
];

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
const columnNames = columns.map(({ name }) => name).join(', ');

/**
 * Makes the tables `vault` and `place` and plants sentinels by INSERT, COPY, UPDATE, conditions, DDL, comments,
 * settings, notifications and statements that fail.
 */
export async function plant(address: Address): Promise<Planted> {
  const sentinels: Sentinel[] = [];
  const refused = new Map<string, string>();
  const client = new pg.Client({
    ...address,
    application_name: planted('application_name at the start').literal,
  });
  // A refusal is an answer here; what must not fail is asserted by the caller through `refused`.
  client.on('error', error => refused.set('connection', error.message));
  await client.connect();
  const attempt = (place: string, text: string, values: unknown[] = []) =>
    client
      .query(text, values)
      .catch((error: pg.DatabaseError) => refused.set(place, error.code ?? error.message));

  await attempt(
    'tables',
    `CREATE TABLE vault (id integer PRIMARY KEY, ${columns.map(({ name, type }) => `${name} ${type}`).join(', ')})`,
  );
  const row = (place: string) => columns.map(column => remembered(column.of(place)).literal);
  const literals = row('inserted as literals').map(quoted).join(', ');
  const rows = Array.from({ length: copies }, (_, i) => `(${i + 1}, ${literals})`);
  await attempt('inserted as literals', `INSERT INTO vault (id, ${columnNames}) VALUES ${rows.join(', ')}`);
  const places = columns.map((_, i) => `$${i + 2}`).join(', ');
  const parameters = row('inserted as parameters');
  for (let id = 101; id <= 100 + copies; id++)
    await attempt('inserted as parameters', `INSERT INTO vault (id, ${columnNames}) VALUES ($1, ${places})`, [
      id,
      ...parameters,
    ]);
  for (const [format, first] of [['text', 201] as const, ['csv', 301] as const])
    await copyIn(address, format, first, row(`copied in as ${format}`)).catch(
      (error: postgres.PostgresError) => refused.set(`copied in as ${format}`, error.code),
    );
  for (const column of columns) {
    const value = remembered(column.of('set by UPDATE'));
    await attempt(`set by UPDATE in ${column.name}`, `UPDATE vault SET ${column.name} = $1 WHERE id > 400`, [
      value.literal,
    ]);
    await attempt(
      `set by UPDATE in ${column.name}`,
      `UPDATE vault SET ${column.name} = ${quoted(value.literal)} WHERE id BETWEEN 331 AND 340`,
    );
  }
  for (const name of ['c_text', 'c_varchar', 'c_uuid', 'c_int8'] as const) {
    const column = columns.find(candidate => candidate.name === name)!;
    for (const [place, condition] of conditions(
      name,
      kind => remembered(column.of(`compared by ${kind}`)).literal,
    )) {
      await attempt(place, `SELECT id FROM vault WHERE ${condition}`);
      await attempt(place, `DELETE FROM vault WHERE ${condition}`);
    }
  }
  for (const [place, text] of statements(place => remembered(planted(place)).literal))
    await attempt(place, text);

  const readBack = new Map<string, (string | null)[]>();
  for (const { name } of columns) {
    const answer = await client.query({ text: `SELECT ${name} FROM vault ORDER BY id`, types: asText });
    readBack.set(
      name,
      answer.rows.map(found => found[name] as string | null),
    );
  }
  await client.end();
  remembered(planted('application_name at the start'));
  return { sentinels, refused, readBack };

  function remembered(value: Sentinel): Sentinel {
    if (!sentinels.some(({ name }) => name === value.name)) sentinels.push(value);
    return value;
  }
}

/** Says the application's name at the start of a connection, as Clarus never does. */
export async function nameApplication(address: Address): Promise<void> {
  const application_name = planted('application_name at the start').literal;
  const { host, port, user, password, database } = address;
  const client = new pg.Client({ host, port, user, password, database, application_name });
  await client.connect();
  await client.end();
}

/** The values that were planted in a column, in the order of `id`, as far as later statements leave them. */
export function expectedTexts(column: string): string[] {
  const found = columns.find(({ name }) => name === column);
  if (found === undefined) throw new RangeError(`no column ${column}`);
  const literal = (place: string) => found.of(place).literal;
  const repeated = (place: string, times: number) => Array.from({ length: times }, () => literal(place));
  return [
    ...repeated('inserted as literals', copies),
    ...repeated('inserted as parameters', copies),
    ...repeated('copied in as text', copies),
    ...repeated('copied in as csv', 30),
    ...repeated('set by UPDATE', copies - 30),
  ];
}

const asText = { getTypeParser: () => (value: string | Buffer) => value.toString() };

function planted(place: string): Sentinel {
  return sentinel('text', place);
}

function conditions(name: string, value: (kind: string) => string): [string, string][] {
  return [
    ['compared by =', `${name} = ${quoted(value('='))}`],
    ['compared by IN', `${name} IN (${quoted(value('IN'))}, ${quoted(value('IN, second'))})`],
    ['compared by = ANY', `${name} = ANY (ARRAY[${quoted(value('= ANY'))}]::${name.slice(2)}[])`],
    ['compared by <', `${name} < ${quoted(value('<'))} AND id < 0`],
    ['compared by LIKE', `${name}::text LIKE ${quoted(`%${value('LIKE')}%`)}`],
  ];
}

/** Statements whose sentinel is not a value of a row; a gateway may refuse any of them. */
function statements(value: (place: string) => string): [string, string][] {
  const v = (place: string) => quoted(value(place));
  const entries: [string, string][] = [
    [
      'a table with a default',
      `CREATE TABLE place (id integer PRIMARY KEY, remark text DEFAULT ${v('a default')},
         checked text, unique_text text UNIQUE)`,
    ],
    ['a check', `ALTER TABLE place ADD CHECK (checked <> ${v('a check')})`],
    [
      'a table with a check',
      `CREATE TABLE place_checked (id integer, checked text CHECK (checked <> ${v('a table with a check')}))`,
    ],
    ['a row of defaults', 'INSERT INTO place (id) VALUES (1)'],
    ['a default set later', `ALTER TABLE place ALTER COLUMN remark SET DEFAULT ${v('a default set later')}`],
    ['a column added', `ALTER TABLE place ADD COLUMN added text DEFAULT ${v('a column added')}`],
    ['a second row of defaults', 'INSERT INTO place (id) VALUES (2)'],
    ['a check added', `ALTER TABLE place ADD CHECK (remark IS DISTINCT FROM ${v('a check added')})`],
    ['an index predicate', `CREATE INDEX ON place (id) WHERE remark <> ${v('an index predicate')}`],
    ['an index expression', `CREATE INDEX ON place ((remark || ${v('an index expression')}))`],
    ['a view', `CREATE VIEW place_view AS SELECT id FROM place WHERE remark <> ${v('a view')}`],
    [
      'an expression in a query',
      `SELECT c_text || ${v('an expression in a query')} FROM vault WHERE c_text > ${v('an expression in a query')}`,
    ],
    [
      'a join over an expression',
      `SELECT a.id FROM vault a JOIN place b ON a.c_text || ${v('a join over an expression')} = b.remark`,
    ],
    ['inserted from a query', `INSERT INTO place (id, remark) SELECT 100, ${v('inserted from a query')}`],
    ['read from a view', `SELECT id FROM place_view WHERE id::text <> ${v('read from a view')}`],
    [
      'a function body',
      `CREATE FUNCTION place_function() RETURNS text LANGUAGE sql AS ${quoted(`SELECT ${v('a function body')}::text`)}`,
    ],
    ['a DO block', `DO ${quoted(`BEGIN PERFORM ${v('a DO block')}; END`)}`],
    ['an enum label', `CREATE TYPE place_kind AS ENUM (${v('an enum label')})`],
    ['a domain', `CREATE DOMAIN place_domain AS text CHECK (VALUE <> ${v('a domain')})`],
    ['a comment on a column', `COMMENT ON COLUMN place.remark IS ${v('a comment on a column')}`],
    ['a comment on a table', `COMMENT ON TABLE place IS ${v('a comment on a table')}`],
    [
      'a comment in a statement',
      `SELECT id /* ${value('a comment in a statement')} */ FROM vault WHERE id = 1`,
    ],
    ['a comment at a line end', `SELECT id FROM vault WHERE id = 1 -- ${value('a comment at a line end')}`],
    ['application_name', `SET application_name = ${v('application_name')}`],
    ['a setting', `SET clarus_test.note = ${v('a setting')}`],
    ['set_config', `SELECT set_config('clarus_test.note', ${v('set_config')}, false)`],
    ['a notification', `NOTIFY place_channel, ${v('a notification')}`],
    ['pg_notify', `SELECT pg_notify('place_channel', ${v('pg_notify')})`],
    [
      'a prepared statement',
      `PREPARE place_statement AS SELECT id FROM vault WHERE c_text = ${v('a prepared statement')}`,
    ],
    ['a statement with a syntax error', `SELEC ${v('a statement with a syntax error')}`],
    [
      'a value of the wrong type',
      `INSERT INTO vault (id, c_int4) VALUES (-1, ${v('a value of the wrong type')})`,
    ],
    ['a check that fails', `INSERT INTO place (id, checked) VALUES (3, ${v('a check')})`],
    ['a unique value', `INSERT INTO place (id, unique_text) VALUES (4, ${v('a unique value')})`],
    ['a unique value again', `INSERT INTO place (id, unique_text) VALUES (5, ${v('a unique value')})`],
    ['a row that fails', `INSERT INTO place (id, remark) VALUES (NULL, ${v('a row that fails')})`],
    [
      'a table made of a query',
      `CREATE TABLE place_copy AS SELECT 1 AS id, ${v('a table made of a query')}::text AS note`,
    ],
    ['a partition bound', 'CREATE TABLE place_parts (key text, note text) PARTITION BY LIST (key)'],
    [
      'a partition bound',
      `CREATE TABLE place_part PARTITION OF place_parts FOR VALUES IN (${v('a partition bound')})`,
    ],
  ];
  return entries;
}

/**
 * What an application says to the cloud itself (docs/threat-model.md): bodies of functions that touch no protected
 * table, and settings other than application_name.
 */
export const saidToTheCloud: ReadonlySet<string> = new Set([
  'text a function body',
  'text a setting',
  'text set_config',
]);

/** Statements that fail on every server; their sentinels must be found in a control run all the same. */
export const failingPlaces: readonly string[] = [
  'a statement with a syntax error',
  'a value of the wrong type',
  'a check that fails',
  'a unique value again',
  'a row that fails',
];

async function copyIn(address: Address, format: 'text' | 'csv', first: number, values: readonly string[]) {
  const sql = postgres({ ...address, username: address.user, max: 1, onnotice: () => undefined });
  const line = (id: number) =>
    format === 'text'
      ? `${[id, ...values.map(value => value.replaceAll('\\', '\\\\'))].join('\t')}\n`
      : `${[id, ...values.map(value => `"${value.replaceAll('"', '""')}"`)].join(',')}\n`;
  // The last ten rows of csv have ids above 400, where UPDATE changes them.
  const idOf = (i: number) => (format === 'csv' && i >= 30 ? 371 + i : first + i);
  const lines = Array.from({ length: copies }, (_, i) => line(idOf(i)));
  try {
    const copy = sql.unsafe(`COPY vault (id, ${columnNames}) FROM STDIN WITH (FORMAT ${format})`);
    await pipeline(Readable.from(lines), await copy.writable());
  } finally {
    await sql.end({ timeout: 5 });
  }
}
