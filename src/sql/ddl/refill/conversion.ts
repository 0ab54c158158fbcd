/**
 * New values of a table's rows, computed by the trusted PostgreSQL: what USING says, casts to another type as an
 * assignment makes them, and defaults.
 */
import type { LogicalColumn, LogicalTable } from '../../../catalog/catalog.js';
import type { DescribedTable } from '../../../catalog/description.js';
import { quoteName } from '../../../catalog/quote.js';
import { ClarusError } from '../../../errors.js';
import { typeOids } from '../../../wire/types.js';
import { physical } from '../../compilation.js';
import { queued, type Row } from '../../execute/collect.js';
import { assignment } from '../../execute/convert.js';
import { transactionTime } from '../../execute/given.js';
import { FIRST_USER_OID, type FunctionHomes } from '../../functions.js';
import { readsMoment } from '../../moment.js';
import { withTime } from '../../operand.js';
import type { PhysicalStatement } from '../../plan.js';
import type { SessionPort } from '../../ports.js';
import { deparseExpression } from '../../raw/deparse.js';
import { list, type RawNode, stringOf, visit } from '../../raw/node.js';
import { assignedTo, castNames } from '../../split/typed-source.js';
import { touchOf } from '../../touch.js';
import type { Refill, RefilledColumn } from './need.js';

/** Computes values of rows. */
export interface Conversion {
  /** columns, as they were, that the expressions read */
  readonly reads: readonly LogicalColumn[];
  /**
   * @param rows values of `reads`, row by row, in binary form
   * @returns values of the columns that are computed, row by row, in binary form
   * @throws PostgresError what PostgreSQL says to a value
   */
  of(rows: readonly Row[]): Promise<readonly Row[]>;
}

/** Rows of one evaluation: few sizes, so that few statements are prepared. */
const sizes = [256, 64, 16, 4, 1] as const;
/** Parameters of one statement (the protocol counts them in 16 bits). */
const parametersMax = 65_535;

/**
 * @param columns those that are computed, of the refill's
 * @throws ClarusError 0A000 for expressions that mean something else on the trusted side
 */
export async function conversionOf(
  { before }: Refill,
  columns: readonly RefilledColumn[],
  session: SessionPort,
  homes: FunctionHomes,
): Promise<Conversion> {
  const { table } = before;
  const trees = columns.flatMap(({ source }) => (source.kind === 'conversion' ? [source.tree] : []));
  for (const tree of trees) mustReadColumns(tree, table);
  const reads = table.columns.filter(column => trees.some(tree => names(tree).has(column.name)));
  const open = reads.find(({ protection, type }) => !protection && type.oid >= FIRST_USER_OID);
  if (open) throw refused(table, `the type of "${open.name}" is not built in`);
  const casts = await castNames(
    columns.map(({ column }) => column),
    session,
  );
  const targets = columns.map(({ column, source }, i) => {
    if (source.kind === 'default')
      return { sql: assignment(`(${source.sql})::${casts[i]}`, column.type), time: source.time };
    if (source.kind === 'value') throw new Error('a value that stays is not computed');
    const { tree, time } = withTime(source.tree, 1);
    return { sql: deparseExpression(assignedTo(tree, casts[i]!, column)), time };
  });
  const typed = typedColumns(before.described, reads);
  const results = targets.map(({ sql }) => sql);
  // Their own for each run: names in them may mean other types the next time.
  const known = new Map<number, PhysicalStatement>();
  const evaluation = (count: number): PhysicalStatement => {
    const found = known.get(count) ?? evaluationOf(results, table.name, reads, typed, count);
    known.set(count, found);
    return found;
  };
  await mustBeComputed(evaluation(1), columns, table, session, homes);
  const time = targets.some(target => target.time) ? await transactionTime(session) : null;
  return {
    reads,
    async of(rows) {
      const asked: Promise<Row[]>[] = [];
      let at = 0;
      for (const size of sizes)
        for (; rows.length - at >= size && size * reads.length < parametersMax; at += size) {
          const values = [time, ...rows.slice(at, at + size).flat()];
          const formats = values.map(() => 1 as const);
          asked.push(queued(session.trusted, evaluation(size), values, formats, [1]));
        }
      session.trusted.flush();
      // The server skips what stands behind a refusal: of all that failed the first is the one that it refused.
      const answers = await Promise.allSettled(asked);
      return answers.flatMap(answer => {
        if (answer.status === 'rejected') throw answer.reason;
        return answer.value;
      });
    },
  };
}

