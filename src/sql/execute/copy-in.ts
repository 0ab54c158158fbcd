/**
 * COPY ... FROM STDIN into a protected table: the client's rows are taken apart, each column is converted and
 * protected as a batch, and binary COPY goes on to the cloud.
 *
 * PostgreSQL takes one row after the other and stops at the first error. Here values are refused by the readers and
 * the trusted side, constraints and keys by the cloud; so what is refused here is told once the cloud has taken the
 * rows before it.
 */
import type { ByteColumn, PlainColumn } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import type { CopyRows } from '../../wire/copy-reader.js';
import { PostgresError } from '../../wire/diagnostic.js';
import type { BrokenRow } from '../checks/broken.js';
import { outOfBounds } from '../client-error.js';
import type { CopyInExecution, CopyInPort, SessionPort } from '../ports.js';
import { asksSequence } from '../split/write/copy-filling.js';
import { refersToItself } from '../triggers/fired-rows.js';
import type { CopyInBody } from './bodies.js';
import { slice } from './conversion.js';
import { InsertBuffer, insertedInCloud } from './copy-buffer.js';
import { CopyEvaluation, type GivenRows, mustBeEvaluable } from './copy-evaluation.js';
import { inLine, isOfKey, isOfReference, ofLine, rowOf } from './copy-failure.js';
import { type CopyBatches, CopyInput, type ReadRows, type RefusedData } from './copy-input.js';
import { binaryRows, SIGNATURE } from './copy-rows.js';
import { transactionTime } from './given.js';
import type { ExecutionServices } from './portal.js';
import { inOrder, newRowIds, protectRows, type SideWrites, writeSides } from './protecting.js';

/** Rows and bytes from which on a batch is sent; it holds less than twice as many. */
const BATCH_ROWS = 2_000;
const BATCH_BYTES = 1 << 20;
const batches: CopyBatches = {
  isFull: ({ rows, size_bytes }) => rows >= BATCH_ROWS || size_bytes >= BATCH_BYTES,
  // what little is left is taken too: the rest of a batch is copied before more is read
  next: rows => (rows < 2 * BATCH_ROWS ? rows : BATCH_ROWS),
};
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
  await mustBeEvaluable(body, session);
  // While rows are on their way nothing can be asked of the cloud.
  const timed =
    [...body.defaults, ...(body.checks?.checks ?? []), ...(body.where ? [body.where] : [])].some(
      found => found.time,
    ) || body.markers?.some(marker => marker?.kind === 'default' && marker.time);
  const time = timed ? await transactionTime(session) : null;
  const port = await session.cloud.copyIn(body.sql);
  return new ProtectingCopy(body, session, context, services, time, port);
}

class ProtectingCopy implements CopyInExecution {
  private readonly input: CopyInput;
  private readonly evaluation: CopyEvaluation;
  #sides: SideWrites[] = [];
  /** how far PostgreSQL would have come */
  private readonly buffer = new InsertBuffer();
  /** rows that the cloud's COPY has got, and those that a COPY before it has inserted */
  #sent = 0;
  #sentBefore = 0;
  /** rows that COPYs which have ended report */
  #counted = 0;
  #started = false;
  /** the cloud has no COPY at the moment */
  #ended = false;
  /** an error of the cloud that PostgreSQL would not have come to yet, and its row: it counts once rows are inserted */
  #early: { readonly said: unknown; readonly row: number } | undefined;
  /** breaks a check, and is the last row that is sent to the cloud */
  #broken: BrokenRow | undefined;
  readonly #lines: { readonly from: number; readonly lines: readonly number[] }[] = [];

