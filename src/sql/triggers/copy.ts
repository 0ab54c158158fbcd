/**
 * COPY ... FROM STDIN into a table with triggers. The rows are read, and what the data lack is computed, a batch at a time;
 * BEFORE triggers make of them what is inserted, and AFTER triggers follow when all rows are there (CopyFrom of copyfrom.c).
 *
 * PostgreSQL takes one row after the other. So before an error of a row is told the rows before it are inserted, of which
 * one may be refused.
 */
import { columnOf, type PlainColumn } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { arrayOf } from '../../wire/arrays.js';
import type { CopyRows } from '../../wire/copy-reader.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { writeGuarded } from '../exclusions/guarded.js';
import type { SplitBody, TriggeredCopyBody, TriggeredWrite } from '../execute/bodies.js';
import type { Row } from '../execute/collect.js';
import { convert, decided } from '../execute/conversion.js';
import { fromBinary } from '../execute/convert.js';
import { meeting, mustBeEvaluable } from '../execute/copy-evaluation.js';
import { inLine, isOfReference, ofLine } from '../execute/copy-failure.js';
import { type CopyBatches, CopyInput, type ReadRows, type RefusedData } from '../execute/copy-input.js';
import { transactionTime } from '../execute/given.js';
import type { Bound } from '../execute/portal.js';
import type { CopyInExecution, ResidualPort } from '../ports.js';
import type { RoutineServices } from '../procedural/run.js';
import type { SplitServices } from '../split/cloud-rows.js';
import { printingFetched } from '../split/fetching.js';
import { travelOf } from '../split/given-columns.js';
import { CloudWrites } from '../split/write/cloud-writes.js';
import { computeGiven } from '../split/write/computed-writes.js';
import { withDefaulted } from '../split/write/copy-filling.js';
import { flushWrites } from '../split/write/flush.js';
import { isReadOnly, readOnly } from '../split/write/read-only.js';
import { batchesOf, type Change } from './change.js';
import { FiredRows, mustNotReferToItself, refersToItself } from './fired-rows.js';
import { MakingRows } from './making.js';

/** Rows and bytes of the data from which on a batch is taken. */
const batchRows = 1_000;
const batchBytes = 1 << 20;
const batches: CopyBatches = {
  isFull: ({ rows, size_bytes }) => rows >= batchRows || size_bytes >= batchBytes,
  next: () => batchRows,
};

/**
 * @param bound without parameters
 * @throws ClarusError 25006 in a transaction that may not write
 */
export async function startTriggeredCopy(
  body: TriggeredCopyBody,
  bound: Bound,
  residual: ResidualPort,
  services: SplitServices,
  routines: RoutineServices,
): Promise<CopyInExecution> {
  const { session } = bound;
  if (await isReadOnly(session)) throw readOnly('COPY FROM', undefined);
  await mustBeEvaluable(body, session);
  await session.transaction.begin();
  return new TriggeredCopy(body, bound, residual, services, routines);
}

/** A row, and where it is in the data. */
interface CopiedRow {
  readonly change: Change;
  readonly line: number;
}

class TriggeredCopy implements CopyInExecution {
  private readonly input: CopyInput;
  private readonly fired: FiredRows;
  private readonly making: MakingRows;
  private readonly triggered: TriggeredWrite;
  /** one row may refer to a later one: they are inserted together */
  private readonly together: boolean;
  /** rows that are not inserted yet */
  #waiting: CopiedRow[] = [];
  /** rows that AFTER triggers are to see */
  readonly #written: Change[] = [];
  #begun = false;
  #time: Promise<Uint8Array | null> | undefined;
  #read = 0;
  #inserted = 0;

  constructor(
    private readonly body: TriggeredCopyBody,
    private readonly bound: Bound,
    private readonly residual: ResidualPort,
    private readonly services: SplitServices,
    routines: RoutineServices,
  ) {
    this.triggered = (body.insert.body as SplitBody).writes!.triggered!;
    this.fired = new FiredRows(this.triggered, bound.session, routines);
    this.making = new MakingRows(this.triggered, this.fired, bound.session);
    this.together = refersToItself(body.table, bound.session.catalog());
    this.input = new CopyInput(body, batches, bound.session, (rows, endsEarly) =>
      this.#take(rows, endsEarly),
    );
  }

  get format(): 0 | 1 {
    return this.input.format;
  }

  get columns(): number {
    return this.input.columns;
  }

