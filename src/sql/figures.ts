/**
 * Figures of relations in queries of the system catalogue. The cloud knows them, of its own relations: Clarus asks it for
 * those that the statement tells, leaves out what is no relation of the application's, and gives them to the trusted side, which
 * runs the statement (trusted/figures.ts).
 */
import type { TextRow } from '../catalog/reader.js';
import {
  DATABASE_SIZE,
  estimates,
  FIGURES_SETTING,
  SIZE_UNKNOWN,
  sizeFunctions,
  statisticFunctions,
  tellsTime,
} from '../trusted/figures.js';
import { readNodes } from './analysed/node.js';
import { functionsIn } from './analysed/query.js';
import type { FunctionHomes } from './functions.js';
import { hiddenNames } from './opaque/index.js';
import type { Figures } from './plan.js';
import type { Analysis, SessionPort, StatementPort } from './ports.js';
import { list, type RawNode, stringOf, visit } from './raw/node.js';
import { readerOn } from './reading.js';

/**
 * @param raw the statement itself
 * @param analysis of what is run in its place
 * @returns undefined: it tells none
 */
export function figuresIn(raw: RawNode, analysis: Analysis, homes: FunctionHomes): Figures | undefined {
  if (!raw.SelectStmt) return undefined;
  const called = functionsIn(analysis.rewritten.flatMap(readNodes));
  const functions = new Set([...called].flatMap(oid => homes.figure(oid) ?? []));
  const told: Figures = { functions: [...functions].sort(), estimates: mayTellEstimates(raw) };
  return told.functions.length > 0 || told.estimates ? told : undefined;
}

/** Does it name a column of pg_class that is a figure, or all of its columns, as `*` or as a row? */
function mayTellEstimates(raw: RawNode): boolean {
  const rows = new Set<string>();
  let named = false;
  visit(raw, (kind, fields) => {
    if (kind !== 'RangeVar' || fields.relname !== 'pg_class') return;
    named = true;
    rows.add((fields.alias as { aliasname?: string } | undefined)?.aliasname ?? 'pg_class');
  });
  let tells = false;
  visit(raw, (kind, fields) => {
    if (kind === 'A_Star') tells = true;
    if (kind !== 'ColumnRef') return;
    const names = list(fields, 'fields').map(stringOf);
    tells ||= estimates.has(names.at(-1)!) || (names.length === 1 && rows.has(names[0]!));
  });
  return named && tells;
}

/**
 * Asks the cloud, and gives what it says to the trusted side.
 * @param into the backend of the trusted side that runs the statement
 */
export async function giveFigures(
  figures: Figures,
  session: SessionPort,
  into: StatementPort = session.trusted,
): Promise<void> {
  const told: Record<string, unknown> = {};
  const said = await saidByCloud(figures, session);
  const none = Object.fromEntries(
    figures.functions.filter(isStatistic).map(name => [name, tellsTime(name) ? null : 0]),
  );
  for (const [oid, schema, name, part, parted] of await readerOn(into)(relations, [])) {
    const found = said.get(JSON.stringify([schema, name, part]));
    if (!found) told[oid!] = none;
    else told[oid!] = parted === found.parted || parted === '' ? found.figures : statisticsOf(found.figures);
  }
  if (figures.functions.includes(DATABASE_SIZE)) {
    const [row] = await readerOn(session.cloud)(databaseSize, []);
    told.database = { [DATABASE_SIZE]: Number(row?.[0]) };
  }
  await readerOn(into)(give, [JSON.stringify(told)]);
}

const give = `SELECT pg_catalog.length(pg_catalog.set_config('${FIGURES_SETTING}', $1, false))::text`;
const databaseSize = `SELECT pg_catalog.${DATABASE_SIZE}(pg_catalog.current_database())::text`;
const isStatistic = (name: string): boolean => statisticFunctions.has(name);

/** What the cloud says of a relation. */
interface Said {
  /** pg_class.relkind of what is partitioned, else empty */
  readonly parted: string;
  readonly figures: Readonly<Record<string, unknown>>;
}

const statisticsOf = (figures: Said['figures']): Said['figures'] =>
  Object.fromEntries(Object.entries(figures).filter(([name]) => isStatistic(name)));