  constructor(
    private readonly body: CopyInBody,
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly services: ExecutionServices,
    /** of the transaction, where something asks for it */
    time: Uint8Array | null,
    private port: CopyInPort,
  ) {
    this.evaluation = new CopyEvaluation(body, session, time);
    this.input = new CopyInput(body, batches, session, (rows, endsEarly) => this.#take(rows, endsEarly));
  }

  get format(): 0 | 1 {
    return this.input.format;
  }

  get columns(): number {
    return this.input.columns;
  }

  async write(data: Uint8Array): Promise<void> {
    await this.#read(() => this.input.push(data));
  }

  async finish(): Promise<{ tag: string }> {
    await this.#read(() => this.input.end());
    const done = await this.#ending(async () => {
      const failed = (said: unknown): never => {
        // foreign keys are looked at when the rows have been told of
        if (isOfReference(said)) this.input.skipped.tellCount();
        throw new CloudSaid(said);
      };
      if (this.#early) failed(this.#early.said);
      return this.#complete().catch(failed);
    });
    this.input.skipped.tellCount();
    await writeSides(this.#sides, this.session);
    return { tag: `COPY ${this.#counted + countIn(done.tag)}` };
  }

  async fail(reason: string): Promise<void> {
    await this.#ending(() => this.input.giveUp());
    await this.port.fail(reason);
  }

  async #read(read: () => Promise<RefusedData | undefined>): Promise<void> {
    await this.#ending(async () => {
      const refused = await read();
      if (refused) await this.#refuse(refused.error, []);
    });
  }

  /**
   * Converts rows and sends them on.
   * @param endsEarly the last of them is not complete: it is looked at, and not sent
   */
  async #take(rows: CopyRows, endsEarly: boolean): Promise<void> {
    const { body, buffer, evaluation, session } = this;
    const { columns: given, lines, sizes_bytes, refusal } = await this.#given(rows, endsEarly);
    const refused = refusal !== undefined;
    this.#remember(lines);
    const { whole, failure } = await evaluation.withGenerated(given, refused);
    this.#broken = await evaluation.firstBroken(body.checks, whole, refused || failure !== undefined);
    await this.#mustBeWithinBounds(whole, lines, sizes_bytes, refused);
    const kept = this.#broken?.row ?? failure?.row ?? lines.length;
    for (let row = 0; row < kept; row++) buffer.add(sizes_bytes[row]!);
    this.input.skipped.tell(kept < lines.length ? lines[kept] : refusal?.line);
    if (this.#broken) {
      const sent = whole.map(column => slice(column, 0, kept + 1));
      await this.#refuse(ofLine(this.#broken.failure, body.table.name, lines[kept], session.catalog()), sent);
    }
    if (failure) await this.#refuse(inLine(failure.error, body.table.name, lines[failure.row]!), whole);
    if (refusal) await this.#refuse(refusal.error, whole);
    await this.#send(whole);
    await this.#settleSides();
    if (this.#early && this.#early.row < buffer.inserted) throw new CloudSaid(this.#early.said);
  }

  /** The rows that are to be copied: one column a column of the data, and one a default. */
  async #given(rows: CopyRows, endsEarly: boolean): Promise<GivenRows> {
    const { body, evaluation, input } = this;
    if (body.where || body.markers || body.options.onError === 'ignore') {
      const read = await input.read(rows, endsEarly);
      if (!asksSequence(body, read)) return evaluation.chosen(read);
      return this.#paused(() => evaluation.chosen(read));
    }
    // First, because after a refusal the trusted side answers nothing more in this transaction.
    const defaults = await evaluation.defaults(rows.lines.length, false);
    const read: ReadRows = await input.read(rows, endsEarly);
    const count = read.lines.length;
    return { ...read, columns: [...read.columns, ...defaults.map(column => slice(column, 0, count))] };
  }

  /** Does what the cloud is asked for, between two of its COPYs. */
  async #paused<T>(work: () => Promise<T>): Promise<T> {
    const { table } = this.body;
    if (refersToItself(table, this.session.catalog())) throw needsNumbers(table.name);
    if (!(await this.#inserted())) throw new CloudSaid(this.#early!.said);
    this.#ended = true;
    const done = await work();
    this.port = await this.session.cloud.copyIn(this.body.sql);
    this.#ended = false;
    return done;
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
    await this.#send(
      rows.map(c => slice(c, sent, c.length)),
      this.#broken,
    );
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
      if (!this.#ended) await this.port.fail(GIVEN_UP);
      if (!(error instanceof CloudSaid)) throw error;
      const line = this.#lineOf(this.#rowOf(error.said));
      const heard = this.#broken?.heard(error.said) ?? error.said;
      throw ofLine(heard, this.body.table.name, line, this.session.catalog());
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

  /** @throws ClarusError 23514 for the first row that the partition does not take, unless a check refuses one before it */
  async #mustBeWithinBounds(
    rows: readonly PlainColumn[],
    lines: readonly number[],
    sizes_bytes: readonly number[],
    refused: boolean,
  ): Promise<void> {
    const outside = await this.evaluation.firstBroken(this.body.bounds, rows, refused);
    if (!outside || outside.row >= (this.#broken?.row ?? Infinity)) return;
    this.#broken = undefined;
    for (let row = 0; row < outside.row; row++) this.buffer.add(sizes_bytes[row]!);
    this.input.skipped.tell(lines[outside.row]);
    const { schema, name } = this.body.table;
    const error =
      outside.error ??
      new ClarusError('23514', outOfBounds(name), {
        schema,
        table: name,
        where: `COPY ${name}, line ${lines[outside.row]}`,
      });
    await this.#refuse(
      error,
      rows.map(column => slice(column, 0, outside.row)),
    );
  }

  /**
   * Protects rows and sends them.
   * @param read one column a column of the data, and one a default
   * @param last what the last of them breaks
   */
  async #send(read: readonly PlainColumn[], last?: BrokenRow): Promise<void> {
    const { body } = this;
    const count = read[0]?.length ?? 0;
    if (count === 0 || this.#early) return;
    const values = this.evaluation.byNumber(read);
    const rows = await newRowIds(body.table, count, this.services);
    const written = await protectRows(
      body.written,
      rows,
      body.written.map(w => values.get(w.column.number)!),
      this.context,
      this.session,
    );
    this.#sides.push(...written.sides);
    const columns = [
      ...[...body.columns, ...body.defaults.map(({ column }) => column)]
        .filter(c => !c.protection)
        .map(c => values.get(c.number)! as ByteColumn),
      ...inOrder(written),
    ];
    const bytes = binaryRows(last ? rows.with(count - 1, last.rowId) : rows, columns, !this.#started);
    this.#started = true;
    this.#sent += count;
    try {
      await this.port.write(bytes);
    } catch (said) {
      this.#hear(said);
    }
  }
}

/** Rows that refer to each other cannot be inserted in parts, between which the cloud's sequences could be asked. */
const needsNumbers = (table: string): ClarusError =>
  new ClarusError(
    '0A000',
    `COPY of values from a sequence of the cloud into the table "${table}", which refers to itself, is not answered`,
    { hint: 'Leave the column out of the COPY, or give its values.', table },
  );

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
