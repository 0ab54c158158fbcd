/**
 * COPY ... FROM STDIN into a protected table: the client's rows are taken apart, each column is converted and
 * protected as a batch, and binary COPY goes on to the cloud.
 *
 * PostgreSQL takes one row after the other and stops at the first error. Here values are refused by the readers and
 * the trusted side, constraints and keys by the cloud; so what is refused here is told once the cloud has taken the
 * rows before it.
 */
import { type ByteColumn, columnOf, type PlainColumn, plain, valueAt } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { type CopyRows, copyReader } from '../../wire/copy-reader.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { typeOids } from '../../wire/types.js';
import type { CopyInExecution, CopyInPort, SessionPort } from '../plan.js';
import type { CopyInBody } from './bodies.js';
import { collect } from './collect.js';
import { convert, decide, slice } from './conversion.js';
import { assignment, statement, typeNameOf } from './convert.js';
import { InsertBuffer, insertedInCloud } from './copy-buffer.js';
import { isOfKey, isOfReference, ofField, ofLine, rowOf } from './copy-failure.js';
import { binaryRows, SIGNATURE } from './copy-rows.js';
import { transactionTime } from './given.js';
import type { ExecutionServices } from './portal.js';
import { protectRows, type SideWrites, writeSides } from './protecting.js';

/** Rows and bytes from which on a batch is sent; it holds less than twice as many. */
const BATCH_ROWS = 2_000;
const BATCH_BYTES = 1 << 20;
/** Batches whose lines are remembered: an error of the cloud is about rows that were on their way. */
const BATCHES_REMEMBERED = 64;
/** Rows of side tables that wait for the end of the cloud's COPY at most, where it may be ended between rows. */
const SIDE_ROWS_MAX = 20_000;
/** What the cloud is told when it shall forget the rows. */
const GIVEN_UP = 'clarus gave up the rows';

/**
 * @throws what the cloud answers to its COPY
 */
export async function startCopyIn(
  body: CopyInBody,
  session: SessionPort,
  context: EncodingContext,
  services: ExecutionServices,
): Promise<CopyInExecution> {
  // While rows are on their way nothing can be asked of the cloud.
  const time = body.defaults.some(found => found.time) ? await transactionTime(session) : null;
  const port = await session.cloud.copyIn(body.sql);
  return new ProtectingCopy(body, session, context, services, time, port);
}

class ProtectingCopy implements CopyInExecution {
  readonly format: 0 | 1;
  readonly columns: number;
  private readonly reader: ReturnType<typeof copyReader>;
  #sides: SideWrites[] = [];
  /** how far PostgreSQL would have come */
  private readonly buffer = new InsertBuffer();
  /** rows that the cloud's COPY has got, and those that a COPY before it has inserted */
  #sent = 0;
  #sentBefore = 0;
  /** rows that COPYs which have ended report */
  #counted = 0;
  #started = false;
  /** an error of the cloud that PostgreSQL would not have come to yet, and its row: it counts once rows are inserted */
  #early: { readonly said: unknown; readonly row: number } | undefined;
  readonly #lines: { readonly from: number; readonly lines: readonly number[] }[] = [];

  constructor(
    private readonly body: CopyInBody,
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly services: ExecutionServices,
    /** of the transaction, where a default asks for it */
    private readonly time: Uint8Array | null,
    private port: CopyInPort,
  ) {
    this.format = body.options.format === 'binary' ? 1 : 0;
    this.columns = body.columns.length;
    this.reader = copyReader({
      ...body.options,
      table: body.table.name,
      columns: body.columns.map(c => c.name),
    });
  }

