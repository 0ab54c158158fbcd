/**
 * DDL of what is not a table. It runs in the shadow; in the cloud it runs too where nothing in it could hold a
 * protected value, or where the object stands there already.
 */
import { isFilled, type LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, str, stringOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { detachCarriers, inCloud, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { lookAtValues } from './domain-values.js';
import { lockInCloud } from './locks.js';
import { routineIdentity } from './owners.js';
import { viewsOver } from './populated.js';
import { listParts, nameText, resolveRelation, resolveType, typeParts } from './resolve.js';
import { changeTables } from './tables.js';
import { defineInCloud, forgetTypes } from './types.js';
import { refuseOtherLabel, refuseOtherRows, refuseToTell } from './values-of-types.js';

type Done = Promise<{ tag: string }>;

/** Runs a statement in the shadow and, written anew with names resolved, in the cloud. */
export async function onBothSides(session: SessionPort, { text }: DdlBody, node: RawNode): Done {
  const tag = await runInShadow(session, text);
  await defineInCloud(session, deparse(node));
  session.transaction.record(text, []);
  return { tag };
}

/**
 * Kinds of objects that stand on the trusted side only: aggregates, operators, casts, collations, conversions, extended
 * statistics and what text search is configured by. What calls an aggregate of users is refused; the rest is used where
 * statements are finished, and a statement that the cloud runs alone does not find it.
 */
export const ofTrustedSide: ReadonlySet<unknown> = new Set([
  'OBJECT_AGGREGATE',
  'OBJECT_CAST',
  'OBJECT_COLLATION',
  'OBJECT_CONVERSION',
  'OBJECT_OPERATOR',
  'OBJECT_STATISTIC_EXT',
  'OBJECT_TSCONFIGURATION',
  'OBJECT_TSDICTIONARY',
  'OBJECT_TSPARSER',
  'OBJECT_TSTEMPLATE',
]);

/** Runs on both sides, so both servers must have the extension at hand. */
export const createExtension = (session: SessionPort, body: DdlBody): Done =>
  onBothSides(session, body, body.node);

/** ALTER TYPE, ALTER DOMAIN and their renames: columns may change with them. */
export async function alterType(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  name: readonly string[],
): Done {
  const type = await resolveType(readerOn(session.trusted), name);
  const { AlterDomainStmt: domain, AlterEnumStmt: labels } = body.node;
  // what becomes of a type that nothing in the cloud needs is no matter of the cloud
  if (type !== undefined) await forgetTypes(session, [await typeNumber(session, name)]);
  const stands = type !== undefined && (await inCloud(session, 'to_regtype', type));
  if (stands && isSaying(body.node)) await refuseToTell(session, nameText(name));
  const beforehand = stands ? [await withTypeName(session, body.node, name)] : [];
  const { tag } = await changeTables(session, deps, {
    scope: undefined,
    text: body.text,
    mirror: async () => undefined,
    beforehand,
    check: async ({ changed }) => {
      // PostgreSQL's own errors come first
      if (domain) await lookAtValues(session, deps, domain, name);
      if (labels) await refuseOtherLabel(session, deps, labels, name);
      for (const { before, after } of changed)
        if (after?.table.state === 'protected' && before && typesOf(before.table) !== typesOf(after.table))
          throw new ClarusError('0A000', `table "${after.table.name}" uses the type that changes`, {
            hint: 'Change the type before a protected table uses it.',
          });
    },
  });
  return { tag };
}

/** Does a change of a type say a label, a check or a default? */
function isSaying({ AlterEnumStmt: labels, AlterDomainStmt: domain }: RawNode): boolean {
  return labels !== undefined || (domain?.def !== undefined && domain.def !== null);
}

async function typeNumber(session: SessionPort, name: readonly string[]): Promise<number> {
  const [row] = await readerOn(session.trusted)('SELECT pg_catalog.to_regtype($1)::pg_catalog.oid::text', [
    nameText(name),
  ]);
  return Number(row?.[0] ?? 0);
}

const typesOf = ({
  columns,
}: {
  readonly columns: readonly { readonly type: { readonly oid: number } }[];
}): string => columns.map(({ type }) => type.oid).join();

/** The statement with the type's name as the shadow resolves it. */
async function withTypeName(session: SessionPort, node: RawNode, name: readonly string[]): Promise<string> {
  const [row] = await readerOn(session.trusted)(
    'SELECT n.nspname::text, t.typname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = pg_catalog.to_regtype($1)',
    [nameText(name)],
  );
  const parts = [row?.[0] ?? '', row?.[1] ?? ''].map(str);
  const fields = fieldsOf(node);
  const field = 'typeName' in fields ? 'typeName' : 'object';
  const value = field === 'typeName' ? parts : { List: { items: parts } };
  return deparse({ [kindOf(node)]: { ...fields, [field]: value } });
}

/**
 * DROP of anything but tables and indexes. What the shadow's CASCADE takes from tables is taken from the
 * physical ones first; then the object goes, where it stands in the cloud.
 */
export async function dropObjects(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const cascade = fields.behavior === 'DROP_CASCADE';
  const objects: RawNode[] = [];
  for (const object of list(fields, 'objects')) objects.push(await qualifiedObject(session, fields, object));
  const drop: RawNode = { DropStmt: { ...fields, objects, missing_ok: true } };
  const views = await viewsThatFollow(session, fields);
  await lockInCloud(session, views);
  await detachCarriers(session, views);
  // carriers are no part of what the client is told
  await detachCarriers(session, await tablesThatDepend(session, fields));
  if (cascade && fields.removeType === 'OBJECT_SCHEMA') {
    const schemas = new Set(list(fields, 'objects').map(stringOf));
    await detachCarriers(
      session,
      [...session.catalog().tables.values()].filter(table => schemas.has(table.schema)),
    );
  }
  const { tag } = await changeTables(session, deps, {
    scope: cascade || holdsTables.has(fields.removeType) ? undefined : [],
    text: body.text,
    cascade,
    check: ({ changed }) => refuseOtherRows(session, deps, changed),
    afterwards: [deparse(drop)],
  });
  return { tag };
}

/** Materialised views that may go with it, or keep it from going: they are told by what they are. */
async function viewsThatFollow(session: SessionPort, fields: RawFields): Promise<readonly LogicalTable[]> {
  const all = [...session.catalog().tables.values()].filter(
    table => isFilled(table) && table.state !== 'blocked',
  );
  if (all.length === 0 || fields.removeType !== 'OBJECT_VIEW') return all;
  const oids: number[] = [];
  for (const object of list(fields, 'objects')) {
    const found = await resolveRelation(readerOn(session.trusted), listParts(object));
    if (found) oids.push(found.oid);
  }
  return viewsOver(session, oids);
}

/** Tables that depend on a type, sequence or function, or on what depends on it; of functions of one name, on any. */
async function tablesThatDepend(session: SessionPort, fields: RawFields): Promise<readonly LogicalTable[]> {
  const root = dependedOn.get(fields.removeType);
  if (root === undefined || !session.residual) return [];
  const { tables } = session.catalog();
  const found = new Set<LogicalTable>();
  for (const object of list(fields, 'objects')) {
    const isType = object.TypeName !== undefined;
    const parts = isType
      ? typeParts(object)
      : object.ObjectWithArgs
        ? list(object.ObjectWithArgs, 'objname').map(stringOf)
        : listParts(object);
    const name = root.includes('proname') ? (parts.at(-1) ?? '') : nameText(parts);
    for (const [oid] of await readerOn(session.trusted)(dependents(root), [name])) {
      const table = tables.get(Number(oid));
      if (table) found.add(table);
    }
  }
  return [...found];
}

/** A default and a constraint are parts of their table. */
const dependents = (root: string): string => `
WITH RECURSIVE d (classid, objid) AS (
  ${root}
  UNION
  SELECT p.classid, p.objid FROM d JOIN (
    SELECT classid, objid, refclassid, refobjid FROM pg_catalog.pg_depend
     WHERE classid <> 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, adrelid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, oid
      FROM pg_catalog.pg_attrdef
    UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid
      FROM pg_catalog.pg_constraint) p ON p.refclassid = d.classid AND p.refobjid = d.objid)
SELECT DISTINCT objid::pg_catalog.text FROM d WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass`;

const ofType =
  "SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, pg_catalog.to_regtype($1)::pg_catalog.oid";
const ofRoutine =
  "SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid, p.oid FROM pg_catalog.pg_proc p WHERE p.proname = $1";
/** Queries of the class and OID of what is dropped, by its name. */
const dependedOn: ReadonlyMap<unknown, string> = new Map([
  ['OBJECT_TYPE', ofType],
  ['OBJECT_DOMAIN', ofType],
  [
    'OBJECT_SEQUENCE',
    "SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, pg_catalog.to_regclass($1)::pg_catalog.oid",
  ],
  ['OBJECT_FUNCTION', ofRoutine],
  ['OBJECT_PROCEDURE', ofRoutine],
  ['OBJECT_ROUTINE', ofRoutine],
]);

/** What is a table, or takes tables along though nothing depends on it. Of others, none changes without CASCADE. */
const holdsTables: ReadonlySet<unknown> = new Set([
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_EXTENSION',
  'OBJECT_RULE',
  'OBJECT_TRIGGER',
]);

/** The name of an object to drop as the shadow resolves it; one that is not there stays as it is. */
async function qualifiedObject(session: SessionPort, fields: RawFields, object: RawNode): Promise<RawNode> {
  const read = readerOn(session.trusted);
  switch (fields.removeType) {
    case 'OBJECT_VIEW':
    case 'OBJECT_SEQUENCE': {
      const found = await resolveRelation(read, listParts(object));
      return found ? { List: { items: [str(found.schema), str(found.name)] } } : object;
    }
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN': {
      const parts = typeParts(object);
      const [row] = await read(
        'SELECT n.nspname::text, t.typname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = pg_catalog.to_regtype($1)',
        [nameText(parts)],
      );
      if (!row) return object;
      return { TypeName: { ...fieldsOf(object), names: [str(row[0] ?? ''), str(row[1] ?? '')] } };
    }
    case 'OBJECT_FUNCTION':
    case 'OBJECT_PROCEDURE':
    case 'OBJECT_ROUTINE':
      return qualifiedRoutine(session, object);
    default:
      return object;
  }
}

/**
 * The cloud may have another function of the name, in a schema that is searched later.
 * @throws ClarusError 0A000 where several schemas have one
 */
async function qualifiedRoutine(session: SessionPort, object: RawNode): Promise<RawNode> {
  const fields = fieldsOf(object);
  const names = list(fields, 'objname');
  if (names.length !== 1) return object;
  const found = fields.args_unspecified === true ? undefined : await routineIdentity(session, fields);
  if (found) return { [kindOf(object)]: { ...fields, objname: [str(found.schema), ...names] } };
  const [first, ...more] = await readerOn(session.trusted)(
    `SELECT DISTINCT n.nspname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE p.proname = $1 AND pg_catalog.pg_function_is_visible(p.oid)`,
    [stringOf(names[0])],
  );
  if (!first) return object;
  if (more.length > 0)
    throw new ClarusError('0A000', `several schemas have a function "${stringOf(names[0])}"`, {
      hint: 'Name its schema.',
    });
  return { [kindOf(object)]: { ...fields, objname: [str(first[0] ?? ''), ...names] } };
}
