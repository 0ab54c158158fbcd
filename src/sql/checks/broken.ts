/** Finds the first row of a batch that breaks a check: one query of the trusted PostgreSQL over the columns as arrays. */
import type { LogicalColumn, LogicalTable } from '../../catalog/catalog.js';
import { quoteName } from '../../catalog/quote.js';
import { refusedRow } from '../../catalog/stand-in.js';
import { columnOf, type PlainColumn, plain } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { arrayOf } from '../../wire/arrays.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { typeOids } from '../../wire/types.js';
import { fromBinary, statement } from '../execute/convert.js';
import { transactionTime } from '../execute/given.js';
import type { DataRows, OutcomeListener, RowSink, SessionPort, StatementPort } from '../ports.js';
import { readingOf } from '../settings.js';
import { mustPrintExactly } from '../split/exact.js';
import { printingFetched } from '../split/fetching.js';
import type { CheckExpression, ColumnTypes, TableChecks } from './table-checks.js';

/** The columns of a batch of rows by column number, in binary form; what is not there is NULL. */
export type CheckedValues = ReadonlyMap<number, PlainColumn>;

/** A row that breaks a check, or over which one cannot be evaluated. */
export class BrokenRow {
  constructor(
    private readonly table: LogicalTable,
    readonly row: number,
    readonly check: string,
    /** what PostgreSQL says to the evaluation; undefined: it is false */
    readonly error: unknown,
  ) {}

  /** The row id that the cloud refuses by the stand-in of the check. */
  get rowId(): number {
    return refusedRow(this.check);
  }

  /** What PostgreSQL says (ExecConstraints of execMain.c). */
  get failure(): unknown {
    const { schema, name: table } = this.table;
    return (
      this.error ??
      new ClarusError('23514', `new row for relation "${table}" violates check constraint "${this.check}"`, {
        schema,
        table,
        constraint: this.check,
      })
    );
  }

  /** What the client hears of what the cloud said to rows of which this is one. */
  heard(said: unknown): unknown {
    const isOurs =
      said instanceof PostgresError && said.code === '23514' && said.diagnostic.constraint === this.check;
    return isOurs && this.error !== undefined ? this.error : said;
  }

  /** The cloud has taken the row, which its stand-in should have refused. */
  get taken(): ClarusError {
    return new ClarusError(
      'XX000',
      `the cloud does not hold the stand-in of check constraint "${this.check}"`,
      {
        hint: '"clarus check" says what the tables in the cloud lack.',
      },
    );
  }

  /**
   * Waits for a statement of the cloud whose rows hold this one.
   * @throws what the client hears of it
   */
  async refused(outcome: Promise<unknown>): Promise<never> {
    try {
      await outcome;
    } catch (said) {
      throw this.heard(said);
    }
    throw this.taken;
  }

  /** Who hears how the cloud's statement ended. */
  listening(listener: OutcomeListener): OutcomeListener {
    return {
      done: () => listener.failed(this.taken),
      failed: error => listener.failed(this.heard(error)),
    };
  }
}

/** The checks that read one of some columns. */
export const checksReading = (
  { checks }: TableChecks,
  columns: readonly LogicalColumn[],
): readonly CheckExpression[] => checks.filter(check => check.columns.some(c => columns.includes(c)));

/** What the checks need beside the values: the time of the transaction, asked of the cloud. */
export const timeOf = async (
  checks: readonly CheckExpression[],
  session: SessionPort,
): Promise<Uint8Array | null> => (checks.some(({ time }) => time) ? transactionTime(session) : null);

/**
 * Evaluates checks row by row.
 * @param checks of `of`, by name
 * @param count of rows
 * @param time of the transaction (timeOf)
 * @param trusted where they are evaluated
 */
