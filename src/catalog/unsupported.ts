/** What a protected table cannot have: refused with the reason, never left out. */
import { ClarusError } from '../errors.js';
import type { ColumnPolicy } from '../policy/policy.js';
import type { DescribedTable } from './description.js';

const refused = (message: string, detail: string, hint: string, fields: object = {}): ClarusError =>
  new ClarusError('0A000', message, { detail, hint, ...fields });

/**
 * @param policies of `described.columns`, in order; at least one is encrypted
 * @throws ClarusError 0A000
 */
export function refuseUnsupported(described: DescribedTable, policies: readonly ColumnPolicy[]): void {
  const { name } = described;
  const isProtected = new Set(
    described.columns.filter((_, i) => policies[i]?.protect === 'encrypt').map(column => column.attnum),
  );
  refuseKindOfTable(described);
  for (const column of described.columns) {
    const own = isProtected.has(column.attnum);
    if (own && column.identity !== '')
      throw refused(
        `identity column "${column.name}" of table "${name}" cannot be protected`,
        'The identity sequence would have to live on the trusted side.',
        `Use serial, or "protect: none" for the column.`,
        { column: column.name },
      );
    if (column.generated !== '' && (own || column.generatedFrom.some(from => isProtected.has(from))))
      throw refused(
        `generated column "${column.name}" of table "${name}" cannot be computed by the cloud`,
        own ? 'The column is protected.' : 'Its expression reads a protected column.',
        'Compute the value in the application.',
        { column: column.name },
      );
  }
  for (const constraint of described.constraints) {
    const touches = constraint.columns.some(c => c === 0 || isProtected.has(c));
    if (!touches) continue;
    if (constraint.kind === 'c')
      throw refused(
        `check constraint "${constraint.name}" of table "${name}" reads a protected column`,
        'The cloud cannot evaluate it over encodings.',
        'Leave the constraint out, or check the value in the application.',
        { constraint: constraint.name },
      );
    if (constraint.kind === 'x' || constraint.kind === 't' || constraint.period)
      throw refused(
        `constraint "${constraint.name}" of table "${name}" reads a protected column`,
        'Only equality can be checked over encodings.',
        'Use a PRIMARY KEY, UNIQUE or FOREIGN KEY constraint.',
        { constraint: constraint.name },
      );
    if (constraint.kind === 'f' && (constraint.onDelete !== 'a' || constraint.onUpdate !== 'a'))
      throw refused(
        `foreign key "${constraint.name}" of table "${name}" has an action on a protected column`,
        'The cloud cannot seal values, so it can run no action on protected columns.',
        'Leave ON DELETE and ON UPDATE at NO ACTION.',
        { constraint: constraint.name },
      );
  }
  for (const index of described.indexes) {
    const touches = index.reads.some(c => isProtected.has(c));
    if (!index.unique || !touches) continue;
    if (index.predicate !== null || index.columns.includes(0))
      throw refused(
        `unique index "${index.name}" has an expression or a predicate over a protected column`,
        'The cloud cannot evaluate it over encodings.',
        'Make the index on the column itself.',
        { constraint: index.name },
      );
    if (!index.usualEquality)
      throw refused(
        `unique index "${index.name}" compares a protected column in a way of its own`,
        'Tags follow the = operator of the type, under a deterministic collation.',
        'Leave out the operator class and the collation.',
        { constraint: index.name },
      );
  }
}

function refuseKindOfTable({
  name,
  kind,
  persistence,
  parents,
  hasChildren,
  rowSecurity,
}: DescribedTable): void {
  const what =
    kind === 'p'
      ? 'be partitioned'
      : kind === 'm'
        ? 'be a materialised view'
        : kind === 'f'
          ? 'be a foreign table'
          : persistence === 't'
            ? 'be temporary'
            : parents.length > 0 || hasChildren
              ? 'take part in inheritance or partitioning'
              : rowSecurity
                ? 'have row security'
                : undefined;
  if (what === undefined) return;
  throw refused(
    `table "${name}" cannot ${what}, because it has protected columns`,
    'Clarus protects ordinary tables.',
    'Make it an ordinary table, or say "protect: none" for its columns in the policy.',
    { table: name },
  );
}
