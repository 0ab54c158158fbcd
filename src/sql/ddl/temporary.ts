/** DDL of temporary objects: it runs in the shadow alone, on the connection that has them, and is no change of the schema. */
import { quoteQualified } from '../../catalog/quote.js';
import { oidArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { readNodes } from '../analysed/node.js';
import { relationsIn } from '../analysed/query.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { isOwnTemporary } from '../temporary/own.js';
import { runInShadow } from './backends.js';
import type { DdlBody, QueryRunner } from './body.js';
import { makesTemporary } from './makes-temporary.js';
import { listParts, rangeParts } from './resolve.js';
import { withoutParameters } from './table-parameters.js';
import { withoutConcurrently } from './table-statements.js';

/**
 * Runs DDL of temporary tables, views, indexes and sequences.
 * @returns undefined: it is about others
 * @throws ClarusError 0A000 for what would tie them to what stands elsewhere
 */
export async function temporaryDdl(
  session: SessionPort,
  body: DdlBody,
  queries: () => QueryRunner,
): Promise<{ readonly tag: string } | undefined> {
  const { node } = body;
  const says = makesTemporary(node, session);
  if (!says && !session.temporary.exist) return undefined;
  await session.transaction.touchTrusted();
  const makes = says || (await isViewOfTemporary(session, node));
  if (!makes && !(await isAboutTemporary(session, node))) return undefined;
  if (kindOf(node) === 'CreateTrigStmt')
    throw new ClarusError('0A000', 'triggers on temporary tables are not supported', {
      hint: 'Do the work in the application.',
    });
  const tag =
    kindOf(node) === 'CreateTableAsStmt'
      ? await createTemporaryAs(session, body, queries)
      : await runInShadow(session, atOnce(session, body).text);
  session.temporary.changed();
  await mustStandAlone(session);
  return { tag };
}

/** A view over temporary tables is one itself, whatever it says (DefineView, view.c). */
async function isViewOfTemporary(session: SessionPort, node: RawNode): Promise<boolean> {
  if (kindOf(node) !== 'ViewStmt') return false;
  try {
    const { parsed } = await session.analyseTentatively(deparse(fieldsOf(node).query as RawNode), []);
    const oids = relationsIn(parsed.flatMap(readNodes));
    const rows = await readerOn(session.trusted)(
      'SELECT FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relnamespace = pg_catalog.pg_my_temp_schema() LIMIT 1',
      [oidArray(oids)],
    );
    return rows.length > 0;
  } catch (error) {
    // it is told by the statement itself, by the place where the client wrote it
    if (error instanceof PostgresError) return false;
    throw error;
  }
}

/** Nobody else waits for a temporary table: PostgreSQL takes no notice of CONCURRENTLY (DefineIndex, indexcmds.c). */
function atOnce(session: SessionPort, body: DdlBody): DdlBody {
  const verb = kindOf(body.node) === 'IndexStmt' ? 'CREATE' : 'DROP';
  return withoutConcurrently(session, body, fieldsOf(body.node), `${verb} INDEX CONCURRENTLY`);
}

/** @throws ClarusError 0A000 for a statement about temporary and other relations */
async function isAboutTemporary(session: SessionPort, node: RawNode): Promise<boolean> {
  const found = await Promise.all(targets(node).map(parts => isOwnTemporary(session, parts)));
  if (!found.includes(true)) return false;
  if (found.includes(false))
    throw new ClarusError('0A000', 'temporary tables together with others are not changed by one statement', {
      hint: 'Use two statements.',
    });
  return true;
}

/** The relations that a statement is about, by their names. */
function targets(node: RawNode): readonly (readonly string[])[] {
  const fields = fieldsOf(node);
  switch (kindOf(node)) {
    case 'AlterTableStmt':
    case 'IndexStmt':
    case 'RenameStmt':
    case 'AlterObjectSchemaStmt':
    case 'CreateTrigStmt':
      return fields.relation ? [rangeParts(fields.relation as RawFields)] : [];
    case 'AlterSeqStmt':
      return [rangeParts(fields.sequence as RawFields)];
    case 'TruncateStmt':
      return list(fields, 'relations').map(range => rangeParts(fieldsOf(range)));
    case 'CreateStatsStmt':
      return list(fields, 'relations').map(range => rangeParts(fieldsOf(range)));
    case 'DropStmt':
      return relations.has(fields.removeType) ? list(fields, 'objects').map(listParts) : [];
    case 'CommentStmt': {
      const parts = listParts(fields.object as RawNode);
      if (fields.objtype === 'OBJECT_COLUMN') return [parts.slice(0, -1)];
      return relations.has(fields.objtype) ? [parts] : [];
    }
    case 'GrantStmt':
      return fields.objtype === 'OBJECT_TABLE' || fields.objtype === 'OBJECT_SEQUENCE'
        ? list(fields, 'objects').map(range => rangeParts(fieldsOf(range)))
        : [];
    default:
      return [];
  }
}

const relations: ReadonlySet<unknown> = new Set([
  'OBJECT_TABLE',
  'OBJECT_VIEW',
  'OBJECT_INDEX',
  'OBJECT_SEQUENCE',
]);

/** The rows are computed first: the query may mean another table of the name. */
async function createTemporaryAs(
  session: SessionPort,
  { node, text, parameterTypes: types }: DdlBody,
  queries: () => QueryRunner,
): Promise<string> {
  const fields = fieldsOf(node);
  const into = fields.into as RawFields;
  const query = fields.query as RawNode;
  if (kindOf(query) !== 'SelectStmt')
    throw new ClarusError('0A000', 'a table cannot be made from a prepared statement', {
      hint: 'Write the query itself.',
    });
  // First of all, so that what is wrong with the query is told by the place where the client wrote it.
  await session.analyse(text, types);
  const [name = ''] = rangeParts(into.rel as RawFields).slice(-1);
  const isThere = await isOwnTemporary(session, ['pg_temp', name]);
  const runner = into.skipData === true || isThere ? undefined : queries();
  const rows = await runner?.rows(deparse(query), true);
  const empty: RawNode = { CreateTableAsStmt: { ...fields, into: { ...into, skipData: true } } };
  const tag = await runInShadow(session, deparse(await withoutParameters(empty, types, session)));
  if (!runner || !rows) return tag;
  return `SELECT ${await runner.keep(quoteQualified('pg_temp', name), rows)}`;
}

/**
 * What a temporary table takes part in must be known by it alone: a default or a CHECK would run where the rows of other
 * tables are not, and a table is read with what inherits from it.
 */
const ties = `WITH mine AS (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = pg_catalog.pg_my_temp_schema() AND c.relkind <> 'v'),
    parts AS (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid FROM mine
      UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid FROM pg_catalog.pg_attrdef d JOIN mine ON d.adrelid = mine.oid
      UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k JOIN mine ON k.conrelid = mine.oid)
  SELECT 'the function ' || p.proname FROM pg_catalog.pg_depend d JOIN parts ON parts.class = d.classid AND parts.oid = d.objid
    JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid WHERE p.oid >= 16384
  UNION ALL SELECT 'the sequence ' || c.relname FROM pg_catalog.pg_depend d JOIN parts ON parts.class = d.classid AND parts.oid = d.objid
    JOIN pg_catalog.pg_class c ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.refobjid
    WHERE c.relkind = 'S' AND c.relnamespace <> pg_catalog.pg_my_temp_schema()
  UNION ALL SELECT 'inheritance from another table' FROM pg_catalog.pg_inherits i JOIN mine ON i.inhrelid = mine.oid
    WHERE i.inhparent NOT IN (SELECT oid FROM mine)
  LIMIT 1`;

async function mustStandAlone(session: SessionPort): Promise<void> {
  const [row] = await readerOn(session.trusted)(ties, []);
  if (row)
    throw new ClarusError('0A000', 'a temporary table cannot depend on what stands elsewhere', {
      detail: `It would use ${row[0]}.`,
      hint: 'Leave it out, or use an ordinary table.',
    });
}
