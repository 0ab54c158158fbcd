/**
 * The protected copy of a table that stands unprotected in its cloud. The original is set aside by renaming it; the
 * copy is made and filled through the proxy itself, in one transaction, and committed only when it holds the same
 * rows. Whatever ends the work before that leaves no copy, and the original under a name that `finishOrPutBack`
 * knows to undo.
 */
import type pg from 'pg';
import { ROW_COLUMN } from '../catalog/catalog.js';
import { describeTables, qualified } from '../catalog/describe.js';
import { quoteName, quoteQualified } from '../catalog/quote.js';
import { readerOf, type SchemaConnection } from '../catalog/reader.js';
import { markCopied, originalsIn, putBack, type SetAside, setAside } from '../catalog/set-aside.js';
import type { BackendClient } from '../clouds/backend-client.js';
import { ClarusError } from '../errors.js';
import { joinName } from '../policy/names.js';
import { dataColumns, type Original, pointedTo } from './original.js';
import { RowDigest } from './row-digest.js';

/** Time to wait for the application's last transactions on the table. */
const LOCK_TIMEOUT_MS = 5_000;

/** Both sides print values alike. */
export const copySettings: readonly (readonly [string, string])[] = [
  ['client_encoding', 'UTF8'],
  ['DateStyle', 'ISO, YMD'],
  ['IntervalStyle', 'postgres'],
  ['TimeZone', 'UTC'],
  ['extra_float_digits', '1'],
  ['bytea_output', 'hex'],
];

/** COPY's text format, with a delimiter that has one written form. */
const asText = "(FORMAT text, DELIMITER '|')";

/** Runs work in one transaction on a connection to the cloud. */
async function inCloud<T>(cloud: pg.Pool, work: (connection: SchemaConnection) => Promise<T>): Promise<T> {
  const client = await cloud.connect();
  try {
    await client.query('BEGIN');
    await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    const result = await work({ read: readerOf(client), run: sql => client.query(sql) });
    await client.query('COMMIT');
    return result;
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error;
    throw new ClarusError('55P03', 'the table is in use in the cloud', {
      hint: 'Stop the application, then try again.',
    });
  } finally {
    client.release(true); // ends a transaction that did not commit
  }
}

/** Sets the plaintext original aside. @throws ClarusError 55P03 while an application uses it */
export const setOriginalAside = (cloud: pg.Pool, { described }: Original): Promise<SetAside> =>
  inCloud(cloud, async connection => {
    await connection.run(
      `LOCK TABLE ${quoteQualified(described.schema, described.name)} IN ACCESS EXCLUSIVE MODE`,
    );
    return setAside(connection, described.oid);
  });

/** What became of a copy that was cut short. */
export type Unfinished = 'none' | 'finished' | 'put back';

const protectedForm = `SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = '${ROW_COLUMN}' AND NOT a.attisdropped)`;

/**
 * Ends what an earlier copy began: its transaction either committed, then only the note is missing; or it did
 * not, then the original gets its name back.
 */
export const finishOrPutBack = (cloud: pg.Pool, schema: string, name: string): Promise<Unfinished> =>
  inCloud(cloud, async connection => {
    const left = (await originalsIn(connection.read)).find(
      o => o.schema === schema && o.table === name && !o.copied,
    );
    if (!left) return 'none';
    const [row] = await connection.read(protectedForm, [schema, name]);
    if (row?.[0] === 't') {
      await markCopied(connection, left);
      return 'finished';
    }
    await putBack(connection, left);
    return 'put back';
  });

/** A copy that was committed, equal to its original. */
export interface Copied {
  readonly rows: number;
  /** 64 hexadecimal digits (row-digest.ts) */
  readonly digest: string;
}

/**
 * Makes and fills the copy.
 * @param proxy a session of a local user
 * @param source a direct connection to the cloud
 * @param onRows is told how many rows have gone over
 * @throws ClarusError XX001 when the copy does not hold what the original does; nothing of it is left then
 */
