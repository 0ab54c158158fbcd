/**
 * COPY ... FROM STDIN into a protected table: the client's rows are taken apart, each column is converted and
 * protected as a batch, and binary COPY goes on to the cloud.
 */
import { type ByteColumn, columnOf, type PlainColumn } from '../../crypto/column.js';
import type { EncodingContext } from '../../encodings/encoding.js';
import { writeRowId } from '../../wire/arrays.js';
import { copyReader } from '../../wire/copy-reader.js';
import type { CopyInExecution, CopyInPort, SessionPort } from '../plan.js';
import type { CopyInBody } from './bodies.js';
import { assignment, toBinary, typeNameOf } from './convert.js';
import { evaluateSql } from './operands.js';
import type { ExecutionServices } from './portal.js';
import {
  mustNotBeNull,
  nothingBound,
  protectRows,
  type SideWrites,
  writeSides,
  writtenValues,
} from './protecting.js';

/** Rows and bytes that one batch holds at most. */
const BATCH_ROWS = 2_000;
const BATCH_BYTES = 1 << 20;
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');

/**
 * @throws what the cloud answers to its COPY
 */
export async function startCopyIn(
  body: CopyInBody,
  session: SessionPort,
  context: EncodingContext,
  services: ExecutionServices,
): Promise<CopyInExecution> {
  const port = await session.cloud.copyIn(body.sql);
  return new ProtectingCopy(body, session, context, services, port);
}

class ProtectingCopy implements CopyInExecution {
  readonly format: 0 | 1;
  readonly columns: number;
  readonly #reader: ReturnType<typeof copyReader>;
  readonly #sides: SideWrites[] = [];
  #started = false;

  constructor(
    private readonly body: CopyInBody,
    private readonly session: SessionPort,
    private readonly context: EncodingContext,
    private readonly services: ExecutionServices,
    private readonly port: CopyInPort,
  ) {
    this.format = body.options.format === 'binary' ? 1 : 0;
    this.columns = body.columns.length;
    this.#reader = copyReader({
      ...body.options,
      table: body.table.name,
      columns: body.columns.map(c => c.name),
    });
  }

  async write(data: Uint8Array): Promise<void> {
    await this.#ending(async () => {
      this.#reader.push(data);
      while (this.#reader.rows >= BATCH_ROWS || this.#reader.size_bytes >= BATCH_BYTES)
        await this.#send(this.#reader.take(BATCH_ROWS));
    });
  }

  async finish(): Promise<{ tag: string }> {
    await this.#ending(async () => {
      this.#reader.end();
      while (this.#reader.rows > 0) await this.#send(this.#reader.take(BATCH_ROWS));
      if (!this.#started) await this.port.write(SIGNATURE);
      await this.port.write(Uint8Array.of(0xff, 0xff));
    });
    const done = await this.port.finish();
    await writeSides(this.#sides, this.session);
    return done;
  }

  /** Runs work of ours; where it fails the cloud's COPY ends before anything else is asked of the cloud. */
  async #ending(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.port.fail('the data could not be protected');
      throw error;
    }
  }

  async fail(reason: string): Promise<void> {
    await this.port.fail(reason);
  }

  async #send(fields: readonly ByteColumn[]): Promise<void> {
    const { body, session } = this;
    const count = fields[0]?.length ?? 0;
    const values = new Map<number, PlainColumn>();
    for (const [i, column] of body.columns.entries()) {
      const converted = await toBinary(fields[i]!, this.format, column.type, session);
      if (column.protection) mustNotBeNull(converted, column, body.table);
      values.set(column.number, converted);
    }
    for (const { column, sql } of body.defaults)
      values.set(column.number, await this.#defaults(column, sql, count));
    const first = await this.services.rowIds(body.table.number, count);
    const rows = Float64Array.from({ length: count }, (_, i) => first + i);
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
    await this.port.write(binaryRows(rows, columns, !this.#started));
    this.#started = true;
  }

  async #defaults(
    column: CopyInBody['defaults'][number]['column'],
    sql: string | undefined,
    count: number,
  ): Promise<PlainColumn> {
    if (sql === undefined) {
      const none = await writtenValues(
        column,
        new Array(count).fill({ kind: 'constant', value: null, type: column.type.oid }),
        nothingBound,
        [],
        this.session,
      );
      mustNotBeNull(none, column, this.body.table);
      return none;
    }
    const base = await typeNameOf(column.type.oid, this.session);
    const values: (Uint8Array | null)[] = [];
    for (let i = 0; i < count; i++)
      values.push(
        await evaluateSql(assignment(`(${sql})::${base}`, column.type), nothingBound, [], this.session),
      );
    const result = columnOf(values) as PlainColumn;
    mustNotBeNull(result, column, this.body.table);
    return result;
  }
}

/** Rows in the binary format of COPY, the row id first. */
function binaryRows(rows: Float64Array, columns: readonly ByteColumn[], withSignature: boolean): Buffer {
  let size = withSignature ? SIGNATURE.length : 0;
  size += rows.length * (2 + 12 + 4 * columns.length);
  for (const { offsets, length } of columns) size += offsets[length]! - offsets[0]!;
  const out = Buffer.allocUnsafe(size);
  let at = withSignature ? SIGNATURE.copy(out) : 0;
  const width = columns.length + 1;
  for (let i = 0; i < rows.length; i++) {
    out[at] = width >> 8;
    out[at + 1] = width;
    out[at + 2] = 0;
    out[at + 3] = 0;
    out[at + 4] = 0;
    out[at + 5] = 8;
    writeRowId(out, rows[i]!, at + 6);
    at += 14;
    for (const { data, offsets, nulls } of columns) {
      const from = offsets[i]!;
      const length = nulls?.[i] ? -1 : offsets[i + 1]! - from;
      out[at] = length >> 24;
      out[at + 1] = length >> 16;
      out[at + 2] = length >> 8;
      out[at + 3] = length;
      at += 4;
      if (length <= 0) continue;
      if (length < 64) for (let k = 0; k < length; k++) out[at + k] = data[from + k]!;
      else out.set(data.subarray(from, from + length), at);
      at += length;
    }
  }
  return out;
}
