/**
 * CREATE and ALTER SEQUENCE. A sequence that a column owns follows it: to the trusted side where the column is protected, and
 * where names are hidden it is hidden with its table.
 */
import type { LogicalColumn } from '../../catalog/catalog.js';
import { nameInCloud } from '../../catalog/opaque.js';
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { hiddenNames } from '../opaque/index.js';
import { relationKey } from '../opaque/names.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, rewrite, str } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, inCloud, inShadow, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { onBothSides } from './objects.js';
import { creationSchema, listParts, qualifyRelations, rangeParts, resolveRelation } from './resolve.js';
import { withCreationSchema } from './table-statements.js';
import { changeTables, type TableResult } from './tables.js';

type Done = Promise<{ tag: string }>;

interface Owner extends Pick<LogicalColumn, 'protection'> {
  /** shadow OID of its table */
  readonly table: number;
  readonly isHidden: boolean;
  /** schema, table and column */
  readonly path: readonly string[];
}

/** Runs on both sides, but for one of a protected column. */
export async function createSequence(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const read = readerOn(session.trusted);
  const schema = await creationSchema(read, fieldsOf(body.node).sequence as RawFields);
  const { node } = withCreationSchema(body.node, 'sequence', schema);
  const owner = await newOwner(session, body.node);
  if (owner?.protection) return inShadow(session, body);
  if (!owner?.isHidden) return onBothSides(session, body, await qualifyRelations(read, node));
  const sequence = fieldsOf(node).sequence as RawFields;
  const name = String(sequence.relname);
  await detachFrom(session, [owner.table]);
  const { tag } = await changeTables(session, deps, {
    scope: [owner.table],
    text: body.text,
    afterwards: result => {
      const opaque = opaqueIn(result, schema, name);
      if (opaque === undefined) return [];
      const made = { CreateSeqStmt: { ...fieldsOf(node), sequence: { ...sequence, relname: opaque } } };
      return [deparse(ownedBy(made, owner))];
    },
  });
  return { tag };
}

/** What a sequence is called in the cloud once a table has changed. */
function opaqueIn({ changed }: TableResult, schema: string, name: string): string | undefined {
  for (const { after } of changed)
    if (after?.table.opaque?.sequences.some(one => one.schema === schema && one.name === name))
      return nameInCloud(after.table, name);
  return undefined;
}

/** A sequence that feeds a protected column lives in the shadow only. */
export async function alterSequence(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  range: RawFields,
): Done {
  const read = readerOn(session.trusted);
  const sequence = await resolveRelation(read, rangeParts(range));
  if (!sequence) return { tag: await runInShadow(session, body.text) };
  const { schema, name } = sequence;
  const owner = await newOwner(session, body.node);
  const stands =
    owner?.protection === undefined && (await inCloud(session, 'to_regclass', quoteQualified(schema, name)));
  const node = ownedBy(await qualifyRelations(read, body.node), owner);
  const standing = hiddenNames(session.catalog().tables)?.relations.get(relationKey(schema, name))?.opaque;
  const isShown = standing !== undefined && saysOwner(body.node) && !owner?.isHidden;
  const renamed = (from: string, to: string): string =>
    `ALTER SEQUENCE ${quoteQualified(schema, from)} RENAME TO ${quoteName(to)}`;
  const scope = [...tablesOwning(session, sequence.table), ...(owner ? [owner.table] : [])];
  await detachFrom(session, scope);
  const { tag } = await changeTables(session, deps, {
    scope,
    text: body.text,
    mirror: async () => undefined,
    afterwards: result => {
      if (!stands || isRenamed(result, sequence.oid)) return [];
      const opaque = standing === undefined ? opaqueIn(result, schema, name) : undefined;
      return [
        deparse(asOfTable(node)),
        ...(opaque === undefined ? [] : [renamed(name, opaque)]),
        ...(isShown ? [renamed(standing, name)] : []),
      ];
    },
  });
  return { tag };
}

/** Has a column of a protected table a sequence of another name? Then the difference of the table has renamed it in the cloud. */
const isRenamed = ({ changed }: TableResult, oid: number): boolean =>
  changed.some(({ before, after }) => {
    if (before?.table.state !== 'protected' || after?.table.state !== 'protected') return false;
    if (before.table.opaque || after.table.opaque) return false;
    const was = before.described.columns.find(({ sequence }) => sequence?.oid === oid);
    const is = after.described.columns.find(({ sequence }) => sequence?.oid === oid);
    return was !== undefined && is !== undefined && was.sequence?.name !== is.sequence?.name;
  });

/** SET SCHEMA as ALTER TABLE takes it too: the deparser has no words for that of sequences. */
const asOfTable = (node: RawNode): RawNode =>
  node.AlterObjectSchemaStmt
    ? { AlterObjectSchemaStmt: { ...node.AlterObjectSchemaStmt, objectType: 'OBJECT_TABLE' } }
    : node;

const ownerOption = (node: RawNode): RawNode | undefined =>
  list(fieldsOf(node), 'options').find(({ DefElem }) => DefElem?.defname === 'owned_by');

const saysOwner = (node: RawNode): boolean => ownerOption(node) !== undefined;

/** The column that OWNED BY names. */
async function newOwner(session: SessionPort, node: RawNode): Promise<Owner | undefined> {
  const parts = listParts(ownerOption(node)?.DefElem?.arg as RawNode | undefined);
  if (parts.length < 2) return undefined;
  const relation = await resolveRelation(readerOn(session.trusted), parts.slice(0, -1));
  const table = relation && session.catalog().tables.get(relation.oid);
  const column = table?.columns.find(({ name }) => name === parts.at(-1));
  if (!table || !column) return undefined;
  const path = [table.schema, table.name, column.name];
  return { table: table.oid, protection: column.protection, isHidden: table.opaque !== undefined, path };
}

/** A statement that names its owner with the schema, where that is hidden: they are told apart by both. */
function ownedBy(node: RawNode, owner: Owner | undefined): RawNode {
  if (!owner?.isHidden || !/^(?:Create|Alter)SeqStmt$/.test(kindOf(node))) return node;
  const arg = { List: { items: owner.path.map(str) } };
  return rewrite(node, (kind, fields) =>
    kind === 'DefElem' && fields.defname === 'owned_by' ? { DefElem: { ...fields, arg } } : undefined,
  );
}

const tablesOwning = (session: SessionPort, oid: number): readonly number[] =>
  session.catalog().tables.has(oid) ? [oid] : [];

/** Carriers have the defaults of their tables, and so use the sequences of these. */
const detachFrom = (session: SessionPort, oids: readonly number[]): Promise<void> =>
  detachCarriers(
    session,
    oids.flatMap(oid => session.catalog().tables.get(oid) ?? []),
  );
