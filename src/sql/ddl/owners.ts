/** ALTER ... OWNER TO: of a relation of any kind, and of what is none, on each side where it stands. */
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import type { SessionPort } from '../ports.js';
import { typeText } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { inCloud, inShadow, runInShadow } from './backends.js';
import type { DdlBody } from './body.js';
import { ownerInCloud } from './ownership.js';
import {
  listParts,
  nameText,
  type Relation,
  rangeParts,
  resolveRelation,
  resolveType,
  typeParts,
} from './resolve.js';

type Done = Promise<{ tag: string }>;

/** Words of ALTER for the kinds that may stand on both sides. */
const words: Readonly<Record<string, string>> = {
  OBJECT_DOMAIN: 'DOMAIN',
  OBJECT_FUNCTION: 'FUNCTION',
  OBJECT_PROCEDURE: 'PROCEDURE',
  OBJECT_ROUTINE: 'ROUTINE',
  OBJECT_SCHEMA: 'SCHEMA',
  OBJECT_TYPE: 'TYPE',
};

/**
 * ALTER ... OWNER TO of what is no relation.
 * @throws ClarusError 0A000 for kinds that Clarus does not know
 */
export async function changeOwner(session: SessionPort, body: DdlBody): Done {
  const { objectType, object, newowner } = fieldsOf(body.node);
  const word = words[objectType as string];
  if (word === undefined)
    throw new ClarusError(
      '0A000',
      'ALTER ... OWNER TO of this kind of object is not supported in a database with protected tables',
    );
  const standing = await nameInCloud(session, objectType, object as RawNode);
  const owner = await ownerInCloud(session, newowner as RawFields | undefined);
  const tag = await runInShadow(session, body.text);
  if (standing !== undefined && owner !== undefined)
    await session.cloud.run(`ALTER ${word} ${standing} OWNER TO ${owner}`);
  session.transaction.record(body.text, []);
  return { tag };
}

/** ALTER ... OWNER TO of what stands on the trusted side alone. */
export async function changeOwnerInShadow(session: SessionPort, body: DdlBody): Done {
  await ownerInCloud(session, fieldsOf(body.node).newowner as RawFields | undefined);
  return inShadow(session, body);
}

/** The object's qualified name where the cloud has it, as the shadow resolves it. */
export async function nameInCloud(
  session: SessionPort,
  kind: unknown,
  object: RawNode,
): Promise<string | undefined> {
  switch (kind) {
    case 'OBJECT_SCHEMA':
      return quoteName(stringOf(object));
    case 'OBJECT_DOMAIN':
    case 'OBJECT_TYPE': {
      const parts = object.TypeName ? typeParts(object) : listParts(object);
      const type = await resolveType(readerOn(session.trusted), parts);
      return type !== undefined && (await inCloud(session, 'to_regtype', type)) ? type : undefined;
    }
    default:
      return routineInCloud(session, fieldsOf(object));
  }
}

const signatureQuery = (lookUp: string): string =>
  `SELECT p.oid::text, n.nspname::text, p.proname::text, pg_catalog.pg_get_function_identity_arguments(p.oid)
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = pg_catalog.${lookUp}($1)`;
const routineQuery = `SELECT count(*)::text FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname = $1 AND p.proname = $2 AND pg_catalog.pg_get_function_identity_arguments(p.oid) = $3`;

/** A function as the shadow knows it. */
interface RoutineIdentity {
  readonly oid: number;
  readonly schema: string;
  /** qualified, with the types of its arguments */
  readonly name: string;
  readonly inCloud: boolean;
}

/** What a function is called; undefined: there is none. @param fields of an ObjectWithArgs */
export async function routineIdentity(
  session: SessionPort,
  fields: RawFields,
): Promise<RoutineIdentity | undefined> {
  const name = nameText(list(fields, 'objname').map(stringOf));
  const unspecified = fields.args_unspecified === true;
  const signature = unspecified ? name : `${name}(${list(fields, 'objargs').map(typeText).join(', ')})`;
  const lookUp = signatureQuery(unspecified ? 'to_regproc' : 'to_regprocedure');
  const [found] = await readerOn(session.trusted)(lookUp, [signature]);
  if (!found) return undefined;
  const [oid, schema, routine, args] = found.map(part => part ?? '') as [string, string, string, string];
  const [count] = await readerOn(session.cloud)(routineQuery, [schema, routine, args]);
  return {
    oid: Number(oid),
    schema,
    name: `${quoteQualified(schema, routine)}(${args})`,
    inCloud: count?.[0] !== '0',
  };
}

/** A function that reads protected tables stands in the shadow alone. */
async function routineInCloud(session: SessionPort, fields: RawFields): Promise<string | undefined> {
  const found = await routineIdentity(session, fields);
  return found?.inCloud ? found.name : undefined;
}

/**
 * ALTER ... OWNER TO of a view or a sequence, by whatever words: a view over protected tables and a sequence that feeds a
 * protected column stand in the shadow alone.
 */
export async function changeOwnerOfRelation(
  session: SessionPort,
  { text }: DdlBody,
  relation: Relation,
  newowner: RawFields | undefined,
): Done {
  const name = quoteQualified(relation.schema, relation.name);
  const there = await inCloud(session, 'to_regclass', name);
  const owner = await ownerInCloud(session, newowner);
  const tag = await runInShadow(session, text);
  if (there && owner !== undefined) await session.cloud.run(`ALTER TABLE ${name} OWNER TO ${owner}`);
  // the cloud would go on reading through it with the rights of its user
  if (there && owner === undefined && relation.kind === 'v')
    await session.cloud.run(`DROP VIEW ${name}`).catch(error => {
      throw error instanceof PostgresError && error.code === '2BP01' ? standsInTheWay(relation.name) : error;
    });
  session.transaction.record(text, []);
  return { tag };
}

const standsInTheWay = (view: string): ClarusError =>
  new ClarusError('0A000', `view "${view}" cannot belong to a role of the application`, {
    detail:
      'Other objects that stand in the cloud depend on it, where it would be read with the rights of its user.',
    hint: 'Drop what depends on it first, and make that again.',
  });

/** The new owner where a statement says that and nothing else of a view or sequence. */
export async function ownedRelation(
  session: SessionPort,
  fields: RawFields,
): Promise<{ readonly relation: Relation; readonly newowner: RawFields | undefined } | undefined> {
  const [command, ...more] = list(fields, 'cmds');
  const { subtype, newowner } = command?.AlterTableCmd ?? {};
  if (subtype !== 'AT_ChangeOwner' || more.length > 0) return undefined;
  const range = fields.relation as RawFields;
  const relation = await resolveRelation(readerOn(session.trusted), rangeParts(range));
  if (relation?.kind !== 'v' && relation?.kind !== 'S') return undefined;
  return { relation, newowner: newowner as RawFields | undefined };
}
