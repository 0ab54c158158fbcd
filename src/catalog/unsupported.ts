/** What a protected table cannot have: refused with the reason, never left out. */
import { ClarusError } from '../errors.js';
import type { ColumnPolicy } from '../policy/policy.js';
import { readByExclusion } from './derive-keys.js';
import type { DescribedColumn, DescribedConstraint, DescribedIndex, DescribedTable } from './description.js';
import { acts } from './foreign-keys.js';

const refused = (message: string, detail: string, hint: string, fields: object = {}): ClarusError =>
  new ClarusError('0A000', message, { detail, hint, ...fields });

/**
 * @param policies of `described.columns`, in order; at least one is encrypted
 * @throws ClarusError 0A000
 */
export function refuseUnsupported(
  described: DescribedTable,
  policies: readonly ColumnPolicy[],
  filled: boolean,
): void {
  const { name } = described;
  const isProtected = new Set(
    described.columns.filter((_, i) => policies[i]?.protect === 'encrypt').map(column => column.attnum),
  );
  if (!filled) refuseKindOfTable(described);
  for (const column of described.columns) {
    refuseGenerated(column, described, isProtected);
  }
  for (const constraint of described.constraints) {
    if (constraint.kind === 'x') {
      if (readByExclusion(constraint, described).some(c => isProtected.has(c)))
        refuseInExclusion(constraint, described);
      continue;
    }
    const touches = constraint.columns.some(c => c === 0 || isProtected.has(c));
    if (!touches) continue;
    if (constraint.kind === 'c') {
      refuseRowInCheck(constraint, described, isProtected);
      continue;
    }
    const inTree =
      described.kind !== 'p' &&
      !described.partition &&
      (described.parents.length > 0 || described.hasChildren);
    if (constraint.kind === 'f' && inTree && (acts(constraint.onDelete) || acts(constraint.onUpdate)))
      throw refused(
        `foreign key "${constraint.name}" of table "${name}" has an action on a protected column`,
        'The table takes part in inheritance.',
        'Leave ON DELETE and ON UPDATE at NO ACTION.',
        { constraint: constraint.name },
      );
    if (constraint.kind === 't' || constraint.period)
      throw refused(
        `constraint "${constraint.name}" of table "${name}" reads a protected column`,
        'Only equality can be checked over encodings.',
        'Use a PRIMARY KEY, UNIQUE or FOREIGN KEY constraint.',
        { constraint: constraint.name },
      );
  }
  for (const index of described.indexes) {
    const touches = index.readsRow || index.reads.some(c => isProtected.has(c));
    if (!index.unique || !touches) continue;
    if (index.keys !== null) refuseRowInIndex(index, described);
    if (index.predicate !== null && index.nullsNotDistinct)
      throw refused(
        `unique index "${index.name}" has a predicate, and takes NULLs for equal`,
        'It reads a protected column: rows that it leaves out have no tags in the cloud, as if they were NULL.',
        'Leave out NULLS NOT DISTINCT, or the predicate.',
        { constraint: index.name },
      );
    if (!index.usualEquality)
      throw refused(
        `unique index "${index.name}" compares a protected column in a way of its own`,
        'Tags follow the = operator of the type, under a deterministic collation.',
        'Leave out the operator class and the collation, or let the index stand on an expression that is equal where values are: lower(mail::text) for citext.',
        { constraint: index.name },
      );
  }
}

/** A protected column is computed on the trusted side; an open one by the cloud, which knows open columns only. */
function refuseGenerated(
  { name: column, attnum, generated, generatedFrom }: DescribedColumn,
  { name }: DescribedTable,
  isProtected: ReadonlySet<number>,
): void {
  const own = isProtected.has(attnum);
  if (generated === '' || (!own && !generatedFrom.some(from => isProtected.has(from)))) return;
  const refusal = (detail: string, hint: string): ClarusError =>
    refused(`generated column "${column}" of table "${name}" cannot be computed`, detail, hint, { column });
  if (!own)
    throw refusal(
      'Its expression reads a protected column, and it is not protected: values would flow into the open.',
      'Protect the column in the policy.',
    );
  if (generated === 'v')
    throw refusal(
      'A virtual column has no stored value that could be protected.',
      'Write STORED behind its expression.',
    );
}

