/** Settings that bodies set, and the SET clauses of functions: both sides stay in step, and what variables hold means what it meant. */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { withinBodies } from '../settings.js';
import type { Types } from './types.js';
import type { Scope } from './variables.js';

/** A SET clause of a function. */
export interface SetClause {
  readonly name: string;
  /** as `set_config` takes it */
  readonly value: string;
}

/** What a session's bodies set. */
export interface SettingActivity {
  /** bodies that run within each other */
  depth: number;
  /** a setting that a body sets is in force for all that is computed after it, as in PostgreSQL */
  setsForAll: boolean;
  /** SET clauses of the functions among them, the outermost first; `lasting` are settings that a SET has overridden since */
  readonly clauses: { readonly names: ReadonlySet<string>; readonly lasting: Set<string> }[];
}

const activities = new WeakMap<SessionPort['transaction'], SettingActivity>();

/** What a session's bodies set now. */
export function settingActivityOf({ transaction }: Pick<SessionPort, 'transaction'>): SettingActivity {
  const found = activities.get(transaction) ?? { depth: 0, setsForAll: false, clauses: [] };
  activities.set(transaction, found);
  return found;
}

/** @param clauses pg_proc.proconfig as JSON; null: there are none @returns undefined: what they set cannot be followed */
export function clausesOf(clauses: string | null): readonly SetClause[] | undefined {
  const set = (JSON.parse(clauses ?? '[]') as string[]).map(clause => {
    const at = clause.indexOf('=');
    return { name: clause.slice(0, at), value: clause.slice(at + 1) };
  });
  return set.every(({ name }) => withinBodies(name) !== undefined) ? set : undefined;
}

/**
 * @param local it lasts as long as the transaction
 * @throws ClarusError 0A000 for a setting that something around the body would be read or computed under
 */
export function noteSet(name: string, local: boolean, session: SessionPort): void {
  const kind = withinBodies(name);
  const { settings } = session;
  const activity = settingActivityOf(session);
  if (kind === undefined)
    throw refused(name, 'What variables of the body hold was printed by it, or it is about the session.');
  if (kind !== 'plans' && !activity.setsForAll)
    throw refused(
      name,
      'The body is run within a statement of which other parts may be computed later: it is of a trigger, or called beside others.',
    );
  if (kind === 'names' && activity.depth > 1)
    throw refused(name, 'The body is called by another one, whose names would mean something else.');
  if (kind === 'zone') mustPrintZones(name, settings.dateStyle);
  if (local) return;
  const key = name.toLowerCase();
  for (const { names, lasting } of activity.clauses) if (names.has(key)) lasting.add(key);
}

/** @throws ClarusError 0A000 where a variable holds a name, which another search_path would print or find otherwise */
export async function mustHoldNoNames(scope: Scope, types: Types): Promise<void> {
  for (const variable of scope.variables) {
    const held =
      variable.kind === 'scalar' ? [variable.type] : (variable.fields ?? []).map(({ type }) => type);
    for (const { oid } of held)
      if (await isOfNames(oid, types))
        throw refused(
          'search_path',
          `The variable "${variable.name}" holds the name of something, which it decides on.`,
        );
  }
}

/** Does the text of a type's values name something that is looked up? */
export async function isOfNames(oid: number, types: Types): Promise<boolean> {
  if (names.has(oid)) return true;
  const { element, base, kind, fields } = await types.facts(oid);
  if (element !== 0 || base !== 0) return isOfNames(element || base, types);
  if (kind === 'c') for (const { type } of fields) if (await isOfNames(type.oid, types)) return true;
  return false;
}

/** regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary, regcollation (pg_type.dat) */
const names: ReadonlySet<number> = new Set([24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4191]);

/**
 * A time with its offset is the same under each zone; with the abbreviation of its zone it may not be.
 * @throws ClarusError 0A000
 */
export function mustPrintZones(name: string, dateStyle: string): void {
  if (!dateStyle.startsWith('ISO'))
    throw refused(name, 'With another DateStyle than ISO, times that variables hold are printed by it.');
}

const refused = (name: string, detail: string): ClarusError =>
  new ClarusError('0A000', `"${name}" cannot be set within a function or DO block here`, {
    detail,
    hint: 'Set it by a statement of its own.',
  });
