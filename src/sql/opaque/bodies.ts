/** Bodies of functions that a cloud gets as they are. */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { hiddenNames } from './names.js';

/**
 * @param definition CREATE FUNCTION, without comments
 * @throws ClarusError 0A000 where it names a hidden relation in a constant, or a hidden sequence anywhere
 */
export function refuseHiddenIn(definition: string, session: SessionPort): void {
  const names = hiddenNames(session.catalog().tables);
  if (!names) return;
  const constants = wordsIn((definition.match(/'[^']*'/g) ?? []).join(' '));
  const all = wordsIn(definition);
  for (const { own, kind } of names.relations.values())
    if ((kind === 'sequence' ? all : constants).has(own.toLowerCase()))
      throw new ClarusError('0A000', `a function of the cloud cannot name "${own}"`, {
        detail: 'The policy says "names: hidden", and the cloud gets the body of the function as it is.',
        hint: 'Give the function what it asks for as an argument.',
      });
}

const wordsIn = (text: string): ReadonlySet<string> =>
  new Set(text.toLowerCase().match(/[^\s'".,;:()[\]]+/g) ?? []);
