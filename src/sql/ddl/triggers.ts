/**
 * Triggers. On an open table they stand on both sides, and the cloud fires them; on a protected one in the shadow alone,
 * and Clarus fires them (triggers/).
 */
import { quoteName, quoteQualified } from '../../catalog/quote.js';
import { heirsOf } from '../../catalog/trees.js';
import { refuseHiddenIn } from '../opaque/bodies.js';
import type { SessionPort } from '../ports.js';
import { triggerRoutineOf } from '../procedural/routine.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text as textOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { routinesCalled } from '../routines.js';
import { triggersOf } from '../triggers/catalogue.js';
import { viewAsTable } from '../triggers/instead-of.js';
import { detachCarriers, inCloud, inShadow, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { mustBeFireable } from './fireable.js';
import { holdWrites, letReadsGoOn, lockInCloud, standsAlone } from './locks.js';
import { dropObjects } from './objects.js';
import { doubtOfFunctions, notProven } from './proof.js';
import { listParts, qualifyRelations, type Relation, rangeParts, resolveRelation } from './resolve.js';
import { servedTable } from './served.js';
import { defineInCloud, makeTypes } from './types.js';

type Done = Promise<{ tag: string }>;

/**
 * CREATE TRIGGER.
 * @throws ClarusError 0A000 on an open table for a function that is not proven to touch open tables only, and on a
 *   protected one for what Clarus does not fire
 */
export async function createTrigger(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const read = readerOn(session.trusted);
  const fields = fieldsOf(body.node);
  const relation = await resolveRelation(read, rangeParts(fields.relation as RawFields));
  if (relation && (await isViewOfShadow(session, relation))) return onView(session, body, relation.oid);
  const table = relation && servedTable(session, relation);
  const node = await qualifyRelations(read, body.node);
  // its partitions get it too
  const heirs = table ? heirsOf(session.catalog(), table) : [];
  if (table) {
    await holdWrites(session, deps, [table, ...heirs]);
    if (standsAlone(table, session.catalog())) await letReadsGoOn(session, table);
    else await detachCarriers(session, [table, ...heirs]);
  }
  const tag = await runInShadow(session, body.text);
  session.transaction.record(body.text, []);
  const name = textOf(fields, 'trigname');
  const made = (await triggersOf(relation?.oid ?? 0, session)).find(trigger => trigger.name === name);
  if (!table || !made) throw new Error('a trigger that was made is not there');
  if (table.state === 'protected') {
    await mustBeFireable(made, table, session);
    for (const heir of heirs)
      for (const trigger of await triggersOf(heir.oid, session)) await mustBeFireable(trigger, heir, session);
    await triggerRoutineOf(made.routine, session);
    return { tag };
  }
  const doubt = await doubtOfFunctions({ session, homes: deps.homes }, new Set([made.routine]));
  if (doubt !== undefined) throw notProven('the trigger', doubt);
  await makeFunction(session, made.routine);
  await defineInCloud(session, deparse(node));
  return { tag };
}

/** A trigger of a view over protected tables: Clarus fires it. */
async function onView(session: SessionPort, body: DdlBody, oid: number): Done {
  const done = await inShadow(session, body);
  const name = textOf(fieldsOf(body.node), 'trigname');
  const made = (await triggersOf(oid, session)).find(trigger => trigger.name === name);
  if (!made) throw new Error('a trigger that was made is not there');
  await mustBeFireable(made, await viewAsTable(oid, session), session);
  await triggerRoutineOf(made.routine, session);
  return done;
}

/** Is a relation a view that does not stand in the cloud, because it is over protected tables? */
const isViewOfShadow = async (session: SessionPort, { kind, schema, name }: Relation): Promise<boolean> =>
  kind === 'v' && !(await inCloud(session, 'to_regclass', quoteQualified(schema, name)));

/** The function of a trigger stands in the shadow alone until a trigger of the cloud needs it. */
async function makeFunction(session: SessionPort, oid: number): Promise<void> {
  const [row] = await readerOn(session.trusted)(
    `SELECT pg_catalog.pg_get_functiondef(p.oid), pg_catalog.format('%I.%I()', n.nspname, p.proname)
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = $1::pg_catalog.oid`,
    [String(oid)],
  );
  const [definition, name] = row!;
  if (await functionStands(session, name!)) return;
  refuseHiddenIn(definition!, session);
  await makeTypes(session, (await routinesCalled(new Set([oid]), session)).uses);
  await session.cloud.run(definition!);
}

/** Does a function stand in the cloud? @param identity its qualified name with the types of its parameters */
export async function functionStands(session: SessionPort, identity: string): Promise<boolean> {
  const [row] = await readerOn(session.cloud)('SELECT pg_catalog.to_regprocedure($1) IS NOT NULL', [
    identity,
  ]);
  return row?.[0] === 't';
}

/** Does CREATE FUNCTION make one for triggers? */
export const isOfTriggers = (node: RawNode): boolean => {
  const type = node.CreateFunctionStmt?.returnType as RawFields | undefined;
  return stringOf(list(type ?? {}, 'names').at(-1)) === 'trigger';
};

/** The relation of a trigger, where Clarus fires its triggers: a protected table, or a view over such. */
async function firedHere(session: SessionPort, parts: readonly string[]): Promise<Relation | undefined> {
  const relation = await resolveRelation(readerOn(session.trusted), parts);
  if (!relation) return undefined;
  const isProtected = session.catalog().tables.get(relation.oid)?.state === 'protected';
  return isProtected || (await isViewOfShadow(session, relation)) ? relation : undefined;
}

/** DROP TRIGGER. */
export async function dropTrigger(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const [object] = list(fieldsOf(body.node), 'objects');
  const relation = await firedHere(session, listParts(object).slice(0, -1));
  if (!relation) return dropObjects(session, deps, body);
  const table = session.catalog().tables.get(relation.oid);
  if (table) {
    // DROP TRIGGER locks its table against reads too (RemoveTriggerById of trigger.c)
    const tables = [table, ...heirsOf(session.catalog(), table)];
    const asked = await deps.changing.begin(session, tables);
    await lockInCloud(session, tables).finally(asked);
    await detachCarriers(session, tables);
  }
  return inShadow(session, body);
}

/** ALTER TRIGGER ... RENAME TO. */
export async function renameTrigger(session: SessionPort, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const parts = rangeParts(fields.relation as RawFields);
  if (await firedHere(session, parts)) return inShadow(session, body);
  const relation = await resolveRelation(readerOn(session.trusted), parts);
  const tag = await runInShadow(session, body.text);
  const [from, to] = [textOf(fields, 'subname'), textOf(fields, 'newname')];
  const on = quoteQualified(relation?.schema ?? '', relation?.name ?? '');
  await session.cloud.run(`ALTER TRIGGER ${quoteName(from ?? '')} ON ${on} RENAME TO ${quoteName(to ?? '')}`);
  session.transaction.record(body.text, []);
  return { tag };
}
