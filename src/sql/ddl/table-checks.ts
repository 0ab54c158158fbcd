/** What a statement about a protected table may not do. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../plan.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from './backends.js';
import type { ChangedTable } from './changed-table.js';
import { rangeParts, resolveRelation } from './resolve.js';

/** Commands whose effect the derived difference carries over to the cloud whole. */
const alterable: ReadonlySet<unknown> = new Set([
  'AT_AddColumn',
  'AT_DropColumn',
  'AT_ColumnDefault',
  'AT_DropNotNull',
  'AT_SetNotNull',
  'AT_AddConstraint',
  'AT_DropConstraint',
  'AT_AlterColumnType',
  'AT_AddIdentity',
  'AT_SetIdentity',
  'AT_DropIdentity',
  'AT_DropExpression',
  'AT_ChangeOwner',
]);

/** @throws ClarusError 0A000 for a command that has no physical counterpart */
export function requireAlterable(table: LogicalTable, commands: readonly RawNode[]): void {
  for (const { AlterTableCmd: command } of commands) {
    if (!alterable.has(command?.subtype))
      throw new ClarusError(
        '0A000',
        `this form of ALTER TABLE is not supported on the protected table "${table.name}"`,
        {
          hint: 'Columns, NOT NULL, defaults, keys, foreign keys, checks over unprotected columns and the owner can be altered.',
          table: table.name,
        },
      );
    const definition = command?.def as RawNode | undefined;
    const using = (definition?.ColumnDef as RawFields | undefined)?.raw_default;
    if (command?.subtype === 'AT_AlterColumnType' && using !== undefined)
      throw new ClarusError('0A000', `USING is not supported on the protected table "${table.name}"`, {
        hint: 'Leave USING out, or add a new column and copy the values.',
        table: table.name,
      });
    if (command?.subtype === 'AT_AddConstraint' && definition?.Constraint?.indexname !== undefined)
      throw new ClarusError('0A000', `USING INDEX is not supported on the protected table "${table.name}"`, {
        hint: 'Add the constraint by its columns.',
        table: table.name,
      });
  }
}

/**
 * INHERIT and ATTACH PARTITION tie another table to the one that is altered.
 * @throws ClarusError 0A000 where that is protected: the physical tables have other columns
 */
export async function refuseTiesToProtected(
  session: SessionPort,
  commands: readonly RawNode[],
): Promise<void> {
  for (const { AlterTableCmd: command } of commands) {
    const definition = command?.def as RawNode | undefined;
    const range = definition?.RangeVar ?? (definition?.PartitionCmd?.name as RawFields | undefined);
    if (!range) continue;
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range));
    const other = relation && session.catalog().tables.get(relation.oid);
    if (other && other.state !== 'open')
      throw new ClarusError(
        '0A000',
        `inheritance with the protected table "${other.name}" is not supported`,
        {
          hint: 'Keep the tables apart, and select from both.',
          table: other.name,
        },
      );
  }
}

/** @throws ClarusError 0A000 when the type of a protected column changed: its cells hold the old one */
export function refuseTypeChange(changed: readonly ChangedTable[]): void {
  for (const { before, after } of changed) {
    for (const column of before?.table.columns ?? []) {
      const now = after?.table.columns.find(({ number }) => number === column.number);
      if (!column.protection || !now) continue;
      const same =
        now.type.oid === column.type.oid &&
        now.type.modifier === column.type.modifier &&
        now.type.collation === column.type.collation;
      if (!same)
        throw new ClarusError(
          '0A000',
          `the type of the protected column "${column.name}" cannot be changed`,
          {
            detail: 'Its cells hold values of the old type.',
            hint: 'Add a column of the new type and copy the values through the application.',
            column: column.name,
          },
        );
    }
  }
}

/** Bit of INCLUDING nothing but the columns themselves (CREATE_TABLE_LIKE_*, parsenodes.h). */
const LIKE_NOTHING = 0;

/**
 * LIKE carries defaults and checks over. From a protected table their literals may not reach the cloud with an
 * unprotected column.
 * @throws ClarusError 0A000
 */
export async function refuseLikeOfProtected(
  session: SessionPort,
  node: RawNode,
  made: LogicalTable,
): Promise<void> {
  for (const element of list(fieldsOf(node), 'tableElts')) {
    if (kindOf(element) !== 'TableLikeClause') continue;
    const like = fieldsOf(element);
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(like.relation as RawFields));
    const source = relation && session.catalog().tables.get(relation.oid);
    if (!source || source.state === 'open') continue;
    const bare = ((like.options as number | undefined) ?? LIKE_NOTHING) === LIKE_NOTHING;
    const open = made.columns.filter(
      ({ name, protection }) =>
        !protection && source.columns.some(c => c.name === name && c.policy.protect === 'encrypt'),
    );
    if (made.state === 'open' || (!bare && open.length > 0))
      throw new ClarusError(
        '0A000',
        `table "${made.name}" cannot be made like the protected table "${source.name}"`,
        {
          detail: 'It would take over defaults or checks of protected columns in the clear.',
          hint: 'Protect the same columns of the new table in the policy.',
          table: made.name,
        },
      );
  }
}
