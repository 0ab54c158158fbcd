/** Rows for a carrier: as they were fetched, or finished on the trusted side. */
import { ClarusError } from '../../errors.js';
import { MessageWriter } from '../../wire/message-writer.js';
import type { StatementPort } from '../ports.js';
import type { RowCursor } from '../residual.js';
import type { Finish } from './delivery.js';
import { copyRows, type Fetched, keptBatch, rowsOf } from './fetch.js';
import { TextColumns } from './text-columns.js';
import { checkWritten, type NameCheck } from './zone-names.js';

const text = [0] as const;

/** Rows that are delivered as they are. */
export class DeliveredRows implements RowCursor {
  #over = false;

  constructor(
    private readonly fetched: Fetched,
    readonly width: number,
  ) {}

  async next(count: number, writer: MessageWriter): Promise<void> {
    if (this.#over) return;
    this.#over = (await this.fetched.next(count, writer)).kind === 'complete';
  }

  close(): void {
    this.fetched.close();
  }
}

/** Rows that the trusted PostgreSQL finishes, batch by batch: it evaluates what the cloud could not. */
export class FinishedRows implements RowCursor {
  readonly #batch = new MessageWriter();
  #over = false;

  constructor(
    private readonly fetched: Fetched,
    private readonly finish: Finish,
    private readonly fetchedWidth: number,
    readonly width: number,
    private readonly parameters: readonly (Uint8Array | null)[],
    private readonly trusted: StatementPort,
    private readonly names: NameCheck | undefined,
  ) {}

  async next(count: number, writer: MessageWriter): Promise<void> {
    let left = count;
    while (left > 0 && !this.#over) {
      this.#batch.discard();
      if (this.finish.sorts) await this.#all();
      else this.#over = (await this.fetched.next(left, this.#batch)).kind === 'complete';
      const before = writer.length;
      left -= await this.#evaluate(writer);
      checkWritten(this.names, writer, before);
    }
  }

  close(): void {
    this.fetched.close();
  }

  /** @throws ClarusError 54000 where they are too many to be sorted at once */
  async #all(): Promise<void> {
    while (!this.#over) {
      this.#over = (await this.fetched.next(keptBatch, this.#batch)).kind === 'complete';
      if (this.#batch.length > sortedBytesMax) throw tooMuchToSort();
    }
  }

  async #evaluate(writer: MessageWriter): Promise<number> {
    const columns = new TextColumns(this.#batch.take(), this.fetchedWidth);
    if (columns.rows === 0) return 0;
    const { finish } = this;
    const values = [
      ...columns.arrays(),
      ...finish.parameters.map(number => this.parameters[number - 1] ?? null),
    ];
    const formats = values.map((_, i) => (i < this.fetchedWidth ? 1 : 0));
    const portal = this.trusted.bind(finish.statement, values, { parameters: formats, results: text });
    const outcome = portal.execute(0, { rows: batch => copyRows(batch, writer) });
    this.trusted.flush();
    const done = await outcome;
    return done.kind === 'complete' ? rowsOf(done.tag) : 0;
  }
}

/** Bytes of rows that are sorted at once. */
const sortedBytesMax = 64 * 1024 * 1024;

const tooMuchToSort = (): ClarusError =>
  new ClarusError('54000', 'a table is too large to be delivered in the order that a statement asks for', {
    hint: "Leave ORDER BY out, or order by an expression such as (a || '').",
  });
