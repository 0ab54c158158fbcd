/** Bodies of functions that a cloud gets as they are. */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { hiddenNames } from './names.js';

/**
 * @param definition CREATE FUNCTION, without comments
 * @throws ClarusError 0A000 where it names a hidden relation in a constant, or a hidden sequence anywhere
 */
export function refuseHiddenIn(definition: string, session: SessionPort): void {
  const own = hiddenNameIn(definition, session);
  if (own !== undefined)
    throw new ClarusError('0A000', `a function of the cloud cannot name "${own}"`, {
      detail: 'The policy says "names: hidden", and the cloud gets the body of the function as it is.',
      hint: 'Give the function what it asks for as an argument.',
    });
}

/** A hidden relation that a definition names in a constant, or a hidden sequence that it names anywhere. */
export function hiddenNameIn(definition: string, session: SessionPort): string | undefined {
  const names = hiddenNames(session.catalog().tables);
  if (!names) return undefined;
  const constants = wordsIn((definition.match(/'[^']*'/g) ?? []).join(' '));
  const all = wordsIn(definition);
  for (const { own, kind } of names.relations.values())
    if ((kind === 'sequence' ? all : constants).has(own.toLowerCase())) return own;
  return undefined;
}

const wordsIn = (text: string): ReadonlySet<string> =>
  new Set(text.toLowerCase().match(/[^\s'".,;:()[\]]+/g) ?? []);