export async function fillCopy(
  proxy: BackendClient,
  source: BackendClient,
  original: Original,
  aside: SetAside,
  onRows: (rows: number) => void,
): Promise<Copied> {
  const columns = original.columns.map(quoteName).join(', ');
  const table = quoteQualified(aside.schema, aside.table);
  await source.simple('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  await proxy.simple('BEGIN');
  try {
    for (const statement of original.ddl) await proxy.simple(statement);
    const sent = new RowDigest();
    const rows = streamOf(
      source,
      `COPY ${quoteQualified(aside.schema, aside.name)} (${columns}) TO STDOUT ${asText}`,
      data => {
        sent.push(data);
        onRows(sent.count);
      },
    );
    await proxy.copyIn(`COPY ${table} (${columns}) FROM STDIN ${asText}`, rows);
    const stored = new RowDigest();
    await proxy.copyOut(`COPY ${table} (${columns}) TO STDOUT ${asText}`, data => stored.push(data));
    if (stored.count !== sent.count || stored.value !== sent.value)
      throw new ClarusError(
        'XX001',
        `the copy holds other rows than the original (${stored.count} of ${sent.count} rows)`,
        { hint: 'The original has its name back; nothing is lost.' },
      );
    await source.simple('COMMIT'); // lets go of the original, which dropping a foreign key to it locks
    for (const statement of [...original.referring.drop, ...original.referring.add])
      await proxy.simple(statement);
    await proxy.simple('COMMIT');
    return { rows: sent.count, digest: sent.value };
  } finally {
    await source.simple('ROLLBACK');
  }
}

/** What `clarus copy` set aside of a table, or undefined. */
export const originalOf = (cloud: pg.Pool, schema: string, name: string): Promise<SetAside | undefined> =>
  inCloud(cloud, async ({ read }) =>
    (await originalsIn(read)).find(o => o.schema === schema && o.table === name),
  );

/** Does the protected form stand under the table's name? */
export const copyStands = (cloud: pg.Pool, schema: string, name: string): Promise<boolean> =>
  inCloud(cloud, async ({ read }) => (await read(protectedForm, [schema, name]))[0]?.[0] === 't');

/**
 * Makes sure that nothing is lost when a copy is dropped.
 * @param proxy a session of a local user
 * @param source a direct connection to the cloud
 * @throws ClarusError 55000 when the copy holds other rows than the original
 */
export async function mustEqualOriginal(
  proxy: BackendClient,
  source: BackendClient,
  aside: SetAside,
  columns: readonly string[],
): Promise<void> {
  const [copy, original] = [new RowDigest(), new RowDigest()];
  const list = columns.map(quoteName).join(', ');
  const copyOf = (table: string): string =>
    `COPY ${quoteQualified(aside.schema, table)} (${list}) TO STDOUT ${asText}`;
  await proxy.copyOut(copyOf(aside.table), data => copy.push(data));
  await source.copyOut(copyOf(aside.name), data => original.push(data));
  if (copy.count !== original.count || copy.value !== original.value)
    throw new ClarusError(
      '55000',
      `rows of the copy differ from those of the original (${copy.count} and ${original.count} rows): what was written since would be lost`,
      { hint: 'Take it over into the original first, or add --discard-changes to lose it.' },
    );
}

/**
 * Lets foreign keys of open tables that refer to a copy refer to its original again.
 * @param isOpen is a table, by name, served in the clear?
 * @throws ClarusError 2BP01 when a protected table refers to the copy
 */
export const giveForeignKeysBack = (
  cloud: pg.Pool,
  aside: SetAside,
  isOpen: (schema: string, name: string) => boolean,
): Promise<void> =>
  inCloud(cloud, async ({ read, run }) => {
    const tables = await qualified(read, () => describeTables(read, undefined));
    const copy = tables.find(({ schema, name }) => schema === aside.schema && name === aside.table);
    for (const { schema, name, oid, constraints } of tables)
      for (const constraint of constraints) {
        const { kind, references, definition, inherited } = constraint;
        if (kind !== 'f' || references?.table !== copy?.oid || oid === copy?.oid || inherited) continue;
        const title = joinName([schema, name]);
        if (!isOpen(schema, name))
          throw new ClarusError('2BP01', `the foreign key "${constraint.name}" of ${title} refers to it`, {
            hint: `Undo the copy of ${title} first, or drop that foreign key through Clarus.`,
          });
        const altered = `ALTER TABLE ${quoteQualified(schema, name)}`;
        await run(`${altered} DROP CONSTRAINT ${quoteName(constraint.name)}`);
        await run(
          `${altered} ADD CONSTRAINT ${quoteName(constraint.name)} ${pointedTo(definition, aside.schema, aside.name)}`,
        );
      }
  });

/** Gives a plaintext original its names back, where no copy stands any more. */
export const putOriginalBack = (cloud: pg.Pool, aside: SetAside): Promise<void> =>
  inCloud(cloud, connection => putBack(connection, aside));

/** Columns of a plaintext original that hold data. */
export const columnsOfOriginal = (cloud: pg.Pool, { schema, name }: SetAside): Promise<readonly string[]> =>
  inCloud(cloud, async ({ read }) => {
    const tables = await qualified(read, () => describeTables(read, undefined));
    const described = tables.find(t => t.schema === schema && t.name === name);
    return described ? dataColumns(described) : [];
  });

/** The data of COPY ... TO STDOUT as an iterable; the server is held up while the taker is busy. */
async function* streamOf(
  source: BackendClient,
  sql: string,
  onData: (data: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  const waiting: Uint8Array[] = [];
  let wakeTaker: () => void = () => undefined;
  let wakeGiver: () => void = () => undefined;
  let ended = false;
  let failure: unknown;
  const done = source
    .copyOut(sql, data => {
      onData(data);
      waiting.push(Uint8Array.from(data));
      wakeTaker();
      if (waiting.length < 256) return undefined;
      return new Promise<void>(resolve => {
        wakeGiver = resolve;
      });
    })
    .catch((error: unknown) => {
      failure = error;
    })
    .finally(() => {
      ended = true;
      wakeTaker();
    });
  try {
    for (;;) {
      if (waiting.length > 0) {
        yield Buffer.concat(waiting.splice(0));
        wakeGiver();
      } else if (ended) break;
      else
        await new Promise<void>(resolve => {
          wakeTaker = resolve;
        });
    }
    if (failure !== undefined) throw failure;
  } finally {
    // The taker gave up: what the server still sends is read and dropped.
    const drop = setInterval(() => {
      waiting.length = 0;
      wakeGiver();
    }, 10);
    await done;
    clearInterval(drop);
  }
}
