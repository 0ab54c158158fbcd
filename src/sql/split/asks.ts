/** What a statement asks of the cloud, and what the policies that are applied to it ask for. */
import { ClarusError } from '../../errors.js';
import { readNodes, walk } from '../analysed/node.js';
import { functionsIn } from '../analysed/query.js';
import { type FunctionHomes, isOfSequence } from '../functions.js';
import type { Analysis, SessionPort } from '../ports.js';
import type { Routines } from '../routines.js';
import { isSecured, withoutPolicies } from '../row-security/in-force.js';
import { isOfApplication, ofSettings } from '../setting-names.js';
import { isTime, type Touch } from '../touch.js';

/** Does the session's statement meet policies, or is it run as where it does? What Clarus asks for itself meets none. */
export const isApplied = (analysis: Analysis, { internal, asRole }: SessionPort): true | undefined =>
  (!internal && (asRole || isSecured(analysis))) || undefined;

/** Does a statement ask the cloud for something, beside what policies ask for? */
export function asksItself({ rewritten }: Analysis, homes: FunctionHomes): boolean {
  const trees = withoutPolicies(rewritten.flatMap(readNodes));
  const called = [...functionsIn(trees)];
  let time = false;
  for (const tree of trees)
    walk(tree, node => {
      if (node.kind === 'SQLVALUEFUNCTION' && isTime(node)) time = true;
      return !time;
    });
  return time || called.some(oid => ofSettings.has(oid) || homes.home(oid) === 'cloud');
}

/** Does a statement ask the cloud for something: the time, a setting? */
export const asksAny = (analysis: Analysis, { time, homes }: Touch): boolean =>
  time || homes.has('cloud') || asksSetting(analysis);

function asksSetting({ rewritten }: Analysis): boolean {
  const called = functionsIn(rewritten.flatMap(readNodes));
  return [...ofSettings].some(oid => called.has(oid));
}

/** @throws ClarusError 0A000 for functions of users that the trusted side would run otherwise than PostgreSQL */
export function mustRunOverCarriers(routines: Routines, homes: FunctionHomes): void {
  const calls = new Set([...routines.builtins].filter(oid => !isOfSequence(oid)).map(oid => homes.home(oid)));
  const asks = (['cloud', 'random', 'clock', 'statistics', 'sequence-values', 'settings'] as const).some(
    home => calls.has(home),
  );
  const why =
    routines.time || asks || routines.sequences
      ? 'it asks for the time, a setting, a sequence or something else that the cloud answers'
      : !routines.settings?.every(isOfApplication)
        ? 'it reads a setting that is not one of the application, or whose name it computes'
        : routines.writes
          ? 'it writes'
          : routines.tables.size > 0
            ? routines.unreadable
            : undefined;
  if (why !== undefined)
    throw new ClarusError('0A000', 'a function of users cannot be run over protected tables', {
      detail: `A function that the statement calls cannot run on the trusted side: ${why}.`,
      hint: 'Give it what it asks for as an argument, or write what it does in the statement itself.',
    });
}
