/** Unique indexes of expressions, or with a predicate, that read protected columns. */
import { isDeepStrictEqual } from 'node:util';
import { encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { typeOids } from '../wire/types.js';
import { type ComputedKey, type LogicalColumn, type LogicalTable, readsProtected } from './catalog.js';
import type { DeriveInput, DeriveNotice } from './derive-input.js';
import type { DescribedIndex, DescribedIndexKey } from './description.js';
import { KEY_ENCODING } from './encodings-for.js';
import { physicalNames } from './form-names.js';

/** What is known while a table is derived. */
interface Deriving extends DeriveInput {
  /** names that the physical table has already */
  readonly taken: Set<string>;
  readonly notices: DeriveNotice[];
}

/** PostgreSQL cuts names at 63 bytes: no column of users is called so. */
const nameOf = (number: number): string => `clarus_key_${number}`.padEnd(64, '_');

/** How the physical forms are called. */
const FORM_NAME = 'clarus_key';

/**
 * The indexes that the cloud holds on tags of what is computed. What is computed for an index stays as long as that: an
 * index made anew, also by ALTER TYPE, is another one.
 * @returns with the last number that a column of the table was given
 * @throws ClarusError 0A000 for a key whose type can have no tags
 */
export async function computedKeysOf(
  table: LogicalTable,
  deriving: Deriving,
): Promise<Pick<LogicalTable, 'computedKeys' | 'columnNumberLast'>> {
  const { described, notices } = deriving;
  const indexes = described.indexes.filter(
    ({ keys, reads, constraint }) => keys !== null && constraint === 0 && readsProtected(table, reads),
  );
  let last = table.columnNumberLast!;
  const computedKeys: ComputedKey[] = [];
  for (const index of indexes) {
    const before = standing(index, table, deriving);
    if (before) {
      computedKeys.push({ ...before, name: index.name, index: index.oid });
      continue;
    }
    const keys: ComputedKey['keys'][number][] = [];
    for (const [i, key] of index.keys!.entries()) {
      const column = table.columns.find(({ attnum }) => attnum === index.columns[i]);
      // a row that a predicate leaves out has a NULL in its key
      const stands = column && !column.protection && !(index.predicate !== null && i === 0);
      keys.push(stands ? column.number : await computed(++last, { key, column, index }, table, deriving));
    }
    computedKeys.push({ name: index.name, index: index.oid, keys });
    const learned = keys.flatMap(key =>
      typeof key === 'number' ? [] : encodingNamed(deriving.registry, KEY_ENCODING).leaks(key).atRest,
    );
    notices.push({
      message: `unique index "${index.name}" stands on equality tags of what is computed of each row`,
      detail: `The cloud learns ${[...new Set(learned)].join(' and ')}.`,
      hint: 'Leave the index out to tell the cloud less.',
    });
  }
  return { columnNumberLast: last, ...(computedKeys.length > 0 ? { computedKeys } : {}) };
}

/**
 * What an index stands on already. REINDEX CONCURRENTLY gives it another OID; so does ALTER TYPE, after which it stands on
 * other values.
 */
function standing(
  index: DescribedIndex,
  table: LogicalTable,
  { described, previous, converted }: Deriving,
): ComputedKey | undefined {
  const before =
    previous?.computedKeys?.find(key => key.index === index.oid) ??
    previous?.computedKeys?.find(
      key => key.name === index.name && !described.indexes.some(({ oid }) => oid === key.index),
    );
  if (!before) return undefined;
  const columnOf = (i: number): LogicalColumn | undefined =>
    table.columns.find(({ attnum }) => attnum === index.columns[i]);
  const stands = before.keys.every((key, i) =>
    typeof key === 'number'
      ? columnOf(i)?.number === key && !columnOf(i)!.protection
      : !index.keys![i]!.isEnum || columnOf(i)?.protection,
  );
  if (before.index === index.oid) return stands ? before : undefined;
  const isSame = table.columns
    .filter(({ attnum }) => index.reads.includes(attnum))
    .every(column => {
      const old = previous?.columns.find(({ number }) => number === column.number);
      return isDeepStrictEqual(old?.type, column.type) && !converted?.has(old!.name);
    });
  return stands && isSame ? before : undefined;
}

/** pg_catalog."default" */
const DEFAULT_COLLATION = 100;

const label = {
  type: { oid: typeOids.text, modifier: -1, collation: DEFAULT_COLLATION, deterministic: true },
  typeName: 'text',
} as const;

/** A column that holds tags alone. @param column the one that the key is, where it is one */
async function computed(
  number: number,
  {
    key,
    column,
    index,
  }: {
    readonly key: DescribedIndexKey;
    readonly column: LogicalColumn | undefined;
    readonly index: DescribedIndex;
  },
  table: LogicalTable,
  { registry, numbers, taken }: Deriving,
): Promise<LogicalColumn> {
  // labels of an enum are equal where their texts are, and only those that a protected column holds are never renamed
  const own = key.isEnum ? label : column;
  const { type, typeName } = column?.protection && own ? own : key;
  const encoding = encodingNamed(registry, KEY_ENCODING);
  const reason = encoding.rejects(type);
  if (reason !== undefined)
    throw new ClarusError('0A000', `unique index "${index.name}" is not possible over a protected column`, {
      detail: `It stands on equality tags, and "${key.sql}" can have none: ${reason}.`,
      hint: 'Leave the index out, or choose another type.',
      constraint: index.name,
    });
  const name = nameOf(number);
  const specs = encoding.relations({ name, type });
  const names = await physicalNames(FORM_NAME, KEY_ENCODING, specs, numbers, taken);
  const domain = await numbers.domain(undefined);
  const encoded = { table: table.number, column: number, name, type, domain, ...names };
  const reads = table.columns.filter(({ attnum }) => index.reads.includes(attnum));
  return {
    number,
    // no column of the shadow, nor of the system
    attnum: -1000 - number,
    name,
    type,
    typeName,
    notNull: false,
    generatedFrom: reads.map(one => one.number),
    policy: {
      name,
      class: undefined,
      protect: 'encrypt',
      queries: [],
      domain: undefined,
      position: undefined,
    },
    protection: { domain, encodings: [{ kind: KEY_ENCODING, encoded }], waiting: [] },
  };
}
