/**
 * Plaintext originals that `clarus copy` sets aside in a cloud: a table, its indexes and its own sequences under
 * names of their own. What was renamed stands in the table's comment, so that it can be put back after a crash.
 */

import { ClarusError } from '../errors.js';
import { joinName } from '../policy/names.js';
import type { DatabaseDescription, DescribedTable } from './description.js';
import { boundedName, quoteLiteral, quoteName, quoteQualified } from './quote.js';
import { type Reader, readJson, type SchemaConnection } from './reader.js';

type Kind = 'TABLE' | 'INDEX' | 'SEQUENCE';

/** One renamed object; a table's indexes and sequences stand in its schema. */
export interface Renamed {
  readonly kind: Kind;
  readonly schema: string;
  readonly before: string;
  readonly after: string;
}

/** A plaintext original. */
export interface SetAside {
  /** the table that it is the original of */
  readonly schema: string;
  readonly table: string;
  /** the name that it has now, in the same schema */
  readonly name: string;
  /** false: its copy was not finished, or is not known to be */
  readonly copied: boolean;
  readonly renamed: readonly Renamed[];
}

/** Begins the comment of a table that was set aside; JSON follows, and on the next line the owner's own comment. */
const marker = 'clarus: plaintext original ';

interface Commented {
  readonly schema: string;
  readonly name: string;
  readonly comment: string;
}

const commented = `
SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'comment', d.description)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = 0
WHERE c.relkind IN ('r', 'p') AND starts_with(d.description, $1) ORDER BY 1`;

/** Every plaintext original in a cloud. @param read a connection to the cloud */
export async function originalsIn(read: Reader): Promise<readonly SetAside[]> {
  return (await readJson<Commented>(read, commented, [marker])).flatMap(({ schema, name, comment }) => {
    const [first = ''] = comment.slice(marker.length).split('\n');
    const found = parseMarker(first);
    return found ? [{ schema, name, ...found }] : [];
  });
}

/**
 * A cloud as applications see it: plaintext originals whose copies stand, and what hangs on them, are no part of the
 * logical schema. Foreign keys of tables that wait for their own copies still refer to them.
 * @param originals those that stand there; those whose copies are being made are left in
 */
export function withoutOriginals(
  cloud: DatabaseDescription,
  originals: readonly SetAside[],
): DatabaseDescription {
  const isHidden = ({ schema, name }: DescribedTable): boolean =>
    originals.some(o => o.copied && o.schema === schema && o.name === name);
  const hidden = new Set(cloud.tables.filter(isHidden).map(({ oid }) => oid));
  if (hidden.size === 0) return cloud;
  return {
    ...cloud,
    tables: cloud.tables
      .filter(({ oid }) => !hidden.has(oid))
      .map(table => ({
        ...table,
        constraints: table.constraints.filter(({ references }) => !hidden.has(references?.table ?? 0)),
      })),
    objects: cloud.objects.filter(({ table }) => !hidden.has(table)),
  };
}

/** In words that an original stands, and what to do about it. */
export function originalInWords({ schema, table, name, copied }: SetAside): string {
  const [title, kept] = [joinName([schema, table]), joinName([schema, name])];
  return copied
    ? `${kept} is the plaintext original of ${title}, set aside by "clarus copy": when you are sure, drop it in the cloud, after the originals of tables that refer to it`
    : `the copy of ${title} was cut short: run "clarus copy ${title}" again`;
}

function parseMarker(text: string): Pick<SetAside, 'table' | 'copied' | 'renamed'> | undefined {
  try {
    const { table, copied, renamed } = JSON.parse(text) as Pick<SetAside, 'table' | 'copied' | 'renamed'>;
    return typeof table === 'string' && Array.isArray(renamed) ? { table, copied, renamed } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // a comment of the owner's that only begins alike
    throw error;
  }
}

const relations = `
SELECT jsonb_build_object('kind', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END,
  'schema', n.nspname, 'before', c.relname)::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1::oid OR c.oid IN (SELECT indexrelid FROM pg_catalog.pg_index WHERE indrelid = $1::oid)
  OR c.relkind = 'S' AND c.oid IN (SELECT objid FROM pg_catalog.pg_depend WHERE refobjid = $1::oid
    AND classid = 'pg_catalog.pg_class'::regclass AND refclassid = 'pg_catalog.pg_class'::regclass AND deptype IN ('a', 'i'))
ORDER BY c.relkind <> 'r', c.relname`;

const namesTaken = `
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1`;

/**
 * Gives a table and all that would stand in the way of its copy names of their own.
 * @param connection to the cloud, inside a transaction
 * @param oid the table's, in the cloud
 */
export async function setAside(connection: SchemaConnection, oid: number): Promise<SetAside> {
  const { read, run } = connection;
  const found = await readJson<Omit<Renamed, 'after'>>(read, relations, [String(oid)]);
  const table = found.find(({ kind }) => kind === 'TABLE');
  if (!table) throw new ClarusError('42P01', 'the table to set aside is not in the cloud any more');
  const taken = new Map<string, Set<string>>();
  for (const { schema } of found)
    if (!taken.has(schema))
      taken.set(schema, new Set((await read(namesTaken, [schema])).map(([name]) => name ?? '')));
  const renamed: Renamed[] = [];
  for (const object of found) {
    const after = freeName(object.before, taken.get(object.schema)!);
    renamed.push({ ...object, after });
    await run(rename(object.kind, object.schema, object.before, after));
  }
  const name = renamed.find(({ kind }) => kind === 'TABLE')!.after;
  const original: SetAside = { schema: table.schema, table: table.before, name, copied: false, renamed };
  await mark(connection, original);
  return original;
}

function freeName(base: string, taken: Set<string>): string {
  for (let n = 1; ; n++) {
    const name = boundedName(base, n === 1 ? '_clarus_original' : `_clarus_original${n}`);
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

const rename = (kind: Kind, schema: string, from: string, to: string): string =>
  `ALTER ${kind} ${quoteQualified(schema, from)} RENAME TO ${quoteName(to)}`;

/** Writes down that the copy is complete. @param connection to the cloud */
export const markCopied = (connection: SchemaConnection, original: SetAside): Promise<void> =>
  mark(connection, { ...original, copied: true });

/** Gives everything its name back. @param connection to the cloud, inside a transaction */
export async function putBack(connection: SchemaConnection, original: SetAside): Promise<void> {
  await comment(connection, original, undefined);
  for (const { kind, schema, before, after } of original.renamed)
    await connection.run(rename(kind, schema, after, before));
}

async function mark(connection: SchemaConnection, original: SetAside): Promise<void> {
  const { table, copied, renamed } = original;
  await comment(connection, original, `${marker}${JSON.stringify({ table, copied, renamed })}`);
}

/** Sets our line of the comment and keeps the owner's. */
async function comment(
  { read, run }: SchemaConnection,
  { schema, name }: SetAside,
  ours: string | undefined,
): Promise<void> {
  const qualified = quoteQualified(schema, name);
  const [row] = await read(`SELECT pg_catalog.obj_description($1::regclass, 'pg_class')`, [qualified]);
  const before = row?.[0] ?? '';
  const own = before.startsWith(marker)
    ? before.slice(before.indexOf('\n') < 0 ? before.length : before.indexOf('\n') + 1)
    : before;
  const lines = [ours, own === '' ? undefined : own].filter(line => line !== undefined);
  await run(
    `COMMENT ON TABLE ${qualified} IS ${lines.length === 0 ? 'NULL' : quoteLiteral(lines.join('\n'))}`,
  );
}