  async write(data: Uint8Array): Promise<void> {
    await this.#begin();
    await this.#mustBeWhole(await this.input.push(data));
  }

  async finish(): Promise<{ tag: string }> {
    const { fired } = this;
    await this.#begin();
    await this.#mustBeWhole(await this.input.end());
    await this.#insert();
    this.input.skipped.tellCount();
    fired.wrote(this.#written, 'COPY');
    for (const change of this.#written) await fired.after(change);
    await fired.statement('AFTER');
    await fired.mustStandStill();
    return { tag: `COPY ${this.#inserted}` };
  }

  /** Nothing is on its way. */
  async fail(): Promise<void> {
    await this.#begin();
    await this.input.giveUp();
  }

  /** The client has been told by now that its data may come. */
  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    await this.fired.statement('BEFORE');
  }

  /** @param endsEarly the last row is not complete: it is looked at, and not inserted */
  async #take(read: CopyRows, endsEarly: boolean): Promise<void> {
    const { rows, lines, refusal } = await this.#chosen(await this.#converted(read, endsEarly));
    this.#read += lines.length;
    if (this.triggered.rowByRow) await this.#oneByOne(rows, lines);
    else await this.#fire(rows, lines);
    this.input.skipped.tell(refusal?.line);
    if (refusal) await this.#refuse(refusal.error);
  }

