/**
 * Roles of the application and what is granted to them. They stand on the trusted side only (trusted/roles.ts), and no cloud
 * hears of them: what a session may that acts as one is decided before anything is sent (acting/).
 */
import { quoteLiteral } from '../../catalog/quote.js';
import { textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { isLogicalRole } from '../../trusted/roles.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { tell } from '../notices.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { inShadow, runInShadow } from './backends.js';
import type { DdlBody } from './body.js';

type Done = Promise<{ tag: string }>;

/** Roles that a statement names, by whom they are known. */
interface NamedRoles {
  readonly logical: ReadonlySet<string>;
  /** roles of the cloud or of users, and PUBLIC */
  readonly others: readonly string[];
  /** roles that are nowhere */
  readonly missing: ReadonlySet<string>;
}

const hereQuery = `SELECT r.rolname::text, (${isLogicalRole('r.rolname')})::text FROM pg_catalog.pg_roles r
  WHERE r.rolname = ANY ($1::pg_catalog.text[])`;
/** The names of roles of the cloud, which is not told which one is looked for. */
const rolesOfCloud = async (session: SessionPort): Promise<ReadonlySet<string | null | undefined>> =>
  new Set(
    (await readerOn(session.cloud)('SELECT r.rolname::text FROM pg_catalog.pg_roles r', [])).map(
      ([name]) => name,
    ),
  );

/** @param specs undefined: PUBLIC, or by another word than its name */
async function rolesNamed(session: SessionPort, specs: readonly (string | undefined)[]): Promise<NamedRoles> {
  const names = textArray(specs.filter(name => name !== undefined));
  const there = await rolesOfCloud(session);
  const here = new Map(
    (await readerOn(session.trusted)(hereQuery, [names])).map(([name, logical]) => [name, logical]),
  );
  const logical = new Set<string>();
  const missing = new Set<string>();
  const others: string[] = [];
  for (const name of specs)
    if (name === undefined || there.has(name)) others.push(name ?? 'public');
    else if (!here.has(name)) missing.add(name);
    else if (here.get(name) === 'true') logical.add(name);
    else others.push(name);
  return { logical, others, missing };
}

/** The name of a RoleSpec; undefined: PUBLIC, CURRENT_USER and their kin. */
const roleName = (spec: RawNode | RawFields | undefined): string | undefined =>
  textOf(((spec as RawNode | undefined)?.RoleSpec ?? spec ?? {}) as RawFields, 'rolename');

/** Who acts as a role of the session's is told by the configuration. */
const ofConfiguration = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} is not supported in a database with protected tables`, {
    hint: 'Say who may connect under "users" in the configuration; make roles of the cloud past Clarus.',
  });

/** Options by which a role gets nothing; INHERIT is told to the role. */
const harmless: ReadonlySet<unknown> = new Set([
  'canlogin',
  'superuser',
  'createdb',
  'createrole',
  'isreplication',
  'bypassrls',
]);

/**
 * CREATE ROLE of a role that nobody logs in as, with no attributes.
 * @throws ClarusError 0A000 for other roles, 42710 for one that is there, in the cloud too
 */
export async function createRole(session: SessionPort, { node }: DdlBody): Done {
  const fields = fieldsOf(node);
  const name = textOf(fields, 'role') ?? '';
  let inherits = true;
  if (fields.stmt_type === 'ROLESTMT_USER') throw ofConfiguration('CREATE USER');
  // the functions come with the carriers
  if (!session.residual) throw ofConfiguration('CREATE ROLE');
  for (const { DefElem: option } of list(fields, 'options')) {
    const value = (option?.arg as RawNode | undefined)?.Boolean?.boolval === true;
    if (option?.defname === 'inherit') inherits = value;
    else if (value || !harmless.has(option?.defname)) throw ofConfiguration('CREATE ROLE with this option');
  }
  if ((await rolesOfCloud(session)).has(name))
    throw new ClarusError('42710', `role "${name}" already exists`);
  await runAsOwner(session, `create_role(${quoteLiteral(name)}, ${inherits})`);
  return { tag: 'CREATE ROLE' };
}

/** @throws ClarusError 0A000 for roles that Clarus did not make, 42704 */
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
  for (const name of logical) await runAsOwner(session, `drop_role(${quoteLiteral(name)}, ${path})`);
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

/** Is it a role by which the session means its own? */
const isOwn = (spec: RawNode, own: string | undefined): boolean => {
  const { roletype, rolename } = spec.RoleSpec ?? {};
  return roletype === 'ROLESPEC_CURRENT_USER' || roletype === 'ROLESPEC_CURRENT_ROLE' || rolename === own;
};

/**
 * GRANT and REVOKE of roles to each other, and to the session's own role, which may SET ROLE to them then.
 * @throws ClarusError 0A000 where another one is a role of a user or of the cloud
 */
export async function grantRoles(session: SessionPort, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const granted = list(fields, 'granted_roles').map(({ AccessPriv: role }) =>
    textOf(role ?? {}, 'priv_name'),
  );
  const [own] = await readerOn(session.trusted)('SELECT current_user::text', []);
  const grantees = list(fields, 'grantee_roles').filter(spec => !isOwn(spec, own?.[0] ?? undefined));
  const { others } = await rolesNamed(session, [...granted, ...grantees.map(roleName)]);
  if (others.length > 0) throw ofConfiguration('GRANT and REVOKE of roles');
  return inShadow(session, body);
}

/**
 * GRANT, REVOKE and ALTER DEFAULT PRIVILEGES for roles of the application, on whatever it be.
 * What is wrong with them, PostgreSQL says.
 * @returns undefined: it is about other roles
 * @throws ClarusError 0A000 where it is about both
 */
export async function grantToLogical(
  session: SessionPort,
  body: DdlBody,
  grant: RawFields,
): Promise<{ tag: string } | undefined> {
  const { logical, others, missing } = await rolesNamed(session, list(grant, 'grantees').map(roleName));
  if (logical.size + missing.size === 0) return undefined;
  if (others.length > 0)
    throw new ClarusError(
      '0A000',
      'rights of roles of the application and of others cannot be given at once',
      {
        detail: 'Roles that were made through Clarus stand on the trusted side only.',
        hint: 'Use one statement for each.',
      },
    );
  return inShadow(session, body);
}

/** @throws ClarusError 0A000 for a role of the application as an owner: no session has its rights */
export async function refuseLogicalOwner(session: SessionPort, owner: RawFields | undefined): Promise<void> {
  const name = roleName(owner);
  const { logical } = await rolesNamed(session, [name]);
  if (logical.size > 0)
    throw new ClarusError('0A000', `role "${name}" cannot own objects in a database with protected tables`, {
      detail: 'It was made through Clarus, and no session acts as it.',
      hint: 'Leave the owner as it is, and grant the role what it needs.',
    });
}
