/**
 * The one way back: every row that comes from a cloud and holds cells passes here. A chunk's rows are taken
 * apart once, each column is opened as a batch, and the client's DataRows are written in its formats.
 */
import { type Awaitable, inOrder, whenKnown } from '../../awaitable.js';
import { type ByteColumn, type PlainColumn, plain, type SealedColumn, sealed } from '../../crypto/column.js';
import type { EncodedColumn, Encoding, EncodingContext } from '../../encodings/encoding.js';
import type { ClientPort, DataRows, RowSink, SessionPort, Touching } from '../ports.js';
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
  #touching: Touching | undefined;

  constructor(
    private readonly answering: Answering,
    /** 0 text, 1 binary; one a column of the answer */
    private readonly formats: readonly (0 | 1)[],
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly write: RowWriter = dataRows,
    private readonly client: Pick<ClientPort, 'writer' | 'written'> = session.client,
  ) {}

  /** What comes from now on belongs to the statement that is being executed. */
  executes(): this {
    this.#touching = this.session.touching?.();
    return this;
  }

  /** @returns undefined when the rows have been written: nothing had to be waited for */
  rows(batch: DataRows): void | Promise<void> {
    const fields = new Fields(batch, this.answering.width);
    const room = this.#touching && this.#touched(this.#touching, fields);
    return room ? room.then(() => this.#open(fields)) : this.#open(fields);
  }

  /** Takes down which rows are opened, each once. */
  #touched(touching: Touching, fields: Fields): Promise<void> | undefined {
    const places = new Map<string, { readonly table: number; readonly row: number }>();
    for (const output of this.answering.outputs)
      if (output.kind === 'cell')
        places.set(`${output.encoded.table} ${output.row}`, { table: output.encoded.table, row: output.row });
    const rooms = [...places.values()].flatMap(
      ({ table, row }) => touching(table, 'opened', fields.rowIds(row)) ?? [],
    );
    return rooms.length > 0 ? Promise.all(rooms).then(() => undefined) : undefined;
  }

  #open(fields: Fields): void | Promise<void> {
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
    for (const role in output.places) columns[role] = fields.gather(output.places[role]!);
    return openCells(output, fields.rowIds(output.row), columns, this.context);
  }

  #printed(
    values: PlainColumn,
    { type }: Exclude<Output, { kind: 'open' }>,
    format: 0 | 1,
  ): Awaitable<OutputColumnBytes> {
    return whenKnown(fromBinary(plain(values), type.oid, format, this.session), asOutput);
  }
}

/**
 * Opens the values of a column.
 * @param rows row ids
 * @param columns physical columns of the encoding, by role
 */
export const openCells = (
  { encoding, encoded }: { readonly encoding: Encoding; readonly encoded: EncodedColumn },
  rows: Float64Array,
  columns: Record<string, ByteColumn>,
  context: EncodingContext,
): Awaitable<PlainColumn> => {
  const cells: Record<string, SealedColumn> = {};
  for (const role in columns) cells[role] = sealed(columns[role]!);
  return encoding.open!(encoded, rows, cells, context);
};

const asOutput = ({ data, offsets, nulls }: ByteColumn): OutputColumnBytes => ({
  data,
  starts: offsets,
  sizes: undefined,
  nulls,
});
