import { MessageWriter } from '../../../wire/message-writer.js';
import { backendTypes } from '../../../wire/protocol.js';
import { fieldsAt, type Row } from '../../execute/collect.js';
import type { RowCursor } from '../../residual.js';
import type { WritableRows } from './writable-rows.js';

/** Rows that may be written: they are kept, and their versions, which postgres_fdw has not asked for, left out. */
export class IdentifiedRows implements RowCursor {
  readonly #rows = new MessageWriter();

  /**
   * @param columns of the rows; `ctid` and `xmin` are among them
   * @param width number of those that postgres_fdw has asked for: the first ones
   */
  constructor(
    private readonly cursor: RowCursor,
    private readonly kept: WritableRows,
    private readonly columns: readonly string[],
    readonly width: number,
  ) {}

  async next(count: number, writer: MessageWriter): Promise<void> {
    // too few rows mean the end
    for (let left = count; left > 0; ) {
      const given = await this.#next(left, writer);
      if (given === undefined) return;
      left -= given;
    }
  }

  /** @returns number of rows; undefined: there are no more */
  async #next(count: number, writer: MessageWriter): Promise<number | undefined> {
    await this.cursor.next(count, this.#rows);
    const batch = Buffer.from(this.#rows.take());
    if (batch.length === 0) return undefined;
    let given = 0;
    this.kept.keep(batch, this.columns);
    const at = this.columns.indexOf('ctid');
    for (const row of rowsOf(batch))
      if (!this.kept.isSkipped(Buffer.from(row[at]!).toString())) {
        writeRow(writer, row.slice(0, this.width));
        given++;
      }
    return given;
  }

  close(): void {
    this.cursor.close();
  }
}

/** Rows of whole DataRow messages. */
export function* rowsOf(batch: Buffer): Generator<Row> {
  for (let from = 0; from < batch.length; from += 1 + batch.readInt32BE(from + 1))
    yield fieldsAt(batch, from + 5);
}

/** Writes a DataRow message. */
export function writeRow(writer: MessageWriter, row: Row): void {
  writer.begin(backendTypes.dataRow);
  writer.int16(row.length);
  for (const field of row) writer.field(field);
  writer.end();
}
