/** CREATE SCHEMA, with what is made in it: statements of their own, which find the schema first. */
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { withoutPlace } from '../procedural/types.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, text } from '../raw/node.js';
import type { DdlBody } from './body.js';
import { spelt } from './named-roles.js';
import { onBothSides } from './objects.js';
import { ownerInCloud } from './ownership.js';

type Done = Promise<{ readonly tag: string }>;

/** Kinds of elements in the order in which they are made, and the field that names the relation of each. */
const kinds: readonly (readonly [string, string | undefined])[] = [
  ['CreateSeqStmt', 'sequence'],
  ['CreateStmt', 'relation'],
  ['ViewStmt', 'view'],
  ['IndexStmt', 'relation'],
  ['CreateTrigStmt', 'relation'],
  ['GrantStmt', undefined],
];

/**
 * Makes a schema on both sides, and then its elements (CreateSchemaCommand, schemacmds.c;
 * transformCreateSchemaStmtElements, parse_utilcmd.c).
 * @param make makes an element
 * @throws ClarusError 42P15 for an element of another schema, 0A000 for elements for a role that the session does not act as
 */
export async function createSchema(
  session: SessionPort,
  body: DdlBody,
  make: (element: DdlBody) => Promise<unknown>,
): Done {
  const { schemaElts: _elements, ...alone } = fieldsOf(body.node);
  const elements = list(fieldsOf(body.node), 'schemaElts');
  const { authrole } = alone;
  const isLogical =
    authrole !== undefined && (await ownerInCloud(session, authrole as RawFields)) === undefined;
  const inCloud = isLogical ? await withoutOwner(session, alone) : { CreateSchemaStmt: alone };
  if (elements.length === 0) return onBothSides(session, body, inCloud);
  const owner = authrole === undefined ? undefined : await spelt(session, authrole as RawFields);
  const schema = text(alone, 'schemaname') ?? owner ?? '';
  const bare: RawNode = { CreateSchemaStmt: alone };
  const done = await onBothSides(session, { ...body, node: bare, text: deparse(bare) }, inCloud);
  const nodes = kinds.flatMap(([kind, field]) =>
    elements.filter(element => kindOf(element) === kind).map(element => within(schema, element, field)),
  );
  if (isLogical && owner !== session.transaction.acting)
    throw new ClarusError('0A000', 'CREATE SCHEMA with elements for another role is not supported', {
      hint: 'SET ROLE first, or make them with statements of their own.',
    });
  const path = `${quoteName(schema)}, ${session.settings.searchPath}`;
  await session.transaction.inSearchPath(path, async () => {
    for (const node of nodes)
      await make({ ...body, node, text: deparse(node) }).catch(error => {
        throw withoutPlace(error);
      });
  });
  return done;
}

/** A schema that belongs to a role of the application, as the cloud is told of it. */
async function withoutOwner(session: SessionPort, { authrole, ...fields }: RawFields): Promise<RawNode> {
  const schemaname = text(fields, 'schemaname') ?? (await spelt(session, authrole as RawFields));
  return { CreateSchemaStmt: { ...fields, schemaname } };
}

/** An element whose relation is named with the schema (setSchemaName, parse_utilcmd.c). */
function within(schema: string, element: RawNode, field: string | undefined): RawNode {
  if (field === undefined) return element;
  const fields = fieldsOf(element);
  const relation = fields[field] as RawFields;
  const named = text(relation, 'schemaname');
  if (named !== undefined && named !== schema)
    throw new ClarusError(
      '42P15',
      `CREATE specifies a schema (${named}) different from the one being created (${schema})`,
    );
  return { [kindOf(element)]: { ...fields, [field]: { ...relation, schemaname: schema } } };
}
