/** COPY between the client and temporary tables. */

import { textArray } from '../../catalog/reader.js';
import { ClarusError } from '../../errors.js';
import { CsvEnd } from '../../wire/copy-csv-end.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { type Node, numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn } from '../analysed/query.js';
import { copyOptions } from '../copy/options.js';
import type { CopyOptions } from '../execute/copy-out.js';
import { type FunctionHomes, isOfSequence } from '../functions.js';
import type { Plan, ProtectedPlan } from '../plan.js';
import type { CopyInExecution, SessionPort } from '../ports.js';
import { fieldsOf, list, type RawNode, stringOf, text } from '../raw/node.js';
import { readerOn, trustedMajor } from '../reading.js';
import type { Touch } from '../touch.js';
import { mustBeOfTrustedSide, refused } from './own.js';
import { writes } from './plan.js';

/** COPY of a temporary table from the client. */
export interface TemporaryCopyBody {
  readonly kind: 'temporary-copy';
  readonly sql: string;
  readonly format: 0 | 1;
  readonly columns: number;
  /** csv of which the trusted server does not take a line of `\.` for what the cloud's version takes it for; absent: there is none */
  readonly marker?: {
    readonly table: string;
    readonly quote: string;
    readonly escape: string;
    /** in the cloud's version it ends the data, for the trusted server it is a row; false: the other way round */
    readonly ends: boolean;
  };
}

/**
 * COPY between the client and a temporary table.
 * @param raw a CopyStmt; its text is `sql`
 * @throws ClarusError 0A000 for files and programs, and for columns that take what the cloud answers
 */
export async function planTemporaryCopy(
  raw: RawNode,
  sql: string,
  touch: Touch,
  homes: FunctionHomes,
  session: SessionPort,
): Promise<Plan> {
  const fields = raw.CopyStmt!;
  const noRows = { parameterTypes: [], columns: undefined };
  if (fields.filename || fields.is_program)
    throw new ClarusError('0A000', 'COPY between a temporary table and a file or program is refused', {
      hint: 'Use STDIN or STDOUT (in psql: \\copy).',
    });
  if (touch.tables.length > 0) throw refused('another table');
  if (touch.catalogue) throw refused('the system catalogue');
  mustBeOfTrustedSide(touch, homes);
  const options = list(fields, 'options').some(isOfEncoding)
    ? undefined
    : copyOptions(fields, sql, session.cloudMajor);
  if (fields.is_from !== true)
    return { kind: 'trusted', sql, shape: noRows, copy: 'out', temporary: writes(raw) ? 'writes' : 'reads' };
  const [table] = touch.temporary;
  await mustHavePlainDefaults(table!, list(fields, 'attlist').map(stringOf), homes, session);
  const body: TemporaryCopyBody = {
    kind: 'temporary-copy',
    sql,
    format: list(fields, 'options').some(isBinary) ? 1 : 0,
    columns: list(fields, 'attlist').length || (await columnsOf(table!, session)),
    ...(options?.format === 'csv' ? await markerOf(fields, options, session) : {}),
  };
  const plan: ProtectedPlan = {
    kind: 'protected',
    command: 'COPY',
    shape: noRows,
    copy: 'in',
    once: true,
    body,
  };
  return plan;
}

/** A line of `\.` ends csv up to version 17, and is a row since 18. */
async function markerOf(
  fields: RawNode[string],
  { quote, escape: escapes, csvEndMarker: ends }: CopyOptions,
  session: SessionPort,
): Promise<Pick<TemporaryCopyBody, 'marker'>> {
  if (ends === (await trustedMajor(session)) < 18) return {};
  const table = text(fields.relation as RawNode[string], 'relname') ?? '';
  return { marker: { table, quote, escape: escapes, ends } };
}

/** Of data in another encoding nothing is known here. */
const isOfEncoding = (option: RawNode): boolean => text(fieldsOf(option), 'defname') === 'encoding';

const isBinary = (option: RawNode): boolean => {
  const fields = fieldsOf(option);
  return text(fields, 'defname') === 'format' && stringOf(fields.arg as RawNode).toLowerCase() === 'binary';
};

/** @throws ClarusError 0A000 where a column that the data lack takes the time, or what else the cloud answers */
async function mustHavePlainDefaults(
  table: number,
  copied: readonly string[],
  homes: FunctionHomes,
  session: SessionPort,
): Promise<void> {
  if (copied.length === 0) return;
  const rows = await readerOn(session.trusted)(
    `SELECT d.adbin::text FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
      WHERE d.adrelid = $1::oid AND a.attgenerated = '' AND a.attname <> ALL ($2::text[])`,
    [`${table}`, textArray(copied)],
  );
  const trees = rows.flatMap(row => readNodes(row[0] ?? ''));
  const asked = [...functionsIn(trees)].filter(oid => !isOfSequence(oid)).map(oid => homes.home(oid));
  const isSeeded = asked.includes('random') && session.randomness.seeded;
  if (asked.includes('cloud') || isSeeded || trees.some(asksForTime))
    throw refused('the time, or what else only the cloud answers, as the default of a column');
}

/** SQLValueFunctionOp 0 to 8 are dates and times (primnodes.h). */
function asksForTime(tree: Node): boolean {
  let found = false;
  walk(tree, node => {
    found ||= node.kind === 'SQLVALUEFUNCTION' && numberIn(node, 'op') <= 8;
    return !found;
  });
  return found;
}

async function columnsOf(table: number, session: SessionPort): Promise<number> {
  const [row] = await readerOn(session.trusted)(
    `SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_attribute
      WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`,
    [`${table}`],
  );
  return Number(row?.[0] ?? 0);
}

/** What the trusted server is told when it shall forget the rows. */
const GIVEN_UP = 'clarus gave up the rows';

/** Begins it. */
export async function startTemporaryCopy(
  { sql, format, columns, marker }: TemporaryCopyBody,
  session: SessionPort,
): Promise<CopyInExecution> {
  await session.transaction.touchTrusted();
  const into = await session.trusted.copyIn(sql);
  const end = marker && new CsvEnd(marker.quote, marker.escape, marker.table);
  const write = async (given: Uint8Array, last: boolean): Promise<void> => {
    const { data, wrong } = end?.push(given, last) ?? { data: given };
    if (data.length > 0) await into.write(data);
    const refused = wrong ?? (end?.over && !marker?.ends ? ofMarker() : undefined);
    if (!refused) return;
    // what is wrong with the rows before is told first
    await into.fail(GIVEN_UP);
    await into.finish().catch(said => {
      if (!(said instanceof PostgresError && said.message.includes(GIVEN_UP))) throw said;
    });
    throw refused;
  };
  return {
    format,
    columns,
    write: data => write(data, false),
    async finish() {
      if (end) await write(new Uint8Array(0), true);
      return into.finish();
    },
    fail: reason => into.fail(reason),
  };
}

const ofMarker = (): ClarusError =>
  new ClarusError('0A000', 'a line of \\. in csv data for a temporary table is not answered', {
    detail: 'For the trusted server, which is of another version than the cloud, it ends the data.',
    hint: 'Quote it, or use the text format.',
  });
