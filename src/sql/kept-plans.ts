/** What keeping a plan depends on. */
import type { Catalog } from '../catalog/catalog.js';
import type { Plan } from './plan.js';
import type { SessionPort } from './ports.js';
import { readingOf } from './settings.js';
import { rounds } from './split/exact.js';

/** What a plan that was made earlier must have been made with, to be run. */
export interface MadeWith {
  readonly catalog: Catalog;
  readonly searchPath: string;
  readonly rounds: boolean;
  readonly temporary: string;
  readonly seeded: boolean;
  /** the role that it is planned for, and the session's user; undefined: the session's own */
  readonly acting: string | undefined;
  readonly rowSecurity: boolean;
  /** functions whose literals are read by the setting are refused while it is off */
  readonly strings: boolean;
}

/** The role that statements of a session are planned for. */
export const actingIn = ({ internal, transaction }: SessionPort): string | undefined =>
  internal ? undefined : transaction.acting;

/** The same with the session's user, by which plans are known. */
export const rolesIn = (session: SessionPort): string | undefined => {
  const acting = actingIn(session);
  return acting === undefined ? undefined : `${acting}\0${session.transaction.authorized ?? ''}`;
};

/** @returns what a plan that is made now is made with */
export const madeWith = (session: SessionPort): MadeWith => ({
  catalog: session.catalog(),
  searchPath: session.settings.searchPath,
  rounds: rounds(session.settings),
  temporary: session.temporary.state,
  seeded: session.randomness.seeded,
  acting: rolesIn(session),
  rowSecurity: session.settings.rowSecurity,
  strings: session.settings.standardConformingStrings,
});

/** May a plan that was made with `made` be run `now`? */
export const same = (made: MadeWith, now: MadeWith): boolean =>
  made.catalog === now.catalog &&
  made.searchPath === now.searchPath &&
  made.rounds === now.rounds &&
  made.temporary === now.temporary &&
  made.seeded === now.seeded &&
  made.acting === now.acting &&
  made.rowSecurity === now.rowSecurity &&
  made.strings === now.strings;

/** DDL is planned once: what it finds in the shadow schema may change with it. */
export const keepable = (plan: Plan): boolean =>
  (plan.kind === 'pass' ||
    plan.kind === 'trusted' ||
    (plan.kind === 'protected' && plan.body.kind !== 'ddl' && plan.body.kind !== 'explain')) &&
  !plan.once &&
  !('homed' in plan);

/** What a plan depends on beside the catalogue: the statement, its types, who asks, how names resolve and literals are read. */
export const planKey = (text: string, parameterTypes: readonly number[], session: SessionPort): string => {
  const { user, settings, residual, internal, secrets, temporary, randomness } = session;
  const acting = rolesIn(session);
  const from = [
    `${residual ? '' : 'fetch'}${internal ? ' internal' : ''}`,
    [...(secrets ?? [])].join(),
    temporary.state,
    `${randomness.seeded}`,
    acting === undefined ? '' : `as ${acting}`,
    settings.rowSecurity ? '' : 'all rows',
    settings.standardConformingStrings ? '' : 'escapes',
    settings.backslashQuote ? '' : 'no quotes',
  ];
  // a server that keeps a statement has computed its constants, and printed them where they are texts
  const read = [settings.searchPath, readingOf(settings), rounds(settings), settings.byteaOutput];
  return [user, ...read, parameterTypes.join(), ...from, text].join('\0');
};
