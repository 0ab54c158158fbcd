/**
 * What roles of the application own. It belongs to them in the shadow, where PostgreSQL says what its owner may; in the cloud
 * all belongs to the cloud's user, whose sessions therefore must have the rights of the owner too.
 */

import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { isLogicalRole } from '../../trusted/roles.js';
import type { SessionPort } from '../ports.js';
import { list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { rolesNamed, spelt } from './named-roles.js';

const inheritsQuery = `SELECT pg_catalog.pg_has_role($1::pg_catalog.name, 'USAGE')::pg_catalog.text`;

/**
 * The session's own role has in the cloud all rights on what a role makes or is given.
 * @throws ClarusError 0A000 where it has not the rights of that role, as by NOINHERIT
 */
export async function mustInherit(role: string, session: SessionPort): Promise<void> {
  const [row] = await session.asOwner(() => readerOn(session.trusted)(inheritsQuery, [role]));
  if (row?.[0] === 'true') return;
  throw new ClarusError('0A000', `role "${role}" cannot own what the user of the session makes`, {
    detail: 'The user has not the rights of the role, and in the cloud it has all rights on what it makes.',
    hint: `GRANT "${role}" TO the user, and let it INHERIT.`,
  });
}

/**
 * A new owner as the cloud is told of it.
 * @returns undefined: it is a role of the application, of which no cloud hears
 * @throws ClarusError 0A000 where the session's own role has not its rights
 */
export async function ownerInCloud(
  session: SessionPort,
  owner: RawNode | RawFields | undefined,
): Promise<string | undefined> {
  const name = await spelt(session, owner);
  const { logical } = await rolesNamed(session, [name]);
  if (name === undefined || !logical.has(name)) {
    const { rolename } = ((owner as RawNode | undefined)?.RoleSpec ?? owner ?? {}) as RawFields;
    return typeof rolename === 'string' ? quoteName(rolename) : 'CURRENT_USER';
  }
  await mustInherit(name, session);
  return undefined;
}

/** What gives the physical table of a protected one another owner. */
export async function ownerStatements(
  session: SessionPort,
  table: LogicalTable,
  commands: readonly RawNode[],
): Promise<readonly string[]> {
  const statements: string[] = [];
  for (const { AlterTableCmd: command } of commands) {
    if (command?.subtype !== 'AT_ChangeOwner') continue;
    const owner = await ownerInCloud(session, command.newowner as RawFields | undefined);
    const name = quoteQualified(table.physical.schema, table.physical.name);
    if (owner !== undefined) statements.push(`ALTER TABLE ${name} OWNER TO ${owner}`);
  }
  return statements;
}

/** An ALTER TABLE as the cloud is told of it, without owners that are roles of the application; undefined: nothing of it. */
export async function withoutLogicalOwners(
  session: SessionPort,
  node: RawNode,
): Promise<RawNode | undefined> {
  if (!node.AlterTableStmt) return node;
  const all = list(node.AlterTableStmt, 'cmds');
  const cmds: RawNode[] = [];
  for (const command of all) {
    const { subtype, newowner } = command.AlterTableCmd ?? {};
    if (subtype !== 'AT_ChangeOwner' || (await ownerInCloud(session, newowner as RawFields | undefined)))
      cmds.push(command);
  }
  if (cmds.length === 0) return undefined;
  return cmds.length === all.length ? node : { AlterTableStmt: { ...node.AlterTableStmt, cmds } };
}

const definersQuery = `SELECT p.proname::pg_catalog.text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
  WHERE p.oid >= 16384 AND p.prosecdef AND ${isLogicalRole('r.rolname')} LIMIT 1`;

/**
 * The cloud would run such a function with the rights of its user.
 * @throws ClarusError 0A000 for a function that is SECURITY DEFINER and belongs to a role of the application
 */
export async function refuseDefiners(session: SessionPort): Promise<void> {
  const [row] = await readerOn(session.trusted)(definersQuery, []);
  if (row)
    throw new ClarusError('0A000', `function "${row[0]}" cannot be SECURITY DEFINER`, {
      detail:
        'It belongs to a role of the application, and the cloud would run it with the rights of its user.',
      hint: 'Leave SECURITY DEFINER out, or let it belong to the user of the session.',
    });
}

/** Users that have the rights of roles of the application that own something. */
const inheritors = `SELECT DISTINCT u.rolname::pg_catalog.text, r.rolname::pg_catalog.text
   FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid, pg_catalog.pg_roles u
  WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o' AND ${isLogicalRole('r.rolname')}
    AND u.oid >= 16384 AND NOT ${isLogicalRole('u.rolname')} AND pg_catalog.pg_has_role(u.oid, r.oid, 'USAGE')`;

/**
 * Does what changes who is a member of which role, and by what rights.
 * @throws ClarusError 0A000 where a user would lose the rights of a role on what it has in the cloud all rights on
 */
export async function keepingInheritors<T>(session: SessionPort, work: () => Promise<T>): Promise<T> {
  const read = readerOn(session.trusted);
  const before = await read(inheritors, []);
  const done = await work();
  if (before.length === 0) return done;
  const now = new Set((await read(inheritors, [])).map(pair => JSON.stringify(pair)));
  const lost = before.find(pair => !now.has(JSON.stringify(pair)));
  if (lost === undefined || (await isGone(lost[1]!, session))) return done;
  throw new ClarusError('0A000', `user "${lost[0]}" cannot lose the rights of role "${lost[1]}"`, {
    detail: 'The role owns what the user has made, and in the cloud it goes on belonging to the user.',
    hint: 'REASSIGN what the role owns first.',
  });
}

/** Does a role own nothing any more? */
async function isGone(role: string, session: SessionPort): Promise<boolean> {
  const rows = await readerOn(session.trusted)(
    `SELECT FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
      WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o' AND r.rolname = $1 LIMIT 1`,
    [role],
  );
  return rows.length === 0;
}
