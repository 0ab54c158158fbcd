/** CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW: what the policy says of the new table's name decides. */
import type { LogicalTable } from '../../catalog/catalog.js';
import { columnPolicy, unlistedRefused } from '../../catalog/protection.js';
import { quoteQualified } from '../../catalog/quote.js';
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { viewsOfRoles } from '../acting/views.js';
import { numberIn, readNodes, walk } from '../analysed/node.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { callsSecured, ofView } from '../row-security/routines.js';
import { isApplied } from '../split/asks.js';
import { touchOf } from '../touch.js';
import { runInShadow } from './backends.js';
import type { DdlBody, DdlDependencies, QueryRunner } from './body.js';
import { refuseFlowsOf } from './flows.js';
import { firstRowsOf } from './materialised.js';
import { setPopulated } from './populated.js';
import { doubtOfQuery } from './proof.js';
import { creationSchema, rangeParts, resolveRelation } from './resolve.js';
import { withoutParameters } from './table-parameters.js';
import { warnOfMissingColumns } from './table-statements.js';
import { changeTables, type TableResult } from './tables.js';
import { defineInCloud } from './types.js';

type Done = Promise<{ tag: string }>;

/** A table that is to be made from a query. */
interface NewTable {
  readonly schema: string;
  readonly name: string;
  /** the statement with the schema said, as the cloud runs it where all is open */
  readonly made: RawNode;
  /** the same without rows, as the shadow runs it */
  readonly empty: string;
  /** the query as SQL */
  readonly query: string;
  /** OIDs of the types of its parameters */
  readonly types: readonly number[];
  /** names of its columns, and whether the policy protects them */
  readonly columns: readonly { readonly name: string; readonly protect: boolean }[];
}

/**
 * The cloud makes an open table from open ones by itself. Else the rows are computed first, then the table is made as
 * CREATE TABLE makes it, and then they are written into it.
 * @param queries runs the query
 * @throws ClarusError 0A000 where a protected value would come to an unprotected column
 */
export async function createTableAs(
  session: SessionPort,
  deps: DdlDependencies,
  body: DdlBody,
  queries: () => QueryRunner,
): Done {
  const fields = fieldsOf(body.node);
  const into = fields.into as RawFields;
  const query = fields.query as RawNode;
  const isView = fields.objtype === 'OBJECT_MATVIEW';
  if (kindOf(query) !== 'SelectStmt')
    throw new ClarusError('0A000', 'a table cannot be made from a prepared statement', {
      hint: 'Write the query itself.',
    });
  // First of all, so that what is wrong with the query is told by the place where the client wrote it.
  const types = body.parameterTypes;
  await session.analyse(body.text, types);
  const read = readerOn(session.trusted);
  const relation: RawFields = {
    schemaname: await creationSchema(read, into.rel as RawFields),
    ...(into.rel as RawFields),
  };
  const table = await newTable(session, body.node, relation, types);
  if (await resolveRelation(read, rangeParts(relation)))
    return { tag: await runInShadow(session, table.empty) };
  const doubt = await doubtOfQuery({ session, homes: deps.homes }, table.query, types);
  // the cloud would make it without policies
  const analysis = await session.analyse(table.query, types);
  const secured = isApplied(analysis, session) || (await callsSecured(analysis, session));
  if (secured && isView) throw ofView('Policies are applied to its query.');
  const hidden = table.columns.some(({ protect }) => protect);
  const empty = into.skipData === true;
  // the cloud would run it with the rights of its user
  const touch = await touchOf(analysis, session, deps.homes);
  // the trusted side answers the catalogue
  const isOfCatalogue = touch.catalogue || touch.homes.has('trusted');
  if (isView && isOfCatalogue) throw ofView('Its query reads the system catalogue.');
  if (isOfCatalogue && (await readsInformationSchema(analysis, session))) throw ofInformationSchema();
  const acting = session.transaction.acting !== undefined || (await viewsOfRoles(session)).size > 0;
  if (doubt === undefined && !secured && !hidden && types.length === 0 && !acting && !isOfCatalogue)
    return mirrored(session, deps, table, isView && !empty);
  if (isView && !session.residual) throw viewRefused(doubt);
  return computed(session, deps, { ...table, hidden, isView }, empty ? undefined : queries());
}

