/**
 * The one way back: every row that comes from a cloud and holds cells passes here. A chunk's rows are taken
 * apart once, each column is opened as a batch, and the client's DataRows are written in its formats.
 */
import { type Awaitable, inOrder, whenKnown } from '../../awaitable.js';
import { type ByteColumn, type PlainColumn, plain, sealed } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import type { ClientPort, DataRows, RowSink, SessionPort } from '../plan.js';
import type { Output } from '../read/targets.js';
import type { Answering } from './bodies.js';
import { fromBinary } from './convert.js';
import { Fields } from './fields.js';
import { dataRows, type OutputColumnBytes, type RowWriter } from './row-writer.js';

/** Opens the rows of one answer and writes them to the client, batch by batch. */
export class OpeningSink implements RowSink {
  /** row ids of written rows, where side tables must follow */
  readonly writtenRows: number[] = [];
  /** rows that went to the client */
  rowsOpened = 0;

  constructor(
    private readonly answering: Answering,
    /** 0 text, 1 binary; one a column of the answer */
    private readonly formats: readonly (0 | 1)[],
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly write: RowWriter = dataRows,
    private readonly client: Pick<ClientPort, 'writer' | 'written'> = session.client,
  ) {}

  /** @returns undefined when the rows have been written: nothing had to be waited for */
  rows(batch: DataRows): void | Promise<void> {
    const fields = new Fields(batch, this.answering.width);
    return whenKnown(
      inOrder(this.answering.outputs, (output, i) => this.#column(output, fields, this.formats[i] ?? 0)),
      columns => this.#finish(fields, columns),
    );
  }

  #finish(fields: Fields, columns: readonly OutputColumnBytes[]): void | Promise<void> {
    const { written } = this.answering;
    if (written !== undefined) for (const row of fields.rowIds(written)) this.writtenRows.push(row);
    this.rowsOpened += fields.count;
    if (columns.length === 0 && written !== undefined) return undefined;
    const { client } = this;
    const { writer } = client;
    const before = writer.mark();
    try {
      this.write(writer, columns, fields.count);
    } catch (error) {
      writer.truncate(before);
      throw error;
    }
    return client.written();
  }

  #column(output: Output, fields: Fields, format: 0 | 1): Awaitable<OutputColumnBytes> {
    if (output.kind === 'open') return fields.inPlace(output.place);
    return whenKnown(this.#values(output, fields), values => this.#printed(values, output, format));
  }

  #values(output: Exclude<Output, { kind: 'open' }>, fields: Fields): Awaitable<PlainColumn> {
    if (output.kind === 'finish') return output.finish(fields.gather(output.place), this.context);
    const columns: Record<string, ByteColumn> = {};
    for (const role in output.places) columns[role] = sealed(fields.gather(output.places[role]!));
    return output.encoding.open!(output.encoded, fields.rowIds(output.row), columns, this.context);
  }

  #printed(
    values: PlainColumn,
    { type }: Exclude<Output, { kind: 'open' }>,
    format: 0 | 1,
  ): Awaitable<OutputColumnBytes> {
    return whenKnown(fromBinary(plain(values), type.oid, format, this.session), asOutput);
  }
}

const asOutput = ({ data, offsets, nulls }: ByteColumn): OutputColumnBytes => ({
  data,
  starts: offsets,
  sizes: undefined,
  nulls,
});