  async write(data: Uint8Array): Promise<void> {
    await this.#read(
      () => this.reader.push(data),
      () => this.reader.rows >= BATCH_ROWS || this.reader.size_bytes >= BATCH_BYTES,
    );
  }

  async finish(): Promise<{ tag: string }> {
    await this.#read(
      () => this.reader.end(),
      () => this.reader.rows > 0,
    );
    const done = await this.#ending(async () => {
      if (this.#early) throw new CloudSaid(this.#early.said);
      return this.#complete().catch(said => {
        throw new CloudSaid(said);
      });
    });
    await writeSides(this.#sides, this.session);
    return { tag: `COPY ${this.#counted + countIn(done.tag)}` };
  }

  async fail(reason: string): Promise<void> {
    await this.#read(
      () => undefined,
      () => this.reader.rows > 0,
    );
    await this.port.fail(reason);
  }

  /** Takes data in, and rows out while `more` says so; after an error of the reader all rows before it. */
  async #read(read: () => void, more: () => boolean): Promise<void> {
    const { reader } = this;
    let refused: { readonly error: unknown } | undefined;
    try {
      read();
    } catch (error) {
      refused = { error };
    }
    await this.#ending(async () => {
      while (refused ? reader.rows > 0 : more()) {
        // What little is left is taken too: the rest of a batch is copied before more is read.
        const rows = reader.take(reader.rows < 2 * BATCH_ROWS ? reader.rows : BATCH_ROWS);
        await this.#take(rows, refused !== undefined && reader.rows === 0 && reader.partial !== undefined);
      }
      if (refused) await this.#refuse(refused.error, []);
    });
  }

  /**
   * Converts rows and sends them on.
   * @param endsEarly the last of them is not complete: it is looked at, and not sent
   */
  async #take({ columns: fields, lines, sizes_bytes }: CopyRows, endsEarly: boolean): Promise<void> {
    const { body, session, buffer } = this;
    // First, because after a refusal the trusted side answers nothing more in this transaction.
    const defaults: PlainColumn[] = [];
    for (const missing of body.defaults) defaults.push(await this.#defaults(missing, lines.length));
    const { columns, refusal } = await decide(
      body.columns.map((column, i) => convert(fields[i]!, this.format, column.type, session)),
      session,
    );
    this.#remember(lines);
    const read = refusal?.row ?? lines.length - (endsEarly ? 1 : 0);
    for (let row = 0; row < read; row++) buffer.add(sizes_bytes[row]!);
    const whole = [...columns, ...defaults].map(column => slice(column, 0, read));
    if (refusal) {
      const { row, column } = refusal;
      const error = ofField(refusal.error, {
        table: body.table.name,
        line: lines[row]!,
        column: body.columns[column]!.name,
        value: this.format === 1 ? undefined : valueAt(fields[column]!, row),
      });
      await this.#refuse(error, whole);
    }
    await this.#send(whole);
    await this.#settleSides();
    if (this.#early && this.#early.row < buffer.inserted) throw new CloudSaid(this.#early.said);
  }

  /**
   * Ends with an error of a row, unless the cloud has something to say of the rows before it.
   * @param rows those that it has not got yet
   */
  async #refuse(error: unknown, rows: readonly PlainColumn[]): Promise<never> {
    const { inserted, rows: read } = this.buffer;
    const before = this.#sentBefore;
    let sent = 0;
    if (inserted > before + insertedInCloud(read - before)) {
      sent = Math.max(0, inserted - before - this.#sent);
      await this.#send(rows.map(c => slice(c, 0, sent)));
      await this.#insert();
    }
    await this.#send(rows.map(c => slice(c, sent, c.length)));
    if (!this.#early) {
      await this.port.fail(GIVEN_UP);
      await this.port.finish().catch(said => {
        if (!isGivenUp(said)) this.#hear(said);
      });
    }
    throw error;
  }

  /**
   * Writes the rows of side tables before they become many. A foreign key may point at a row that is still to come:
   * PostgreSQL looks at it when all rows are there, so COPY is then not ended before.
   */
  async #settleSides(): Promise<void> {
    const rows = this.#sides.reduce((sum, side) => sum + side.rows.length, 0);
    if (rows < SIDE_ROWS_MAX || this.body.table.keys.some(key => key.kind === 'foreign')) return;
    if (!(await this.#inserted())) return;
    const sides = this.#sides;
    this.#sides = [];
    await writeSides(sides, this.session);
    this.port = await this.session.cloud.copyIn(this.body.sql);
  }

  /** Lets the cloud insert the rows that it has, with which it looks at keys, and begins another COPY. */
  async #insert(): Promise<void> {
    if (await this.#inserted()) this.port = await this.session.cloud.copyIn(this.body.sql);
  }

  /** Ends the cloud's COPY. @returns false when the cloud has refused a row that PostgreSQL would not have come to */
  async #inserted(): Promise<boolean> {
    if (this.#early) return false;
    try {
      this.#counted += countIn((await this.#complete()).tag);
    } catch (said) {
      // PostgreSQL looks at foreign keys when all rows are there: an error that ends it comes before that.
      if (isOfReference(said)) this.#early = { said, row: this.buffer.rows };
      else this.#hear(said);
      return false;
    }
    this.#sentBefore += this.#sent;
    this.#sent = 0;
    this.#started = false;
    return true;
  }

  async #complete(): Promise<{ tag: string }> {
    if (!this.#started) await this.port.write(SIGNATURE);
    await this.port.write(Uint8Array.of(0xff, 0xff));
    return this.port.finish();
  }

  /** An error of the cloud. @throws CloudSaid unless PostgreSQL would not have come to it yet */
  #hear(said: unknown): void {
    const row = this.#rowOf(said);
    if (!isOfKey(said) || row === undefined || row < this.buffer.inserted) throw new CloudSaid(said);
    this.#early = { said, row };
  }

  /** Row, from 0, that the cloud speaks of. */
  #rowOf(said: unknown): number | undefined {
    const row = rowOf(said);
    return row === undefined ? undefined : this.#sentBefore + row;
  }

  /** Runs work of ours; where it fails the cloud's COPY ends before anything else is asked of the cloud. */
  async #ending<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await this.port.fail(GIVEN_UP);
      if (!(error instanceof CloudSaid)) throw error;
      const line = this.#lineOf(this.#rowOf(error.said));
      throw ofLine(error.said, this.body.table.name, line, this.session.catalog());
    }
  }

  #remember(lines: readonly number[]): void {
    this.#lines.push({ from: this.buffer.rows, lines });
    if (this.#lines.length > BATCHES_REMEMBERED) this.#lines.shift();
  }

  #lineOf(row: number | undefined): number | undefined {
    if (row === undefined) return undefined;
    const batch = this.#lines.findLast(({ from }) => from <= row);
    return batch?.lines[row - batch.from];
  }

  /** Protects rows and sends them. @param read one column a column of the data, and one a default */
  async #send(read: readonly PlainColumn[]): Promise<void> {
    const { body } = this;
    const count = read[0]?.length ?? 0;
    if (count === 0 || this.#early) return;
    const values = new Map<number, PlainColumn>();
    const filled = [...body.columns, ...body.defaults.map(({ column }) => column)];
    for (const [i, column] of filled.entries()) values.set(column.number, read[i]!);
    const first = await this.services.rowIds(body.table.number, count);
    const rows = new Float64Array(count);
    for (let i = 0; i < count; i++) rows[i] = first + i;
    const written = await protectRows(
      body.written,
      rows,
      body.written.map(w => values.get(w.column.number)!),
      this.context,
    );
    this.#sides.push(...written.sides);
    const columns = [
      ...body.columns.filter(c => !c.protection).map(c => values.get(c.number)! as ByteColumn),
      ...[...written.columns.entries()].sort(([a], [b]) => a - b).map(([, c]) => c),
    ];
    const bytes = binaryRows(rows, columns, !this.#started);
    this.#started = true;
    this.#sent += count;
    try {
      await this.port.write(bytes);
    } catch (said) {
      this.#hear(said);
    }
  }

  /** Values of a column that the data lack, one a row. */
  async #defaults(
    { column: { type }, sql, time, sequences }: CopyInBody['defaults'][number],
    count: number,
  ): Promise<PlainColumn> {
    const value = assignment(`(${sql})::${await typeNameOf(type.oid, this.session)}`, type);
    const last = time ? '$2' : '$1';
    const rows = await collect(
      this.session.trusted,
      statement(
        `SELECT ${value} FROM pg_catalog.generate_series(1, ${last})`,
        time ? [typeOids.timestamptz, typeOids.int4] : [typeOids.int4],
      ),
      [...(time ? [this.time] : []), Buffer.from(String(count))],
      [...(time ? [1 as const] : []), 0],
      [1],
    );
    if (sequences.length > 0)
      await this.session.transaction.keepSequences(sequences.filter(name => name !== ''));
    return plain(columnOf(rows.map(([field]) => field ?? null)));
  }
}

/** The number in the tag of COPY. */
const countIn = (tag: string): number => Number(/\d+$/.exec(tag)?.[0] ?? 0);

/** What the cloud answered to its COPY. */
class CloudSaid extends Error {
  constructor(readonly said: unknown) {
    super('the cloud refused the rows');
  }
}

const isGivenUp = (said: unknown): boolean =>
  said instanceof PostgresError && said.code === '57014' && said.message.includes(GIVEN_UP);
