/** Reads a cloud's schema for `clarus init --cloud`: names, types, keys and estimates; no rows. */
import pg from 'pg';
import { describeTables, qualified } from '../catalog/describe.js';
import type { DescribedTable as DescribedFully } from '../catalog/description.js';
import { readerOf } from '../catalog/reader.js';
import { ClarusError } from '../errors.js';
import type { DescribedTable } from '../policy/propose.js';
import { isLoopback, parseServerUrl } from '../policy/server.js';

/**
 * @param url postgres://USER[:PASSWORD]@HOST:PORT/DATABASE; without a password, CLOUD_PASSWORD or PGPASSWORD
 * @throws ClarusError, or the driver's error, in one line
 */
export async function readCloudSchema(url: string): Promise<readonly DescribedTable[]> {
  const server = parseServerUrl(url);
  if ('problem' in server)
    throw new ClarusError('F0000', `the URL of the cloud ${server.problem}`, {
      hint: server.suggestion ?? 'write postgres://USER@HOST:PORT/DATABASE',
    });
  const secret = server.password
    ? 'the password in the URL'
    : process.env.CLOUD_PASSWORD !== undefined
      ? 'CLOUD_PASSWORD'
      : 'PGPASSWORD';
  const password = server.password ?? process.env.CLOUD_PASSWORD ?? process.env.PGPASSWORD;
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    user: server.user,
    database: server.database,
    password: () => {
      if (password !== undefined) return password;
      throw new ClarusError('28P01', 'the cloud asks for a password', {
        hint: 'set CLOUD_PASSWORD, or PGPASSWORD, to the password of that user',
      });
    },
    ssl: isLoopback(server.host) ? false : { rejectUnauthorized: true },
    application_name: 'clarus',
    connectionTimeoutMillis: 10_000,
  });
  await client.connect().catch((error: unknown) => {
    throw unreachable(server, secret, error);
  });
  try {
    await client.query('BEGIN TRANSACTION READ ONLY ISOLATION LEVEL REPEATABLE READ');
    const reader = readerOf(client);
    const tables = await qualified(reader, () => describeTables(reader, undefined));
    const statistics = await client.query<{
      schema: string;
      table: string;
      column: string;
      distinct: number;
    }>(
      'SELECT schemaname AS schema, tablename AS table, attname AS column, n_distinct::float8 AS distinct FROM pg_catalog.pg_stats',
    );
    const rows = await client.query<{ oid: number; rows: number }>(
      "SELECT oid::int8::float8 AS oid, reltuples::float8 AS rows FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')",
    );
    await client.query('COMMIT');
    const distinct = new Map(statistics.rows.map(s => [`${s.schema}\0${s.table}\0${s.column}`, s.distinct]));
    const estimate = new Map(rows.rows.map(r => [r.oid, r.rows]));
    return tables
      .filter(t => t.kind === 'r' || t.kind === 'p')
      .map(table => summarise(table, tables, distinct, estimate.get(table.oid)));
  } finally {
    await client.end();
  }
}

/** One line with cause and remedy. @param secret where the password came from, in words */
function unreachable(
  { host, port, user, database }: Exclude<ReturnType<typeof parseServerUrl>, { problem: string }>,
  secret: string,
  error: unknown,
): unknown {
  if (error instanceof ClarusError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const where = `the cloud (${host}:${port})`;
  const address = 'Start the server, or correct the URL of --cloud.';
  switch (code) {
    case 'ECONNREFUSED':
      return new ClarusError('08001', `nothing listens at ${where}`, { hint: address });
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new ClarusError('08001', `the host of ${where} is unknown`, { hint: address });
    case '28P01':
      return new ClarusError(code, `${where} refuses the password of user "${user}"`, {
        hint: `Correct ${secret}.`,
      });
    case '3D000':
      return new ClarusError(code, `${where} has no database "${database}"`, {
        hint: 'Create it, or correct the URL of --cloud.',
      });
    default:
      return new ClarusError(
        /^[0-9A-Z]{5}$/.test(code ?? '') ? code! : '08001',
        `${where} cannot be used: ${message}`,
      );
  }
}

function summarise(
  table: DescribedFully,
  tables: readonly DescribedFully[],
  distinct: ReadonlyMap<string, number>,
  rows: number | undefined,
): DescribedTable {
  const keyed = (kind: 'p' | 'u', attnum: number): boolean =>
    table.constraints.some(c => c.kind === kind && c.columns.includes(attnum));
  return {
    schema: table.schema,
    name: table.name,
    rows,
    columns: table.columns.map(column => {
      const foreign = table.constraints.find(c => c.kind === 'f' && c.columns.includes(column.attnum));
      const target = tables.find(t => t.oid === foreign?.references?.table);
      const attnum = foreign?.references?.columns[foreign.columns.indexOf(column.attnum)];
      const name = target?.columns.find(c => c.attnum === attnum)?.name;
      return {
        name: column.name,
        type: column.typeName,
        primaryKey: keyed('p', column.attnum),
        unique: keyed('u', column.attnum),
        references:
          target && name !== undefined
            ? { schema: target.schema, table: target.name, column: name }
            : undefined,
        generated:
          column.identity !== '' || /nextval\(|gen_random_uuid\(|uuidv7\(/.test(column.default ?? ''),
        distinct: distinct.get(`${table.schema}\0${table.name}\0${column.name}`),
      };
    }),
  };
}
