/**
 * Rows that stand get new protected values: they are fetched in the order of their row ids, a batch at a time, opened,
 * converted by the trusted side, protected and written where they are. Nothing is kept of a batch when the next comes.
 */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN, SEEN_COLUMN } from '../../../catalog/catalog.js';
import type { Refilled } from '../../../catalog/physical-changes.js';
import { quoteName, quoteQualified } from '../../../catalog/quote.js';
import { columnOf, type PlainColumn, plain } from '../../../crypto/column.js';
import type { EncodingContext } from '../../../encodings/encoding.js';
import { ClarusError } from '../../../errors.js';
import { arrayOf, readRowId, rowIdArray } from '../../../wire/arrays.js';
import { PostgresError } from '../../../wire/diagnostic.js';
import { MessageWriter } from '../../../wire/message-writer.js';
import { typeOids } from '../../../wire/types.js';
import { openingEncoding } from '../../compilation.js';
import type { WrittenColumn } from '../../execute/bodies.js';
import { collectTagged, type Row } from '../../execute/collect.js';
import { statement } from '../../execute/convert.js';
import { OpeningSink } from '../../execute/opening.js';
import { physicalOid, protectRows, writeSides } from '../../execute/protecting.js';
import { type OutputColumnBytes, sizeAt } from '../../execute/row-writer.js';
import type { PhysicalStatement } from '../../plan.js';
import type { SessionPort } from '../../ports.js';
import type { Output } from '../../read/targets.js';
import { keepsSnapshot } from '../../snapshots.js';
import { formsIn, physicalType } from '../../write/forms.js';
import type { DdlDependencies } from '../body.js';
import { type Conversion, conversionOf } from './conversion.js';
import type { Refill } from './need.js';

/** Rows of the first batch, and bytes that one should have. */
const firstBatch_rows = 64;
const batch_bytes = 1 << 20;
const batchMax_rows = 2_000;

/** A refill that has been looked through: nothing of it has reached the cloud. */
export interface PreparedRefill {
  readonly physical: Refilled;
  /** Fills the rows, between the two phases of the change. @throws PostgresError, ClarusError 54000, 57014, 40001 */
  run(): Promise<void>;
  /** sequences of which defaults took values, by their qualified names */
  readonly sequences: readonly string[];
}

/** @throws ClarusError 0A000 where the trusted side cannot compute the new values */
export async function prepareRefill(
  refill: Refill,
  session: SessionPort,
  deps: DdlDependencies,
): Promise<PreparedRefill> {
  const computed = refill.columns.filter(({ source }) => source.kind !== 'value');
  const conversion =
    computed.length === 0 ? undefined : await conversionOf(refill, computed, session, deps.homes);
  const stay = refill.columns.flatMap(({ source }) => (source.kind === 'value' ? [source.of] : []));
  const fetch = new Fetch([...(conversion?.reads ?? []), ...stay], refill.table, deps);
  return {
    physical: {
      columns: new Set(
        refill.columns.flatMap(({ encodings }) =>
          encodings.flatMap(({ encoded }) => Object.values(encoded.columns)),
        ),
      ),
      sources: fetch.names,
    },
    run: () => new Run(refill, conversion, fetch, session, deps).run(),
    sequences: refill.columns.flatMap(({ source }) => (source.kind === 'default' ? source.sequences : [])),
  };
}

const nameOf = ({ physical }: LogicalTable): string => quoteQualified(physical.schema, physical.name);

/** The rows of a batch: their ids, and values of columns in binary form. */
interface Batch {
  readonly rows: Float64Array;
  readonly values: readonly Row[];
  readonly size_bytes: number;
}

/** Reads columns as they were, in the order of row ids. */
class Fetch {
  /** physical columns that are read */
  readonly names: ReadonlySet<string>;
  readonly #sql: string;
  readonly #outputs: readonly Output[];
  readonly #width: number;

