/** Objects that hold a query or a body: views, materialised views, CREATE TABLE AS, functions, triggers. */
import { columnPolicy, unlistedRefused } from '../../catalog/protection.js';
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../plan.js';
import { stripComments } from '../raw/comments.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, type RawFields, type RawNode, text as textOf } from '../raw/node.js';
import { readerOn, runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies } from './body.js';
import { doubtOfFunctions, doubtOfNewFunction, doubtOfQuery, doubtOfServedQuery } from './proof.js';
import { creationSchema, qualifyRelations, rangeParts, resolveRelation } from './resolve.js';
import { servedTable, withCreationSchema } from './table-statements.js';
import { changeTables } from './tables.js';

type Done = Promise<{ tag: string }>;

/** A view stands on both sides when it is proven to touch open tables only; over protected ones it stands in the shadow alone. */
export async function createView(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  if ((fields.view as RawFields).relpersistence === 't') throw temporary();
  const context = { session, homes: deps.homes };
  const query = deparse(fields.query as RawNode);
  const doubt = await doubtOfQuery(context, query);
  if (doubt !== undefined) {
    if (!session.residual || (await doubtOfServedQuery(context, query)) !== undefined)
      throw notProven('the view', doubt, 'Write the query where the view would be used.');
    const tag = await runInShadow(session, body.text);
    session.transaction.record(body.text, []);
    return { tag };
  }
  const { node } = withCreationSchema(body.node, 'view', await creationSchema(readerOn(session.trusted)));
  const tag = await runInShadow(session, body.text);
  await session.cloud.run(deparse(node));
  session.transaction.record(body.text, []);
  return { tag };
}

const temporary = (): ClarusError =>
  new ClarusError('0A000', 'temporary objects are not supported in a database with protected tables', {
    hint: 'Make an ordinary one.',
  });

/** CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW over open tables, into an open one. */
export async function createTableAs(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const fields = fieldsOf(body.node);
  const into = fields.into as RawFields;
  const relation = into.rel as RawFields;
  if (relation.relpersistence === 't') throw temporary();
  const query = fields.query as RawNode;
  const what = fields.objtype === 'OBJECT_MATVIEW' ? 'a materialised view' : 'a table';
  const doubt =
    kindOf(query) === 'SelectStmt'
      ? await doubtOfQuery({ session, homes: deps.homes }, deparse(query))
      : 'it is made from a prepared statement';
  if (doubt !== undefined)
    throw new ClarusError('0A000', `${what} over protected tables cannot be made from a query`, {
      detail: doubt,
      hint: 'Make the table with CREATE TABLE, and fill it with INSERT.',
    });
  const schema = await creationSchema(readerOn(session.trusted));
  const qualified: RawFields = { schemaname: schema, ...relation };
  const [target, name] = rangeParts(qualified);
  const { policy } = session.catalog();
  // The columns are not known yet; a listed table protects those it does not name.
  const would = columnPolicy(policy, target ?? '', name ?? '', '\u0000');
  if (!would) throw unlistedRefused(target ?? '', name ?? '');
  if (would.protect === 'encrypt')
    throw new ClarusError('0A000', `table "${name}" is protected, so it cannot be made from a query`, {
      hint: 'Make the table with CREATE TABLE, and fill it with INSERT.',
    });
  if (
    fields.if_not_exists === true &&
    (await resolveRelation(readerOn(session.trusted), rangeParts(qualified)))
  )
    return { tag: await runInShadow(session, body.text) };
  const made = { ...body.node[kindOf(body.node)], into: { ...into, rel: qualified } };
  // The shadow holds no rows.
  const empty = deparse({
    CreateTableAsStmt: { ...made, into: { ...into, rel: qualified, skipData: true } },
  });
  let tag = '';
  await changeTables(session, deps, {
    scope: [],
    text: empty,
    mirror: async () => {
      tag = await session.cloud.run(deparse({ CreateTableAsStmt: made }));
    },
  });
  return { tag };
}

/**
 * Runs in the cloud alone, as the shadow holds no rows.
 * @throws ClarusError 42P01 when it is not there, 55000 when it is blocked
 */
export async function refreshMaterialisedView(session: SessionPort, { node }: DdlBody): Done {
  const { relation, concurrent, skipData } = fieldsOf(node);
  const parts = rangeParts(relation as RawFields);
  const found = await resolveRelation(readerOn(session.trusted), parts);
  if (!found) throw new ClarusError('42P01', `relation "${parts.join('.')}" does not exist`);
  servedTable(session, found);
  const how = concurrent === true ? 'CONCURRENTLY ' : '';
  const name = quoteQualified(found.schema, found.name);
  const without = skipData === true ? ' WITH NO DATA' : '';
  return { tag: await session.cloud.run(`REFRESH MATERIALIZED VIEW ${how}${name}${without}`) };
}

/** A function stands on both sides when its body is proven to touch open tables only; else it is refused. */
export async function createFunction(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const tag = await runInShadow(session, body.text);
  const doubt = await doubtOfNewFunction({ session, homes: deps.homes }, body.node);
  if (doubt !== undefined) throw notProven('the function', doubt);
  await session.cloud.run(stripComments(body.text));
  session.transaction.record(body.text, []);
  return { tag };
}

const notProven = (
  what: string,
  detail: string,
  hint = 'Write the body in SQL or PL/pgSQL over unprotected tables, without EXECUTE.',
): ClarusError =>
  new ClarusError('0A000', `${what} is not proven to touch unprotected tables only`, { detail, hint });

/**
 * A trigger stands on both sides when its function is proven to touch open tables only.
 * @throws ClarusError 0A000 on a protected table, where the cloud would run it over encodings, and for other functions
 */
export async function createTrigger(session: SessionPort, deps: DdlDependencies, body: DdlBody): Done {
  const read = readerOn(session.trusted);
  const fields = fieldsOf(body.node);
  const relation = await resolveRelation(read, rangeParts(fields.relation as RawFields));
  const table = relation && servedTable(session, relation);
  if (table?.state === 'protected')
    throw new ClarusError('0A000', `triggers on the protected table "${table.name}" are not supported`, {
      detail: 'The cloud would run them over encodings.',
      hint: 'Do the work in the application.',
      table: table.name,
    });
  const node = await qualifyRelations(read, body.node);
  const tag = await runInShadow(session, body.text);
  const rows = await read(
    'SELECT t.tgfoid::text FROM pg_catalog.pg_trigger t WHERE t.tgrelid = $1::oid AND t.tgname = $2',
    [`${relation?.oid ?? 0}`, textOf(fields, 'trigname') ?? ''],
  );
  const doubt = await doubtOfFunctions(
    { session, homes: deps.homes },
    new Set(rows.map(row => Number(row[0]))),
  );
  if (doubt !== undefined) throw notProven('the trigger', doubt);
  await session.cloud.run(deparse(node));
  session.transaction.record(body.text, []);
  return { tag };
}
