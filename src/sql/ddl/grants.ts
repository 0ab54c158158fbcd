/**
 * GRANT and REVOKE. Of what is granted to roles of the application, and of whom they are granted to, no cloud hears: what a
 * session may that acts as one is decided before anything is sent (acting/).
 */

import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { SUPERUSERS } from '../../trusted/roles.js';
import { type Diagnostic, PostgresError } from '../../wire/diagnostic.js';
import { FIRST_USER_OID } from '../functions.js';
import { tell } from '../notices.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { inCloud } from './backends.js';
import type { DdlBody } from './body.js';
import { ofConfiguration, roleName, rolesNamed, spelt } from './named-roles.js';
import { nameInCloud } from './owners.js';
import { keepingInheritors } from './ownership.js';
import { qualifyRelations, rangeParts, resolveRelation } from './resolve.js';
import { servedTable, tableOfRelation } from './served.js';
import { defineInCloud } from './types.js';

type Done = Promise<{ tag: string }>;

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
  return keepingInheritors(session, () => grantInShadow(session, body));
}

/** Grantees of a statement: the logical ones, whether PUBLIC is among them, and others. */
async function granteesOf(
  session: SessionPort,
  grant: RawFields,
): Promise<{ readonly toPublic: boolean; readonly toOthers: boolean; readonly inCloud: readonly RawNode[] }> {
  const inCloud: RawNode[] = [];
  let toPublic = false;
  let toOthers = false;
  for (const spec of list(grant, 'grantees')) {
    const name = await spelt(session, spec);
    const { others } = name === undefined ? { others: [] } : await rolesNamed(session, [name]);
    if (name === undefined) toPublic = true;
    else if (others.length > 0) toOthers = true;
    else continue;
    inCloud.push(spec);
  }
  return { toPublic, toOthers, inCloud };
}

/**
 * ALTER DEFAULT PRIVILEGES for roles of the application; for PUBLIC too where it is about what they make.
 * @throws ClarusError 0A000 for others
 */
export async function alterDefaultPrivileges(session: SessionPort, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const { toPublic, toOthers } = await granteesOf(session, fields.action as RawFields);
  const makers = list(fields, 'options').flatMap(({ DefElem: option }) =>
    option?.defname === 'roles' ? list((option.arg as RawNode).List ?? {}, 'items') : [],
  );
  const ofLogical =
    makers.length === 0
      ? session.transaction.acting !== undefined
      : (await rolesNamed(session, await Promise.all(makers.map(maker => spelt(session, maker))))).others
          .length === 0;
  if (toOthers || (toPublic && !ofLogical))
    throw new ClarusError(
      '0A000',
      'ALTER DEFAULT PRIVILEGES for PUBLIC, or for roles of the cloud or of users, is not supported in a database with protected tables',
    );
  return grantInShadow(session, body);
}

/**
 * GRANT and REVOKE: for roles of the application, on the trusted side alone; for PUBLIC and others, on both sides what
 * stands on both. What is wrong with it, PostgreSQL says.
 * @throws ClarusError 0A000 for rights of others on what is protected
 */
export async function grant(session: SessionPort, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const { toPublic, toOthers, inCloud: grantees } = await granteesOf(session, fields);
  if (!toPublic && !toOthers) return grantInShadow(session, body);
  if (fields.targtype !== 'ACL_TARGET_OBJECT')
    throw new ClarusError(
      '0A000',
      'rights on all tables of a schema are not supported in a database with protected tables',
      { detail: 'They are given to PUBLIC, or to roles of the cloud or of users.', hint: 'Name the tables.' },
    );
  const objects = await inCloudOf(session, fields, toOthers);
  if (objects.length === 0) return grantInShadow(session, body);
  if (objects.length < list(fields, 'objects').length && !ofTypesOrRoutines(fields))
    throw new ClarusError(
      '0A000',
      'rights on what the trusted side holds alone and on what the cloud holds cannot be given at once',
      {
        detail: 'Protected tables, views over them and their sequences are the trusted side’s.',
        hint: 'Use one statement for each.',
      },
    );
  const { grantor: _, ...rest } = fields;
  const node = await qualifyRelations(readerOn(session.trusted), {
    GrantStmt: { ...rest, objects, grantees },
  });
  const done = await grantInShadow(session, body, true);
  await defineInCloud(session, deparse(node));
  return done;
}

