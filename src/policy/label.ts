/**
 * The grammar of `SECURITY LABEL FOR clarus ON COLUMN table.column IS 'label'`:
 *
 *     label   = [ class ] protect { clause }
 *     class   = "identifier" | "quasi-identifier" | "confidential" | "non-confidential"
 *     protect = "encrypt" | "none"
 *     clause  = "queries" kind { "," kind } | "domain" name
 *     kind    = "equality" | "range" | "order" | "prefix" | "substring" | "words" | "paths" | "sum"
 *
 * Each clause stands at most once and only after `encrypt`. Words are separated by white space, their case does
 * not matter; a domain's name is one word of letters, digits, `_`, `.` and `-`, whose case does.
 */
import { ClarusError } from '../errors.js';
import { domainPattern } from './names.js';
import { suggest } from './nearest.js';
import { type ColumnPolicy, columnClasses, protections, type QueryKind, queryKinds } from './policy.js';

/** What a label says; the rest of a ColumnPolicy comes from the statement. */
export type Label = Pick<ColumnPolicy, 'class' | 'protect' | 'queries' | 'domain'>;

/** A label that cannot be read (SQLSTATE 22023). `offset` counts characters of the label from 1. */
export class LabelError extends ClarusError {
  override readonly name = 'LabelError';
  readonly offset: number;

  constructor(offset: number, message: string, hint: string) {
    super('22023', `${message} at character ${offset} of the label`, { hint });
    this.offset = offset;
  }
}

const clauses = ['queries', 'domain'] as const;
/** Every word of the grammar. */
export const labelWords: readonly string[] = [...columnClasses, ...protections, ...clauses, ...queryKinds];
/** A label is a line, not a text. */
const charactersMax = 1000;

/**
 * Reads a label.
 * @throws LabelError with the place of the first mistake and what to write instead
 *
 * @example parseLabel('identifier encrypt queries equality domain person')
 */
export function parseLabel(text: string): Label {
  if (text.length > charactersMax) {
    throw new LabelError(
      charactersMax + 1,
      'the label is too long',
      'an example is: encrypt queries equality, range',
    );
  }
  const words = new Words(text);
  const columnClass = words.takeOneOf(columnClasses);
  const protect = words.takeOneOf(protections);
  if (protect === undefined) {
    throw words.unexpected(columnClass === undefined ? [...protections, ...columnClasses] : protections);
  }
  let queries: readonly QueryKind[] | undefined;
  let domain: string | undefined;
  while (!words.done) {
    const { offset } = words;
    const clause = words.takeOneOf(clauses);
    const left = clauses.filter(word => (word === 'queries' ? queries : domain) === undefined);
    if (clause === undefined)
      throw protect === 'none' || left.length === 0 ? words.excess() : words.unexpected(left);
    if (protect === 'none') {
      const hint = 'write encrypt instead of none, or none alone';
      throw new LabelError(offset, `a column in the clear takes no ${clause}`, hint);
    }
    if (!left.includes(clause)) throw new LabelError(offset, `${clause} stands twice`, 'name it once');
    if (clause === 'queries') queries = readKinds(words);
    else domain = readDomain(words);
  }
  return { class: columnClass, protect, queries: queries ?? [], domain };
}

function readKinds(words: Words): readonly QueryKind[] {
  const kinds = new Set<QueryKind>();
  do {
    const { offset } = words;
    const kind = words.takeOneOf(queryKinds);
    if (kind === undefined) throw words.unexpected(queryKinds);
    if (kinds.has(kind)) throw new LabelError(offset, `${kind} stands twice`, 'name it once');
    kinds.add(kind);
    if (words.startsWith(queryKinds)) throw words.unexpected([','], 'write a comma before it');
  } while (words.takeOneOf([',']) !== undefined);
  return queryKinds.filter(kind => kinds.has(kind));
}

function readDomain(words: Words): string {
  const { offset } = words;
  const name = words.take();
  if (name === undefined || !domainPattern.test(name)) {
    const hint = 'a domain is one word of letters, digits, _ . and -, such as person';
    throw new LabelError(
      offset,
      name === undefined ? 'the name of the domain is missing' : 'no domain can be called so',
      hint,
    );
  }
  return name;
}

/** The words of a label, and commas, one after the other. */
class Words {
  readonly #tokens: readonly { readonly text: string; readonly offset: number }[];
  readonly #end: number;
  #next = 0;

  constructor(text: string) {
    this.#tokens = [...text.matchAll(/,|[^\s,]+/gu)].map(match => ({
      text: match[0],
      offset: match.index + 1,
    }));
    this.#end = text.trimEnd().length + 1;
  }

  get done(): boolean {
    return this.#next === this.#tokens.length;
  }

  /** place of the next word, from 1 */
  get offset(): number {
    return this.#tokens[this.#next]?.offset ?? this.#end;
  }

  take(): string | undefined {
    return this.#tokens[this.#next++]?.text;
  }

  /** Takes the next word if it is one of these. */
  takeOneOf<Word extends string>(known: readonly Word[]): Word | undefined {
    const word = this.#tokens[this.#next]?.text.toLowerCase();
    const found = known.find(candidate => candidate === word);
    if (found !== undefined) this.#next++;
    return found;
  }

  /** Whether the next word is one of these. */
  startsWith(known: readonly string[]): boolean {
    return known.includes(this.#tokens[this.#next]?.text.toLowerCase() ?? '');
  }

  unexpected(known: readonly string[], hint?: string): LabelError {
    const word = this.#tokens[this.#next]?.text;
    if (word === undefined) {
      const message = `the label ends where ${known.length === 1 ? known[0] : `one of ${known.join(', ')}`} is expected`;
      return new LabelError(this.offset, message, 'an example is: encrypt queries equality, range');
    }
    return new LabelError(this.offset, `unexpected ${JSON.stringify(word)}`, hint ?? suggest(word, known));
  }

  excess(): LabelError {
    const word = JSON.stringify(this.#tokens[this.#next]?.text);
    return new LabelError(this.offset, `unexpected ${word}`, 'the label is complete before it');
  }
}

/**
 * Writes a label so that `parseLabel` gives it back.
 * @example formatLabel({ class: undefined, protect: 'encrypt', queries: ['range', 'sum'], domain: undefined }) // 'encrypt queries range, sum'
 */
export function formatLabel(label: Label): string {
  const words: string[] = [];
  if (label.class !== undefined) words.push(label.class);
  words.push(label.protect);
  if (label.queries.length > 0) words.push('queries', label.queries.join(', '));
  if (label.domain !== undefined) words.push('domain', label.domain);
  return words.join(' ');
}
