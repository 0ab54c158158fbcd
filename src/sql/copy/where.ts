/** COPY ... FROM ... WHERE: a condition over the row, which the trusted PostgreSQL evaluates (DoCopy of copy.c). */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { numberIn, readNodes, walk } from '../analysed/node.js';
import { computedTypes, type RowCondition } from '../checks/table-checks.js';
import { generatedColumns } from '../defaults.js';
import { readsMoment } from '../moment.js';
import { withTime } from '../operand.js';
import type { Analysis, SessionPort } from '../ports.js';
import { deparseExpression } from '../raw/deparse.js';
import {
  child,
  list,
  paramRef,
  type RawNode,
  renumberAll,
  rewrite,
  target,
  text,
  visit,
} from '../raw/node.js';
import type { Touch } from '../touch.js';
import type { CopyPlanning } from './planning.js';

/**
 * Reads the condition.
 * @param fields of a CopyStmt, whose text is `sql`
 * @returns undefined: there is none
 * @throws PostgresError or ClarusError as PostgreSQL refuses it; ClarusError 0A000 for what the trusted side cannot evaluate over
 *   the values of one row
 */
export async function whereOf(
  fields: RawNode[string],
  sql: string,
  table: LogicalTable,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<RowCondition | undefined> {
  const where = child(fields, 'whereClause');
  if (!where) return undefined;
  mustBeCondition(where, sql);
  const attnums = columnsIn(await analysed(fields, where, sql, session));
  await mustReadGiven(attnums, table, session);
  if (readsMoment(where)) throw refused(table, 'it reads a time from a text that means the present moment');
  const { tree, time } = withTime(withoutTable(where), 1);
  const { touch } = await planning.touch(conditionOf(fields, tree));
  mustOnlyCompute(touch, table);
  const columns = table.columns.filter(({ attnum }) => attnums.has(attnum));
  const condition = { name: table.name, columns, text: deparseExpression(tree) };
  return {
    table,
    columns,
    sql: parameter =>
      time ? deparseExpression(renumberAll(tree, () => paramRef(parameter))) : condition.text,
    time,
    types: await computedTypes(table, [condition], session, 'COPY condition'),
  };
}

/** The columns that the data lack and the condition reads, where they have a default. */
export const lackedBy = (
  where: RowCondition | undefined,
  copied: readonly LogicalColumn[],
  hasDefault: (column: LogicalColumn) => boolean,
): readonly LogicalColumn[] =>
  (where?.columns ?? []).filter(column => !copied.includes(column) && hasDefault(column));

/** What the grammar allows and COPY does not. */
function mustBeCondition(where: RawNode, sql: string): void {
  const at = (location: unknown): { position: number } => {
    const before = Buffer.from(sql).subarray(0, (location as number | undefined) ?? 0);
    return { position: [...before.toString()].length + 1 };
  };
  visit(where, (kind, { location, number }) => {
    if (kind === 'SubLink')
      throw new ClarusError('0A000', 'cannot use subquery in COPY FROM WHERE condition', at(location));
    if (kind === 'ParamRef')
      throw new ClarusError('42P02', `there is no parameter $${Number(number ?? 0)}`, at(location));
  });
}

/** Has PostgreSQL analyse the condition, in its place in the client's text, so that it says where that is wrong. */
async function analysed(
  fields: RawNode[string],
  where: RawNode,
  sql: string,
  session: SessionPort,
): Promise<Analysis> {
  const { relation } = fields as { relation: RawNode[string] };
  const names = [text(relation, 'schemaname'), text(relation, 'relname')].flatMap(name => name ?? []);
  const head = `SELECT FROM ${names.map(quoteName).join('.')} WHERE`;
  const bytes = Buffer.from(sql);
  let first = bytes.length;
  visit([where], (_, { location }) => {
    first = Math.min(first, (location as number | undefined) ?? first);
  });
  const word = [...bytes.toString('latin1', 0, first).matchAll(/\bwhere\b/gi)].at(-1)!;
  const start = word.index + word[0].length;
  const room = [...bytes.toString('utf8', 0, start)].length;
  const written = head.padEnd(room) + bytes.toString('utf8', start);
  try {
    return await session.analyse(written, []);
  } catch (error) {
    if (!(error instanceof PostgresError)) throw error;
    const { position, ...diagnostic } = error.diagnostic;
    const message = diagnostic.message.replace(/ in WHERE$/, ' in COPY FROM WHERE conditions');
    const moved = head.length > room ? undefined : position;
    throw new PostgresError({ ...diagnostic, message, ...(moved === undefined ? {} : { position: moved }) });
  }
}

/** Numbers of the columns that a condition reads; 0: the whole row, below: those of the system. */
function columnsIn({ parsed }: Analysis): ReadonlySet<number> {
  const found = new Set<number>();
  for (const tree of parsed.flatMap(readNodes))
    walk(tree, node => {
      if (node.kind === 'VAR') found.add(numberIn(node, 'varattno'));
      return true;
    });
  return found;
}

async function mustReadGiven(
  attnums: ReadonlySet<number>,
  table: LogicalTable,
  session: SessionPort,
): Promise<void> {
  const generated = await generatedColumns(table, session);
  const computed = table.columns.find(
    ({ attnum, name }) => (attnums.has(attnum) || attnums.has(0)) && generated.has(name),
  );
  if (computed)
    throw new ClarusError('42P10', 'generated columns are not supported in COPY FROM WHERE conditions', {
      detail: `Column "${computed.name}" is a generated column.`,
    });
  if ([...attnums].some(attnum => attnum <= 0))
    throw refused(table, 'it reads the whole row, or a column of the system');
}

/** The columns by their names alone: where the condition is evaluated there is no schema. */
const withoutTable = (where: RawNode): RawNode =>
  rewrite(where, (kind, fields) => {
    const names = kind === 'ColumnRef' ? list(fields, 'fields') : [];
    return names.length > 1 ? { ColumnRef: { fields: names.slice(-1) } } : undefined;
  });

const conditionOf = (fields: RawNode[string], where: RawNode): RawNode => ({
  SelectStmt: {
    targetList: [target(where)],
    fromClause: [{ RangeVar: fields.relation as RawNode[string] }],
    limitOption: 'LIMIT_OPTION_DEFAULT',
    op: 'SETOP_NONE',
  },
});

/** @throws ClarusError 0A000 for what another side answers */
function mustOnlyCompute({ homes, time, sequences, catalogue }: Touch, table: LogicalTable): void {
  const { named, unknown, last } = sequences;
  if (unknown || last || named.size > 0) throw refused(table, 'it calls a function of a sequence');
  const elsewhere = ['cloud', 'settings', 'server-settings', 'statistics', 'sequence-values', 'unproven'];
  if (time || catalogue || elsewhere.some(home => homes.has(home)))
    throw refused(table, 'it calls a function that the cloud answers, or that does more than compute');
}

const refused = ({ name }: LogicalTable, why: string): ClarusError =>
  new ClarusError('0A000', `the WHERE of a COPY into the table "${name}" cannot be evaluated`, {
    detail: `The trusted PostgreSQL evaluates it over the values of a row, and ${why}.`,
    hint: 'Write it over the columns of the row and functions that only compute.',
    table: name,
  });
