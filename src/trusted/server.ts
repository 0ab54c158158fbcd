/** How the trusted PostgreSQL is reached, by our own connections and by those of sessions. */
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import type { ServerConfig, ServerPassword } from '../policy/policy.js';

/** The administrator's way to the server. Plain data: the primary process hands it to its workers. */
export interface TrustedServer {
  /** a host name or address, or the absolute path of the directory of a Unix socket */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly tls: 'verify' | 'off';
  /** PEM text of the authorities to trust instead of the well-known ones */
  readonly ca: string | undefined;
  /** a database that exists, to make the state database from */
  readonly maintenance: string;
  /** true: started by Clarus, and nothing else lives in it */
  readonly embedded: boolean;
}

/** A server of the owner's, as clarus.yaml names it. */
export async function externalServer(
  config: ServerConfig,
  resolveSecret: (reference: ServerPassword) => string | Promise<string>,
): Promise<TrustedServer> {
  return {
    host: config.host,
    port: config.port,
    user: config.user,
    password: config.password === undefined ? undefined : await resolveSecret(config.password),
    tls: config.tls,
    ca: config.ca === undefined ? undefined : await readFile(config.ca, 'utf8'),
    maintenance: config.database,
    embedded: false,
  };
}

/** Connection parameters of the administrator for a database. */
export const connectionConfig = (server: TrustedServer, database: string): pg.ClientConfig => ({
  host: server.host,
  port: server.port,
  user: server.user,
  ...(server.password === undefined ? {} : { password: server.password }),
  database,
  ssl: server.tls === 'off' ? false : { rejectUnauthorized: true, ...(server.ca ? { ca: server.ca } : {}) },
  application_name: 'clarus',
  connectionTimeoutMillis: connectTimeout_ms,
  keepAlive: true,
});

const connectTimeout_ms = 10_000;

/**
 * A pool of administrator's connections.
 * @param onProblem is told when an idle connection breaks; the next query opens another
 */
export function openPool(
  server: TrustedServer,
  database: string,
  connections_max: number,
  onProblem: (message: string) => void,
): pg.Pool {
  const pool = new pg.Pool({
    ...connectionConfig(server, database),
    max: connections_max,
    idleTimeoutMillis: 60_000,
  });
  pool.on('error', error => {
    // One that is being closed may still hear of the server's end.
    if (!pool.ending) onProblem(`a connection to the trusted database broke: ${error.message}`);
  });
  return pool;
}

/** Runs `work` on a connection of its own. */
export async function withClient<T>(
  config: pg.ClientConfig,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client(config);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Runs `work` in one transaction. */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    await client.query('ROLLBACK').catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** SQLSTATE of an error that came from PostgreSQL, else undefined. */
export const sqlState = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.code : undefined;
