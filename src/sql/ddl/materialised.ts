/**
 * Materialised views. One over open tables alone is the cloud's own. Any other is a physical table that the trusted side
 * fills, as it fills that of CREATE TABLE AS; in the shadow it is a materialised view, whose query it keeps, without rows.
 */
import { isFilled, type LogicalTable } from '../../catalog/catalog.js';
import { describeTables, qualified } from '../../catalog/describe.js';
import type { DescribedTable } from '../../catalog/description.js';
import { quoteQualified } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { isLogicalRole } from '../../trusted/roles.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, type RawFields } from '../raw/node.js';
import { readerOn, trustedMajor } from '../reading.js';
import { refuseSecuredView } from '../row-security/routines.js';
import type { DdlBody, DdlDependencies, QueryRunner, TextValues } from './body.js';
import { refuseFlowsOf } from './flows.js';
import { setPopulated } from './populated.js';
import { rangeParts, resolveRelation } from './resolve.js';
import { refuseBlocked } from './served.js';

/**
 * REFRESH MATERIALIZED VIEW: runs its query anew, and puts what it returns in the place of the rows. CONCURRENTLY lets
 * others read meanwhile.
 * @throws ClarusError 42P01, 42809, 0A000, 42501, 55000, 42601, 23505 and 21000 as PostgreSQL has them, 55000 when it is
 *   blocked, 0A000 where a protected value would come to an unprotected column
 */
export async function refreshMaterialisedView(
  session: SessionPort,
  deps: DdlDependencies,
  { node }: DdlBody,
  queries: () => QueryRunner,
): Promise<{ tag: string }> {
  const { relation, concurrent, skipData } = fieldsOf(node);
  const how = { concurrently: concurrent === true, empties: skipData === true };
  const view = await viewToRefresh(session, relation as RawFields);
  const populated = view.materialised !== 'unpopulated';
  if (!isFilled(view)) {
    const [own] = await qualified(readerOn(session.trusted), () =>
      describeTables(readerOn(session.trusted), [view.oid]),
    );
    if (!how.empties) await refuseSecuredView(view.oid, withoutEnd(own?.query ?? ''), session);
    const name = quoteQualified(view.schema, view.name);
    const word = how.concurrently ? 'CONCURRENTLY ' : '';
    await session.cloud.run(`REFRESH MATERIALIZED VIEW ${word}${name}${how.empties ? ' WITH NO DATA' : ''}`);
    await setPopulated(session, deps, view, !how.empties);
    return { tag };
  }
  const read = readerOn(session.trusted);
  const [described] = await qualified(read, () => describeTables(read, [view.oid]));
  if (how.concurrently) mustTakeConcurrently(view, described!, how.empties);
  const { schema, name } = view.physical;
  const table = quoteQualified(schema, name);
  await session.cloud.run(
    `LOCK TABLE ${table} IN ${how.concurrently ? 'EXCLUSIVE' : 'ACCESS EXCLUSIVE'} MODE`,
  );
  const rows = how.empties ? undefined : await rowsOf(session, deps, view, described!.query ?? '', queries());
  if (populated) await session.cloud.run(`DELETE FROM ${table}`);
  const now = populated === !how.empties ? view : await setPopulated(session, deps, view, !how.empties);
  if (rows) await fill(now, rows, how.concurrently, queries());
  return { tag };
}

const tag = 'REFRESH MATERIALIZED VIEW';

/** RangeVarCallbackMaintainsTable (tablecmds.c) and RefreshMatViewByOid (matview.c) */
async function viewToRefresh(session: SessionPort, range: RawFields): Promise<LogicalTable> {
  const read = readerOn(session.trusted);
  const parts = rangeParts(range);
  const found = await resolveRelation(read, parts);
  if (!found) throw new ClarusError('42P01', `relation "${parts.join('.')}" does not exist`);
  const table = session.catalog().tables.get(found.oid);
  if (!table) throw new ClarusError('42809', `"${found.name}" is not a table or materialized view`);
  const [row] = await read(mayRefresh, [String(found.oid)]);
  if (row?.[0] !== 't')
    throw new ClarusError(
      '42501',
      row?.[1] === 't'
        ? `permission denied for materialized view ${found.name}`
        : `must be owner of materialized view ${found.name}`,
    );
  if (table.materialised === undefined)
    throw new ClarusError('0A000', `"${found.name}" is not a materialized view`);
  await mustBeComputedByOwner(session, table);
  return refuseBlocked(table);
}

const ownerQuery = `SELECT r.rolname::pg_catalog.text, (${isLogicalRole('r.rolname')})::pg_catalog.text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE c.oid = $1::pg_catalog.oid`;

/**
 * PostgreSQL runs its query with the rights of its owner.
 * @throws ClarusError 0A000 where that is a role of the application that the session does not act as
 */
async function mustBeComputedByOwner(session: SessionPort, view: LogicalTable): Promise<void> {
  const { acting } = session.transaction;
  const [row] = await readerOn(session.trusted)(ownerQuery, [String(view.oid)]);
  const isLogical = row?.[1] === 'true';
  if (isLogical ? acting === row?.[0] && isFilled(view) : acting === undefined) return;
  throw new ClarusError('0A000', `materialized view "${view.name}" is refreshed by its owner only`, {
    detail:
      'PostgreSQL runs its query with the rights of its owner, which is a role that the session does not act as.',
    hint: `SET ROLE "${row?.[0]}" first, or make the view anew.`,
  });
}

