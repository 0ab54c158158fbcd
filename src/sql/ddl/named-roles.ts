/** Roles that statements name: those of the application, and others. */
import { textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { isLogicalRole } from '../../trusted/roles.js';
import type { SessionPort } from '../ports.js';
import { type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';

/** Roles that a statement names, by whom they are known. */
export interface NamedRoles {
  readonly logical: ReadonlySet<string>;
  /** roles of the cloud or of users, and PUBLIC */
  readonly others: readonly string[];
  /** roles that are nowhere */
  readonly missing: ReadonlySet<string>;
}

const hereQuery = `SELECT r.rolname::text, (${isLogicalRole('r.rolname')})::text FROM pg_catalog.pg_roles r
  WHERE r.rolname = ANY ($1::pg_catalog.text[])`;
/** The names of roles of the cloud, which is not told which one is looked for. */
export const rolesOfCloud = async (session: SessionPort): Promise<ReadonlySet<string | null | undefined>> =>
  new Set(
    (await readerOn(session.cloud)('SELECT r.rolname::text FROM pg_catalog.pg_roles r', [])).map(
      ([name]) => name,
    ),
  );

/** @param specs undefined: PUBLIC, or by another word than its name */
export async function rolesNamed(
  session: SessionPort,
  specs: readonly (string | undefined)[],
): Promise<NamedRoles> {
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
export const roleName = (spec: RawNode | RawFields | undefined): string | undefined =>
  textOf(((spec as RawNode | undefined)?.RoleSpec ?? spec ?? {}) as RawFields, 'rolename');

/** Who acts as a role of the session's is told by the configuration. */
export const ofConfiguration = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} is not supported in a database with protected tables`, {
    hint: 'Say who may connect under "users" in the configuration; make roles of the cloud past Clarus.',
  });

/**
 * The name of a role by whatever word it is named.
 * @returns undefined: PUBLIC
 */
export async function spelt(
  session: SessionPort,
  spec: RawNode | RawFields | undefined,
): Promise<string | undefined> {
  const { roletype } = ((spec as RawNode | undefined)?.RoleSpec ?? spec ?? {}) as RawFields;
  if (roletype === 'ROLESPEC_CSTRING' || roletype === 'ROLESPEC_PUBLIC') return roleName(spec);
  const { authorized } = session.transaction;
  if (roletype === 'ROLESPEC_SESSION_USER' && authorized !== undefined) return authorized;
  const [row] = await readerOn(session.trusted)('SELECT current_user::pg_catalog.text', []);
  return row?.[0] ?? undefined;
}