export async function firstBroken(
  checks: readonly CheckExpression[],
  of: TableChecks,
  values: CheckedValues,
  count: number,
  time: Uint8Array | null,
  session: SessionPort,
  trusted: StatementPort = session.trusted,
): Promise<BrokenRow | undefined> {
  const [first] = checks;
  if (!first || count === 0) return undefined;
  const columns = [...new Set(checks.flatMap(check => check.columns))];
  const { arrays } = await rowsOver(columns, of, values, count, session);
  const timed = checks.some(check => check.time);
  const query = statement(
    querySql(checks, of, columns),
    [...columns.map(() => 0), ...(timed ? [typeOids.timestamptz] : [])],
    readingOf(session.settings),
  );
  const found = new Numbers();
  const port = trusted.bind(query, [...arrays, ...(timed ? [time] : [])], {
    parameters: [...arrays, ...(timed ? [time] : [])].map(() => 1),
    results: [0],
  });
  const outcome = port.execute(0, found);
  trusted.flush();
  let error: unknown;
  try {
    await outcome;
  } catch (said) {
    error = said;
  }
  const row = found.numbers.findIndex(number => number >= 0);
  if (row >= 0) return new BrokenRow(of.table, row, checks[found.numbers[row]!]!.name, undefined);
  // rows before the one with the error have come
  return error === undefined
    ? undefined
    : new BrokenRow(of.table, Math.min(found.numbers.length, count - 1), first.name, error);
}

/** How the rows of a batch stand in a FROM clause. */
export interface RowsNumbered {
  /** number of its first parameter */
  readonly first: number;
  /** name of a column that counts the rows from 1; absent: none */
  readonly place?: string;
}

/** Columns of a batch of rows, under their names, as a FROM clause over parameters. */
export async function rowsOver(
  columns: readonly LogicalColumn[],
  of: ColumnTypes,
  values: CheckedValues,
  count: number,
  session: SessionPort,
  numbered: RowsNumbered = { first: 1 },
): Promise<{ readonly from: string; readonly arrays: readonly Uint8Array[] }> {
  const arrays: Uint8Array[] = [];
  for (const column of columns) arrays.push(await arrayFor(column, of, values, count, session));
  return { from: fromSql(of, columns, numbered), arrays };
}

function querySql(
  checks: readonly CheckExpression[],
  of: TableChecks,
  columns: readonly LogicalColumn[],
): string {
  const broken = checks.map(({ sql }, i) => `WHEN NOT (${sql(columns.length + 1)}) THEN ${i}`);
  return `SELECT CASE ${broken.join(' ')} ELSE -1 END ${fromSql(of, columns)}`;
}

function fromSql(
  of: ColumnTypes,
  columns: readonly LogicalColumn[],
  { first, place }: RowsNumbered = { first: 1 },
): string {
  const names = [...columns.map((_, i) => `c${i}`), ...(place === undefined ? [] : ['place'])];
  const typed = columns.map((column, i) => {
    const { name, collation, isArray } = of.types.get(column.number)!;
    return `u.c${i}${isArray ? `::${name}` : ''}${collation} AS ${quoteName(column.name)}`;
  });
  if (place !== undefined) typed.push(`u.place AS ${quoteName(place)}`);
  const unnested = columns.map((column, i) => {
    const { name, isArray } = of.types.get(column.number)!;
    return `pg_catalog.unnest($${first + i}::${isArray ? 'pg_catalog.text' : name}[])`;
  });
  return (
    `FROM (SELECT ${typed.join(', ')} ` +
    `FROM ROWS FROM (${unnested.join(', ')})${place === undefined ? '' : ' WITH ORDINALITY'} AS u (${names.join(', ')})) AS ${quoteName(of.table.name)}`
  );
}

/** The values of a column as one array; an array of arrays would be another thing, so these go as texts. */
async function arrayFor(
  column: LogicalColumn,
  { types }: ColumnTypes,
  values: CheckedValues,
  count: number,
  session: SessionPort,
): Promise<Uint8Array> {
  const given = values.get(column.number) ?? plain(columnOf(new Array<null>(count).fill(null)));
  if (!types.get(column.number)!.isArray) return arrayOf(given, column.type.oid);
  mustPrintExactly(session);
  return arrayOf(
    await fromBinary(given, column.type.oid, 0, printingFetched(session, session.client)),
    typeOids.text,
  );
}

/** One integer a row, as text. */
class Numbers implements RowSink {
  readonly numbers: number[] = [];

  rows({ buffer, starts, count }: DataRows): void {
    for (let i = 0; i < count; i++) {
      const at = starts[i]! + 2;
      const size = buffer.readInt32BE(at);
      this.numbers.push(Number(buffer.toString('latin1', at + 4, at + 4 + size)));
    }
  }
}
