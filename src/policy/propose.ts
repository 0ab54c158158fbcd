/** Proposes a class and a protection for each column of a cloud that stands unprotected, for `clarus init`. */
import { joinName, rowIdColumn } from './names.js';
import { type ColumnPolicy, type QueryKind, queryKinds, type TablePolicy } from './policy.js';
import { wordsOf } from './propose-rule.js';
import { ruleFor } from './rule-for.js';
import { askableOf, familyOf } from './type-family.js';

/** A column of a cloud, as its catalogue describes it. */
export interface DescribedColumn {
  readonly name: string;
  /** as `format_type` gives it: `integer`, `character varying(20)`, `text[]` */
  readonly type: string;
  /** it is the primary key, or part of it */
  readonly primaryKey?: boolean;
  /** it stands in a UNIQUE constraint or unique index */
  readonly unique?: boolean;
  /** the column that a foreign key of this column refers to */
  readonly references?:
    | { readonly schema: string; readonly table: string; readonly column: string }
    | undefined;
  /** the database makes its values: identity, nextval, gen_random_uuid */
  readonly generated?: boolean;
  /** `pg_stats.n_distinct`: how many values, or if negative minus their share of the rows; undefined: not known */
  readonly distinct?: number | undefined;
}

/** A table of a cloud, as its catalogue describes it. */
export interface DescribedTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly DescribedColumn[];
  /** estimate (`pg_class.reltuples`); undefined or negative: not known */
  readonly rows?: number | undefined;
}

/** A proposed column: a policy, why, and whether it is only a guess. */
export interface ColumnProposal extends ColumnPolicy {
  readonly reason: string;
  readonly guess: boolean;
}

/** A proposed table. */
export interface TableProposal extends TablePolicy {
  readonly columns: readonly ColumnProposal[];
}

/**
 * A column with at most this many values gets no encoding that shows which rows are equal or near: whoever knows
 * how often each value occurs would read it off.
 */
export const fewValues = 50;

/** A proposal in the making, with what it is made from. */
interface Draft {
  readonly table: DescribedTable;
  readonly column: DescribedColumn;
  readonly proposal: ColumnProposal;
}

/**
 * Proposes a protection for every column of every table. Keys get the equality tags that their constraints need;
 * columns tied by foreign keys are protected alike and share a domain.
 */
export function proposeProtection(tables: readonly DescribedTable[]): readonly TableProposal[] {
  const drafts = new Map<string, Draft>();
  for (const table of tables) {
    for (const column of table.columns) {
      if (column.name === rowIdColumn) continue;
      drafts.set(keyOf(table.schema, table.name, column.name), {
        table,
        column,
        proposal: proposeAlone(table, column),
      });
    }
  }
  tieByForeignKeys(drafts);
  return tables.map(({ schema, name, columns }) => ({
    schema,
    name,
    columns: columns.flatMap(column => drafts.get(keyOf(schema, name, column.name))?.proposal ?? []),
    position: undefined,
  }));
}

function keyOf(...parts: readonly string[]): string {
  return joinName(parts);
}

/** What holds for a column by itself, its foreign keys left aside. */
function proposeAlone(table: DescribedTable, column: DescribedColumn): ColumnProposal {
  const { name } = column;
  const family = familyOf(column.type);
  const found = ruleFor(table.name, name, family);
  const base = { name, domain: undefined, position: undefined };
  if (column.primaryKey && isSurrogate(table, column)) {
    const reason = 'a key that the database makes: it says no more than the order of insertion';
    const ofPerson = found.class === 'identifier' && !found.guess;
    return { ...base, class: 'non-confidential', protect: 'none', queries: [], reason, guess: ofPerson };
  }
  const { class: columnClass, protect, reason, guess } = found;
  if (protect === 'none') return { ...base, class: columnClass, protect, queries: [], reason, guess };
  const wanted = askableOf(found.queries, family);
  if (column.primaryKey || column.unique) {
    const queries = inOrder([...wanted, 'equality']);
    return {
      ...base,
      class: columnClass,
      protect,
      queries,
      reason: `${reason}; its key needs equality`,
      guess,
    };
  }
  const distinct = distinctValues(table, column);
  if (distinct !== undefined && distinct <= fewValues && wanted.some(kind => kind !== 'sum')) {
    const queries = wanted.filter(kind => kind === 'sum');
    const why = `${reason}; only about ${distinct} values: a tag would give them away`;
    return { ...base, class: columnClass, protect, queries, reason: why, guess };
  }
  return { ...base, class: columnClass, protect, queries: inOrder(wanted), reason, guess };
}

