/** The policy knows tables and columns by name: a rename through the proxy is followed by its next version. */
import type { CatalogChange, LogicalTable } from '../../catalog/catalog.js';
import { columnPolicy, sameProtection } from '../../catalog/protection.js';
import { ClarusError } from '../../errors.js';
import { listedTable } from '../../policy/effective.js';
import { joinName } from '../../policy/names.js';
import type { Policy, TablePolicy } from '../../policy/policy.js';
import type { SessionPort } from '../plan.js';
import { fieldsOf, kindOf, type RawNode, text } from '../raw/node.js';

/**
 * The policy after a rename, or undefined when it stays as it is.
 * @throws ClarusError 0A000 when the policy says something else of the new name
 */
export function followRename(
  session: SessionPort,
  table: LogicalTable,
  node: RawNode,
): Extract<CatalogChange, { kind: 'put-policy' }> | undefined {
  const { policy } = session.catalog();
  const fields = fieldsOf(node);
  const newName = text(fields, 'newname') ?? '';
  const origin = `rename by ${session.user}`;
  const listed = listedTable(policy, table.schema, table.name);
  if (kindOf(node) === 'AlterObjectSchemaStmt')
    return movedTable(policy, table, listed, text(fields, 'newschema') ?? '', table.name, origin);
  switch (fields.renameType) {
    case 'OBJECT_TABLE':
      return movedTable(policy, table, listed, table.schema, newName, origin);
    case 'OBJECT_COLUMN':
      return renamedColumn(policy, table, listed, text(fields, 'subname') ?? '', newName, origin);
    default:
      return undefined;
  }
}

function movedTable(
  policy: Policy,
  table: LogicalTable,
  listed: TablePolicy | undefined,
  schema: string,
  name: string,
  origin: string,
): Extract<CatalogChange, { kind: 'put-policy' }> | undefined {
  if (listedTable(policy, schema, name)) throw saysOtherwise(joinName([schema, name]));
  if (!listed) return undefined;
  const moved = { ...listed, schema, name };
  return {
    kind: 'put-policy',
    policy: { ...policy, tables: policy.tables.map(t => (t === listed ? moved : t)) },
    origin: `${origin}: ${joinName([table.schema, table.name])} is ${joinName([schema, name])}`,
  };
}

function renamedColumn(
  policy: Policy,
  table: LogicalTable,
  listed: TablePolicy | undefined,
  column: string,
  newName: string,
  origin: string,
): Extract<CatalogChange, { kind: 'put-policy' }> | undefined {
  const own = table.columns.find(({ name }) => name === column);
  if (!listed || !own) return undefined;
  const named = listed.columns.find(({ name }) => name === newName);
  const wouldBe = columnPolicy(policy, table.schema, table.name, newName);
  if (wouldBe && sameProtection(wouldBe, own.policy)) return undefined;
  if (named) throw saysOtherwise(joinName([table.schema, table.name, newName]));
  const renamed = { ...own.policy, name: newName };
  const columns = [...listed.columns.filter(({ name }) => name !== column), renamed];
  return {
    kind: 'put-policy',
    policy: { ...policy, tables: policy.tables.map(t => (t === listed ? { ...listed, columns } : t)) },
    origin: `${origin}: ${joinName([table.schema, table.name, column])} is ${newName}`,
  };
}

const saysOtherwise = (name: string): ClarusError =>
  new ClarusError('0A000', `the policy already lists ${name}`, {
    detail: 'A rename does not change the protection of what exists.',
    hint: 'Take the new name out of the policy first, or choose another.',
  });
