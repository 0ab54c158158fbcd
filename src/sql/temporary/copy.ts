/** COPY between the client and temporary tables. */
import { ClarusError } from '../../errors.js';
import { type Node, numberIn, readNodes, walk } from '../analysed/node.js';
import { functionsIn } from '../analysed/query.js';
import { type FunctionHomes, isOfSequence } from '../functions.js';
import type { Plan, ProtectedPlan } from '../plan.js';
import type { CopyInExecution, SessionPort } from '../ports.js';
import { fieldsOf, list, type RawNode, stringOf, text } from '../raw/node.js';
import { readerOn } from '../reading.js';
import { textArray } from '../routines.js';
import type { Touch } from '../touch.js';
import { mustBeOfTrustedSide, refused } from './own.js';
import { writes } from './plan.js';

/** COPY of a temporary table from the client. */
export interface TemporaryCopyBody {
  readonly kind: 'temporary-copy';
  readonly sql: string;
  readonly format: 0 | 1;
  readonly columns: number;
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
  if (fields.is_from !== true)
    return { kind: 'trusted', sql, shape: noRows, copy: 'out', temporary: writes(raw) ? 'writes' : 'reads' };
  const [table] = touch.temporary;
  await mustHavePlainDefaults(table!, list(fields, 'attlist').map(stringOf), homes, session);
  const body: TemporaryCopyBody = {
    kind: 'temporary-copy',
    sql,
    format: list(fields, 'options').some(isBinary) ? 1 : 0,
    columns: list(fields, 'attlist').length || (await columnsOf(table!, session)),
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

/** Begins it. */
export async function startTemporaryCopy(
  { sql, format, columns }: TemporaryCopyBody,
  session: SessionPort,
): Promise<CopyInExecution> {
  await session.transaction.touchTrusted();
  const into = await session.trusted.copyIn(sql);
  return {
    format,
    columns,
    write: data => into.write(data),
    finish: () => into.finish(),
    fail: reason => into.fail(reason),
  };
}