function inOrder(queries: readonly QueryKind[]): readonly QueryKind[] {
  return queryKinds.filter(kind => queries.includes(kind));
}

/** Whether a key's values are made by the database (or, where that is not known, look it by type and name). */
function isSurrogate(table: DescribedTable, { name, type, generated }: DescribedColumn): boolean {
  const family = familyOf(type);
  if (family !== 'integer' && family !== 'uuid') return false;
  if (generated !== undefined) return generated;
  const words = wordsOf(name);
  return (
    /^_(id|pk|key|uuid|row_?id)_$/u.test(words) ||
    words.replace(/s?_id_$/u, '') === wordsOf(table.name).replace(/s?_$/u, '')
  );
}

/** Estimated number of values, or undefined when it is not known. */
function distinctValues({ rows }: DescribedTable, { distinct }: DescribedColumn): number | undefined {
  if (distinct === undefined || distinct === 0) return undefined;
  if (distinct > 0) return Math.round(distinct);
  return rows === undefined || rows <= 0 ? undefined : Math.round(-distinct * rows);
}

/** Makes columns that foreign keys tie together alike: all in the clear, or all encrypted in one domain. */
function tieByForeignKeys(drafts: Map<string, Draft>): void {
  const groups = new Map<string, string[]>();
  for (const key of drafts.keys()) {
    const root = rootOf(key, drafts);
    groups.set(root, [...(groups.get(root) ?? []), key]);
  }
  const domains = new Set<string>();
  for (const [root, keys] of groups) {
    if (keys.length === 1 && keys[0] === root) continue;
    const decisive = (drafts.get(root) ?? drafts.get(keys[0]!)!).proposal;
    const domain = decisive.protect === 'none' ? undefined : domainFor(root, keys, drafts, domains);
    for (const key of keys) {
      const draft = drafts.get(key)!;
      drafts.set(key, { ...draft, proposal: tie(draft, decisive, domain, key === root) });
    }
  }
}

/** The key that a chain of foreign keys ends at. */
function rootOf(start: string, drafts: ReadonlyMap<string, Draft>): string {
  const seen = new Set<string>();
  let key = start;
  for (;;) {
    const references = drafts.get(key)?.column.references;
    if (!references || seen.has(key)) return seen.has(key) ? [...seen].sort()[0]! : key;
    seen.add(key);
    key = keyOf(references.schema, references.table, references.column);
  }
}

function tie(
  draft: Draft,
  decisive: ColumnProposal,
  domain: string | undefined,
  isRoot: boolean,
): ColumnProposal {
  const { proposal } = draft;
  if (domain === undefined) {
    if (isRoot) return proposal;
    const reason = 'refers to a key in the clear';
    return { ...proposal, class: 'non-confidential', protect: 'none', queries: [], reason, guess: true };
  }
  const tied = isRoot
    ? `${proposal.reason}; foreign keys refer to it`
    : `refers to a key: ${decisive.reason}`;
  const distinct = distinctValues(draft.table, draft.column);
  const few = distinct !== undefined && distinct <= fewValues;
  return {
    ...proposal,
    class: decisive.class,
    protect: 'encrypt',
    queries: inOrder([...proposal.queries, 'equality']),
    domain,
    reason: few
      ? `${tied}; only about ${distinct} values, which its tags give away: the foreign key needs them`
      : tied,
    guess: proposal.guess || decisive.guess || few,
  };
}

/** A name for the domain of a group: that of the key, told apart from other groups. */
function domainFor(
  root: string,
  keys: readonly string[],
  drafts: ReadonlyMap<string, Draft>,
  taken: Set<string>,
): string {
  const draft = drafts.get(root) ?? drafts.get(keys[0]!)!;
  const { table, column } = draft;
  const generic = /^_(id|key|code|no|nr|number|pk|uuid|name)_$/u.test(wordsOf(column.name));
  const candidates = [`${table.name}_${column.name}`, `${table.schema}_${table.name}_${column.name}`];
  if (!generic) candidates.unshift(column.name);
  for (let i = 2; i <= taken.size + 2; i++) candidates.push(`${table.name}_${column.name}_${i}`);
  const domain = candidates.map(asDomain).find(candidate => !taken.has(candidate));
  if (domain === undefined) throw new Error('more candidates than domains, yet all are taken');
  taken.add(domain);
  return domain;
}

/** A word that the policy takes as a domain. */
function asDomain(text: string): string {
  const word = text.replaceAll(/[^A-Za-z0-9_.-]+/gu, '_').slice(-62);
  return /^[A-Za-z_]/u.test(word) ? word : `_${word}`;
}