const ofSchema = `SELECT FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::pg_catalog.oid[])
  AND c.relnamespace = 'information_schema'::pg_catalog.regnamespace LIMIT 1`;

/** What its views tell depends on who asks. */
async function readsInformationSchema(
  { parsed, rewritten }: Analysis,
  session: SessionPort,
): Promise<boolean> {
  const relations = new Set<number>();
  for (const tree of [...parsed, ...rewritten].flatMap(readNodes))
    walk(tree, node => {
      if (numberIn(node, 'relid') > 0) relations.add(numberIn(node, 'relid'));
      return true;
    });
  return (await readerOn(session.trusted)(ofSchema, [oidArray([...relations])])).length > 0;
}

const ofInformationSchema = (): ClarusError =>
  new ClarusError('0A000', 'a table is not made of what information_schema tells', {
    detail: 'It tells each user what that user may see, and the rows would be computed by another.',
    hint: 'Read pg_catalog, or insert the rows that a SELECT returns.',
  });

async function newTable(
  session: SessionPort,
  node: RawNode,
  relation: RawFields,
  types: readonly number[],
): Promise<NewTable> {
  const fields = fieldsOf(node);
  const into = { ...(fields.into as RawFields), rel: relation };
  const [schema = '', name = ''] = rangeParts(relation);
  const query = deparse(fields.query as RawNode);
  const { shape } = await session.analyse(query, types);
  const given = list(into, 'colNames').map(stringOf);
  const { policy } = session.catalog();
  // one of a table without columns is none that a policy could list
  const policyOf = (column: string): boolean => {
    const would = columnPolicy(policy, schema, name, column);
    if (!would) throw unlistedRefused(schema, name);
    return would.protect === 'encrypt';
  };
  policyOf('\u0000');
  const made = (more: object): RawNode => ({ CreateTableAsStmt: { ...fields, into: { ...into, ...more } } });
  return {
    schema,
    name,
    made: made({}),
    // The shadow holds no rows.
    empty: deparse(await withoutParameters(made({ skipData: true }), types, session)),
    query,
    types,
    columns: (shape.columns ?? []).map(({ name: own }, i) => {
      const column = given[i] ?? own;
      return { name: column, protect: policyOf(column) };
    }),
  };
}

/** Open tables into an open one. @param populates it is a materialised view that can be read then */
async function mirrored(
  session: SessionPort,
  deps: DdlDependencies,
  { made, empty }: NewTable,
  populates: boolean,
): Done {
  let tag = '';
  const { result } = await changeTables(session, deps, {
    scope: [],
    text: empty,
    mirror: async () => {
      tag = await defineInCloud(session, deparse(made));
    },
  });
  if (populates) await setPopulated(session, deps, madeBy(result), true);
  return { tag };
}

const madeBy = ({ changed }: TableResult): LogicalTable => {
  const made = changed.find(({ before }) => before === undefined)?.after;
  if (!made) throw new ClarusError('XX000', 'the new table is not found');
  return made.table;
};

/** @param queries undefined: WITH NO DATA */
async function computed(
  session: SessionPort,
  deps: DdlDependencies,
  table: NewTable & { readonly hidden: boolean; readonly isView: boolean },
  queries: QueryRunner | undefined,
): Done {
  const { schema, name, empty, query, types, columns, hidden, isView } = table;
  if (queries || isView) await refuseFlowsOf(session, deps, query, columns, types);
  const rows = await (isView
    ? queries && firstRowsOf(session, { query, columns, empty, named: [schema, name] }, queries)
    : queries?.rows(query, hidden));
  const { tag, result } = await changeTables(session, deps, {
    scope: [],
    text: empty,
    fills: isView,
    check: ({ changed }) => warnOfMissingColumns(session, changed),
  });
  if (!queries || !rows) return { tag };
  if (!isView) return { tag: `SELECT ${await queries.fill(quoteQualified(schema, name), rows)}` };
  await queries.fillView(await setPopulated(session, deps, madeBy(result), true), rows);
  return { tag: `SELECT ${rows.length}` };
}

const viewRefused = (doubt: string | undefined): ClarusError =>
  new ClarusError('0A000', 'a materialised view over protected tables cannot be made', {
    ...(doubt === undefined ? {} : { detail: doubt }),
    hint: 'Make the table with CREATE TABLE AS.',
  });