  /** What the trusted side refuses leaves the transaction as it was: functions of the rows before may still ask. */
  async #converted(rows: CopyRows, endsEarly: boolean): Promise<ReadRows> {
    let read: ReadRows | undefined;
    try {
      return await this.bound.session.transaction.subtransaction(async () => {
        read = await this.input.read(rows, endsEarly);
        if (read.refusal) throw new Refused();
        return read;
      });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return read!;
    }
  }

  /** The rows that are to be copied, whole. */
  async #chosen(
    read: ReadRows,
  ): Promise<Pick<ReadRows, 'lines' | 'refusal'> & { readonly rows: readonly Row[] }> {
    const { body, bound } = this;
    const { session } = bound;
    const { lines, refusal } = read;
    if (lines.length === 0) return { rows: [], lines, refusal };
    const rows = await this.#given(await withDefaulted(body, read, await this.#timed(), session));
    if (!body.where) return { rows, lines, refusal };
    const { columns } = body.table;
    const texts = columns.map(({ type }, i) => convert(columnOf(rows.map(row => row[i]!)), 0, type, session));
    const whole = { columns: await decided(texts, session), lines, refusal };
    const found = await meeting(body, columns, whole, await this.#timed(), session);
    return {
      rows: found.met.map(row => rows[row]!),
      lines: found.met.map(row => lines[row]!),
      refusal: found.refusal,
    };
  }

  /** The time of the transaction, where something asks for it. */
  #timed(): Promise<Uint8Array | null> {
    const { where, markers } = this.body;
    const asks = where?.time || markers?.some(marker => marker?.kind === 'default' && marker.time);
    this.#time ??= asks ? transactionTime(this.bound.session) : Promise.resolve(null);
    return this.#time;
  }

  /** The rows whole, with what the data lack. */
  async #given(columns: readonly PlainColumn[]): Promise<readonly Row[]> {
    const { body, bound, residual, services } = this;
    const printing = printingFetched(bound.session, bound.session.client);
    const arrays: Uint8Array[] = [];
    for (const [i, column] of columns.entries()) {
      const { oid } = body.columns[i]!.type;
      const { element, format } = travelOf(oid);
      arrays.push(arrayOf(format === 1 ? column : await fromBinary(column, oid, 0, printing), element));
    }
    const { given } = (body.insert.body as SplitBody).writes!.computed!;
    const source: Bound = {
      ...bound,
      plan: body.insert,
      bound: { values: arrays, formats: arrays.map(() => 1 as const) },
    };
    const rows = await computeGiven(given!, source, residual, services);
    const { columns: names, counters } = given!;
    const known = [...names, ...counters.map(({ column }) => column)];
    const places = body.table.columns.map(column => known.indexOf(column));
    return rows.map(row => places.map(place => row[place] ?? null));
  }

  #change(row: Row): Change {
    const { insert, table } = this.body;
    const { given } = (insert.body as SplitBody).writes!.computed!;
    const columns = table.columns.filter(
      column => given!.columns.includes(column) || given!.counters.some(counter => counter.column === column),
    );
    return {
      kind: 'insert',
      table,
      ctid: undefined,
      old: undefined,
      new: this.fired.row(row),
      columns: columns.map(({ name }) => name),
    };
  }

  /** Each row is inserted before the function of the next one runs, which may look for it. */
  async #oneByOne(rows: readonly Row[], lines: readonly number[]): Promise<void> {
    if (this.#read > 1) mustNotReferToItself(this.body.table, this.bound.session.catalog());
    const changes = rows.map(row => this.#change(row));
    await this.making.look(changes);
    for (const [i, change] of changes.entries()) {
      if (!(await this.#before(change, lines[i]!))) continue;
      this.#waiting.push({ change, line: lines[i]! });
      await this.#insert();
    }
  }

  async #fire(rows: readonly Row[], lines: readonly number[]): Promise<void> {
    try {
      await this.bound.session.transaction.subtransaction(async () => {
        const changes = rows.map(row => this.#change(row));
        await this.making.look(changes);
        for (const [i, change] of changes.entries())
          if (await this.#before(change, lines[i]!)) this.#waiting.push({ change, line: lines[i]! });
      });
    } catch (error) {
      await this.#refuse(error);
    }
    if (!this.together) await this.#insert();
  }

  async #before(change: Change, line: number): Promise<boolean> {
    try {
      for await (const made of this.making.make(change)) {
        await this.making.compute([made]);
        return true;
      }
      return false;
    } catch (error) {
      this.input.skipped.tell(line);
      throw inLine(error, this.body.table.name, line);
    }
  }

  async #mustBeWhole(refused: RefusedData | undefined): Promise<void> {
    if (refused) await this.#refuse(refused.error);
  }

  /** Ends with an error, unless a row before it is refused. */
  async #refuse(error: unknown): Promise<never> {
    await this.#insert().catch(said => {
      // PostgreSQL looks at foreign keys when all rows are there
      if (!isOfReference(said) && !(said instanceof ClarusError && said.code === '23503')) throw said;
    });
    throw error;
  }

  /** Inserts the rows that wait. @throws what is wrong with the first that is, told of its line */
  async #insert(): Promise<void> {
    const { bound } = this;
    const rows = this.#waiting;
    this.#waiting = [];
    if (rows.length === 0) return;
    const { session } = bound;
    const changes = rows.map(({ change }) => change);
    if (rows.length === 1) await this.#flush(changes).catch(said => this.#told(said, rows[0]));
    else
      await session.transaction
        .subtransaction(() => this.#flush(changes))
        .catch(async said => {
          if (said instanceof PostgresError && !isOfReference(said)) return this.#find(said, rows);
          return this.#told(said, undefined);
        });
    this.#inserted += rows.length;
    if (this.fired.seesWritten) for (const change of changes) this.#written.push(change);
    else this.fired.forget();
  }

  /**
   * Tells of the first of some rows that is refused, none of which stand.
   * @param said what they were refused with all together
   */
  async #find(said: unknown, rows: readonly CopiedRow[]): Promise<never> {
    let [taken, refused, error] = [0, rows.length, said];
    while (refused - taken > 1) {
      const some = Math.ceil((taken + refused) / 2);
      const found = await this.#tried(rows.slice(0, some));
      // whether a row refers to one that is there is looked at last
      if (found === undefined || isOfReference(found)) taken = some;
      else [refused, error] = [some, found];
    }
    return this.#told(error, rows[refused - 1]);
  }

  /** @returns what rows are refused with; none of them stay */
  async #tried(rows: readonly CopiedRow[]): Promise<unknown> {
    const taken = Symbol('taken');
    const trying = this.bound.session.transaction.subtransaction(async () => {
      await this.#flush(rows.map(({ change }) => change));
      throw taken;
    });
    return trying.catch(error => (error === taken ? undefined : error));
  }

  async #flush(changes: readonly Change[]): Promise<void> {
    const { body, bound, services } = this;
    const write = (some: readonly Change[]): Promise<void> => this.#send(some);
    await writeGuarded({ table: body.table, changes, places: new Map(), write }, bound.session, services);
  }

  #send(changes: readonly Change[]): Promise<void> {
    const writes = new CloudWrites(false, new Map());
    writes.reroute(batchesOf(changes));
    return flushWrites(writes, new Map(), this.bound.session, this.services);
  }

  #told(said: unknown, row: CopiedRow | undefined): never {
    const line = isOfReference(said) ? undefined : row?.line;
    throw ofLine(said, this.body.table.name, line, this.bound.session.catalog());
  }
}

/** A value is refused. */
class Refused extends Error {}
