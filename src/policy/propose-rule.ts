/** What a rule of proposed protections is, and how names are matched. */
import type { ColumnClass, QueryKind } from './policy.js';
import type { TypeFamily } from './type-family.js';

/** What a rule proposes for a column. */
export interface RuleOutcome {
  readonly class: ColumnClass;
  readonly protect: 'encrypt' | 'none';
  /** before those are left out that make no sense for the type */
  readonly queries: readonly QueryKind[];
  readonly reason: string;
  readonly guess: boolean;
}

/** What a name, and perhaps a type, must look like for an outcome. */
export interface Rule extends RuleOutcome {
  /** on the name's words, each between underscores: `_first_name_` */
  readonly name: RegExp;
  readonly families?: readonly TypeFamily[];
}

/** Any of these words or phrases, as whole words of a name; a space is an underscore or nothing. */
export function words(text: string): RegExp {
  const alternatives = text.split(',').map(phrase => phrase.trim().replaceAll(' ', '_?'));
  return new RegExp(`_(${alternatives.join('|')})s?_`, 'u');
}

/** Makes a rule: an encrypted column, unless said otherwise. */
export function rule(
  columnClass: ColumnClass,
  queries: readonly QueryKind[],
  reason: string,
  name: RegExp,
  more: { readonly guess?: true; readonly families?: readonly TypeFamily[]; readonly protect?: 'none' } = {},
): Rule {
  const { guess = false, protect = 'encrypt', families } = more;
  return { class: columnClass, protect, queries, reason, guess, name, ...(families ? { families } : {}) };
}

/** A name as words between underscores: `firstName` and `First-Name` are `_first_name_`; accents go. */
export function wordsOf(name: string): string {
  const plain = name.normalize('NFD').replaceAll(/\p{M}/gu, '');
  const split = plain.replaceAll(/([a-z0-9])([A-Z])/gu, '$1_$2').toLowerCase();
  return `_${split
    .split(/[^a-z0-9]+/u)
    .filter(word => word !== '')
    .join('_')}_`;
}