/** Since version 17 there is a right for it. */
const mayRefresh = `SELECT CASE WHEN s.newer THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')
    ELSE pg_catalog.pg_has_role(c.relowner, 'USAGE') END, s.newer
  FROM pg_catalog.pg_class c,
    (SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 170000 AS newer) s
 WHERE c.oid = $1::pg_catalog.oid`;

/** RefreshMatViewByOid (matview.c) */
function mustTakeConcurrently(view: LogicalTable, { indexes }: DescribedTable, empties: boolean): void {
  if (view.materialised === 'unpopulated')
    throw new ClarusError('0A000', 'CONCURRENTLY cannot be used when the materialized view is not populated');
  if (empties)
    throw new ClarusError('42601', 'CONCURRENTLY and WITH NO DATA options cannot be used together');
  const isUsable = indexes.some(
    ({ unique, method, predicate, columns }) =>
      unique && method === 'btree' && predicate === null && !columns.includes(0),
  );
  if (!isUsable)
    throw new ClarusError(
      '55000',
      `cannot refresh materialized view "${view.schema}.${view.name}" concurrently`,
      {
        hint: 'Create a unique index with no WHERE clause on one or more columns of the materialized view.',
      },
    );
}

/** A materialised view that is to be made. */
interface NewView {
  readonly named: readonly [schema: string, name: string];
  /** its query, as the client wrote it */
  readonly query: string;
  readonly columns: ViewColumns;
  /** the statement that makes it without rows in the shadow */
  readonly empty: string;
}

type ViewColumns = readonly { readonly name: string; readonly protect: boolean }[];

/** What the query of a new materialised view returns. Nothing is made. */
export async function firstRowsOf(
  session: SessionPort,
  { named, query, columns, empty }: NewView,
  queries: QueryRunner,
): Promise<readonly TextValues[]> {
  if ((await trustedMajor(session)) < 17) return queries.rows(query, columns.some(isProtected));
  // REFRESH computes the first rows too, from the query as the view keeps it, in which names are qualified.
  await session.transaction.touchTrusted();
  const read = readerOn(session.trusted);
  await session.trusted.run('SAVEPOINT clarus_view');
  await session.trusted.run(empty);
  const [row] = await qualified(read, () => read(keptQuery, [...named]));
  await session.trusted.run('ROLLBACK TO SAVEPOINT clarus_view');
  await session.trusted.run('RELEASE SAVEPOINT clarus_view');
  return restrictedRows(session, row?.[0] ?? '', columns, queries);
}

const keptQuery = `SELECT pg_catalog.pg_get_viewdef(pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text)))`;

/** What its query returns now. */
async function rowsOf(
  session: SessionPort,
  deps: DdlDependencies,
  view: LogicalTable,
  definition: string,
  queries: QueryRunner,
): Promise<readonly TextValues[]> {
  const columns = view.columns.map(({ name, protection }) => ({ name, protect: protection !== undefined }));
  // a column that it reads may have become protected since
  await refuseFlowsOf(session, deps, withoutEnd(definition), columns);
  return (await trustedMajor(session)) < 17
    ? queries.rows(withoutEnd(definition), columns.some(isProtected))
    : restrictedRows(session, definition, columns, queries);
}

/**
 * Since version 17 functions find nothing but PostgreSQL's own and temporary objects by names alone while the query runs
 * (RestrictSearchPath, guc.c).
 */
const restrictedRows = (
  session: SessionPort,
  definition: string,
  columns: ViewColumns,
  queries: QueryRunner,
): Promise<readonly TextValues[]> =>
  session.transaction.inSearchPath('pg_catalog, pg_temp', () =>
    queries.rows(withoutEnd(definition), columns.some(isProtected)),
  );

const isProtected = ({ protect }: ViewColumns[number]): boolean => protect;

const withoutEnd = (definition: string): string => definition.trim().replace(/;$/, '');

/** PostgreSQL makes the indexes anew over the rows, and CONCURRENTLY looks for equal rows first (matview.c). */
async function fill(
  view: LogicalTable,
  rows: readonly TextValues[],
  concurrently: boolean,
  queries: QueryRunner,
): Promise<void> {
  try {
    await queries.fillView(view, rows);
  } catch (error) {
    if (!(error instanceof ClarusError && error.code === '23505')) throw error;
    const index = error.fields.constraint;
    if (!concurrently)
      throw new ClarusError('23505', `could not create unique index "${index}"`, {
        schema: view.schema,
        table: view.name,
        ...(index === undefined ? {} : { constraint: index }),
      });
    if (!hasEqualRows(rows)) throw error;
    throw new ClarusError(
      '21000',
      `new data for materialized view "${view.name}" contains duplicate rows without any null columns`,
    );
  }
}

function hasEqualRows(rows: readonly TextValues[]): boolean {
  const seen = new Set<string>();
  for (const row of rows) {
    if (row.includes(null)) continue;
    const text = JSON.stringify(row.map(value => Buffer.from(value!).toString('latin1')));
    if (seen.has(text)) return true;
    seen.add(text);
  }
  return false;
}
