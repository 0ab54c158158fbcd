/** Options of CREATE ROLE, CREATE USER, CREATE GROUP, ALTER ROLE and ALTER GROUP (user.c). */
import { createHash } from 'node:crypto';
import { ClarusError } from '../../errors.js';
import { formatVerifier, makeVerifier, parseVerifier } from '../../wire/scram.js';
import { list, type RawFields, type RawNode, stringOf } from '../raw/node.js';

/** What a statement says of a role. */
export interface RoleOptions {
  /** attributes that the trusted side does not give the role, and tells; BYPASSRLS counts there too */
  readonly given: readonly string[];
  readonly taken: readonly string[];
  readonly settings: {
    readonly inherit?: boolean;
    readonly connectionlimit?: number;
    readonly validUntil?: string;
    /** as it is said; null: none */
    readonly password?: string | null;
  };
  /** roles that it becomes a member of, and its members, with and without ADMIN OPTION */
  readonly within: readonly RawNode[];
  readonly members: readonly RawNode[];
  readonly admins: readonly RawNode[];
  readonly sysid: boolean;
}

const attributes: ReadonlySet<string> = new Set([
  'canlogin',
  'superuser',
  'createdb',
  'createrole',
  'isreplication',
  'bypassrls',
]);
const others: ReadonlySet<string> = new Set([
  'inherit',
  'connectionlimit',
  'validUntil',
  'password',
  'addroleto',
  'rolemembers',
  'adminmembers',
  'sysid',
]);

/** @throws ClarusError 42601, 22023 as PostgreSQL says what is wrong with them, 0A000 for options that are not known */
export function roleOptions(fields: RawFields): RoleOptions {
  const said = new Map<string, RawNode | undefined>();
  for (const { DefElem: option } of list(fields, 'options')) {
    const name = String(option?.defname);
    if (!attributes.has(name) && !others.has(name))
      throw new ClarusError(
        '0A000',
        'this option of a role is not supported in a database with protected tables',
      );
    if (said.has(name) && name !== 'sysid')
      throw new ClarusError('42601', 'conflicting or redundant options');
    said.set(name, option?.arg as RawNode | undefined);
  }
  const truth = (name: string): boolean => said.get(name)?.Boolean?.boolval === true;
  const roles = (name: string): readonly RawNode[] => list(said.get(name)?.List ?? {}, 'items');
  const limit = said.has('connectionlimit')
    ? Number(said.get('connectionlimit')?.Integer?.ival ?? 0)
    : undefined;
  if (limit !== undefined && limit < -1) throw new ClarusError('22023', `invalid connection limit: ${limit}`);
  const until = said.get('validUntil');
  return {
    given: [...attributes].filter(truth),
    taken: [...attributes].filter(name => said.has(name) && !truth(name)),
    settings: {
      ...(said.has('inherit') ? { inherit: truth('inherit') } : {}),
      ...(limit === undefined ? {} : { connectionlimit: limit }),
      ...(until === undefined ? {} : { validUntil: stringOf(until) }),
      ...(said.has('password') ? { password: passwordIn(said.get('password')) } : {}),
    },
    within: roles('addroleto'),
    members: roles('rolemembers'),
    admins: roles('adminmembers'),
    sysid: said.has('sysid'),
  };
}

const passwordIn = (node: RawNode | undefined): string | null => (node?.String ? stringOf(node) : null);

/**
 * A password as PostgreSQL keeps it (encrypt_password of crypt.c), so that none is written to a journal or log.
 * @param said by the client: a password, or what PostgreSQL keeps of one; an empty one, and of none, PostgreSQL clears
 * @param encryption setting password_encryption
 */
export function keptPassword(said: string, role: string, encryption: string): string {
  const isKept = /^md5[0-9a-f]{32}$/.test(said) || parseVerifier(said) !== undefined;
  if (isKept || said === '') return said;
  if (encryption === 'md5')
    return `md5${createHash('md5')
      .update(said + role)
      .digest('hex')}`;
  return formatVerifier(makeVerifier(said));
}
