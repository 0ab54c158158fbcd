/**
 * Opens the trusted database: starts the embedded PostgreSQL or reaches an external one, makes the state database
 * and its tables, and proves that the root key is the right one, all before anything listens.
 */
import type pg from 'pg';
import { rootKeyFingerprint } from '../crypto/keys.js';
import { ClarusError } from '../errors.js';
import type { Config, ServerPassword } from '../policy/policy.js';
import { type EmbeddedServer, startEmbedded } from './embedded.js';
import { initialisationLock, migrate } from './migrations.js';
import { mustBeRootKey, rolePassword, rootKeyCheck, superuserPassword, wrongRootKey } from './root-key.js';
import {
  connectionConfig,
  externalServer,
  inTransaction,
  openPool,
  sqlState,
  type TrustedServer,
  withClient,
} from './server.js';
import {
  closeDatabase,
  type DatabaseLocale,
  ensureRole,
  ensureShadow,
  isSuperuser,
  loggingProblems,
  STATE_DATABASE,
  shadowHindrance,
} from './shadow.js';

/** Which trusted database to open, and by which root key. */
export interface OpenTrustedOptions {
  readonly trusted: Config['trusted'];
  /** 32 bytes */
  readonly rootKey: Uint8Array;
  readonly resolveSecret: (reference: ServerPassword) => string | Promise<string>;
  /** PostgreSQL's major version, for an embedded server; default: that of the data, then the one Clarus brings */
  readonly major?: number;
  /** the server that the primary process has opened: a worker joins it and starts nothing */
  readonly server?: TrustedServer;
  /** takes what goes wrong behind the scenes, in one line without values */
  readonly onProblem?: (message: string) => void;
}

/** Where a session's backend logs in. */
export interface SessionTarget {
  /** a host name or address, or the absolute path of the directory of a Unix socket */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls: 'verify' | 'off';
  /** PEM text */
  readonly ca: string | undefined;
}

/** The trusted database, open. */
export interface Trusted {
  /** for workers, as `OpenTrustedOptions.server` */
  readonly server: TrustedServer;
  /** PostgreSQL's major version */
  readonly major: number;
  /** is its user a superuser? */
  readonly superuser: boolean;
  /** administrator's connections to the state database */
  readonly state: pg.Pool;
  /** settles when the embedded server that this process started has ended, whoever ended it; else undefined */
  readonly ended: Promise<void> | undefined;
  /** things to say loudly, in words */
  readonly warnings: readonly string[];
  /** administrator's connections to a shadow database */
  shadowAdmin(database: string): pg.Pool;
  /** Makes the shadow database when it is missing. @returns warnings, in words */
  ensureShadow(database: string, locale?: DatabaseLocale): Promise<readonly string[]>;
  /** What keeps the shadow database from being made, or undefined. Makes nothing. */
  shadowHindrance(database: string): Promise<ClarusError | undefined>;
  /**
   * Makes or renews the role of a local user.
   * @param owner role that owns what the user makes (users who share a cloud user share it); default: its own
   * @param isSuperuser is the cloud user a superuser there?
   */
  ensureUser(database: string, user: string, owner?: string, isSuperuser?: boolean): Promise<void>;
  sessionTarget(database: string, user: string): SessionTarget;
  /** Closes all connections of this process, and stops the server where this process started it. */
  close(): Promise<void>;
}

/** Superuser of an embedded server. */
const superuser = 'clarus_admin';
const stateConnections_max = 4;
const shadowConnections_max = 2;

/**
 * @throws ClarusError 28000 for a wrong root key, 55000 for a newer schema version, and what starting a server or
 *   reaching one may meet, each in one line
 */
