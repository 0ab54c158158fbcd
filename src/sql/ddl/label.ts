/**
 * SECURITY LABEL FOR clarus: proposes the next version of the policy from SQL. It takes effect with the
 * transaction, and only while the table is empty.
 */
import type { LogicalTable } from '../../catalog/catalog.js';
import { writtenOut } from '../../catalog/protection.js';
import { takeIn } from '../../catalog/take-in.js';
import { ClarusError } from '../../errors.js';
import { listedTable } from '../../policy/effective.js';
import { parseLabel } from '../../policy/label.js';
import { joinName } from '../../policy/names.js';
import type { ColumnPolicy, Policy } from '../../policy/policy.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { schemaConnection } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { mustStayFireable } from './fireable.js';
import { listParts, resolveRelation } from './resolve.js';
import { servedTable } from './served.js';
import { changeTables } from './tables.js';
import { refuseOpenRows } from './values-of-types.js';

/** The label provider that means Clarus: SECURITY LABEL FOR clarus. */
export const PROVIDER = 'clarus';

/** Is this statement a label for Clarus? */
export const isLabel = (node: RawNode): boolean => node.SecLabelStmt?.provider === PROVIDER;

/**
 * Makes a label the next version of the policy, with this transaction.
 * @throws ClarusError 0A000 for anything but tables and columns, 42P01 or 42703 when it is not there, 22023 for what
 *   is no label
 */
export async function securityLabel(
  session: SessionPort,
  deps: DdlDependencies,
  { node }: DdlBody,
): Promise<{ tag: string }> {
  const fields = fieldsOf(node);
  const parts = listParts(fields.object as RawNode);
  if (fields.objtype !== 'OBJECT_COLUMN' && fields.objtype !== 'OBJECT_TABLE')
    throw new ClarusError('0A000', 'labels for clarus stand on tables and columns', {
      hint: `SECURITY LABEL FOR clarus ON COLUMN table.column IS 'encrypt queries equality'`,
    });
  const column = fields.objtype === 'OBJECT_COLUMN' ? parts.at(-1) : undefined;
  const tableParts = column === undefined ? parts : parts.slice(0, -1);
  if (session.catalog().passThrough) await takeInHere(session, deps);
  const relation = await resolveRelation(readerOn(session.trusted), tableParts);
  if (!relation) throw new ClarusError('42P01', `relation "${joinName(tableParts)}" does not exist`);
  const table = servedTable(session, relation);
  if (column !== undefined && !table.columns.some(({ name }) => name === column))
    throw new ClarusError('42703', `column "${column}" of relation "${table.name}" does not exist`, {
      column,
    });
  const label = textOf(fields, 'label');
  const policy = withLabel(session.catalog().policy, table, column, label);
  const origin = `SECURITY LABEL by ${session.user} on ${joinName([table.schema, table.name, ...(column === undefined ? [] : [column])])}`;
  await changeTables(session, deps, {
    scope: [table.oid],
    text: undefined,
    reprotect: true,
    policy: { kind: 'put-policy', policy, origin },
    check: async ({ changed }) => {
      await mustStayFireable(changed, session);
      await refuseOpenRows(session, changed);
    },
  });
  return { tag: 'SECURITY LABEL' };
}

/**
 * While bytes went through untouched, the shadow was not kept in step. The first label brings it up to date, in
 * this transaction, with what this session sees of the cloud.
 */
async function takeInHere(
  session: SessionPort,
  { cloud, registry, numbers }: DdlDependencies,
): Promise<void> {
  const { ddl, changes, underived } = await takeIn({
    catalog: session.catalog(),
    cloud,
    registry,
    numbers,
    readCloud: readerOn(session.cloud),
    shadow: schemaConnection(session.trusted),
  });
  for (const sql of ddl) session.transaction.record(sql, []);
  session.transaction.record(undefined, changes);
  for (const { what, reason } of underived)
    session.client.notice({
      severity: 'WARNING',
      code: '01000',
      message: `${what} is not known to Clarus`,
      detail: reason,
    });
}

/**
 * The policy with a label in it.
 * @param column undefined: the label is for every column that the table has
 * @param label undefined (`IS NULL`): what was said of it is taken back
 * @throws LabelError 22023
 */
export function withLabel(
  policy: Policy,
  table: Pick<LogicalTable, 'schema' | 'name' | 'listedAs' | 'columns'>,
  column: string | undefined,
  label: string | undefined,
): Policy {
  const said = label === undefined ? undefined : parseLabel(label);
  // What follows the names that the label is about keeps what it has.
  const listed = listedTable(writtenOut(policy, [table]), table.schema, table.name);
  const names = column === undefined ? table.columns.map(({ name }) => name) : [column];
  // Columns of a table that becomes listed by its first label keep what they have.
  const before: readonly ColumnPolicy[] =
    listed?.columns ?? table.columns.map(({ name, policy: own }) => ({ ...own, name }));
  const kept = before.filter(({ name }) => !names.includes(name));
  const others = policy.tables.filter(({ schema, name }) => schema !== table.schema || name !== table.name);
  if (column === undefined && said === undefined) return { ...policy, tables: others };
  const columns = said ? [...kept, ...names.map(name => ({ ...said, name, position: undefined }))] : kept;
  const position = listed?.position;
  return {
    ...policy,
    tables: [...others, { schema: table.schema, name: table.name, columns, position }],
  };
}