/** Figures by the relation, under its name for the application. */
async function saidByCloud(figures: Figures, session: SessionPort): Promise<ReadonlyMap<string, Said>> {
  const rows: readonly TextRow[] = await readerOn(session.cloud)(question(figures, session.cloudMajor), []);
  const names = hiddenNames(session.catalog().tables);
  return new Map(
    rows.map(([schema, name, part, parted, said]) => [
      JSON.stringify([schema, names?.own.get(name!) ?? name, part]),
      { parted: parted!, figures: JSON.parse(said!) as Said['figures'] },
    ]),
  );
}

/**
 * Relations by names that both servers know; what keeps the long values of a table is known by that. A partitioned table, which
 * has no rows of its own, may be an ordinary one in the cloud, of another size.
 */
const keys = `c.oid, coalesce(pn.nspname, n.nspname) AS schema, coalesce(p.relname, c.relname) AS name,
    CASE WHEN p.oid IS NULL THEN '' ELSE c.relkind::pg_catalog.text END AS part,
    CASE WHEN c.relkind IN ('p', 'I') THEN c.relkind::pg_catalog.text ELSE '' END AS parted`;
const from = `FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class p ON p.oid = CASE WHEN n.nspname = 'pg_toast'
      THEN pg_catalog.substring(c.relname::pg_catalog.text, '^pg_toast_([0-9]+)')::pg_catalog.oid END
    LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
  WHERE c.relkind IN ('r', 'm', 't', 'i', 'S', 'p', 'I', 'f') AND NOT pg_catalog.pg_is_other_temp_schema(n.oid)`;

const relations = `SELECT k.oid::text, k.schema::text, k.name::text, k.part, k.parted FROM (SELECT ${keys} ${from}) k`;

/** A size is asked for by opening the relation, which waits for who has locked it; PostgreSQL waits for those alone that are asked for. */
const locked = `EXISTS (SELECT FROM locked l WHERE l.oid = k.oid)`;
const lockedRelations = `locked AS (
    WITH given AS (SELECT relation FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock'
      AND pid <> pg_catalog.pg_backend_pid()
      AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    SELECT relation AS oid FROM given
    UNION SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid IN (SELECT relation FROM given)
    UNION SELECT oid FROM pg_catalog.pg_class WHERE reltoastrelid IN (SELECT relation FROM given))`;

/** jsonb_build_object takes 100 arguments */
const PAIRS_MAX = 40;

function question({ functions, estimates: asked }: Figures, major: number): string {
  const statistics = functions
    .filter(name => (statisticFunctions.get(name) ?? Number.POSITIVE_INFINITY) <= major)
    .map(name => `'${name}', pg_catalog.${name}(k.oid)`);
  const sizes = functions
    .filter(name => sizeFunctions.includes(name))
    .map(name => `'${name}', ${sizeOf(name)}`);
  const columns = [...estimates].flatMap(([name, { since }]) =>
    since <= major ? [`'${name}', k.${name}`] : [],
  );
  const pairs = [
    ...statistics,
    ...sizes,
    ...(asked ? [`'pg_class', pg_catalog.jsonb_build_object(${columns.join(', ')})`] : []),
  ];
  const objects: string[] = [];
  for (let at = 0; at < pairs.length; at += PAIRS_MAX)
    objects.push(`pg_catalog.jsonb_build_object(${pairs.slice(at, at + PAIRS_MAX).join(', ')})`);
  const read = [...estimates]
    .flatMap(([name, { since }]) => (since <= major ? [`, c.${name}`] : []))
    .join('');
  return `WITH ${lockedRelations}
    SELECT k.schema::text, k.name::text, k.part, k.parted, (${objects.join(' || ') || "'{}'::pg_catalog.jsonb"})::text
      FROM (SELECT ${keys}${read} ${from}) k`;
}

function sizeOf(name: string): string {
  const said = (size: string): string =>
    `CASE WHEN ${locked} THEN ${SIZE_UNKNOWN} ELSE coalesce(${size}, ${SIZE_UNKNOWN}) END`;
  if (name !== 'pg_relation_size') return said(`pg_catalog.${name}(k.oid)`);
  const forks = ['main', 'fsm', 'vm', 'init'].map(
    fork => `'${fork}', ${said(`pg_catalog.pg_relation_size(k.oid, '${fork}')`)}`,
  );
  return `pg_catalog.jsonb_build_object(${forks.join(', ')})`;
}
