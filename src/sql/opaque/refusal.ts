import { ClarusError } from '../../errors.js';

/** The refusal of what cannot be said without a name that is hidden. */
export const cannotSpell = (what: string): ClarusError =>
  new ClarusError('0A000', `${what} cannot be said to the cloud in hidden names`, {
    detail: 'The policy says "names: hidden".',
    hint: 'Spell the statement in another way.',
  });
