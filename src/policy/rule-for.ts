/** The proposal for a column by itself: by its name, or where that tells nothing by its type. */
import type { ColumnClass, QueryKind } from './policy.js';
import { type RuleOutcome, words, wordsOf } from './propose-rule.js';
import { rules } from './propose-rules.js';
import type { TypeFamily } from './type-family.js';

/** Tables whose column `name` is the name of a person. */
const peopleTable = words(
  'patient, person, people, participant, subject, customer, client, member, employee, staff, user, contact, doctor, physician, nurse, practitioner, donor, relative, child, children, parent',
);

/** The first rule that fits a column. */
export function ruleFor(table: string, column: string, family: TypeFamily): RuleOutcome {
  const name = wordsOf(column);
  if (name === '_name_' || name === '_label_' || name === '_title_') {
    const ofPerson = name === '_name_' && peopleTable.test(wordsOf(table));
    return ofPerson
      ? {
          class: 'identifier',
          protect: 'encrypt',
          queries: ['equality'],
          reason: "a person's name",
          guess: false,
        }
      : {
          class: 'confidential',
          protect: 'encrypt',
          queries: ['equality'],
          reason: 'a name, of what is not known',
          guess: true,
        };
  }
  const found = rules.find(
    ({ name: pattern, families: only }) => pattern.test(name) && (only?.includes(family) ?? true),
  );
  return found ?? byFamily(family);
}

/** What a column's type tells where its name tells nothing. */
function byFamily(family: TypeFamily): RuleOutcome {
  const unknown = (
    reason: string,
    columnClass: ColumnClass = 'confidential',
    queries: readonly QueryKind[] = [],
  ): RuleOutcome => ({
    class: columnClass,
    protect: 'encrypt',
    queries,
    reason,
    guess: true,
  });
  switch (family) {
    case 'date':
    case 'timestamp':
      return unknown('a moment may date an event in a life', 'quasi-identifier', ['range']);
    case 'boolean':
      return unknown('two values: a tag would give them away');
    case 'network':
      return unknown('a network address', 'identifier', ['equality']);
    case 'json':
      return unknown('a document: anything may be in it (grant paths to let the cloud search it)');
    case 'binary':
      return unknown('bytes: anything may be in them');
    case 'uuid':
      return unknown('stands for someone or something', 'identifier', ['equality']);
    case 'text':
    case 'integer':
    case 'number':
    case 'time':
    case 'array':
    case 'other':
      return unknown('nothing tells that it is harmless');
  }
}
