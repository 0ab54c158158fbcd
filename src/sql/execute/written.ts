/**
 * The values that INSERT and UPDATE give to protected columns. What PostgreSQL reads and evaluates at Bind is looked
 * at there, the rest when the statement executes.
 */
import { columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import { typeOids } from '../../wire/types.js';
import type { BoundParameters } from '../plan.js';
import type { SessionPort } from '../ports.js';
import type { WrittenColumn, WrittenSource } from './bodies.js';
import { type Ask, askInOrder, askOne, asksOf, type Converted, convert } from './conversion.js';
import { assignment, statement, typeNameOf } from './convert.js';
import type { Given } from './given.js';
import { evaluable } from './operands.js';

/** Values of one column that come in one format. */
interface Batch {
  readonly column: number;
  readonly rows: readonly number[];
  readonly converted: Converted;
}

/** Values of a write, as far as they are known at Bind. */
export class WrittenValues {
  private constructor(
    private readonly written: readonly WrittenColumn[],
    private readonly batches: readonly Batch[],
    private readonly given: Given,
  ) {}

  /** @throws PostgresError what PostgreSQL says at Bind */
  static async bind(written: readonly WrittenColumn[], given: Given): Promise<WrittenValues> {
    const batches = written.flatMap((column, i) => batchesOf(column, i, given.bound, given.session));
    const evaluated = written.some(({ column, sources }) =>
      sources.some(source => source.kind !== 'default' && !asItIs(source, column.type.oid)),
    );
    if (evaluated || batches.some(batch => batch.converted.unsure.length)) await given.mustBind();
    return new WrittenValues(written, batches, given);
  }

  /**
   * One column a written one, as assigned to it.
   * @throws PostgresError the first error, row by row
   */
  async decide(): Promise<readonly PlainColumn[]> {
    const { batches, written, given } = this;
    const values = written.map(({ sources }) => new Array<Uint8Array | null>(sources.length).fill(null));
    const asks: Ask[] = [];
    for (const { column, rows, converted } of batches) {
      rows.forEach((row, place) => {
        values[column]![row] = valueAt(converted.column, place);
      });
      for (const ask of await asksOf(converted, column, given.session, place => rows[place]!)) asks.push(ask);
    }
    for (const [i, { column, sources }] of written.entries())
      for (const [row, source] of sources.entries())
        if (!asItIs(source, column.type.oid)) {
          const start = await evaluation(column, source, given);
          asks.push({ row, column: i, start });
        }
    const { answers, refusal } = await askInOrder(asks, given.session);
    if (refusal) throw refusal.error;
    await this.#keepSequences();
    for (const [{ row, column }, value] of answers) values[column]![row] = value;
    return values.map(column => plain(columnOf(column)));
  }

  async #keepSequences(): Promise<void> {
    const used = this.written.flatMap(({ sources }) =>
      sources.flatMap(source =>
        source.kind === 'default'
          ? source.sequences
          : source.kind === 'expression' && source.sequence
            ? ['']
            : [],
      ),
    );
    if (used.length === 0) return;
    await this.given.session.transaction.keepSequences([...new Set(used)].filter(name => name !== ''));
  }
}

/** The source holds a value of the column's type, to be converted only. */
const asItIs = (source: WrittenSource, oid: number): boolean =>
  (source.kind === 'constant' && (source.type === oid || source.value === null)) ||
  (source.kind === 'parameter' && source.type === oid);

function batchesOf(
  { column, sources }: WrittenColumn,
  place: number,
  bound: BoundParameters,
  session: SessionPort,
): Batch[] {
  const { oid, modifier } = column.type;
  const gathered = ([0, 1] as const).map(format => ({
    format,
    rows: [] as number[],
    values: [] as (Uint8Array | null)[],
  }));
  for (const [row, source] of sources.entries()) {
    if (!asItIs(source, oid)) continue;
    const [format, value] =
      source.kind === 'parameter'
        ? [bound.formats[source.index] ?? 0, bound.values[source.index] ?? null]
        : [1 as const, source.kind === 'constant' ? source.value : null];
    gathered[format]!.rows.push(row);
    gathered[format]!.values.push(value);
  }
  return gathered
    .filter(({ rows }) => rows.length > 0)
    .map(({ format, rows, values }) => ({
      column: place,
      rows,
      converted: convert(columnOf(values), format, { oid, modifier }, session),
    }));
}

/** How the trusted PostgreSQL evaluates a source, as assigned to the column. */
async function evaluation(
  { type }: WrittenColumn['column'],
  source: WrittenSource,
  given: Given,
): Promise<Ask['start']> {
  const { bound, parameterTypes, session } = given;
  const base = await typeNameOf(type.oid, session);
  const select = (sql: string): string => `SELECT ${assignment(`(${sql})::${base}`, type)}`;
  switch (source.kind) {
    case 'default': {
      // A default sees no parameters of the statement.
      const [types, values] = source.time ? [[typeOids.timestamptz], [await given.time()]] : [[], []];
      return () => askOne(session, statement(select(source.sql), types), values, [1]);
    }
    case 'expression': {
      const { query, values, formats } = await evaluable(source, select(source.sql), given);
      return () => askOne(session, query, values, formats);
    }
    case 'parameter': {
      const query = statement(select(`$${source.index + 1}`), parameterTypes);
      return () => askOne(session, query, bound.values, bound.formats);
    }
    case 'constant': {
      const from = await typeNameOf(source.type, session);
      return () => askOne(session, statement(select(`$1::${from}`), [0]), [source.value], [1]);
    }
  }
}
