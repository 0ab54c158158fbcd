/**
 * Renames: what is renamed keeps its protection, and the policy keeps what was written down of the old name, so that
 * what is made under that anew is protected too.
 */
import { columnPolicies, sameProtection } from '../../catalog/protection.js';
import { ClarusError } from '../../errors.js';
import { joinName } from '../../policy/names.js';
import type { Policy } from '../../policy/policy.js';
import type { ChangedTable } from './changed-table.js';

/**
 * @param changed the tables that a statement renamed, or columns of which
 * @throws ClarusError 0A000 when the policy says something else of a new name
 */
export function refuseOtherProtection(changed: readonly ChangedTable[], policy: Policy): void {
  for (const { before, after } of changed) {
    if (!before || !after) continue;
    const { schema, name, columns } = after.table;
    const policies = columnPolicies(policy, after.table, after.table);
    const other = columns.find((column, i) => policies[i] && !sameProtection(policies[i], column.policy));
    if (other)
      throw new ClarusError(
        '0A000',
        `the policy says something else of ${joinName([schema, name, other.name])}`,
        {
          detail: 'A rename does not change the protection of what exists.',
          hint: 'Choose another name, or change what the policy says of this one first.',
          schema,
          table: name,
          column: other.name,
        },
      );
  }
}
