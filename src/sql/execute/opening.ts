/**
 * The one way back: every row that comes from a cloud and holds cells passes here. A chunk's rows are taken
 * apart once, each column is opened as a batch, and the client's DataRows are written in its formats.
 */
import { type Awaitable, inOrder, whenKnown } from '../../awaitable.js';
import { type ByteColumn, type PlainColumn, plain, sealed } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { ClarusError } from '../../errors.js';
import { readRowId } from '../../wire/arrays.js';
import type { DataRows, RowSink, SessionPort } from '../plan.js';
import type { Output } from '../read/targets.js';
import type { Answering } from './bodies.js';
import { fromBinary } from './convert.js';
import { dataRows, type OutputColumnBytes, type RowWriter } from './row-writer.js';

/** Places of all fields of a batch of rows: `starts[row * width + place]`, size -1 for NULL. */
interface Fields {
  readonly buffer: Buffer;
  readonly starts: Int32Array;
  readonly sizes: Int32Array;
  readonly width: number;
  readonly count: number;
}

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
  ) {}

  /** @returns undefined when the rows have been written: nothing had to be waited for */
  rows(batch: DataRows): void | Promise<void> {
    const fields = takeApart(batch, this.answering.width);
    return whenKnown(
      inOrder(this.answering.outputs, (output, i) => this.#column(output, fields, this.formats[i] ?? 0)),
      columns => this.#finish(fields, columns),
    );
  }

  #finish(fields: Fields, columns: readonly OutputColumnBytes[]): void | Promise<void> {
    const { written } = this.answering;
    if (written !== undefined) for (const row of rowIds(fields, written)) this.writtenRows.push(row);
    this.rowsOpened += fields.count;
    if (columns.length === 0 && written !== undefined) return undefined;
    const { client } = this.session;
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
    if (output.kind === 'open') return openPlace(fields, output.place);
    return whenKnown(this.#values(output, fields), values => this.#printed(values, output, format));
  }

  #values(output: Exclude<Output, { kind: 'open' }>, fields: Fields): Awaitable<PlainColumn> {
    if (output.kind === 'finish') return output.finish(gather(fields, output.place), this.context);
    const columns: Record<string, ByteColumn> = {};
    for (const role in output.places) columns[role] = sealed(gather(fields, output.places[role]!));
    return output.encoding.open!(output.encoded, rowIds(fields, output.row), columns, this.context);
  }

  #printed(
    values: PlainColumn,
    { type }: Exclude<Output, { kind: 'open' }>,
    format: 0 | 1,
  ): Awaitable<OutputColumnBytes> {
    return whenKnown(fromBinary(plain(values), type.oid, format, this.session), asOutput);
  }
}

function takeApart({ buffer, starts: bodies, count }: DataRows, width: number): Fields {
  const starts = new Int32Array(count * width);
  const sizes = new Int32Array(count * width);
  let k = 0;
  for (let i = 0; i < count; i++) {
    let at = bodies[i]!;
    if (((buffer[at]! << 8) | buffer[at + 1]!) !== width)
      throw new ClarusError('08P01', 'the cloud returned a row of another width');
    at += 2;
    for (let field = 0; field < width; field++, k++) {
      const size = (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!;
      at += 4;
      starts[k] = at;
      sizes[k] = size;
      if (size > 0) at += size;
    }
    if (at > buffer.length) throw new ClarusError('08P01', 'the cloud returned a malformed row');
  }
  return { buffer, starts, sizes, width, count };
}

function gather({ buffer, starts, sizes, width, count }: Fields, place: number): ByteColumn {
  const offsets = new Uint32Array(count + 1);
  let nulls: Uint8Array | undefined;
  let total = 0;
  for (let i = 0, k = place; i < count; i++, k += width) {
    const size = sizes[k]!;
    if (size < 0) {
      nulls ??= new Uint8Array(count);
      nulls[i] = 1;
    } else total += size;
    offsets[i + 1] = total;
  }
  const data = new Uint8Array(total);
  for (let i = 0, k = place; i < count; i++, k += width) {
    const size = sizes[k]!;
    if (size <= 0) continue;
    const from = starts[k]!;
    const to = offsets[i]!;
    if (size < 64) for (let j = 0; j < size; j++) data[to + j] = buffer[from + j]!;
    else data.set(buffer.subarray(from, from + size), to);
  }
  return { length: count, data, offsets, nulls };
}

function rowIds({ buffer, starts, sizes, width, count }: Fields, place: number): Float64Array {
  const rows = new Float64Array(count);
  // An outer join's missing row has no id, and its cells are NULL.
  for (let i = 0, k = place; i < count; i++, k += width)
    rows[i] = sizes[k] === 8 ? readRowId(buffer, starts[k]!) : 0;
  return rows;
}

function openPlace({ buffer, starts, sizes, width, count }: Fields, place: number): OutputColumnBytes {
  const own = new Int32Array(count);
  const ownSizes = new Int32Array(count);
  for (let i = 0, k = place; i < count; i++, k += width) {
    own[i] = starts[k]!;
    ownSizes[i] = sizes[k]!;
  }
  return { data: buffer, starts: own, sizes: ownSizes, nulls: undefined };
}

const asOutput = ({ data, offsets, nulls }: ByteColumn): OutputColumnBytes => ({
  data,
  starts: offsets,
  sizes: undefined,
  nulls,
});
