/** What a statement about a protected table may not do. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { rangeParts, resolveRelation } from './resolve.js';

/** Triggers of a protected table stand in the shadow alone. */
export const ofTriggers = [
  'AT_EnableTrig',
  'AT_EnableAlwaysTrig',
  'AT_EnableReplicaTrig',
  'AT_DisableTrig',
  'AT_EnableTrigUser',
  'AT_DisableTrigUser',
];

/** Commands whose effect the derived difference carries over to the cloud whole. */
const alterable: ReadonlySet<unknown> = new Set([
  'AT_AddColumn',
  'AT_DropColumn',
  'AT_ColumnDefault',
  'AT_DropNotNull',
  'AT_SetNotNull',
  'AT_AddConstraint',
  'AT_ValidateConstraint',
  'AT_DropConstraint',
  'AT_AlterColumnType',
  'AT_AddIdentity',
  'AT_SetIdentity',
  'AT_DropIdentity',
  'AT_DropExpression',
  'AT_AttachPartition',
  'AT_DetachPartition',
  'AT_AddInherit',
  'AT_DropInherit',
  'AT_ChangeOwner',
  'AT_SetRelOptions',
  'AT_ResetRelOptions',
  'AT_SetStatistics',
  'AT_SetOptions',
  'AT_ResetOptions',
  'AT_SetStorage',
  'AT_SetCompression',
  'AT_ClusterOn',
  'AT_DropCluster',
  'AT_SetLogged',
  'AT_SetUnLogged',
  'AT_DropOids',
  'AT_AddOf',
  'AT_DropOf',
  'AT_ReplicaIdentity',
  'AT_AlterConstraint',
  ...ofTriggers,
]);

/** @throws ClarusError 0A000 for a command that has no physical counterpart */
export function requireAlterable(table: LogicalTable, commands: readonly RawNode[]): void {
  for (const { AlterTableCmd: command } of commands) {
    if (!alterable.has(command?.subtype))
      throw new ClarusError(
        '0A000',
        `this form of ALTER TABLE is not supported on the protected table "${table.name}"`,
        {
          hint: 'Columns, NOT NULL, defaults, keys, foreign keys, checks, triggers and the owner can be altered.',
          table: table.name,
        },
      );
    const altered = (command?.def as RawNode | undefined)?.ATAlterConstraint;
    if (altered && altered.alterDeferrability !== true)
      throw new ClarusError(
        '0A000',
        `of the constraints of the protected table "${table.name}" only DEFERRABLE is altered`,
        { hint: 'Drop the constraint and add another one.', table: table.name },
      );
  }
}

/** Types through which a value may be cast on its way to its new type. */
const between: ReadonlySet<string> = new Set(['text', 'varchar']);

/** What becomes of the values of columns whose types change by `USING`, by name of the column. */
export interface Conversions {
  /** OID of the table whose columns they are */
  readonly table: number;
  /** unprotected columns: SQL over the old values that is yet to be cast to the new type, for the cloud */
  readonly open: ReadonlyMap<string, string>;
  /** protected ones: the expression itself, for the trusted side */
  readonly protected: ReadonlyMap<string, RawNode>;
  /** those whose expression is more than such casts: values change also where the type does not */
  readonly computed: ReadonlySet<string>;
}

/**
 * For an unprotected column `USING` may hold casts of the column itself, the last to its new type. Every other expression
 * could hold anything, so it does not reach a cloud.
 * @throws ClarusError 0A000
 */
export function conversions(table: LogicalTable, commands: readonly RawNode[]): Conversions {
  const open = new Map<string, string>();
  const ofProtected = new Map<string, RawNode>();
  const computed = new Set<string>();
  for (const { AlterTableCmd: command } of commands) {
    const column = text(command ?? {}, 'name') ?? '';
    const definition = (command?.def as RawNode | undefined)?.ColumnDef;
    const using = definition?.raw_default as RawNode | undefined;
    if (command?.subtype !== 'AT_AlterColumnType' || using === undefined) continue;
    const cast = using.TypeCast;
    const value =
      cast && typeName(cast.typeName) === typeName(definition?.typeName) && throughTexts(cast, column);
    if (table.columns.some(({ name, protection }) => name === column && protection)) {
      ofProtected.set(column, using);
      if (!value) computed.add(column);
      continue;
    }
    if (!value)
      throw new ClarusError('0A000', `this USING is not supported on the protected table "${table.name}"`, {
        hint: 'Write USING column::type, or add a new column and copy the values.',
        table: table.name,
        column,
      });
    open.set(column, value);
  }
  return { table: table.oid, open, protected: ofProtected, computed };
}

/**
 * Which commands say something else of the default of a column than the one that adds it: rows that stand get what that one
 * says (ATExecAddColumn in tablecmds.c).
 */
export function laterDefaults(commands: readonly RawNode[]): (command: RawNode) => boolean {
  const added = new Set(
    commands.flatMap(({ AlterTableCmd: command }) =>
      command?.subtype === 'AT_AddColumn'
        ? [text((command.def as RawNode | undefined)?.ColumnDef ?? {}, 'colname')]
        : [],
    ),
  );
  return ({ AlterTableCmd: command }) =>
    command !== undefined && saysDefault(command) && added.has(text(command, 'name'));
}

/** What drops a default or an identity PostgreSQL does before it adds columns. */
const saysDefault = ({ subtype, def }: RawFields): boolean =>
  (subtype === 'AT_ColumnDefault' && def !== undefined) ||
  subtype === 'AT_AddIdentity' ||
  subtype === 'AT_SetIdentity';

/** The operand of a cast, if that is the column, perhaps cast to text. */
function throughTexts(cast: RawFields, column: string): string | undefined {
  const operand = cast.arg as RawNode | undefined;
  const names = list(operand?.ColumnRef ?? {}, 'fields').map(stringOf);
  if (operand?.ColumnRef) return names.length === 1 && names[0] === column ? quoteName(column) : undefined;
  const inner = operand?.TypeCast;
  if (!inner || (inner.typeName as RawFields).typmods || !between.has(lastName(inner.typeName)))
    return undefined;
  const value = throughTexts(inner, column);
  return value && `${value}::pg_catalog.${lastName(inner.typeName)}`;
}

const lastName = (type: unknown): string => stringOf(list(type as RawFields, 'names').at(-1));

/** A type as written, without the place where it stands. */
const typeName = (type: unknown): string =>
  JSON.stringify(type, (key, value: unknown) => (key === 'location' ? undefined : value));

/**
 * Tables that INHERIT, NO INHERIT, ATTACH and DETACH PARTITION tie to the one that is altered, or free from it.
 * @throws ClarusError 0A000 for DETACH ... CONCURRENTLY, which is no transaction
 */
export async function tiedTables(
  session: SessionPort,
  commands: readonly RawNode[],
): Promise<readonly LogicalTable[]> {
  const found: LogicalTable[] = [];
  for (const { AlterTableCmd: command } of commands) {
    const definition = command?.def as RawNode | undefined;
    const partition = definition?.PartitionCmd;
    const range = definition?.RangeVar ?? (partition?.name as RawFields | undefined);
    if (!range) continue;
    if (partition?.concurrent === true)
      throw new ClarusError('0A000', 'DETACH PARTITION ... CONCURRENTLY is not supported', {
        detail: 'Both sides commit as one, which CONCURRENTLY cannot.',
        hint: 'Leave CONCURRENTLY out.',
      });
    const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range));
    const other = relation && session.catalog().tables.get(relation.oid);
    if (other) found.push(other);
  }
  return found;
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
