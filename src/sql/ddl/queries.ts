/** Objects that hold a query or a body: views, functions. */
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { isLogicalRole } from '../../trusted/roles.js';
import { refuseHiddenIn } from '../opaque/bodies.js';
import type { SessionPort } from '../ports.js';
import { stripComments } from '../raw/comments.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { triggersOf } from '../triggers/catalogue.js';
import { inCloud, inShadow, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { onBothSides } from './objects.js';
import { doubtOfQuery, doubtOfServedQuery, newFunction, notProven } from './proof.js';
import { creationSchema, qualifyRelations, rangeParts, resolveRelation } from './resolve.js';
import { withCreationSchema } from './table-statements.js';
import { functionStands, isOfTriggers } from './triggers.js';
import { defineInCloud } from './types.js';

type Done = Promise<{ tag: string }>;

/** A view stands on both sides when it is proven to touch open tables only; over protected ones it stands in the shadow alone. */
export async function createView(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const context = { session, homes: deps.homes };
  const { node } = withCreationSchema(
    body.node,
    'view',
    await creationSchema(readerOn(session.trusted), fields.view as RawFields),
  );
  // First of all, so that what is wrong with the query is told by the place where the client wrote it.
  const tag = await runInShadow(session, body.text);
  const query = deparse(fields.query as RawNode);
  const doubt =
    (await doubtOfQuery(context, query)) ?? (await doubtOfOwner(session, fields.view as RawFields));
  if (doubt === undefined) {
    await mustHaveNoTriggers(session, fields.view as RawFields);
    await defineInCloud(session, deparse(node));
  } else if (!session.residual || (await doubtOfServedQuery(context, query)) !== undefined)
    throw notProven('the view', doubt, 'Write the query where the view would be used.');
  else if (fields.replace === true) await dropViewFromCloud(session, node);
  session.transaction.record(body.text, []);
  return { tag };
}

/** The cloud would read through it with the rights of its user. */
async function doubtOfOwner(session: SessionPort, view: RawFields): Promise<string | undefined> {
  const found = await resolveRelation(readerOn(session.trusted), rangeParts(view));
  const [row] = await readerOn(session.trusted)(ownerQuery, [String(found?.oid ?? 0)]);
  return row?.[0] === 'true' ? 'it belongs to a role of the application' : undefined;
}

const ownerQuery = `SELECT (${isLogicalRole('r.rolname')})::pg_catalog.text FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE c.oid = $1::pg_catalog.oid`;

/** A view that was proven, and is not any more. @param node the statement with its schema said */
async function dropViewFromCloud(session: SessionPort, node: RawNode): Promise<void> {
  const [schema = '', name = ''] = rangeParts(fieldsOf(node).view as RawFields);
  await session.cloud.run(`DROP VIEW IF EXISTS ${quoteQualified(schema, name)}`);
}

/**
 * A view that is replaced keeps its triggers, and the cloud has none of them.
 * @throws ClarusError 0A000
 */
async function mustHaveNoTriggers(session: SessionPort, view: RawFields): Promise<void> {
  const found = await resolveRelation(readerOn(session.trusted), rangeParts(view));
  if (!found || (await triggersOf(found.oid, session)).length === 0) return;
  throw new ClarusError(
    '0A000',
    `the view "${found.name}" has triggers, and cannot become one over unprotected tables`,
    {
      hint: 'Drop the triggers first.',
      schema: found.schema,
      table: found.name,
    },
  );
}

/** ALTER VIEW of every kind, and names: on the sides on which the view stands. */
export async function alterView(session: SessionPort, body: DdlBody): Done {
  const read = readerOn(session.trusted);
  const found = await resolveRelation(read, rangeParts(fieldsOf(body.node).relation as RawFields));
  const stands = found && (await inCloud(session, 'to_regclass', quoteQualified(found.schema, found.name)));
  return stands
    ? onBothSides(session, body, await qualifyRelations(read, body.node))
    : inShadow(session, body);
}

/**
 * A function stands on both sides when it is proven to touch open tables only. One that reads protected tables stands in
 * the shadow alone, and so does one for triggers until an open table has such a trigger: its body may hold values of
 * protected columns.
 */
export async function createFunction(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const tag = await runInShadow(session, body.text);
  session.transaction.record(body.text, []);
  if (isOfTriggers(body.node) && !(await standsAlready(session, body.node))) return { tag };
  const { doubt, stands } = await newFunction({ session, homes: deps.homes }, body.node);
  if (doubt === undefined) {
    const definition = stripComments(body.text);
    refuseHiddenIn(definition, session);
    await session.cloud.run(definition);
    if (session.transaction.acting !== undefined) await withRightsOfOwner(session, body.node);
  } else if (!session.residual || !stands) throw notProven('the function', doubt);
  else await dropFromCloud(session, body.node);
  return { tag };
}

/** What a role has said of its functions by ALTER DEFAULT PRIVILEGES no cloud has heard: there all may call a new one. */
async function withRightsOfOwner(session: SessionPort, node: RawNode): Promise<void> {
  const names = (fieldsOf(node).funcname as readonly RawNode[]).map(stringOf);
  const rows = await readerOn(session.trusted)(
    `SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE p.proname = $1 AND p.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid
        AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')`,
    [names.at(-1) ?? ''],
  );
  for (const [name] of rows) await session.cloud.run(`REVOKE EXECUTE ON ROUTINE ${name} FROM PUBLIC`);
}

/** Does a function for triggers of this name stand in the cloud? */
async function standsAlready(session: SessionPort, node: RawNode): Promise<boolean> {
  const names = (fieldsOf(node).funcname as readonly RawNode[]).map(stringOf);
  const schema = await creationSchema(
    readerOn(session.trusted),
    names.length > 1 ? { schemaname: names.at(-2) } : {},
  );
  return functionStands(session, `${quoteQualified(schema, names.at(-1) ?? '')}()`);
}

/** A function that was proven, and is not any more: what depends on it there keeps it from being replaced. */
async function dropFromCloud(session: SessionPort, node: RawNode): Promise<void> {
  const fields = fieldsOf(node);
  if (fields.replace !== true) return;
  const names = (fields.funcname as readonly RawNode[]).map(stringOf);
  const rows = await readerOn(session.trusted)(
    `SELECT pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE p.proname = $1 AND n.nspname = coalesce($2::text, pg_catalog.current_schema()::text)
        AND p.xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid`,
    [names.at(-1) ?? '', names.length > 1 ? (names.at(-2) ?? null) : null],
  );
  for (const [name] of rows) await session.cloud.run(`DROP ROUTINE IF EXISTS ${name}`);
}
