/**
 * CREATE, ALTER and DROP of roles of the application. They stand on the trusted side only (trusted/roles.ts), and no cloud
 * hears of them.
 */
import { quoteLiteral } from '../../catalog/quote.js';
import { textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { type Diagnostic, PostgresError } from '../../wire/diagnostic.js';
import { tell } from '../notices.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { runInShadow } from './backends.js';
import type { DdlBody } from './body.js';
import { ofConfiguration, roleName, rolesNamed, rolesOfCloud, spelt } from './named-roles.js';
import { keepingInheritors } from './ownership.js';
import { keptPassword, type RoleOptions, roleOptions } from './role-options.js';

type Done = Promise<{ tag: string }>;

const textsSql = (texts: readonly string[]): string => `${quoteLiteral(textArray(texts))}::pg_catalog.text[]`;
/** @param role its name, with which PostgreSQL salts a password under md5 */
async function settingsSql(session: SessionPort, { settings }: RoleOptions, role: string): Promise<string> {
  const { password } = settings;
  const [row] = password ? await readerOn(session.trusted)('SHOW password_encryption', []) : [];
  const kept = row ? { ...settings, password: keptPassword(password!, role, row[0] ?? '') } : settings;
  return `${quoteLiteral(JSON.stringify(kept))}::pg_catalog.jsonb`;
}

/**
 * CREATE ROLE, CREATE USER and CREATE GROUP.
 * @throws ClarusError 42710 for one that is there, in the cloud too, 42704 and 0A000 for roles that it names, PostgresError
 */
export async function createRole(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const name = textOf(fields, 'role') ?? '';
  // the functions come with the carriers
  if (!session.residual) throw ofConfiguration('CREATE ROLE');
  const options = roleOptions(fields);
  const isUser = fields.stmt_type === 'ROLESTMT_USER' && !options.taken.includes('canlogin');
  const given = isUser ? [...new Set(['canlogin', ...options.given])] : options.given;
  if (options.sysid) await tell(session, [sysidSaid]);
  if ((await rolesOfCloud(session)).has(name))
    throw new ClarusError('42710', `role "${name}" already exists`);
  await runAsOwner(
    session,
    `create_role(${quoteLiteral(name)}, ${textsSql(given)}, ${await settingsSql(session, options, name)})`,
  );
  for (const role of await named(session, options.within)) await join(session, role, name);
  for (const member of await named(session, options.admins)) await join(session, name, member, 'true, true');
  for (const member of await named(session, options.members)) await join(session, name, member);
  return { tag: 'CREATE ROLE' };
}

const join = (session: SessionPort, role: string, member: string, how = 'true, false'): Promise<void> =>
  runAsOwner(session, `join_role(${quoteLiteral(role)}, ${quoteLiteral(member)}, ${how})`);

const sysidSaid: Diagnostic = {
  severity: 'NOTICE',
  code: '00000',
  message: 'SYSID can no longer be specified',
};

/** Roles of the application by their names, and the one that the session acts as. @throws ClarusError 42704, 0A000 */
async function named(session: SessionPort, specs: readonly RawNode[]): Promise<readonly string[]> {
  const names: string[] = [];
  for (const spec of specs) {
    const name = await spelt(session, spec);
    const isNamed = name !== undefined && name === roleName(spec);
    if (name === undefined || isNamed) await mustBeLogical(session, name, 'GRANT and REVOKE of roles');
    if (name !== undefined) names.push(name);
  }
  return names;
}

/** @throws ClarusError 42704, 0A000 for a role that was not made through Clarus */
async function mustBeLogical(session: SessionPort, name: string | undefined, what: string): Promise<void> {
  const { logical, others } = await rolesNamed(session, [name]);
  if (others.length > 0) throw ofConfiguration(what);
  if (logical.size === 0) throw new ClarusError('42704', `role "${name}" does not exist`);
}

/**
 * ALTER ROLE, ALTER USER and ALTER GROUP ... ADD, DROP USER.
 * @throws ClarusError 0A000 for roles that Clarus did not make, 42704; PostgresError
 */
export function alterRole(session: SessionPort, body: DdlBody): Done {
  return keepingInheritors(session, () => altered(session, body));
}

async function altered(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const name = await spelt(session, fields.role as RawFields);
  await mustBeLogical(session, name, 'ALTER ROLE of a role that was not made through Clarus');
  const options = roleOptions(fields);
  if (options.sysid) await tell(session, [sysidSaid]);
  const { given, taken, settings, members } = options;
  const arrays = `${textsSql(given)}, ${textsSql(taken)}, ${await settingsSql(session, options, name!)}`;
  const changes = given.length + taken.length + Object.keys(settings).length > 0;
  if (changes || members.length === 0)
    await runAsOwner(session, `alter_role(${quoteLiteral(name!)}, ${arrays})`);
  const joins = fields.action !== -1;
  for (const member of await named(session, members)) await join(session, name!, member, `${joins}, false`);
  return { tag: 'ALTER ROLE' };
}

/** ALTER ROLE ... RENAME TO. @throws ClarusError 0A000 for roles that Clarus did not make, 42704, 42710; PostgresError */
export async function renameRole(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const [name, renamed] = [textOf(fields, 'subname') ?? '', textOf(fields, 'newname') ?? ''];
  await mustBeLogical(session, name, 'RENAME of a role that was not made through Clarus');
  if ((await rolesOfCloud(session)).has(renamed))
    throw new ClarusError('42710', `role "${renamed}" already exists`);
  await runAsOwner(session, `rename_role(${quoteLiteral(name)}, ${quoteLiteral(renamed)})`);
  return { tag: 'ALTER ROLE' };
}

/** COMMENT ON ROLE. @throws ClarusError 0A000 for roles that Clarus did not make, 42704; PostgresError */
export async function commentOnRole(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const name = stringOf(fields.object as RawNode);
  await mustBeLogical(session, name, 'COMMENT ON ROLE of a role that was not made through Clarus');
  const words = textOf(fields, 'comment');
  const comment = words === undefined ? 'NULL' : quoteLiteral(words);
  await runAsOwner(session, `comment_on_role(${quoteLiteral(name)}, ${comment})`);
  return { tag: 'COMMENT' };
}

/** @throws ClarusError 0A000 for roles that Clarus did not make, 42704; PostgresError */
export async function dropRoles(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const names = list(fields, 'roles').map(roleName);
  const { logical, others, missing } = await rolesNamed(session, names);
  if (others.length > 0) throw ofConfiguration('DROP ROLE of a role that was not made through Clarus');
  for (const name of missing) {
    if (fields.missing_ok !== true) throw new ClarusError('42704', `role "${name}" does not exist`);
    const message = `role "${name}" does not exist, skipping`;
    await tell(session, [{ severity: 'NOTICE', code: '00000', message }]);
  }
  // what stands in the way is named by the session's path
  const path = "pg_catalog.current_setting('search_path')";
  if (logical.size > 0)
    await keepingInheritors(session, () =>
      runAsOwner(session, `drop_roles(${textsSql([...logical])}, ${path})`),
    );
  return { tag: 'DROP ROLE' };
}

/** Runs one of our functions, of which an error does not tell. */
async function runAsOwner(session: SessionPort, call: string): Promise<void> {
  const sql = `SELECT ${OWN_SCHEMA}.${call}`;
  await runInShadow(session, sql).catch((error: unknown) => {
    if (!(error instanceof PostgresError)) throw error;
    const { where: _where, ...told } = error.diagnostic;
    throw new PostgresError(told);
  });
  session.transaction.record(sql, []);
}