export async function openTrusted(options: OpenTrustedOptions): Promise<Trusted> {
  const { rootKey, onProblem = () => undefined } = options;
  const { server, started } = await reach(options);
  const pools = new Map<string, pg.Pool>();
  const close = async (): Promise<void> => {
    await Promise.all([...pools.values()].map(pool => pool.end()));
    await started?.stop();
  };
  const poolOf = (database: string, connections_max: number): pg.Pool => {
    const found = pools.get(database);
    if (found !== undefined) return found;
    const pool = openPool(server, database, connections_max, onProblem);
    pools.set(database, pool);
    return pool;
  };
  try {
    if (options.server === undefined) await prepareServer(server, rootKey);
    const state = poolOf(STATE_DATABASE, stateConnections_max);
    const { major, superuser: asSuperuser, warnings } = await prepareState(state, rootKey, server);
    return {
      server,
      major,
      superuser: asSuperuser,
      state,
      ended: started?.ended,
      warnings,
      shadowAdmin: database => poolOf(database, shadowConnections_max),
      shadowHindrance: database => shadowHindrance(server, state, database),
      ensureShadow: (database, locale) => ensureShadow(server, state, database, locale),
      ensureUser: (database, user, owner = user, isSuperuser = false) =>
        ensureRole(server, {
          ...{ database, user, owner, superuser: isSuperuser },
          password: rolePassword(rootKey, user),
        }),
      sessionTarget(database, user) {
        const { host, port, tls, ca } = server;
        return { host, port, user, password: rolePassword(rootKey, user), database, tls, ca };
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function reach(
  options: OpenTrustedOptions,
): Promise<{ readonly server: TrustedServer; readonly started: EmbeddedServer | undefined }> {
  if (options.server !== undefined) return { server: options.server, started: undefined };
  const { database, directory } = options.trusted;
  if (database !== 'embedded')
    return { server: await externalServer(database, options.resolveSecret), started: undefined };
  const password = superuserPassword(options.rootKey);
  const started = await startEmbedded({
    directory,
    name: 'trusted database',
    superuser,
    password,
    ...(options.major === undefined ? {} : { major: options.major }),
    ...(options.onProblem === undefined ? {} : { log: options.onProblem }),
  });
  const { host, port, user } = started.target('postgres');
  const server: TrustedServer = {
    host,
    port,
    user,
    password,
    tls: 'off',
    ca: undefined,
    maintenance: 'postgres',
    embedded: true,
  };
  return { server, started };
}

/** Makes the state database, and closes to all what sessions have no business in. */
async function prepareServer(server: TrustedServer, rootKey: Uint8Array): Promise<void> {
  try {
    if (await stateExists(server)) return;
    await withClient(connectionConfig(server, server.maintenance), async client => {
      const create = `CREATE DATABASE ${STATE_DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`;
      await client.query(create).catch((error: unknown) => {
        // Another proxy made it at the same moment: of the two, PostgreSQL lets one win.
        if (sqlState(error) !== '42P04' && sqlState(error) !== '23505') throw error;
      });
      await closeDatabase(client, STATE_DATABASE);
      if (server.embedded) for (const name of ['postgres', 'template1']) await closeDatabase(client, name);
    });
  } catch (error) {
    throw reachable(server, rootKey, error);
  }
}

async function stateExists(server: TrustedServer): Promise<boolean> {
  try {
    return await withClient(connectionConfig(server, STATE_DATABASE), async client => {
      await closeDatabase(client, STATE_DATABASE);
      return true;
    });
  } catch (error) {
    if (sqlState(error) === '3D000') return false;
    throw error;
  }
}

/** Words why the server cannot be used. */
function reachable(server: TrustedServer, rootKey: Uint8Array, error: unknown): unknown {
  if (error instanceof ClarusError || !(error instanceof Error)) return error;
  // The password of an embedded server's superuser is derived from the root key.
  if (server.embedded && sqlState(error) === '28P01') return wrongRootKey(rootKey);
  const place = `${server.user}@${server.host}:${server.port}`;
  return new ClarusError(sqlState(error) ?? '08001', `the trusted database (${place}): ${error.message}`, {
    severity: 'FATAL',
    hint: 'Look at trusted.database in clarus.yaml; its user needs CREATEDB and CREATEROLE.',
  });
}

async function prepareState(
  state: pg.Pool,
  rootKey: Uint8Array,
  { embedded }: TrustedServer,
): Promise<Pick<Trusted, 'major' | 'superuser' | 'warnings'>> {
  return inTransaction(state, async client => {
    await client.query('SELECT pg_advisory_xact_lock($1)', [initialisationLock]);
    await migrate(client, embedded);
    await client.query(
      `INSERT INTO clarus.installation (root_fingerprint, root_check) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
      [rootKeyFingerprint(rootKey), rootKeyCheck(rootKey)],
    );
    const known = await client.query<{ fingerprint: string; check: Buffer }>(
      'SELECT root_fingerprint AS fingerprint, root_check AS check FROM clarus.installation',
    );
    mustBeRootKey(rootKey, known.rows[0]!);
    const version = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    const asSuperuser = await isSuperuser(client);
    return {
      major: Math.floor(Number(version.rows[0]!.server_version_num) / 10_000),
      superuser: asSuperuser,
      warnings: asSuperuser ? [] : await loggingProblems(client),
    };
  });
}