const ofTypesOrRoutines = ({ objtype }: RawFields): boolean =>
  /^OBJECT_(TYPE|DOMAIN|FUNCTION|PROCEDURE|ROUTINE)$/.test(String(objtype));

/**
 * The objects of a GRANT that stand in the cloud for all to see.
 * @param toOthers it is for roles that the cloud knows, which it cannot tell apart where they are users
 * @throws ClarusError 0A000
 */
async function inCloudOf(
  session: SessionPort,
  fields: RawFields,
  toOthers: boolean,
): Promise<readonly RawNode[]> {
  const objects = list(fields, 'objects');
  const found: RawNode[] = [];
  if (ofTypesOrRoutines(fields)) {
    for (const object of objects)
      if ((await nameInCloud(session, fields.objtype, object)) !== undefined) found.push(object);
    return found;
  }
  if (fields.objtype !== 'OBJECT_TABLE' && fields.objtype !== 'OBJECT_SEQUENCE') return objects;
  for (const object of objects) {
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(fieldsOf(object)));
    const table = relation && tableOfRelation(session, relation);
    if (relation && relation.oid < FIRST_USER_OID)
      throw new ClarusError('0A000', `rights on "${relation.name}", of the system, are not supported`, {
        detail: 'The catalogue is answered on the trusted side, where its owner is another.',
      });
    const isProtected = relation && table && servedTable(session, relation).state === 'protected';
    if (isProtected && toOthers)
      throw new ClarusError('0A000', `rights on the protected table "${table.name}" are not supported`, {
        detail: 'The cloud has one user for all users of Clarus, so it cannot tell them apart.',
        hint: 'Say who may connect under "users" in the configuration.',
        table: table.name,
      });
    if (isProtected) continue;
    const stands =
      !relation || (await inCloud(session, 'to_regclass', quoteQualified(relation.schema, relation.name)));
    if (stands) found.push(object);
    else if (toOthers && fields.objtype === 'OBJECT_SEQUENCE')
      throw new ClarusError('0A000', `rights on the sequence "${relation.name}" are not supported`, {
        detail: 'It feeds a protected column, so it lives on the trusted side.',
        hint: 'Say who may connect under "users" in the configuration.',
      });
  }
  return found;
}

const superuser = `SELECT pg_catalog.pg_has_role(current_user, '${SUPERUSERS}', 'MEMBER')`;
const ofServer = (): ClarusError =>
  new ClarusError('0A000', 'rights on what the server brings cannot be changed', {
    detail: 'It belongs to the owner of the trusted database, where rights are checked.',
    hint: 'Change rights on what was made through Clarus.',
  });
/** warning_privilege_not_granted and warning_privilege_not_revoked (errcodes.txt) */
const unheeded: ReadonlySet<string> = new Set(['01007', '01006']);

/**
 * Runs GRANT or REVOKE on the trusted side only.
 * @param alsoInCloud the cloud is told of it too
 * @throws ClarusError 0A000 where it does nothing there because the session is no superuser of the trusted server, as it is
 *   one of the cloud
 */
async function grantInShadow(session: SessionPort, { text }: DdlBody, alsoInCloud = false): Done {
  const [row] = await readerOn(session.trusted)(superuser, []);
  const noticed: Diagnostic[] = [];
  const tag = await session.trusted
    .run(text, diagnostic => noticed.push(diagnostic))
    .catch(error => {
      throw row?.[0] === 't' && error instanceof PostgresError && error.code === '42501' ? ofServer() : error;
    });
  if (noticed.some(({ code }) => unheeded.has(code ?? ''))) {
    if (alsoInCloud && session.transaction.acting !== undefined)
      throw new ClarusError('0A000', 'the role may not give, or take, all of these rights', {
        detail:
          'PostgreSQL would do it in part, and warn. The cloud has one user for all, who may do all of it.',
        hint: 'Name the rights that it may give.',
      });
    if (row?.[0] === 't') throw ofServer();
  }
  await tell(session, noticed);
  session.transaction.record(text, []);
  return { tag };
}
