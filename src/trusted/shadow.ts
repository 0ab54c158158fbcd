/**
 * Shadow databases, which hold the logical schema of a cloud without rows, and the roles that sessions use in
 * them: able to make and alter what an application makes, unable to read anything else of the server.
 */
import pg from 'pg';
import { ClarusError } from '../errors.js';
import { formatVerifier, makeVerifier } from '../wire/scram.js';
import { SUPERUSERS, superusersDdl } from './roles.js';
import { connectionConfig, sqlState, type TrustedServer, withClient } from './server.js';

/** Name of the database that holds the state. */
export const STATE_DATABASE = 'clarus';

/** Encoding and locale of a database, as its cloud has them (pg_database). */
export interface DatabaseLocale {
  /** such as `UTF8` */
  readonly encoding: string;
  readonly provider: 'libc' | 'icu' | 'builtin';
  /** datcollate and datctype */
  readonly collate: string;
  readonly ctype: string;
  /** datlocale, for the providers icu and builtin */
  readonly locale?: string;
}

const { escapeIdentifier, escapeLiteral } = pg;

/** Settings that keep values out of the server's log; a superuser's to set. */
const silence: Readonly<Record<string, string>> = {
  log_min_messages: 'panic',
  log_min_error_statement: 'panic',
  log_statement: 'none',
  log_duration: 'off',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  log_transaction_sample_rate: '0',
  log_parameter_max_length_on_error: '0',
};

/** Is the administrator a superuser? */
export const isSuperuser = async (client: pg.ClientBase): Promise<boolean> =>
  (await client.query<{ rolsuper: boolean }>('SELECT rolsuper FROM pg_roles WHERE rolname = current_user'))
    .rows[0]?.rolsuper === true;

/**
 * Makes the shadow database of a cloud when it is missing.
 * @param name of the cloud's database; the shadow has the same, as clients see it
 * @param state the state database, which lists the shadows
 * @returns warnings, in words: the locale that could not be had
 * @throws ClarusError 42P04 when a database of that name is there that is not ours
 */