/** What a unique index stands on is computed with the generated columns, of the other columns. */
function refuseRowInIndex({ name: index, reads, readsRow }: DescribedIndex, described: DescribedTable): void {
  const generated = described.columns.find(
    column => column.generated !== '' && reads.includes(column.attnum),
  );
  if (!generated && !readsRow) return;
  const what = generated ? `the generated column "${generated.name}"` : 'the whole row or a system column';
  throw refused(
    `unique index "${index}" of table "${described.name}" reads ${what}`,
    'It has an expression or a predicate, and what it stands on is computed before the row is sent to the cloud.',
    generated
      ? 'Write the expression of the generated column in its place.'
      : 'Name the columns that it compares.',
    { constraint: index },
  );
}

/** A check is evaluated on the trusted side over values of columns: what else a row has is the cloud's. */
function refuseRowInCheck(
  { name: constraint, columns }: DescribedConstraint,
  { name, columns: described }: DescribedTable,
  isProtected: ReadonlySet<number>,
): void {
  // an open one is the cloud's to compute
  const generated = described.find(
    ({ attnum, generated }) => generated !== '' && columns.includes(attnum) && !isProtected.has(attnum),
  );
  const reads = generated
    ? `the generated column "${generated.name}"`
    : columns.some(attnum => attnum <= 0)
      ? 'the whole row or a system column'
      : undefined;
  if (reads === undefined) return;
  throw refused(
    `check constraint "${constraint}" of table "${name}" reads ${reads} beside protected columns`,
    'It is evaluated before the row is sent to the cloud.',
    'Name the columns that it compares.',
    { constraint },
  );
}

/** The trusted side looks for conflicts between rows that it knows whole, before each statement writes them. */
function refuseInExclusion(exclusion: DescribedConstraint, described: DescribedTable): void {
  const { name, kind, parents, hasChildren, columns, constraints } = described;
  const reads = readByExclusion(exclusion, described);
  const refusal = (detail: string, hint: string): ClarusError =>
    refused(
      `constraint "${exclusion.name}" of table "${name}" reads a protected column`,
      `It is checked on the trusted side. ${detail}`,
      hint,
      { constraint: exclusion.name },
    );
  if (exclusion.deferrable)
    throw refusal('There rows are looked at when they are written, not later.', 'Leave DEFERRABLE out.');
  if (kind === 'p' || parents.length > 0 || hasChildren)
    throw refusal(
      'The table is partitioned or takes part in inheritance.',
      'Make one table of the partitions.',
    );
  if (columns.some(({ generated }) => generated !== ''))
    throw refusal(
      'The table has generated columns, which are computed later.',
      'Compute the values in the application.',
    );
  const key = constraints.find(
    ({ kind: of, onDelete, onUpdate, columns: referring }) =>
      of === 'f' && (setsValues(onDelete) || acts(onUpdate)) && referring.some(c => reads.includes(c)),
  );
  if (key)
    throw refusal(
      `An action of the foreign key "${key.name}" would change its columns without that.`,
      'Leave ON UPDATE at NO ACTION, and ON DELETE at NO ACTION or CASCADE.',
    );
}

/** ON DELETE SET NULL, SET DEFAULT */
const setsValues = (action: string): boolean => action === 'n' || action === 'd';

function refuseKindOfTable({ name, kind, persistence }: DescribedTable): void {
  const what =
    kind === 'm'
      ? 'be a materialised view of the cloud'
      : kind === 'f'
        ? 'be a foreign table'
        : persistence === 't'
          ? 'be temporary'
          : undefined;
  if (what === undefined) return;
  throw refused(
    `table "${name}" cannot ${what}, because it has protected columns`,
    'Clarus protects ordinary tables.',
    'Make it an ordinary table, or say "protect: none" for its columns in the policy.',
    { table: name },
  );
}