/** A SELECT of the targets over as many rows. Parameter 1 is the time, the others are the values row by row. */
function evaluationOf(
  targets: readonly string[],
  table: string,
  reads: readonly LogicalColumn[],
  typed: readonly string[],
  count: number,
): PhysicalStatement {
  const width = reads.length;
  const rows = Array.from({ length: count }, (_, row) =>
    width === 0 ? '(NULL)' : `(${reads.map((_, i) => `$${2 + row * width + i}`).join(', ')})`,
  );
  const places = width === 0 ? ['c0'] : reads.map((_, i) => `c${i}`);
  const from = `(SELECT ${typed.join(', ')} FROM (VALUES ${rows.join(', ')}) AS v (${places.join(', ')})) AS ${quoteName(table)}`;
  const types = Array.from({ length: count }, () => reads.map(({ type }) => type.oid)).flat();
  return physical(`SELECT ${targets.join(', ')} FROM ${from}`, [typeOids.timestamptz, ...types]);
}

/** The columns with the types and collations that they had. */
const typedColumns = ({ columns }: DescribedTable, reads: readonly LogicalColumn[]): readonly string[] =>
  reads.map(({ attnum, name }, i) => {
    const { typeName, collation } = columns.find(column => column.attnum === attnum)!;
    return `v.c${i}::${typeName}${collation === null ? '' : ` COLLATE ${collation}`} AS ${quoteName(name)}`;
  });

/** Last parts of the names of columns that an expression reads. */
function names(tree: RawNode): ReadonlySet<string> {
  const found = new Set<string>();
  visit(tree, (kind, fields) => {
    if (kind === 'ColumnRef') found.add(stringOf(list(fields, 'fields').at(-1)));
  });
  return found;
}

/** @throws ClarusError 0A000 for whole rows, system columns, and literals that mean the present moment */
function mustReadColumns(tree: RawNode, table: LogicalTable): void {
  visit(tree, (kind, fields) => {
    if (kind !== 'ColumnRef') return;
    const path = list(fields, 'fields').map(stringOf);
    const isColumn = table.columns.some(({ name }) => name === path.at(-1));
    if (!isColumn || path.length > 2) throw refused(table, 'it reads something else than columns');
  });
  if (readsMoment(tree)) throw refused(table, 'it reads a time from a text that means the present moment');
}

/** Expressions that the trusted side computes as the cloud would: over nothing but the row. */
async function mustBeComputed(
  { sql, parameterTypes }: PhysicalStatement,
  columns: readonly RefilledColumn[],
  table: LogicalTable,
  session: SessionPort,
  homes: FunctionHomes,
): Promise<void> {
  const touch = await touchOf(await session.analyse(sql, parameterTypes), session, homes);
  const { routines, sequences } = touch;
  const isDefault = columns.every(({ source }) => source.kind === 'default');
  const computes = new Set(['anywhere', 'trusted', ...(isDefault ? ['cloud'] : [])]);
  if (routines?.doubt !== undefined) throw refused(table, routines.doubt);
  if (touch.tables.length > 0 || touch.catalogue || routines?.writes)
    throw refused(table, 'it calls a function that reads or writes a table');
  if (
    routines?.time ||
    routines?.sequences ||
    routines?.unreadable !== undefined ||
    (routines && routines.settings?.length !== 0)
  )
    throw refused(table, 'it calls a function whose answer only the cloud can give');
  if ([...touch.homes].some(home => !computes.has(home)))
    throw refused(table, 'it calls a function whose answer only the cloud can give');
  if (!isDefault && (sequences.named.size > 0 || sequences.unknown || sequences.last))
    throw refused(table, 'it uses a sequence');
}

const refused = (table: LogicalTable, detail: string): ClarusError =>
  new ClarusError('0A000', `the rows of the protected table "${table.name}" cannot be converted`, {
    detail: `Of the expression for the new values: ${detail}.`,
    hint: 'Write an expression over the columns of the row, or add a new column and copy the values.',
    table: table.name,
  });
