/** What the trusted PostgreSQL says of the rows of a COPY: their defaults, WHERE, generated columns, checks. */
import type { LogicalColumn } from '../../catalog/catalog.js';
import { type PlainColumn, plain, take } from '../../crypto/column.js';
import { type BrokenRow, firstBroken } from '../checks/broken.js';
import { rowsMeeting } from '../checks/condition.js';
import { type GeneratedValues, generatedValues } from '../checks/generated.js';
import type { TableChecks } from '../checks/table-checks.js';
import type { SessionPort, StatementPort } from '../ports.js';
import { fillingColumns, withDefaulted } from '../split/write/copy-filling.js';
import type { CopyInBody } from './bodies.js';
import { slice } from './conversion.js';
import { inLine } from './copy-failure.js';
import type { ReadRows } from './copy-input.js';

/** Rows with the values of some columns. */
export interface GivenRows extends Pick<ReadRows, 'lines' | 'sizes_bytes' | 'refusal'> {
  readonly columns: readonly PlainColumn[];
}

/**
 * Runs work on the trusted side.
 * @param refused the session's trusted side answers nothing more in this transaction
 */
export const onTrusted = <T>(
  { residual, trusted }: SessionPort,
  refused: boolean,
  work: (port: StatementPort) => Promise<T>,
): Promise<T> => (refused && residual ? residual.alone(false, work) : work(trusted));

/**
 * Leaves out the rows that do not meet the condition of a COPY.
 * @param columns whose values the rows have
 * @param time of the transaction, where the condition asks for it
 */
export async function chosen(
  body: Pick<CopyInBody, 'where' | 'table'>,
  columns: readonly LogicalColumn[],
  rows: GivenRows,
  time: Uint8Array | null,
  session: SessionPort,
): Promise<GivenRows> {
  if (!body.where) return rows;
  const { met, refusal } = await meeting(body, columns, rows, time, session);
  return {
    columns: rows.columns.map(column => plain(take(column, met))),
    lines: met.map(row => rows.lines[row]!),
    sizes_bytes: met.map(row => rows.sizes_bytes[row]!),
    refusal,
  };
}

/** The places of the rows that meet it, up to one over which it cannot be evaluated. */
export async function meeting(
  { where, table }: Pick<CopyInBody, 'where' | 'table'>,
  columns: readonly LogicalColumn[],
  rows: Pick<GivenRows, 'columns' | 'lines' | 'refusal'>,
  time: Uint8Array | null,
  session: SessionPort,
): Promise<{ readonly met: readonly number[]; readonly refusal: GivenRows['refusal'] }> {
  const { lines, refusal } = rows;
  if (!where || lines.length === 0) return { met: [...lines.keys()], refusal };
  const values = new Map(columns.map(({ number }, i) => [number, rows.columns[i]!]));
  // an error there does no harm to the session's transaction; but that knows its own new types alone
  const { rows: met, failure } = await onTrusted(session, !session.residual?.changesSchema, port =>
    rowsMeeting(where, values, lines.length, time, session, port),
  );
  if (!failure) return { met, refusal };
  const line = lines[failure.row]!;
  return { met, refusal: { error: inLine(failure.error, table.name, line), line } };
}

/** Says what is wrong with the condition of a COPY whatever its rows, as PostgreSQL does before it reads one. */
export async function mustBeEvaluable(
  { where }: Pick<CopyInBody, 'where'>,
  session: SessionPort,
): Promise<void> {
  if (!where) return;
  await onTrusted(session, !session.residual?.changesSchema, port =>
    rowsMeeting(where, new Map(), 0, null, session, port),
  );
}

/** Looks at the rows of one COPY. */
export class CopyEvaluation {
  constructor(
    private readonly body: CopyInBody,
    private readonly session: SessionPort,
    /** of the transaction, where something asks for it */
    private readonly time: Uint8Array | null,
  ) {}

  /** The defaults of the columns that the data lack. */
  async defaults(count: number, refused: boolean): Promise<readonly PlainColumn[]> {
    const { body, session, time } = this;
    const fillings = body.defaults.map(missing => ({ ...missing, kind: 'default' as const }));
    return onTrusted(session, refused, port => fillingColumns(fillings, count, time, session, port));
  }

  /** The rows that are to be copied, with all that is given for them. */
  async chosen(read: ReadRows): Promise<GivenRows> {
    const { body, session, time } = this;
    const refused = read.refusal !== undefined;
    const filled = await onTrusted(session, refused, port => withDefaulted(body, read, time, session, port));
    const columns = [...filled, ...(await this.defaults(read.lines.length, refused))];
    const known = [...body.columns, ...body.defaults.map(({ column }) => column)];
    return chosen(body, known, { ...read, columns }, time, session);
  }

  /**
   * Values by column number.
   * @param read one column a column of the data, one a default, and then one a generated column
   */
  byNumber(read: readonly PlainColumn[]): ReadonlyMap<number, PlainColumn> {
    const { columns, defaults, generated } = this.body;
    const computed = generated?.expressions.map(({ column }) => column) ?? [];
    const all = [...columns, ...defaults.map(d => d.column), ...computed];
    return new Map(all.flatMap(({ number }, i) => (read[i] ? [[number, read[i]]] : [])));
  }

  /**
   * Computes generated columns.
   * @returns all columns; up to the row of which the trusted PostgreSQL says that it cannot be computed
   */
  async withGenerated(
    given: readonly PlainColumn[],
    refused: boolean,
  ): Promise<{ readonly whole: readonly PlainColumn[]; readonly failure: GeneratedValues['refusal'] }> {
    const { body, session } = this;
    const { generated } = body;
    const count = given[0]?.length ?? 0;
    if (!generated || count === 0) return { whole: given, failure: undefined };
    const { expressions } = generated;
    const { columns, refusal } = await onTrusted(session, refused, port =>
      generatedValues(expressions, generated, this.byNumber(given), count, session, port),
    );
    const computed = expressions.map(({ column }) => columns.get(column.number)!);
    const rows = refusal?.row ?? count;
    return { whole: [...given.map(column => slice(column, 0, rows)), ...computed], failure: refusal };
  }

  /** The first row that breaks a check. */
  async firstBroken(
    of: TableChecks | undefined,
    read: readonly PlainColumn[],
    refused: boolean,
  ): Promise<BrokenRow | undefined> {
    const { session, time } = this;
    const count = read[0]?.length ?? 0;
    if (!of || count === 0) return undefined;
    return onTrusted(session, refused, port =>
      firstBroken(of.checks, of, this.byNumber(read), count, time, session, port),
    );
  }
}