  constructor(
    readonly columns: readonly LogicalColumn[],
    table: LogicalTable,
    { registry }: DdlDependencies,
  ) {
    const names: string[] = [];
    const outputs = columns.map((column): Output => {
      if (!column.protection) return { kind: 'open', place: names.push(column.name) };
      const { encoding, encoded } = openingEncoding(registry, column);
      const places = Object.fromEntries(
        Object.entries(encoded.columns).map(([role, name]) => [role, names.push(name)]),
      );
      return { kind: 'cell', encoding, encoded, places, row: 0, type: column.type };
    });
    this.names = new Set(names);
    this.#width = 1 + names.length;
    this.#outputs = [{ kind: 'open', place: 0 }, ...outputs];
    const list = [ROW_COLUMN, ...names].map(quoteName).join(', ');
    this.#sql = `SELECT ${list} FROM ${nameOf(table)} WHERE ${ROW_COLUMN} > $1 ORDER BY ${ROW_COLUMN} LIMIT $2`;
  }

  async after(row: number, count: number, session: SessionPort, context: EncodingContext): Promise<Batch> {
    const rows: number[] = [];
    const values: Row[] = [];
    let size_bytes = 0;
    const take = (columns: readonly OutputColumnBytes[], found: number): void => {
      const [ids, ...others] = columns.map(column => copies(column, found));
      for (let i = 0; i < found; i++) {
        rows.push(readRowId(ids![i]!, 0));
        values.push(others.map(column => column[i]!));
        for (const column of others) size_bytes += column[i]?.length ?? 0;
      }
    };
    const sink = new OpeningSink(
      { outputs: this.#outputs, binary: new Set(), width: this.#width },
      this.#outputs.map(() => 1),
      session,
      context,
      (_writer, columns, found) => take(columns, found),
      { writer: new MessageWriter(0), written: () => undefined },
    );
    const { cloud } = session;
    const portal = cloud.bind(
      statement(this.#sql, [typeOids.int8, typeOids.int8]),
      [row, count].map(n => Buffer.from(String(n))),
      { parameters: [0], results: [1] },
    );
    const done = portal.execute(0, sink.executes());
    cloud.flush();
    await done;
    return { rows: Float64Array.from(rows), values, size_bytes };
  }
}

const copies = (column: OutputColumnBytes, count: number): readonly (Uint8Array | null)[] =>
  Array.from({ length: count }, (_, i) => {
    const size = sizeAt(column, i);
    const from = column.starts[i]!;
    return size < 0 ? null : Uint8Array.from(column.data.subarray(from, from + size));
  });

/** One refill while it runs. */
class Run {
  readonly #context: EncodingContext;
  readonly #written: readonly WrittenColumn[];
  #rows = 0;
  #bytes = 0;

  constructor(
    private readonly refill: Refill,
    private readonly conversion: Conversion | undefined,
    private readonly fetch: Fetch,
    private readonly session: SessionPort,
    private readonly deps: DdlDependencies,
  ) {
    this.#context = deps.context(session);
    const formsOf = formsIn(deps.registry, 0);
    this.#written = refill.columns.map(({ column, encodings }) => ({
      column,
      sources: [],
      forms: formsOf({ ...column, protection: { ...column.protection!, encodings } }),
    }));
  }

  async run(): Promise<void> {
    const { session, refill, fetch } = this;
    const { cancelRequests } = session;
    const table = nameOf(refill.table);
    const marks = await keepsSnapshot(session);
    if (marks) await session.cloud.run(`ALTER TABLE ${table} ADD COLUMN ${SEEN_COLUMN} boolean`);
    const update = this.#update(marks);
    let last = -1;
    for (let count = firstBatch_rows; ; count = this.#next()) {
      const batch = await fetch.after(last, count, session, this.#context);
      if (batch.rows.length === 0) break;
      if (session.cancelRequests > cancelRequests)
        throw new ClarusError('57014', 'canceling statement due to user request');
      last = batch.rows.at(-1)!;
      this.#count(batch);
      await this.#write(batch, update);
    }
    if (marks) await this.#requireAllSeen(table);
  }

  async #write({ rows, values }: Batch, update: PhysicalStatement): Promise<void> {
    const { session, refill, conversion } = this;
    const width = conversion?.reads.length ?? 0;
    const computed = await conversion?.of(values.map(row => row.slice(0, width)));
    let [converted, stays] = [0, width];
    const columns = refill.columns.map(({ source }): PlainColumn => {
      const place = source.kind === 'value' ? stays++ : converted++;
      const from = source.kind === 'value' ? values : computed!;
      return plain(columnOf(from.map(row => row[place]!)));
    });
    const made = await protectRows(this.#written, rows, columns, this.#context, session);
    const arrays = this.#written.flatMap(({ forms }) =>
      forms.flatMap(form =>
        Object.entries(form.operands).map(([role, operand]) =>
          arrayOf(made.columns.get(operand)!, physicalOid(physicalType(form, role))),
        ),
      ),
    );
    const { tag } = await collectTagged(
      session.cloud,
      update,
      [rowIdArray(rows), ...arrays],
      [1, ...arrays.map(() => 1 as const)],
      [],
    );
    if (Number(/\d+$/.exec(tag)?.[0]) !== rows.length)
      throw new Error('the cloud filled another number of rows');
    await writeSides(made.sides, session);
  }

  #update(marks: boolean): PhysicalStatement {
    const columns = this.#written.flatMap(({ forms }) =>
      forms.flatMap(form =>
        Object.keys(form.operands).map(role => ({
          name: form.encoded.columns[role]!,
          type: physicalType(form, role),
        })),
      ),
    );
    const arrays = ['int8', ...columns.map(({ type }) => type)].map(
      (type, i) => `pg_catalog.unnest($${i + 1}::${type}[])`,
    );
    const sets = columns.map(({ name }, i) => `${quoteName(name)} = u.c${i + 1}`);
    if (marks) sets.push(`${SEEN_COLUMN} = true`);
    return statement(
      `UPDATE ${nameOf(this.refill.table)} AS t SET ${sets.join(', ')} FROM ROWS FROM (${arrays.join(', ')}) AS u (${arrays.map((_, i) => `c${i}`).join(', ')}) WHERE t.${ROW_COLUMN} = u.c0`,
      [],
    );
  }

  /** Rows of the next batch: about as many bytes as one should have. */
  #next(): number {
    const average = Math.max(1, this.#bytes / this.#rows);
    return Math.min(batchMax_rows, Math.max(1, Math.floor(batch_bytes / average)));
  }

  #count({ rows, size_bytes }: Batch): void {
    this.#rows += rows.length;
    this.#bytes += size_bytes;
    const { rows_max, bytes_max } = this.deps.limits;
    if (this.#rows > rows_max || this.#bytes > bytes_max)
      throw new ClarusError('54000', 'the table holds more rows than one statement may convert', {
        detail: `At most ${rows_max} rows and ${bytes_max} bytes are fetched (limits.split_rows_max, split_bytes_max).`,
        hint: 'Raise the limits for the change: rows are converted a batch at a time.',
        table: this.refill.table.name,
      });
  }

  /** NOT NULL looks at every row, also at those that others have committed since the transaction began. */
  async #requireAllSeen(table: string): Promise<void> {
    const { cloud } = this.session;
    try {
      await cloud.run(`ALTER TABLE ${table} ALTER COLUMN ${SEEN_COLUMN} SET NOT NULL`);
    } catch (error) {
      if (!(error instanceof PostgresError && error.code === '23502')) throw error;
      throw new ClarusError('40001', 'could not serialize access due to concurrent update');
    }
    await cloud.run(`ALTER TABLE ${table} DROP COLUMN ${SEEN_COLUMN}`);
  }
}
