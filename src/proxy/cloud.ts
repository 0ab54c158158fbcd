/** How a cloud is reached: sessions by raw backends, Clarus itself by a small pool. */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { Backend } from '../clouds/backend.js';
import type { ConnectionOptions } from '../clouds/options.js';
import type { CloudConfig, ServerPassword, UserConfig } from '../policy/policy.js';
import type { ServerConnection } from '../postgres/options.js';
import type { SessionTarget } from '../trusted/open.js';
import type { DatabaseLocale } from '../trusted/shadow.js';

/**
 * The password that the configuration refers to: of the URL, an environment variable or a file.
 * @throws ClarusError F0000 when it is not there
 */
export type ResolveSecret = (reference: ServerPassword) => string;

/** Connection options of a cloud for a local user (the cloud's own user, or one of the user's). */
export function cloudOptions(
  cloud: CloudConfig,
  user: UserConfig | undefined,
  resolveSecret: ResolveSecret,
  settings: ReadonlyMap<string, string>,
): ConnectionOptions {
  const own = user?.cloud;
  const reference = own?.password ?? cloud.password;
  return {
    label: `cloud "${cloud.name}"`,
    address: { kind: 'tcp', host: cloud.host, port: cloud.port },
    user: own?.user ?? cloud.user,
    database: cloud.database,
    ...(reference ? { password: resolveSecret(reference) } : {}),
    tls: cloud.tls,
    ...(cloud.ca ? { ca: readFileSync(cloud.ca, 'utf8') } : {}),
    parameters: settings,
  };
}

/** Connection options of the trusted database for a session. */
export function trustedOptions(
  target: SessionTarget,
  settings: ReadonlyMap<string, string>,
): ConnectionOptions {
  const { host, port, user, password, database, tls, ca } = target;
  return {
    label: 'the trusted database',
    address: host.startsWith('/')
      ? { kind: 'unix', path: `${host}/.s.PGSQL.${port}` }
      : { kind: 'tcp', host, port },
    user,
    password,
    database,
    tls,
    ca,
    parameters: settings,
    applicationName: settings.get('application_name'),
  };
}

/** Opens a raw connection as the gateway takes it. */
export async function connectBackend(options: ConnectionOptions): Promise<ServerConnection> {
  const backend = await Backend.connect(options);
  return {
    socket: backend.socket,
    parameters: backend.parameters,
    processId: backend.processId,
    cancel: () => backend.cancel(),
  };
}

/** Our own connections to a cloud: for its schema, the witness of leases and recovery. */
export function adminPool(
  cloud: CloudConfig,
  resolveSecret: ResolveSecret,
  onProblem: (message: string) => void,
): pg.Pool {
  const pool = new pg.Pool({
    host: cloud.host,
    port: cloud.port,
    user: cloud.user,
    database: cloud.database,
    ...(cloud.password ? { password: resolveSecret(cloud.password) } : {}),
    ssl:
      cloud.tls === 'off'
        ? false
        : { rejectUnauthorized: true, ...(cloud.ca ? { ca: readFileSync(cloud.ca, 'utf8') } : {}) },
    application_name: 'clarus',
    max: 2,
    idleTimeoutMillis: 30_000,
    connectionTimeoutMillis: 10_000,
    allowExitOnIdle: true,
  });
  pool.on('error', error => {
    // One that is being closed may still hear of the server's end.
    if (!pool.ending) onProblem(`a connection to cloud "${cloud.name}" broke: ${error.message}`);
  });
  return pool;
}

/** Encoding and locale of the cloud's database: its shadow has the same. */
export async function localeOf(cloud: pg.Pool): Promise<DatabaseLocale> {
  // As JSON, because the columns differ between major versions.
  const { rows } = await cloud.query<{ encoding: string; database: Readonly<Record<string, string | null>> }>(
    `SELECT pg_catalog.pg_encoding_to_char(encoding) AS encoding, pg_catalog.to_jsonb(d) AS database
       FROM pg_catalog.pg_database d WHERE datname = pg_catalog.current_database()`,
  );
  const { encoding, database } = rows[0]!;
  const locale = database.datlocale ?? database.daticulocale;
  return {
    encoding,
    provider: database.datlocprovider === 'i' ? 'icu' : database.datlocprovider === 'b' ? 'builtin' : 'libc',
    collate: database.datcollate!,
    ctype: database.datctype!,
    ...(locale == null ? {} : { locale }),
  };
}