export async function ensureShadow(
  server: TrustedServer,
  state: pg.Pool,
  name: string,
  locale: DatabaseLocale | undefined,
): Promise<readonly string[]> {
  const hindrance = await shadowHindrance(server, state, name);
  if (hindrance) throw hindrance;
  const { known, found } = await standing(state, name);
  if (known && found) return [];
  const warnings: string[] = [];
  await withClient(connectionConfig(server, STATE_DATABASE), async client => {
    // initdb makes an empty database `postgres`: in a server of ours it gives way.
    if (found && !known) await client.query(`DROP DATABASE ${escapeIdentifier(name)}`);
    const warning = await createDatabase(client, name, locale);
    if (warning !== undefined) warnings.push(warning);
    await closeDatabase(client, name);
    await client.query('INSERT INTO clarus.shadows (database) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
  });
  return warnings;
}

/**
 * What keeps a shadow from being made, without making it.
 * @param name of the cloud's database
 * @returns 42P04 for a name that is taken, undefined when the shadow is there or can be made
 */
export async function shadowHindrance(
  server: TrustedServer,
  state: pg.Pool,
  name: string,
): Promise<ClarusError | undefined> {
  if (name === STATE_DATABASE || name.startsWith('template'))
    return new ClarusError('42P04', `a cloud's database cannot be called "${name}"`, {
      severity: 'FATAL',
      hint: 'The trusted database uses that name itself; rename the database in the cloud.',
    });
  const { known, found } = await standing(state, name);
  if (!found || known || (server.embedded && name === 'postgres')) return undefined;
  return new ClarusError('42P04', `the trusted server has a database "${name}" that Clarus did not make`, {
    severity: 'FATAL',
    hint: 'Use a trusted server of its own, not the cloud’s: Clarus keeps a shadow of the cloud there under that name.',
  });
}

/** Is a shadow of that name known, and is there a database? */
async function standing(
  state: pg.Pool,
  name: string,
): Promise<{ readonly known: boolean; readonly found: boolean }> {
  const known = await state.query('SELECT FROM clarus.shadows WHERE database = $1', [name]);
  const found = await state.query('SELECT FROM pg_database WHERE datname = $1', [name]);
  return { known: known.rowCount === 1, found: found.rowCount === 1 };
}

async function createDatabase(
  client: pg.Client,
  name: string,
  locale: DatabaseLocale | undefined,
): Promise<string | undefined> {
  const create = (options: string): Promise<unknown> =>
    client.query(`CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0 ${options}`);
  const encoding = locale?.encoding ?? 'UTF8';
  const plain = `ENCODING ${escapeLiteral(encoding)} LOCALE 'C'`;
  const fallback =
    encoding === 'UTF8' && (await major(client)) >= 17 ? `${plain} ${builtin('C.UTF-8')}` : plain;
  try {
    await create(locale === undefined ? fallback : localeClause(locale, await major(client)));
    return undefined;
  } catch (error) {
    if (
      locale === undefined ||
      !['22023', '42704', '42809', '0A000', '42601'].includes(sqlState(error) ?? '')
    )
      throw error;
    await create(fallback);
    const wanted = locale.locale ?? locale.collate;
    return `the trusted PostgreSQL has no locale "${wanted}" (${locale.provider}): comparisons of text that depend on it are not finished there`;
  }
}

const builtin = (name: string): string => `LOCALE_PROVIDER builtin BUILTIN_LOCALE ${escapeLiteral(name)}`;

function localeClause(
  { encoding, provider, collate, ctype, locale }: DatabaseLocale,
  version: number,
): string {
  const libc = `LC_COLLATE ${escapeLiteral(collate)} LC_CTYPE ${escapeLiteral(ctype)}`;
  const common = `ENCODING ${escapeLiteral(encoding)} ${libc}`;
  switch (provider) {
    case 'libc':
      // Else the provider is that of template0. Before PostgreSQL 15 there was no other.
      return version >= 15 ? `${common} LOCALE_PROVIDER libc` : common;
    case 'icu':
      return `${common} LOCALE_PROVIDER icu ICU_LOCALE ${escapeLiteral(locale ?? collate)}`;
    case 'builtin':
      return `${common} ${builtin(locale ?? collate)}`;
  }
}

const major = async (client: pg.Client): Promise<number> =>
  Math.floor(
    Number(
      (await client.query<{ server_version_num: string }>('SHOW server_version_num')).rows[0]!
        .server_version_num,
    ) / 10_000,
  );

/** Nobody but the administrator may connect until told so; nothing of a statement goes to the server's log. */
export async function closeDatabase(client: pg.ClientBase, name: string): Promise<void> {
  const database = escapeIdentifier(name);
  await client.query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC`);
  if (!(await isSuperuser(client))) return;
  for (const [setting, value] of Object.entries(silence))
    await client.query(`ALTER DATABASE ${database} SET ${setting} = ${escapeLiteral(value)}`);
}

/**
 * What of the server's settings could bring values to its log, in words. Only an administrator who is no
 * superuser needs it: others have it set by `closeDatabase`.
 */
export async function loggingProblems(client: pg.ClientBase): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    'SELECT name, setting FROM pg_settings WHERE name = ANY ($1)',
    [Object.keys(silence)],
  );
  return rows
    .filter(({ name, setting }) => setting !== silence[name])
    .map(
      ({ name, setting }) =>
        `the trusted PostgreSQL has ${name} = ${setting}, with which values may come to its log: set it to ${silence[name]}`,
    );
}

/** A role of a session in a shadow database. */
export interface ShadowRole {
  readonly database: string;
  /** the local user's name, which is the role's */
  readonly user: string;
  /**
   * role that owns what the user makes: users who share a cloud user share what they make, here as there.
   * Default: the user's own role.
   */
  readonly owner?: string;
  /** the cloud user is a superuser of the cloud: it may act as every role of the application */
  readonly superuser?: boolean;
  readonly password: string;
}

/**
 * Makes or renews a local user's role: it may log in to the shadow database, make schemas there and objects in
 * `public`, and nothing more.
 * @throws ClarusError 42939 for a name that PostgreSQL or the trusted database keeps for itself
 */
export async function ensureRole(server: TrustedServer, role: ShadowRole): Promise<void> {
  const { database, user, owner = user } = role;
  for (const name of [user, owner])
    if (name === server.user || name === SUPERUSERS || /^pg_|^(public|none)$/.test(name))
      throw new ClarusError('42939', `a user cannot be called "${name}"`, {
        severity: 'FATAL',
        hint: 'PostgreSQL or the trusted database keeps that name for itself.',
      });
  await withClient(connectionConfig(server, database), async client => {
    await client.query('BEGIN');
    await client.query('SELECT pg_advisory_xact_lock($1)', [roleLock]);
    const superuser = await isSuperuser(client);
    if (owner !== user) await makeRole(client, owner, superuser);
    await makeRole(client, user, superuser);
    const verifier = escapeLiteral(formatVerifier(makeVerifier(role.password)));
    await client.query(`ALTER ROLE ${escapeIdentifier(user)} LOGIN PASSWORD ${verifier}`);
    await grantOwner(client, database, user, owner);
    if (superuser) {
      await client.query(superusersDdl);
      const [word, preposition] = role.superuser ? ['GRANT', 'TO'] : ['REVOKE', 'FROM'];
      await client.query(`${word} ${SUPERUSERS} ${preposition} ${escapeIdentifier(owner)}`);
      await grantSettings(client);
    }
    await client.query('COMMIT');
  });
}

/** Key of the advisory lock that changes of roles hold: roles are the whole server's. */
const roleLock = '7161677565';

async function makeRole(client: pg.Client, name: string, superuser: boolean): Promise<void> {
  const role = escapeIdentifier(name);
  const found = await client.query<{ unsafe: boolean }>(
    'SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS unsafe FROM pg_roles WHERE rolname = $1',
    [name],
  );
  if (found.rowCount === 0) {
    await client.query(`CREATE ROLE ${role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE INHERIT`);
    // Whoever is no superuser may give objects only to roles that it is a member of.
    if (!superuser) await client.query(`GRANT ${role} TO CURRENT_USER`);
  } else if (found.rows[0]!.unsafe)
    throw new ClarusError(
      '42501',
      `the role "${name}" of the trusted server has rights that no session may have`,
      {
        severity: 'FATAL',
        hint: 'Choose another name for the user, or take the rights from the role.',
      },
    );
}

/**
 * A setting of superusers that a superuser of the cloud may change, and by which statements end otherwise. No value of it
 * does harm: PostgreSQL keeps it within what the platform bears (check_max_stack_depth, postgres.c).
 */
async function grantSettings(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ known: boolean }>(
    "SELECT pg_catalog.current_setting('server_version_num')::int >= 150000 AS known",
  );
  if (rows[0]!.known) await client.query(`GRANT SET ON PARAMETER max_stack_depth TO ${SUPERUSERS}`);
}

async function grantOwner(client: pg.Client, database: string, user: string, owner: string): Promise<void> {
  const [inDatabase, login, owning] = [database, user, owner].map(escapeIdentifier);
  await client.query(`GRANT CONNECT, CREATE, TEMPORARY ON DATABASE ${inDatabase} TO ${login}, ${owning}`);
  if (owner === user) await client.query(`ALTER ROLE ${login} IN DATABASE ${inDatabase} RESET role`);
  else {
    await client.query(`GRANT ${owning} TO ${login}`);
    await client.query(`ALTER ROLE ${login} IN DATABASE ${inDatabase} SET role = ${escapeLiteral(owner)}`);
  }
  const { rows } = await client.query<{ taken: boolean }>(
    `SELECT nspowner <> (SELECT datdba FROM pg_database WHERE datname = current_database())
        AND pg_get_userbyid(nspowner) <> 'pg_database_owner' AS taken
       FROM pg_namespace WHERE nspname = 'public'`,
  );
  if (rows.length === 0) return;
  if (!rows[0]!.taken) await client.query(`ALTER SCHEMA public OWNER TO ${owning}`);
  await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  await client.query(`GRANT CREATE, USAGE ON SCHEMA public TO ${login}, ${owning}`);
}
